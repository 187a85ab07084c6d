//! Bounded time and load: few concurrent calls, timely responses, and recovery without a restart.

use std::time::Duration;

use tokio::time::Instant;

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault};

async fn sign_in_many(node: &Node, count: usize) -> Vec<Browser> {
    let mut browsers = Vec::new();
    for _ in 0..count {
        browsers.push(node.sign_in("ada").await);
    }
    browsers
}

#[tokio::test(start_paused = true)]
async fn hanging_store_gets_bounded_calls_from_ten_thousand_stale_requests() {
    let node = Node::new();
    let mut stale = sign_in_many(&node, 10_000).await;
    node.advance(10);
    let mut fresh = sign_in_many(&node, 1).await;
    node.store.set(Fault::Hangs);
    let start = Instant::now();
    let requests: Vec<_> = stale
        .iter()
        .cloned()
        .map(|mut browser| {
            let node = node.clone();
            tokio::spawn(async move { (node.current_user(&mut browser).await, start.elapsed()) })
        })
        .collect();
    tokio::task::yield_now().await;
    let waited = Instant::now();
    for _ in 0..100 {
        assert_eq!(node.current_user(&mut fresh[0]).await, "ada");
    }
    assert_eq!(waited.elapsed(), Duration::ZERO, "fresh sessions do not wait");
    for request in requests {
        let (user, after) = request.await.unwrap();
        assert_eq!(user, "Unavailable");
        assert!(after <= Duration::from_millis(510), "{after:?}");
    }
    assert!(node.store.max_in_flight() <= 256, "{}", node.store.max_in_flight());
    let calls = node.store.take_calls().len();
    assert!(calls <= 2 * 256, "{calls} calls to a store that hangs");
    // After the recovery one call closes the circuit, and all requests succeed.
    node.store.set(Fault::None);
    node.advance(1);
    for browser in stale.iter_mut().take(300) {
        assert_eq!(node.current_user(browser).await, "ada");
    }
}

