//! Bearer tokens with a store.

use std::{convert::Infallible, future::Future, time::Duration};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, header};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::Value;
use tower_auth_session::{
    Algorithm, Session, SessionEngine, SessionLayer, SessionLifetime, SessionStatus,
    bearer::{BearerTokenError, BearerTokens},
    engine::SessionEngineBuilder,
    error::TouchError,
    verify_only::TrustedIssuer,
};

use super::fixture::Node;
use crate::support::{Browser, START, User, faulty_store::Fault, get, post, seconds};

/// Issues bearer tokens for up to ten minutes and accepts them.
fn with_bearer_tokens(builder: SessionEngineBuilder<User>) -> SessionEngineBuilder<User> {
    builder.bearer_tokens(BearerTokens::new().max_lifetime(seconds(600)).accept(true))
}

fn node() -> Node {
    Node::with(with_bearer_tokens, |layer| layer)
}

async fn token(node: &Node, browser: &mut Browser) -> String {
    let response = node.send(browser, post("/session/token", "lifetime=600")).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let body: Value = serde_json::from_str(response.text()).unwrap();
    body["token"].as_str().unwrap().to_owned()
}

fn with_bearer<B>(token: &str, mut request: Request<B>) -> Request<B> {
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}

/// The user of a request with this bearer token and no cookies.
async fn user_of(node: &Node, token: &str) -> String {
    let mut client = Browser::default();
    let response = node.send(&mut client, with_bearer(token, get("/"))).await;
    assert!(client.cookies.is_empty());
    response.text().to_owned()
}

async fn run_pending_tasks() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// The session that a handler of `node` gets.
async fn session_of(node: &Node, request: Request<http_body_util::Full<Bytes>>) -> Session<User> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let service = tower::service_fn(move |request: Request<_>| {
        let (session, sender) = (request.extensions().get().cloned(), sender.clone());
        async move {
            let _: &http_body_util::Full<Bytes> = request.body();
            sender.send(session).await.unwrap();
            Ok::<_, Infallible>(http::Response::new(String::new()))
        }
    });
    let service = tower::Layer::layer(&node.layer, service);
    tower::ServiceExt::oneshot(service, request).await.unwrap();
    receiver.recv().await.unwrap().expect("signed in")
}

/// A revocation is remembered for as long as the longest bearer token is valid, not only for the
/// staleness window of cookies.
#[tokio::test(start_paused = true)]
async fn revoked_bearer_token_is_rejected_by_other_nodes_until_it_expires() {
    let node = node();
    let elsewhere = node.sibling(with_bearer_tokens);
    let background = tokio::spawn(elsewhere.layer.background());
    run_pending_tasks().await;
    let mut browser = node.sign_in("ada").await;
    let token = token(&node, &mut browser).await;
    node.store.take_calls();
    assert_eq!(user_of(&elsewhere, &token).await, "ada");
    assert_eq!(node.store.take_calls(), [""; 0], "no query per token");
    node.post(&mut browser, "/out").await;
    run_pending_tasks().await;
    for _ in 0..9 {
        assert_eq!(user_of(&elsewhere, &token).await, "SignedOut");
        node.advance(10);
    }
    background.abort();
}

/// A node that has not received a revocation can still issue a bearer token. Nodes that have received it
/// reject that token too.
#[tokio::test(start_paused = true)]
async fn bearer_token_issued_after_the_revocation_is_rejected_until_it_expires() {
    let slow = |builder: SessionEngineBuilder<User>| {
        let lifetime = SessionLifetime::new().renew_after(seconds(60));
        with_bearer_tokens(builder).lifetime(lifetime)
    };
    let without_feed = Node::with(slow, |layer| layer);
    let (with_feed, other) = (without_feed.sibling(slow), without_feed.sibling(slow));
    let background = tokio::spawn(with_feed.layer.background());
    run_pending_tasks().await;
    let mut browser = without_feed.sign_in("ada").await;
    let mut bob = without_feed.sign_in("bob").await;
    other.post(&mut browser.clone(), "/out").await;
    run_pending_tasks().await;
    without_feed.advance(50);
    let token = token(&without_feed, &mut browser).await;
    assert_eq!(user_of(&with_feed, &token).await, "SignedOut");
    without_feed.advance(570);
    // Another revocation sweeps the revocation list.
    other.post(&mut bob, "/out").await;
    run_pending_tasks().await;
    assert_eq!(user_of(&with_feed, &token).await, "SignedOut");
    background.abort();
}

