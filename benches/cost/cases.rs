//! The cases whose instructions and allocations are counted: the requests, and the service that
//! receives them.
//!
//! Requests are laid out in memory as by hyper: path and header values are parts of one buffer.

#[path = "used_process.rs"]
mod used_process;

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::Empty;
use serde::{Deserialize, Serialize};
use tower::{Layer as _, Service, util::ServiceFn};
use tower_auth_session::{
    Algorithm, KeyRing, Session, SessionEngine, SessionLayer, SessionLifetime, SignIn, SigningKey,
    Subject,
    config::DeviceBound,
    middleware::SessionService,
    testing::{DeviceClient, ManualClock, SeededRandom, carry_cookies, cookie_of},
    time::{Clock, SystemClock, Timestamp},
};

pub(crate) type Body = Empty<Bytes>;
pub(crate) type Answer = Ready<Result<Response<Body>, Infallible>>;
pub(crate) type Bare = ServiceFn<fn(Request<Body>) -> Answer>;

/// Typical claims of an application.
#[derive(Serialize, Deserialize)]
pub(crate) struct User {
    name: String,
    email: String,
    roles: Vec<String>,
}

/// One kind of request.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    algorithm: Algorithm,
    /// Accounts in the browser; 0 turns multi-session off.
    accounts: usize,
    cookie: Cookie,
    tokens: Tokens,
    /// The size of the cache of verified tokens; `None` for the default.
    cache: Option<usize>,
    /// The token's age in seconds.
    age: u64,
    /// Whether the session is bound to a device.
    is_bound: bool,
}

fn sign_in(n: usize) -> SignIn<User> {
    let user = User {
        name: format!("Ada Lovelace {n:06}"),
        email: "ada@example.com".into(),
        roles: vec!["admin".into(), "author".into()],
    };
    let subject = Subject::new(format!("user-{n:06}")).expect("a subject");
    SignIn::new(subject, user)
}

/// The cookie of the user `n`, who signed in at `at`.
pub(crate) fn cookie(engine: &SessionEngine<User>, at: Timestamp, n: usize) -> String {
    let cookie = cookie_of(engine, sign_in(n), at).expect("a cookie");
    cookie.to_str().expect("ASCII").to_owned()
}

/// The cookies of the user `n`, who signed in at `at`, in a browser that has bound the session.
fn bound_cookies(engine: &SessionEngine<User>, at: Timestamp, n: usize) -> String {
    // Bound so long ago that no response with the binding can be in flight any more.
    let clock = ManualClock::at(at.saturating_sub(Duration::from_secs(70)));
    let mut service = SessionLayer::new(engine.clone()).clock(clock.clone()).layer(bare());
    let bound_at = clock.now();
    let jar = engine.open(&Request::new(()), bound_at);
    jar.sign_in(sign_in(n)).expect("a sign-in");
    let mut response = Response::new(());
    engine.close(&jar, &mut response, bound_at).expect("a response");
    let client = DeviceClient::new("https://app.example.com").expect("a client");
    let mut register: Request<Body> = client.register(&response).expect("an offer");
    carry_cookies(&response, &mut register);
    let Ok(response) = now(service.call(register));
    let mut browser = request(None);
    browser.headers_mut().remove(header::COOKIE);
    carry_cookies(&response, &mut browser);
    let bound = browser.headers()[header::COOKIE].clone();
    clock.advance(Duration::from_secs(70));
    let Ok(response) = now(service.call(browser));
    let mut renewed = Request::new(());
    carry_cookies(&response, &mut renewed);
    let text = |field: &HeaderValue| field.to_str().expect("ASCII").to_owned();
    let (session, bound) = (text(&renewed.headers()[header::COOKIE]), text(&bound));
    let proof = bound.split("; ").find(|pair| pair.contains(".proof.")).expect("a proof");
    format!("{session}; {proof}")
}

/// A sign-out and a change of claims by other users.
pub(crate) fn use_process(engine: &SessionEngine<User>) {
    let changed = User { name: "Ada".into(), email: "ada@example.com".into(), roles: vec![] };
    used_process::use_process(engine, [900_001, 900_002].map(sign_in), changed);
}

#[derive(Clone, Copy, PartialEq)]
enum Cookie {
    Valid,
    None,
    /// This many tokens with invalid signatures.
    Forged(usize),
}

/// The tokens of a case's requests.
#[derive(Clone, Copy, PartialEq)]
enum Tokens {
    /// One, which the process knows.
    One,
    /// Another one for each request, which the process sees for the first time.
    New,
    /// One of this many at random, each of which the process has seen twice.
    Random(usize),
}

const fn case(name: &'static str, cookie: Cookie, tokens: Tokens, age: u64) -> Case {
    let algorithm = Algorithm::Hs256;
    Case { name, algorithm, accounts: 0, cookie, tokens, cache: None, age, is_bound: false }
}

pub(crate) const CASES: &[Case] = &[
    case("cached", Cookie::Valid, Tokens::One, 1),
    Case { accounts: 5, ..case("cached-of-five", Cookie::Valid, Tokens::One, 1) },
    Case { is_bound: true, ..case("cached-bound", Cookie::Valid, Tokens::One, 1) },
    case("signed-out", Cookie::None, Tokens::One, 1),
    case("first-seen-hs256", Cookie::Valid, Tokens::New, 1),
    Case { algorithm: Algorithm::EdDsa, ..case("first-seen-eddsa", Cookie::Valid, Tokens::New, 1) },
    Case { cache: Some(0), ..case("cache-off", Cookie::Valid, Tokens::New, 1) },
    Case { cache: Some(100), ..case("one-of-1000", Cookie::Valid, Tokens::Random(1_000), 1) },
    case("renewal-cached", Cookie::Valid, Tokens::One, 61),
    case("renewal-first-seen", Cookie::Valid, Tokens::New, 61),
    case("forged-1", Cookie::Forged(1), Tokens::New, 1),
    case("forged-4", Cookie::Forged(4), Tokens::New, 1),
];

