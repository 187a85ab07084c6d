//! The limits of a browser with a store: a session is revoked there before its cookie is removed.

use tower_auth_session::{store::SessionStore as _, time::Clock as _};

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault, get, subject};

/// Sign-ins whose requests bring no cookies, one second apart.
async fn sign_in_blindly(node: &Node, names: &[&str]) -> Browser {
    let mut all = Browser::default();
    for name in names {
        all.cookies.extend(node.sign_in(name).await.cookies);
        node.advance(1);
    }
    all
}

/// A browser for each session cookie of `browser`, and nothing else.
fn copies(browser: &Browser) -> Vec<Browser> {
    let sessions = browser.cookies.iter().filter(|(name, _)| !name.ends_with(".active"));
    sessions
        .map(|(name, value)| Browser { cookies: [(name.clone(), value.clone())].into() })
        .collect()
}

/// How many of the copied cookies another node accepts, and how many sessions the store lists.
async fn accepted(node: &Node, copies: &[Browser], name: &str) -> (usize, usize) {
    let elsewhere = node.sibling(|builder| builder.multi_session(true));
    let mut accepted = 0;
    for copy in copies {
        // Older than the renewal age: the store decides.
        accepted += usize::from(elsewhere.current_user(&mut copy.clone()).await == name);
    }
    let now = node.clock.now().timestamp();
    let listed = node.store.memory.list(&subject(name), now, None, 100).await.unwrap();
    (accepted, listed.sessions.len())
}

#[tokio::test(start_paused = true)]
async fn next_request_revokes_the_sessions_beyond_the_limits_in_the_store() {
    for path in ["/", "/session", "/public"] {
        let node = Node::multi_session();
        let mut browser = sign_in_blindly(&node, &["ada"; 12]).await;
        let copies = copies(&browser);
        node.get(&mut browser, path).await;
        node.advance(20);
        assert_eq!(accepted(&node, &copies, "ada").await, (1, 1), "{path}");
        node.get(&mut browser, "/").await;
        assert_eq!(browser.cookies.len(), 2, "{path}: the session and the active cookie");
        assert_eq!(node.current_user(&mut browser).await, "ada");
    }
}

#[tokio::test(start_paused = true)]
async fn cookies_stay_while_the_store_cannot_revoke_their_sessions() {
    let node = Node::multi_session();
    let mut browser = sign_in_blindly(&node, &["ada"; 3]).await;
    node.store.set(Fault::Refused);
    node.events.take();
    assert_eq!(node.current_user(&mut browser).await, "ada");
    assert_eq!(browser.cookies.len(), 4);
    let events = node.events.take_names();
    assert!(events.contains(&"StoreUnavailable".to_owned()), "{events:?}");
    assert!(!events.contains(&"Replaced".to_owned()), "{events:?}");
    for mut copy in copies(&browser) {
        assert_eq!(node.current_user(&mut copy).await, "ada", "nothing was revoked");
    }
    node.store.set(Fault::None);
    node.advance(11);
    node.get(&mut browser, "/").await;
    assert_eq!(browser.cookies.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn known_request_within_the_limits_does_not_query_the_store() {
    let node = Node::multi_session();
    let mut browser = sign_in_blindly(&node, &["ada", "bob"]).await;
    node.get(&mut browser, "/").await;
    node.store.take_calls();
    assert_eq!(node.current_user(&mut browser).await, "bob");
    assert_eq!(node.store.take_calls(), Vec::<&str>::new());
    assert_eq!(browser.cookies.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn sign_out_revokes_sessions_beyond_the_bounds_of_reading_in_the_store() {
    for count in [12, 20] {
        for path in ["/out", "/sign-out", "/sign-out?scope=browser"] {
            let node = Node::multi_session();
            let mut browser = sign_in_blindly(&node, &vec!["ada"; count]).await;
            let copies = copies(&browser);
            node.post(&mut browser, path).await;
            assert!(browser.has_no_session(), "{path} {count}: {:?}", browser.cookies.keys());
            node.advance(20);
            assert_eq!(accepted(&node, &copies, "ada").await, (0, 0), "{path} {count}");
        }
    }
}

/// Above the bytes that are read, no session is served, and a sign-out still revokes all of them.
#[tokio::test(start_paused = true)]
async fn sign_out_above_the_bytes_that_are_read_revokes_in_the_store() {
    for path in ["/out", "/sign-out", "/sign-out?scope=browser"] {
        let node = Node::multi_session();
        let mut browser = sign_in_blindly(&node, &["ada", "bob", "ada"]).await;
        let copies = copies(&browser);
        browser.cookies.insert("other".to_owned(), "x".repeat(33_000));
        assert_eq!(node.send(&mut browser.clone(), get("/status")).await.text(), "SignedOut");
        node.post(&mut browser, path).await;
        browser.cookies.remove("other");
        assert!(browser.has_no_session(), "{path}: {:?}", browser.cookies.keys());
        node.advance(20);
        for name in ["ada", "bob"] {
            assert_eq!(accepted(&node, &copies, name).await, (0, 0), "{path}");
        }
    }
}
