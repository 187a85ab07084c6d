//! This crate and what else a user would pick, side by side in one run. Prints Markdown.
//!
//! `peers [MOST_SESSIONS]` measures all, `peers two` two threads, `peers stores` stores, `peers names` names the services, and
//! `peers count NAME REQUESTS` sends requests to one of them, for callgrind to count.

mod measure;
mod server;
mod sites;
mod stores;

use std::{convert::Infallible, time::Duration};

use http::{Request, Response, StatusCode};
use tower::{Layer as _, Service, service_fn};
use tower_auth_session::{Algorithm, ManualClock, SessionLayer, Timestamp, store::MemoryStore};

use measure::{Body, ROUNDS, Spread, cost, signed_in};
use sites::{ByHand, Users, layer, layer_of_today};
use stores::Counted;

/// Whatever is asked of each service.
trait Ask {
    fn ask<S, B>(&mut self, name: &str, service: S, cookie: Option<String>)
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

impl Ask for Overhead {
    fn ask<S, B>(&mut self, name: &str, mut service: S, cookie: Option<String>)
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    {
        let Ok(answer) = measure::now(service.call(measure::request(cookie.as_deref())));
        assert_eq!(answer.status() == StatusCode::ACCEPTED, cookie.is_some(), "{name}");
        let mut cost = cost(&mut service, &[cookie]);
        let (time, count) = *self.0.get_or_insert((cost.micros.middle, cost.allocations));
        if name != "no middleware" {
            for micros in [&mut cost.micros.least, &mut cost.micros.middle, &mut cost.micros.most] {
                *micros -= time;
            }
            cost.allocations -= count;
        }
        println!("| {name} | {} | {:.0} |", cost.micros, cost.allocations);
    }
}

/// The names, and nothing else.
struct Names;

impl Ask for Names {
    fn ask<S, B>(&mut self, name: &str, _: S, _: Option<String>) {
        println!("{name}");
    }
}

/// So many requests to the service of that name.
struct Count(String, usize);

impl Ask for Count {
    fn ask<S, B>(&mut self, name: &str, mut service: S, cookie: Option<String>)
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    {
        if name == self.0 {
            // The first one finds the thread without what it keeps.
            drop(measure::now(service.call(measure::request(cookie.as_deref()))));
            for _ in 0..self.1 {
                drop(measure::measured(&mut service, measure::request(cookie.as_deref())));
            }
        }
    }
}

/// Beside a server without any that answers just before, since loopback drifts with the machine.
struct Loopback;

impl Ask for Loopback {
    fn ask<S, B>(&mut self, name: &str, service: S, cookie: Option<String>)
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
            let none = server::loopback(&service_fn(sites::bare), cookie.as_deref());
            let rate = server::loopback(&service, cookie.as_deref());
            rates.push(rate);
            ratios.push(rate / none);
        }
        println!("| {name} | {} | {:.2} |", Spread::of(rates), Spread::of(ratios).middle);
    }
}

fn everybody(asker: &mut impl Ask) {
    asker.ask("no middleware", service_fn(sites::bare), None);
    let mut ours = |name: &str, algorithm, capacity, age| {
        let (layer, cookies) = layer(algorithm, capacity, age, 1);
        asker.ask(name, layer.layer(service_fn(sites::ours)), cookies[0].clone());
    };
    ours("ours, token known, HS256", Algorithm::Hs256, None, 1);
    ours("ours, token known, EdDSA", Algorithm::EdDsa, None, 1);
    ours("ours, token known, ES256", Algorithm::Es256, None, 1);
    ours("ours, each token verified, HS256", Algorithm::Hs256, Some(0), 1);
    ours("ours, each token verified, EdDSA", Algorithm::EdDsa, Some(0), 1);
    ours("ours, each token verified, ES256", Algorithm::Es256, Some(0), 1);
    ours("ours, renewal, token known, HS256", Algorithm::Hs256, None, 61);
    let (anonymous, _) = layer(Algorithm::Hs256, None, 1, 0);
    asker.ask("ours, nobody signed in", anonymous.layer(service_fn(sites::ours)), None);

    for (name, always) in [
        ("tower-sessions 0.15, memory, one key read", false),
        ("tower-sessions 0.15, memory, sliding (`always_save`)", true),
    ] {
        let store = tower_sessions::MemoryStore::default();
        let layer = tower_sessions::SessionManagerLayer::new(store).with_always_save(always);
        let expiry = tower_sessions::Expiry::OnInactivity(time::Duration::days(7));
        let mut service = layer.with_expiry(expiry).layer(service_fn(sites::tower_sessions));
        let cookie = signed_in(&mut service);
        asker.ask(name, service, cookie);
    }
    let store = tower_sessions_0_14::MemoryStore::default();
    let sessions = tower_sessions_0_14::SessionManagerLayer::new(store);
    let layer = axum_login::AuthManagerLayerBuilder::new(Users, sessions).build();
    let mut service = layer.layer(service_fn(sites::axum_login));
    let cookie = signed_in(&mut service);
    asker.ask("axum-login 0.18, memory", service, cookie);

    let config = axum_session::SessionConfig::default();
    let store = axum_session::SessionStore::<axum_session::SessionNullPool>::new(None, config);
    let store = measure::now(store).unwrap();
    let mut service = axum_session::SessionLayer::new(store).layer(service_fn(sites::axum_session));
    let cookie = signed_in(&mut service);
    asker.ask("axum_session 0.22, memory", service, cookie);

    for (name, algorithm) in [
        ("cookie and jsonwebtoken by hand, HS256", Algorithm::Hs256),
        ("cookie and jsonwebtoken by hand, EdDSA", Algorithm::EdDsa),
        ("cookie and jsonwebtoken by hand, ES256", Algorithm::Es256),
    ] {
        let by_hand = ByHand::new(algorithm);
        let mut service = service_fn(move |request| by_hand.clone().answer(request));
        let cookie = signed_in(&mut service);
        asker.ask(name, service, cookie);
    }
}

