//! [`SessionLayer`].

use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{
    context::{LayerContext, StoreAccess},
    jwks_fetcher::KeyFetcher,
    service::SessionService,
};
use crate::{
    claims_source::ClaimsSource,
    engine::{logging, session_engine::SessionEngine},
    key_sources::jwks::JwksFetcher,
    store::{SessionStore, types::SubjectLimit},
    time::Clock,
};

/// Gives every request its session and every response its cookie.
///
/// Put it outside of everything that wants to know who is signed in: last in Axum, where the last
/// `.layer` is the outermost, and first in a `ServiceBuilder` or a Tonic server.
///
/// Request extensions then hold a [`SessionStatus`](crate::SessionStatus) and a
/// [`SessionJar<C>`](crate::SessionJar) always, and a [`Session<C>`](crate::Session) when somebody is
/// signed in.
#[must_use = "a layer does nothing until it wraps a service"]
pub struct SessionLayer<C = ()> {
    wiring: Arc<LayerContext<C>>,
}

impl<C> SessionLayer<C> {
    /// A layer on `engine`.
    pub fn new(engine: SessionEngine<C>) -> Self {
        if !engine.knows_its_origin() && !engine.verifies_only() {
            logging::no_origin();
        }
        Self { wiring: Arc::new(LayerContext::new(engine)) }
    }

    /// Where the time comes from; the operating system by default.
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|wiring| wiring.clock = Arc::new(clock))
    }

    /// Who is asked for the claims at sign-in and at every renewal, before the handler runs.
    pub fn claims_source(self, source: impl ClaimsSource<C>) -> Self {
        self.with(|wiring| wiring.claims_source = Some(Arc::new(source)))
    }

    /// How long the claims source may take, one second by default; then the old claims stay. Needs a
    /// tokio runtime with timers, which Axum, Hyper and Tonic run on; without a runtime there is no
    /// deadline.
    pub fn claims_timeout(self, deadline: Duration) -> Self {
        self.with(|wiring| wiring.claims_deadline = deadline)
    }

    /// Where sessions are kept: a store is asked once for each session and `renew_after`, decides
    /// whether the session lives, and knows all sessions of a subject. Without one a token is
    /// believed until its session ends, and other processes do not know who signed out of this one.
    ///
    /// Sessions that were signed in without the store are unknown to it: their browsers sign in
    /// again. Spawn [`background`](Self::background) too.
    pub fn store(self, store: impl SessionStore) -> Self {
        self.store_arc(Arc::new(store))
    }

    /// The same with a store that something else uses as well.
    pub fn store_arc(self, store: Arc<dyn SessionStore>) -> Self {
        self.with(|wiring| wiring.kept = Some(StoreAccess::new(store)))
    }

    /// How long one call of the store may take, 250 ms by default, and how long it waits for its turn
    /// where many are under way. A call that was refused is made once more, one that took too long is
    /// not. Needs a tokio runtime with timers, like the claims deadline.
    pub fn store_timeout(self, deadline: Duration) -> Self {
        self.with(|wiring| wiring.terms.deadline = deadline)
    }

    /// How much longer than `renew_after` a token is believed while the store does not answer:
    /// nothing by default, 15 minutes at most. So long may somebody who was signed out elsewhere go
    /// on; nobody else gets anything by it, and no session lasts longer.
    pub fn outage_grace(self, grace: Duration) -> Self {
        self.with(|wiring| wiring.terms.grace = grace.min(Self::MAX_OUTAGE_GRACE))
    }

    /// The longest [`outage_grace`](Self::outage_grace).
    pub const MAX_OUTAGE_GRACE: Duration = Duration::from_secs(15 * 60);

    /// How many sessions a subject may have in all browsers together, any number by default
    /// (ASVS 7.1.2).
    pub fn max_sessions_per_subject(self, limit: SubjectLimit) -> Self {
        self.with(|wiring| wiring.terms.limit = Some(limit))
    }

    /// Who fetches the key sets of [trusted issuers](crate::verify_only::TrustedIssuer), for an engine that verifies
    /// only. Without it only keys that need not be fetched are known, and requests that need others are
    /// unavailable; an error in the log and an event,
    /// [`KeysUnavailable`](crate::event::SessionEvent::JwksUnavailable), say so at most every five seconds.
    ///
    /// Key sets are fetched when the first token needs them, and again at intervals: spawn
    /// [`background`](Self::background), or requests cause it when the keys are old.
    pub fn jwks_fetcher(self, fetch: impl JwksFetcher) -> Self {
        self.with(|wiring| wiring.fetcher = Some(KeyFetcher::new(Arc::new(fetch))))
    }

    /// The engine, to end sessions with.
    #[must_use]
    pub fn engine(&self) -> &SessionEngine<C> {
        &self.wiring.engine
    }

    pub(super) const fn wiring(&self) -> &Arc<LayerContext<C>> {
        &self.wiring
    }

    fn with(self, change: impl FnOnce(&mut LayerContext<C>)) -> Self {
        let mut wiring = Arc::unwrap_or_clone(self.wiring);
        change(&mut wiring);
        Self { wiring: Arc::new(wiring) }
    }
}

impl<C, S> Layer<S> for SessionLayer<C> {
    type Service = SessionService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, &self.wiring)
    }
}

impl<C> Clone for SessionLayer<C> {
    fn clone(&self) -> Self {
        Self { wiring: Arc::clone(&self.wiring) }
    }
}

impl<C> fmt::Debug for SessionLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer").field("wiring", &self.wiring).finish()
    }
}
