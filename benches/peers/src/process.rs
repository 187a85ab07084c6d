//! Costs that depend on the number of threads, of sessions, and of accounts in a browser.

use std::{convert::Infallible, hint::black_box};

use http::{Request, Response};
use tower::{Layer as _, Service, service_fn};
use tower_auth_session::{Algorithm, SessionLayer, SessionLifetime};

use crate::{
    BARE, FLOOR,
    measure::{Body, ROUNDS, Shuffled, Spread, cost, measured, request, round, signed_in},
    server,
    sites::{self, Floor},
};

/// Compares the throughput of two threads with that of one.
pub(crate) fn two_threads() {
    println!("\n## Two threads\n");
    println!("Requests per second, including the time to create the requests.\n");
    println!("| | one thread | two threads | ratio |\n|---|--:|--:|--:|");
    let (layer, cookies) = sites::layer(Algorithm::Hs256, 1, 2, |it| it);
    let (floor, ids) = Floor::new(2);
    let floor = service_fn(move |request| floor.clone().answer(request));
    let this_crate = layer.layer(service_fn(sites::this_crate));
    scaling(BARE, &service_fn(sites::bare), &[None]);
    scaling(&format!("{FLOOR}, one user per thread"), &floor, &ids);
    scaling(&format!("{FLOOR}, the same user"), &floor, &ids[..1]);
    scaling("this crate, one token per thread", &this_crate, &cookies);
    scaling("this crate, the same token", &this_crate, &cookies[..1]);
}

fn scaling<S, B>(name: &str, service: &S, cookies: &[Option<String>])
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync,
{
    let rate = |threads| server::threads(service, cookies, threads);
    // The measurements alternate, because the speed of the machine drifts.
    let (one, two): (Vec<_>, Vec<_>) = (0..7).map(|_| (rate(1), rate(2))).unzip();
    let ratios = one.iter().zip(&two).map(|(one, two)| two / one).collect();
    let [one, two, ratio] = [one, two, ratios].map(|rates| Spread::of(rates).median);
    println!("| {name} | {one:.0} | {two:.0} | {ratio:.2} |");
}

/// Requests of many sessions, with caches of different sizes.
pub(crate) fn number_of_sessions(max: usize) {
    println!("\n## Number of sessions\n");
    println!(
        "Microseconds of one request above the service without middleware, and in brackets relative to \
         no cache. Each request is of a random session. The columns are capacities of the cache of \
         verified tokens; the default is 10,000. Before the measurement each token was used twice.\n"
    );
    println!(
        "| live sessions | no cache | 1,000 | 10,000 | 100,000 | one entry per session |\n\
         |--:|--:|--:|--:|--:|--:|"
    );
    let mut bare = service_fn(sites::bare);
    for count in [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|count| *count <= max) {
        let ring = sites::ring(Algorithm::Hs256);
        let engine = |capacity| {
            // No token is renewed during the measurement.
            let lifetime =
                SessionLifetime::new().renew_after(std::time::Duration::from_secs(3_600));
            sites::engine(ring.clone(), |it| it.lifetime(lifetime).verified_token_cache(capacity))
        };
        let cookies = sites::cookies(&engine(0), 1, count);
        let mut services = [0, 1_000, 10_000, 100_000, count].map(|capacity| {
            let mut service =
                SessionLayer::new(engine(capacity)).layer(service_fn(sites::this_crate));
            let used = if capacity == 0 { 0 } else { 2 };
            for cookie in (0..used).flat_map(|_| &cookies) {
                drop(measured(&mut service, request(cookie.as_deref())));
            }
            service
        });
        // The measurements alternate, because the speed of the machine drifts.
        let mut random = Shuffled::new();
        let mut rounds: Vec<[f64; 5]> = (0..=ROUNDS)
            .map(|_| {
                let bare = round(&mut bare, || None);
                services.each_mut().map(|service| {
                    round(service, || cookies[random.below(count)].as_deref()) - bare
                })
            })
            .collect();
        // The first round fills the processor's caches.
        rounds.remove(0);
        let median =
            |of: &dyn Fn(&[f64; 5]) -> f64| Spread::of(rounds.iter().map(of).collect()).median;
        let cells: Vec<_> = (1..5)
            .map(|n| {
                let (micros, ratio) =
                    (median(&|round| round[n]), median(&|round| round[n] / round[0]));
                format!("{micros:.2} ({ratio:.2})")
            })
            .collect();
        println!("| {count} | {:.2} | {} |", median(&|round| round[0]), cells.join(" | "));
    }
}

/// Requests of a browser with several accounts.
pub(crate) fn accounts() {
    println!("\n## Accounts in one browser\n");
    println!("Above the service without middleware. Every account has a cookie.\n");
    println!("| accounts | µs min | median | max | allocations |\n|--:|--:|--:|--:|--:|");
    let bare = cost(&mut service_fn(sites::bare), || None);
    for count in [1, 5, 10] {
        let (layer, cookies) = sites::layer(Algorithm::Hs256, 1, count, |it| {
            it.multi_session(true).max_sessions_per_browser(count)
        });
        let all: Vec<_> = cookies.into_iter().flatten().collect();
        let active = all[0].split(['.', '=']).nth(1).unwrap();
        let cookies = format!("__Host-session.active={active}; {}", all.join("; "));
        let mut service = layer.layer(service_fn(sites::this_crate));
        let cost = cost(&mut service, || Some(&cookies));
        let micros = cost.micros.map(|micros| micros - bare.micros.median);
        println!("| {count} | {micros} | {:.0} |", cost.allocations - bare.allocations);
    }
}

/// The number of sessions in the measurement of memory.
const SESSIONS: usize = 10_000;

/// Prints the memory that a process keeps for its active sessions.
pub(crate) fn memory() {
    println!("\n## Memory of a process\n");
    println!(
        "Bytes that a process keeps with 10,000 live sessions. This crate's sessions are in the users' \
         cookies, and the process keeps verified tokens; with the other crates it keeps the sessions \
         themselves, unless they are in a database.\n"
    );
    println!("| | bytes | per session |\n|---|--:|--:|");
    // The users signed in at another process.
    let ring = sites::ring(Algorithm::Hs256);
    let cookies = sites::cookies(&sites::engine(ring.clone(), |it| it), 1, SESSIONS);
    let bytes = kept(|| {
        let engine = sites::engine(ring.clone(), |it| it);
        let mut service = SessionLayer::new(engine).layer(service_fn(sites::this_crate));
        for cookie in (0..2).flat_map(|_| &cookies) {
            drop(measured(&mut service, request(cookie.as_deref())));
        }
        service
    });
    print_memory("this crate, default cache", bytes);
    let bytes = kept(|| {
        let store = tower_sessions::MemoryStore::default();
        let layer = tower_sessions::SessionManagerLayer::new(store);
        let mut service = layer.layer(service_fn(sites::tower_sessions));
        for _ in 0..SESSIONS {
            signed_in(&mut service);
        }
        service
    });
    print_memory("tower-sessions 0.15, memory", bytes);
}

/// The bytes that the value from `make` keeps allocated.
fn kept<T>(make: impl FnOnce() -> T) -> i64 {
    let mut made = None;
    let counted = allocation_counter::measure(|| made = Some(make()));
    drop(black_box(made));
    counted.bytes_current
}

fn print_memory(name: &str, bytes: i64) {
    println!("| {name} | {bytes} | {} |", bytes / SESSIONS as i64);
}
