//! [`RenewalCache`]: what the store confirmed about the sessions of this process. Simultaneous requests
//! share one query, and its result counts for as long as a token would be accepted.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::{
    engine::{
        revocation::{bounded_map::BoundedMap, feed_state::Generation},
        session::id::SessionId,
    },
    time::Timestamp,
};

/// How many sessions are remembered.
const CAPACITY: usize = 10_000;

/// What a store responded about a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenewalResult {
    Active(ConfirmedRenewal),
    Revoked,
    Unavailable,
}

/// A session that was active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConfirmedRenewal {
    /// Before the store was queried.
    pub(crate) asked_at: Timestamp,
    pub(crate) last_active_at: Timestamp,
}

pub(crate) struct RenewalCache {
    confirmed: Mutex<BoundedMap<SessionId, (Generation, ConfirmedRenewal)>>,
    in_flight: Mutex<HashMap<SessionId, Query>>,
}

/// A query that is in flight.
struct Query {
    generation: Generation,
    receiver: watch::Receiver<Option<RenewalResult>>,
}

impl RenewalCache {
    pub(crate) fn new() -> Self {
        Self { confirmed: Mutex::new(BoundedMap::new(CAPACITY)), in_flight: Mutex::default() }
    }

    /// What the store confirmed in `generation`: a result from before revocations were missed does
    /// not count.
    pub(crate) fn remembered(
        &self,
        id: SessionId,
        generation: Generation,
    ) -> Option<ConfirmedRenewal> {
        let confirmed = lock(&self.confirmed);
        let (since, renewal) = confirmed.get(&id)?;
        (*since == generation).then_some(*renewal)
    }

    /// Remembers the result of a query that was sent in `generation`.
    pub(crate) fn remember(
        &self,
        id: SessionId,
        renewal: ConfirmedRenewal,
        generation: Generation,
    ) {
        lock(&self.confirmed).put(id, (generation, renewal));
    }

    /// Waits for the query about `id` that is in flight in this `generation`, or sends one. The query
    /// runs in its own task, so a request that is dropped does not cancel it for the others.
    pub(crate) async fn get_or_fetch<F>(
        self: &Arc<Self>,
        id: SessionId,
        generation: Generation,
        query: impl FnOnce() -> F,
    ) -> RenewalResult
    where
        F: Future<Output = RenewalResult> + Send + 'static,
    {
        let (mut receiver, first) = {
            let mut in_flight = lock(&self.in_flight);
            match in_flight.get(&id) {
                Some(query) if query.generation == generation => (query.receiver.clone(), None),
                _ => {
                    let (sender, receiver) = watch::channel(None);
                    in_flight.insert(id, Query { generation, receiver: receiver.clone() });
                    let cache = Arc::clone(self);
                    (receiver, Some(InFlight { id, generation, cache, sender }))
                }
            }
        };
        if let Some(first) = first {
            let result = query();
            let work = async move { first.complete(result.await) };
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(work)),
                Err(_) => work.await,
            }
        }
        match receiver.wait_for(Option::is_some).await {
            Ok(result) => result.unwrap_or(RenewalResult::Unavailable),
            Err(_) => RenewalResult::Unavailable,
        }
    }
}

/// The sender of a query's result. Dropped without one, it makes those that wait `Unavailable`.
struct InFlight {
    id: SessionId,
    generation: Generation,
    cache: Arc<RenewalCache>,
    sender: watch::Sender<Option<RenewalResult>>,
}

impl InFlight {
    fn complete(self, result: RenewalResult) {
        if let RenewalResult::Active(confirmed) = result {
            self.cache.remember(self.id, confirmed, self.generation);
        }
        self.sender.send_replace(Some(result));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // A query of a later generation may have replaced this one.
        if let Entry::Occupied(query) = lock(&self.cache.in_flight).entry(self.id)
            && query.get().generation == self.generation
        {
            query.remove();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
