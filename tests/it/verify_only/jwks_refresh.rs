//! Keys that are fetched: how often, for whom, and what an outage of the issuer does.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use serde_json::{Value, json};
use tower_auth_session::{
    Algorithm, JwksFetchError, JwksFetcher, JwksFuture, SessionEngine, SessionEvent, SessionLayer,
    TrustedIssuer,
};

use super::issuer::{ISSUER, Site, claims, good, header, mint, token};
use crate::support::User;

const ADA: &str = "Ada";
const OUT: &str = "SignedOut";
const AWAY: &str = "Unavailable";
const URL: &str = "https://accounts.example.com/.well-known/jwks.json";

/// The issuer's endpoint, as the test wants it to be. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    body: Option<String>,
    takes: Duration,
    fetches: usize,
}

impl Endpoint {
    pub(crate) fn with(kids: &[&str]) -> Self {
        let inner = Inner { body: None, takes: Duration::from_millis(50), fetches: 0 };
        let endpoint = Self(Arc::new(Mutex::new(inner)));
        endpoint.publish(kids);
        endpoint
    }

    pub(crate) fn publish(&self, kids: &[&str]) {
        self.says(Some(jwks(kids.iter().map(|kid| jwk(kid)))));
    }

    /// `None` for an outage.
    pub(crate) fn says(&self, body: Option<String>) {
        self.0.lock().unwrap().body = body;
    }

    fn takes(&self, time: Duration) {
        self.0.lock().unwrap().takes = time;
    }

    /// How often it was asked since the last time.
    pub(crate) fn fetches(&self) -> usize {
        std::mem::take(&mut self.0.lock().unwrap().fetches)
    }
}

