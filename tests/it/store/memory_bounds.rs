//! What happens when a memory of revocations is full, and that no memory displaces another.

use std::time::Duration;

use tower_auth_session::time::{Clock as _, Timestamp};

use super::{ended::session_of, fixture::Node};
use crate::support::{Browser, START, faulty_store::Fault, subject};

async fn run_pending_tasks() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn node(capacity: usize) -> Node {
    Node::with(move |builder| builder.revocation_capacity(capacity), |layer| layer)
}

/// On a busy site the own revocations of days, kept in the memory of those from the feed, would make a
/// process drop each revocation the moment it is received.
#[tokio::test(start_paused = true)]
async fn own_revocations_do_not_displace_those_from_the_feed() {
    let node = node(3);
    let background = tokio::spawn(node.layer.background());
    let elsewhere = node.sibling(|builder| builder);
    for _ in 0..10 {
        let mut browser = node.sign_in("bob").await;
        assert_eq!(node.post(&mut browser, "/out").await.status, 200);
        // The feed delivers it once more, at once.
        run_pending_tasks().await;
        // Longer than any process accepts a token without the store: 10 s, and twice the skew.
        node.advance(31);
    }
    node.events.take_names();
    let mut browser = node.sign_in("ada").await;
    let mut copy = browser.clone();
    elsewhere.post(&mut browser, "/out").await;
    run_pending_tasks().await;
    assert!(!node.has_event("RevocationListFull"));
    node.store.set(Fault::Panics);
    assert_eq!(node.current_user(&mut copy).await, "SignedOut");
    background.abort();
}

/// A dropped revocation is never silent: the store confirms every earlier token from then on.
#[tokio::test(start_paused = true)]
async fn full_memory_of_revocations_relies_on_the_store() {
    let node = node(1);
    let background = tokio::spawn(node.layer.background());
    let elsewhere = node.sibling(|builder| builder);
    let mut browsers = Vec::new();
    for name in ["ada", "bob", "carol"] {
        browsers.push(node.sign_in(name).await);
    }
    let [mut ada, mut bob, mut carol]: [Browser; 3] = browsers.try_into().unwrap();
    let copies = [ada.clone(), bob.clone()];
    for browser in [&mut ada, &mut bob] {
        elsewhere.post(browser, "/out").await;
        run_pending_tasks().await;
    }
    assert!(node.has_event("RevocationListFull"));
    node.store.set(Fault::Refused);
    for copy in &copies {
        let user = node.current_user(&mut copy.clone()).await;
        assert!(["SignedOut", "Unavailable"].contains(&user.as_str()), "{user}");
    }
    assert_eq!(node.current_user(&mut carol).await, "Unavailable");
    node.store.set(Fault::None);
    node.advance(2);
    for copy in &copies {
        assert_eq!(node.current_user(&mut copy.clone()).await, "SignedOut");
    }
    assert_eq!(node.current_user(&mut carol).await, "carol");
    background.abort();
}

/// The same for the sessions of a subject.
#[tokio::test(start_paused = true)]
async fn full_memory_of_subjects_relies_on_the_store() {
    let node = node(1);
    let mut browser = node.sign_in("ada").await;
    let sessions = node.layer.sessions().unwrap();
    sessions.revoke_all_of(&subject("ada")).await.unwrap();
    node.events.take_names();
    sessions.revoke_all_of(&subject("bob")).await.unwrap();
    assert!(node.has_event("SubjectRevocationDropped"));
    assert_eq!(node.current_user(&mut browser).await, "SignedOut");
}

/// A stream whose session was revoked while revocations were missed ends too.
#[tokio::test(start_paused = true)]
async fn stream_confirms_its_session_after_revocations_were_missed() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    let bystander = node.sign_in("bob").await;
    let stream = tokio::spawn(session_of(&node, &browser).await.ended());
    let other = tokio::spawn(session_of(&node, &bystander).await.ended());
    run_pending_tasks().await;
    // Another node revokes the session; this one starts to read the feed after its entry was deleted.
    let elsewhere = node.sibling(|builder| builder);
    elsewhere.post(&mut browser, "/out").await;
    let far = Timestamp::from_unix_seconds(START + 9_000);
    tower_auth_session::store::SessionStore::delete_expired(&node.store.memory, far, 0)
        .await
        .unwrap();
    let background = tokio::spawn(node.layer.background());
    run_pending_tasks().await;
    assert!(node.has_event("RevocationFeedLost"));
    assert!(!stream.is_finished());
    node.store.take_calls();
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(stream.is_finished(), "within 30 s");
    assert!(!other.is_finished());
    assert_eq!(node.store.take_calls(), ["load", "load"], "once for each stream");
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(node.store.take_calls(), [""; 0]);
    other.abort();
    background.abort();
}

/// A wall clock that is ahead at the revocation, and set right later, restores no session.
#[tokio::test(start_paused = true)]
async fn revocation_survives_a_wall_clock_that_was_ahead() {
    let node = Node::new();
    let engine = node.layer.engine();
    let mut browsers = Vec::new();
    let mut sessions = Vec::new();
    for name in ["ada", "bob", "carol"] {
        let browser = node.sign_in(name).await;
        sessions.push(session_of(&node, &browser).await);
        browsers.push(browser);
    }
    // Ten days: all limits of the sessions seem to have passed.
    node.clock.set(Timestamp::from_unix_seconds(START + 864_000));
    for session in &sessions[..2] {
        engine.revoke_session(session.identity(), node.clock.now());
    }
    node.clock.set(Timestamp::from_unix_seconds(START + 5));
    engine.revoke_session(sessions[2].identity(), node.clock.now());
    for browser in &mut browsers {
        assert_eq!(node.current_user(browser).await, "SignedOut");
    }
}
