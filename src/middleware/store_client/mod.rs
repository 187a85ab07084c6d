//! [`StoreClient`]: a store with a timeout for each call, one retry, and a circuit breaker.

pub(crate) mod circuit_breaker;
pub(crate) mod outbox;
pub(crate) mod renewal_cache;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

use self::circuit_breaker::CircuitBreaker;
use super::timeout::within;
use crate::{
    engine::logging,
    store::{SessionStore, StoreFuture, error::StoreError},
    time::Clock,
};

/// How many calls may be in flight, so that a slow store is not overloaded.
const MAX_CALLS: usize = 256;

const CIRCUIT_OPEN: &str = "the circuit is open after repeated failures";

pub(crate) struct StoreClient {
    store: Arc<dyn SessionStore>,
    breaker: Mutex<CircuitBreaker>,
    permits: Semaphore,
}

/// Whether a call may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryPolicy {
    Never,
    /// The operation is idempotent. It is not retried after a timeout: its caller has waited enough.
    Once,
}

impl StoreClient {
    pub(super) fn new(store: Arc<dyn SessionStore>) -> Self {
        Self { store, breaker: Mutex::default(), permits: Semaphore::new(MAX_CALLS) }
    }

    pub(crate) fn store(&self) -> &Arc<dyn SessionStore> {
        &self.store
    }

    /// Makes a call that takes at most `deadline`, and waits for a permit for as long at most.
    pub(super) async fn call<'a, T>(
        &'a self,
        operation: &'static str,
        retry: RetryPolicy,
        deadline: Duration,
        clock: &dyn Clock,
        call: impl Fn(&'a dyn SessionStore) -> StoreFuture<'a, T>,
    ) -> Result<T, StoreError> {
        let mut may_retry = retry == RetryPolicy::Once && self.breaker().is_closed();
        loop {
            if self.breaker().is_open(clock.now().monotonic()) {
                return Err(StoreError::unavailable(CIRCUIT_OPEN));
            }
            // A full queue is not a failure of the store.
            let Some(_permit) = within(deadline, self.permits.acquire()).await else {
                return Err(StoreError::unavailable("too many calls are in flight"));
            };
            // An earlier call may have opened the circuit meanwhile.
            if !self.breaker().try_acquire(clock.now().monotonic()) {
                return Err(StoreError::unavailable(CIRCUIT_OPEN));
            }
            let answer = within(deadline, call(&*self.store)).await.unwrap_or_else(|| {
                may_retry = false;
                Err(StoreError::unavailable("no response within the timeout"))
            });
            let Err(error) = answer else {
                self.breaker().record_success();
                return answer;
            };
            logging::store_failed(operation, &error);
            if !matches!(error, StoreError::Unavailable(_)) {
                self.breaker().record_success();
                return Err(error);
            }
            self.breaker().record_failure(clock.now().monotonic());
            if !std::mem::take(&mut may_retry) {
                return Err(error);
            }
        }
    }

    fn breaker(&self) -> MutexGuard<'_, CircuitBreaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