impl JwksFetcher for Endpoint {
    fn fetch<'a>(&'a self, url: &'a str) -> JwksFuture<'a> {
        assert_eq!(url, URL);
        let (body, takes) = {
            let mut inner = self.0.lock().unwrap();
            inner.fetches += 1;
            (inner.body.clone(), inner.takes)
        };
        Box::pin(async move {
            tokio::time::sleep(takes).await;
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

fn site(endpoint: &Endpoint) -> Site {
    let mut site = Site::trusting([TrustedIssuer::new(ISSUER)]);
    site.layer = site.layer.jwks_fetch(endpoint.clone());
    site
}

fn of_key(kid: &str) -> String {
    mint("any").sign(header(kid).to_string(), claims().to_string())
}

/// Lets `seconds` pass for keys, and not for tokens.
async fn pass(site: &Site, seconds: u64) {
    let wall = tower_auth_session::Clock::now(&site.clock).timestamp();
    site.clock.advance(Duration::from_secs(seconds));
    site.clock.set(wall);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_are_one_fetch() {
    let endpoint = Endpoint::with(&["k1"]);
    let site = site(&endpoint);
    let token = good();
    let answers = join_all((0..1_000).map(|_| site.bearer(&token))).await;
    assert!(answers.iter().all(|response| response == ADA));
    assert_eq!(endpoint.fetches(), 1);
    assert_eq!((site.bearer(&token).await.as_str(), endpoint.fetches()), (ADA, 0));
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_cause_one_fetch_an_interval() {
    let endpoint = Endpoint::with(&["k1"]);
    let site = site(&endpoint);
    assert_eq!(site.bearer(&good()).await, ADA);
    endpoint.fetches();
    for round in 0..3 {
        for kid in 0..100 {
            let response = site.bearer(&of_key(&format!("made-up-{round}-{kid}"))).await;
            assert_eq!(response, OUT, "round {round}, {kid}");
        }
        assert_eq!(endpoint.fetches(), usize::from(round > 0), "round {round}");
        pass(&site, 30).await;
    }
    // A new key is known after that interval at the latest.
    endpoint.publish(&["k1", "k2"]);
    assert_eq!(site.bearer(&of_key("k2")).await, ADA);
    assert_eq!(endpoint.fetches(), 1);
    // No key is asked for that has no name, nor for an issuer who is a stranger.
    pass(&site, 30).await;
    let nameless = mint("k1").sign(r#"{"alg":"EdDSA"}"#, claims().to_string());
    let stranger = super::issuer::with(claims(), "iss", json!("https://evil.example"));
    for token in [nameless, token(&header("new"), &stranger), "x".to_owned()] {
        assert_eq!(site.bearer(&token).await, OUT);
    }
    let hs256 = json!({ "alg": "HS256", "kid": "new" });
    assert_eq!(site.bearer(&token(&hs256, &claims())).await, OUT, "{}", site.reason());
    assert_eq!(endpoint.fetches(), 0);
}

/// Who gives up while the keys are fetched takes them from nobody, and spends nobody's fetch.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_harms_none() {
    let endpoint = Endpoint::with(&["k1"]);
    let site = site(&endpoint);
    let token = good();
    let dropped = tokio::time::timeout(Duration::from_millis(10), site.bearer(&token)).await;
    assert!(dropped.is_err());
    assert_eq!(site.bearer(&token).await, ADA);
    assert_eq!(endpoint.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_away_at_the_start() {
    let endpoint = Endpoint::with(&[]);
    endpoint.says(None);
    let site = site(&endpoint);
    assert_eq!(site.bearer(&good()).await, AWAY, "neither good nor bad");
    assert_eq!(site.guarded(&good()).await, 503);
    assert_eq!(site.bearer("x").await, OUT, "that is bad, whatever the keys");
    assert_eq!(endpoint.fetches(), 1);
    let told = |events: &[SessionEvent]| {
        events.iter().any(|event| matches!(event, SessionEvent::JwksUnavailable { .. }))
    };
    assert!(told(&site.events.take()));
    // One that hangs: a request waits for two seconds, and the others with it.
    pass(&site, 5).await;
    endpoint.takes(Duration::from_secs(60));
    let started = tokio::time::Instant::now();
    assert_eq!(join_all((0..10).map(|_| site.guarded(&TOKEN))).await, [503; 10]);
    assert_eq!(started.elapsed(), Duration::from_secs(2));
    assert_eq!(endpoint.fetches(), 1);
    // It is given up, and tried again.
    endpoint.takes(Duration::ZERO);
    endpoint.publish(&["k1"]);
    pass(&site, 30).await;
    assert_eq!(site.bearer(&good()).await, ADA);
}

static TOKEN: std::sync::LazyLock<String> = std::sync::LazyLock::new(good);

#[tokio::test(start_paused = true)]
async fn an_outage_keeps_the_last_keys() {
    let endpoint = Endpoint::with(&["k1"]);
    let site = site(&endpoint);
    assert_eq!(site.bearer(&good()).await, ADA);
    for broken in
        [None, Some("<html>".to_owned()), Some("{}".to_owned()), Some(" ".repeat(300_000))]
    {
        endpoint.says(broken.clone());
        pass(&site, 31).await;
        assert_eq!(site.bearer(&of_key("k2")).await, AWAY, "who knows what keys there are");
        assert_eq!(site.bearer(&good()).await, ADA, "{broken:.20?}");
    }
    // For a day, and no longer.
    pass(&site, 24 * 3600 - 124).await;
    assert_eq!(site.bearer(&good()).await, ADA);
    pass(&site, 10).await;
    assert_eq!(site.bearer(&good()).await, AWAY);
    endpoint.publish(&["k1"]);
    pass(&site, 10).await;
    assert_eq!(site.bearer(&good()).await, ADA);
}

#[tokio::test(start_paused = true)]
async fn withdrawn_keys_are_gone() {
    let endpoint = Endpoint::with(&["k1", "k2"]);
    let site = site(&endpoint);
    assert_eq!(site.bearer(&of_key("k1")).await, ADA);
    endpoint.publish(&["k2"]);
    // Nobody runs `background()`, and nobody came for hours: the keys of then are not believed unseen.
    pass(&site, 10 * 60).await;
    assert_eq!(site.bearer(&of_key("k1")).await, OUT);
    assert_eq!(endpoint.fetches(), 2);
    assert_eq!(site.bearer(&of_key("k2")).await, ADA);
}

/// An answer without a key that could be used is a mistake, or somebody's doing: it locks nobody out.
#[tokio::test(start_paused = true)]
async fn a_set_without_a_usable_key_withdraws_nothing() {
    let endpoint = Endpoint::with(&["k1"]);
    let mut site = Site::trusting([TrustedIssuer::new(ISSUER).algorithms([Algorithm::EdDsa])]);
    site.layer = site.layer.jwks_fetch(endpoint.clone());
    assert_eq!(site.bearer(&good()).await, ADA);
    let rsa = |kid: &str| json!({ "kty": "RSA", "kid": kid, "alg": "RS256", "e": "AQAB", "n": modulus() });
    let broken = || super::issuer::with(jwk("k1"), "x", json!("AA"));
    // Behind so many that are looked at nothing counts.
    let crowd = (0..32).map(|number| rsa(&format!("r{number}"))).chain([jwk("k2")]);
    for set in [jwks([]), jwks([rsa("k1"), broken()]), jwks(crowd), "{\"keys\":[1]}".to_owned()] {
        site.events.take();
        endpoint.says(Some(set.clone()));
        pass(&site, 600).await;
        assert_eq!(site.bearer(&good()).await, ADA, "{set:.80}");
        assert_eq!(site.bearer(&of_key("k2")).await, AWAY, "{set:.80}");
        let told = site.events.take();
        let is_one = |event: &&SessionEvent| matches!(event, SessionEvent::JwksUnavailable { .. });
        assert!(told.iter().any(|event| is_one(&event)), "{set:.80}");
    }
    // One is enough, beside what cannot be used.
    endpoint.says(Some(jwks([rsa("k1"), broken(), jwk("k2")])));
    pass(&site, 600).await;
    assert_eq!(site.bearer(&of_key("k2")).await, ADA);
    assert_eq!(site.bearer(&good()).await, OUT);
}

/// A layer that has no way to fetch says so, and not with every request.
#[tokio::test(start_paused = true)]
async fn without_a_way_to_fetch_it_is_told_now_and_then() {
    let site = Site::trusting([TrustedIssuer::new(ISSUER)]);
    for seconds in [0, 4, 1] {
        pass(&site, seconds).await;
        for _ in 0..10 {
            assert_eq!(site.bearer(&good()).await, AWAY);
        }
    }
    let told = site.events.take();
    let told = told.iter().filter(|event| matches!(event, SessionEvent::JwksUnavailable { .. }));
    assert_eq!(told.count(), 2, "once in five seconds");
}

/// Old keys are worth a wait, and no outage.
#[tokio::test(start_paused = true)]
async fn an_issuer_that_hangs_keeps_the_first_ones_waiting() {
    let endpoint = Endpoint::with(&["k1"]);
    let site = site(&endpoint);
    let token = good();
    assert_eq!(site.bearer(&token).await, ADA);
    pass(&site, 3600).await;
    endpoint.takes(Duration::from_secs(60));
    for waited in [2, 2, 0] {
        let started = tokio::time::Instant::now();
        let answers = join_all((0..10).map(|_| site.bearer(&token))).await;
        assert!(answers.iter().all(|response| response == ADA), "{answers:?}");
        assert_eq!(started.elapsed(), Duration::from_secs(waited));
        if waited == 2 && endpoint.fetches() == 0 {
            // It is given up.
            pass(&site, 15).await;
        }
    }
}

/// A fetch is over whatever a listener does about it.
#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_stops_no_fetch() {
    let endpoint = Endpoint::with(&["k1"]);
    endpoint.says(None);
    let mut site = site(&endpoint);
    let engine = SessionEngine::<User>::verifier([TrustedIssuer::new(ISSUER)])
        .on_event(|event| assert!(!matches!(event, SessionEvent::JwksUnavailable { .. })))
        .build()
        .unwrap();
    let layer = SessionLayer::new(engine).clock(site.clock.clone());
    site.layer = layer.jwks_fetch(endpoint.clone());
    assert_eq!(site.bearer(&good()).await, AWAY);
    endpoint.publish(&["k1"]);
    pass(&site, 6).await;
    assert_eq!(site.bearer(&good()).await, ADA);
}

#[tokio::test(start_paused = true)]
async fn a_period_without_end_is_no_panic() {
    let endpoint = Endpoint::with(&["k1"]);
    let issuer = TrustedIssuer::new(ISSUER)
        .refresh_every(Duration::MAX)
        .refetch_after(Duration::MAX)
        .keep_through_outage(Duration::MAX);
    let mut site = Site::trusting([issuer]);
    site.layer = site.layer.jwks_fetch(endpoint.clone());
    assert_eq!(site.bearer(&good()).await, ADA);
    assert_eq!(site.bearer(&of_key("k2")).await, OUT);
}

/// What is published beside usable keys is passed over (RFC 7517 §5).
#[tokio::test(start_paused = true)]
async fn only_keys_that_can_be_used_are_taken() {
    let pinned = TrustedIssuer::new(ISSUER).algorithms([Algorithm::EdDsa, Algorithm::Rs256]);
    let endpoint = Endpoint::with(&[]);
    let rsa = json!({
        "kty": "RSA", "kid": "rsa", "e": "AQAB", "n": modulus(),
    });
    let secret = json!({ "kty": "oct", "kid": "hmac", "alg": "HS256", "k": "A".repeat(43) });
    let twice = jwk("k1");
    let other_use = super::issuer::with(jwk("enc"), "use", json!("enc"));
    let unknown = json!({ "kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AAAA" });
    let broken = super::issuer::with(jwk("broken"), "x", json!("AA"));
    let private = super::issuer::with(jwk("private"), "d", json!("AAAA"));
    endpoint.says(Some(jwks([
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
    site.layer = site.layer.jwks_fetch(endpoint.clone());
    assert_eq!(site.bearer(&good()).await, ADA);
    for kid in ["enc", "broken", "private", "pq"] {
        assert_eq!(site.bearer(&of_key(kid)).await, OUT, "{kid}");
    }
    let by_rsa = crate::support::token_forge::TokenForge::rs256("rsa", super::issuer::RSA_PRIVATE)
        .sign(json!({ "alg": "RS256", "kid": "rsa" }).to_string(), claims().to_string());
    assert_eq!(site.bearer(&by_rsa).await, ADA, "the one RSA algorithm that is pinned");
    let by_secret = crate::support::token_forge::TokenForge::with_secret("hmac", &[0; 32])
        .sign(json!({ "alg": "HS256", "kid": "hmac" }).to_string(), claims().to_string());
    assert_eq!(site.bearer(&by_secret).await, OUT, "a published secret");
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
