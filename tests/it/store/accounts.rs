//! Several accounts in one browser, while the store is there and while it is not.

use http::Request;

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault, get, post};

/// A browser with ada, bob and cyd, cyd active; and their session ids.
async fn three(node: &Node) -> (Browser, [String; 3]) {
    let mut browser = Browser::default();
    let ids = ["ada", "bob", "cyd"].map(|who| {
        let node = node.clone();
        async move {
            let mut alone = Browser::default();
            node.post(&mut alone, &format!("/in?{who}")).await;
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

fn naming(id: &str) -> Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = get("/");
    request.headers_mut().insert("session-id", id.parse().unwrap());
    request
}

fn form(path: &str, body: String) -> Request<http_body_util::Full<bytes::Bytes>> {
    post(path, body.leak())
}

#[tokio::test(start_paused = true)]
async fn an_outage_moves_nobody_to_another_account() {
    for fault in
        [Fault::Refused, Fault::Hangs, Fault::ReadOnly, Fault::Corrupt, Fault::OtherSubject]
    {
        let node = Node::of_several();
        let (mut browser, [ada, bob, _]) = three(&node).await;
        let before = browser.cookies.clone();
        node.advance(10);
        node.store.set(fault);
        assert_eq!(node.who(&mut browser).await, "Unavailable", "{fault:?}");
        for id in [&ada, &bob] {
            let response = node.send(&mut browser, naming(id)).await;
            assert_eq!(response.text(), "Unavailable", "{fault:?}: named, and not another one");
        }
        let stranger = node.send(&mut browser, naming(crate::support::SID_A)).await;
        assert_eq!(stranger.text(), "SessionMismatch", "{fault:?}");
        assert_eq!(node.get(&mut browser, "/session").await.status, 503, "{fault:?}");
        let chooser = node.get(&mut browser, "/sign-in/choose").await;
        for who in ["ada", "bob", "cyd"] {
            assert!(chooser.text().contains(who), "{fault:?}: all are offered");
        }
        assert_eq!(browser.cookies, before, "{fault:?}");
        // Switching writes the pointer and nothing else.
        let response =
            node.send(&mut browser, form("/session/switch", format!("session_id={ada}"))).await;
        assert_eq!(response.status, 303, "{fault:?}");
        assert_eq!(response.set_cookies().len(), 1, "{fault:?}");
        assert_eq!(node.who(&mut browser).await, "Unavailable", "{fault:?}");
        node.store.set(Fault::None);
        node.advance(1);
        assert_eq!(node.who(&mut browser).await, "ada", "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn signing_out_in_an_outage_takes_who_was_meant_and_nobody_else() {
    for fault in [Fault::Refused, Fault::Hangs, Fault::WritesAndHangs, Fault::Corrupt] {
        for (wait, stays) in [(0, "cyd"), (10, "Unavailable")] {
            let node = Node::of_several();
            let background = tokio::spawn(node.layer.background());
            let (mut browser, [ada, bob, cyd]) = three(&node).await;
            let copies = browser.clone();
            node.advance(wait);
            node.store.set(fault);
            // One of the others.
            let response =
                node.send(&mut browser, form("/sign-out", format!("session_id={ada}"))).await;
            assert_eq!(response.status, 503, "{fault:?}");
            assert_eq!(response.set_cookies().len(), 1, "{fault:?}: {:?}", response.set_cookies());
            assert_eq!(node.who(&mut browser).await, stays, "{fault:?}");
            // The active one: nobody is promoted.
            assert_eq!(node.post(&mut browser, "/sign-out").await.status, 503, "{fault:?}");
            assert_eq!(node.who(&mut browser).await, "AccountSelectionRequired", "{fault:?}");
            assert!(browser.cookies.keys().any(|name| name.ends_with(&bob)), "{fault:?}");
            // All that are left.
            let response = node.send(&mut browser, post("/sign-out", "scope=browser")).await;
            assert_eq!(response.status, 503, "{fault:?}");
            assert!(browser.has_no_session(), "{fault:?}: {:?}", browser.cookies);
            // Known here at once, and elsewhere as soon as the store can be told.
            node.store.set(Fault::None);
            for _ in 0..4 {
                node.advance(1);
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            let elsewhere = node.sibling(|builder| builder.multi_session(true));
            node.advance(10);
            for id in [&ada, &bob, &cyd] {
                for node in [&node, &elsewhere] {
                    let said = node.send(&mut copies.clone(), naming(id)).await;
                    assert_eq!(said.text(), "SessionMismatch", "{fault:?}");
                }
            }
            background.abort();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_asked_for_often_asks_the_store_once() {
    let node = Node::of_several();
    let (mut browser, _) = three(&node).await;
    node.advance(10);
    for _ in 0..9 {
        let list = node.get(&mut browser, "/session").await;
        assert!(["ada", "bob", "cyd"].iter().all(|who| list.text().contains(who)));
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

/// A handler that switches to an account and back has no token by it that the store did not agree to.
#[tokio::test(start_paused = true)]
async fn switching_there_and_back_makes_no_token_without_a_yes() {
    let node = Node::of_several();
    let (mut browser, [ada, _, cyd]) = three(&node).await;
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
    assert_eq!(response.set_cookies().len(), 1, "the pointer: {:?}", response.set_cookies());
    assert_eq!(browser.cookies, before);
    assert_eq!(node.store.take_calls(), ["renew"; 3], "when it came in, twice, and once more");
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_fails_in_an_outage_makes_no_room() {
    let node = Node::with(
        |builder| builder.multi_session(true).max_sessions_per_browser(3),
        |layer| layer,
    );
    let (mut browser, _) = three(&node).await;
    let before = browser.cookies.clone();
    for fault in [Fault::Refused, Fault::Hangs, Fault::WritesAndHangs, Fault::WritesAndFails] {
        node.store.set(fault);
        assert_eq!(node.post(&mut browser, "/in?dee").await.status, 503, "{fault:?}");
        assert_eq!(browser.cookies, before, "{fault:?}");
        node.store.set(Fault::None);
        node.advance(1);
    }
    assert_eq!(node.who(&mut browser).await, "cyd");
    let list = node.get(&mut browser, "/session").await;
    assert!(["ada", "bob", "cyd"].iter().all(|who| list.text().contains(who)));
}
