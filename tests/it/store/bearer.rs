//! Bearer tokens where a store decides.

use std::time::Duration;

use futures::FutureExt as _;
use http::{Request, header};
use serde_json::Value;
use tower_auth_session::{
    Algorithm, BearerTokenError, BearerTokens, Session, SessionEngine, SessionLayer,
    SessionLifetime, SessionStatus, TouchError, TrustedIssuer, engine::SessionEngineBuilder,
};

use super::fixture::Node;
use crate::support::{Browser, START, User, faulty_store::Fault, get, post, seconds};

/// Tokens of up to ten minutes, accepted.
fn accepting(builder: SessionEngineBuilder<User>) -> SessionEngineBuilder<User> {
    builder.bearer_tokens(BearerTokens::new().longest_lifetime(seconds(600)).accept(true))
}

fn node() -> Node {
    Node::with(accepting, |layer| layer)
}

async fn token(node: &Node, browser: &mut Browser) -> String {
    let response = node.send(browser, post("/session/token", "lifetime=600")).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let body: Value = serde_json::from_str(response.text()).unwrap();
    body["token"].as_str().unwrap().to_owned()
}

fn bearing<B>(token: &str, mut request: Request<B>) -> Request<B> {
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}

/// What `/` says to who has the token and nothing else.
async fn who(node: &Node, token: &str) -> String {
    let mut nobody = Browser::default();
    let response = node.send(&mut nobody, bearing(token, get("/"))).await;
    assert!(nobody.cookies.is_empty());
    response.text().to_owned()
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// The session as a handler of `node` has it.
async fn session_of(
    node: &Node,
    request: Request<http_body_util::Full<bytes::Bytes>>,
) -> Session<User> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let service = tower::service_fn(move |request: Request<_>| {
        let (session, sender) = (request.extensions().get().cloned(), sender.clone());
        async move {
            let _: &http_body_util::Full<bytes::Bytes> = request.body();
            sender.send(session).await.unwrap();
            Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
        }
    });
    let service = tower::Layer::layer(&node.layer, service);
    tower::ServiceExt::oneshot(service, request).await.unwrap();
    receiver.recv().await.unwrap().expect("signed in")
}

/// An end that was heard of is remembered for as long as the longest token lives, not only for as long
/// as a cookie is believed.
#[tokio::test(start_paused = true)]
async fn it_is_over_on_other_nodes_until_its_own_end() {
    let node = node();
    let elsewhere = node.sibling(accepting);
    let background = tokio::spawn(elsewhere.layer.background());
    settle().await;
    let mut browser = node.sign_in("ada").await;
    let token = token(&node, &mut browser).await;
    node.store.take_calls();
    assert_eq!(who(&elsewhere, &token).await, "ada");
    assert_eq!(node.store.take_calls(), [""; 0], "nobody asks for each token");
    node.post(&mut browser, "/out").await;
    settle().await;
    for _ in 0..9 {
        assert_eq!(who(&elsewhere, &token).await, "SignedOut");
        node.advance(10);
    }
    background.abort();
}

/// A node that has not heard of the end yet may make a token for as long as it believes the cookie:
/// those who have heard refuse that one too.
#[tokio::test(start_paused = true)]
async fn a_token_that_was_made_after_the_end_is_refused_to_its_own_end() {
    let slow = |builder: SessionEngineBuilder<User>| {
        let lifetime = SessionLifetime::new().renew_after(seconds(60));
        accepting(builder).lifetime(lifetime)
    };
    let deaf = Node::with(slow, |layer| layer);
    let (hears, other) = (deaf.sibling(slow), deaf.sibling(slow));
    let background = tokio::spawn(hears.layer.background());
    settle().await;
    let mut browser = deaf.sign_in("ada").await;
    let mut bob = deaf.sign_in("bob").await;
    other.post(&mut browser.clone(), "/out").await;
    settle().await;
    deaf.advance(50);
    let token = token(&deaf, &mut browser).await;
    assert_eq!(who(&hears, &token).await, "SignedOut");
    deaf.advance(570);
    // Whatever is remembered no longer goes when something is put in.
    other.post(&mut bob, "/out").await;
    settle().await;
    assert_eq!(who(&hears, &token).await, "SignedOut");
    background.abort();
}

