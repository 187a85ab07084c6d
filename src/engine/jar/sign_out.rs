//! Signing out.

use super::{
    SessionJar,
    driver::PendingRevocation,
    state::{JarState, SessionAndCookie, SetActive},
};
use crate::engine::{
    cookie::parse::ActiveCookie,
    event::SessionEvent,
    request::presented::RequestedSession,
    session::{
        id::SessionId,
        identity::{SessionIdentity, SessionStatusKind},
    },
};

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// Signs out the session that this request acts as, if any, and removes its cookie from the
    /// browser. It is revoked in this process at once.
    ///
    /// For a request with a bearer token, the token's session is revoked. The browser's cookie is
    /// removed when it is next presented, not by this response.
    ///
    /// If other accounts are signed in, none of them becomes active: the user chooses. Two sessions
    /// of one subject, which result from two concurrent sign-ins, are one account and end together.
    pub fn sign_out(&self) -> Option<SessionIdentity> {
        if self.engine().multi_session().is_none() {
            // The user asked to sign out. Remove the cookie even if its token is not valid.
            return self.sign_out_all().into_iter().next();
        }
        let too_large = self.state().others.beyond.as_ref().is_some_and(|beyond| beyond.too_large);
        self.verify_other_cookies();
        let (acting, superseded) = {
            let mut state = self.state();
            // A sign-in of this request was never sent: withdraw it and keep the others.
            if state.withdraw_staged().is_some() {
                return None;
            }
            match state.acting() {
                Some(acting) => {
                    let superseded = state.take_superseded_of(&acting.identity);
                    (state.with_same_account(acting, true), superseded)
                }
                // The cookies are too long for any request to act as a session: remove them all.
                None if too_large => {
                    drop(state);
                    return self.sign_out_all().into_iter().next();
                }
                None => {
                    drop(state);
                    self.sign_out_superseded();
                    return None;
                }
            }
        };
        self.revoke_superseded(superseded);
        self.revoke_sessions(acting).into_iter().next()
    }

    /// Signs out the session that the request selects and whose presented token is not served. If the wall
    /// clock is ahead, the token only seems to have expired: the revocation still counts after the clock is
    /// corrected. An expired token has no effect on other sessions.
    fn sign_out_superseded(&self) {
        let session = {
            let mut state = self.state();
            let selected = match self.0.facts.named {
                RequestedSession::Id(id) => Some(id),
                RequestedSession::Invalid => None,
                RequestedSession::None => state.presented.pointer.session(),
            };
            let mut superseded = state.findings.superseded.iter();
            let session = superseded.find(|it| Some(it.identity.id()) == selected).cloned();
            let Some(session) = session.filter(|it| !self.engine().is_revoked(&it.identity)) else {
                return;
            };
            let live = state.live();
            let is_shared = |place| live.iter().any(|it| it.place == Some(place));
            if state.was_active(|id| Some(id) == selected) {
                state.set_active = Some(SetActive::None);
            }
            SessionAndCookie { place: session.place.filter(|place| !is_shared(*place)), ..session }
        };
        self.revoke_superseded(vec![session]);
    }

    /// Signs out the session `id` if it is signed in from this browser; otherwise does nothing.
    pub fn sign_out_session(&self, id: SessionId) -> Option<SessionIdentity> {
        self.verify_other_cookies();
        let meant = {
            let mut state = self.state();
            let is_new = state.staged.as_ref().is_some_and(|new| new.identity.id() == id);
            if is_new {
                state.withdraw_staged();
                return None;
            }
            let is_meant = |session: &SessionAndCookie| session.identity.id() == id;
            // Expired in this process, but a newer token may exist elsewhere: revoke it too.
            if let Some(superseded) =
                state.findings.superseded.iter().find(|s| is_meant(s)).cloned()
            {
                let place = superseded.place.filter(|place| {
                    !state.live().iter().any(|session| session.place == Some(*place))
                });
                state.ended.push(SessionAndCookie { place, ..superseded.clone() });
                drop(state);
                self.revoke_here(&superseded.identity, self.now());
                return None;
            }
            let conflicting = state.findings.conflicting.iter().cloned();
            let meant = state.live().into_iter().chain(conflicting).find(is_meant)?;
            // With one account, a sign-out also removes cookies left over from several.
            let is_acting = state.acting().is_some_and(|acting| acting.identity.id() == id);
            let several = self.engine().multi_session().is_some();
            if is_acting && !several { None } else { Some(state.with_same_account(meant, several)) }
        };
        let ended = match meant {
            Some(meant) => self.revoke_sessions(meant),
            None => self.sign_out_all(),
        };
        ended.into_iter().find(|session| session.id() == id)
    }

    /// Signs out every session of this browser. The session cookies are removed, whether or not
    /// they hold a session; with several accounts, an active cookie with the value `none` stays.
    ///
    /// After the response has been sent, for example over a WebSocket, the sessions are still
    /// revoked; the cookies are removed when they are next presented.
    pub fn sign_out_all(&self) -> Vec<SessionIdentity> {
        self.verify_other_cookies();
        let (all, superseded) = {
            let mut state = self.state();
            state.withdraw_staged();
            state.clear_all_cookies = true;
            let mut all = state.live();
            all.append(&mut state.findings.conflicting);
            (all, std::mem::take(&mut state.findings.superseded))
        };
        self.revoke_superseded(superseded);
        let ended = self.revoke_sessions(all);
        // The active cookie becomes `none` instead of being removed: another tab may be signing in,
        // and without an active cookie its account would become active.
        let several = self.engine().multi_session().is_some();
        let mut state = self.state();
        let was_there =
            !state.presented.places.is_empty() || state.presented.pointer != ActiveCookie::Absent;
        state.set_active = (several && was_there).then_some(SetActive::None);
        drop(state);
        ended
    }

    /// Signs a subject out of every browser: the subject of this request's session, or of the
    /// session `of` if it is signed in from this browser. The sessions of this browser are revoked
    /// at once; the store revokes all others before the response is sent.
    ///
    /// # Errors
    ///
    /// Without a store, because other browsers are not known. Also for a session of another issuer
    /// whose `sid` is not a session id of this crate: a subject of the same name in the store may
    /// be another user.
    pub fn sign_out_everywhere(
        &self,
        of: Option<SessionId>,
    ) -> Result<Vec<SessionIdentity>, StoreRequired> {
        let effects = self.effects().filter(|effects| effects.sources().store);
        let effects = effects.ok_or(StoreRequired(()))?;
        self.verify_other_cookies();
        let (subject, sessions) = {
            let mut state = self.state();
            state.withdraw_staged();
            let acting = state.acting();
            let live = state.live();
            let is_meant = |session: &&SessionAndCookie| match of {
                Some(id) => session.identity.id() == id,
                None => acting
                    .as_ref()
                    .is_some_and(|acting| acting.identity.id() == session.identity.id()),
            };
            let Some(meant) = live.iter().find(is_meant) else { return Ok(Vec::new()) };
            // Copied cookies without a proof must not end the sessions of other devices.
            let refusal = self.engine().device_refusal(&meant.identity, self.0.opened);
            if refusal == Some(SessionStatusKind::Unproven) {
                return Ok(Vec::new());
            }
            // A subject of that name in the store is another user.
            if !meant.identity.may_be_in_store() {
                return Err(StoreRequired(()));
            }
            let subject = meant.identity.subject().clone();
            let is_theirs = |session: &SessionAndCookie| *session.identity.subject() == subject;
            let conflicting = state.findings.conflicting.iter().cloned();
            let sessions: Vec<_> = live.into_iter().chain(conflicting).filter(is_theirs).collect();
            state.stored.revocations.push(PendingRevocation::Subject(subject.clone()));
            (subject, sessions)
        };
        let ended = self.revoke_sessions(sessions);
        effects.ended_everywhere(&subject, self.now());
        Ok(ended)
    }

    /// Revokes sessions that have expired in this process: newer tokens may exist elsewhere.
    fn revoke_superseded(&self, sessions: Vec<SessionAndCookie>) {
        let now = self.now();
        for session in &sessions {
            self.revoke_here(&session.identity, now);
        }
        self.state().ended.extend(sessions);
    }

    fn revoke_sessions(&self, sessions: Vec<SessionAndCookie>) -> Vec<SessionIdentity> {
        let (engine, now) = (self.engine(), self.now());
        let mut state = self.state();
        for ended in &sessions {
            self.forget(&mut state, ended.identity.id());
        }
        state.ended.extend(sessions.iter().cloned());
        if engine.multi_session().is_some() && !sessions.is_empty() {
            // Also if no account seems to be left: another tab may be signing in, and without an
            // active cookie its account would become active.
            if state.was_active(|id| sessions.iter().any(|ended| ended.identity.id() == id)) {
                state.set_active = Some(SetActive::None);
            }
        }
        drop(state);
        let mut identities = Vec::with_capacity(sessions.len());
        for SessionAndCookie { identity, .. } in sessions {
            self.revoke_here(&identity, now);
            engine.emit(&SessionEvent::SignedOut { session: identity.clone() });
            identities.push(identity);
        }
        identities
    }

    /// Withdraws a sign-in that failed while it was committed. No session is revoked by it; what
    /// was signed out before stays signed out.
    pub(crate) fn withdraw_sign_in(&self) {
        self.state().withdraw_staged();
    }
}

impl<C> JarState<C> {
    /// Whether, without a change of the active cookie, the next request would act as one of the sessions
    /// that were just removed, or as another account because these are missing.
    pub(super) fn was_active(&self, is_ended: impl Fn(SessionId) -> bool) -> bool {
        match (self.set_active, self.presented.pointer) {
            (Some(SetActive::Session(id)), _) | (None, ActiveCookie::Session(id)) => is_ended(id),
            // Without an active cookie the next request would act as the remaining account.
            (None, ActiveCookie::Absent) => self.acting().is_none(),
            _ => false,
        }
    }
}

/// Signing out everywhere needs a session store.
///
/// ```
/// use tower_auth_session::{SessionJar, error::StoreRequired};
///
/// async fn sign_out_everywhere(jar: SessionJar) -> &'static str {
///     match jar.sign_out_everywhere(None) {
///         Ok(_) => "signed out on all devices",
///         Err(StoreRequired { .. }) => "this service has no session store",
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signing out everywhere needs a session store")]
pub struct StoreRequired(());
