//! Signing in: a session is stored before the response is sent.

use http::StatusCode;
use tower_auth_session::{SignIn, engine::SessionStatusKind, store::SessionKey};

use super::fixture::Node;
use crate::support::{
    Browser,
    faulty_store::{Fault, FaultyStore},
    get, subject, user,
};

const FAULTS: [Fault; 6] = [
    Fault::Refused,
    Fault::Hangs,
    Fault::WritesAndHangs,
    Fault::ReadOnly,
    Fault::Corrupt,
    Fault::Slow(std::time::Duration::from_secs(1)),
];

#[tokio::test(start_paused = true)]
async fn sign_in_that_is_not_stored_fails() {
    for fault in FAULTS {
        let node = Node::new();
        let background = tokio::spawn(node.layer.background());
        node.store.set(fault);
        let mut browser = Browser::default();
        let response = node.post(&mut browser, "/in?ada").await;
        assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE, "{fault:?}");
        assert_eq!(response.header("retry-after"), "5", "{fault:?}");
        assert_eq!(response.set_cookies(), [""; 0], "{fault:?}");
        assert_eq!(node.store.take_calls()[0], "create");
        // A session that was stored anyway is revoked when the store is available again.
        node.store.set(Fault::None);
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        node.advance(5);
        let sessions = node.layer.sessions().unwrap();
        let page = sessions.list(&subject("ada"), None, 9).await.unwrap();
        assert_eq!(page.sessions, [], "{fault:?}");
        let browser = node.sign_in("ada").await;
        assert!(!browser.has_no_session(), "{fault:?}: it recovers");
        background.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn failed_sign_in_keeps_the_current_session() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    node.store.set(Fault::Refused);
    assert_eq!(node.post(&mut browser, "/in?bob").await.status, 503);
    assert_eq!(node.current_user(&mut browser).await, "ada");
    let response = node.post(&mut browser, "/commit?bob").await;
    assert_eq!(
        response.text(),
        "the session store is unavailable",
        "the application's own response"
    );
    assert_eq!(node.current_user(&mut browser).await, "ada");
    node.store.set(Fault::None);
    node.advance(10);
    assert_eq!(node.current_user(&mut browser).await, "ada");
}

#[tokio::test(start_paused = true)]
async fn session_replaced_by_a_sign_in_is_revoked_on_all_nodes() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    let mut copy = browser.clone();
    assert_eq!(node.post(&mut browser, "/in?bob").await.text(), "bob");
    assert_eq!(node.store.take_calls(), ["create", "end"]);
    let elsewhere = node.sibling(|builder| builder);
    node.advance(10);
    assert_eq!(elsewhere.current_user(&mut copy).await, "SignedOut");
    assert_eq!(elsewhere.current_user(&mut browser).await, "bob");
}

#[tokio::test(start_paused = true)]
async fn sign_in_with_an_uncarriable_cookie_is_not_stored() {
    let node = Node::new();
    let mut browser = Browser::default();
    let response = node.post(&mut browser, "/in/public?ada").await;
    assert_eq!((response.status.as_u16(), response.set_cookies().len()), (500, 0));
    assert_eq!(node.store.take_calls(), [""; 0], "detected before the store is called");
    assert!(node.store.memory.is_empty());
}

#[tokio::test(start_paused = true)]
async fn session_record_has_device_and_last_activity() {
    let node = Node::new();
    let mut browser = Browser::default();
    let mut request = crate::support::post("/in?ada", "");
    request.headers_mut().insert(
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".parse().unwrap(),
    );
    node.send(&mut browser, request).await;
    node.advance(30);
    node.current_user(&mut browser).await;
    let sessions = node.layer.sessions().unwrap();
    let page = sessions.list(&subject("ada"), None, 9).await.unwrap();
    let [session] = &page.sessions[..] else { panic!("{page:?}") };
    assert_eq!(session.last_active_at.saturating_since(session.signed_in_at).as_secs(), 30);
    #[cfg(feature = "user-agent")]
    assert_eq!(session.device.label.as_deref(), Some("Firefox on Linux"));
    sessions.revoke(&SessionKey::new(session.id, session.subject.clone())).await.unwrap();
    let ended = format!("{:?}", SessionStatusKind::SignedOut);
    assert_eq!(node.current_user(&mut browser).await, ended, "revoked in this process at once");
}

/// A test of an application with a store needs a session that the store contains.
#[tokio::test]
async fn testing_helper_signs_in_through_the_store_of_the_layer() {
    use tower_auth_session::{error::CommitError, testing::signed_in_with_layer};

    let store = FaultyStore::new();
    let (layer, _, _) = crate::support::layer();
    let layer = layer.store(store.clone());
    let ada = || SignIn::new(subject("ada"), user("Ada"));
    let request = signed_in_with_layer(&layer, ada(), get("/me")).await.unwrap();
    assert_eq!(store.take_calls(), ["create"]);
    let cookie = request.headers()["cookie"].to_str().unwrap();
    assert!(cookie.starts_with(crate::support::COOKIE), "{cookie}");
    let page = layer.sessions().unwrap().list(&subject("ada"), None, 10).await.unwrap();
    assert_eq!(page.sessions.len(), 1);

    store.set(Fault::Refused);
    let refused = signed_in_with_layer(&layer, ada(), get("/me")).await;
    assert_eq!(refused.unwrap_err(), CommitError::StoreUnavailable);
}

#[tokio::test(start_paused = true)]
async fn sign_in_that_another_one_of_the_request_replaces_is_revoked_in_the_store() {
    let node = Node::new();
    let response = node
        .run_handler(&mut Browser::default(), |jar| async move {
            let sign_in = |name: &str| jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
            sign_in("ada");
            jar.commit().await.unwrap();
            sign_in("bob");
        })
        .await;
    assert_eq!(response.status, 200);
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    let sessions = node.layer.sessions().unwrap();
    for (name, expected) in [("ada", 0), ("bob", 1)] {
        let page = sessions.list(&subject(name), None, 9).await.unwrap();
        assert_eq!(page.sessions.len(), expected, "{name}");
    }
}
