//! [`LayerContext`]: the engine, and the clock, store and claims source that the engine does without.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use super::{
    jwks_fetcher::KeyFetcher,
    store_client::{StoreClient, outbox::RevocationOutbox, renewal_cache::RenewalCache},
};
use crate::{
    claims_source::ClaimsSource,
    engine::{
        event::SessionEvent,
        jar::{Effects, SessionJar},
        request::state::SessionHandle,
        session::{id::Subject, identity::SessionIdentity, lifetime::SessionLifetime},
        session_engine::SessionEngine,
        sign_in::CommitError,
    },
    store::{
        SessionStore,
        record::SessionKey,
        types::{Revoke, RevokeScope, SubjectLimit},
    },
    time::{Clock, ClockReading, SystemClock},
};

/// The default timeout of the claims source.
const DEFAULT_CLAIMS_DEADLINE: Duration = Duration::from_secs(1);

/// The default timeout of one store call.
const DEFAULT_STORE_DEADLINE: Duration = Duration::from_millis(250);

/// Everything that a layer's services share.
pub(crate) struct LayerContext<C> {
    pub(crate) engine: SessionEngine<C>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) claims_source: Option<Arc<dyn ClaimsSource<C>>>,
    pub(crate) claims_deadline: Duration,
    pub(super) fetcher: Option<KeyFetcher>,
    pub(super) store: Option<StoreAccess>,
    pub(super) policy: StorePolicy,
}

/// How the store is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct StorePolicy {
    pub(super) deadline: Duration,
    /// How much longer than `renew_after` a token is accepted while the store is unavailable.
    pub(super) grace: Duration,
    pub(super) limit: Option<SubjectLimit>,
}

/// A store, and this process's state about it.
#[derive(Clone)]
pub(crate) struct StoreAccess {
    pub(super) client: Arc<StoreClient>,
    pub(super) renewal_cache: Arc<RenewalCache>,
    /// Revocations that the store has not acknowledged.
    pub(super) outbox: Arc<RevocationOutbox>,
}

impl StoreAccess {
    pub(super) fn new(store: Arc<dyn SessionStore>) -> Self {
        Self {
            client: Arc::new(StoreClient::new(store)),
            renewal_cache: Arc::new(RenewalCache::new()),
            outbox: Arc::default(),
        }
    }
}

impl<C> LayerContext<C> {
    pub(crate) fn new(engine: SessionEngine<C>) -> Self {
        Self {
            engine,
            clock: Arc::new(SystemClock::new()),
            claims_source: None,
            claims_deadline: DEFAULT_CLAIMS_DEADLINE,
            fetcher: None,
            store: None,
            policy: StorePolicy {
                deadline: DEFAULT_STORE_DEADLINE,
                grace: Duration::ZERO,
                limit: None,
            },
        }
    }

    /// A copy with separate reference counters.
    pub(super) fn clone_with_own_count(&self) -> Self {
        Self { engine: self.engine.clone_with_own_count(), ..self.clone() }
    }

    /// Applies `scope` to this process's revocation list.
    pub(super) fn apply_revocation_of(&self, ends: &RevokeScope) {
        let now = self.clock.now();
        match ends {
            RevokeScope::Subject { subject, signed_in_before, except, .. } => {
                let before = signed_in_before.unwrap_or_else(|| now.timestamp());
                let until = now.timestamp().saturating_add(SessionLifetime::MAX_OVERRIDE);
                self.engine.apply_subject_revocation(subject.clone(), before, *except, until, now);
            }
            RevokeScope::All { signed_in_before, .. } => {
                self.engine.apply_revocation_of_all(*signed_in_before);
            }
        }
    }
}

impl<C: Send + Sync + 'static> LayerContext<C> {
    /// Whether the handler left asynchronous work that must finish before the response goes out.
    pub(crate) fn needs_commit(&self, jar: &SessionJar<C>) -> bool {
        !jar.is_untouched()
            && (jar.awaits_claims()
                || self.needs_async_work(jar)
                || (self.store.is_some()
                    && (jar.create_request().is_some() || jar.has_revocations())))
    }

    /// Whether the store, the claims source or an issuer must be queried.
    pub(crate) fn needs_async_work(&self, jar: &SessionJar<C>) -> bool {
        // An untouched jar has no pending work: see `SessionEngine::open_for`.
        !jar.is_untouched()
            && (jar.issuer_to_fetch().is_some()
                || (self.store.is_some()
                    && (jar.renewal_request().is_some() || jar.bearer_to_confirm().is_some()))
                || (self.claims_source.is_some() && jar.claims_request().is_some()))
    }
}

impl<C: Send + Sync + 'static> Effects<C> for LayerContext<C> {
    fn now(&self) -> ClockReading {
        self.clock.now()
    }

    fn ended(&self, session: &SessionIdentity, now: ClockReading) {
        let Some(store) = &self.store else { return };
        let until = self.engine.alive_until(session, now);
        let ending = Revoke::new(now.timestamp(), until);
        if let Some(session_id) = store.outbox.push(SessionKey::from(session), ending) {
            self.engine.emit(&SessionEvent::RevocationDropped { session_id });
        }
    }

    fn watch(self: Arc<Self>) -> Arc<dyn SessionHandle> {
        self
    }

    fn has_store(&self) -> bool {
        self.store.is_some()
    }

    fn ended_everywhere(&self, subject: &Subject, now: ClockReading) {
        let Some(store) = &self.store else { return };
        let ends = RevokeScope::subject(subject.clone(), now.timestamp(), None);
        self.apply_revocation_of(&ends);
        store.outbox.push_many(&ends);
    }

    fn commit(
        self: Arc<Self>,
        jar: SessionJar<C>,
    ) -> Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send>> {
        Box::pin(self.commit(jar))
    }

    fn check_accounts(
        self: Arc<Self>,
        jar: SessionJar<C>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.verify_accounts(jar))
    }
}

impl<C> Clone for LayerContext<C> {
    fn clone(&self) -> Self {
        Self {
            engine: self.engine.clone(),
            clock: Arc::clone(&self.clock),
            claims_source: self.claims_source.clone(),
            claims_deadline: self.claims_deadline,
            fetcher: self.fetcher.clone(),
            store: self.store.clone(),
            policy: self.policy,
        }
    }
}

impl<C> fmt::Debug for LayerContext<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerContext")
            .field("engine", &self.engine)
            .field("clock", &self.clock)
            .field("claims_source", &self.claims_source.is_some())
            .field("claims_deadline", &self.claims_deadline)
            .field("store", &self.store.as_ref().map(|store| store.client.store()))
            .finish()
    }
}
