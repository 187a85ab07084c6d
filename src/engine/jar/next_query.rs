//! [`NextQuery`]: what a request needs from outside, one query at a time.

use std::sync::Arc;

use super::{SessionJar, state::StagedSignIn};
use crate::engine::{issuer::Issuer, session::identity::SessionIdentity};

/// What can be queried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QuerySources {
    pub(crate) store: bool,
    pub(crate) claims: bool,
}

/// The next query for a request. Claims are fetched only for active sessions, and the store creates a
/// session once its claims are known.
#[derive(Debug)]
pub(crate) enum NextQuery {
    /// Tokens name keys that this issuer may have published since its key set was fetched.
    IssuerKeys(Arc<Issuer>),
    /// The session of a bearer token must be confirmed by the store.
    BearerSession(SessionIdentity),
    /// The session goes out with a new token, and must be confirmed by the store.
    Renewal {
        session: SessionIdentity,
        /// Whether the token that was presented is due.
        is_due: bool,
    },
    /// A new token or a sign-in needs claims.
    Claims(SessionIdentity),
    /// The store must record the sign-in.
    Creation(SessionIdentity),
    /// The store must record the sessions that the request revoked.
    Revocations,
}

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// The next query. `None` once nothing is left to be queried before the response.
    #[inline]
    pub(crate) fn next_query(&self, sources: QuerySources) -> Option<NextQuery> {
        // An untouched jar needs nothing: see `SessionEngine::open_for`.
        if self.is_untouched() { None } else { self.next_query_under_lock(sources) }
    }

    fn next_query_under_lock(&self, sources: QuerySources) -> Option<NextQuery> {
        let QuerySources { store, claims } = sources;
        let state = &*self.state();
        if let Some(awaiting) = &state.awaiting {
            return Some(NextQuery::IssuerKeys(Arc::clone(&awaiting.issuer)));
        }
        if store && let Some(session) = self.bearer_to_confirm(state) {
            return Some(NextQuery::BearerSession(session));
        }
        if store && let Some((session, is_due)) = self.renewal_target_in(state) {
            return Some(NextQuery::Renewal { session, is_due });
        }
        if (claims || state.awaits_claims())
            && let Some(session) = state.claims_request()
        {
            return Some(NextQuery::Claims(session));
        }
        if store && let Some(session) = state.create_request() {
            return Some(NextQuery::Creation(session));
        }
        (store && !state.stored.revocations.is_empty()).then_some(NextQuery::Revocations)
    }

    /// Whether the store must record revocations that depend on the sign-in of this response, or on the
    /// limits of the browser.
    pub(crate) fn has_final_revocations(&self) -> bool {
        !self.is_untouched() && {
            let state = self.state();
            let displaces = |staged: &StagedSignIn<C>| !staged.displacement.is_empty();
            !state.stored.abandoned_sign_ins.is_empty()
                || state.staged.as_deref().is_some_and(displaces)
                || state.is_beyond_limits()
        }
    }
}
