//! Pending sessions in a store: kept like others, and ended when the new one is.

use http::StatusCode;
use tower_auth_session::{Factor, SessionTask, SignIn, store::Device};

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault, subject, user};

async fn begin(node: &Node) -> Browser {
    let mut browser = Browser::default();
    let begun = node.run_handler(&mut browser, |jar| async move {
        let sign_in = SignIn::new(subject("ada"), user("Ada"));
        jar.sign_in(sign_in.pending([SessionTask::SECOND_FACTOR])).unwrap();
    });
    assert_eq!(begun.await.status, StatusCode::OK);
    browser
}

async fn activate(node: &Node, browser: &mut Browser) -> StatusCode {
    let activated = node.run_handler(browser, |jar| async move {
        jar.activate().map(drop).map_err(|error| error.to_string())
    });
    activated.await.status
}

#[tokio::test(start_paused = true)]
async fn the_pending_one_ends_for_every_node_when_the_new_one_is_kept() {
    let node = Node::new();
    let mut browser = begin(&node).await;
    let mut stolen = browser.clone();
    assert_eq!(node.who(&mut browser).await, "Pending");
    assert_eq!(node.get(&mut browser, "/required").await.status, StatusCode::FORBIDDEN);
    assert_eq!(node.get(&mut browser, "/optional").await.text(), "signed out");
    let elsewhere = node.sibling(|builder| builder);
    node.advance(10);
    assert_eq!(elsewhere.who(&mut browser).await, "Pending", "renewals keep what it is");
    node.store.take_calls();
    assert_eq!(activate(&node, &mut browser).await, StatusCode::OK);
    assert_eq!(node.store.take_calls(), ["create", "end"]);
    node.advance(10);
    assert_eq!(elsewhere.who(&mut stolen).await, "SignedOut");
    assert_eq!(elsewhere.who(&mut browser).await, "Ada");
    let sessions = node.layer.sessions().unwrap();
    let page = sessions.list(&subject("ada"), None, 9).await.unwrap();
    assert_eq!(page.sessions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_activated_whom_the_store_does_not_know() {
    let node = Node::new();
    let mut browser = begin(&node).await;
    node.store.set(Fault::Refused);
    assert_eq!(activate(&node, &mut browser).await, StatusCode::SERVICE_UNAVAILABLE);
    node.store.set(Fault::None);
    node.advance(5);
    assert_eq!(node.who(&mut browser).await, "Pending", "and may try again");
    assert_eq!(activate(&node, &mut browser).await, StatusCode::OK);
    assert_eq!(node.who(&mut browser).await, "Ada");
}

/// What is said to be verified is in the browser's token, or the answer says that it is not.
#[tokio::test(start_paused = true)]
async fn nobody_is_verified_again_whom_the_store_does_not_know() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    node.store.set(Fault::Refused);
    let verify = |jar: tower_auth_session::SessionJar<crate::support::User>| async move {
        jar.reverified(Factor::Second).map_err(|error| error.to_string())
    };
    let response = node.run_handler(&mut browser, verify).await;
    assert_eq!(
        (response.status, response.set_cookies().len()),
        (StatusCode::SERVICE_UNAVAILABLE, 0)
    );
    node.store.set(Fault::None);
    node.advance(5);
    assert_eq!(node.run_handler(&mut browser, verify).await.status, StatusCode::OK);
    assert_eq!(node.store.take_calls().last(), Some(&"renew"));
}

/// A node that has not heard of an end learns it from the store, and signs nobody in.
#[tokio::test(start_paused = true)]
async fn a_pending_session_that_is_over_elsewhere_is_not_activated() {
    let node = Node::new();
    let deaf = node.sibling(|builder| builder);
    let by_end_all = begin(&node).await;
    node.layer.sessions().unwrap().end_all(&subject("ada")).await.unwrap();
    node.advance(1);
    let by_sign_out = begin(&node).await;
    node.post(&mut by_sign_out.clone(), "/out").await;
    for mut browser in [by_end_all, by_sign_out] {
        assert_eq!(deaf.who(&mut browser).await, "Pending", "it believes the token");
        let status = activate(&deaf, &mut browser).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(browser.has_no_session());
        assert!(deaf.has_told("Revoked"));
        let page = node.layer.sessions().unwrap().list(&subject("ada"), None, 9).await.unwrap();
        assert_eq!(page.sessions, []);
    }
}

/// What it was signed in from is said once, when it begins.
#[tokio::test(start_paused = true)]
async fn the_device_stays_what_it_was_called() {
    let node = Node::new();
    let mut browser = Browser::default();
    node.run_handler(&mut browser, |jar| async move {
        let sign_in = SignIn::new(subject("ada"), user("Ada"));
        let device = Device::new(Some("Kiosk 7"), None);
        jar.sign_in(sign_in.pending([SessionTask::SECOND_FACTOR]).device(device)).unwrap();
    })
    .await;
    node.advance(3);
    let activated = node.run_handler(&mut browser, |jar| async move {
        jar.activate().unwrap();
        // Rebuilt when claims change in the same request.
        jar.update_claims(user("Ada L.")).unwrap();
    });
    assert_eq!(activated.await.status, StatusCode::OK);
    assert_eq!(node.who(&mut browser).await, "Ada L.");
    let page = node.layer.sessions().unwrap().list(&subject("ada"), None, 9).await.unwrap();
    let labels: Vec<_> = page.sessions.iter().map(|it| it.device.label.as_deref()).collect();
    assert_eq!(labels, [Some("Kiosk 7")]);
}
