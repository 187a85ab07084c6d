//! [`KeyFetcher`]: the fetcher of key sets, and the fetches in flight.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::key_sources::jwks::JwksFetcher;

/// The fetcher of key sets, and the fetches in flight.
#[derive(Clone)]
pub(super) struct KeyFetcher {
    pub(super) fetch: Arc<dyn JwksFetcher>,
    in_flight: Arc<Mutex<HashMap<Arc<str>, watch::Receiver<()>>>>,
}

impl KeyFetcher {
    pub(super) fn new(fetch: Arc<dyn JwksFetcher>) -> Self {
        Self { fetch, in_flight: Arc::default() }
    }

    pub(super) fn in_flight(&self) -> MutexGuard<'_, HashMap<Arc<str>, watch::Receiver<()>>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KeyFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.fetch, f)
    }
}
