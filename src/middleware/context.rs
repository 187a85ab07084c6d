//! [`LayerContext`]: the engine, and the clock, the store and the claims source, which the engine does not
//! call itself.

use std::{
    any::Any,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Once},
    time::Duration,
};

use super::{
    jwks_fetcher::KeyFetcher,
    store_client::{
        RetryPolicy, StoreClient,
        outbox::{DroppedRevocation, RevocationOutbox},
        renewal_cache::RenewalCache,
    },
};
use crate::{
    claims_source::ClaimsSource,
    engine::{
        event::SessionEvent,
        jar::{CommitFuture, Effects, SessionJar, next_query::QuerySources},
        logging,
        request::state::SessionHandle,
        revocation::list::SubjectScope,
        session::{
            id::{SessionId, Subject},
            identity::SessionIdentity,
            lifetime::SessionLifetime,
        },
        session_engine::SessionEngine,
    },
    store::{
        SessionStore, StoreFuture,
        error::StoreError,
        record::{SessionKey, SessionRecord},
        types::{Revoke, RevokeScope, SubjectLimit},
    },
    time::{Clock, ClockReading, SystemClock, Timestamp},
};

/// The default timeout of the claims source.
const DEFAULT_CLAIMS_DEADLINE: Duration = Duration::from_secs(1);

/// The default timeout of one store call.
const DEFAULT_STORE_DEADLINE: Duration = Duration::from_millis(250);

/// The default time in which the body of a request to an endpoint must arrive.
const DEFAULT_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything that a layer's services share.
pub(crate) struct LayerContext<C> {
    pub(crate) engine: SessionEngine<C>,
    /// The layer's name, for look-ups where several layers wrap a service.
    pub(crate) name: Option<&'static str>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) claims_source: Option<Arc<dyn ClaimsSource<C>>>,
    pub(crate) claims_deadline: Duration,
    pub(super) body_timeout: Duration,
    pub(super) fetcher: Option<KeyFetcher>,
    pub(super) store: Option<StoreAccess>,
    pub(super) policy: StorePolicy,
    /// Checks the settings once, when the layer wraps its first service: all of them are set by then.
    pub(super) settings_checked: Once,
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
    /// Revocations of this process that the store has not recorded yet.
    pub(super) outbox: Arc<RevocationOutbox>,
    /// Whether a failover of the store may lose what it has acknowledged.
    pub(super) may_lose_writes: bool,
}

impl StoreAccess {
    pub(super) fn new(store: Arc<dyn SessionStore>) -> Self {
        Self {
            may_lose_writes: store.may_lose_acknowledged_writes(),
            client: Arc::new(StoreClient::new(store)),
            renewal_cache: Arc::new(RenewalCache::new()),
            outbox: Arc::new(RevocationOutbox::new()),
        }
    }
}

impl<C> LayerContext<C> {
    pub(crate) fn new(engine: SessionEngine<C>) -> Self {
        Self {
            engine,
            name: None,
            clock: Arc::new(SystemClock::new()),
            claims_source: None,
            claims_deadline: DEFAULT_CLAIMS_DEADLINE,
            body_timeout: DEFAULT_BODY_TIMEOUT,
            fetcher: None,
            store: None,
            policy: StorePolicy {
                deadline: DEFAULT_STORE_DEADLINE,
                grace: Duration::ZERO,
                limit: None,
            },
            settings_checked: Once::new(),
        }
    }

    /// A copy with separate reference counters.
    pub(super) fn clone_with_own_count(&self) -> Self {
        Self { engine: self.engine.clone_with_own_count(), ..self.clone() }
    }

    /// Applies the revocation of many sessions in this process.
    pub(super) fn apply_revocation_of(&self, ends: &RevokeScope) {
        let now = self.clock.now();
        match ends {
            RevokeScope::Subject { subject, signed_in_before, except, .. } => {
                let before = signed_in_before.unwrap_or_else(|| now.timestamp());
                let retention = SessionLifetime::MAX_OVERRIDE;
                let scope = SubjectScope::in_store(subject);
                self.engine.apply_subject_revocation(scope, before, *except, retention, now);
            }
            RevokeScope::All { signed_in_before, .. } => {
                self.engine.revoke_all_before(*signed_in_before);
            }
        }
    }
}

