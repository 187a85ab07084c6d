//! [`Keeper`]: a store with a deadline for each call, one more try, and a breaker.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

use super::{breaker::Breaker, deadline::within};
use crate::{
    logging,
    store::{SessionStore, StoreError, StoreFuture},
    time::Clock,
};

/// How many calls may be under way: a store that slows down is not buried.
const CALLS: usize = 256;

pub(crate) struct Keeper {
    store: Arc<dyn SessionStore>,
    breaker: Mutex<Breaker>,
    permits: Semaphore,
}

/// Whether a call may be made twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    Never,
    /// Doing it twice is doing it once.
    Once,
}

impl Keeper {
    pub(super) fn new(store: Arc<dyn SessionStore>) -> Self {
        Self { store, breaker: Mutex::default(), permits: Semaphore::new(CALLS) }
    }

    pub(crate) fn store(&self) -> &Arc<dyn SessionStore> {
        &self.store
    }

    /// Makes a call, each try within `deadline`.
    pub(super) async fn ask<'a, T>(
        &'a self,
        operation: &'static str,
        retry: Retry,
        deadline: Duration,
        clock: &dyn Clock,
        call: impl Fn(&'a dyn SessionStore) -> StoreFuture<'a, T>,
    ) -> Result<T, StoreError> {
        let mut may_retry = retry == Retry::Once && self.breaker().is_calm();
        loop {
            if !self.breaker().lets_through(clock.now().monotonic()) {
                return Err(StoreError::unavailable("it has not answered lately"));
            }
            let answer = within(deadline, async {
                let _permit = self.permits.acquire().await;
                call(&*self.store).await
            });
            let answer = answer
                .await
                .unwrap_or_else(|| Err(StoreError::unavailable("no answer within the deadline")));
            let Err(error) = answer else {
                self.breaker().succeeded();
                return answer;
            };
            logging::store_failed(operation, &error);
            if !matches!(error, StoreError::Unavailable(_)) {
                self.breaker().succeeded();
                return Err(error);
            }
            self.breaker().failed(clock.now().monotonic());
            if !std::mem::take(&mut may_retry) {
                return Err(error);
            }
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
