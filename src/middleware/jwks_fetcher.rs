//! [`KeyFetcher`]: the fetcher of key sets, and the fetches in flight.

use std::{fmt, sync::Arc};

use super::single_flight::SingleFlight;
use crate::key_sources::jwks::JwksFetcher;

/// The fetcher of key sets, and the fetches in flight by the name of the issuer.
#[derive(Clone)]
pub(super) struct KeyFetcher {
    pub(super) fetcher: Arc<dyn JwksFetcher>,
    pub(super) in_flight: SingleFlight<Arc<str>, ()>,
}

impl KeyFetcher {
    pub(super) fn new(fetcher: Arc<dyn JwksFetcher>) -> Self {
        Self { fetcher, in_flight: SingleFlight::default() }
    }
}

impl fmt::Debug for KeyFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.fetcher, f)
    }
}
