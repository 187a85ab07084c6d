//! When a store is asked, and what its answers mean.

use http::header;

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault, get};

#[tokio::test(start_paused = true)]
async fn a_fresh_token_is_believed_without_asking() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    node.store.set(Fault::Panics);
    for _ in 0..100 {
        assert_eq!(node.who(&mut browser).await, "ada");
    }
    node.advance(9);
    assert_eq!(node.get(&mut browser, "/guarded").await.text(), "ada");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_ask_once_per_renewal() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    // Ten requests a second for 100 s.
    for second in 0..100 {
        for _ in 0..10 {
            assert_eq!(node.who(&mut browser).await, "ada", "{second}");
        }
        node.advance(1);
    }
    let calls = node.store.take_calls();
    assert!(calls.iter().all(|call| *call == "renew"), "{calls:?}");
    assert!((9..=10).contains(&calls.len()), "{}", calls.len());
}

#[tokio::test(start_paused = true)]
async fn one_stale_cookie_asks_once_however_often_it_comes() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    node.advance(15);
    for _ in 0..50 {
        let response = node.get(&mut browser, "/public").await;
        assert_eq!((response.text(), response.set_cookies().len()), ("ada", 0));
    }
    assert_eq!(node.store.take_calls(), ["renew"], "one after another");
    // Once what is remembered is as old as a token that is due, the store is asked again.
    node.advance(10);
    assert_eq!(node.get(&mut browser, "/public").await.text(), "ada");
    assert_eq!(node.store.take_calls(), ["renew"]);
}

#[tokio::test(start_paused = true)]
async fn requests_at_once_share_one_answer() {
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
        assert_eq!(request.await.unwrap(), ("ada".to_owned(), 1), "nobody loses the race");
    }
    assert_eq!(node.store.take_calls(), ["renew"]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_first_may_hang_up() {
    let node = Node::new();
    let browser = node.sign_in("ada").await;
    node.advance(15);
    node.store.set(Fault::Slow(std::time::Duration::from_millis(100)));
    let [first, second] = [0, 1].map(|_| {
        let (node, mut browser) = (node.clone(), browser.clone());
        tokio::spawn(async move { node.who(&mut browser).await })
    });
    tokio::task::yield_now().await;
    first.abort();
    assert_eq!(second.await.unwrap(), "ada");
    assert_eq!(node.store.take_calls(), ["renew"]);
}

#[tokio::test(start_paused = true)]
async fn a_background_poll_does_not_hide_a_busy_user() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    node.advance(15);
    let mut poll = get("/public");
    poll.headers_mut().insert("session-activity", "none".parse().unwrap());
    assert_eq!(node.send(&mut browser, poll).await.text(), "ada");
    assert_eq!(node.store.take_calls(), ["renew"]);
    // The store knows of no activity yet: the next request tells it.
    assert_eq!(node.get(&mut browser, "/public").await.text(), "ada");
    assert_eq!(node.store.take_calls(), ["renew"]);
    assert_eq!(node.get(&mut browser, "/public").await.text(), "ada");
    assert_eq!(node.store.take_calls(), [""; 0]);
    // Active at 15 s: alive at 110 s, over at 115 s.
    node.advance(95);
    let mut late = browser.clone();
    assert_eq!(node.who(&mut late).await, "SignedOut", "its own token has run out");
}

#[tokio::test(start_paused = true)]
async fn signed_out_elsewhere_is_over_at_the_next_renewal() {
    let (node, mut browser);
    node = Node::new();
    browser = node.sign_in("ada").await;
    let copy = browser.clone();
    let elsewhere = node.sibling(|builder| builder);
    elsewhere.post(&mut browser.clone(), "/out").await;
    // Without the feed, until the token is due.
    node.advance(9);
    assert_eq!(node.who(&mut browser).await, "ada");
    node.advance(1);
    let response = node.get(&mut browser, "/guarded").await;
    assert_eq!(response.status, 401);
    assert!(browser.has_no_session(), "the cookie goes");
    assert!(node.has_told("Revoked"));
    // From then on this process knows.
    node.store.set(Fault::Panics);
    let mut copy = copy;
    assert_eq!(node.who(&mut copy).await, "SignedOut");
    assert!(copy.has_no_session());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_store_does_not_know_is_over() {
    let node = Node::new();
    let stranger = Node::new();
    let mut browser = stranger.sign_in("ada").await;
    assert_eq!(node.who(&mut browser).await, "ada", "believed while it is fresh");
    node.advance(10);
    assert_eq!(node.who(&mut browser).await, "SignedOut");
    assert!(browser.has_no_session());
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_makes_no_token_that_is_fresh_long_after_the_answer() {
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
            let answer = node.get(&mut browser, "/slow").await;
            (answer.text().to_owned(), browser)
        })
    };
    while node.store.take_calls() != ["renew"] {
        tokio::task::yield_now().await;
    }
    // Ended on another node, and ten minutes pass: no feed tells of it any more.
    let elsewhere = node.sibling(|builder| builder);
    elsewhere.post(&mut browser, "/out").await;
    node.advance(600);
    node.gate.add_permits(1);
    let (said, mut late) = slow.await.unwrap();
    assert_eq!(said, "ada", "it was so when the request came in");
    assert!(!late.has_no_session(), "the response carries a cookie");
    node.store.take_calls();
    assert_eq!(node.who(&mut late).await, "SignedOut", "which is stale on arrival");
    assert_eq!(node.store.take_calls(), ["renew"]);
    assert!(late.has_no_session());
}

#[tokio::test(start_paused = true)]
async fn changed_claims_go_out_when_the_store_agrees() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    assert_eq!(node.post(&mut browser, "/rename?lovelace").await.text(), "renamed");
    assert_eq!(node.store.take_calls(), ["renew"], "young as the token is");
    assert_eq!(node.who(&mut browser).await, "lovelace");
    // Ended elsewhere, and asked for a new token: it is no fresher than the store's last yes.
    node.sibling(|builder| builder).post(&mut browser.clone(), "/out").await;
    node.advance(9);
    let response = node.post(&mut browser, "/renew").await;
    assert_eq!(response.text(), "renewed");
    node.advance(1);
    assert_eq!(node.who(&mut browser).await, "SignedOut");
    assert!(browser.has_no_session());

    for fault in [Fault::Refused, Fault::Hangs, Fault::ReadOnly, Fault::Corrupt] {
        let node = Node::new();
        let mut browser = node.sign_in("ada").await;
        node.store.set(fault);
        let response = node.post(&mut browser, "/rename?lovelace").await;
        assert_eq!(response.status, 503, "{fault:?}: it would be lost");
        assert_eq!(response.set_cookies(), [""; 0], "{fault:?}");
        assert_eq!(node.post(&mut browser, "/renew").await.status, 200, "{fault:?}");
        assert_eq!(node.who(&mut browser).await, "ada", "{fault:?}: the old ones stay");
    }
}

#[tokio::test(start_paused = true)]
async fn the_token_says_what_the_store_recorded() {
    let node = Node::new();
    let browser = node.sign_in("ada").await;
    node.advance(20);
    let (mut here, mut there) = (browser.clone(), browser);
    // Another node recorded later activity, while this one's renewal was under way.
    node.sibling(|builder| builder).get(&mut there, "/").await;
    let mut poll = get("/");
    poll.headers_mut().insert("session-activity", "none".parse().unwrap());
    let response = node.send(&mut here, poll).await;
    let set = response.headers.get(header::SET_COOKIE).unwrap().to_str().unwrap();
    assert!(set.contains("Max-Age=100"), "its activity counts here too: {set}");
    let _: Browser = here;
}
