//! Several accounts in one browser, with an available and an unavailable store.

use http::Request;

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault, get, post};

/// A browser with ada, bob and cyd, of whom cyd is active, and their session ids.
async fn three_accounts(node: &Node) -> (Browser, [String; 3]) {
    let mut browser = Browser::default();
    let ids = ["ada", "bob", "cyd"].map(|name| {
        let node = node.clone();
        async move {
            let mut alone = Browser::default();
            node.post(&mut alone, &format!("/in?{name}")).await;
            let slot = alone.cookies.keys().find(|name| !name.ends_with(".active")).unwrap();
            (slot.rsplit('.').next().unwrap().to_owned(), alone)
        }
    });
    let mut found = Vec::new();
    for id in ids {
        let (id, alone) = id.await;
        browser.cookies.extend(alone.cookies);
        found.push(id);
    }
    node.store.take_calls();
    (browser, found.try_into().unwrap())
}

fn with_session_header(id: &str) -> Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = get("/");
    request.headers_mut().insert("session-id", id.parse().unwrap());
    request
}

fn form(path: &str, body: String) -> Request<http_body_util::Full<bytes::Bytes>> {
    post(path, body.leak())
}

#[tokio::test(start_paused = true)]
async fn outage_never_activates_another_account() {
    for fault in
        [Fault::Refused, Fault::Hangs, Fault::ReadOnly, Fault::Corrupt, Fault::OtherSubject]
    {
        let node = Node::multi_session();
        let (mut browser, [ada, bob, _]) = three_accounts(&node).await;
        let before = browser.cookies.clone();
        node.advance(10);
        node.store.set(fault);
        assert_eq!(node.current_user(&mut browser).await, "Unavailable", "{fault:?}");
        for id in [&ada, &bob] {
            let response = node.send(&mut browser, with_session_header(id)).await;
            assert_eq!(response.text(), "Unavailable", "{fault:?}: no other account is used");
        }
        let unknown_id = node.send(&mut browser, with_session_header(crate::support::SID_A)).await;
        assert_eq!(unknown_id.text(), "SessionMismatch", "{fault:?}");
        assert_eq!(node.get(&mut browser, "/session").await.status, 503, "{fault:?}");
        let chooser = node.get(&mut browser, "/sign-in/choose").await;
        for name in ["ada", "bob", "cyd"] {
            assert!(chooser.text().contains(name), "{fault:?}: all accounts are listed");
        }
        assert_eq!(browser.cookies, before, "{fault:?}");
        // A switch sets the active-account cookie only.
        let response =
            node.send(&mut browser, form("/session/switch", format!("session_id={ada}"))).await;
        assert_eq!(response.status, 303, "{fault:?}");
        assert_eq!(response.set_cookies().len(), 1, "{fault:?}");
        assert_eq!(node.current_user(&mut browser).await, "Unavailable", "{fault:?}");
        node.store.set(Fault::None);
        node.advance(1);
        assert_eq!(node.current_user(&mut browser).await, "ada", "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn sign_out_in_an_outage_affects_only_the_given_accounts() {
    for fault in [Fault::Refused, Fault::Hangs, Fault::WritesAndHangs, Fault::Corrupt] {
        for (wait, expected) in [(0, "cyd"), (10, "Unavailable")] {
            let node = Node::multi_session();
            let background = tokio::spawn(node.layer.background());
            // Until the feed has been read, no token is accepted without the store.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            let (mut browser, [ada, bob, cyd]) = three_accounts(&node).await;
            let copies = browser.clone();
            node.advance(wait);
            node.store.set(fault);
            // Sign out of another account.
            let response =
                node.send(&mut browser, form("/sign-out", format!("session_id={ada}"))).await;
            assert_eq!(response.status, 503, "{fault:?}");
            assert_eq!(response.set_cookies().len(), 1, "{fault:?}: {:?}", response.set_cookies());
            assert_eq!(node.current_user(&mut browser).await, expected, "{fault:?}");
            // Sign out of the active account: no other one is activated.
            assert_eq!(node.post(&mut browser, "/sign-out").await.status, 503, "{fault:?}");
            assert_eq!(
                node.current_user(&mut browser).await,
                "AccountSelectionRequired",
                "{fault:?}"
            );
            assert!(browser.cookies.keys().any(|name| name.ends_with(&bob)), "{fault:?}");
            // Sign out of the remaining accounts.
            let response = node.send(&mut browser, post("/sign-out", "scope=browser")).await;
            assert_eq!(response.status, 503, "{fault:?}");
            assert!(browser.has_no_session(), "{fault:?}: {:?}", browser.cookies);
            // Revoked in this process at once, and elsewhere as soon as the store is available.
            node.store.set(Fault::None);
            for _ in 0..4 {
                node.advance(1);
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            let elsewhere = node.sibling(|builder| builder.multi_session(true));
            node.advance(10);
            for id in [&ada, &bob, &cyd] {
                for node in [&node, &elsewhere] {
                    let response = node.send(&mut copies.clone(), with_session_header(id)).await;
                    assert_eq!(response.text(), "SessionMismatch", "{fault:?}");
                }
            }
            background.abort();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn repeated_session_lists_query_the_store_once_per_renewal_age() {
    let node = Node::multi_session();
    let (mut browser, _) = three_accounts(&node).await;
    node.advance(10);
    for _ in 0..9 {
        let list = node.get(&mut browser, "/session").await;
        assert!(["ada", "bob", "cyd"].iter().all(|name| list.text().contains(name)));
        node.advance(1);
    }
    let mut calls = node.store.take_calls();
    calls.sort_unstable();
    assert_eq!(calls, ["load", "renew"]);
    node.advance(1);
    node.get(&mut browser, "/session").await;
    let mut calls = node.store.take_calls();
    calls.sort_unstable();
    assert_eq!(calls, ["load", "renew"]);
}

/// Switching to another account and back does not issue a token that the store did not confirm.
#[tokio::test(start_paused = true)]
async fn switching_back_and_forth_issues_no_unconfirmed_token() {
    let node = Node::multi_session();
    let (mut browser, [ada, _, cyd]) = three_accounts(&node).await;
    node.advance(10);
    node.store.set(Fault::Refused);
    let before = browser.cookies.clone();
    let response = node
        .run_handler(&mut browser, move |jar| {
            let [ada, cyd] = [&ada, &cyd].map(|id| id.parse().unwrap());
            async move {
                jar.switch_to(ada).unwrap();
                jar.renew_now();
                jar.switch_to(cyd).unwrap();
                jar.renew_now();
            }
        })
        .await;
    assert_eq!(response.status, 200);
    assert_eq!(
        response.set_cookies().len(),
        1,
        "the active-account cookie: {:?}",
        response.set_cookies()
    );
    assert_eq!(browser.cookies, before);
    assert_eq!(
        node.store.take_calls(),
        ["renew"; 3],
        "at the start, for two renewals, and a retry"
    );
}

#[tokio::test(start_paused = true)]
async fn change_of_an_account_before_a_switch_fails_in_an_outage() {
    let node = Node::multi_session();
    let (mut browser, [_, bob, _]) = three_accounts(&node).await;
    let mut before = browser.cookies.clone();
    node.store.set(Fault::Refused);
    let response = node
        .run_handler(&mut browser, move |jar| {
            let bob = bob.parse().unwrap();
            async move {
                jar.update_claims(crate::support::user("changed")).unwrap();
                jar.switch_to(bob).unwrap();
            }
        })
        .await;
    assert_eq!(response.status, 503);
    for cookies in [&mut browser.cookies, &mut before] {
        cookies.remove("__Host-session.active");
    }
    assert_eq!(browser.cookies, before, "no token with the change");
}

#[tokio::test(start_paused = true)]
async fn failed_sign_in_in_an_outage_evicts_no_account() {
    let node = Node::with(
        |builder| builder.multi_session(true).max_sessions_per_browser(3),
        |layer| layer,
    );
    let (mut browser, _) = three_accounts(&node).await;
    let before = browser.cookies.clone();
    for fault in [Fault::Refused, Fault::Hangs, Fault::WritesAndHangs, Fault::WritesAndFails] {
        node.store.set(fault);
        assert_eq!(node.post(&mut browser, "/in?dee").await.status, 503, "{fault:?}");
        assert_eq!(browser.cookies, before, "{fault:?}");
        node.store.set(Fault::None);
        node.advance(1);
    }
    assert_eq!(node.current_user(&mut browser).await, "cyd");
    let list = node.get(&mut browser, "/session").await;
    assert!(["ada", "bob", "cyd"].iter().all(|name| list.text().contains(name)));
}