/// A sign-out with a bearer token revokes the session on all nodes.
#[tokio::test(start_paused = true)]
async fn sign_out_with_a_bearer_token_revokes_in_the_store() {
    let node = node();
    let elsewhere = node.sibling(with_bearer_tokens);
    let mut browser = node.sign_in("ada").await;
    let token = token(&node, &mut browser).await;
    node.store.take_calls();
    node.send(&mut Browser::default(), with_bearer(&token, post("/out", ""))).await;
    assert_eq!(node.store.take_calls(), ["end"]);
    node.advance(11);
    assert_eq!(elsewhere.current_user(&mut browser).await, "SignedOut");
}

/// Until the feed has been read, each bearer token is checked with the store.
#[tokio::test(start_paused = true)]
async fn bearer_token_is_checked_with_the_store_until_the_feed_is_read() {
    let node = node();
    let mut browser = node.sign_in("ada").await;
    let token = token(&node, &mut browser).await;
    let late = node.sibling(with_bearer_tokens);
    let background_not_started = late.layer.background();
    node.store.take_calls();
    assert_eq!(user_of(&late, &token).await, "ada");
    assert_eq!(node.store.take_calls(), ["load"]);
    node.store.set(Fault::Refused);
    assert_eq!(user_of(&late, &token).await, "Unavailable");
    let guarded = with_bearer(&token, get("/guarded"));
    assert_eq!(late.send(&mut Browser::default(), guarded).await.status, 503);
    node.store.set(Fault::None);
    node.post(&mut browser, "/out").await;
    assert_eq!(user_of(&late, &token).await, "SignedOut");
    drop(background_not_started);
}

/// A session that is due for renewal gets a bearer token only if the store confirms it.
#[tokio::test(start_paused = true)]
async fn bearer_token_of_a_due_session_needs_the_store() {
    let node = node();
    let mut browser = node.sign_in("ada").await;
    node.advance(11);
    node.store.set(Fault::Refused);
    let refused = node.send(&mut browser, post("/session/token", "")).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "5"));
    node.store.set(Fault::None);
    let elsewhere = node.sibling(with_bearer_tokens);
    elsewhere.post(&mut browser.clone(), "/out").await;
    node.advance(11);
    assert_eq!(node.send(&mut browser, post("/session/token", "")).await.status, 401);
}

/// A long-lived stream cannot issue bearer tokens with an old confirmation.
#[tokio::test(start_paused = true)]
async fn session_confirmed_long_ago_issues_no_bearer_token() {
    let node = node();
    let browser = node.sign_in("ada").await;
    let mut request = get("/");
    let cookies = browser.cookie_header().unwrap().parse().unwrap();
    request.headers_mut().insert(header::COOKIE, cookies);
    let session = session_of(&node, request).await;
    node.advance(10);
    assert!(session.bearer_token().is_ok());
    node.advance(1);
    assert_eq!(session.bearer_token(), Err(BearerTokenError::RequestTooOld));
}

/// A stream that a bearer token authenticated ends with the token, although the session continues.
#[tokio::test(start_paused = true)]
async fn stream_ends_with_its_bearer_token() {
    let node = node();
    let mut browser = node.sign_in("ada").await;
    let response = node.send(&mut browser, post("/session/token", "lifetime=60")).await;
    let body: Value = serde_json::from_str(response.text()).unwrap();
    let token = body["token"].as_str().unwrap();
    let session = session_of(&node, with_bearer(token, get("/"))).await;
    assert_eq!(session.touch().await, Err(TouchError::BearerToken));
    node.advance(59);
    assert_eq!(node.current_user(&mut browser).await, "ada", "with a newer cookie");
    assert!(session.ended().now_or_never().is_none());
    node.advance(1);
    assert!(session.ended().now_or_never().is_some());
    assert_eq!(node.current_user(&mut browser).await, "ada");
}

