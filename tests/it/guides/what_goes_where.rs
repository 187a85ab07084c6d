//! The programs of the guide "What goes where".

use axum::http::{Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::Full;
use tower_auth_session::{
    KeyRing, SessionEngine, SessionLayer, SignIn, bearer::BearerTokens, testing::ManualClock,
    time::Timestamp,
};

use super::{cart::shop, csrf::notes};
use crate::support::{Browser, ORIGIN, START, get, key, post, seconds, subject};

fn layer() -> SessionLayer {
    let tokens = BearerTokens::new().max_lifetime(seconds(60)).accept(true);
    let engine = SessionEngine::<()>::builder(KeyRing::new(key("k1")))
        .origin(ORIGIN)
        .bearer_tokens(tokens)
        .build()
        .unwrap();
    let clock = ManualClock::at(Timestamp::from_unix_seconds(START));
    SessionLayer::new(engine).clock(clock)
}

fn ada(layer: &SessionLayer) -> Browser {
    Browser::signed_in(layer, SignIn::new(subject("ada"), ()))
}

#[tokio::test]
async fn forms_of_other_sites_are_refused_except_with_a_bearer_token() {
    let layer = layer();
    let mut browser = ada(&layer);
    let app = notes(layer.clone());
    let result = browser.send(&app, post("/session/token", "")).await;
    let token: serde_json::Value = serde_json::from_slice(&result.body).unwrap();
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());

    let send = |method: &str, site: &str, bearer: Option<&str>| {
        let request =
            Request::builder().method(method).uri("/notes").header("sec-fetch-site", site);
        let request = bearer
            .into_iter()
            .fold(request, |request, bearer| request.header(header::AUTHORIZATION, bearer));
        request.body(Full::<Bytes>::default()).unwrap()
    };
    for (method, site, bearer, status) in [
        ("POST", "same-origin", None, StatusCode::OK),
        ("POST", "same-site", None, StatusCode::FORBIDDEN),
        ("POST", "cross-site", None, StatusCode::FORBIDDEN),
        ("GET", "cross-site", None, StatusCode::OK),
        ("POST", "cross-site", Some(bearer.as_str()), StatusCode::OK),
        // An invalid token is a bearer credential too: it signs no user in.
        ("POST", "cross-site", Some("Bearer x"), StatusCode::OK),
        ("POST", "cross-site", Some("Basic x"), StatusCode::FORBIDDEN),
    ] {
        let response = browser.send(&app, send(method, site, bearer)).await;
        assert_eq!(response.status, status, "{method} {site} {bearer:?}");
    }
}

#[tokio::test]
async fn cart_of_another_session_layer_survives_signing_in_and_out() {
    let layer = layer();
    let app = shop(layer.clone());
    let mut browser = Browser::default();
    assert_eq!(browser.send(&app, post("/cart", "")).await.status, StatusCode::CREATED);
    assert_eq!(browser.send(&app, get("/check-out")).await.status, StatusCode::UNAUTHORIZED);
    browser.cookies.extend(ada(&layer).cookies);
    browser.send(&app, post("/cart", "")).await;
    let response = browser.send(&app, get("/check-out")).await;
    assert_eq!(response.text(), "Added to your cart. ada buys 2.");
    assert_eq!(browser.send(&app, get("/check-out")).await.text(), " ada buys 2.");

    browser.send(&app, post("/sign-out", "")).await;
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["__Host-visitor"]);
    browser.cookies.extend(ada(&layer).cookies);
    assert_eq!(browser.send(&app, get("/check-out")).await.text(), " ada buys 2.");
}
