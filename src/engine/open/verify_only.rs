//! Opens requests in an engine that only verifies other issuers' tokens.
//!
//! 1. `Authorization: Bearer` takes precedence over cookies, and an invalid token there is not
//!    replaced by a valid cookie (RFC 6750 §3.1).
//! 2. Cookies are read in the configured order; the first that holds a session counts. Two
//!    different sessions under one name are rejected. An issuer's tokens are accepted in its own
//!    cookies only.
//! 3. Errors are reported to `on_event` only (ASVS 16.5.1).
//! 4. While the key of a token has to be fetched from its issuer, the request is [`Unavailable`].
//!
//! Nothing is ever written: no cookie, and no token.
//!
//! [`Unavailable`]: SessionStatusKind::Unavailable

use std::sync::{Arc, Mutex};

use crate::{
    engine::{
        bearer::{CredentialKind, header::Authorization},
        event::CredentialError,
        issuer::{
            Issuer,
            jwks_cache::KeyLookup,
            jws::UnverifiedJws,
            verifier::{AwaitingJwks, ExternalVerifier, TokenGroup},
        },
        jar::{
            SessionJar,
            state::{CurrentSession, InitialSession, JarState, OpenOutcome},
        },
        redirect::csrf::CrossOriginReason,
        request::{head::RequestHead, presented::PresentedFields},
        session::{
            data::SessionData,
            identity::{SessionIdentity, SessionStatusKind},
        },
        session_engine::SessionEngine,
    },
    error::TokenError,
    time::ClockReading,
};

/// The result of verifying the tokens of a request.
enum ExternalOutcome<C> {
    Session(SessionData<C>),
    None(SessionStatusKind),
    Ask(Arc<Issuer>),
}

impl<C> SessionEngine<C> {
    /// Whether the engine verifies other issuers' tokens and issues none.
    pub(crate) fn verifies_only(&self) -> bool {
        self.0.verifier.is_some()
    }

    /// The issuers whose keys are fetched.
    pub(crate) fn remote_issuers(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        let issuers = self.0.verifier.iter().flat_map(|verifier| &verifier.issuers);
        issuers.filter(|issuer| issuer.remote().is_some())
    }

    /// Whether a trusted issuer keeps its sessions in this service's store.
    pub(crate) fn shares_store(&self) -> bool {
        let mut issuers = self.0.verifier.iter().flat_map(|verifier| &verifier.issuers);
        issuers.any(|issuer| issuer.rules.shares_store)
    }

    /// Opens a request in a verify-only engine. Also returns the credential's kind, and the reason
    /// if the request was made by another site.
    pub(crate) fn open_verified(
        &self,
        verifier: &ExternalVerifier<C>,
        head: RequestHead<'_>,
        presented: &PresentedFields<'_>,
        now: ClockReading,
    ) -> (OpenOutcome<C>, CredentialKind, Option<CrossOriginReason>) {
        let (groups, credential) = match Authorization::from_headers(head.headers) {
            Authorization::Bearer(token) => (
                vec![TokenGroup { cookie: None, tokens: vec![token] }],
                CredentialKind::BearerToken,
            ),
            Authorization::Malformed => {
                self.reject(CredentialError::Malformed);
                (Vec::new(), CredentialKind::BearerToken)
            }
            Authorization::Absent => (verifier.in_cookies(head.headers), CredentialKind::Cookie),
        };
        let is_by_cookie = credential == CredentialKind::Cookie && !groups.is_empty();
        let cross_origin = if presented.is_websocket_handshake(head) {
            self.check_origin(head, is_by_cookie).err()
        } else {
            None
        };
        let verdict = match cross_origin {
            Some(reason) => {
                self.report_refused_origin(head);
                self.reject(CredentialError::CrossOrigin(reason));
                ExternalOutcome::None(SessionStatusKind::CrossOrigin(reason))
            }
            None => self.evaluate(verifier, &groups, true, now),
        };
        let mut state = JarState::default();
        let owned = |group: TokenGroup<&[u8]>| TokenGroup {
            cookie: group.cookie,
            tokens: group.tokens.into_iter().map(Box::from).collect(),
        };
        let kind = state.resolve(verdict, || groups.into_iter().map(owned).collect());
        let session = state.current.as_ref().map(|current| current.session.clone());
        let first = InitialSession { session, ..InitialSession::default() };
        let state = Some(Box::new(Mutex::new(state)));
        (OpenOutcome { kind, first, state }, credential, cross_origin)
    }

