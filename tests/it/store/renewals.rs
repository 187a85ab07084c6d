//! When the store is queried, and the effect of its results.

use http::header;

use super::fixture::Node;
use crate::support::{Browser, START, faulty_store::Fault, get};

#[tokio::test(start_paused = true)]
async fn fresh_token_is_accepted_without_a_store_call() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    node.store.set(Fault::Panics);
    for _ in 0..100 {
        assert_eq!(node.current_user(&mut browser).await, "ada");
    }
    node.advance(9);
    assert_eq!(node.get(&mut browser, "/guarded").await.text(), "ada");
}

#[tokio::test(start_paused = true)]
async fn thousand_requests_cause_one_store_call_per_renewal() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    // Ten requests a second for 100 s.
    for second in 0..100 {
        for _ in 0..10 {
            assert_eq!(node.current_user(&mut browser).await, "ada", "{second}");
        }
        node.advance(1);
    }
    let calls = node.store.take_calls();
    assert!(calls.iter().all(|call| *call == "renew"), "{calls:?}");
    assert!((9..=10).contains(&calls.len()), "{}", calls.len());
}

#[tokio::test(start_paused = true)]
async fn stale_cookie_causes_one_store_call_per_renewal_age() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    node.advance(15);
    for _ in 0..50 {
        let response = node.get(&mut browser, "/public").await;
        assert_eq!((response.text(), response.set_cookies().len()), ("ada", 0));
    }
    assert_eq!(node.store.take_calls(), ["renew"], "for 50 sequential requests");
    // When the remembered confirmation is as old as a due token, the store is queried again.
    node.advance(10);
    assert_eq!(node.get(&mut browser, "/public").await.text(), "ada");
    assert_eq!(node.store.take_calls(), ["renew"]);
}

#[tokio::test(start_paused = true)]
async fn concurrent_requests_share_one_store_call() {
    let node = Node::new();
    let browser = node.sign_in("ada").await;
    node.advance(15);
    node.store.set(Fault::Slow(std::time::Duration::from_millis(100)));
    let requests = (0..100).map(|_| {
        let (node, mut browser) = (node.clone(), browser.clone());
        tokio::spawn(async move {
            let response = node.get(&mut browser, "/").await;
            (response.text().to_owned(), response.set_cookies().len())
        })
    });
    for request in requests.collect::<Vec<_>>() {
        assert_eq!(request.await.unwrap(), ("ada".to_owned(), 1), "every request is renewed");
    }
    assert_eq!(node.store.take_calls(), ["renew"]);
}

#[tokio::test(start_paused = true)]
async fn dropped_first_request_does_not_cancel_the_shared_call() {
    let node = Node::new();
    let browser = node.sign_in("ada").await;
    node.advance(15);
    node.store.set(Fault::Slow(std::time::Duration::from_millis(100)));
    let [first, second] = [0, 1].map(|_| {
        let (node, mut browser) = (node.clone(), browser.clone());
        tokio::spawn(async move { node.current_user(&mut browser).await })
    });
    tokio::task::yield_now().await;
    first.abort();
    assert_eq!(second.await.unwrap(), "ada");
    assert_eq!(node.store.take_calls(), ["renew"]);
}

#[tokio::test(start_paused = true)]
async fn activity_is_recorded_although_a_background_request_renewed_first() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    node.advance(15);
    let mut background_request = get("/public");
    background_request.headers_mut().insert("session-activity", "none".parse().unwrap());
    assert_eq!(node.send(&mut browser, background_request).await.text(), "ada");
    assert_eq!(node.store.take_calls(), ["renew"]);
    // The store has no activity yet; the next request records it.
    assert_eq!(node.get(&mut browser, "/public").await.text(), "ada");
    assert_eq!(node.store.take_calls(), ["renew"]);
    assert_eq!(node.get(&mut browser, "/public").await.text(), "ada");
    assert_eq!(node.store.take_calls(), [""; 0]);
    // Active at 15 s, so the session expires at 115 s in the store.
    node.advance(95);
    let mut late = browser.clone();
    assert_eq!(node.current_user(&mut late).await, "SignedOut", "its own token has expired");
}

#[tokio::test(start_paused = true)]
async fn session_revoked_elsewhere_is_rejected_at_its_next_renewal() {
    let (node, mut browser);
    node = Node::new();
    browser = node.sign_in("ada").await;
    let copy = browser.clone();
    let elsewhere = node.sibling(|builder| builder);
    elsewhere.post(&mut browser.clone(), "/out").await;
    // Without the feed, accepted until the token is due.
    node.advance(9);
    assert_eq!(node.current_user(&mut browser).await, "ada");
    node.advance(1);
    let response = node.get(&mut browser, "/guarded").await;
    assert_eq!(response.status, 401);
    assert!(browser.has_no_session(), "the cookie is removed");
    assert!(node.has_event("Revoked"));
    // The process remembers the revocation.
    node.store.set(Fault::Panics);
    let mut copy = copy;
    assert_eq!(node.current_user(&mut copy).await, "SignedOut");
    assert!(copy.has_no_session());
}

