//! `Session::ended`, for streams that outlive their request.

use std::time::Duration;

use futures::FutureExt as _;
use tower_auth_session::{Session, SessionStatus, error::TouchError, time::Clock as _};

use super::fixture::Node;
use crate::support::{Browser, User, faulty_store::Fault, get, subject};

/// The session that a handler of `node` gets.
pub(super) async fn session_of(node: &Node, browser: &Browser) -> Session<User> {
    extension_of(node, browser).await
}

async fn extension_of<T: Clone + Send + Sync + 'static>(node: &Node, browser: &Browser) -> T {
    let mut request = get("/session-of");
    if let Some(cookies) = browser.cookie_header() {
        request.headers_mut().insert("cookie", cookies.parse().unwrap());
    }
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let service = tower::service_fn(move |request: http::Request<_>| {
        let session = request.extensions().get::<T>().cloned();
        let sender = sender.clone();
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

async fn run_pending_tasks() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn stream_ends_when_its_session_is_revoked_on_any_node() {
    let node = Node::new();
    let elsewhere = node.sibling(|builder| builder);
    let background = tokio::spawn(elsewhere.layer.background());
    let sessions = node.layer.sessions().unwrap();
    for how in 0..4 {
        let mut browser = node.sign_in("ada").await;
        let session = session_of(&elsewhere, &browser).await;
        let stream = tokio::spawn(session.ended());
        let bystander = node.sign_in("bob").await;
        let other = tokio::spawn(session_of(&elsewhere, &bystander).await.ended());
        run_pending_tasks().await;
        assert!(!stream.is_finished());
        match how {
            0 => drop(node.post(&mut browser, "/out").await),
            1 => drop(elsewhere.post(&mut browser, "/out").await),
            2 => drop(sessions.revoke_all_of(&subject("ada")).await.unwrap()),
            _ => {
                node.advance(1);
                let before = node.clock.now().timestamp();
                sessions.revoke_everyone_before(before).await.unwrap();
            }
        }
        run_pending_tasks().await;
        assert!(stream.is_finished(), "{how}");
        assert_eq!(other.is_finished(), how == 3, "{how}");
        other.abort();
        assert!(session.ended().now_or_never().is_some(), "{how}: stays ended");
    }
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn status_ends_and_records_activity_without_the_type_of_the_claims() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    let status: SessionStatus = extension_of(&node, &browser).await;
    assert_eq!(status.touch().await, Ok(()));
    let stream = tokio::spawn(status.ended());
    run_pending_tasks().await;
    assert!(!stream.is_finished());
    node.post(&mut browser, "/out").await;
    run_pending_tasks().await;
    assert!(stream.is_finished());
    assert_eq!(status.touch().await, Err(TouchError::SessionEnded));

    let signed_out: SessionStatus = extension_of(&node, &Browser::default()).await;
    assert!(signed_out.ended().now_or_never().is_some());
    assert_eq!(signed_out.touch().await, Err(TouchError::SessionEnded));
}

#[tokio::test(start_paused = true)]
async fn stream_continues_while_its_session_is_renewed() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    let stream = tokio::spawn(session_of(&node, &browser).await.ended());
    // Requests on both nodes renew the session beyond the 100 s of the first token.
    let elsewhere = node.sibling(|builder| builder);
    for by in [&node, &elsewhere, &elsewhere] {
        node.advance(60);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(by.current_user(&mut browser).await, "ada");
        assert!(!stream.is_finished());
    }
    node.advance(99);
    tokio::time::sleep(Duration::from_secs(99)).await;
    assert!(!stream.is_finished());
    node.advance(1);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(stream.is_finished(), "no activity");
}

#[tokio::test(start_paused = true)]
async fn stream_in_an_outage_ends_at_the_expiry_of_its_token() {
    let node = Node::new();
    let browser = node.sign_in("ada").await;
    let stream = tokio::spawn(session_of(&node, &browser).await.ended());
    node.store.set(Fault::Refused);
    node.advance(99);
    tokio::time::sleep(Duration::from_secs(99)).await;
    assert!(!stream.is_finished(), "an outage does not end it earlier");
    node.advance(1);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(stream.is_finished());
}

#[tokio::test(start_paused = true)]
async fn stream_in_an_outage_continues_until_the_latest_token_of_this_process_expires() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    let stream = tokio::spawn(session_of(&node, &browser).await.ended());
    node.advance(60);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(node.current_user(&mut browser).await, "ada", "renewed for 100 s");
    node.store.set(Fault::Refused);
    node.advance(99);
    tokio::time::sleep(Duration::from_secs(99)).await;
    assert!(!stream.is_finished());
    node.advance(1);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(stream.is_finished());
}

#[tokio::test(start_paused = true)]
async fn touch_on_a_stream_counts_as_activity() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    let session = session_of(&node, &browser).await;
    let stream = tokio::spawn(session.ended());
    for _ in 0..3 {
        session.touch().await.unwrap();
    }
    assert_eq!(node.store.take_calls(), [""; 0], "not due yet");
    node.advance(90);
    tokio::time::sleep(Duration::from_secs(90)).await;
    for _ in 0..3 {
        session.touch().await.unwrap();
    }
    assert_eq!(node.store.take_calls(), ["renew"], "one call per renewal age");

    // A background request is not activity, but its renewed cookie has the activity of the stream.
    let mut background_request = get("/");
    background_request.headers_mut().insert("session-activity", "none".parse().unwrap());
    assert_eq!(node.send(&mut browser, background_request).await.text(), "ada");
    node.advance(95);
    tokio::time::sleep(Duration::from_secs(95)).await;
    assert!(!stream.is_finished(), "the activity prolongs the stream");
    assert_eq!(
        node.current_user(&mut browser).await,
        "ada",
        "and the cookie of the background request"
    );

    node.advance(100);
    tokio::time::sleep(Duration::from_secs(131)).await;
    assert!(stream.is_finished(), "an open stream alone is not activity");
    assert_eq!(session.touch().await, Err(TouchError::SessionEnded), "expired");
}

#[tokio::test]
async fn touch_fails_when_the_store_fails_or_the_session_is_revoked() {
    let node = Node::new();
    let elsewhere = node.sibling(|builder| builder);
    let mut browser = node.sign_in("ada").await;
    let session = session_of(&node, &browser).await;
    node.advance(20);
    node.store.set(Fault::Refused);
    assert_eq!(session.touch().await, Err(TouchError::Unavailable));
    node.store.set(Fault::None);
    node.advance(20);
    elsewhere.post(&mut browser, "/out").await;
    assert!(session.ended().now_or_never().is_none(), "the node has not received the revocation");
    assert_eq!(session.touch().await, Err(TouchError::SessionEnded));
    assert!(session.ended().now_or_never().is_some(), "learned from the store");
}