    /// Verifies the tokens of `groups`. Without `waits`, stale keys are accepted.
    fn evaluate<T: AsRef<[u8]>>(
        &self,
        verifier: &ExternalVerifier<C>,
        groups: &[TokenGroup<T>],
        waits: bool,
        now: ClockReading,
    ) -> ExternalOutcome<C> {
        for group in groups {
            let mut found: Option<SessionData<C>> = None;
            for token in &group.tokens {
                let may_contain = |issuer: &Issuer| group.may_contain(issuer);
                match self.evaluate_one(verifier, token.as_ref(), may_contain, waits, now) {
                    Ok(ExternalOutcome::Session(session)) => {
                        let identity = session.identity();
                        let found_one = found.as_ref().map(SessionData::identity);
                        let is_other = |other: &SessionIdentity| {
                            other.id() != identity.id() || other.external() != identity.external()
                        };
                        if found_one.is_some_and(is_other) {
                            self.reject(CredentialError::ConflictingCookies);
                            return ExternalOutcome::None(SessionStatusKind::SignedOut);
                        }
                        if found_one.is_none_or(|other| other.issued_at() < identity.issued_at()) {
                            found = Some(session);
                        }
                    }
                    Ok(unknown) => return unknown,
                    Err(reason) => self.reject(reason),
                }
            }
            if let Some(session) = found {
                return ExternalOutcome::Session(session);
            }
        }
        ExternalOutcome::None(SessionStatusKind::SignedOut)
    }

    fn evaluate_one(
        &self,
        verifier: &ExternalVerifier<C>,
        token: &[u8],
        may_contain: impl Fn(&Issuer) -> bool,
        waits: bool,
        now: ClockReading,
    ) -> Result<ExternalOutcome<C>, CredentialError> {
        let refuse = CredentialError::Token;
        let unverified = UnverifiedJws::read(token).map_err(refuse)?;
        let issuer = verifier.issuers.iter().find(|issuer| *issuer.name == *unverified.issuer());
        let issuer = issuer.filter(|issuer| may_contain(issuer));
        let issuer = issuer.ok_or_else(|| refuse(TokenError::WrongRecipient))?;
        let payload = match unverified.verify(issuer, waits, now).map_err(refuse)? {
            KeyLookup::Found(payload) => payload,
            KeyLookup::Unknown => return Err(refuse(TokenError::UnknownKey)),
            KeyLookup::FetchNeeded => return Ok(ExternalOutcome::Ask(Arc::clone(issuer))),
            KeyLookup::Unavailable => {
                return Ok(ExternalOutcome::None(SessionStatusKind::Unavailable));
            }
        };
        let (claims, custom) = (verifier.decode)(&payload).map_err(refuse)?;
        let identity =
            issuer.validate_claims(claims, self.clock_skew(), now.timestamp()).map_err(refuse)?;
        if self.is_revoked(&identity) {
            return Err(CredentialError::Revoked);
        }
        let claims = custom.ok_or_else(|| refuse(TokenError::ClaimsDoNotDecode))?;
        Ok(ExternalOutcome::Session(SessionData::new(identity, Arc::new(claims))))
    }
}

impl<C> JarState<C> {
    /// Records the outcome; `tokens` are kept if a JWKS has to be fetched first. Returns the
    /// request's status.
    fn resolve(
        &mut self,
        verdict: ExternalOutcome<C>,
        tokens: impl FnOnce() -> Vec<TokenGroup<Box<[u8]>>>,
    ) -> SessionStatusKind {
        self.awaiting = None;
        match verdict {
            ExternalOutcome::None(kind) => kind,
            ExternalOutcome::Ask(issuer) => {
                self.awaiting = Some(AwaitingJwks { issuer, groups: tokens() });
                SessionStatusKind::Unavailable
            }
            ExternalOutcome::Session(session) => {
                let kind = session.identity().kind();
                self.current = Some(CurrentSession::without_cookie(session));
                kind
            }
        }
    }
}

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// Verifies the tokens again after a fetch. With `is_last`, it does not wait for a further
    /// fetch. Returns the issuer to wait for next.
    pub(crate) fn retry_after_fetch(
        &self,
        now: ClockReading,
        is_last: bool,
    ) -> Option<Arc<Issuer>> {
        let verifier = self.engine().0.verifier.as_ref()?;
        let AwaitingJwks { groups, .. } = self.state().awaiting.clone()?;
        let verdict = match self.engine().evaluate(verifier, &groups, !is_last, now) {
            ExternalOutcome::Ask(_) if is_last => {
                ExternalOutcome::None(SessionStatusKind::Unavailable)
            }
            verdict => verdict,
        };
        let mut state = self.state();
        let kind = state.resolve(verdict, || groups);
        let identity = state.current.as_ref().map(|current| current.session.identity().clone());
        state.updated_state = Some(self.updated(kind, identity));
        state.awaiting.as_ref().map(|awaiting| Arc::clone(&awaiting.issuer))
    }
}