#[tokio::test(start_paused = true)]
async fn session_missing_in_the_store_is_rejected_when_due() {
    let node = Node::new();
    let other_store = Node::new();
    let mut browser = other_store.sign_in("ada").await;
    assert_eq!(node.current_user(&mut browser).await, "ada", "accepted while it is fresh");
    node.advance(10);
    assert_eq!(node.current_user(&mut browser).await, "SignedOut");
    assert!(browser.has_no_session());
}

#[tokio::test(start_paused = true)]
async fn token_of_a_slow_handler_is_due_when_it_is_delivered() {
    let node = Node::with(
        |builder| {
            builder.lifetime(
                tower_auth_session::SessionLifetime::new()
                    .renew_after(std::time::Duration::from_secs(10)),
            )
        },
        |layer| layer,
    );
    let mut browser = node.sign_in("ada").await;
    node.advance(10);
    let slow = {
        let (node, mut browser) = (node.clone(), browser.clone());
        tokio::spawn(async move {
            let response = node.get(&mut browser, "/slow").await;
            (response.text().to_owned(), browser)
        })
    };
    while node.store.take_calls() != ["renew"] {
        tokio::task::yield_now().await;
    }
    // Revoked on another node, and ten minutes pass, so that the feed no longer has it.
    let elsewhere = node.sibling(|builder| builder);
    elsewhere.post(&mut browser, "/out").await;
    node.advance(600);
    node.gate.add_permits(1);
    let (user, mut late) = slow.await.unwrap();
    assert_eq!(user, "ada", "valid when the request was received");
    assert!(!late.has_no_session(), "the response carries a cookie");
    node.store.take_calls();
    assert_eq!(
        node.current_user(&mut late).await,
        "SignedOut",
        "the delivered token is already due"
    );
    assert_eq!(node.store.take_calls(), ["renew"]);
    assert!(late.has_no_session());
}

#[tokio::test(start_paused = true)]
async fn claims_update_is_written_only_when_the_store_confirms() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    assert_eq!(node.post(&mut browser, "/rename?lovelace").await.text(), "renamed");
    assert_eq!(node.store.take_calls(), ["renew"], "although no renewal is due");
    assert_eq!(node.current_user(&mut browser).await, "lovelace");
    // Revoked elsewhere: a new token is not fresher than the last confirmation of the store.
    node.sibling(|builder| builder).post(&mut browser.clone(), "/out").await;
    node.advance(9);
    let response = node.post(&mut browser, "/renew").await;
    assert_eq!(response.text(), "renewed");
    node.advance(1);
    assert_eq!(node.current_user(&mut browser).await, "SignedOut");
    assert!(browser.has_no_session());

    for fault in [Fault::Refused, Fault::Hangs, Fault::ReadOnly, Fault::Corrupt] {
        let node = Node::new();
        let mut browser = node.sign_in("ada").await;
        node.store.set(fault);
        let response = node.post(&mut browser, "/rename?lovelace").await;
        assert_eq!(response.status, 503, "{fault:?}: the update cannot be stored");
        assert_eq!(response.set_cookies(), [""; 0], "{fault:?}");
        assert_eq!(node.post(&mut browser, "/renew").await.status, 200, "{fault:?}");
        assert_eq!(
            node.current_user(&mut browser).await,
            "ada",
            "{fault:?}: the old claims are kept"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn renewed_token_has_the_latest_activity_of_the_store() {
    let node = Node::new();
    let browser = node.sign_in("ada").await;
    node.advance(20);
    let (mut here, mut there) = (browser.clone(), browser);
    // Another node records later activity during this node's renewal.
    node.sibling(|builder| builder).get(&mut there, "/").await;
    let mut background_request = get("/");
    background_request.headers_mut().insert("session-activity", "none".parse().unwrap());
    let response = node.send(&mut here, background_request).await;
    let set = response.headers.get(header::SET_COOKIE).unwrap().to_str().unwrap();
    assert!(set.contains("Max-Age=100"), "the other node's activity is included: {set}");
    let _: Browser = here;
}

/// What the store confirmed while the clock was ahead does not count until the clock shows that time
/// again.
#[tokio::test(start_paused = true)]
async fn confirmation_from_ahead_of_the_clock_is_not_reused() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    let mut lost = browser.clone();
    let at = |second| tower_auth_session::time::Timestamp::from_unix_seconds(START + second);
    node.clock.set(at(50));
    assert_eq!(node.current_user(&mut browser).await, "ada");
    assert_eq!(node.store.take_calls(), ["renew"]);
    node.clock.set(at(11));
    assert_eq!(node.current_user(&mut lost).await, "ada");
    assert!(node.store.take_calls().contains(&"renew"));
}
