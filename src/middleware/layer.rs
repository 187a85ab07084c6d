//! [`SessionLayer`].

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

#[cfg(any(test, feature = "test-util"))]
use http::{Request, Response};
use tower_layer::Layer;

use super::{
    context::{LayerContext, StoreAccess},
    jwks_fetcher::KeyFetcher,
    layer_settings::{no_origin, report_long_grace},
    per_thread::PerThread,
    service::SessionService,
};
#[cfg(any(test, feature = "test-util"))]
use crate::engine::{
    jar::JarHost,
    request::head::RequestHead,
    sign_in::{CommitError, SignIn},
};
use crate::{
    claims_source::ClaimsSource,
    engine::{logging::warnings, session_engine::SessionEngine},
    key_sources::jwks::JwksFetcher,
    store::{SessionStore, types::SubjectLimit},
    time::Clock,
};

/// Verifies the session cookie of every request and sets the cookie of every response.
///
/// Place it outside every service that needs the session: last in Axum, where the last `.layer` is
/// the outermost, and first in a `ServiceBuilder` or a Tonic server. CORS, tracing and compression
/// layers belong outside it.
///
/// Request extensions then always hold a [`SessionStatus`](crate::SessionStatus), from which
/// [`SessionStatus::jar`](crate::SessionStatus::jar) gets the [`SessionJar<C>`](crate::SessionJar), and
/// a [`Session<C>`](crate::Session) if a user is signed in.
///
#[cfg_attr(all(feature = "memory", feature = "axum"), doc = "```")]
#[cfg_attr(not(all(feature = "memory", feature = "axum")), doc = "```ignore")]
/// use std::{sync::Arc, time::Duration};
/// use axum::{Router, routing::get};
/// use tower_auth_session::{
///     Session, SessionEngine, SessionLayer,
///     store::{MemoryStore, SessionStore, SubjectLimit, SubjectLimitPolicy},
///     time::SystemClock,
/// };
///
/// async fn home(session: Option<Session>) -> String {
///     session.map_or("hello".to_owned(), |session| format!("hello, {}", session.subject()))
/// }
///
/// async fn app(engine: SessionEngine) -> Router {
///     let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::new());
///     let layer = SessionLayer::new(engine)
///         .name("users") // for guards, where several layers wrap a service
///         .store_arc(store) // or `.store(MemoryStore::new())`
///         .store_timeout(Duration::from_millis(100))
///         .outage_grace(Duration::from_secs(120))
///         .max_sessions_per_subject(SubjectLimit::new(10, SubjectLimitPolicy::EndOldest))
///         .endpoint_body_timeout(Duration::from_secs(5))
///         .clock(SystemClock::new()); // a `ManualClock` in tests
///     tokio::spawn(layer.background());
///     assert!(layer.sessions().is_some(), "there is a store");
///     assert!(layer.engine().endpoint_paths().next().is_some());
///     Router::new().route("/", get(home)).layer(layer)
/// }
/// ```
///
/// With a source of claims, which is queried at each sign-in and renewal:
///
/// ```
/// use std::{convert::Infallible, time::Duration};
/// use tower_auth_session::{SessionEngine, SessionLayer, engine::SessionIdentity};
///
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// struct User { role: String }
///
/// fn layer(engine: SessionEngine<User>) -> SessionLayer<User> {
///     SessionLayer::new(engine)
///         .claims_source(|session: SessionIdentity| async move {
///             // Look up `session.subject()` in your database.
///             let _ = session.subject();
///             Ok::<_, Infallible>(User { role: "editor".to_owned() })
///         })
///         .claims_timeout(Duration::from_millis(500))
/// }
/// ```
#[must_use = "a layer does nothing until it wraps a service"]
pub struct SessionLayer<C = ()> {
    context: Arc<LayerContext<C>>,
    /// What the services share. It is made for the first service and kept, because axum wraps every route
    /// again for each connection. Clones of the layer share it.
    per_thread: Arc<OnceLock<PerThread<C>>>,
}

impl<C> SessionLayer<C> {
    /// A layer that uses `engine`.
    pub fn new(engine: SessionEngine<C>) -> Self {
        if !engine.knows_its_origin() && !engine.verifies_only() {
            warnings::setting(&no_origin());
        }
        Self::from_context(LayerContext::new(engine))
    }

    /// Names the layer. Where layers of several engines wrap a service, for example one for visitors and
    /// one for users, guards and extractors select theirs by name:
    /// [`RequireSessionLayer::for_layer`](crate::RequireSessionLayer::for_layer),
    /// [`SessionStatus::layer`](crate::SessionStatus::layer). Look-ups without a name are then refused
    /// with 500, unless the claims type selects one layer.
    pub fn name(self, name: &'static str) -> Self {
        self.with(|context| context.name = Some(name))
    }

