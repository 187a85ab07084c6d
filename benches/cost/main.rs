//! What one request costs: `cost CASE N` sends N requests of a case through the layer, each in one
//! function that callgrind can be told to count alone (`scripts/instructions` does). They are made
//! between what is counted, so that the allocator is as busy as a server keeps it.

mod cases;
mod router;

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use tower::Service;

use cases::{Body, CASES, Case, Site, bare, now, request};
use router::RouterSite;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let Some(name) = arguments.next() else {
        // `cargo bench` and `cargo test --benches`: each case works.
        CASES.iter().for_each(|case| run(case, 3));
        [true, false].into_iter().for_each(|has_layer| run_router(has_layer, 3));
        return;
    };
    let count = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(1_000);
    match CASES.iter().find(|case| case.name == name) {
        Some(case) => run(case, count),
        None if name == "bare" => {
            let mut service = bare();
            (0..count).for_each(|_| drop(measured(&mut service, request(None))));
        }
        None if name == "router" => run_router(true, count),
        None if name == "bare-router" => run_router(false, count),
        None => {
            let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
            eprintln!("no case {name}: bare bare-router router {}", names.join(" "));
            std::process::exit(2);
        }
    }
}

fn run(case: &Case, count: usize) {
    let mut site = Site::new(case, count);
    for n in 0..count {
        let request = site.request(n);
        let response = measured(&mut site.service, request);
        assert_eq!(response.status() == StatusCode::ACCEPTED, site.signs_in, "{}", case.name);
    }
}

fn run_router(has_layer: bool, count: usize) {
    let mut site = RouterSite::new(has_layer);
    for _ in 0..count {
        let request = site.request();
        let response = measured(&mut site, request);
        assert_eq!(response.status() == StatusCode::ACCEPTED, has_layer);
    }
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
