//! How many sessions a subject may have.

use http::StatusCode;
use tower_auth_session::{
    SessionTask, SignIn,
    store::{SubjectLimit, SubjectLimitPolicy},
};

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault, subject, user};

fn node(policy: SubjectLimitPolicy) -> Node {
    let limit = SubjectLimit::new(2, policy);
    Node::with(|builder| builder, |layer| layer.max_sessions_per_subject(limit))
}

#[tokio::test(start_paused = true)]
async fn the_oldest_session_makes_room() {
    let node = node(SubjectLimitPolicy::EndOldest);
    let mut first = node.sign_in("ada").await;
    node.advance(1);
    let mut second = node.sign_in("ada").await;
    node.advance(1);
    let mut third = node.sign_in("ada").await;
    assert_eq!(node.who(&mut first).await, "SignedOut", "here at once, fresh as its token is");
    assert!(first.has_no_session());
    assert_eq!(node.who(&mut second).await, "ada");
    assert_eq!(node.who(&mut third).await, "ada");
}

#[tokio::test(start_paused = true)]
async fn or_the_sign_in_is_refused() {
    let node = node(SubjectLimitPolicy::Refuse);
    let mut first = node.sign_in("ada").await;
    node.sign_in("ada").await;
    let mut third = Browser::default();
    let response = node.post(&mut third, "/in?ada").await;
    assert_eq!(response.status, StatusCode::CONFLICT);
    assert!(response.text().contains("too_many_sessions"), "{}", response.text());
    assert!(third.cookies.is_empty());
    let response = node.post(&mut third, "/commit?ada").await;
    assert_eq!(response.text(), "too many", "or the application says so itself");
    node.post(&mut first, "/out").await;
    assert_eq!(node.post(&mut third, "/in?ada").await.status, StatusCode::OK);
}

async fn begin(node: &Node, browser: &mut Browser) -> StatusCode {
    let begun = node.run_handler(browser, |jar| async move {
        let sign_in = SignIn::new(subject("ada"), user("Ada"));
        jar.sign_in(sign_in.pending([SessionTask::SECOND_FACTOR])).unwrap();
    });
    begun.await.status
}

async fn activate(node: &Node, browser: &mut Browser) -> StatusCode {
    let activated = node.run_handler(browser, |jar| async move {
        jar.activate().map(drop).map_err(|error| error.to_string())
    });
    activated.await.status
}

/// A session in whose place another one stands is none too many: no other browser pays for it.
#[tokio::test(start_paused = true)]
async fn what_is_replaced_does_not_count() {
    let node = node(SubjectLimitPolicy::EndOldest);
    let mut first = node.sign_in("ada").await;
    node.advance(1);
    let mut second = Browser::default();
    begin(&node, &mut second).await;
    node.advance(1);
    assert_eq!(activate(&node, &mut second).await, StatusCode::OK);
    assert_eq!(node.who(&mut first).await, "ada");
    node.post(&mut second, "/in?ada").await;
    assert_eq!(node.who(&mut first).await, "ada");
    assert_eq!(node.who(&mut second).await, "ada");
    node.advance(1);
    node.sign_in("ada").await;
    assert_eq!(node.who(&mut first).await, "SignedOut", "one more is one too many");
}

/// Whoever may have one session can do the second step of signing in, and have no more than one.
#[tokio::test(start_paused = true)]
async fn the_last_one_allowed_can_be_activated() {
    let one = SubjectLimit::new(1, SubjectLimitPolicy::Refuse);
    let node = Node::with(|builder| builder, |layer| layer.max_sessions_per_subject(one));
    let mut browser = Browser::default();
    assert_eq!(begin(&node, &mut browser).await, StatusCode::OK);
    let mut copy = browser.clone();
    assert_eq!(node.post(&mut Browser::default(), "/in?ada").await.status, StatusCode::CONFLICT);
    node.store.set(Fault::Refused);
    assert_eq!(activate(&node, &mut browser).await, StatusCode::SERVICE_UNAVAILABLE);
    node.store.set(Fault::None);
    node.advance(5);
    assert_eq!(activate(&node, &mut browser).await, StatusCode::OK);
    assert_eq!(node.who(&mut browser).await, "Ada");
    assert_eq!(node.post(&mut copy, "/in?ada").await.status, StatusCode::CONFLICT);
    assert_eq!(node.post(&mut browser, "/in?ada").await.status, StatusCode::OK, "in its place");
    assert_eq!(node.who(&mut browser).await, "ada");
}
