//! Bounded time and load: few calls under way, an answer in time, and nothing to restart.

use std::time::Duration;

use tokio::time::Instant;

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault};

async fn many(node: &Node, count: usize) -> Vec<Browser> {
    let mut browsers = Vec::new();
    for _ in 0..count {
        browsers.push(node.sign_in("ada").await);
    }
    browsers
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_stale_requests_do_not_bury_a_store_that_hangs() {
    let node = Node::new();
    let mut stale = many(&node, 10_000).await;
    node.advance(10);
    let mut fresh = many(&node, 1).await;
    node.store.set(Fault::Hangs);
    let start = Instant::now();
    let requests: Vec<_> = stale
        .iter()
        .cloned()
        .map(|mut browser| {
            let node = node.clone();
            tokio::spawn(async move { (node.who(&mut browser).await, start.elapsed()) })
        })
        .collect();
    tokio::task::yield_now().await;
    let waited = Instant::now();
    for _ in 0..100 {
        assert_eq!(node.who(&mut fresh[0]).await, "ada");
    }
    assert_eq!(waited.elapsed(), Duration::ZERO, "who is fresh does not wait");
    for request in requests {
        let (said, after) = request.await.unwrap();
        assert_eq!(said, "Unavailable");
        assert!(after <= Duration::from_millis(510), "{after:?}");
    }
    assert!(node.store.max_in_flight() <= 256, "{}", node.store.max_in_flight());
    let calls = node.store.take_calls().len();
    assert!(calls <= 2 * 256, "{calls} calls to a store that does not answer");
    // Recovered, one call finds out, and all go on.
    node.store.set(Fault::None);
    node.advance(1);
    for browser in stale.iter_mut().take(300) {
        assert_eq!(node.who(browser).await, "ada");
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_lets_one_call_a_second_through() {
    for fault in [Fault::Refused, Fault::Hangs] {
        let node = Node::new();
        let browsers = many(&node, 50).await;
        node.advance(10);
        node.store.set(fault);
        let mut calls = Vec::new();
        for second in 0..5 {
            let start = Instant::now();
            for browser in &browsers {
                let asked = Instant::now();
                assert_eq!(node.who(&mut browser.clone()).await, "Unavailable");
                assert!(asked.elapsed() <= Duration::from_millis(510), "{fault:?}");
            }
            calls.push(node.store.take_calls().len());
            assert!(second == 0 || start.elapsed() <= Duration::from_millis(260), "{fault:?}");
            node.advance(1);
        }
        assert_eq!(calls, [5, 1, 1, 1, 1], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_twice_at_most_and_only_when_all_was_well() {
    let node = Node::new();
    let browsers = many(&node, 3).await;
    node.advance(10);
    node.store.set(Fault::Refused);
    for (browser, expected) in browsers.iter().zip([2, 1, 1]) {
        node.who(&mut browser.clone()).await;
        assert_eq!(node.store.take_calls().len(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn every_second_failure_is_survived() {
    let node = Node::new();
    let browsers = many(&node, 100).await;
    node.store.set(Fault::Flapping);
    for _ in 0..9 {
        node.advance(10);
        node.store.take_calls();
        for browser in &browsers[..20] {
            let said = node.who(&mut browser.clone()).await;
            assert!(said == "ada" || said == "Unavailable", "{said}");
        }
        let calls = node.store.take_calls().len();
        assert!(calls <= 40, "{calls}: one more try each at most");
    }
}

/// A slow answer to a crowd is no failure of the store: the crowd waits, and is not turned into an
/// outage for those who come later.
#[tokio::test(start_paused = true)]
async fn a_crowd_before_a_store_that_works_opens_no_breaker() {
    let node = Node::new();
    let browsers = many(&node, 2_000).await;
    node.advance(10);
    node.store.set(Fault::Slow(Duration::from_millis(100)));
    let requests: Vec<_> = browsers
        .iter()
        .cloned()
        .map(|mut browser| {
            let node = node.clone();
            tokio::spawn(async move { node.who(&mut browser).await })
        })
        .collect();
    let mut served = 0;
    for request in requests {
        served += usize::from(request.await.unwrap() == "ada");
    }
    assert!(served >= 512, "{served}");
    node.store.set(Fault::None);
    for browser in browsers.iter().take(600) {
        assert_eq!(node.who(&mut browser.clone()).await, "ada", "no breaker is open");
    }
}

/// What a person waits for at most where several things have to be told to a store that hangs.
#[tokio::test(start_paused = true)]
async fn signing_out_of_many_accounts_waits_no_longer_than_of_one() {
    let node = Node::of_several();
    let mut browser = Browser::default();
    for who in ["ada", "bob", "cyd", "dee", "eve"] {
        assert_eq!(node.post(&mut browser, &format!("/in?{who}")).await.status, 200);
    }
    node.store.set(Fault::Hangs);
    let start = Instant::now();
    let response = node
        .run_handler(&mut browser, |jar| async move {
            jar.sign_out_all();
        })
        .await;
    assert_eq!(response.status, 503);
    assert!(start.elapsed() <= Duration::from_millis(510), "{:?}", start.elapsed());
    assert!(browser.has_no_session());
    // All five wait for the store.
    node.store.set(Fault::None);
    node.store.take_calls();
    node.advance(1);
    let background = tokio::spawn(node.layer.background());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(node.store.take_calls(), ["end"; 5]);
    background.abort();
}

/// A gap in the feed makes every token due: each session is looked up once, not with each request.
#[tokio::test(start_paused = true)]
async fn a_gap_asks_once_for_each_session() {
    let node = Node::new();
    let mut other = node.sign_in("bob").await;
    node.post(&mut other, "/out").await;
    let browsers = many(&node, 300).await;
    let far = tower_auth_session::Timestamp::from_unix_seconds(crate::support::START + 9_000);
    tower_auth_session::store::SessionStore::delete_expired(&node.store.memory, far, 0)
        .await
        .unwrap();
    let background = tokio::spawn(node.layer.background());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(node.has_told("RevocationFeedLost"));
    node.store.take_calls();
    for _ in 0..5 {
        let requests: Vec<_> = browsers
            .iter()
            .cloned()
            .map(|mut browser| {
                let node = node.clone();
                tokio::spawn(async move { node.who(&mut browser).await })
            })
            .collect();
        for request in requests {
            assert_eq!(request.await.unwrap(), "ada");
        }
    }
    assert_eq!(node.store.take_calls().len(), 300);
    assert!(node.store.max_in_flight() <= 256);
    background.abort();
}

/// The store fails right after a gap: who would be believed without a feed at all still is.
#[tokio::test(start_paused = true)]
async fn a_gap_in_an_outage_is_no_worse_than_no_feed() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    let mut other = node.sign_in("bob").await;
    node.post(&mut other, "/out").await;
    let far = tower_auth_session::Timestamp::from_unix_seconds(crate::support::START + 9_000);
    tower_auth_session::store::SessionStore::delete_expired(&node.store.memory, far, 0)
        .await
        .unwrap();
    let background = tokio::spawn(node.layer.background());
    tokio::time::sleep(Duration::from_millis(1)).await;
    node.store.set(Fault::Refused);
    node.advance(9);
    assert_eq!(node.who(&mut browser).await, "ada");
    node.advance(1);
    assert_eq!(node.who(&mut browser).await, "Unavailable");
    background.abort();
}

/// Tests, tools, anything that runs beside the service.
#[tokio::test(start_paused = true)]
async fn a_runtime_without_timers_takes_no_deadline_from_others() {
    let node = Node::new();
    let browser = node.sign_in("ada").await;
    node.advance(10);
    let (elsewhere, mut copy) = (node.clone(), browser.clone());
    let without = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { elsewhere.who(&mut copy).await })
    });
    assert_eq!(without.join().unwrap(), "ada");
    node.advance(20);
    node.store.set(Fault::Hangs);
    let request = async { node.who(&mut browser.clone()).await };
    let said = tokio::time::timeout(Duration::from_secs(1), request).await;
    assert_eq!(said.as_deref(), Ok("Unavailable"));
}
