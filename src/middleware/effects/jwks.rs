//! JwksRefresh trusted issuers for their keys: beside requests at intervals, and for a request whose token
//! has a key that nobody knows.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    engine::{
        event::SessionEvent,
        issuer::{Issuer, jwks_cache::RemoteKeys},
        jar::SessionJar,
        logging,
    },
    key_sources::jwks::JwksFetchError,
    middleware::{context::LayerContext, jwks_fetcher::KeyFetcher, timeout::within},
    time::Clock,
};

/// How long a request waits for the keys that it needs.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long a fetch may take that nobody waits for any more.
const GIVE_UP: Duration = Duration::from_secs(15);
/// How often it is looked which key sets are due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl<C: Send + Sync + 'static> LayerContext<C> {
    /// Has the issuers asked whose keys the tokens of `jar` need, and looks at these again.
    pub(crate) async fn ask_issuers(&self, jar: &SessionJar<C>) {
        let most = self.engine.remote_issuers().count();
        for asked in 1..=most {
            let Some(issuer) = jar.issuer_to_fetch() else { return };
            let _ = within(DEADLINE, self.ask_issuer(&issuer)).await;
            jar.retry_after_fetch(self.clock.now(), asked == most);
        }
    }

    /// Fetches the key sets that are old, and that nobody fetches in the background, without waiting
    /// for them: the request goes on with the keys that are there.
    #[inline]
    pub(crate) fn spawn_stale_refresh(&self) {
        for issuer in self.engine.remote_issuers() {
            let is_due = |keys: &RemoteKeys| keys.is_due(false, self.clock.now());
            if issuer.remote().is_some_and(is_due)
                && let Ok(runtime) = tokio::runtime::Handle::try_current()
            {
                runtime.spawn(self.ask_issuer(issuer));
            }
        }
    }

    /// Keeps the key sets fresh. It never ends.
    pub(crate) async fn refresh_keys(&self) {
        loop {
            for issuer in self.engine.remote_issuers() {
                let is_due = |keys: &RemoteKeys| keys.is_due(true, self.clock.now());
                if issuer.remote().is_some_and(is_due) {
                    self.ask_issuer(issuer).await;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Asks `issuer` for its keys, unless somebody does already: then waits for that. It belongs to no
    /// request: whoever drops this takes it from nobody.
    fn ask_issuer(
        &self,
        issuer: &Arc<Issuer>,
    ) -> impl Future<Output = ()> + Send + 'static + use<C> {
        if self.fetcher.is_none() {
            self.report_no_fetcher(issuer);
        }
        let receiver = self.fetcher.clone().and_then(|fetcher| self.join(&fetcher, issuer));
        async move {
            if let Some(mut receiver) = receiver {
                // An error says that it is done.
                while receiver.changed().await.is_ok() {}
            }
        }
    }

    /// Who cannot ask is answered by nobody, and it is told as seldom as that.
    pub(crate) fn report_no_fetcher(&self, issuer: &Issuer) {
        let now = self.clock.now();
        if let Some(keys) = issuer.remote().filter(|keys| keys.start_fetch(now)) {
            keys.finish_fetch(None, &issuer.rules.algorithms, now);
            logging::no_fetcher();
            self.engine.emit(&SessionEvent::JwksUnavailable { issuer: Arc::clone(&issuer.name) });
        }
    }

    fn join(&self, fetcher: &KeyFetcher, issuer: &Arc<Issuer>) -> Option<watch::Receiver<()>> {
        let mut under_way = fetcher.under_way();
        if let Some(receiver) = under_way.get(&issuer.name) {
            return Some(receiver.clone());
        }
        if !issuer.remote()?.start_fetch(self.clock.now()) {
            return None;
        }
        let (sender, receiver) = watch::channel(());
        under_way.insert(Arc::clone(&issuer.name), receiver.clone());
        drop(under_way);
        let engine = self.engine.clone();
        let work = JwksRefresh {
            issuer: Arc::clone(issuer),
            fetcher: fetcher.clone(),
            clock: Arc::clone(&self.clock),
            body: None,
            told: move |event| engine.emit(&event),
            _sender: sender,
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(work.run())),
            // Nobody to run it: the next one tries again.
            Err(_) => drop(work),
        }
        Some(receiver)
    }
}

/// A question to an issuer. Dropped without an answer, there is none.
struct JwksRefresh<T: Fn(SessionEvent)> {
    issuer: Arc<Issuer>,
    fetcher: KeyFetcher,
    clock: Arc<dyn Clock>,
    body: Option<bytes::Bytes>,
    told: T,
    /// Who waits learns by its end.
    _sender: watch::Sender<()>,
}

impl<T: Fn(SessionEvent)> JwksRefresh<T> {
    async fn run(mut self) {
        let issuer = Arc::clone(&self.issuer);
        let Some(keys) = issuer.remote() else { return };
        let fetch = Arc::clone(&self.fetcher.fetch);
        match within(GIVE_UP, fetch.fetch(&keys.url)).await {
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
            // Before a listener is told, who may panic: nobody would ask any more.
            self.fetcher.under_way().remove(&self.issuer.name);
            if !is_read {
                if self.body.is_some() {
                    logging::keys_not_fetched(&JwksFetchError::new("no key of it can be used"));
                }
                let issuer = Arc::clone(&self.issuer.name);
                (self.told)(SessionEvent::JwksUnavailable { issuer });
            }
        }
    }
}
