//! How a service is measured: in rounds, of which the least, the middle and the most are told.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::Empty;
use tower::Service;

pub(crate) type Body = Empty<Bytes>;

/// Whoever is measured: asked to sign in by this header, it does.
pub(crate) const SIGN_IN: &str = "x-sign-in";

pub(crate) const ROUNDS: usize = 11;
const REQUESTS: usize = 2_000;

pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) middle: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let [least, middle, most] = [0, values.len() / 2, values.len() - 1].map(|n| values[n]);
        Self { least, middle, most }
    }
}

pub(crate) struct Cost {
    pub(crate) micros: Spread,
    pub(crate) allocations: f64,
}

/// What requests with `cookies`, in turns, cost.
pub(crate) fn cost<S, B>(service: &mut S, cookies: &[Option<String>]) -> Cost
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let mut turn = cookies.iter().cycle();
    let mut some = |count| -> Vec<_> {
        (0..count).map(|_| request(turn.next().unwrap().as_deref())).collect()
    };
    some(REQUESTS).into_iter().for_each(|request| drop(measured(service, request)));
    let micros = (0..ROUNDS).map(|_| {
        let requests = some(REQUESTS);
        let start = Instant::now();
        for request in requests {
            black_box(measured(service, request));
        }
        start.elapsed().as_secs_f64() * 1e6 / REQUESTS as f64
    });
    let micros = Spread::of(micros.collect());
    let requests = some(100);
    let counted = allocation_counter::measure(|| {
        requests.into_iter().for_each(|request| drop(measured(service, request)));
    });
    Cost { micros, allocations: counted.count_total as f64 / 100.0 }
}

/// What callgrind counts.
#[inline(never)]
pub(crate) fn measured<S, B>(service: &mut S, request: Request<Body>) -> Response<B>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let Ok(response) = now(service.call(request));
    response
}

/// Everything here lives in memory: a future that waits is a mistake.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

/// Twelve headers of a browser and a `Cookie` of three beside `cookie`, as hyper hands them over.
pub(crate) fn request(cookie: Option<&str>) -> Request<Body> {
    let cookies = cookies(cookie);
    let text: String = FIELDS.iter().map(|(_, value)| *value).chain([&*cookies, "/"]).collect();
    let mut rest = Bytes::from(text);
    let mut headers = HeaderMap::with_capacity(FIELDS.len() + 1);
    let fields = FIELDS.iter().map(|(name, value)| (*name, value.len()));
    for (name, length) in fields.chain([("cookie", cookies.len())]) {
        let value = HeaderValue::from_maybe_shared(rest.split_to(length)).unwrap();
        headers.insert(HeaderName::from_static(name), value);
    }
    let mut request = Request::new(Body::new());
    *request.uri_mut() = Uri::from_maybe_shared(rest).unwrap();
    *request.headers_mut() = headers;
    request
}

pub(crate) fn cookies(cookie: Option<&str>) -> String {
    let cookie = cookie.unwrap_or("lang=en");
    format!("theme=dark; _ga=GA1.1.1234567890.1700000000; consent=yes; {cookie}")
}

pub(crate) const FIELDS: [(&str, &str); 12] = [
    ("host", "localhost"),
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
];

/// The cookie that a service answers a sign-in with.
pub(crate) fn signed_in<S, B>(service: &mut S) -> Option<String>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let Ok(response) = now(service.call(sign_in_request()));
    cookies_of(&response)
}

pub(crate) fn sign_in_request() -> Request<Body> {
    let mut request = request(None);
    request.headers_mut().insert(SIGN_IN, HeaderValue::from_static("1"));
    request
}

/// The cookies that a response sets.
pub(crate) fn cookies_of<B>(response: &Response<B>) -> Option<String> {
    let all = response.headers().get_all(http::header::SET_COOKIE).iter();
    let pairs = all.map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned());
    let cookies = pairs.collect::<Vec<_>>().join("; ");
    (!cookies.is_empty()).then_some(cookies)
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least, middle, most } = self;
        if *middle >= 1_000.0 {
            write!(f, "{least:.0} | {middle:.0} | {most:.0}")
        } else {
            write!(f, "{least:.2} | {middle:.2} | {most:.2}")
        }
    }
}