/// A sign-out by bearer token ends the session for everybody.
#[tokio::test(start_paused = true)]
async fn signing_out_by_bearer_reaches_the_store() {
    let node = node();
    let elsewhere = node.sibling(accepting);
    let mut browser = node.sign_in("ada").await;
    let token = token(&node, &mut browser).await;
    node.store.take_calls();
    node.send(&mut Browser::default(), bearing(&token, post("/out", ""))).await;
    assert_eq!(node.store.take_calls(), ["end"]);
    node.advance(11);
    assert_eq!(elsewhere.who(&mut browser).await, "SignedOut");
}

/// While it is not known what has ended elsewhere the store is asked, and nothing is renewed.
#[tokio::test(start_paused = true)]
async fn before_the_feed_is_read_the_store_is_asked() {
    let node = node();
    let mut browser = node.sign_in("ada").await;
    let token = token(&node, &mut browser).await;
    let late = node.sibling(accepting);
    let unread = late.layer.background();
    node.store.take_calls();
    assert_eq!(who(&late, &token).await, "ada");
    assert_eq!(node.store.take_calls(), ["load"]);
    node.store.set(Fault::Refused);
    assert_eq!(who(&late, &token).await, "Unavailable");
    let guarded = bearing(&token, get("/guarded"));
    assert_eq!(late.send(&mut Browser::default(), guarded).await.status, 503);
    node.store.set(Fault::None);
    node.post(&mut browser, "/out").await;
    assert_eq!(who(&late, &token).await, "SignedOut");
    drop(unread);
}

/// Whose session is due gets a token only with the store's word.
#[tokio::test(start_paused = true)]
async fn the_store_decides_who_gets_one() {
    let node = node();
    let mut browser = node.sign_in("ada").await;
    node.advance(11);
    node.store.set(Fault::Refused);
    let refused = node.send(&mut browser, post("/session/token", "")).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "5"));
    node.store.set(Fault::None);
    let elsewhere = node.sibling(accepting);
    elsewhere.post(&mut browser.clone(), "/out").await;
    node.advance(11);
    assert_eq!(node.send(&mut browser, post("/session/token", "")).await.status, 401);
}

/// A stream that was let in long ago makes no tokens any more.
#[tokio::test(start_paused = true)]
async fn a_session_that_was_checked_long_ago_makes_none() {
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

/// What came by a token is over with it, however long the session lives on.
#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_token() {
    let node = node();
    let mut browser = node.sign_in("ada").await;
    let response = node.send(&mut browser, post("/session/token", "lifetime=60")).await;
    let body: Value = serde_json::from_str(response.text()).unwrap();
    let token = body["token"].as_str().unwrap();
    let session = session_of(&node, bearing(token, get("/"))).await;
    assert_eq!(session.touch().await, Err(TouchError::BearerToken));
    node.advance(59);
    assert_eq!(node.who(&mut browser).await, "ada", "with a newer cookie");
    assert!(session.ended().now_or_never().is_none());
    node.advance(1);
    assert!(session.ended().now_or_never().is_some());
    assert_eq!(node.who(&mut browser).await, "ada");
}

/// A node that follows no feed believes a token for as long as it believes a cookie, and then asks: once
/// for all tokens of the session and all who wait.
#[tokio::test(start_paused = true)]
async fn where_no_feed_is_followed_the_store_is_asked_like_for_a_cookie() {
    let node = node();
    let deaf = node.sibling(accepting);
    let mut browser = node.sign_in("ada").await;
    let token = token(&node, &mut browser).await;
    node.store.take_calls();
    node.advance(9);
    assert_eq!(who(&deaf, &token).await, "ada");
    assert_eq!(node.store.take_calls(), [""; 0], "as fresh as a cookie that nobody asks about");
    node.advance(1);
    let both = futures::join!(who(&deaf, &token), who(&deaf, &token));
    assert_eq!(both, ("ada".to_owned(), "ada".to_owned()));
    assert_eq!(node.store.take_calls(), ["load"]);
    node.post(&mut browser, "/out").await;
    node.store.take_calls();
    node.advance(9);
    assert_eq!(who(&deaf, &token).await, "ada", "the answer of nine seconds ago");
    node.advance(1);
    for _ in 0..2 {
        assert_eq!(who(&deaf, &token).await, "SignedOut");
    }
    assert_eq!(node.store.take_calls(), ["load"], "and then it is known");
}

