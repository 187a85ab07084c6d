//! Revocations that reach the store late: what they apply to, and in which order they are sent.

use std::time::Duration;

use tower_auth_session::{
    store::{SessionKey, SessionStore},
    time::Clock as _,
};

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault, post, subject};

async fn advance_with_background(node: &Node, seconds: u64) {
    for _ in 0..seconds {
        node.advance(1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A sign-out everywhere during an outage, and a sign-in after the outage but before the deferred
/// revocation is sent.
#[tokio::test(start_paused = true)]
async fn deferred_sign_out_everywhere_keeps_later_sign_ins() {
    let node = Node::new();
    let mut phone = node.sign_in("ada").await;
    node.advance(3);
    let mut browser = node.sign_in("ada").await;
    node.store.set(Fault::Refused);
    assert_eq!(node.send(&mut browser, post("/sign-out", "scope=everywhere")).await.status, 503);
    assert_eq!(
        node.current_user(&mut phone.clone()).await,
        "SignedOut",
        "revoked in this process at once"
    );
    node.store.set(Fault::None);
    node.advance(2);
    let mut again = node.sign_in("ada").await;
    let background = tokio::spawn(node.layer.background());
    advance_with_background(&node, 2).await;
    node.advance(10);
    let elsewhere = node.sibling(|builder| builder);
    assert_eq!(elsewhere.current_user(&mut phone).await, "SignedOut");
    assert_eq!(elsewhere.current_user(&mut again).await, "ada", "signed in after that");
    background.abort();
}

/// Applies to all sessions up to that time, also of the same second, and to none after it.
#[tokio::test(start_paused = true)]
async fn deferred_revocation_of_all_applies_in_this_process_at_once() {
    let node = Node::new();
    let mut old = node.sign_in("ada").await;
    let mut bob = node.sign_in("bob").await;
    let sessions = node.layer.sessions().unwrap();
    node.store.set(Fault::Hangs);
    sessions.revoke_all_of(&subject("ada")).await.unwrap_err();
    assert_eq!(node.current_user(&mut old).await, "SignedOut", "signed in within the same second");
    assert_eq!(node.current_user(&mut bob).await, "bob");
    node.advance(5);
    assert_eq!(node.current_user(&mut bob).await, "bob");
    let now = node.clock.now().timestamp();
    sessions.revoke_everyone_before(now).await.unwrap_err();
    assert_eq!(node.current_user(&mut bob.clone()).await, "SignedOut");
    node.store.set(Fault::None);
    let background = tokio::spawn(node.layer.background());
    advance_with_background(&node, 3).await;
    let elsewhere = node.sibling(|builder| builder);
    node.advance(10);
    assert_eq!(elsewhere.current_user(&mut bob).await, "SignedOut");
    background.abort();
}

/// A revocation that the store rejects must not block the others.
#[tokio::test(start_paused = true)]
async fn rejected_revocation_does_not_block_later_ones() {
    let node = Node::new();
    let page = {
        node.sign_in("ada").await;
        let sessions = node.layer.sessions().unwrap();
        sessions.list(&subject("ada"), None, 9).await.unwrap()
    };
    // Two deferred revocations: one with a wrong subject, and a valid one.
    let mut browser = node.sign_in("bob").await;
    let copy = browser.clone();
    let sessions = node.layer.sessions().unwrap();
    node.store.set(Fault::Refused);
    let wrong = SessionKey::new(page.sessions[0].id, subject("mallory"));
    sessions.revoke(&wrong).await.unwrap_err();
    node.post(&mut browser, "/out").await;
    node.store.set(Fault::None);
    node.advance(2);
    let background = tokio::spawn(node.layer.background());
    advance_with_background(&node, 3).await;
    let elsewhere = node.sibling(|builder| builder);
    node.advance(10);
    assert_eq!(elsewhere.current_user(&mut copy.clone()).await, "SignedOut");
    background.abort();
}

/// A node that starts after a deferred revocation was sent must read it from the feed.
#[tokio::test(start_paused = true)]
async fn deferred_revocation_is_read_by_a_node_that_starts_later() {
    let node = Node::new();
    let elsewhere = node.sibling(|builder| builder);
    let mut browser = node.sign_in("ada").await;
    let mut copy = browser.clone();
    // Only this node cannot reach the store; another one continues to renew.
    node.store.set_for("end", Fault::Refused);
    assert_eq!(node.post(&mut browser, "/out").await.status, 503);
    for _ in 0..5 {
        node.advance(10);
        assert_eq!(elsewhere.current_user(&mut copy).await, "ada", "not revoked in the store yet");
    }
    node.store.set(Fault::None);
    let background = tokio::spawn(node.layer.background());
    advance_with_background(&node, 2).await;
    let late = node.sibling(|builder| builder);
    let follows = tokio::spawn(late.layer.background());
    tokio::time::sleep(Duration::from_millis(1)).await;
    node.store.set(Fault::Panics);
    assert_eq!(late.current_user(&mut copy).await, "SignedOut", "although the token is fresh");
    background.abort();
    follows.abort();
}

/// All sessions of a subject are revoked while one of its sign-ins is in progress.
#[tokio::test(start_paused = true)]
async fn sign_in_during_a_revocation_of_its_subject_fails() {
    let node = Node::new();
    let slow = {
        let node = node.clone();
        tokio::spawn(async move {
            let mut browser = Browser::default();
            let gate = std::sync::Arc::clone(&node.gate);
            let response = node
                .run_handler(&mut browser, move |jar| {
                    let gate = std::sync::Arc::clone(&gate);
                    async move {
                        gate.acquire().await.unwrap().forget();
                        let sign_in = tower_auth_session::SignIn::new(
                            subject("ada"),
                            crate::support::user("ada"),
                        );
                        jar.sign_in(sign_in).unwrap();
                    }
                })
                .await;
            (response.status, browser)
        })
    };
    tokio::task::yield_now().await;
    node.advance(1);
    node.layer.sessions().unwrap().revoke_all_of(&subject("ada")).await.unwrap();
    node.gate.add_permits(1);
    let (status, browser) = slow.await.unwrap();
    assert_eq!(status, 503);
    assert!(browser.has_no_session());
    let now = node.clock.now().timestamp();
    let page = node.store.memory.list(&subject("ada"), now, None, 9).await.unwrap();
    assert_eq!(page.sessions, []);
}

/// A node with a wrong clock records activity one hour ahead; tokens must not get that date.
#[tokio::test(start_paused = true)]
async fn record_with_a_future_activity_does_not_prolong_the_session() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    let page = node.layer.sessions().unwrap().list(&subject("ada"), None, 9).await.unwrap();
    let record = &page.sessions[0];
    let ahead = record.signed_in_at.saturating_add(Duration::from_secs(3_600));
    let key = SessionKey::new(record.id, record.subject.clone());
    let wrong = tower_auth_session::store::RenewRequest::new(record.signed_in_at, ahead, ahead);
    node.store.memory.renew(&key, wrong).await.unwrap();
    for _ in 0..5 {
        node.advance(20);
        let response = node.get(&mut browser, "/").await;
        assert_eq!(response.text(), "ada");
        let set = response.set_cookies();
        assert!(set.iter().any(|set| set.contains("Max-Age=1")), "{set:?}");
    }
    node.advance(110);
    assert_eq!(node.current_user(&mut browser).await, "SignedOut", "100 s and the skew of 5 s");
}
