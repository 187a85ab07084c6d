//! Fetching keys: how often, for which tokens, and during an outage of the issuer.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use serde_json::{Value, json};
use tower_auth_session::{
    Algorithm, SessionEngine, SessionLayer,
    event::SessionEvent,
    verify_only::{JwksFetchError, JwksFetcher, JwksFuture, TrustedIssuer},
};

use super::issuer::{ISSUER, Site, claims, forge, good, header, token};
use crate::support::User;

const ADA: &str = "Ada";
const SIGNED_OUT: &str = "SignedOut";
const UNAVAILABLE: &str = "Unavailable";
const URL: &str = "https://accounts.example.com/.well-known/jwks.json";

/// A JWKS endpoint that the test controls. Clones share the state.
#[derive(Debug, Clone)]
pub(crate) struct JwksEndpoint(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    body: Option<String>,
    latency: Duration,
    fetches: usize,
}

impl JwksEndpoint {
    pub(crate) fn with(kids: &[&str]) -> Self {
        let inner = Inner { body: None, latency: Duration::from_millis(50), fetches: 0 };
        let endpoint = Self(Arc::new(Mutex::new(inner)));
        endpoint.publish(kids);
        endpoint
    }

    pub(crate) fn publish(&self, kids: &[&str]) {
        self.respond_with(Some(jwks(kids.iter().map(|kid| jwk(kid)))));
    }

    /// Sets the response, or an outage if it is `None`.
    pub(crate) fn respond_with(&self, body: Option<String>) {
        self.0.lock().unwrap().body = body;
    }

    fn latency(&self, time: Duration) {
        self.0.lock().unwrap().latency = time;
    }

    /// The number of fetches since the last call.
    pub(crate) fn fetches(&self) -> usize {
        std::mem::take(&mut self.0.lock().unwrap().fetches)
    }
}

impl JwksFetcher for JwksEndpoint {
    fn fetch<'a>(&'a self, url: &'a str) -> JwksFuture<'a> {
        assert_eq!(url, URL);
        let (body, latency) = {
            let mut inner = self.0.lock().unwrap();
            inner.fetches += 1;
            (inner.body.clone(), inner.latency)
        };
        Box::pin(async move {
            tokio::time::sleep(latency).await;
            body.map(Into::into).ok_or_else(|| JwksFetchError::new("an outage"))
        })
    }
}

/// The test key, as it is published under `kid`.
pub(crate) fn jwk(kid: &str) -> Value {
    // The last 32 bytes of the SPKI are the point.
    let text: String =
        super::issuer::PUBLIC.lines().filter(|line| !line.starts_with('-')).collect();
    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };
    let der = STANDARD.decode(text).unwrap();
    let x = URL_SAFE_NO_PAD.encode(&der[der.len() - 32..]);
    json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA" })
}

pub(crate) fn jwks(keys: impl IntoIterator<Item = Value>) -> String {
    json!({ "keys": keys.into_iter().collect::<Vec<_>>() }).to_string()
}

fn site(endpoint: &JwksEndpoint) -> Site {
    let mut site = Site::trusting([TrustedIssuer::new(ISSUER)]);
    site.layer = site.layer.jwks_fetcher(endpoint.clone());
    site
}

fn token_with_kid(kid: &str) -> String {
    forge("any").sign(header(kid).to_string(), claims().to_string())
}

