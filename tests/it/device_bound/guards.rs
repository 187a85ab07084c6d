//! Guards on routes for bound sessions, and what clients get without a proof.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::{
    RequireSessionLayer,
    config::{DeviceBound, RedirectUrls},
};

use super::{BOUND_FOR, Site, altered, builder};
use crate::support::{ORIGIN, TestResponse, get, probe::now_or_never, seconds};

/// Sends `request` with the browser's cookies to a service behind `guard`.
pub(super) fn send(
    site: &mut Site,
    guard: &RequireSessionLayer,
    mut request: Request<Full<Bytes>>,
) -> TestResponse {
    if let Some(cookies) = site.browser.cookie_header() {
        request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
    }
    let service = guard.layer(service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("the page")))
    }));
    let response = now_or_never(site.probe.layer.layer(service).oneshot(request)).unwrap();
    let response = now_or_never(TestResponse::of(response));
    site.browser.store(&response.headers);
    response
}

pub(super) fn navigation(path: &str) -> Request<Full<Bytes>> {
    let mut request = get(path);
    request.headers_mut().insert("sec-fetch-mode", HeaderValue::from_static("navigate"));
    request
}

fn post() -> Request<Full<Bytes>> {
    let mut request = get("/a?b=c");
    *request.method_mut() = http::Method::POST;
    request.headers_mut().insert(header::ORIGIN, HeaderValue::from_static(ORIGIN));
    request
}

fn any() -> RequireSessionLayer {
    RequireSessionLayer::new()
}

fn recent() -> RequireSessionLayer {
    any().device_within(seconds(30))
}

fn code(response: &TestResponse) -> String {
    let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    problem["code"].as_str().unwrap().to_owned()
}

/// A site with a sign-in page, whose browser is bound.
fn bound() -> Site {
    let urls = RedirectUrls::new().sign_in_url("/sign-in");
    let mut site = Site::new(builder(DeviceBound::Preferred).redirect_urls(urls));
    let offer = site.sign_in("ada");
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    site
}

