//! Ends that the store hears of late: what they mean by then, and in which order they are told.

use std::time::Duration;

use tower_auth_session::{
    Clock as _,
    store::{SessionKey, SessionStore},
};

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault, post, subject};

async fn pass(node: &Node, seconds: u64) {
    for _ in 0..seconds {
        node.advance(1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Signed out everywhere in an outage; signed in again once it is over, before the store was told.
#[tokio::test(start_paused = true)]
async fn a_late_sign_out_everywhere_does_not_reach_later_sign_ins() {
    let node = Node::new();
    let mut phone = node.sign_in("ada").await;
    node.advance(3);
    let mut browser = node.sign_in("ada").await;
    node.store.set(Fault::Refused);
    assert_eq!(node.send(&mut browser, post("/sign-out", "scope=everywhere")).await.status, 503);
    assert_eq!(node.who(&mut phone.clone()).await, "SignedOut", "here at once");
    node.store.set(Fault::None);
    node.advance(2);
    let mut again = node.sign_in("ada").await;
    let background = tokio::spawn(node.layer.background());
    pass(&node, 2).await;
    node.advance(10);
    let elsewhere = node.sibling(|builder| builder);
    assert_eq!(elsewhere.who(&mut phone).await, "SignedOut");
    assert_eq!(elsewhere.who(&mut again).await, "ada", "signed in after that");
    background.abort();
}

/// All sessions there were, those of the same second too, and none that came later.
#[tokio::test(start_paused = true)]
async fn ends_of_all_in_an_outage_are_known_here_at_once() {
    let node = Node::new();
    let mut old = node.sign_in("ada").await;
    let mut bob = node.sign_in("bob").await;
    let sessions = node.layer.sessions().unwrap();
    node.store.set(Fault::Hangs);
    sessions.end_all(&subject("ada")).await.unwrap_err();
    assert_eq!(node.who(&mut old).await, "SignedOut", "of the same second");
    assert_eq!(node.who(&mut bob).await, "bob");
    node.advance(5);
    assert_eq!(node.who(&mut bob).await, "bob");
    let now = node.clock.now().timestamp();
    sessions.end_everybody_before(now).await.unwrap_err();
    assert_eq!(node.who(&mut bob.clone()).await, "SignedOut");
    node.store.set(Fault::None);
    let background = tokio::spawn(node.layer.background());
    pass(&node, 3).await;
    let elsewhere = node.sibling(|builder| builder);
    node.advance(10);
    assert_eq!(elsewhere.who(&mut bob).await, "SignedOut");
    background.abort();
}

/// One that the store cannot take must not keep it from hearing of the others.
#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_told_holds_up_no_other() {
    let node = Node::new();
    let page = {
        node.sign_in("ada").await;
        let sessions = node.layer.sessions().unwrap();
        sessions.list(&subject("ada"), None, 9).await.unwrap()
    };
    // Ends that wait: of a record that is not what the key says, and of one that is.
    let mut browser = node.sign_in("bob").await;
    let copy = browser.clone();
    let sessions = node.layer.sessions().unwrap();
    node.store.set(Fault::Refused);
    let wrong = SessionKey::new(page.sessions[0].id, subject("mallory"));
    sessions.end(&wrong).await.unwrap_err();
    node.post(&mut browser, "/out").await;
    node.store.set(Fault::None);
    node.advance(2);
    let background = tokio::spawn(node.layer.background());
    pass(&node, 3).await;
    let elsewhere = node.sibling(|builder| builder);
    node.advance(10);
    assert_eq!(elsewhere.who(&mut copy.clone()).await, "SignedOut");
    background.abort();
}

/// Told late, and a node that starts only then reads the feed: it has to see it.
#[tokio::test(start_paused = true)]
async fn a_node_that_starts_hears_of_ends_that_were_told_late() {
    let node = Node::new();
    let elsewhere = node.sibling(|builder| builder);
    let mut browser = node.sign_in("ada").await;
    let mut copy = browser.clone();
    // Only this node is cut off; another one goes on to renew.
    node.store.set_for("end", Fault::Refused);
    assert_eq!(node.post(&mut browser, "/out").await.status, 503);
    for _ in 0..5 {
        node.advance(10);
        assert_eq!(elsewhere.who(&mut copy).await, "ada", "it cannot know");
    }
    node.store.set(Fault::None);
    let background = tokio::spawn(node.layer.background());
    pass(&node, 2).await;
    let late = node.sibling(|builder| builder);
    let follows = tokio::spawn(late.layer.background());
    tokio::time::sleep(Duration::from_millis(1)).await;
    node.store.set(Fault::Panics);
    assert_eq!(late.who(&mut copy).await, "SignedOut", "fresh as the token is");
    background.abort();
    follows.abort();
}

/// A sign-in on its way while all sessions of its subject end.
#[tokio::test(start_paused = true)]
async fn a_sign_in_that_races_an_end_of_all_does_not_slip_through() {
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
    node.layer.sessions().unwrap().end_all(&subject("ada")).await.unwrap();
    node.gate.add_permits(1);
    let (status, browser) = slow.await.unwrap();
    assert_eq!(status, 503);
    assert!(browser.has_no_session());
    let now = node.clock.now().timestamp();
    let page = node.store.memory.sessions_of(&subject("ada"), now, None, 9).await.unwrap();
    assert_eq!(page.sessions, []);
}

/// An activity of an hour ahead, recorded by a node whose clock is wrong, dates no token.
#[tokio::test(start_paused = true)]
async fn a_record_from_the_future_moves_no_session() {
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
    assert_eq!(node.who(&mut browser).await, "SignedOut", "100 s and the skew of 5 s");
}