/// Advances the time for keys, and not for tokens.
async fn advance(site: &Site, seconds: u64) {
    let wall = tower_auth_session::time::Clock::now(&site.clock).timestamp();
    site.clock.advance(Duration::from_secs(seconds));
    site.clock.set(wall);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn concurrent_requests_share_one_fetch() {
    let endpoint = JwksEndpoint::with(&["k1"]);
    let site = site(&endpoint);
    let token = good();
    let responses = join_all((0..1_000).map(|_| site.bearer(&token))).await;
    assert!(responses.iter().all(|response| response == ADA));
    assert_eq!(endpoint.fetches(), 1);
    assert_eq!((site.bearer(&token).await.as_str(), endpoint.fetches()), (ADA, 0));
}

#[tokio::test(start_paused = true)]
async fn unknown_kids_cause_at_most_one_fetch_per_interval() {
    let endpoint = JwksEndpoint::with(&["k1"]);
    let site = site(&endpoint);
    assert_eq!(site.bearer(&good()).await, ADA);
    endpoint.fetches();
    for round in 0..3 {
        for kid in 0..100 {
            let response = site.bearer(&token_with_kid(&format!("made-up-{round}-{kid}"))).await;
            assert_eq!(response, SIGNED_OUT, "round {round}, {kid}");
        }
        assert_eq!(endpoint.fetches(), usize::from(round > 0), "round {round}");
        advance(&site, 30).await;
    }
    // A new key is known after one interval.
    endpoint.publish(&["k1", "k2"]);
    assert_eq!(site.bearer(&token_with_kid("k2")).await, ADA);
    assert_eq!(endpoint.fetches(), 1);
    // A missing `kid` and an unknown issuer cause no fetch.
    advance(&site, 30).await;
    let without_kid = forge("k1").sign(r#"{"alg":"EdDSA"}"#, claims().to_string());
    let other_issuer = super::issuer::with(claims(), "iss", json!("https://evil.example"));
    for token in [without_kid, token(&header("new"), &other_issuer), "x".to_owned()] {
        assert_eq!(site.bearer(&token).await, SIGNED_OUT);
    }
    let hs256 = json!({ "alg": "HS256", "kid": "new" });
    assert_eq!(site.bearer(&token(&hs256, &claims())).await, SIGNED_OUT, "{}", site.reason());
    assert_eq!(endpoint.fetches(), 0);
}

/// A request that is dropped while the keys are fetched does not cancel the fetch for the others.
#[tokio::test(start_paused = true)]
async fn dropped_request_does_not_cancel_the_fetch() {
    let endpoint = JwksEndpoint::with(&["k1"]);
    let site = site(&endpoint);
    let token = good();
    let dropped = tokio::time::timeout(Duration::from_millis(10), site.bearer(&token)).await;
    assert!(dropped.is_err());
    assert_eq!(site.bearer(&token).await, ADA);
    assert_eq!(endpoint.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn issuer_outage_at_start_is_unavailable_until_keys_are_fetched() {
    let endpoint = JwksEndpoint::with(&[]);
    endpoint.respond_with(None);
    let site = site(&endpoint);
    assert_eq!(site.bearer(&good()).await, UNAVAILABLE, "neither accepted nor rejected");
    assert_eq!(site.guarded(&good()).await, 503);
    assert_eq!(site.bearer("x").await, SIGNED_OUT, "invalid with any keys");
    assert_eq!(endpoint.fetches(), 1);
    let reported = |events: &[SessionEvent]| {
        events.iter().any(|event| matches!(event, SessionEvent::JwksUnavailable { .. }))
    };
    assert!(reported(&site.events.take()));
    // The issuer hangs: all concurrent requests wait for two seconds.
    advance(&site, 5).await;
    endpoint.latency(Duration::from_secs(60));
    let started = tokio::time::Instant::now();
    assert_eq!(join_all((0..10).map(|_| site.guarded(&TOKEN))).await, [503; 10]);
    assert_eq!(started.elapsed(), Duration::from_secs(2));
    assert_eq!(endpoint.fetches(), 1);
    // The fetch times out and is retried.
    endpoint.latency(Duration::ZERO);
    endpoint.publish(&["k1"]);
    advance(&site, 30).await;
    assert_eq!(site.bearer(&good()).await, ADA);
}

static TOKEN: std::sync::LazyLock<String> = std::sync::LazyLock::new(good);

#[tokio::test(start_paused = true)]
async fn issuer_outage_keeps_the_last_keys_for_a_day() {
    let endpoint = JwksEndpoint::with(&["k1"]);
    let site = site(&endpoint);
    assert_eq!(site.bearer(&good()).await, ADA);
    for broken in
        [None, Some("<html>".to_owned()), Some("{}".to_owned()), Some(" ".repeat(300_000))]
    {
        endpoint.respond_with(broken.clone());
        advance(&site, 31).await;
        assert_eq!(
            site.bearer(&token_with_kid("k2")).await,
            UNAVAILABLE,
            "k2 may have been published"
        );
        assert_eq!(site.bearer(&good()).await, ADA, "{broken:.20?}");
    }
    // The keys expire after a day.
    advance(&site, 24 * 3600 - 124).await;
    assert_eq!(site.bearer(&good()).await, ADA);
    advance(&site, 10).await;
    assert_eq!(site.bearer(&good()).await, UNAVAILABLE);
    endpoint.publish(&["k1"]);
    advance(&site, 10).await;
    assert_eq!(site.bearer(&good()).await, ADA);
}

#[tokio::test(start_paused = true)]
async fn withdrawn_keys_are_rejected_after_a_refresh() {
    let endpoint = JwksEndpoint::with(&["k1", "k2"]);
    let site = site(&endpoint);
    assert_eq!(site.bearer(&token_with_kid("k1")).await, ADA);
    endpoint.publish(&["k2"]);
    // Without `background()` and without requests the keys become stale, so they are fetched again before
    // use.
    advance(&site, 10 * 60).await;
    assert_eq!(site.bearer(&token_with_kid("k1")).await, SIGNED_OUT);
    assert_eq!(endpoint.fetches(), 2);
    assert_eq!(site.bearer(&token_with_kid("k2")).await, ADA);
}

/// A JWKS without a usable key is a mistake or an attack; the previous keys stay trusted.
#[tokio::test(start_paused = true)]
async fn jwks_without_a_usable_key_keeps_the_previous_keys() {
    let endpoint = JwksEndpoint::with(&["k1"]);
    let mut site = Site::trusting([TrustedIssuer::new(ISSUER).algorithms([Algorithm::EdDsa])]);
    site.layer = site.layer.jwks_fetcher(endpoint.clone());
    assert_eq!(site.bearer(&good()).await, ADA);
    let rsa = |kid: &str| json!({ "kty": "RSA", "kid": kid, "alg": "RS256", "e": "AQAB", "n": modulus() });
    let broken = || super::issuer::with(jwk("k1"), "x", json!("AA"));
    // Keys beyond the maximum number are not read.
    let crowd = (0..32).map(|number| rsa(&format!("r{number}"))).chain([jwk("k2")]);
    for set in [jwks([]), jwks([rsa("k1"), broken()]), jwks(crowd), "{\"keys\":[1]}".to_owned()] {
        site.events.take();
        endpoint.respond_with(Some(set.clone()));
        advance(&site, 600).await;
        assert_eq!(site.bearer(&good()).await, ADA, "{set:.80}");
        assert_eq!(site.bearer(&token_with_kid("k2")).await, UNAVAILABLE, "{set:.80}");
        let reported = site.events.take();
        let is_one = |event: &&SessionEvent| matches!(event, SessionEvent::JwksUnavailable { .. });
        assert!(reported.iter().any(|event| is_one(&event)), "{set:.80}");
    }
    // One usable key is enough.
    endpoint.respond_with(Some(jwks([rsa("k1"), broken(), jwk("k2")])));
    advance(&site, 600).await;
    assert_eq!(site.bearer(&token_with_kid("k2")).await, ADA);
    assert_eq!(site.bearer(&good()).await, SIGNED_OUT);
}

/// A layer without a JWKS fetcher reports it, but not with every request.
#[tokio::test(start_paused = true)]
async fn missing_jwks_fetcher_is_reported_at_intervals() {
    let site = Site::trusting([TrustedIssuer::new(ISSUER)]);
    for seconds in [0, 4, 1] {
        advance(&site, seconds).await;
        for _ in 0..10 {
            assert_eq!(site.bearer(&good()).await, UNAVAILABLE);
        }
    }
    let reported = site.events.take();
    let reported =
        reported.iter().filter(|event| matches!(event, SessionEvent::JwksUnavailable { .. }));
    assert_eq!(reported.count(), 2, "once in five seconds");
}

/// Stale keys are refreshed first; if that takes too long, they are used.
#[tokio::test(start_paused = true)]
async fn hanging_issuer_delays_requests_only_until_the_timeout() {
    let endpoint = JwksEndpoint::with(&["k1"]);
    let site = site(&endpoint);
    let token = good();
    assert_eq!(site.bearer(&token).await, ADA);
    advance(&site, 3600).await;
    endpoint.latency(Duration::from_secs(60));
    for waited in [2, 2, 0] {
        let started = tokio::time::Instant::now();
        let responses = join_all((0..10).map(|_| site.bearer(&token))).await;
        assert!(responses.iter().all(|response| response == ADA), "{responses:?}");
        assert_eq!(started.elapsed(), Duration::from_secs(waited));
        if waited == 2 && endpoint.fetches() == 0 {
            // The fetch times out.
            advance(&site, 15).await;
        }
    }
}

/// A fetch completes even if an event listener panics.
#[tokio::test(start_paused = true)]
async fn panicking_listener_does_not_stop_later_fetches() {
    let endpoint = JwksEndpoint::with(&["k1"]);
    endpoint.respond_with(None);
    let mut site = site(&endpoint);
    let engine = SessionEngine::<User>::verify_only([TrustedIssuer::new(ISSUER)])
        .on_event(|event| assert!(!matches!(event, SessionEvent::JwksUnavailable { .. })))
        .build()
        .unwrap();
    let layer = SessionLayer::new(engine).clock(site.clock.clone());
    site.layer = layer.jwks_fetcher(endpoint.clone());
    assert_eq!(site.bearer(&good()).await, UNAVAILABLE);
    endpoint.publish(&["k1"]);
    advance(&site, 6).await;
    assert_eq!(site.bearer(&good()).await, ADA);
}

#[tokio::test(start_paused = true)]
async fn maximum_refresh_intervals_do_not_panic() {
    let endpoint = JwksEndpoint::with(&["k1"]);
    let issuer = TrustedIssuer::new(ISSUER)
        .refresh_interval(Duration::MAX)
        .min_refetch_interval(Duration::MAX)
        .max_stale(Duration::MAX);
    let mut site = Site::trusting([issuer]);
    site.layer = site.layer.jwks_fetcher(endpoint.clone());
    assert_eq!(site.bearer(&good()).await, ADA);
    assert_eq!(site.bearer(&token_with_kid("k2")).await, SIGNED_OUT);
}

/// Unusable keys in a JWKS are ignored (RFC 7517 §5).
#[tokio::test(start_paused = true)]
async fn unusable_keys_in_a_jwks_are_ignored() {
    let pinned = TrustedIssuer::new(ISSUER).algorithms([Algorithm::EdDsa, Algorithm::Rs256]);
    let endpoint = JwksEndpoint::with(&[]);
    let rsa = json!({
        "kty": "RSA", "kid": "rsa", "e": "AQAB", "n": modulus(),
    });
    let secret = json!({ "kty": "oct", "kid": "hmac", "alg": "HS256", "k": "A".repeat(43) });
    let twice = jwk("k1");
    let other_use = super::issuer::with(jwk("enc"), "use", json!("enc"));
    let unknown = json!({ "kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AAAA" });
    let broken = super::issuer::with(jwk("broken"), "x", json!("AA"));
    let private = super::issuer::with(jwk("private"), "d", json!("AAAA"));
    endpoint.respond_with(Some(jwks([
        json!({}),
        rsa,
        secret,
        unknown,
        other_use,
        broken,
        private,
        jwk("k1"),
        twice,
    ])));
    let mut site = Site::trusting([pinned]);
    site.layer = site.layer.jwks_fetcher(endpoint.clone());
    assert_eq!(site.bearer(&good()).await, ADA);
    for kid in ["enc", "broken", "private", "pq"] {
        assert_eq!(site.bearer(&token_with_kid(kid)).await, SIGNED_OUT, "{kid}");
    }
    let by_rsa = crate::support::token_forge::TokenForge::rs256("rsa", super::issuer::RSA_PRIVATE)
        .sign(json!({ "alg": "RS256", "kid": "rsa" }).to_string(), claims().to_string());
    assert_eq!(site.bearer(&by_rsa).await, ADA, "the one RSA algorithm that is pinned");
    let by_secret = crate::support::token_forge::TokenForge::with_secret("hmac", &[0; 32])
        .sign(json!({ "alg": "HS256", "kid": "hmac" }).to_string(), claims().to_string());
    assert_eq!(site.bearer(&by_secret).await, SIGNED_OUT, "a published secret");
}

fn modulus() -> String {
    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };
    let pem = include_str!("../../vectors/keys/rsa2048.pkcs1.pub.pem");
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(text).unwrap();
    // SEQUENCE, INTEGER of 257 bytes with a leading zero, INTEGER 65537.
    URL_SAFE_NO_PAD.encode(&der[9..9 + 256])
}
