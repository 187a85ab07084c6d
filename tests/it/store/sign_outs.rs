//! Signing out: revoked in this process at once, and on all nodes as soon as the store is available.

use std::time::Duration;

use tower_auth_session::{SignIn, engine::Actor};

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault, post, subject, user};

#[tokio::test(start_paused = true)]
async fn sign_out_succeeds_after_the_store_acknowledged_it() {
    for path in ["/out", "/sign-out"] {
        let node = Node::new();
        let mut browser = node.sign_in("ada").await;
        let mut copy = browser.clone();
        let response = node.post(&mut browser, path).await;
        assert!(response.status.is_success() || response.status.is_redirection());
        assert_eq!(node.store.take_calls(), ["end"], "{path}");
        assert!(browser.has_no_session());
        let elsewhere = node.sibling(|builder| builder);
        node.advance(10);
        assert_eq!(elsewhere.current_user(&mut copy).await, "SignedOut");
    }
}

#[tokio::test(start_paused = true)]
async fn sign_out_in_an_outage_removes_the_cookie_and_responds_with_503() {
    for fault in
        [Fault::Refused, Fault::Hangs, Fault::ReadOnly, Fault::Corrupt, Fault::WritesAndHangs]
    {
        for path in ["/out", "/sign-out"] {
            let node = Node::new();
            let background = tokio::spawn(node.layer.background());
            let mut browser = node.sign_in("ada").await;
            let mut copy = browser.clone();
            node.store.set(fault);
            let response = node.post(&mut browser, path).await;
            assert_eq!(response.status, 503, "{path} {fault:?}");
            assert!(browser.has_no_session(), "{path} {fault:?}");
            assert!(node.has_event("RevocationDeferred"), "{path} {fault:?}");
            assert_eq!(node.current_user(&mut copy.clone()).await, "SignedOut", "{path} {fault:?}");
            // Sent as soon as the store is available.
            node.store.set(Fault::None);
            for _ in 0..5 {
                node.advance(1);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let elsewhere = node.sibling(|builder| builder);
            node.advance(10);
            assert_eq!(elsewhere.current_user(&mut copy).await, "SignedOut", "{path} {fault:?}");
            background.abort();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sign_out_of_a_dropped_request_is_sent_in_the_background() {
    let node = Node::new();
    let browser = node.sign_in("ada").await;
    node.store.set(Fault::Hangs);
    let request = {
        let (node, mut browser) = (node.clone(), browser.clone());
        tokio::spawn(async move { node.post(&mut browser, "/out").await })
    };
    while !node.store.take_calls().contains(&"end") {
        tokio::task::yield_now().await;
    }
    request.abort();
    assert!(request.await.is_err());
    node.store.set(Fault::None);
    let background = tokio::spawn(node.layer.background());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(node.store.take_calls(), ["end"]);
    let elsewhere = node.sibling(|builder| builder);
    node.advance(10);
    assert_eq!(elsewhere.current_user(&mut browser.clone()).await, "SignedOut");
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn sign_out_everywhere_revokes_the_subject_in_all_browsers() {
    let node = Node::multi_session();
    let elsewhere = node.sibling(|builder| builder.multi_session(true));
    let mut phone = elsewhere.sign_in("ada").await;
    let mut other = elsewhere.sign_in("bob").await;
    node.advance(1);
    let mut browser = node.sign_in("bob").await;
    node.post(&mut browser, "/in?ada").await;
    node.store.take_calls();
    let response = node.send(&mut browser, post("/sign-out", "scope=everywhere")).await;
    assert_eq!((response.status.as_u16(), response.header("location")), (303, "/"));
    assert!(node.store.take_calls().contains(&"end_all"));
    assert_eq!(
        node.current_user(&mut browser).await,
        "AccountSelectionRequired",
        "bob's session is kept"
    );
    node.advance(10);
    assert_eq!(elsewhere.current_user(&mut phone).await, "SignedOut");
    assert_eq!(elsewhere.current_user(&mut other).await, "bob");
    // A later sign-in stays valid, also in the same second.
    let mut again = node.sign_in("ada").await;
    assert_eq!(elsewhere.current_user(&mut again).await, "ada");
    node.store.set(Fault::Refused);
    let response = node.send(&mut again, post("/sign-out", "scope=everywhere")).await;
    assert_eq!(response.status, 503, "the store has not acknowledged it");
    assert!(again.cookies.keys().all(|name| name.ends_with(".active")), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn account_signed_out_elsewhere_is_not_listed() {
    let node = Node::multi_session();
    let elsewhere = node.sibling(|builder| builder.multi_session(true));
    let mut browser = node.sign_in("ada").await;
    let mut ada_only = browser.clone();
    node.post(&mut browser, "/in?bob").await;
    let list = node.get(&mut browser, "/session").await;
    assert!(list.text().contains("ada") && list.text().contains("bob"));
    elsewhere.post(&mut ada_only, "/out").await;
    node.advance(11);
    node.store.take_calls();
    let list = node.get(&mut browser, "/session").await;
    assert!(!list.text().contains("ada") && list.text().contains("bob"), "{}", list.text());
    let mut calls = node.store.take_calls();
    calls.sort_unstable();
    assert_eq!(calls, ["load", "renew"], "one call for all others");
    assert_eq!(browser.cookies.len(), 2, "its cookie was removed: {:?}", browser.cookies.keys());
}

#[tokio::test(start_paused = true)]
async fn switch_to_an_account_signed_out_elsewhere_fails() {
    let node = Node::multi_session();
    let mut browser = node.sign_in("ada").await;
    let ada = browser.cookies.keys().find(|name| !name.ends_with(".active")).unwrap();
    let ada = ada.rsplit('.').next().unwrap().to_owned();
    let mut ada_only = browser.clone();
    node.post(&mut browser, "/in?bob").await;
    node.sibling(|builder| builder.multi_session(true)).post(&mut ada_only, "/out").await;
    node.advance(11);
    let body: &'static str = format!("session_id={ada}").leak();
    let response = node.send(&mut browser, post("/session/switch", body)).await;
    assert_eq!(response.status, 409, "{}", response.text());
    assert_eq!(node.current_user(&mut browser).await, "bob");
}

/// Support staff must not revoke the customer's own sessions.
#[tokio::test(start_paused = true)]
async fn impersonated_session_cannot_sign_out_everywhere() {
    let node = Node::multi_session();
    let mut own = node.sign_in("bob").await;
    let mut support = Browser::default();
    let response = node.run_handler(&mut support, |jar| async move {
        let actor = Actor::new(subject("ada"));
        jar.sign_in(SignIn::new(subject("bob"), user("Bob")).impersonated_by(actor)).unwrap();
        jar.session().unwrap().id().to_string()
    });
    let id = response.await.text().to_owned();
    for form in ["scope=everywhere".to_owned(), format!("scope=everywhere&session_id={id}")] {
        let response = node.send(&mut support, post("/sign-out", "").map(|_| form.into())).await;
        assert_eq!((response.status.as_u16(), response.set_cookies().len()), (403, 0));
        assert!(response.text().contains("\"impersonated\""), "{}", response.text());
    }
    node.advance(10);
    assert_eq!(node.current_user(&mut own).await, "bob");
    assert_eq!(node.current_user(&mut support).await, "Bob");
    node.send(&mut support, post("/sign-out", "")).await;
    assert_eq!(node.current_user(&mut support).await, "SignedOut");
}
