//! How many sessions a subject may have.

use http::StatusCode;
use tower_auth_session::store::{SubjectLimit, SubjectLimitPolicy};

use super::site::Node;
use crate::support::Browser;

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
    let answer = node.post(&mut third, "/in?ada").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.text().contains("too_many_sessions"), "{}", answer.text());
    assert!(third.cookies.is_empty());
    let answer = node.post(&mut third, "/commit?ada").await;
    assert_eq!(answer.text(), "too many", "or the application says so itself");
    node.post(&mut first, "/out").await;
    assert_eq!(node.post(&mut third, "/in?ada").await.status, StatusCode::OK);
}
