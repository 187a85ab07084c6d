//! Pending sessions with a store: stored like others, and revoked by their activation.

use http::StatusCode;
use tower_auth_session::{
    SignIn,
    engine::{Device, Factor, SessionTask},
};

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault, subject, user};

async fn sign_in_pending(node: &Node) -> Browser {
    let mut browser = Browser::default();
    let response = node.run_handler(&mut browser, |jar| async move {
        let sign_in = SignIn::new(subject("ada"), user("Ada"));
        jar.sign_in(sign_in.with_tasks([SessionTask::SECOND_FACTOR])).unwrap();
    });
    assert_eq!(response.await.status, StatusCode::OK);
    browser
}

async fn activate(node: &Node, browser: &mut Browser) -> StatusCode {
    let activated = node.run_handler(browser, |jar| async move {
        jar.activate().map(drop).map_err(|error| error.to_string())
    });
    activated.await.status
}

#[tokio::test(start_paused = true)]
async fn activation_revokes_the_pending_session_on_all_nodes() {
    let node = Node::new();
    let mut browser = sign_in_pending(&node).await;
    let mut stolen = browser.clone();
    assert_eq!(node.current_user(&mut browser).await, "Pending");
    assert_eq!(node.get(&mut browser, "/required").await.status, StatusCode::FORBIDDEN);
    assert_eq!(node.get(&mut browser, "/optional").await.text(), "signed out");
    let elsewhere = node.sibling(|builder| builder);
    node.advance(10);
    assert_eq!(elsewhere.current_user(&mut browser).await, "Pending", "a renewal keeps it pending");
    node.store.take_calls();
    assert_eq!(activate(&node, &mut browser).await, StatusCode::OK);
    assert_eq!(node.store.take_calls(), ["create", "end"]);
    node.advance(10);
    assert_eq!(elsewhere.current_user(&mut stolen).await, "SignedOut");
    assert_eq!(elsewhere.current_user(&mut browser).await, "Ada");
    let sessions = node.layer.sessions().unwrap();
    let page = sessions.list(&subject("ada"), None, 9).await.unwrap();
    assert_eq!(page.sessions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn activation_fails_in_an_outage_and_can_be_retried() {
    let node = Node::new();
    let mut browser = sign_in_pending(&node).await;
    node.store.set(Fault::Refused);
    assert_eq!(activate(&node, &mut browser).await, StatusCode::SERVICE_UNAVAILABLE);
    node.store.set(Fault::None);
    node.advance(5);
    assert_eq!(node.current_user(&mut browser).await, "Pending", "still pending");
    assert_eq!(activate(&node, &mut browser).await, StatusCode::OK);
    assert_eq!(node.current_user(&mut browser).await, "Ada");
}

/// A verified factor is either in the browser's token or reported as failed.
#[tokio::test(start_paused = true)]
async fn verification_of_a_factor_fails_in_an_outage() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    node.store.set(Fault::Refused);
    let verify = |jar: tower_auth_session::SessionJar<crate::support::User>| async move {
        jar.mark_verified(Factor::Second).map_err(|error| error.to_string())
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

/// A node that has not received the revocation learns of it from the store at the activation.
#[tokio::test(start_paused = true)]
async fn activation_of_a_session_revoked_elsewhere_fails() {
    let node = Node::new();
    let without_feed = node.sibling(|builder| builder);
    let by_end_all = sign_in_pending(&node).await;
    node.layer.sessions().unwrap().revoke_all_of(&subject("ada")).await.unwrap();
    node.advance(1);
    let by_sign_out = sign_in_pending(&node).await;
    node.post(&mut by_sign_out.clone(), "/out").await;
    for mut browser in [by_end_all, by_sign_out] {
        assert_eq!(
            without_feed.current_user(&mut browser).await,
            "Pending",
            "the token is still accepted"
        );
        let status = activate(&without_feed, &mut browser).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(browser.has_no_session());
        assert!(without_feed.has_event("Revoked"));
        let page = node.layer.sessions().unwrap().list(&subject("ada"), None, 9).await.unwrap();
        assert_eq!(page.sessions, []);
    }
}

/// The device of the pending session is kept by its activation.
#[tokio::test(start_paused = true)]
async fn activation_keeps_the_device_label() {
    let node = Node::new();
    let mut browser = Browser::default();
    node.run_handler(&mut browser, |jar| async move {
        let sign_in = SignIn::new(subject("ada"), user("Ada"));
        let device = Device::new(Some("Kiosk 7"), None);
        jar.sign_in(sign_in.with_tasks([SessionTask::SECOND_FACTOR]).device(device)).unwrap();
    })
    .await;
    node.advance(3);
    let activated = node.run_handler(&mut browser, |jar| async move {
        jar.activate().unwrap();
        // The record is built again when claims change in the same request.
        jar.update_claims(user("Ada L.")).unwrap();
    });
    assert_eq!(activated.await.status, StatusCode::OK);
    assert_eq!(node.current_user(&mut browser).await, "Ada L.");
    let page = node.layer.sessions().unwrap().list(&subject("ada"), None, 9).await.unwrap();
    let labels: Vec<_> = page.sessions.iter().map(|it| it.device.label.as_deref()).collect();
    assert_eq!(labels, [Some("Kiosk 7")]);
}
