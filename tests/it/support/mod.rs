//! The browser, the clock and the engine that the tests use.

pub(crate) mod engine;
#[cfg(feature = "memory")]
pub(crate) mod faulty_store;
#[cfg(feature = "tracing")]
pub(crate) mod log;
pub(crate) mod probe;
pub(crate) mod token_forge;
pub(crate) mod user_agent;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tower::{Service, ServiceExt as _};
use tower_auth_session::{
    KeyRing, SessionEngine, SessionLayer, SessionLifetime, SessionStatus, SignIn, SigningKey,
    Subject,
    engine::SessionEngineBuilder,
    event::SessionEvent,
    testing::{ManualClock, SeededRandom, cookie_of},
    time::Timestamp,
};

/// Where the manual clock starts.
pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const ORIGIN: &str = "https://app.example.com";
pub(crate) const COOKIE: &str = "__Host-session";
/// Two valid session ids.
pub(crate) const SID_A: &str = "AAAAAAAAAAAAAAAAAAAAAA";
pub(crate) const SID_B: &str = "BBBBBBBBBBBBBBBBBBBBBQ";

/// The claims of the test application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) name: String,
}

pub(crate) fn user(name: &str) -> User {
    User { name: name.to_owned() }
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

/// The secret of [`key`].
pub(crate) fn secret(kid: &str) -> String {
    format!("test key {kid}, long enough for HS256")
}

pub(crate) fn key(kid: &str) -> SigningKey {
    SigningKey::hs256(kid, secret(kid)).unwrap()
}

/// An engine whose sessions expire after 100 s of inactivity or 1,000 s in total and are renewed after
/// 10 s, and the events that it emits.
pub(crate) fn engine_builder() -> (SessionEngineBuilder<User>, Events) {
    let events = Events::default();
    let sink = events.clone();
    let builder = SessionEngine::<User>::builder(KeyRing::new(key("k1")))
        .lifetime(
            SessionLifetime::new()
                .inactivity_timeout(Duration::from_secs(100))
                .maximum_lifetime(Duration::from_secs(1_000))
                .renew_after(Duration::from_secs(10)),
        )
        .origin(ORIGIN)
        .random(SeededRandom::new(1))
        .on_event(move |event| sink.0.lock().unwrap().push(event.clone()));
    (builder, events)
}

/// The engine of [`engine_builder`], its events, a clock and a layer on them.
pub(crate) fn layer() -> (SessionLayer<User>, ManualClock, Events) {
    let (builder, events) = engine_builder();
    let (layer, clock) = layer_on(builder);
    (layer, clock, events)
}

pub(crate) fn layer_on<C>(builder: SessionEngineBuilder<C>) -> (SessionLayer<C>, ManualClock)
where
    C: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let clock = ManualClock::at(Timestamp::from_unix_seconds(START));
    (SessionLayer::new(builder.build().unwrap()).clock(clock.clone()), clock)
}

/// A service where `/in` signs ada in and everything else is behind `$guard`. A response has the
/// `Cache-Control` that the field `x-cache` of its request states.
macro_rules! site {
    ($layer:expr, $guard:expr) => {{
        type Request = http::Request<http_body_util::Full<bytes::Bytes>>;
        let guarded = $guard.layer(tower::service_fn(|request: Request| async move {
            let mut response = http::Response::new(http_body_util::Full::from("private"));
            if let Some(value) = request.headers().get("x-cache") {
                response.headers_mut().insert(http::header::CACHE_CONTROL, value.clone());
            }
            Ok::<_, std::convert::Infallible>(response)
        }));
        $layer.layer(tower::service_fn(move |request: Request| {
            let guarded = guarded.clone();
            async move {
                if request.uri().path() == "/in" {
                    $crate::support::sign_ada_in(request.extensions());
                    let empty = http_body_util::Either::Left(http_body_util::Full::default());
                    return Ok(http::Response::new(empty));
                }
                let response = tower::ServiceExt::oneshot(guarded, request).await?;
                Ok::<_, std::convert::Infallible>(response.map(http_body_util::Either::Right))
            }
        }))
    }};
}
pub(crate) use site;

pub(crate) fn sign_ada_in(extensions: &http::Extensions) {
    let jar = extensions.get::<SessionStatus>().unwrap().jar::<User>().unwrap();
    jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The events that the engine emitted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<SessionEvent>>>);

impl Events {
    /// The events since the last call.
    pub(crate) fn take(&self) -> Vec<SessionEvent> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// The names of the events since the last call.
    pub(crate) fn take_names(&self) -> Vec<String> {
        let name = |event: &SessionEvent| {
            format!("{event:?}").split([' ', '{']).next().unwrap().to_owned()
        };
        self.take().iter().map(name).collect()
    }

    pub(crate) fn push(&self, event: &SessionEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// The cookies of one browser at one origin, by those rules of RFC 6265bis §5.7 that concern this
/// crate's cookies. `Max-Age` is checked but does not expire cookies: tests move the server's clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    /// A browser in which `sign_in` happened when the clock started.
    pub(crate) fn signed_in<C: Send + Sync + 'static>(
        layer: &SessionLayer<C>,
        sign_in: SignIn<C>,
    ) -> Self {
        let start = Timestamp::from_unix_seconds(START);
        let cookie = cookie_of(layer.engine(), sign_in, start).unwrap();
        let (name, value) = cookie.to_str().unwrap().split_once('=').unwrap();
        Self { cookies: [(name.to_owned(), value.to_owned())].into() }
    }

    /// Sends `request` with the cookies, stores those of the response and reads its body.
    pub(crate) async fn send<S, B>(
        &mut self,
        service: &S,
        mut request: Request<Full<Bytes>>,
    ) -> TestResponse
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
        S::Error: std::fmt::Debug,
        B: http_body::Body<Data = Bytes>,
        B::Error: std::fmt::Debug,
    {
        if let Some(cookie) = self.cookie_header() {
            request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        }
        let response = service.clone().oneshot(request).await.unwrap();
        let test_response = TestResponse::of(response).await;
        self.store(&test_response.headers);
        test_response
    }

    /// The only cookie left, if any, is the active-account cookie with the value `none`.
    pub(crate) fn has_no_session(&self) -> bool {
        self.cookies.iter().all(|(name, value)| name.ends_with(".active") && value == "none")
    }

    pub(crate) fn cookie_header(&self) -> Option<String> {
        let pairs: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Stores the cookies of a response.
    pub(crate) fn store(&mut self, headers: &HeaderMap) {
        for set in headers.get_all(header::SET_COOKIE) {
            let parsed = cookie::Cookie::parse(set.to_str().unwrap().to_owned()).unwrap();
            if parsed.name().starts_with("__Host-") {
                assert_eq!(parsed.secure(), Some(true), "{set:?}");
                assert_eq!(parsed.path(), Some("/"), "{set:?}");
                assert_eq!(parsed.domain(), None, "{set:?}");
            }
            assert!(parsed.name().len() + parsed.value().len() <= 4096);
            if parsed.max_age().is_some_and(|age| age.whole_seconds() <= 0) {
                self.cookies.remove(parsed.name());
            } else {
                self.cookies.insert(parsed.name().to_owned(), parsed.value().to_owned());
            }
        }
    }
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl TestResponse {
    pub(crate) async fn of<B>(response: Response<B>) -> Self
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: std::fmt::Debug,
    {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).body(Full::default()).unwrap()
}

/// A form that a page of the service's own origin submits.
pub(crate) fn post(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ORIGIN, ORIGIN)
        .body(Full::from(body))
        .unwrap()
}
