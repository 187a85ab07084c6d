//! [`StoreClient`]: a store with a deadline for each call, one more try, and a breaker.

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

/// How many calls may be under way: a store that slows down is not buried.
const CALLS: usize = 256;

const SHUT: &str = "it has not answered lately";

pub(crate) struct StoreClient {
    store: Arc<dyn SessionStore>,
    breaker: Mutex<CircuitBreaker>,
    permits: Semaphore,
}

/// Whether a call may be made twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryPolicy {
    Never,
    /// Doing it twice is doing it once. Not after a deadline: whoever waits has waited long enough.
    Once,
}

impl StoreClient {
    pub(super) fn new(store: Arc<dyn SessionStore>) -> Self {
        Self { store, breaker: Mutex::default(), permits: Semaphore::new(CALLS) }
    }

    pub(crate) fn store(&self) -> &Arc<dyn SessionStore> {
        &self.store
    }

    /// Makes a call, within `deadline` from its turn on, which it waits for as long at most.
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
                return Err(StoreError::unavailable(SHUT));
            }
            // A crowd before the store is no failure of the store.
            let Some(_permit) = within(deadline, self.permits.acquire()).await else {
                return Err(StoreError::unavailable("too many calls are under way"));
            };
            // Those who went before may have found out meanwhile.
            if !self.breaker().try_acquire(clock.now().monotonic()) {
                return Err(StoreError::unavailable(SHUT));
            }
            let answer = within(deadline, call(&*self.store)).await.unwrap_or_else(|| {
                may_retry = false;
                Err(StoreError::unavailable("no answer within the deadline"))
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
