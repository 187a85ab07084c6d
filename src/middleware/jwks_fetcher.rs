//! [`KeyFetcher`]: who fetches key sets, and what is being fetched.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::key_sources::jwks::JwksFetcher;

/// Who fetches key sets, and what is being fetched.
#[derive(Clone)]
pub(super) struct KeyFetcher {
    pub(super) fetch: Arc<dyn JwksFetcher>,
    under_way: Arc<Mutex<HashMap<Arc<str>, watch::Receiver<()>>>>,
}

impl KeyFetcher {
    pub(super) fn new(fetch: Arc<dyn JwksFetcher>) -> Self {
        Self { fetch, under_way: Arc::default() }
    }

    pub(super) fn under_way(&self) -> MutexGuard<'_, HashMap<Arc<str>, watch::Receiver<()>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KeyFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.fetch, f)
    }
}
