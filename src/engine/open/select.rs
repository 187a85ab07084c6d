//! Selects the session of a browser that a request acts as.
//!
//! 1. The session that the request names in a header or, if configured, in its query. If it is not
//!    signed in here, no other session is served in its place.
//! 2. The session that the active cookie names, if it is signed in here.
//! 3. Without an active cookie: the session in the single-account cookie, or the only session.
//!
//! If the active cookie names no session that is signed in here, the user has to choose. Nothing
//! else ever selects an account.

use crate::{
    engine::{
        cookie::{
            parse::{ActiveCookie, CookieValues, SessionCookies},
            set_cookie::CookieSlot,
        },
        event::CredentialError,
        jar::state::{CookieFindings, UnparsedCookies},
        request::presented::RequestedSession,
        session::{id::SessionId, identity::SessionStatusKind},
        session_engine::SessionEngine,
        validate::ValidSession,
    },
    time::Timestamp,
};

/// The cookies of a request, verified as far as the selection needs it.
pub(crate) struct SessionSelector<'c, 'h, C> {
    engine: &'c SessionEngine<C>,
    now: Timestamp,
    only: Option<UnverifiedCookie<'c, 'h, C>>,
    slots: Vec<UnverifiedCookie<'c, 'h, C>>,
    proofs: &'c [(SessionId, CookieValues<'h>)],
    pub(crate) findings: CookieFindings,
}

struct UnverifiedCookie<'c, 'h, C> {
    place: CookieSlot,
    tokens: &'c CookieValues<'h>,
    account: Option<ValidSession<C>>,
    is_read: bool,
}

impl<'c, 'h, C> SessionSelector<'c, 'h, C> {
    pub(crate) fn new(
        engine: &'c SessionEngine<C>,
        cookies: &'c SessionCookies<'h>,
        now: Timestamp,
    ) -> Self {
        if cookies.too_large {
            engine.reject(CredentialError::CookieHeaderTooLarge);
        }
        if !cookies.unread_accounts.is_empty() {
            engine.reject(CredentialError::TooManyCookieValues);
        }
        let entry = |place, tokens| {
            engine.emit_malformed(tokens);
            UnverifiedCookie { place, tokens, account: None, is_read: false }
        };
        let only = cookies.single.is_present.then(|| entry(CookieSlot::Single, &cookies.single));
        let slots =
            cookies.accounts.iter().map(|(id, tokens)| entry(CookieSlot::Account(*id), tokens));
        let (slots, findings) = (slots.collect(), CookieFindings::default());
        Self { engine, now, only, slots, proofs: &cookies.proofs, findings }
    }

    /// The session that the request acts as, or the reason why there is none.
    pub(crate) fn select(
        &mut self,
        named: RequestedSession,
        pointer: ActiveCookie,
        several: bool,
    ) -> Result<ValidSession<C>, SessionStatusKind> {
        match named {
            RequestedSession::Id(id) => {
                return self.take(id).ok_or(SessionStatusKind::SessionMismatch);
            }
            RequestedSession::Invalid => return Err(SessionStatusKind::SessionMismatch),
            RequestedSession::None => {}
        }
        let only = if several && pointer != ActiveCookie::Absent {
            None
        } else {
            self.take_at(CookieSlot::Single)
        };
        if let Some(account) = only {
            return Ok(account);
        }
        if let ActiveCookie::Session(id) = pointer
            && let Some(account) = self.take(id)
        {
            return Ok(account);
        }
        let live = self.live();
        // With one account there is no account selection.
        if live == 1 && (!several || pointer == ActiveCookie::Absent) {
            return self.take_any().ok_or(SessionStatusKind::SignedOut);
        }
        Err(if several && live > 0 {
            SessionStatusKind::AccountSelectionRequired
        } else {
            SessionStatusKind::SignedOut
        })
    }

    /// The only cookie that was read, if it yielded nothing but the selected session.
    pub(crate) fn only_verified(&self) -> Option<CookieSlot> {
        let mut read = self.only.iter().chain(&self.slots).filter(|entry| entry.is_read);
        let sole = read.next().filter(|sole| sole.account.is_none())?;
        (read.next().is_none() && self.findings.is_empty()).then_some(sole.place)
    }

    /// The cookies that were not needed. They are verified on demand.
    pub(crate) fn into_remaining(self) -> (Vec<ValidSession<C>>, Vec<UnparsedCookies>) {
        let (mut accounts, mut unread) = (Vec::new(), Vec::new());
        for entry in self.only.into_iter().chain(self.slots) {
            if entry.is_read {
                accounts.extend(entry.account);
            } else {
                let tokens = entry.tokens.values().iter().map(|token| Box::from(*token)).collect();
                unread.push(UnparsedCookies { place: entry.place, tokens });
            }
        }
        (accounts, unread)
    }

    fn take(&mut self, id: SessionId) -> Option<ValidSession<C>> {
        if let Some(account) = self.take_at(CookieSlot::Account(id)) {
            return Some(account);
        }
        let is_meant = |account: &ValidSession<C>| account.identity().id() == id;
        self.read(CookieSlot::Single)?.account.take_if(|account| is_meant(account))
    }

    fn take_at(&mut self, place: CookieSlot) -> Option<ValidSession<C>> {
        self.read(place)?.account.take()
    }

    fn take_any(&mut self) -> Option<ValidSession<C>> {
        self.only.iter_mut().chain(&mut self.slots).find_map(|entry| entry.account.take())
    }

    /// The number of valid sessions, after verifying all cookies.
    fn live(&mut self) -> usize {
        let entries = self.only.iter_mut().chain(&mut self.slots);
        let (engine, proofs, now) = (self.engine, self.proofs, self.now);
        let read = entries.map(|entry| entry.read(engine, proofs, now, &mut self.findings));
        read.filter(|entry| entry.account.is_some()).count()
    }

    /// The cookie at `place`, verified.
    fn read(&mut self, place: CookieSlot) -> Option<&mut UnverifiedCookie<'c, 'h, C>> {
        let mut entries = self.only.iter_mut().chain(&mut self.slots);
        let entry = entries.find(|entry| entry.place == place)?;
        Some(entry.read(self.engine, self.proofs, self.now, &mut self.findings))
    }
}

impl<C> UnverifiedCookie<'_, '_, C> {
    fn read(
        &mut self,
        engine: &SessionEngine<C>,
        proofs: &[(SessionId, CookieValues<'_>)],
        now: Timestamp,
        findings: &mut CookieFindings,
    ) -> &mut Self {
        if !self.is_read {
            self.is_read = true;
            let validation = engine.validate_cookie(self.place, self.tokens.values(), proofs, now);
            self.account = findings.add(self.place, validation);
        }
        self
    }
}