#[test]
fn old_proof_is_renewed_by_a_redirect() {
    let mut site = bound();
    let name = site.proof_name();
    for request in [navigation("/a?b=c"), get("/a?b=c")] {
        assert_eq!(send(&mut site, &recent(), get("/")).text(), "the page");
        site.advance(30);
        assert_eq!(send(&mut site, &recent(), get("/")).text(), "the page");
        site.advance(1);
        assert_eq!(send(&mut site, &any(), get("/")).text(), "the page");
        let response = send(&mut site, &recent(), request);
        assert_eq!(response.status, StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(response.header("location"), "/a?b=c");
        assert!(response.header("cache-control").contains("no-store"));
        assert!(!site.browser.cookies.contains_key(&name), "the browser renews it");
        assert_eq!(site.refresh().status, StatusCode::NO_CONTENT);
        assert_eq!(send(&mut site, &recent(), get("/a?b=c")).text(), "the page");
    }
    // A browser that does not renew it is not redirected again.
    site.advance(31);
    assert_eq!(send(&mut site, &recent(), get("/")).status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(send(&mut site, &recent(), get("/")).status, StatusCode::UNAUTHORIZED);
}

#[test]
fn old_proof_of_a_form_is_refused_and_kept() {
    let mut site = bound();
    site.advance(31);
    let name = site.proof_name();
    let before = site.browser.cookies[&name].clone();
    let response = send(&mut site, &recent(), post());
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(code(&response), "device_proof_too_old");
    assert_eq!(site.browser.cookies[&name], before);
}

#[test]
fn shortest_age_of_a_proof_is_half_a_minute() {
    let mut site = bound();
    site.advance(30);
    let none = || any().device_within(seconds(0));
    assert_eq!(send(&mut site, &none(), get("/")).text(), "the page");
    site.advance(1);
    assert_eq!(send(&mut site, &none(), get("/")).status, StatusCode::TEMPORARY_REDIRECT);
}

#[test]
fn unbound_session_is_refused_where_a_device_is_required() {
    let mut site = bound();
    assert_eq!(send(&mut site, &any().device_bound(), get("/")).text(), "the page");
    site.sign_in("bob");
    assert_eq!(send(&mut site, &any(), get("/")).text(), "the page");
    for guard in [any().device_bound(), recent()] {
        let response = send(&mut site, &guard, get("/"));
        assert_eq!(response.status, StatusCode::FORBIDDEN);
        assert_eq!(code(&response), "device_not_bound");
        let response = send(&mut site, &guard, navigation("/"));
        assert_eq!(response.status, StatusCode::FORBIDDEN);
        assert!(response.text().contains("This browser is not supported"), "{}", response.text());
    }
    site.browser.cookies.clear();
    let response = send(&mut site, &any().device_bound(), navigation("/"));
    assert_eq!(response.status, StatusCode::SEE_OTHER, "signed out");
}

#[test]
fn request_without_a_proof_gets_a_page_that_tries_again() {
    let mut site = bound();
    site.browser.cookies.remove(&site.proof_name());
    let response = send(&mut site, &any(), navigation("/a?b=c"));
    assert_eq!((response.status, response.header("refresh")), (StatusCode::UNAUTHORIZED, "10"));
    assert!(response.header("content-type").starts_with("text/html"));
    let page = response.text();
    assert!(page.contains("href=\"/a?b=c\"") && page.contains("href=\"/sign-in?"), "{page}");
    let response = send(&mut site, &any(), get("/a"));
    assert_eq!((response.status, response.header("refresh")), (StatusCode::UNAUTHORIZED, ""));
    assert_eq!(code(&response), "device_unproven");
    let mut form = post();
    form.headers_mut().insert("sec-fetch-mode", HeaderValue::from_static("navigate"));
    let response = send(&mut site, &any(), form);
    assert_eq!((response.status, response.header("refresh")), (StatusCode::UNAUTHORIZED, ""));
}

#[test]
fn invalid_proof_is_removed_by_a_redirect_so_that_the_browser_renews_it() {
    let mut site = bound();
    let name = site.proof_name();
    let invalid = altered(&site.browser.cookies[&name]);
    for value in [Some(invalid), None] {
        match value {
            Some(invalid) => _ = site.browser.cookies.insert(name.clone(), invalid),
            // The clock of the browser is behind.
            None => site.advance(BOUND_FOR),
        }
        let before = site.browser.cookies.clone();
        assert_eq!(send(&mut site, &any(), post()).status, StatusCode::UNAUTHORIZED);
        assert_eq!(site.browser.cookies, before);
        let response = send(&mut site, &any(), navigation("/a?b=c"));
        assert_eq!(response.status, StatusCode::TEMPORARY_REDIRECT);
        assert!(!site.browser.cookies.contains_key(&name));
        assert_eq!(send(&mut site, &any(), get("/")).status, StatusCode::UNAUTHORIZED);
        assert_eq!(site.refresh().status, StatusCode::NO_CONTENT);
        assert_eq!(send(&mut site, &any(), get("/")).text(), "the page");
    }
}

#[test]
fn required_names_the_reason_to_other_browsers() {
    let urls = RedirectUrls::new().sign_in_url("/sign-in");
    let mut site = Site::new(builder(DeviceBound::Required).redirect_urls(urls));
    site.sign_in("ada");
    assert_eq!(send(&mut site, &any(), navigation("/")).text(), "the page");
    site.advance(6);
    let response = send(&mut site, &any(), navigation("/"));
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    assert!(response.text().contains("href=\"/sign-in?"), "{}", response.text());
    assert_eq!(code(&send(&mut site, &any(), get("/"))), "device_not_bound");
    assert_eq!(site.browser.cookies.len(), 1, "nothing is removed");
}