    /// The clock; the operating system's by default.
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|context| context.clock = Arc::new(clock))
    }

    /// The source of claims at sign-in and at every renewal. It is called before the handler runs.
    pub fn claims_source(self, source: impl ClaimsSource<C>) -> Self {
        self.with(|context| context.claims_source = Some(Arc::new(source)))
    }

    /// How long the claims source may take, one second by default. After that the old claims stay.
    /// This needs a tokio runtime with timers, which Axum, Hyper and Tonic have; without one there is
    /// no timeout.
    pub fn claims_timeout(self, deadline: Duration) -> Self {
        self.with(|context| context.claims_deadline = deadline)
    }

    /// How long the layer's own endpoints wait for the body of a request, 10 seconds by default. A
    /// slower client gets 408. This needs a tokio runtime with timers, like the claims timeout.
    pub fn endpoint_body_timeout(self, timeout: Duration) -> Self {
        self.with(|context| context.body_timeout = timeout)
    }

    /// Where sessions are recorded. The store is queried once per session and `renew_after`, decides
    /// whether the session is still active, and lists all sessions of a subject. Without a store a
    /// token is accepted until its session expires, and other processes do not learn of sign-outs in
    /// this one.
    ///
    /// Sessions that signed in without the store are unknown to it, so their users must sign in again.
    /// Spawn [`background`](Self::background) too.
    pub fn store(self, store: impl SessionStore) -> Self {
        self.store_arc(Arc::new(store))
    }

    /// Like [`store`](Self::store), with a store that the application shares with other code.
    pub fn store_arc(self, store: Arc<dyn SessionStore>) -> Self {
        self.with(|wiring| {
            wiring.engine.feed_state().set_has_store();
            wiring.store = Some(StoreAccess::new(store));
        })
    }

    /// How long one store call may take, 250 ms by default, and how long it may wait in the queue of
    /// calls. A call that failed is retried once; a call that timed out is not. Like the claims
    /// timeout, it needs a tokio runtime with timers.
    pub fn store_timeout(self, deadline: Duration) -> Self {
        self.with(|context| context.policy.deadline = deadline)
    }

    /// How much longer than `renew_after` a token is accepted while the store does not respond: zero by
    /// default, 15 minutes at most. A session revoked elsewhere may stay usable for that long during an
    /// outage. The grace does not prolong any session.
    pub fn outage_grace(self, grace: Duration) -> Self {
        if grace > Self::MAX_OUTAGE_GRACE {
            report_long_grace(grace);
        }
        self.with(|context| context.policy.grace = grace.min(Self::MAX_OUTAGE_GRACE))
    }

    /// The maximum of [`outage_grace`](Self::outage_grace).
    pub const MAX_OUTAGE_GRACE: Duration = Duration::from_secs(15 * 60);

    /// How many sessions a subject may have in all browsers together; unlimited by default
    /// (ASVS 7.1.2).
    pub fn max_sessions_per_subject(self, limit: SubjectLimit) -> Self {
        self.with(|context| context.policy.limit = Some(limit))
    }

    /// Fetches the key sets of [trusted issuers](crate::verify_only::TrustedIssuer) for a verify-only engine.
    ///
    /// Without a fetcher, the layer has only the configured keys. A request that needs another key receives
    /// 503, which an error in the log and the event
    /// [`JwksUnavailable`](crate::event::SessionEvent::JwksUnavailable) report at most every five seconds.
    ///
    /// The first token of an issuer starts the fetch of its key set. [`background`](Self::background) then
    /// fetches it at intervals. Without that task, a request starts the next fetch once the keys are old.
    ///
    /// ```
    /// # #[cfg(feature = "jwks-http")]
    /// # fn example(engine: tower_auth_session::SessionEngine) -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_auth_session::{SessionLayer, verify_only::HttpJwksFetcher};
    ///
    /// let layer = SessionLayer::new(engine).jwks_fetcher(HttpJwksFetcher::new()?);
    /// # let _ = layer;
    /// # Ok(()) }
    /// ```
    pub fn jwks_fetcher(self, fetch: impl JwksFetcher) -> Self {
        self.with(|context| context.fetcher = Some(KeyFetcher::new(Arc::new(fetch))))
    }

    /// The engine, for revoking sessions and verifying redirect targets.
    #[must_use]
    pub fn engine(&self) -> &SessionEngine<C> {
        &self.context.engine
    }

    /// The response to a request that only signs a user in.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) async fn sign_in_without_request(
        &self,
        sign_in: SignIn<C>,
    ) -> Result<Response<()>, CommitError>
    where
        C: Send + Sync + 'static,
    {
        let request = Request::new(());
        let effects = Arc::<LayerContext<C>>::clone(&self.context);
        let now = self.context.clock.now();
        let head = RequestHead::from_request(&request);
        let jar = self.engine().open_for(head, now.timestamp(), JarHost::Layer(effects));
        jar.sign_in(sign_in)?;
        jar.commit().await?;
        let mut response = Response::new(());
        self.engine().close(&jar, &mut response, now)?;
        Ok(response)
    }

    pub(super) const fn context(&self) -> &Arc<LayerContext<C>> {
        &self.context
    }

    fn with(self, change: impl FnOnce(&mut LayerContext<C>)) -> Self {
        let mut context = Arc::unwrap_or_clone(self.context);
        change(&mut context);
        Self::from_context(context)
    }

    fn from_context(context: LayerContext<C>) -> Self {
        Self { context: Arc::new(context), per_thread: Arc::default() }
    }
}

impl<C, S> Layer<S> for SessionLayer<C> {
    type Service = SessionService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let context = self.per_thread.get_or_init(|| {
            self.context.check_settings();
            PerThread::new(&self.context)
        });
        SessionService::new(inner, context.clone())
    }
}

impl<C> Clone for SessionLayer<C> {
    fn clone(&self) -> Self {
        Self { context: Arc::clone(&self.context), per_thread: Arc::clone(&self.per_thread) }
    }
}

impl<C> fmt::Debug for SessionLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer").field("context", &self.context).finish()
    }
}
