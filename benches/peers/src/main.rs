//! Compares this crate with the alternatives in one run. Prints Markdown.
//!
//! `peers [MAX_SESSIONS]` runs every measurement, `peers threads` the one on two threads, `peers
//! stores` the one on store operations. `peers names` lists the services, and `peers count NAME
//! REQUESTS` sends requests to one of them, for callgrind to count.

mod measure;
mod server;
mod sites;
mod stores;

use std::{convert::Infallible, time::Duration};

use http::{Request, Response, StatusCode};
use tower::{Layer as _, Service, service_fn};
use tower_auth_session::{
    Algorithm, SessionLayer, store::MemoryStore, testing::ManualClock, time::Timestamp,
};

use measure::{Body, ROUNDS, Spread, cost, signed_in};
use sites::{ByHand, Users, layer, layer_of_today};
use stores::Counted;

/// One measurement, applied to every service.
trait Measurement {
    fn measure<S, B>(&mut self, name: &str, service: S, cookie: Option<String>)
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>;
}

struct Overhead(Option<(f64, f64)>);

impl Measurement for Overhead {
    fn measure<S, B>(&mut self, name: &str, mut service: S, cookie: Option<String>)
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    {
        let Ok(answer) = measure::now(service.call(measure::request(cookie.as_deref())));
        assert_eq!(answer.status() == StatusCode::ACCEPTED, cookie.is_some(), "{name}");
        let mut cost = cost(&mut service, &[cookie]);
        let (time, count) = *self.0.get_or_insert((cost.micros.median, cost.allocations));
        if name != "no middleware" {
            for micros in [&mut cost.micros.min, &mut cost.micros.median, &mut cost.micros.max] {
                *micros -= time;
            }
            cost.allocations -= count;
        }
        println!("| {name} | {} | {:.0} |", cost.micros, cost.allocations);
    }
}

/// Prints the names of the services.
struct Names;

impl Measurement for Names {
    fn measure<S, B>(&mut self, name: &str, _: S, _: Option<String>) {
        println!("{name}");
    }
}

/// Sends this many requests to the service with this name.
struct Count(String, usize);

impl Measurement for Count {
    fn measure<S, B>(&mut self, name: &str, mut service: S, cookie: Option<String>)
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    {
        if name == self.0 {
            // The first request fills the caches of the thread.
            drop(measure::now(service.call(measure::request(cookie.as_deref()))));
            for _ in 0..self.1 {
                drop(measure::measured(&mut service, measure::request(cookie.as_deref())));
            }
        }
    }
}

/// Requests per second over loopback, relative to a server without middleware that is measured
/// directly before, because the speed of loopback drifts.
struct Loopback;

impl Measurement for Loopback {
    fn measure<S, B>(&mut self, name: &str, service: S, cookie: Option<String>)
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut rates, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let baseline = server::loopback(&service_fn(sites::bare), cookie.as_deref());
            let rate = server::loopback(&service, cookie.as_deref());
            rates.push(rate);
            ratios.push(rate / baseline);
        }
        println!("| {name} | {} | {:.2} |", Spread::of(rates), Spread::of(ratios).median);
    }
}

fn measure_all(measurement: &mut impl Measurement) {
    measurement.measure("no middleware", service_fn(sites::bare), None);
    let mut this_crate = |name: &str, algorithm, capacity, age| {
        let (layer, cookies) = layer(algorithm, capacity, age, 1);
        measurement.measure(name, layer.layer(service_fn(sites::this_crate)), cookies[0].clone());
    };
    this_crate("this crate, cached token, HS256", Algorithm::Hs256, None, 1);
    this_crate("this crate, cached token, EdDSA", Algorithm::EdDsa, None, 1);
    this_crate("this crate, cached token, ES256", Algorithm::Es256, None, 1);
    this_crate("this crate, cache off, HS256", Algorithm::Hs256, Some(0), 1);
    this_crate("this crate, cache off, EdDSA", Algorithm::EdDsa, Some(0), 1);
    this_crate("this crate, cache off, ES256", Algorithm::Es256, Some(0), 1);
    this_crate("this crate, renewal of a cached token, HS256", Algorithm::Hs256, None, 61);
    let (signed_out, _) = layer(Algorithm::Hs256, None, 1, 0);
    measurement.measure(
        "this crate, signed out",
        signed_out.layer(service_fn(sites::this_crate)),
        None,
    );

    for (name, always) in [
        ("tower-sessions 0.15, memory, one key read", false),
        ("tower-sessions 0.15, memory, sliding (`always_save`)", true),
    ] {
        let store = tower_sessions::MemoryStore::default();
        let layer = tower_sessions::SessionManagerLayer::new(store).with_always_save(always);
        let expiry = tower_sessions::Expiry::OnInactivity(time::Duration::days(7));
        let mut service = layer.with_expiry(expiry).layer(service_fn(sites::tower_sessions));
        let cookie = signed_in(&mut service);
        measurement.measure(name, service, cookie);
    }
    let store = tower_sessions_0_14::MemoryStore::default();
    let sessions = tower_sessions_0_14::SessionManagerLayer::new(store);
    let layer = axum_login::AuthManagerLayerBuilder::new(Users, sessions).build();
    let mut service = layer.layer(service_fn(sites::axum_login));
    let cookie = signed_in(&mut service);
    measurement.measure("axum-login 0.18, memory", service, cookie);

    let config = axum_session::SessionConfig::default();
    let store = axum_session::SessionStore::<axum_session::SessionNullPool>::new(None, config);
    let store = measure::now(store).unwrap();
    let mut service = axum_session::SessionLayer::new(store).layer(service_fn(sites::axum_session));
    let cookie = signed_in(&mut service);
    measurement.measure("axum_session 0.22, memory", service, cookie);

    for (name, algorithm) in [
        ("hand-written, cookie + jsonwebtoken, HS256", Algorithm::Hs256),
        ("hand-written, cookie + jsonwebtoken, EdDSA", Algorithm::EdDsa),
        ("hand-written, cookie + jsonwebtoken, ES256", Algorithm::Es256),
    ] {
        let by_hand = ByHand::new(algorithm);
        let mut service = service_fn(move |request| by_hand.clone().answer(request));
        let cookie = signed_in(&mut service);
        measurement.measure(name, service, cookie);
    }
}

