//! Opens requests with a bearer token.

use std::sync::Mutex;

use crate::{
    engine::{
        bearer::header::Authorization,
        event::CredentialError,
        jar::state::{CurrentSession, InitialSession, JarState, OpenOutcome},
        request::{
            head::RequestHead,
            presented::{PresentedFields, RequestedSession},
        },
        session::{data::SessionData, identity::SessionStatusKind},
        session_engine::SessionEngine,
    },
    error::TokenError,
    time::Timestamp,
};

impl<C> SessionEngine<C> {
    /// Whether bearer tokens are accepted.
    pub(crate) fn accepts_bearer(&self) -> bool {
        !self.0.issuers.is_empty()
    }

    /// Opens a request that presents a bearer token, valid or not. Its cookies are ignored: the
    /// token takes precedence, and an invalid token must not be replaced by a valid cookie (RFC
    /// 6750 §3.1).
    pub(crate) fn open_bearer(
        &self,
        head: RequestHead<'_>,
        presented: &PresentedFields<'_>,
        named: RequestedSession,
        now: Timestamp,
    ) -> Option<OpenOutcome<C>> {
        if !presented.has_authorization || !self.accepts_bearer() {
            return None;
        }
        let verified = match Authorization::from_headers(head.headers) {
            Authorization::Absent => return None,
            Authorization::Malformed => Err(CredentialError::Malformed),
            Authorization::Bearer(token) => self.verify_bearer(token, now),
        };
        let acting = match verified {
            Err(reason) => {
                self.reject(reason);
                Err(SessionStatusKind::SignedOut)
            }
            Ok(proven) => match named {
                RequestedSession::None => Ok(proven),
                RequestedSession::Id(id) if id == proven.identity().id() => Ok(proven),
                RequestedSession::Id(_) | RequestedSession::Invalid => {
                    Err(SessionStatusKind::SessionMismatch)
                }
            },
        };
        let (kind, session, current) = match acting {
            Err(kind) => (kind, None, None),
            Ok(session) => {
                let current = CurrentSession::without_cookie(session.clone());
                (SessionStatusKind::SignedIn, Some(session), Some(current))
            }
        };
        // Never the fast path: later checks need the full state.
        let state = Some(Box::new(Mutex::new(JarState { current, ..JarState::default() })));
        let first = InitialSession { session, ..InitialSession::default() };
        Some(OpenOutcome { kind, first, state })
    }

    /// Verifies `token` with each trusted issuer until one accepts it.
    fn verify_bearer(
        &self,
        token: &[u8],
        now: Timestamp,
    ) -> Result<SessionData<C>, CredentialError> {
        let mut reason = TokenError::UnknownKey;
        for issuer in &self.0.issuers {
            match issuer.verify(token, now) {
                Ok(proven) if self.is_revoked(proven.identity()) => {
                    return Err(CredentialError::Revoked);
                }
                Ok(proven) => return Ok(proven),
                Err(error) if reason == TokenError::UnknownKey => {
                    self.report_other_key(token, error);
                    reason = error;
                }
                Err(_) => {}
            }
        }
        Err(CredentialError::Token(reason))
    }

    /// The session that a request selects.
    pub(crate) fn requested_session(
        &self,
        head: RequestHead<'_>,
        presented: &PresentedFields<'_>,
    ) -> RequestedSession {
        let several = self.0.multi_session.as_ref();
        several.map_or(RequestedSession::None, |several| {
            match (presented.names_session, several.session_query_param.as_deref()) {
                (false, None) => RequestedSession::None,
                (_, parameter) => RequestedSession::from_head(head, parameter),
            }
        })
    }
}