#[tokio::test(start_paused = true)]
async fn open_circuit_allows_one_probe_per_second() {
    for fault in [Fault::Refused, Fault::Hangs] {
        let node = Node::new();
        let browsers = sign_in_many(&node, 50).await;
        node.advance(10);
        node.store.set(fault);
        let mut calls = Vec::new();
        for second in 0..5 {
            let start = Instant::now();
            for browser in &browsers {
                let sent_at = Instant::now();
                assert_eq!(node.current_user(&mut browser.clone()).await, "Unavailable");
                assert!(sent_at.elapsed() <= Duration::from_millis(510), "{fault:?}");
            }
            calls.push(node.store.take_calls().len());
            assert!(second == 0 || start.elapsed() <= Duration::from_millis(260), "{fault:?}");
            node.advance(1);
        }
        assert_eq!(calls, [5, 1, 1, 1, 1], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn store_call_is_retried_once_and_only_with_a_closed_circuit() {
    let node = Node::new();
    let browsers = sign_in_many(&node, 3).await;
    node.advance(10);
    node.store.set(Fault::Refused);
    for (browser, expected) in browsers.iter().zip([2, 1, 1]) {
        node.current_user(&mut browser.clone()).await;
        assert_eq!(node.store.take_calls().len(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn flapping_store_causes_at_most_one_retry_per_request() {
    let node = Node::new();
    let browsers = sign_in_many(&node, 100).await;
    node.store.set(Fault::Flapping);
    for _ in 0..9 {
        node.advance(10);
        node.store.take_calls();
        for browser in &browsers[..20] {
            let user = node.current_user(&mut browser.clone()).await;
            assert!(user == "ada" || user == "Unavailable", "{user}");
        }
        let calls = node.store.take_calls().len();
        assert!(calls <= 40, "{calls}: at most one retry each");
    }
}

/// Slow responses to many requests are not failures of the store: the requests wait, and the circuit
/// stays closed for later ones.
#[tokio::test(start_paused = true)]
async fn slow_store_under_load_does_not_open_the_circuit() {
    let node = Node::new();
    let browsers = sign_in_many(&node, 2_000).await;
    node.advance(10);
    node.store.set(Fault::Slow(Duration::from_millis(100)));
    let requests: Vec<_> = browsers
        .iter()
        .cloned()
        .map(|mut browser| {
            let node = node.clone();
            tokio::spawn(async move { node.current_user(&mut browser).await })
        })
        .collect();
    let mut served = 0;
    for request in requests {
        served += usize::from(request.await.unwrap() == "ada");
    }
    assert!(served >= 512, "{served}");
    node.store.set(Fault::None);
    for browser in browsers.iter().take(600) {
        assert_eq!(node.current_user(&mut browser.clone()).await, "ada", "the circuit is closed");
    }
}

/// The revocations of several sessions share one timeout if the store hangs.
#[tokio::test(start_paused = true)]
async fn sign_out_of_many_accounts_waits_for_one_timeout() {
    let node = Node::multi_session();
    let mut browser = Browser::default();
    for name in ["ada", "bob", "cyd", "dee", "eve"] {
        assert_eq!(node.post(&mut browser, &format!("/in?{name}")).await.status, 200);
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
    // All five revocations are deferred.
    node.store.set(Fault::None);
    node.store.take_calls();
    node.advance(1);
    let background = tokio::spawn(node.layer.background());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(node.store.take_calls(), ["end"; 5]);
    background.abort();
}

/// After a gap in the feed each session is checked with the store once, not with each request.
#[tokio::test(start_paused = true)]
async fn feed_gap_causes_one_query_per_session() {
    let node = Node::new();
    let mut other = node.sign_in("bob").await;
    node.post(&mut other, "/out").await;
    let browsers = sign_in_many(&node, 300).await;
    let far = tower_auth_session::time::Timestamp::from_unix_seconds(crate::support::START + 9_000);
    tower_auth_session::store::SessionStore::delete_expired(&node.store.memory, far, 0)
        .await
        .unwrap();
    let background = tokio::spawn(node.layer.background());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(node.has_event("RevocationFeedLost"));
    node.store.take_calls();
    for _ in 0..5 {
        let requests: Vec<_> = browsers
            .iter()
            .cloned()
            .map(|mut browser| {
                let node = node.clone();
                tokio::spawn(async move { node.current_user(&mut browser).await })
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

/// If the store fails right after a gap, nothing shows which earlier tokens belong to revoked sessions.
#[tokio::test(start_paused = true)]
async fn feed_gap_in_an_outage_makes_earlier_tokens_unavailable() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    let mut other = node.sign_in("bob").await;
    node.post(&mut other, "/out").await;
    let far = tower_auth_session::time::Timestamp::from_unix_seconds(crate::support::START + 9_000);
    tower_auth_session::store::SessionStore::delete_expired(&node.store.memory, far, 0)
        .await
        .unwrap();
    let background = tokio::spawn(node.layer.background());
    tokio::time::sleep(Duration::from_millis(1)).await;
    node.store.set(Fault::Refused);
    for _ in 0..2 {
        node.advance(5);
        assert_eq!(
            node.current_user(&mut browser).await,
            "Unavailable",
            "however young the token is"
        );
    }
    background.abort();
}

/// A second runtime without timers, such as that of a test or a tool.
#[tokio::test(start_paused = true)]
async fn runtime_without_timers_does_not_disable_timeouts_elsewhere() {
    let node = Node::new();
    let browser = node.sign_in("ada").await;
    node.advance(10);
    let (elsewhere, mut copy) = (node.clone(), browser.clone());
    let without = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { elsewhere.current_user(&mut copy).await })
    });
    assert_eq!(without.join().unwrap(), "ada");
    node.advance(20);
    node.store.set(Fault::Hangs);
    let request = async { node.current_user(&mut browser.clone()).await };
    let user = tokio::time::timeout(Duration::from_secs(1), request).await;
    assert_eq!(user.as_deref(), Ok("Unavailable"));
}
