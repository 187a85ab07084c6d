//! A service node with a store that other nodes share.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get as on_get, post as on_post},
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::sync::Semaphore;
use tower_auth_session::{
    RequireSessionLayer, Session, SessionJar, SessionLayer, SessionStatus, SignIn,
    engine::{OsRandom, SessionEngineBuilder},
    error::CommitError,
    testing::ManualClock,
    time::Timestamp,
};

use crate::support::{
    Browser, Events, START, TestResponse, User, engine_builder, faulty_store::FaultyStore, get,
    post, subject, user,
};

type Jar = SessionJar<User>;
type Builder = SessionEngineBuilder<User>;
type Layer = SessionLayer<User>;
type HandlerFn = Arc<dyn Fn(Jar) -> Pin<Box<dyn Future<Output = Response> + Send>> + Send + Sync>;

/// One node, with the lifetimes of [`engine_builder`](crate::support::engine_builder).
#[derive(Clone)]
pub(super) struct Node {
    pub(super) layer: Layer,
    pub(super) clock: ManualClock,
    pub(super) events: Events,
    pub(super) store: FaultyStore,
    /// Each permit completes one request to `/slow`.
    pub(super) gate: Arc<Semaphore>,
    router: Router,
}

impl Node {
    pub(super) fn new() -> Self {
        Self::with(|builder| builder, |layer| layer)
    }

    /// With multi-session.
    pub(super) fn multi_session() -> Self {
        Self::with(|builder| builder.multi_session(true), |layer| layer)
    }

    pub(super) fn with(
        builder: impl FnOnce(Builder) -> Builder,
        layer: impl FnOnce(Layer) -> Layer,
    ) -> Self {
        let clock = ManualClock::at(Timestamp::from_unix_seconds(START));
        Self::on(FaultyStore::new(), clock, builder, layer)
    }

    /// Another node with the same store and clock.
    pub(super) fn sibling(&self, builder: impl FnOnce(Builder) -> Builder) -> Self {
        Self::on(self.store.clone(), self.clock.clone(), builder, |layer| layer)
    }

    fn on(
        store: FaultyStore,
        clock: ManualClock,
        builder: impl FnOnce(Builder) -> Builder,
        layer: impl FnOnce(Layer) -> Layer,
    ) -> Self {
        let (settings, events) = engine_builder();
        // Two nodes must not generate the same ids.
        let engine = builder(settings.random(OsRandom::default())).build().unwrap();
        let layer = layer(SessionLayer::new(engine).store(store.clone()).clock(clock.clone()));
        let gate = Arc::new(Semaphore::new(0));
        let router = Router::new()
            .route("/guarded", on_get(current_user).layer(RequireSessionLayer::new()))
            .route("/", on_get(current_user).post(current_user))
            .route("/public", on_get(public))
            .route("/slow", on_get(slow))
            .route("/in", on_post(sign_in))
            .route("/in/public", on_post(sign_in_publicly_cacheable))
            .route("/out", on_post(sign_out))
            .route("/rename", on_post(rename))
            .route("/renew", on_post(renew))
            .route("/commit", on_post(commit))
            .route("/act", on_post(act))
            .route("/required", on_get(required))
            .route("/optional", on_get(optional))
            .route("/status", on_get(status))
            .with_state(Arc::clone(&gate))
            .layer(layer.clone());
        Self { layer, clock, events, store, gate, router }
    }

    pub(super) async fn send(
        &self,
        browser: &mut Browser,
        request: Request<Full<Bytes>>,
    ) -> TestResponse {
        browser.send(&self.router, request).await
    }

    pub(super) async fn get(&self, browser: &mut Browser, path: &str) -> TestResponse {
        self.send(browser, get(path)).await
    }

    pub(super) async fn post(&self, browser: &mut Browser, path: &str) -> TestResponse {
        self.send(browser, post(path, "")).await
    }

    /// Sends a request whose handler runs `act`.
    pub(super) async fn run_handler<F, R>(
        &self,
        browser: &mut Browser,
        act: impl Fn(Jar) -> F + Send + Sync + 'static,
    ) -> TestResponse
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        let act: HandlerFn = Arc::new(move |jar| {
            let done = act(jar);
            Box::pin(async move { done.await.into_response() })
        });
        let mut request = post("/act", "");
        request.extensions_mut().insert(act);
        self.send(browser, request).await
    }

    /// A browser in which a user has signed in.
    pub(super) async fn sign_in(&self, name: &str) -> Browser {
        let mut browser = Browser::default();
        let response = self.post(&mut browser, &format!("/in?{name}")).await;
        assert_eq!((response.status, response.text()), (StatusCode::OK, name));
        self.store.take_calls();
        browser
    }

    /// The name of the signed-in user, or the status without one.
    pub(super) async fn current_user(&self, browser: &mut Browser) -> String {
        self.get(browser, "/").await.text().to_owned()
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Whether an event of this name was emitted since the last call.
    pub(super) fn has_event(&self, name: &str) -> bool {
        self.events.take_names().iter().any(|event| event == name)
    }
}

async fn current_user(jar: Jar) -> String {
    jar.session().map_or_else(
        || format!("{:?}", jar.status().kind()),
        |session| session.claims().name.clone(),
    )
}

async fn act(Extension(act): Extension<HandlerFn>, jar: Jar) -> Response {
    act(jar).await
}

async fn required(session: Session<User>) -> String {
    session.claims().name.clone()
}

async fn optional(session: Option<Session<User>>) -> String {
    session.map_or_else(|| "signed out".to_owned(), |session| session.claims().name.clone())
}

async fn status(status: SessionStatus) -> String {
    format!("{:?}", status.kind())
}

async fn public(jar: Jar) -> Response {
    ([(header::CACHE_CONTROL, "public")], current_user(jar).await).into_response()
}

async fn slow(State(gate): State<Arc<Semaphore>>, jar: Jar) -> String {
    let name = current_user(jar).await;
    gate.acquire().await.unwrap().forget();
    name
}

async fn sign_in(RawQuery(name): RawQuery, jar: Jar) -> Response {
    let name = name.unwrap_or_default();
    match jar.sign_in(SignIn::new(subject(&name), user(&name))) {
        Ok(_) => name.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn sign_in_publicly_cacheable(query: RawQuery, jar: Jar) -> Response {
    ([(header::CACHE_CONTROL, "public")], sign_in(query, jar).await).into_response()
}

async fn sign_out(jar: Jar) -> &'static str {
    jar.sign_out();
    "bye"
}

async fn rename(RawQuery(name): RawQuery, jar: Jar) -> Response {
    match jar.update_claims(user(&name.unwrap_or_default())) {
        Ok(()) => "renamed".into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn renew(jar: Jar) -> &'static str {
    jar.renew_now();
    "renewed"
}

/// Signs in, commits and responds to a failure itself.
async fn commit(RawQuery(name): RawQuery, jar: Jar) -> Response {
    let name = name.unwrap_or_default();
    jar.sign_in(SignIn::new(subject(&name), user(&name))).unwrap();
    match jar.commit().await {
        Ok(()) => name.into_response(),
        Err(CommitError::TooManySessions) => (StatusCode::CONFLICT, "too many").into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}
