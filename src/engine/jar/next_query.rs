//! [`NextQuery`]: the next query that a request needs, of the store, the claims source or an issuer.

use std::sync::Arc;

use super::{SessionJar, state::StagedSignIn};
use crate::engine::{issuer::Issuer, session::identity::SessionIdentity};

/// The sources that can be queried.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QuerySources {
    pub(crate) store: bool,
    pub(crate) claims: bool,
}

/// The next query for a request. Claims are fetched only for active sessions, and the store creates a
/// session once its claims are known.
#[derive(Debug)]
pub(crate) enum NextQuery {
    /// The keys of this issuer must be fetched: a token names a key that the issuer may have published
    /// since the last fetch.
    IssuerKeys(Arc<Issuer>),
    /// The store must confirm the session of a bearer token.
    BearerSession(SessionIdentity),
    /// The store must confirm the session before the response carries a new token.
    Renewal {
        session: SessionIdentity,
        /// Whether the token that was presented is due for renewal.
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
    /// The next query; `None` if the response does not have to wait for one.
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

    /// Whether the store, the claims source or an issuer must be queried.
    #[inline]
    pub(crate) fn needs_query(&self) -> bool {
        !self.is_untouched() && self.next_query_under_lock(self.host().sources()).is_some()
    }

    /// Whether the response must wait for a query.
    #[inline]
    pub(crate) fn needs_commit(&self) -> bool {
        self.needs_query() || (self.has_final_revocations() && self.host().has_store())
    }

    /// Whether the store must record revocations that depend on the sign-in of this response, or on the
    /// limits of the browser.
    fn has_final_revocations(&self) -> bool {
        !self.is_untouched() && {
            let state = self.state();
            let displaces = |staged: &StagedSignIn<C>| !staged.displacement.is_empty();
            !state.stored.abandoned_sign_ins.is_empty()
                || state.staged.as_deref().is_some_and(displaces)
                || state.is_beyond_limits()
        }
    }
}
