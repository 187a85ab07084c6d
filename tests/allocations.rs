//! Allocations per request: only for what the application gets.
//!
//! The map of `http::Extensions` takes 2, and each entry in it 1: the status and, if the request is signed
//! in, the session. The jar takes 1.
#![cfg(all(feature = "test-util", feature = "aws-lc-rs"))]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "../benches/cost/cases.rs"]
mod cases;

use std::convert::Infallible;

use http::{Request, Response};
use tower::{Layer as _, Service};

use tower_auth_session::SessionLayer;

use cases::{Body, CASES, Site, bare, now, request};

/// The maximum average per case. Decoding the user's claims takes 5, and the payload of a token 1. The
/// engine's name in the token takes 1 each time that a token is decoded or issued.
const BUDGETS: [(&str, f64); 12] = [
    ("cached", 5.0),
    ("cached-of-five", 5.0),
    ("cached-bound", 6.0),
    ("signed-out", 4.0),
    ("first-seen-hs256", 17.0),
    ("first-seen-eddsa", 17.0),
    ("cache-off", 16.0),
    ("one-of-1000", 16.0),
    ("renewal-cached", 16.5),
    ("renewal-first-seen", 28.5),
    ("forged-1", 5.0),
    ("forged-4", 5.0),
];

const COUNT: usize = 32;

#[test]
fn requests_allocate_no_more_than_their_budget() {
    let mut baseline = bare();
    let before = allocations(&mut baseline, (0..COUNT).map(|_| request(None)).collect());
    let mut problems = Vec::new();
    for (name, max) in BUDGETS {
        let case = CASES.iter().find(|case| case.name == name).unwrap();
        let mut site = Site::new(case, COUNT);
        let requests = (0..COUNT).map(|n| site.request(n)).collect();
        assert_eq!(site.signs_in, !name.starts_with("forged") && name != "signed-out");
        let own = allocations(&mut site.service, requests) - before;
        println!("{name}: {own}");
        if own > max {
            problems.push(format!("{name}: {own}, maximum {max}"));
        }
    }
    assert_eq!(BUDGETS.len(), CASES.len());
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// The average number of allocations of one request.
fn allocations<S, B>(service: &mut S, requests: Vec<Request<Body>>) -> f64
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let counted = allocation_counter::measure(|| {
        for request in requests {
            let Ok(response) = now(service.call(request));
            drop(response);
        }
    });
    counted.count_total as f64 / COUNT as f64
}

/// axum wraps every route anew for each connection.
#[test]
fn layer_allocates_nothing_for_another_service() {
    let layer = SessionLayer::new(CASES[0].engine());
    drop(layer.layer(bare()));
    let counted = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            drop(layer.clone().layer(bare()));
        }
    });
    assert_eq!(counted.count_total, 0);
}