/// A node without the feed accepts a bearer token for the staleness window of a cookie, and then queries
/// the store once for all tokens of the session and all waiting requests.
#[tokio::test(start_paused = true)]
async fn bearer_token_without_a_feed_is_checked_once_per_staleness_window() {
    let node = node();
    let without_feed = node.sibling(with_bearer_tokens);
    let mut browser = node.sign_in("ada").await;
    let token = token(&node, &mut browser).await;
    node.store.take_calls();
    node.advance(9);
    assert_eq!(user_of(&without_feed, &token).await, "ada");
    assert_eq!(node.store.take_calls(), [""; 0], "within the staleness window");
    node.advance(1);
    let both = futures::join!(user_of(&without_feed, &token), user_of(&without_feed, &token));
    assert_eq!(both, ("ada".to_owned(), "ada".to_owned()));
    assert_eq!(node.store.take_calls(), ["load"]);
    node.post(&mut browser, "/out").await;
    node.store.take_calls();
    node.advance(9);
    assert_eq!(user_of(&without_feed, &token).await, "ada", "the confirmation is nine seconds old");
    node.advance(1);
    for _ in 0..2 {
        assert_eq!(user_of(&without_feed, &token).await, "SignedOut");
    }
    assert_eq!(node.store.take_calls(), ["load"], "the revocation is remembered");
}

/// A node with the feed does not query the store, unless the feed was not read for a minute.
#[tokio::test(start_paused = true)]
async fn bearer_token_is_checked_when_the_feed_was_not_read_for_a_minute() {
    let long = |builder: SessionEngineBuilder<User>| {
        let lifetime = SessionLifetime::new().inactivity_timeout(seconds(900));
        with_bearer_tokens(builder).lifetime(lifetime.renew_after(seconds(10)))
    };
    let node = Node::with(long, |layer| layer);
    let mut browser = node.sign_in("ada").await;
    let token = token(&node, &mut browser).await;
    let background = tokio::spawn(node.layer.background());
    run_pending_tasks().await;
    node.store.take_calls();
    node.advance(60);
    assert_eq!(user_of(&node, &token).await, "ada");
    assert_eq!(node.store.take_calls(), [""; 0]);
    node.advance(1);
    assert_eq!(user_of(&node, &token).await, "ada");
    assert_eq!(node.store.take_calls(), ["load"]);
    node.advance(10);
    tokio::time::sleep(seconds(21)).await;
    assert_eq!(user_of(&node, &token).await, "ada");
    assert_eq!(node.store.take_calls(), [""; 0], "the feed was read");
    background.abort();
    node.advance(61);
    assert_eq!(user_of(&node, &token).await, "ada");
    assert_eq!(node.store.take_calls(), ["load"], "the feed is no longer read");
}

/// `outage_grace` applies to bearer tokens as it does to cookies.
#[tokio::test(start_paused = true)]
async fn bearer_token_is_accepted_in_an_outage_for_the_grace_only() {
    let node = Node::with(with_bearer_tokens, |layer| layer.outage_grace(seconds(30)));
    let mut browser = node.sign_in("ada").await;
    let token = token(&node, &mut browser).await;
    node.store.set(Fault::Refused);
    node.advance(39);
    assert_eq!(user_of(&node, &token).await, "ada");
    node.advance(1);
    assert_eq!(user_of(&node, &token).await, "Unavailable");
    node.store.set(Fault::OtherSubject);
    node.advance(10);
    assert_eq!(user_of(&node, &token).await, "Unavailable", "the record of another subject");
    node.store.set(Fault::None);
    node.advance(10);
    assert_eq!(user_of(&node, &token).await, "ada");
}

/// The head of the request is served while the session is active; its body arrives after another node
/// revoked the session and after the revocation has left the feed's memory.
#[tokio::test(start_paused = true)]
async fn token_endpoint_checks_the_session_when_it_issues_the_token() {
    let lifetime = |builder: SessionEngineBuilder<User>| {
        let lifetime = SessionLifetime::new().renew_after(seconds(60));
        with_bearer_tokens(builder).lifetime(lifetime)
    };
    for (wait, expected) in [(59, 200), (75, 503)] {
        let node = Node::with(lifetime, |layer| layer);
        let other = node.sibling(lifetime);
        let browser = node.sign_in("ada").await;
        let (mut response, mut sender) = slow_request(&node, &browser, "/session/token");
        assert!(futures::poll!(&mut response).is_pending());
        if expected == 503 {
            other.post(&mut browser.clone(), "/out").await;
        }
        node.advance(wait);
        sender.start_send(Ok(Frame::data("lifetime=600".into()))).unwrap();
        drop(sender);
        let response = response.await;
        assert_eq!(response.status, expected, "{wait} s: {}", response.text());
    }
}

