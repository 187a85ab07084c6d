//! Fetches the keys of trusted issuers: at intervals in the background, and on demand for a request
//! whose token names an unknown key.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::runtime::Handle;

use crate::{
    engine::{
        event::SessionEvent,
        issuer::{Issuer, jwks_cache::RemoteKeys},
        jar::SessionJar,
        logging,
    },
    key_sources::jwks::{JwksFetchError, JwksFetcher},
    middleware::{context::LayerContext, jwks_fetcher::KeyFetcher, timeout::within},
    time::Clock,
};

/// How long a request waits for keys.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a fetch may take, even if no request waits for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(15);
/// How often the background task checks which key sets are due.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl<C: Send + Sync + 'static> LayerContext<C> {
    /// Fetches the keys that the tokens of `jar` need, first those of `issuer`, and verifies the tokens
    /// again.
    pub(crate) async fn fetch_issuer_keys(&self, jar: &SessionJar<C>, issuer: Arc<Issuer>) {
        let mut attempts = self.engine.remote_issuers().count();
        let mut next = Some(issuer);
        while let Some(issuer) = next {
            let _ = within(REQUEST_TIMEOUT, self.fetch_keys(&issuer)).await;
            attempts = attempts.saturating_sub(1);
            next = jar.retry_after_fetch(self.clock.now(), attempts == 0);
        }
    }

    /// Starts fetching stale key sets if no background task does. The request does not wait: it continues
    /// with the known keys.
    #[inline]
    pub(crate) fn spawn_stale_refresh(&self) {
        for issuer in self.engine.remote_issuers() {
            let is_due = |keys: &RemoteKeys| keys.is_due(false, self.clock.now());
            if issuer.remote().is_some_and(is_due) && Handle::try_current().is_ok() {
                drop(self.fetch_keys(issuer));
            }
        }
    }

    /// Keeps the key sets fresh. It never returns.
    pub(crate) async fn refresh_keys(&self) {
        loop {
            for issuer in self.engine.remote_issuers() {
                let is_due = |keys: &RemoteKeys| keys.is_due(true, self.clock.now());
                if issuer.remote().is_some_and(is_due) {
                    self.fetch_keys(issuer).await;
                }
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }

    /// Fetches the keys of `issuer` if that is due, or waits for the fetch in flight. The fetch runs in
    /// its own task: dropping this future does not cancel it.
    fn fetch_keys(
        &self,
        issuer: &Arc<Issuer>,
    ) -> impl Future<Output = ()> + Send + 'static + use<C> {
        if self.fetcher.is_none() {
            self.report_no_fetcher(issuer);
        }
        let fetched = self.fetcher.as_ref().map(|fetcher| {
            let start = || self.start_refresh(fetcher, issuer).map(JwksRefresh::run);
            fetcher.in_flight.join_or_start(Arc::clone(&issuer.name), start)
        });
        async move {
            if let Some(fetched) = fetched {
                // A failed fetch has been reported. The caller continues with the known keys.
                fetched.result().await;
            }
        }
    }

    /// Reports a missing fetcher, as often as a failed fetch would be retried.
    pub(crate) fn report_no_fetcher(&self, issuer: &Issuer) {
        let now = self.clock.now();
        if let Some(keys) = issuer.remote().filter(|keys| keys.start_fetch(now)) {
            keys.finish_fetch(None, &issuer.rules.algorithms, now);
            logging::no_fetcher();
            self.engine.emit(&SessionEvent::JwksUnavailable { issuer: Arc::clone(&issuer.name) });
        }
    }

    fn start_refresh(
        &self,
        fetcher: &KeyFetcher,
        issuer: &Arc<Issuer>,
    ) -> Option<JwksRefresh<impl Fn(SessionEvent) + Send + 'static + use<C>>> {
        if !issuer.remote()?.start_fetch(self.clock.now()) {
            return None;
        }
        let engine = self.engine.clone();
        Some(JwksRefresh {
            issuer: Arc::clone(issuer),
            fetcher: Arc::clone(&fetcher.fetcher),
            clock: Arc::clone(&self.clock),
            body: None,
            emit: move |event| engine.emit(&event),
        })
    }
}

/// One fetch of an issuer's key set. Dropping it without a response counts as a failure.
struct JwksRefresh<T: Fn(SessionEvent)> {
    issuer: Arc<Issuer>,
    fetcher: Arc<dyn JwksFetcher>,
    clock: Arc<dyn Clock>,
    body: Option<bytes::Bytes>,
    emit: T,
}

impl<T: Fn(SessionEvent)> JwksRefresh<T> {
    async fn run(mut self) {
        let issuer = Arc::clone(&self.issuer);
        let Some(keys) = issuer.remote() else { return };
        if Handle::try_current().is_err() {
            // Fetchers need a runtime. Without one the fetch fails, and a later request tries again.
            return;
        }
        let fetcher = Arc::clone(&self.fetcher);
        match within(FETCH_TIMEOUT, fetcher.fetch(&keys.url)).await {
            Some(Ok(body)) => self.body = Some(body),
            Some(Err(error)) => logging::keys_not_fetched(&error),
            None => {}
        }
    }
}

impl<T: Fn(SessionEvent)> Drop for JwksRefresh<T> {
    fn drop(&mut self) {
        if let Some(keys) = self.issuer.remote() {
            let algorithms = &self.issuer.rules.algorithms;
            let is_read = keys.finish_fetch(self.body.as_deref(), algorithms, self.clock.now());
            if !is_read {
                if self.body.is_some() {
                    logging::keys_not_fetched(&JwksFetchError::new("no key of it can be used"));
                }
                let issuer = Arc::clone(&self.issuer.name);
                (self.emit)(SessionEvent::JwksUnavailable { issuer });
            }
        }
    }
}
