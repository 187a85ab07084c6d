//! Compares this crate with the alternatives in one run. Prints Markdown.
//!
//! `peers [MAX_SESSIONS]` runs every measurement, `peers threads` only that on two threads, and `peers
//! sessions [MAX_SESSIONS]` only that of the cache. `peers store-speed` measures the stores of
//! tower-sessions beside `benches/stores`. `peers names` lists the services, and `peers count NAME
//! REQUESTS` sends requests to one of them, for callgrind to count.

mod measure;
mod mounts;
mod process;
mod server;
mod sites;
mod store_operations;
mod store_speed;

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use tower::{Layer as _, Service, service_fn};
use tower_auth_session::Algorithm;

use measure::{Body, ROUNDS, Spread, cost, signed_in};
use sites::{ByHand, Floor, Users, layer};

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

/// Prints the cost of each service above that of the first, and compares two of them.
#[derive(Default)]
struct Overhead {
    bare: Option<(f64, f64)>,
    floor: f64,
    cached: f64,
}

impl Measurement for Overhead {
    fn measure<S, B>(&mut self, name: &str, mut service: S, cookie: Option<String>)
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    {
        let Ok(answer) = measure::now(service.call(measure::request(cookie.as_deref())));
        assert_eq!(answer.status() == StatusCode::ACCEPTED, cookie.is_some(), "{name}");
        let mut cost = cost(&mut service, || cookie.as_deref());
        let (time, count) = *self.bare.get_or_insert((cost.micros.median, cost.allocations));
        if name != BARE {
            cost.micros = cost.micros.map(|micros| micros - time);
            cost.allocations -= count;
        }
        match name {
            FLOOR => self.floor = cost.micros.median,
            CACHED => self.cached = cost.micros.median,
            _ => {}
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

const BARE: &str = "no middleware";
const FLOOR: &str = "floor: one cached look-up";
const CACHED: &str = "this crate, cached token, HS256";

fn measure_all(measurement: &mut impl Measurement) {
    measurement.measure(BARE, service_fn(sites::bare), None);
    let (floor, cookies) = Floor::new(1);
    let floor = service_fn(move |request| floor.clone().answer(request));
    measurement.measure(FLOOR, floor, cookies[0].clone());

    let mut this_crate = |name: &str, algorithm, is_cached, age| {
        let capacity = |it: sites::Builder| if is_cached { it } else { it.verified_token_cache(0) };
        let (layer, cookies) = layer(algorithm, age, 1, capacity);
        measurement.measure(name, layer.layer(service_fn(sites::this_crate)), cookies[0].clone());
    };
    this_crate(CACHED, Algorithm::Hs256, true, 1);
    this_crate("this crate, cached token, EdDSA", Algorithm::EdDsa, true, 1);
    this_crate("this crate, cached token, ES256", Algorithm::Es256, true, 1);
    this_crate("this crate, cache off, HS256", Algorithm::Hs256, false, 1);
    this_crate("this crate, cache off, EdDSA", Algorithm::EdDsa, false, 1);
    this_crate("this crate, cache off, ES256", Algorithm::Es256, false, 1);
    this_crate("this crate, renewal of a cached token, HS256", Algorithm::Hs256, true, 61);
    let (signed_out, _) = layer(Algorithm::Hs256, 1, 0, |it| it);
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

    let (service, cookie) = sites::session_guard();
    measurement.measure("session-guard 0.3, memory", service, cookie);

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
    let max = arguments.last().and_then(|max| max.parse().ok()).unwrap_or(1_000_000);
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["threads"] => return process::two_threads(),
        ["sessions", ..] => return process::number_of_sessions(max),
        ["store-speed"] => return runtime.block_on(store_speed::store_speed()),
        ["names"] => return measure_all(&mut Names),
        ["count", name, _] => return measure_all(&mut Count(name.to_owned(), max)),
        _ => {}
    }
    println!("## Cost of one request\n");
    println!(
        "Above the service without middleware; {ROUNDS} rounds, one thread. All services use the \
         system's clock. In the process of this crate one user has signed out, and the claims of another \
         have changed, as in any process that has been in use. session-guard holds no data of the \
         application and needs the client's address: its page shows the subject, and each request has \
         the extension that axum adds for the address.\n"
    );
    println!("| | µs min | median | max | allocations |\n|---|--:|--:|--:|--:|");
    let mut overhead = Overhead::default();
    measure_all(&mut overhead);
    println!(
        "\nThe floor is a service that finds the cookie, looks the user up in a map behind a lock, and \
         passes it to the handler. A cached token takes {:.1} times as long.",
        overhead.cached / overhead.floor
    );

    mounts::mounts();

    println!("\n## Throughput over loopback\n");
    println!(
        "Requests per second of one hyper thread with 16 connections, five rounds. The ratio compares \
         each round with a server without middleware that receives the same requests.\n"
    );
    println!("| | min | median | max | ratio |\n|---|--:|--:|--:|--:|");
    measure_all(&mut Loopback);

    process::two_threads();
    process::number_of_sessions(max);
    process::accounts();
    process::memory();
    runtime.block_on(store_operations::store_operations());
}