impl<C: Send + Sync + 'static> LayerContext<C> {
    /// Calls `store` with the timeout of the layer.
    pub(super) async fn call<'a, T>(
        &self,
        store: &'a StoreAccess,
        operation: &'static str,
        retry: RetryPolicy,
        call: impl Fn(&'a dyn SessionStore) -> StoreFuture<'a, T>,
    ) -> Result<T, StoreError> {
        store.client.call(operation, retry, self.policy.deadline, &*self.clock, call).await
    }

    /// The record of one session; `None` if it is revoked, expired or unknown.
    pub(super) async fn load(
        &self,
        store: &StoreAccess,
        key: SessionKey,
        now: Timestamp,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let keys = [key];
        let found =
            self.call(store, "load", RetryPolicy::Once, |store| store.load(&keys, now)).await?;
        match <[_; 1]>::try_from(found) {
            Ok([None]) => Ok(None),
            Ok([Some(record)]) if keys == [record.key()] => Ok(Some(record)),
            _ => Err(report_corrupt("load")),
        }
    }

    /// Puts the revocation of many sessions into the outbox. Returns the scope that it has when it is
    /// sent later.
    pub(super) fn push_deferred(&self, store: &StoreAccess, ends: &RevokeScope) -> RevokeScope {
        let (deferred, dropped) = store.outbox.push_many(ends);
        self.report_dropped(dropped);
        deferred
    }

    pub(super) fn report_dropped(&self, dropped: Option<DroppedRevocation>) {
        match dropped {
            Some(DroppedRevocation::Session(session_id)) => {
                self.engine.emit(&SessionEvent::RevocationDropped { session_id });
            }
            Some(DroppedRevocation::Subject(subject)) => {
                self.engine.emit(&SessionEvent::SubjectRevocationDropped { subject });
            }
            None => {}
        }
    }

    /// The store has acknowledged the revocation of `id`.
    pub(super) fn acknowledge(&self, store: &StoreAccess, id: SessionId) {
        store.outbox.acknowledge(id);
        self.shorten_revocation(store, id);
    }

    /// From now on, keeps the revocation of `id` in this process only as long as other processes do.
    pub(super) fn shorten_revocation(&self, store: &StoreAccess, id: SessionId) {
        let (retention, now) = (self.max_staleness(), self.clock.now());
        self.engine.acknowledge_revocation(id, retention, store.may_lose_writes, now);
    }

    /// The store has acknowledged the revocation of many sessions.
    pub(super) fn acknowledge_many(&self, store: &StoreAccess, ends: &RevokeScope) {
        store.outbox.acknowledge_many(ends);
        self.shorten_revocation_of_many(ends);
    }

    pub(super) fn shorten_revocation_of_many(&self, ends: &RevokeScope) {
        if let RevokeScope::Subject { subject, now: at, signed_in_before, .. } = ends {
            let (before, now) = (signed_in_before.unwrap_or(*at), self.clock.now());
            let retention = self.subject_retention();
            self.engine.acknowledge_subject_revocation(subject, before, retention, now);
        }
    }

    /// How long a process must remember that the sessions of a subject were revoked.
    pub(super) fn subject_retention(&self) -> Duration {
        self.max_staleness().max(self.engine.max_impersonation_remaining())
    }
}

/// Reports a record of another session, which must be ignored.
pub(super) fn report_corrupt(operation: &'static str) -> StoreError {
    let error = StoreError::Corrupt("the record is of another session");
    logging::store_failed(operation, &error);
    error
}

impl<C: Send + Sync + 'static> Effects<C> for LayerContext<C> {
    fn engine(&self) -> &SessionEngine<C> {
        &self.engine
    }

    fn now(&self) -> ClockReading {
        self.clock.now()
    }

    fn ended(&self, session: &SessionIdentity, now: ClockReading) {
        let Some(store) = &self.store else { return };
        let until = self.engine.alive_until(session, now);
        let ending = Revoke::new(now.timestamp(), until);
        self.report_dropped(store.outbox.push(SessionKey::from(session), ending));
    }

    fn watch(self: Arc<Self>) -> Arc<dyn SessionHandle> {
        self
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn sources(&self) -> QuerySources {
        QuerySources { store: self.store.is_some(), claims: self.claims_source.is_some() }
    }

    fn layer_name(&self) -> Option<&'static str> {
        self.name
    }

    fn can_bind_devices(&self) -> bool {
        self.store.as_ref().is_none_or(|store| !store.client.store().has_outdated_schema())
    }

    fn ended_everywhere(&self, subject: &Subject, now: ClockReading) {
        let Some(store) = &self.store else { return };
        let ends = RevokeScope::subject(subject.clone(), now.timestamp(), None);
        self.apply_revocation_of(&ends);
        self.push_deferred(store, &ends);
    }

    fn commit(self: Arc<Self>, jar: SessionJar<C>) -> CommitFuture {
        Box::pin(self.commit(jar))
    }

    fn finish(self: Arc<Self>, jar: SessionJar<C>) -> CommitFuture {
        Box::pin(self.finish(jar))
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
            name: self.name,
            clock: Arc::clone(&self.clock),
            claims_source: self.claims_source.clone(),
            claims_deadline: self.claims_deadline,
            body_timeout: self.body_timeout,
            fetcher: self.fetcher.clone(),
            store: self.store.clone(),
            policy: self.policy,
            settings_checked: Once::new(),
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
