//! The revocation feed: sessions revoked on one node are rejected by the others at once.

use std::time::Duration;

use super::fixture::Node;
use crate::support::faulty_store::Fault;

/// Yields until all tasks are idle; the time of the tests is paused.
async fn run_pending_tasks() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn node_with_the_feed_rejects_fresh_tokens_of_revoked_sessions() {
    let node = Node::new();
    let elsewhere = node.sibling(|builder| builder);
    let background = tokio::spawn(elsewhere.layer.background());
    let mut browser = node.sign_in("ada").await;
    let mut others = [node.sign_in("bob").await, node.sign_in("bob").await];
    let mut copy = browser.clone();
    assert_eq!(elsewhere.current_user(&mut copy).await, "ada");
    node.post(&mut browser, "/out").await;
    run_pending_tasks().await;
    node.store.set(Fault::Panics);
    assert_eq!(elsewhere.current_user(&mut copy).await, "SignedOut");
    assert!(copy.has_no_session());
    node.store.set(Fault::None);
    // All sessions of a subject, in the second of their sign-in.
    let sessions = node.layer.sessions().unwrap();
    assert_eq!(sessions.revoke_all_of(&crate::support::subject("bob")).await.unwrap(), 2);
    run_pending_tasks().await;
    node.store.set(Fault::Panics);
    for other in &mut others {
        assert_eq!(elsewhere.current_user(other).await, "SignedOut");
        assert!(other.has_no_session());
    }
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn revocation_of_the_other_sessions_keeps_the_current_one() {
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
        let now = tower_auth_session::time::Clock::now(&node.clock);
        node.layer.engine().open(&request, now)
    };
    node.advance(1);
    let sessions = node.layer.sessions().unwrap();
    let ended = sessions.revoke_others(jar.session().unwrap().identity()).await.unwrap();
    assert_eq!(ended, 1);
    run_pending_tasks().await;
    for node in [&node, &elsewhere] {
        assert_eq!(node.current_user(&mut old.clone()).await, "SignedOut");
        assert_eq!(node.current_user(&mut this).await, "ada");
    }
    sessions
        .revoke_everyone_before(tower_auth_session::time::Clock::now(&node.clock).timestamp())
        .await
        .unwrap();
    run_pending_tasks().await;
    for node in [&node, &elsewhere] {
        assert_eq!(node.current_user(&mut this.clone()).await, "SignedOut");
    }
    old.cookies.clear();
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn node_that_starts_later_reads_earlier_revocations() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    let mut copy = browser.clone();
    node.post(&mut browser, "/out").await;
    node.advance(5);
    let late = node.sibling(|builder| builder);
    assert_eq!(
        late.current_user(&mut copy.clone()).await,
        "ada",
        "the background task has not been created"
    );
    let background = late.layer.background();
    // Until the feed has been read, each session is confirmed with the store.
    assert_eq!(late.current_user(&mut copy.clone()).await, "SignedOut");
    let other = late.sibling(|builder| builder);
    let background = [tokio::spawn(background), tokio::spawn(other.layer.background())];
    run_pending_tasks().await;
    node.store.set(Fault::Panics);
    assert_eq!(other.current_user(&mut copy.clone()).await, "SignedOut", "the feed was read");
    assert_eq!(late.current_user(&mut copy).await, "SignedOut");
    background.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn sign_out_everywhere_revokes_sessions_of_the_same_second() {
    let node = Node::new();
    let sessions = node.layer.sessions().unwrap();
    let mut all = [node.sign_in("ada").await, node.sign_in("ada").await, node.sign_in("ada").await];
    let out = node.send(&mut all[0], crate::support::post("/sign-out", "scope=everywhere")).await;
    assert_eq!(out.status, 303);
    for browser in &mut all {
        assert_eq!(node.current_user(browser).await, "SignedOut", "without the feed");
    }
    let mut again = node.sign_in("ada").await;
    assert_eq!(node.current_user(&mut again).await, "ada");
    sessions.revoke_all_of(&crate::support::subject("ada")).await.unwrap();
    assert_eq!(node.current_user(&mut again).await, "SignedOut");
}

#[tokio::test(start_paused = true)]
async fn feed_gap_requires_confirmation_of_fresh_tokens() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    // Entries of two hours ago were trimmed, so a node that starts now cannot know them.
    let mut other = node.sign_in("bob").await;
    node.post(&mut other, "/out").await;
    let far = tower_auth_session::time::Timestamp::from_unix_seconds(crate::support::START + 9_000);
    tower_auth_session::store::SessionStore::delete_expired(&node.store.memory, far, 0)
        .await
        .unwrap();
    let background = tokio::spawn(node.layer.background());
    run_pending_tasks().await;
    assert!(node.has_event("RevocationFeedLost"));
    node.store.take_calls();
    assert_eq!(node.current_user(&mut browser).await, "ada");
    assert_eq!(node.store.take_calls(), ["renew"], "although the token is fresh");
    node.advance(2);
    assert_eq!(node.current_user(&mut browser).await, "ada");
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn feed_outage_is_reported_once_and_reading_resumes() {
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
    assert_eq!(elsewhere.current_user(&mut copy).await, "SignedOut");
    background.abort();
}

/// A store does not know the actor of a session. Revoking an actor's sessions also revokes the impersonated
/// ones on every node that reads the feed, for as long as one may last.
#[tokio::test(start_paused = true)]
async fn impersonated_session_is_revoked_on_all_nodes_with_its_actors_sessions() {
    let node = Node::new();
    let elsewhere = node.sibling(|builder| builder);
    let background = tokio::spawn(elsewhere.layer.background());
    run_pending_tasks().await;
    let mut browser = crate::support::Browser::default();
    node.run_handler(&mut browser, async |jar| {
        let (bob, ada) = (crate::support::subject("bob"), crate::support::subject("ada"));
        let sign_in = tower_auth_session::SignIn::new(bob, crate::support::user("bob"));
        jar.sign_in(sign_in.impersonated_by(tower_auth_session::engine::Actor::new(ada))).unwrap();
    })
    .await;
    assert_eq!(elsewhere.current_user(&mut browser.clone()).await, "bob");
    node.layer.sessions().unwrap().revoke_all_of(&crate::support::subject("ada")).await.unwrap();
    run_pending_tasks().await;
    // Presented only after the time for which revocations from the store must be remembered.
    node.advance(99);
    let mut other = node.sign_in("carol").await;
    node.post(&mut other, "/out").await;
    run_pending_tasks().await;
    for node in [&node, &elsewhere] {
        assert_eq!(node.current_user(&mut browser.clone()).await, "SignedOut");
    }
    background.abort();
}

/// A process that has just started, or has missed part of the feed, does not know which young tokens
/// belong to sessions revoked elsewhere.
#[tokio::test(start_paused = true)]
async fn node_that_may_have_missed_revocations_accepts_no_token_without_the_store() {
    for grace in [0, 60] {
        let node = Node::with(
            |builder| builder,
            move |layer| layer.outage_grace(Duration::from_secs(grace)),
        );
        let mut browser = node.sign_in("ada").await;
        let mut revoked = node.sign_in("bob").await;
        let mut copy = revoked.clone();
        assert_eq!(node.post(&mut revoked, "/out").await.status, 200);
        node.advance(3);
        node.store.set(Fault::Refused);
        let started = node.sibling(|builder| builder);
        let background = tokio::spawn(started.layer.background());
        run_pending_tasks().await;
        for cookies in [&mut copy, &mut browser] {
            let before = cookies.cookies.clone();
            assert_eq!(started.current_user(cookies).await, "Unavailable", "grace {grace}");
            assert_eq!(started.get(cookies, "/guarded").await.status, 503, "grace {grace}");
            assert_eq!(cookies.cookies, before, "an outage removes no cookie");
        }
        node.store.set(Fault::None);
        tokio::time::sleep(Duration::from_secs(2)).await;
        // The circuit breaker lets one probe through each second.
        started.advance(2);
        assert_eq!(started.current_user(&mut copy).await, "SignedOut");
        assert_eq!(started.current_user(&mut browser).await, "ada");
        background.abort();
    }
}

/// After a gap, neither the age of a token nor an earlier response of the store counts.
#[tokio::test(start_paused = true)]
async fn feed_gap_discards_confirmed_renewals() {
    let node = Node::new();
    let background = tokio::spawn(node.layer.background());
    let elsewhere = node.sibling(|builder| builder);
    let browser = node.sign_in("ada").await;
    let mut revoked = browser.clone();
    node.advance(11);
    assert_eq!(node.current_user(&mut browser.clone()).await, "ada", "confirmed by the store");
    run_pending_tasks().await;
    // The feed loses the revocation before this node reads it.
    node.store.set_for("revocations", Fault::Refused);
    tokio::time::sleep(Duration::from_secs(30)).await;
    elsewhere.post(&mut revoked, "/out").await;
    let mut other = node.sign_in("carol").await;
    elsewhere.post(&mut other, "/out").await;
    let far = tower_auth_session::time::Timestamp::from_unix_seconds(crate::support::START + 9_000);
    tower_auth_session::store::SessionStore::delete_expired(&node.store.memory, far, 0)
        .await
        .unwrap();
    node.events.take_names();
    node.store.set(Fault::None);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(node.has_event("RevocationFeedLost"));
    node.store.take_calls();
    assert_eq!(node.current_user(&mut browser.clone()).await, "SignedOut");
    assert_eq!(node.store.take_calls(), ["renew"], "the confirmed renewal was discarded");
    background.abort();
}
