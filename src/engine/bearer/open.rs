//! From a bearer token to a [`SessionJar`].

use std::sync::Arc;

use http::{Request, header::USER_AGENT};

use super::{Credential, authorization::Authorization, issuer::Proven};
use crate::{
    engine::{
        browser::Named,
        event::RejectReason,
        identity::SessionStatusKind,
        jar::{Held, Opened, SessionJar, State},
        record::RequestRecord,
        request::RequestHead,
        session::Session,
        set_cookie::Place,
        state::SessionEngine,
    },
    error::TokenError,
    time::{Now, Timestamp},
};

impl<C> SessionEngine<C> {
    /// Whether requests may sign in by a bearer token.
    pub(crate) fn accepts_bearer(&self) -> bool {
        !self.0.issuers.is_empty()
    }

    /// The jar of a request that brings a bearer token, good or bad. Its cookies are not looked at:
    /// whoever sends both means the token, and one that is bad must not be covered up by a cookie
    /// (RFC 6750 §3.1).
    pub(crate) fn open_bearer<B>(
        &self,
        request: &Request<B>,
        named: Named,
        now: Now,
    ) -> Option<SessionJar<C>> {
        if !self.accepts_bearer() {
            return None;
        }
        let believed = match Authorization::of(request.headers()) {
            Authorization::Other => return None,
            Authorization::Unclear => Err(RejectReason::Malformed),
            Authorization::Bearer(token) => self.believe(token, now.timestamp()),
        };
        let acting = match believed {
            Err(reason) => {
                self.tell_rejected(reason);
                Err(SessionStatusKind::SignedOut)
            }
            Ok(proven) => match named {
                Named::Nobody => Ok(proven),
                Named::Session(id) if id == proven.identity.id() => Ok(proven),
                Named::Session(_) | Named::Unclear => Err(SessionStatusKind::Mismatch),
            },
        };
        let mut record = RequestRecord::new(
            SessionStatusKind::SignedIn,
            None,
            request.uri().clone(),
            now.timestamp(),
            Arc::clone(&self.0.redirects),
        );
        record.credential = Credential::BearerToken;
        record.accepts_bearer = true;
        let mut held = None;
        let record = match acting {
            Err(kind) => {
                record.kind = kind;
                Arc::new(record)
            }
            Ok(Proven { identity, claims }) => {
                record.identity = Some(identity.clone());
                let record = Arc::new(record);
                held = Some(Held {
                    presented: identity.dates(),
                    session: Session::new(identity, Arc::new(claims), Arc::clone(&record)),
                    // Nowhere, in truth: closing writes no cookie for such a request.
                    place: Place::Only,
                    size: 0,
                    renew: false,
                    claims: None,
                    changed: false,
                });
                record
            }
        };
        let mut state = State::of(record);
        state.held = held;
        Some(SessionJar::new(Opened {
            engine: self.clone(),
            now,
            activity: false,
            is_named: named != Named::Nobody,
            cross_origin: None,
            user_agent: request.headers().get(USER_AGENT).cloned(),
            state,
        }))
    }

    /// What `token` proves: by the first trusted issuer that vouches for it.
    fn believe(&self, token: &[u8], now: Timestamp) -> Result<Proven<C>, RejectReason> {
        let mut reason = TokenError::UnknownKey;
        for issuer in &self.0.issuers {
            match issuer.verify(token, now) {
                Ok(proven) if self.is_over(&proven.identity) => return Err(RejectReason::Ended),
                Ok(proven) => return Ok(proven),
                Err(error) if reason == TokenError::UnknownKey => reason = error,
                Err(_) => {}
            }
        }
        Err(RejectReason::Token(reason))
    }

    fn tell_rejected(&self, reason: RejectReason) {
        self.tell(&crate::engine::event::SessionEvent::Rejected { reason });
    }

    /// Which session a request names.
    pub(crate) fn named_by(&self, head: RequestHead<'_>) -> Named {
        let several = self.0.several.as_ref();
        several.map_or(Named::Nobody, |several| Named::of(head, several.named_by_query.as_deref()))
    }
}