#[tokio::test(start_paused = true)]
async fn endpoint_answers_408_to_a_body_that_does_not_arrive() {
    let json = r#""code":"body_timeout""#;
    let seven = |layer: SessionLayer<User>| layer.endpoint_body_timeout(seconds(7));
    for (node, timeout) in [(node(), 10), (Node::with(with_bearer_tokens, seven), 7)] {
        let browser = node.sign_in("ada").await;
        for path in ["/session/token", "/sign-out"] {
            let (response, _sender) = slow_request(&node, &browser, path);
            let start = tokio::time::Instant::now();
            let response = response.await;
            assert_eq!(response.status, 408, "{path}");
            assert!(response.text().contains(json), "{path}: {}", response.text());
            assert_eq!(start.elapsed(), seconds(timeout), "{path}");
        }
        assert_eq!(node.send(&mut browser.clone(), get("/")).await.text(), "ada");
    }
}

type Frames = futures::channel::mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>;

/// The response to a POST to an endpoint, and the sender of the body's frames.
fn slow_request(
    node: &Node,
    browser: &Browser,
    path: &str,
) -> (impl Future<Output = crate::support::TestResponse> + Unpin, Frames) {
    let (sender, receiver) = futures::channel::mpsc::unbounded();
    let (mut parts, _) = post(path, "").into_parts();
    let cookies: Vec<_> = browser.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
    parts.headers.insert(header::COOKIE, cookies.join("; ").parse().unwrap());
    let service = tower::Layer::layer(
        &node.layer,
        tower::service_fn(async |_: Request<StreamBody<_>>| {
            Ok::<_, Infallible>(http::Response::new(String::new()))
        }),
    );
    let request = Request::from_parts(parts, StreamBody::new(receiver));
    let response = async {
        let response = tower::ServiceExt::oneshot(service, request).await.unwrap();
        crate::support::TestResponse::of(response).await
    };
    (Box::pin(response), sender)
}

/// A verify-only service with the issuer's store queries it for the issuer's sessions, from bearer tokens
/// and cookies, and not for sessions of another issuer.
#[tokio::test(start_paused = true)]
async fn verify_only_service_queries_the_store_for_its_issuer_only() {
    let (issuer, other) = (crate::support::ORIGIN, "https://hosted.example.com");
    let node = node();
    let mut browser = node.sign_in("ada").await;
    let token = token(&node, &mut browser).await;
    // The other issuer names the session of this issuer.
    let sid = crate::support::token_forge::payload(&token)["sid"].clone();
    let hosted = crate::support::token_forge::TokenForge::new("k1").sign(
        r#"{"alg":"HS256","typ":"JWT","kid":"k1"}"#,
        serde_json::json!({
            "iss": other, "sub": "bob", "sid": sid, "iat": START, "exp": START + 600,
            "name": "bob",
        })
        .to_string(),
    );
    let trusted = |name: &str| {
        let key = crate::support::key("k1").verifying_key();
        TrustedIssuer::new(name).algorithms([Algorithm::Hs256]).key(key).cookie("token")
    };
    let engine =
        SessionEngine::<User>::verify_only([trusted(issuer).shares_store(), trusted(other)]);
    let layer = SessionLayer::new(engine.build().unwrap());
    let layer = layer.store(node.store.clone()).clock(node.clock.clone());
    let app = tower::service_fn(|request: Request<http_body_util::Full<Bytes>>| {
        let kind = request.extensions().get::<SessionStatus>().unwrap().kind();
        let response = http::Response::new(format!("{kind:?}"));
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let service = tower::Layer::layer(&layer, app);
    let who = async |request: Request<_>| {
        let response = tower::ServiceExt::oneshot(service.clone(), request).await.unwrap();
        crate::support::TestResponse::of(response).await.text().to_owned()
    };
    let mut by_cookie = get("/");
    by_cookie.headers_mut().insert(header::COOKIE, format!("token={token}").parse().unwrap());
    node.advance(60);
    node.store.take_calls();
    assert_eq!(who(with_bearer(&hosted, get("/"))).await, "SignedIn");
    assert_eq!(node.store.take_calls(), [""; 0]);
    assert_eq!(who(with_bearer(&token, get("/"))).await, "SignedIn");
    assert_eq!(node.store.take_calls(), ["load"]);
    node.post(&mut browser, "/out").await;
    node.advance(60);
    assert_eq!(who(by_cookie).await, "SignedOut");
    assert_eq!(who(with_bearer(&hosted, get("/"))).await, "SignedIn");
}