/// The service of a case, and its requests.
pub(crate) struct Site {
    pub(crate) service: SessionService<Bare, User>,
    cookies: Vec<Option<String>>,
    tokens: Tokens,
    pub(crate) signs_in: bool,
}

impl Site {
    /// The service, with cookies for `count` requests.
    pub(crate) fn new(case: &Case, count: usize) -> Self {
        let engine = case.engine();
        let signed_in_at = SystemClock::new().now().timestamp().saturating_sub(case.age());
        use_process(&engine);
        let different = match case.tokens {
            Tokens::One => 1,
            // The last one fills the caches of the thread.
            Tokens::New => count + 1,
            Tokens::Random(live) => live,
        };
        let cookies: Vec<_> =
            (0..different).map(|n| case.cookies(&engine, signed_in_at, n)).collect();
        let service = SessionLayer::new(engine).layer(bare());
        let signs_in = case.cookie == Cookie::Valid;
        let mut site = Self { service, cookies, tokens: case.tokens, signs_in };
        let first = if case.tokens == Tokens::New { count } else { 0 };
        for n in (first..different).chain(first..different) {
            let _ = now(site.service.call(request(site.cookies[n].as_deref())));
        }
        site
    }

    pub(crate) fn request(&self, n: usize) -> Request<Body> {
        let n = match self.tokens {
            Tokens::One => 0,
            Tokens::New => n,
            // Steps of a size without a common factor visit the sessions in no useful order.
            Tokens::Random(live) => n * 7_919 % live,
        };
        request(self.cookies[n].as_deref())
    }
}

impl Case {
    const fn age(&self) -> Duration {
        Duration::from_secs(self.age)
    }

    pub(crate) fn engine(&self) -> SessionEngine<User> {
        let key = SigningKey::generate("2026-11", self.algorithm).expect("a key");
        let builder = match self.cache {
            Some(capacity) => {
                SessionEngine::builder(KeyRing::new(key)).verified_token_cache(capacity)
            }
            None => SessionEngine::builder(KeyRing::new(key)),
        };
        builder
            .lifetime(SessionLifetime::new())
            .origin("https://app.example.com")
            .multi_session(self.accounts > 0)
            .device_bound(if self.is_bound { DeviceBound::Preferred } else { DeviceBound::Off })
            .random(SeededRandom::new(1))
            .build()
            .expect("an engine")
    }

    /// The cookies of the browser `n`.
    fn cookies(&self, engine: &SessionEngine<User>, at: Timestamp, n: usize) -> Option<String> {
        let one = |n: usize| match self.is_bound {
            true => bound_cookies(engine, at, n),
            false => cookie(engine, at, n),
        };
        let forged = |n: usize| {
            let token = one(n);
            let (signed, _) = token.rsplit_once('.').expect("a signature");
            format!("{signed}.{}", "A".repeat(43))
        };
        match self.cookie {
            Cookie::None => None,
            Cookie::Valid if self.accounts == 0 => Some(one(n)),
            Cookie::Valid => {
                let all: Vec<_> = (0..self.accounts).map(one).collect();
                let active = all[0].split(['.', '=']).nth(1).expect("an id");
                Some(format!("__Host-session.active={active}; {}", all.join("; ")))
            }
            Cookie::Forged(most) => {
                Some((0..most).map(|k| forged(n * most + k)).collect::<Vec<_>>().join("; "))
            }
        }
    }
}

/// Twelve browser headers, and a `Cookie` header with `cookie` and three others.
pub(crate) fn request(cookie: Option<&str>) -> Request<Body> {
    let others = "theme=dark; _ga=GA1.1.1234567890.1700000000; consent=yes";
    let cookies = format!("{others}; {}", cookie.unwrap_or("lang=en"));
    let fields = [
        ("host", "app.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.7"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("referer", "https://app.example.com/"),
        ("upgrade-insecure-requests", "1"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-user", "?1"),
        ("priority", "u=0, i"),
        ("cookie", &cookies),
    ];
    let path = "/dashboard";
    let text: String = fields.iter().map(|(_, value)| *value).chain([path]).collect();
    // The first slice makes the buffer shared, as it is in hyper.
    let mut rest = Bytes::from(text);
    let mut headers = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        let value = HeaderValue::from_maybe_shared(rest.split_to(value.len())).expect("a value");
        headers.insert(HeaderName::from_static(name), value);
    }
    let mut request = Request::new(Body::new());
    *request.uri_mut() = Uri::from_maybe_shared(rest).expect("a path");
    *request.headers_mut() = headers;
    request
}

/// The application: a page that shows a name.
pub(crate) fn bare() -> Bare {
    tower::service_fn(answer)
}

#[expect(clippy::needless_pass_by_value, reason = "a service is given its request")]
fn answer(request: Request<Body>) -> Answer {
    let mut response = Response::new(Body::new());
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    if let Some(session) = request.extensions().get::<Session<User>>() {
        black_box(&session.claims().name);
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    ready(Ok(response))
}

pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}
