//! What ends on one node is over on the others at once.

use std::time::Duration;

use super::fixture::Node;
use crate::support::faulty_store::Fault;

/// Long enough for what waits, in a test whose time stands still.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_follows_the_feed_refuses_fresh_tokens() {
    let node = Node::new();
    let elsewhere = node.sibling(|builder| builder);
    let background = tokio::spawn(elsewhere.layer.background());
    let mut browser = node.sign_in("ada").await;
    let mut others = [node.sign_in("bob").await, node.sign_in("bob").await];
    let mut copy = browser.clone();
    assert_eq!(elsewhere.who(&mut copy).await, "ada");
    node.post(&mut browser, "/out").await;
    settle().await;
    node.store.set(Fault::Panics);
    assert_eq!(elsewhere.who(&mut copy).await, "SignedOut");
    assert!(copy.has_no_session());
    node.store.set(Fault::None);
    // All of a subject, in the second in which they signed in.
    let sessions = node.layer.sessions().unwrap();
    assert_eq!(sessions.end_all(&crate::support::subject("bob")).await.unwrap(), 2);
    settle().await;
    node.store.set(Fault::Panics);
    for other in &mut others {
        assert_eq!(elsewhere.who(other).await, "SignedOut");
        assert!(other.has_no_session());
    }
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn all_others_of_a_subject_end_and_this_one_stays() {
    let node = Node::new();
    let elsewhere = node.sibling(|builder| builder);
    let background = tokio::spawn(elsewhere.layer.background());
    let mut old = node.sign_in("ada").await;
    node.advance(3);
    let mut this = node.sign_in("ada").await;
    let jar = {
        let mut request = crate::support::get("/");
        let cookies = this.cookie_header().unwrap();
        request.headers_mut().insert("cookie", cookies.parse().unwrap());
        let now = tower_auth_session::Clock::now(&node.clock);
        node.layer.engine().open(&request, now)
    };
    node.advance(1);
    let sessions = node.layer.sessions().unwrap();
    let ended = sessions.end_others(jar.session().unwrap().identity()).await.unwrap();
    assert_eq!(ended, 1);
    settle().await;
    for node in [&node, &elsewhere] {
        assert_eq!(node.who(&mut old.clone()).await, "SignedOut");
        assert_eq!(node.who(&mut this).await, "ada");
    }
    sessions
        .end_everybody_before(tower_auth_session::Clock::now(&node.clock).timestamp())
        .await
        .unwrap();
    settle().await;
    for node in [&node, &elsewhere] {
        assert_eq!(node.who(&mut this.clone()).await, "SignedOut");
    }
    old.cookies.clear();
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_starts_later_catches_up() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    let mut copy = browser.clone();
    node.post(&mut browser, "/out").await;
    node.advance(5);
    let late = node.sibling(|builder| builder);
    assert_eq!(late.who(&mut copy.clone()).await, "ada", "nobody told it to read anything");
    let background = late.layer.background();
    // It has not read anything yet, and serves nobody whom the store does not vouch for.
    assert_eq!(late.who(&mut copy.clone()).await, "SignedOut");
    let other = late.sibling(|builder| builder);
    let background = [tokio::spawn(background), tokio::spawn(other.layer.background())];
    settle().await;
    node.store.set(Fault::Panics);
    assert_eq!(other.who(&mut copy.clone()).await, "SignedOut", "it has");
    assert_eq!(late.who(&mut copy).await, "SignedOut");
    background.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn those_of_this_very_second_are_over_too() {
    let node = Node::new();
    let sessions = node.layer.sessions().unwrap();
    let mut all = [node.sign_in("ada").await, node.sign_in("ada").await, node.sign_in("ada").await];
    let out = node.send(&mut all[0], crate::support::post("/sign-out", "scope=everywhere")).await;
    assert_eq!(out.status, 303);
    for browser in &mut all {
        assert_eq!(node.who(browser).await, "SignedOut", "without a word from the feed");
    }
    let mut again = node.sign_in("ada").await;
    assert_eq!(node.who(&mut again).await, "ada");
    sessions.end_all(&crate::support::subject("ada")).await.unwrap();
    assert_eq!(node.who(&mut again).await, "SignedOut");
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_nobody_is_believed_unasked() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    // Entries of two hours ago, trimmed: whoever starts now cannot know what they were.
    let mut other = node.sign_in("bob").await;
    node.post(&mut other, "/out").await;
    let far = tower_auth_session::Timestamp::from_unix_seconds(crate::support::START + 9_000);
    tower_auth_session::store::SessionStore::delete_expired(&node.store.memory, far, 0)
        .await
        .unwrap();
    let background = tokio::spawn(node.layer.background());
    settle().await;
    assert!(node.has_told("RevocationFeedLost"));
    node.store.take_calls();
    assert_eq!(node.who(&mut browser).await, "ada");
    assert_eq!(node.store.take_calls(), ["renew"], "fresh as the token is");
    node.advance(2);
    assert_eq!(node.who(&mut browser).await, "ada");
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_is_down_is_told_once_and_read_again() {
    let node = Node::new();
    let elsewhere = node.sibling(|builder| builder);
    let mut browser = node.sign_in("ada").await;
    let mut copy = browser.clone();
    node.store.set(Fault::Refused);
    let background = tokio::spawn(elsewhere.layer.background());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let lost = elsewhere
        .events
        .take_names()
        .into_iter()
        .filter(|name| name == "RevocationFeedLost")
        .count();
    assert_eq!(lost, 1);
    node.store.set(Fault::None);
    node.post(&mut browser, "/out").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(elsewhere.who(&mut copy).await, "SignedOut");
    background.abort();
}

/// No store knows who acts in a session: what ends an actor's sessions ends those on every node that hears
/// of it, for as long as one of them may last.
#[tokio::test(start_paused = true)]
async fn what_an_actor_began_is_over_with_the_actors_sessions() {
    let node = Node::new();
    let elsewhere = node.sibling(|builder| builder);
    let background = tokio::spawn(elsewhere.layer.background());
    settle().await;
    let mut browser = crate::support::Browser::default();
    node.run_handler(&mut browser, async |jar| {
        let (bob, ada) = (crate::support::subject("bob"), crate::support::subject("ada"));
        let sign_in = tower_auth_session::SignIn::new(bob, crate::support::user("bob"));
        jar.sign_in(sign_in.impersonated_by(tower_auth_session::Actor::new(ada))).unwrap();
    })
    .await;
    assert_eq!(elsewhere.who(&mut browser.clone()).await, "bob");
    node.layer.sessions().unwrap().end_all(&crate::support::subject("ada")).await.unwrap();
    settle().await;
    // Not presented until the process no longer has to remember who is over by the store.
    node.advance(99);
    let mut other = node.sign_in("carol").await;
    node.post(&mut other, "/out").await;
    settle().await;
    for node in [&node, &elsewhere] {
        assert_eq!(node.who(&mut browser.clone()).await, "SignedOut");
    }
    background.abort();
}
