//! The limit of sessions per subject.

use http::StatusCode;
use tower_auth_session::{
    SignIn,
    engine::SessionTask,
    store::{SubjectLimit, SubjectLimitPolicy},
};

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault, subject, user};

fn node(policy: SubjectLimitPolicy) -> Node {
    let limit = SubjectLimit::new(2, policy);
    Node::with(|builder| builder, |layer| layer.max_sessions_per_subject(limit))
}

#[tokio::test(start_paused = true)]
async fn sign_in_beyond_the_subject_limit_revokes_the_oldest_session() {
    let node = node(SubjectLimitPolicy::EndOldest);
    let mut first = node.sign_in("ada").await;
    node.advance(1);
    let mut second = node.sign_in("ada").await;
    node.advance(1);
    let mut third = node.sign_in("ada").await;
    assert_eq!(
        node.current_user(&mut first).await,
        "SignedOut",
        "revoked at once, although its token is fresh"
    );
    assert!(first.has_no_session());
    assert_eq!(node.current_user(&mut second).await, "ada");
    assert_eq!(node.current_user(&mut third).await, "ada");
}

#[tokio::test(start_paused = true)]
async fn sign_in_beyond_the_subject_limit_can_be_refused() {
    let node = node(SubjectLimitPolicy::Refuse);
    let mut first = node.sign_in("ada").await;
    node.sign_in("ada").await;
    let mut third = Browser::default();
    let response = node.post(&mut third, "/in?ada").await;
    assert_eq!(response.status, StatusCode::CONFLICT);
    assert!(response.text().contains("too_many_sessions"), "{}", response.text());
    assert!(third.cookies.is_empty());
    let response = node.post(&mut third, "/commit?ada").await;
    assert_eq!(response.text(), "too many", "the application's own response");
    node.post(&mut first, "/out").await;
    assert_eq!(node.post(&mut third, "/in?ada").await.status, StatusCode::OK);
}

async fn sign_in_pending(node: &Node, browser: &mut Browser) -> StatusCode {
    let response = node.run_handler(browser, |jar| async move {
        let sign_in = SignIn::new(subject("ada"), user("Ada"));
        jar.sign_in(sign_in.with_tasks([SessionTask::SECOND_FACTOR])).unwrap();
    });
    response.await.status
}

async fn activate(node: &Node, browser: &mut Browser) -> StatusCode {
    let activated = node.run_handler(browser, |jar| async move {
        jar.activate().map(drop).map_err(|error| error.to_string())
    });
    activated.await.status
}

/// A replaced session does not count, so that no other session is revoked for its successor.
#[tokio::test(start_paused = true)]
async fn replaced_session_does_not_count_towards_the_subject_limit() {
    let node = node(SubjectLimitPolicy::EndOldest);
    let mut first = node.sign_in("ada").await;
    node.advance(1);
    let mut second = Browser::default();
    sign_in_pending(&node, &mut second).await;
    node.advance(1);
    assert_eq!(activate(&node, &mut second).await, StatusCode::OK);
    assert_eq!(node.current_user(&mut first).await, "ada");
    node.post(&mut second, "/in?ada").await;
    assert_eq!(node.current_user(&mut first).await, "ada");
    assert_eq!(node.current_user(&mut second).await, "ada");
    node.advance(1);
    node.sign_in("ada").await;
    assert_eq!(node.current_user(&mut first).await, "SignedOut", "the limit is exceeded");
}

/// With a limit of one session, the second step of a sign-in is possible, and a second session is not.
#[tokio::test(start_paused = true)]
async fn pending_session_can_be_activated_at_the_subject_limit() {
    let one = SubjectLimit::new(1, SubjectLimitPolicy::Refuse);
    let node = Node::with(|builder| builder, |layer| layer.max_sessions_per_subject(one));
    let mut browser = Browser::default();
    assert_eq!(sign_in_pending(&node, &mut browser).await, StatusCode::OK);
    let mut copy = browser.clone();
    node.store.set(Fault::Refused);
    assert_eq!(activate(&node, &mut browser).await, StatusCode::SERVICE_UNAVAILABLE);
    node.store.set(Fault::None);
    node.advance(5);
    assert_eq!(activate(&node, &mut browser).await, StatusCode::OK);
    assert_eq!(node.current_user(&mut browser).await, "Ada");
    assert_eq!(node.post(&mut Browser::default(), "/in?ada").await.status, StatusCode::CONFLICT);
    assert_eq!(node.post(&mut copy, "/in?ada").await.status, StatusCode::CONFLICT);
    assert_eq!(
        node.post(&mut browser, "/in?ada").await.status,
        StatusCode::OK,
        "it replaces the session"
    );
    assert_eq!(node.current_user(&mut browser).await, "ada");
}

/// An attacker who knows the password and not the second factor neither ends the owner's sessions nor
/// keeps the owner from signing in.
#[tokio::test(start_paused = true)]
async fn pending_sessions_take_only_the_places_of_pending_sessions() {
    for policy in [SubjectLimitPolicy::EndOldest, SubjectLimitPolicy::Refuse] {
        let node = node(policy);
        let mut first = node.sign_in("ada").await;
        for _ in 0..4 {
            node.advance(1);
            let mut attacker = Browser::default();
            assert_eq!(sign_in_pending(&node, &mut attacker).await, StatusCode::OK, "{policy:?}");
        }
        node.advance(1);
        let mut second = Browser::default();
        assert_eq!(sign_in_pending(&node, &mut second).await, StatusCode::OK, "{policy:?}");
        assert_eq!(activate(&node, &mut second).await, StatusCode::OK, "{policy:?}");
        for browser in [&mut first, &mut second] {
            assert_ne!(node.current_user(browser).await, "SignedOut", "{policy:?}");
        }
    }
}

/// The pending session that an activation replaces has no place among the complete ones, so it makes
/// no room for another complete session.
#[tokio::test(start_paused = true)]
async fn activation_at_the_subject_limit_revokes_the_oldest_complete_session() {
    let one = SubjectLimit::new(1, SubjectLimitPolicy::EndOldest);
    let node = Node::with(|builder| builder, |layer| layer.max_sessions_per_subject(one));
    let mut first = node.sign_in("ada").await;
    node.advance(1);
    let mut second = Browser::default();
    assert_eq!(sign_in_pending(&node, &mut second).await, StatusCode::OK);
    assert_eq!(node.current_user(&mut first).await, "ada", "a pending session revokes no other");
    assert_eq!(activate(&node, &mut second).await, StatusCode::OK);
    assert_eq!(node.current_user(&mut first).await, "SignedOut");
    assert_eq!(node.current_user(&mut second).await, "Ada");
}
