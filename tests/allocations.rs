//! How often a request allocates: nothing but what is handed over to the application.
//!
//! Of those, the map of `http::Extensions` takes 2, and each entry in it a box: the status and, when
//! somebody is signed in, the session. The jar is one.
#![cfg(all(feature = "test-util", feature = "aws-lc-rs"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../benches/cost/cases.rs"]
mod cases;

use std::convert::Infallible;

use http::{Request, Response};
use tower::Service;

use cases::{Body, CASES, Site, bare, now, request};

/// By case: the most, on average. Of the user's claims 5 are their own, where they are decoded.
const BUDGETS: [(&str, f64); 9] = [
    ("cached", 5.0),
    ("cached-of-five", 5.0),
    ("signed-out", 4.0),
    ("first-seen-hs256", 14.0),
    ("first-seen-eddsa", 14.0),
    ("renewal-cached", 14.5),
    ("renewal-first-seen", 23.5),
    ("forged-1", 5.0),
    ("forged-4", 5.0),
];

const COUNT: usize = 32;

#[test]
fn a_request_allocates_no_more_than_its_budget() {
    let mut without = bare();
    let before = allocations(&mut without, (0..COUNT).map(|_| request(None)).collect());
    let mut problems = Vec::new();
    for (name, most) in BUDGETS {
        let case = CASES.iter().find(|case| case.name == name).unwrap();
        let mut site = Site::new(case, COUNT);
        let requests = (0..COUNT).map(|n| site.request(n)).collect();
        assert_eq!(site.signs_in, !name.starts_with("forged") && name != "signed-out");
        let own = allocations(&mut site.service, requests) - before;
        println!("{name}: {own}");
        if own > most {
            problems.push(format!("{name}: {own}, at most {most}"));
        }
    }
    assert_eq!(BUDGETS.len(), CASES.len());
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// On average, of one request.
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
