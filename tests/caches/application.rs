//! The application behind the caches. Each page reads the session in its own way, and sends the headers
//! that the request asks for.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use tower_auth_session::{
    KeyRing, RequireSessionLayer, Session, SessionEngine, SessionLayer, SessionLifetime, SignIn,
    SigningKey, Subject,
    testing::{ManualClock, cookie_of},
    time::{Clock as _, Timestamp},
};

pub(crate) const ORIGIN: &str = "https://app.example.com";
const START: u64 = 1_800_000_000;
const ETAG: &str = "\"v1\"";

/// The query of a page: its headers, as `name: value|name: value`, and whether it has an `ETag`.
type Parameters = Query<Vec<(String, String)>>;

/// The number of responses of the application: a response with a known number came from a cache.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicU64>);

pub(crate) struct Application {
    pub(crate) address: SocketAddr,
    engine: SessionEngine,
    clock: ManualClock,
}

impl Application {
    pub(crate) async fn start() -> Self {
        let key = SigningKey::hs256("k1", "the key of the caches' tests, long enough").unwrap();
        let year = Duration::from_secs(365 * 24 * 3600);
        let engine = SessionEngine::builder(KeyRing::new(key))
            .lifetime(
                SessionLifetime::new()
                    .inactivity_timeout(year)
                    .maximum_lifetime(year)
                    .renew_after(Duration::from_secs(60)),
            )
            .origin(ORIGIN)
            .build()
            .unwrap();
        let clock = ManualClock::at(Timestamp::from_unix_seconds(START));
        let guarded =
            Router::new().route("/guarded", get(optional)).layer(RequireSessionLayer::new());
        let app = Router::new()
            .route("/none", get(none))
            .route("/optional", get(optional))
            .route("/required", get(required))
            .merge(guarded)
            .layer(SessionLayer::new(engine.clone()).clock(clock.clone()))
            // Pages with every mistake, to prove that the tests detect them.
            .route("/unprotected", get(unprotected))
            .with_state(Counter::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, engine, clock }
    }

    /// The cookie of a browser in which this user has just signed in.
    pub(crate) fn sign_in(&self, user: &str) -> String {
        let sign_in = SignIn::new(Subject::new(user).unwrap(), ());
        let cookie = cookie_of(&self.engine, sign_in, self.clock.now()).unwrap();
        cookie.to_str().unwrap().to_owned()
    }

    /// Makes all tokens due.
    pub(crate) fn make_due(&self) {
        self.clock.advance(Duration::from_secs(61));
    }
}

async fn none(State(counter): State<Counter>, query: Parameters, headers: HeaderMap) -> Response {
    page(&counter, "everyone", &query, &headers)
}

async fn optional(
    State(counter): State<Counter>,
    session: Option<Session>,
    query: Parameters,
    headers: HeaderMap,
) -> Response {
    let user = session.map_or_else(|| "anonymous".to_owned(), |it| it.subject().to_string());
    page(&counter, &user, &query, &headers)
}

async fn required(
    State(counter): State<Counter>,
    session: Session,
    query: Parameters,
    headers: HeaderMap,
) -> Response {
    page(&counter, session.subject().as_str(), &query, &headers)
}

/// Writes the user's name into a page and a cookie that it lets everyone store.
async fn unprotected(
    State(counter): State<Counter>,
    query: Parameters,
    headers: HeaderMap,
) -> Response {
    let cookie = headers.get(header::COOKIE).map_or("", |value| value.to_str().unwrap());
    let user = cookie.strip_prefix("session=").unwrap_or("anonymous").to_owned();
    let mut response = page(&counter, &user, &query, &headers);
    if response.status() == StatusCode::NOT_MODIFIED && user != "anonymous" {
        let cookie = HeaderValue::from_str(&format!("session={user}")).unwrap();
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn page(counter: &Counter, user: &str, Query(query): &Parameters, request: &HeaderMap) -> Response {
    let number = counter.0.fetch_add(1, Ordering::Relaxed);
    let mut response = format!("{user} {number}").into_response();
    for (name, value) in query {
        match name.as_str() {
            "header" => {
                let (name, value) = value.split_once(": ").unwrap();
                let name: HeaderName = name.parse().unwrap();
                response.headers_mut().append(name, value.parse().unwrap());
            }
            "etag" => {
                response.headers_mut().insert(header::ETAG, HeaderValue::from_static(ETAG));
                if request.get(header::IF_NONE_MATCH).is_some_and(|value| value == ETAG) {
                    *response.status_mut() = StatusCode::NOT_MODIFIED;
                    response.headers_mut().remove(header::CONTENT_TYPE);
                    *response.body_mut() = axum::body::Body::empty();
                }
            }
            _ => {}
        }
    }
    response
}
