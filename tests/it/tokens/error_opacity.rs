//! What a client can learn from a rejection.

use http::{StatusCode, header};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::RequireSessionLayer;

use super::*;
use crate::support::{TestResponse, post, probe::now_or_never};

/// ASVS 16.5.1: the client does not learn which rule its cookie violates.
#[test]
fn rejected_cookies_are_indistinguishable_to_the_client() {
    let forge = TokenForge::new("k1");
    let good = forge.session(&claims());
    let typ = forge.header().to_string().replace("session+jwt", "JWT");
    let flood = format!("x={}; {COOKIE}={good}", "y".repeat(40_000));
    let one = |token: &str| format!("{COOKIE}={token}");
    let refused = [
        one(&TokenForge::with_secret("k1", &[7; 32]).session(&claims())),
        one(&TokenForge::new("k9").session(&claims())),
        one("aaaa"),
        one(""),
        one("a.b.c"),
        one("eyJhbGciOiJub25lIn0.e30."),
        one(&format!("{good}A")),
        one(&forge.sign(typ, claims().to_string())),
        one(&forge.sign(forge.header().to_string().replace("HS256", "none"), "{}")),
        one(&forge.token("{}")),
        one(&forge.token("[]")),
        one(&forge.session(&claims_with("iat", json!(START + 60)))),
        one(&forge.session(&claims_with("aud", json!("them")))),
        one(&forge.session(&claims_with("name", json!(5)))),
        one(&"x".repeat(6_000)),
        format!("{}; {}", one(&good), one(&forge.session(&claims_with("sid", json!(SID_B))))),
        (1..=5).map(|n| one(&format!("a.b.{n}"))).collect::<Vec<_>>().join("; "),
        flood,
    ];
    let redirects = tower_auth_session::config::RedirectUrls::new().sign_in_url("/sign-in");
    let probe = Probe::new(engine_builder().0.redirect_urls(redirects));
    let plain = service_fn(|request: http::Request<Full<bytes::Bytes>>| async move {
        let session = request.extensions().get::<tower_auth_session::Session<User>>();
        let status = request.extensions().get::<tower_auth_session::SessionStatus>().unwrap();
        let body = format!("{:?} {}", status.kind(), session.is_some());
        Ok::<_, std::convert::Infallible>(http::Response::new(Full::from(body)))
    });
    let open = probe.layer.layer(plain);
    let guarded = probe.layer.layer(RequireSessionLayer::new().layer(plain));
    let html = |mut request: http::Request<_>| {
        request.headers_mut().insert(header::ACCEPT, "text/html".parse().unwrap());
        request
    };
    let result = |cookie: Option<&str>| -> Vec<TestResponse> {
        let with_cookie = |mut request: http::Request<Full<bytes::Bytes>>| {
            if let Some(cookie) = cookie {
                request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
            }
            request
        };
        let open = |request| {
            now_or_never(TestResponse::of(
                now_or_never(open.clone().oneshot(with_cookie(request))).unwrap(),
            ))
        };
        let guarded = |request| {
            now_or_never(TestResponse::of(
                now_or_never(guarded.clone().oneshot(with_cookie(request))).unwrap(),
            ))
        };
        vec![
            open(get("/")),
            open(post("/", "")),
            guarded(get("/")),
            guarded(html(get("/x?y=z"))),
            guarded(post("/", "")),
        ]
    };
    let same = |one: &TestResponse, other: &TestResponse| {
        (one.status, &one.headers, &one.body) == (other.status, &other.headers, &other.body)
    };
    let without = result(None);
    assert_eq!(without[0].text(), "SignedOut false");
    assert_eq!(without[2].status, StatusCode::UNAUTHORIZED);
    assert_eq!(without[3].header("location"), "/sign-in?redirect_url=%2Fx%3Fy%3Dz");
    for cookie in &refused {
        for (one, other) in result(Some(cookie)).iter().zip(&without) {
            assert!(same(one, other), "{cookie}: {one:?} is not {other:?}");
        }
    }
    // An expired cookie differs only in the headers that remove it.
    let expired = claims_with("exp", json!(START));
    for (mut one, mut other) in
        result(Some(&one(&forge.session(&expired)))).into_iter().zip(without)
    {
        assert_eq!(one.set_cookies().len(), 1);
        let clear_site_data = header::HeaderName::from_static("clear-site-data");
        for name in [header::SET_COOKIE, header::CACHE_CONTROL, header::VARY, clear_site_data] {
            one.headers.remove(&name);
            other.headers.remove(&name);
        }
        assert!(same(&one, &other), "{one:?} is not {other:?}");
    }
    assert!(
        result(Some(&one(&good)))[0].text().ends_with("true"),
        "a valid cookie is still accepted"
    );
}