fn main() {
    // One of the peers starts a task of its own.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();

    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["two"] => return two(),
        ["stores"] => return runtime.block_on(asked()),
        ["names"] => return everybody(&mut Names),
        ["count", name, requests] => {
            return everybody(&mut Count(name.to_owned(), requests.parse().unwrap()));
        }
        _ => {}
    }
    println!("## What one request costs\n");
    println!("Over a service without any; {ROUNDS} rounds, one thread.\n");
    println!("| | µs least | middle | most | allocations |\n|---|--:|--:|--:|--:|");
    everybody(&mut Overhead(None));

    println!("\n## A server over loopback\n");
    println!(
        "Requests a second of one thread of hyper, 16 connections, five rounds, each beside one \
         without any that is sent the same requests.\n"
    );
    println!("| | least | middle | most | of none |\n|---|--:|--:|--:|--:|");
    everybody(&mut Loopback);

    two();

    println!("\n## Many live sessions\n");
    println!(
        "Each in its turn, so that beyond the 10,000 that are remembered every one is verified.\n"
    );
    println!("| live sessions | µs least | middle | most |\n|--:|--:|--:|--:|");
    let most = arguments.first().and_then(|most| most.parse().ok()).unwrap_or(1_000_000);
    for count in [1_000, 100_000, 1_000_000].into_iter().filter(|count| *count <= most) {
        let (layer, cookies) = layer(Algorithm::Hs256, None, 1, count);
        let cost = cost(&mut layer.layer(service_fn(sites::ours)), &cookies);
        println!("| {count} | {} |", cost.micros);
    }

    println!("\n## What a store is asked\n");
    println!("1,000 requests of one session within 100 seconds, each of them activity.\n");
    println!("| | operations |\n|---|--:|");
    runtime.block_on(asked());
}

/// How often stores are asked.
async fn asked() {
    const REQUESTS: u32 = 1_000;
    let start = Timestamp::from_unix_seconds(1_800_000_000);
    for renew_after in [60, 10] {
        let clock = ManualClock::at(start);
        let engine = sites::engine_renewing(Duration::from_secs(renew_after));
        let store = Counted::<MemoryStore>::default();
        let layer = SessionLayer::new(engine).clock(clock.clone()).store(store.clone());
        let mut service = layer.layer(service_fn(sites::ours_with_sign_in));
        let answer = service.call(measure::sign_in_request()).await.unwrap();
        let mut cookie = measure::cookies_of(&answer);
        store.take();
        for _ in 0..REQUESTS {
            clock.advance(Duration::from_millis(100));
            let answer = service.call(measure::request(cookie.as_deref())).await.unwrap();
            assert_eq!(answer.status(), StatusCode::ACCEPTED);
            cookie = measure::cookies_of(&answer).or(cookie);
        }
        println!("| ours, `renew_after` of {renew_after} s | {} |", store.take());
    }
    for (name, always) in [("reading one key", false), ("sliding (`always_save`)", true)] {
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

/// How much more two threads do than one.
fn two() {
    println!("\n## Two processors\n");
    println!("Requests a second, those that make up the requests included.\n");
    println!("| | one thread | two | ratio |\n|---|--:|--:|--:|");
    let (layer_of_two, cookies) = layer_of_today(2);
    let service = layer_of_two.layer(service_fn(sites::ours));
    for (name, cookies) in [("a token each", &cookies[..]), ("one hot token", &cookies[..1])] {
        let [one, two] = [1, 2].map(|n| {
            Spread::of((0..5).map(|_| server::threads(&service, cookies, n)).collect()).middle
        });
        println!("| ours, {name} | {one:.0} | {two:.0} | {:.2} |", two / one);
    }
}