/// Who follows the feed asks about no token, until it has been silent for a minute.
#[tokio::test(start_paused = true)]
async fn a_feed_that_is_silent_is_none() {
    let long = |builder: SessionEngineBuilder<User>| {
        let lifetime = SessionLifetime::new().inactivity_timeout(seconds(900));
        accepting(builder).lifetime(lifetime.renew_after(seconds(10)))
    };
    let node = Node::with(long, |layer| layer);
    let mut browser = node.sign_in("ada").await;
    let token = token(&node, &mut browser).await;
    let background = tokio::spawn(node.layer.background());
    settle().await;
    node.store.take_calls();
    node.advance(60);
    assert_eq!(who(&node, &token).await, "ada");
    assert_eq!(node.store.take_calls(), [""; 0]);
    node.advance(1);
    assert_eq!(who(&node, &token).await, "ada");
    assert_eq!(node.store.take_calls(), ["load"]);
    node.advance(10);
    tokio::time::sleep(seconds(21)).await;
    assert_eq!(who(&node, &token).await, "ada");
    assert_eq!(node.store.take_calls(), [""; 0], "it has spoken");
    background.abort();
    node.advance(61);
    assert_eq!(who(&node, &token).await, "ada");
    assert_eq!(node.store.take_calls(), ["load"], "nobody reads it any more");
}

/// An outage is one for both kinds: what is due is believed for `outage_grace` longer, and not more.
#[tokio::test(start_paused = true)]
async fn in_an_outage_a_token_that_is_due_is_believed_for_the_grace_alone() {
    let node = Node::with(accepting, |layer| layer.outage_grace(seconds(30)));
    let mut browser = node.sign_in("ada").await;
    let token = token(&node, &mut browser).await;
    node.store.set(Fault::Refused);
    node.advance(39);
    assert_eq!(who(&node, &token).await, "ada");
    node.advance(1);
    assert_eq!(who(&node, &token).await, "Unavailable");
    node.store.set(Fault::OtherSubject);
    node.advance(10);
    assert_eq!(who(&node, &token).await, "Unavailable", "somebody else's record");
    node.store.set(Fault::None);
    node.advance(10);
    assert_eq!(who(&node, &token).await, "ada");
}

/// A service that only verifies, on the issuer's store: it asks about the issuer's sessions, by whichever
/// way their tokens come, and not about those of an issuer whose sessions no such store has.
#[tokio::test(start_paused = true)]
async fn a_service_that_only_verifies_asks_the_issuers_store() {
    let (issuer, other) = (crate::support::ORIGIN, "https://hosted.example.com");
    let node = node();
    let mut browser = node.sign_in("ada").await;
    let token = token(&node, &mut browser).await;
    let hosted = crate::support::token_forge::TokenForge::new("k1").sign(
        r#"{"alg":"HS256","typ":"JWT","kid":"k1"}"#,
        serde_json::json!({
            "iss": other, "sub": "bob", "sid": "sess_1", "iat": START, "exp": START + 600,
            "name": "bob",
        })
        .to_string(),
    );
    let trusted = |name: &str| {
        let key = crate::support::key("k1").verifying_key();
        TrustedIssuer::new(name).algorithms([Algorithm::Hs256]).key(key).cookie("token")
    };
    let engine = SessionEngine::<User>::verifier([trusted(issuer), trusted(other)]);
    let layer = SessionLayer::new(engine.build().unwrap());
    let layer = layer.store(node.store.clone()).clock(node.clock.clone());
    let app = tower::service_fn(|request: Request<http_body_util::Full<bytes::Bytes>>| {
        let kind = request.extensions().get::<SessionStatus>().unwrap().kind();
        let response = http::Response::new(format!("{kind:?}"));
        std::future::ready(Ok::<_, std::convert::Infallible>(response))
    });
    let service = tower::Layer::layer(&layer, app);
    let who = async |request: Request<_>| {
        let answer = tower::ServiceExt::oneshot(service.clone(), request).await.unwrap();
        crate::support::TestResponse::of(answer).await.text().to_owned()
    };
    let mut by_cookie = get("/");
    by_cookie.headers_mut().insert(header::COOKIE, format!("token={token}").parse().unwrap());
    node.advance(60);
    node.store.take_calls();
    assert_eq!(who(bearing(&hosted, get("/"))).await, "SignedIn");
    assert_eq!(node.store.take_calls(), [""; 0]);
    assert_eq!(who(bearing(&token, get("/"))).await, "SignedIn");
    assert_eq!(node.store.take_calls(), ["load"]);
    node.post(&mut browser, "/out").await;
    node.advance(60);
    assert_eq!(who(by_cookie).await, "SignedOut");
    assert_eq!(who(bearing(&hosted, get("/"))).await, "SignedIn");
}
