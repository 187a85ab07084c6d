//! What one request costs: `cost CASE N` sends N requests of a case through the layer, each in one
//! function that callgrind can be told to count alone (`scripts/instructions` does).
//!
//! Requests are as hyper hands them over: path and values are parts of one buffer. They are made
//! before and between what is counted, so that the allocator is as busy as a server keeps it.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::Empty;
use serde::{Deserialize, Serialize};
use tower::{Layer as _, Service};
use tower_auth_session::{
    Algorithm, KeyRing, ManualClock, SeededRandom, Session, SessionEngine, SessionLayer,
    SessionLifetime, SignIn, SigningKey, Subject, Timestamp, testing::cookie_of,
};

type Body = Empty<Bytes>;

/// A user as an application has one.
#[derive(Serialize, Deserialize)]
struct User {
    name: String,
    email: String,
    roles: Vec<String>,
}

const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// What is counted.
struct Case {
    name: &'static str,
    algorithm: Algorithm,
    /// Accounts in the browser; 0 is one without several.
    accounts: usize,
    cookie: Cookie,
    /// Each request has a token that was not there before.
    first_sight: bool,
    /// Seconds after the token was made.
    age: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Cookie {
    Ours,
    None,
    /// So many whose signature is wrong.
    Forged(usize),
}

const fn case(name: &'static str, cookie: Cookie, first_sight: bool, age: u64) -> Case {
    Case { name, algorithm: Algorithm::Hs256, accounts: 0, cookie, first_sight, age }
}

const CASES: &[Case] = &[
    case("known", Cookie::Ours, false, 1),
    Case { accounts: 5, ..case("known-of-five", Cookie::Ours, false, 1) },
    case("anonymous", Cookie::None, false, 1),
    case("first-sight-hs256", Cookie::Ours, true, 1),
    Case { algorithm: Algorithm::EdDsa, ..case("first-sight-eddsa", Cookie::Ours, true, 1) },
    case("renewal-known", Cookie::Ours, false, 61),
    case("renewal-first-sight", Cookie::Ours, true, 61),
    case("forged-1", Cookie::Forged(1), true, 1),
    case("forged-4", Cookie::Forged(4), true, 1),
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let Some(name) = arguments.next() else {
        // `cargo bench` and `cargo test --benches`: each case works.
        CASES.iter().for_each(|case| run(case, 3));
        return;
    };
    let count = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(1_000);
    match CASES.iter().find(|case| case.name == name) {
        Some(case) => run(case, count),
        None if name == "bare" => {
            let mut service = tower::service_fn(answer);
            (0..count).for_each(|_| drop(measured(&mut service, request(None))));
        }
        None => {
            let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
            eprintln!("no case {name}: bare {}", names.join(" "));
            std::process::exit(2);
        }
    }
}

fn run(case: &Case, count: usize) {
    let key = SigningKey::generate("2026-11", case.algorithm).expect("a key");
    let engine = SessionEngine::<User>::builder(KeyRing::new(key))
        .lifetime(SessionLifetime::new())
        .origin("https://app.example.com")
        .multi_session(case.accounts > 0)
        .random(SeededRandom::new(1))
        .build()
        .expect("an engine");
    let clock = ManualClock::at(START);
    let cookies = |n: usize| -> Option<String> {
        let one = |n: usize| {
            let user = User {
                name: format!("Ada Lovelace {n:06}"),
                email: "ada@example.com".into(),
                roles: vec!["admin".into(), "author".into()],
            };
            let subject = Subject::new(format!("user-{n:06}")).expect("a subject");
            let cookie = cookie_of(&engine, SignIn::new(subject, user), START).expect("a cookie");
            cookie.to_str().expect("ASCII").to_owned()
        };
        match case.cookie {
            Cookie::None => None,
            Cookie::Ours if case.accounts == 0 => Some(one(n)),
            Cookie::Ours => {
                let all: Vec<_> = (0..case.accounts).map(one).collect();
                let active = all[0].split(['.', '=']).nth(1).expect("an id");
                Some(format!("__Host-session.active={active}; {}", all.join("; ")))
            }
            Cookie::Forged(most) => {
                let forge = |k| {
                    let (token, _) = {
                        let whole = one(n * most + k);
                        let (head, _) = whole.rsplit_once('.').expect("a signature");
                        (format!("{head}.{}", "A".repeat(43)), ())
                    };
                    token
                };
                Some((0..most).map(forge).collect::<Vec<_>>().join("; "))
            }
        }
    };
    let known = cookies(0);
    let cookies: Vec<_> = (0..if case.first_sight { count } else { 0 }).map(cookies).collect();
    let request_of =
        |n: usize| request(if case.first_sight { &cookies[n] } else { &known }.as_deref());
    clock.advance(Duration::from_secs(case.age));
    let mut service = SessionLayer::new(engine).clock(clock).layer(tower::service_fn(answer));
    if !case.first_sight && count > 1 {
        // So that it is known.
        let _ = now(service.call(request(known.as_deref())));
    }
    let mut signed_in = 0;
    for n in 0..count {
        let response = measured(&mut service, request_of(n));
        signed_in += usize::from(response.status() == http::StatusCode::ACCEPTED);
    }
    let expected = if case.cookie == Cookie::Ours { count } else { 0 };
    assert_eq!(signed_in, expected, "{}", case.name);
}

/// Twelve headers of a browser and a `Cookie` of four beside ours.
fn request(cookie: Option<&str>) -> Request<Body> {
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
    // A slice makes the buffer shared, as hyper's is.
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

fn answer(request: Request<Body>) -> Ready<Result<Response<Body>, Infallible>> {
    let mut response = Response::new(Body::new());
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    if let Some(session) = request.extensions().get::<Session<User>>() {
        black_box(&session.claims().name);
        *response.status_mut() = http::StatusCode::ACCEPTED;
    }
    ready(Ok(response))
}

/// What callgrind counts.
#[inline(never)]
fn measured<S, B>(service: &mut S, request: Request<Body>) -> Response<B>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let Ok(response) = now(service.call(request));
    response
}

fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}
