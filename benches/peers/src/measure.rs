//! Measures a service in rounds and reports their minimum, median and maximum.

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

/// A service that receives a request with this header signs in.
pub(crate) const SIGN_IN: &str = "x-sign-in";

pub(crate) const ROUNDS: usize = 11;
const REQUESTS: usize = 2_000;

pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let [min, median, max] = [0, values.len() / 2, values.len() - 1].map(|n| values[n]);
        Self { min, median, max }
    }

    pub(crate) fn map(self, change: impl Fn(f64) -> f64) -> Self {
        let [min, median, max] = [self.min, self.median, self.max].map(change);
        Self { min, median, max }
    }
}

pub(crate) struct Cost {
    pub(crate) micros: Spread,
    pub(crate) allocations: f64,
}

/// The cost of requests with these session cookies.
pub(crate) fn cost<'c, S, B>(service: &mut S, mut cookie: impl FnMut() -> Option<&'c str>) -> Cost
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    round(service, &mut cookie);
    let micros = Spread::of((0..ROUNDS).map(|_| round(service, &mut cookie)).collect());
    let batch: Vec<_> = (0..100).map(|_| request(cookie())).collect();
    let counted = allocation_counter::measure(|| {
        batch.into_iter().for_each(|request| drop(measured(service, request)));
    });
    Cost { micros, allocations: counted.count_total as f64 / 100.0 }
}

/// The microseconds of one request of a round.
pub(crate) fn round<'c, S, B>(service: &mut S, mut cookie: impl FnMut() -> Option<&'c str>) -> f64
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let batch: Vec<_> = (0..REQUESTS).map(|_| request(cookie())).collect();
    let start = Instant::now();
    for request in batch {
        black_box(measured(service, request));
    }
    start.elapsed().as_secs_f64() * 1e6 / REQUESTS as f64
}

/// The function that callgrind counts.
#[inline(never)]
pub(crate) fn measured<S, B>(service: &mut S, request: Request<Body>) -> Response<B>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let Ok(response) = now(service.call(request));
    response
}

/// Polls a future that never waits: every service here works in memory.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("no service here waits"),
    }
}

/// Twelve headers of a browser and a `Cookie` header with `cookie` and three others, laid out in
/// memory as hyper does.
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

/// A sequence of numbers that look random, the same in every run.
pub(crate) struct Shuffled(u64);

impl Shuffled {
    pub(crate) const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// The next number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // xorshift64*, by Vigna.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        (number as usize * end) >> 32
    }
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

/// The cookies that a service sets in response to a sign-in.
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
        let Self { min, median, max } = self;
        if *median >= 1_000.0 {
            write!(f, "{min:.0} | {median:.0} | {max:.0}")
        } else {
            write!(f, "{min:.2} | {median:.2} | {max:.2}")
        }
    }
}