fn main() {
    // One of the peers spawns a background task.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();

    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["threads"] => return two_threads(),
        ["stores"] => return runtime.block_on(store_operations()),
        ["names"] => return measure_all(&mut Names),
        ["count", name, requests] => {
            return measure_all(&mut Count(name.to_owned(), requests.parse().unwrap()));
        }
        _ => {}
    }
    println!("## Cost of one request\n");
    println!("Above the service without middleware; {ROUNDS} rounds, one thread.\n");
    println!("| | µs min | median | max | allocations |\n|---|--:|--:|--:|--:|");
    measure_all(&mut Overhead(None));

    println!("\n## Throughput over loopback\n");
    println!(
        "Requests per second of one hyper thread with 16 connections, five rounds. The ratio compares \
         each round with a server without middleware that receives the same requests.\n"
    );
    println!("| | min | median | max | ratio |\n|---|--:|--:|--:|--:|");
    measure_all(&mut Loopback);

    two_threads();

    println!("\n## Number of sessions\n");
    println!(
        "Requests use the sessions in turn. The cache holds 10,000 tokens: with more sessions, every \
         token is verified.\n"
    );
    println!("| sessions | µs min | median | max |\n|--:|--:|--:|--:|");
    let max = arguments.first().and_then(|max| max.parse().ok()).unwrap_or(1_000_000);
    for count in [1_000, 100_000, 1_000_000].into_iter().filter(|count| *count <= max) {
        let (layer, cookies) = layer(Algorithm::Hs256, None, 1, count);
        let cost = cost(&mut layer.layer(service_fn(sites::this_crate)), &cookies);
        println!("| {count} | {} |", cost.micros);
    }

    println!("\n## Store operations\n");
    println!("1,000 requests of one session within 100 seconds, all of them user activity.\n");
    println!("| | operations |\n|---|--:|");
    runtime.block_on(store_operations());
}

/// Counts the store operations of a series of requests.
async fn store_operations() {
    const REQUESTS: u32 = 1_000;
    let start = Timestamp::from_unix_seconds(1_800_000_000);
    for renew_after in [60, 10] {
        let clock = ManualClock::at(start);
        let engine = sites::engine_renewing(Duration::from_secs(renew_after));
        let store = Counted::<MemoryStore>::default();
        let layer = SessionLayer::new(engine).clock(clock.clone()).store(store.clone());
        let mut service = layer.layer(service_fn(sites::this_crate_with_sign_in));
        let answer = service.call(measure::sign_in_request()).await.unwrap();
        let mut cookie = measure::cookies_of(&answer);
        store.take();
        for _ in 0..REQUESTS {
            clock.advance(Duration::from_millis(100));
            let answer = service.call(measure::request(cookie.as_deref())).await.unwrap();
            assert_eq!(answer.status(), StatusCode::ACCEPTED);
            cookie = measure::cookies_of(&answer).or(cookie);
        }
        println!("| this crate, `renew_after` of {renew_after} s | {} |", store.take());
    }
    for (name, always) in [("one key read", false), ("sliding (`always_save`)", true)] {
        let store = Counted::<tower_sessions::MemoryStore>::default();
        let layer =
            tower_sessions::SessionManagerLayer::new(store.clone()).with_always_save(always);
        let mut service = layer.layer(service_fn(sites::tower_sessions));
        let cookie = signed_in(&mut service);
        store.take();
        for _ in 0..REQUESTS {
            let answer = service.call(measure::request(cookie.as_deref())).await.unwrap();
            assert_eq!(answer.status(), StatusCode::ACCEPTED);
        }
        println!("| tower-sessions 0.15, {name} | {} |", store.take());
    }
}

/// Compares the throughput of two threads with that of one.
fn two_threads() {
    println!("\n## Two threads\n");
    println!("Requests per second, including the time to create the requests.\n");
    println!("| | one thread | two threads | ratio |\n|---|--:|--:|--:|");
    let (layer_of_two, cookies) = layer_of_today(2);
    let service = layer_of_two.layer(service_fn(sites::this_crate));
    for (name, cookies) in
        [("one token per thread", &cookies[..]), ("the same token", &cookies[..1])]
    {
        let [one, two] = [1, 2].map(|n| {
            Spread::of((0..5).map(|_| server::threads(&service, cookies, n)).collect()).median
        });
        println!("| this crate, {name} | {one:.0} | {two:.0} | {:.2} |", two / one);
    }
}
