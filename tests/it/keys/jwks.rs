//! `GET /.well-known/jwks.json`.

use http::{Method, header};
use serde_json::Value;
use tower::{Layer as _, service_fn};
use tower_auth_session::{
    KeyRing, SignIn,
    config::{Endpoint, Endpoints},
    keys::VerifyingKey,
    time::Timestamp,
};

use super::{builder, current_user, ed25519};
use crate::support::{
    Browser, START, TestResponse, get, key, layer_on, seconds, secret, subject, user,
};

const PATH: &str = "/.well-known/jwks.json";

async fn fetch(
    layer: &tower_auth_session::SessionLayer<crate::support::User>,
    path: &str,
) -> TestResponse {
    Browser::default().send(&layer.layer(service_fn(current_user)), get(path)).await
}

fn kids(response: &TestResponse) -> Vec<String> {
    let set: Value = serde_json::from_slice(&response.body).unwrap();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn jwks_lists_public_members_of_trusted_keys_only() {
    let (signs, next) = (ed25519("2026-11"), ed25519("2027-02"));
    let ring = KeyRing::new(signs.clone())
        .with_key(next.verifying_key())
        .with_key(key("hmac").verifying_key())
        .with_key(ed25519("2026-08").verifying_key());
    ring.retire("2026-08", Timestamp::from_unix_seconds(START)).unwrap();
    let (layer, _) = layer_on(builder(ring.clone()));
    let response = fetch(&layer, PATH).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), "application/jwk-set+json");
    assert_eq!(response.header("cache-control"), "public, max-age=300, stale-if-error=3600");
    assert_eq!(kids(&response), ["2026-11", "2027-02"]);
    assert_eq!(response.text(), ring.public_jwks(Timestamp::from_unix_seconds(START)));

    // Only these members, and never a secret.
    let set: Value = serde_json::from_slice(&response.body).unwrap();
    for shown in set["keys"].as_array().unwrap() {
        let members: Vec<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
    }
    assert!(!response.text().contains("hmac") && !response.text().contains(&secret("hmac")));
    // A ring that is built from the response can verify.
    let reader = KeyRing::from_jwks(response.text()).unwrap();
    assert_eq!(reader.kids(), ["2026-11", "2027-02"]);
    assert!(VerifyingKey::from_jwk(&set["keys"][0].to_string()).is_ok());
}

#[tokio::test]
async fn jwks_is_cacheable_until_the_keys_change() {
    let ring = KeyRing::new(ed25519("one"));
    let (layer, clock) = layer_on(builder(ring.clone()));
    let service = layer.layer(service_fn(current_user));
    let first = fetch(&layer, PATH).await;
    let etag = first.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    let fetch_if_none_match = async |tags: &str| {
        let mut request = get(PATH);
        request.headers_mut().insert(header::IF_NONE_MATCH, tags.parse().unwrap());
        Browser::default().send(&service, request).await
    };
    for tags in [etag.clone(), format!("\"x\", W/{etag}"), "*".to_owned()] {
        let response = fetch_if_none_match(&tags).await;
        assert_eq!((response.status.as_u16(), response.body.len()), (304, 0), "{tags}");
        assert_eq!(response.header("etag"), etag);
        assert_eq!(response.header("cache-control"), first.header("cache-control"));
    }
    assert_eq!(fetch_if_none_match("\"x\"").await.status, 200);

    // A published key is listed at once, in an order that is the same on every node.
    let next = ed25519("next");
    ring.publish(next.verifying_key()).unwrap();
    let response = fetch_if_none_match(&etag).await;
    assert_eq!(
        (response.status.as_u16(), kids(&response)),
        (200, vec!["next".into(), "one".into()])
    );
    let published = response.header("etag").to_owned();
    ring.promote(next).unwrap();
    assert_eq!(fetch_if_none_match(&published).await.status, 304);

    // No client may cache a key beyond its retirement.
    ring.retire("one", Timestamp::from_unix_seconds(START + 1_000)).unwrap();
    let caching = async || fetch(&layer, PATH).await.header("cache-control").to_owned();
    assert_eq!(caching().await, "public, max-age=300, stale-if-error=700");
    clock.advance(seconds(900));
    assert_eq!(caching().await, "public, max-age=100, stale-if-error=0");
    clock.advance(seconds(100));
    assert_eq!(kids(&fetch(&layer, PATH).await), ["next"]);
    assert_eq!(caching().await, "public, max-age=300, stale-if-error=3600");
}

#[tokio::test]
async fn jwks_responses_set_no_cookie_and_allow_get_and_head() {
    let (layer, clock) = layer_on(builder(KeyRing::new(ed25519("one"))));
    let service = layer.layer(service_fn(current_user));
    let mut browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
    clock.advance(seconds(10));
    // A renewal is due, but a public response cannot carry it.
    let response = browser.send(&service, get(PATH)).await;
    assert_eq!((response.status.as_u16(), response.set_cookies()), (200, vec![]));
    assert_eq!(response.header("vary"), "");
    let with = |method: Method| {
        let mut request = get(PATH);
        *request.method_mut() = method;
        request
    };
    let head = browser.send(&service, with(Method::HEAD)).await;
    let length = response.body.len().to_string();
    assert_eq!((head.header("content-length"), head.body.len()), (length.as_str(), 0));
    assert_eq!(head.header("etag"), response.header("etag"));
    let refused = browser.send(&service, with(Method::POST)).await;
    assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, "GET, HEAD"));
}

#[tokio::test]
async fn jwks_path_and_max_age_are_configurable() {
    let ring = || KeyRing::new(ed25519("one"));
    let (moved, _) = layer_on(
        builder(ring())
            .endpoints(Endpoints::new().path(Endpoint::Jwks, "/keys").jwks_max_age(seconds(60))),
    );
    assert_eq!(fetch(&moved, PATH).await.text(), "application: signed out");
    let response = fetch(&moved, "/keys").await;
    assert_eq!(response.header("cache-control"), "public, max-age=60, stale-if-error=3600");
    let (off, _) = layer_on(builder(ring()).endpoints(Endpoints::new().disable(Endpoint::Jwks)));
    assert_eq!(fetch(&off, PATH).await.text(), "application: signed out");
    // Symmetric keys are never published, so the endpoint is not served.
    let secrets = KeyRing::new(key("k1"));
    assert_eq!(secrets.public_jwks(Timestamp::from_unix_seconds(START)), r#"{"keys":[]}"#);
    let (secret, _) = layer_on(builder(secrets));
    assert_eq!(fetch(&secret, PATH).await.text(), "application: signed out");
    let error = builder(ring())
        .endpoints(Endpoints::new().jwks_max_age(seconds(86_401)))
        .build()
        .unwrap_err();
    assert_eq!(error.problems()[0].field(), "endpoints.jwks_max_age");
}
