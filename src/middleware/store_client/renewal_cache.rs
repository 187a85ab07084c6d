//! [`RenewalCache`]: what the store confirmed about the sessions of this process. Simultaneous requests
//! share one query, and its result counts for as long as a token that was issued with it would be accepted.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    engine::{
        revocation::{bounded_map::BoundedMap, feed_state::Generation},
        session::{
            device_key::DeviceKey,
            id::SessionId,
            identity::SessionIdentity,
            renewal::{ConfirmedSession, RenewalDecision},
        },
    },
    middleware::single_flight::SingleFlight,
};

/// How many sessions are remembered.
const CAPACITY: usize = 10_000;

/// The session of a query and the device key that its token names, if any. A confirmation for a token with a
/// key does not count for a token without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RenewalKey {
    id: SessionId,
    device_key: Option<DeviceKey>,
}

impl From<&SessionIdentity> for RenewalKey {
    fn from(session: &SessionIdentity) -> Self {
        Self { id: session.id(), device_key: session.device_key() }
    }
}

pub(crate) struct RenewalCache {
    confirmed: Mutex<Confirmed>,
    in_flight: SingleFlight<(RenewalKey, Generation), RenewalDecision>,
}

/// What the store confirmed, and in which generation the query was sent.
type Confirmed = BoundedMap<RenewalKey, (Generation, ConfirmedSession)>;

impl RenewalCache {
    pub(crate) fn new() -> Self {
        Self {
            confirmed: Mutex::new(BoundedMap::new(CAPACITY)),
            in_flight: SingleFlight::default(),
        }
    }

    /// What the store confirmed in `generation`. A result of an earlier generation does not count, because
    /// revocations have been missed since.
    pub(crate) fn remembered(
        &self,
        key: RenewalKey,
        generation: Generation,
    ) -> Option<ConfirmedSession> {
        let confirmed = self.confirmed();
        let (since, renewal) = confirmed.get(&key)?;
        (*since == generation).then_some(*renewal)
    }

    /// Remembers the result of a query that was sent in `generation`.
    pub(crate) fn remember(
        &self,
        key: RenewalKey,
        renewal: ConfirmedSession,
        generation: Generation,
    ) {
        self.confirmed().put(key, (generation, renewal));
    }

    /// Joins the query for `key` that is in flight in this `generation`, or sends one. A query of an
    /// earlier generation is not joined: the store may have responded before a revocation that was missed.
    /// `None` if the query was cancelled.
    pub(crate) async fn get_or_fetch<F>(
        self: &Arc<Self>,
        key: RenewalKey,
        generation: Generation,
        query: impl FnOnce() -> F,
    ) -> Option<RenewalDecision>
    where
        F: Future<Output = RenewalDecision> + Send + 'static,
    {
        let start = || {
            let (cache, query) = (Arc::clone(self), query());
            Some(async move {
                let result = query.await;
                if let RenewalDecision::Active(confirmed) = result {
                    cache.remember(key, confirmed, generation);
                }
                result
            })
        };
        let shared = self.in_flight.join_or_start((key, generation), start);
        shared.result().await
    }

    fn confirmed(&self) -> MutexGuard<'_, Confirmed> {
        self.confirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
