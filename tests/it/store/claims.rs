//! A claims source with a store: the order of the calls, and the failure of either.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use http::StatusCode;
use tower_auth_session::{
    SessionEngine, SignIn, claims::ClaimsSourceError, engine::SessionIdentity, time::Timestamp,
};

use super::fixture::Node;
use crate::support::{Browser, START, User, faulty_store::Fault, key, secret, subject, user};

type SourceResult = Arc<Mutex<Option<&'static str>>>;

/// A node whose claims source returns `source_result` and counts its calls.
fn node(source_result: &SourceResult, calls: &Arc<Mutex<usize>>) -> Node {
    let (source_result, calls) = (Arc::clone(source_result), Arc::clone(calls));
    Node::with(
        |builder| builder,
        move |layer| {
            layer.claims_source(move |_: SessionIdentity| {
                *calls.lock().unwrap() += 1;
                let source_result = *source_result.lock().unwrap();
                async move {
                    let source_result = source_result.ok_or_else(|| {
                        ClaimsSourceError::from(std::io::Error::other("the database"))
                    });
                    source_result.map(user)
                }
            })
        },
    )
}

#[tokio::test(start_paused = true)]
async fn claims_of_a_revoked_session_are_not_fetched() {
    let (source_result, calls) = (SourceResult::default(), Arc::default());
    *source_result.lock().unwrap() = Some("Ada");
    let node = node(&source_result, &calls);
    let mut browser = Browser::default();
    assert_eq!(node.post(&mut browser, "/in?ada").await.status, 200);
    let mut copy = browser.clone();
    assert_eq!(*calls.lock().unwrap(), 1);
    node.sibling(|builder| builder).post(&mut browser, "/out").await;
    node.advance(10);
    assert_eq!(node.current_user(&mut copy).await, "SignedOut");
    assert_eq!(*calls.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn failure_of_the_store_or_the_source_keeps_the_session() {
    let (source_result, calls) = (SourceResult::default(), Arc::default());
    *source_result.lock().unwrap() = Some("Ada");
    let node = node(&source_result, &calls);
    let mut browser = Browser::default();
    node.post(&mut browser, "/in?ada").await;
    // The store fails: no claims are fetched.
    node.advance(10);
    node.store.set(Fault::Refused);
    *calls.lock().unwrap() = 0;
    assert_eq!(node.current_user(&mut browser).await, "Unavailable");
    assert_eq!(*calls.lock().unwrap(), 0);
    // The source fails: the old claims are kept.
    node.store.set(Fault::None);
    node.advance(1);
    *source_result.lock().unwrap() = None;
    assert_eq!(node.current_user(&mut browser).await, "Ada");
    // Both work again.
    *source_result.lock().unwrap() = Some("Lovelace");
    node.advance(10);
    assert_eq!(node.current_user(&mut browser).await, "Lovelace");
}

#[tokio::test(start_paused = true)]
async fn sign_in_without_claims_is_not_stored_when_the_source_fails() {
    let (source_result, calls) = (SourceResult::default(), Arc::default());
    let node = node(&source_result, &calls);
    let mut browser = Browser::default();
    let response = node
        .run_handler(&mut browser, |jar| async move {
            jar.sign_in(SignIn::from_claims_source(subject("ada"))).unwrap();
        })
        .await;
    assert_eq!((response.status.as_u16(), response.set_cookies().len()), (503, 0));
    assert!(
        node.store.memory.is_empty(),
        "the source is called first: {:?}",
        node.store.take_calls()
    );
    *source_result.lock().unwrap() = Some("Ada");
    node.store.set(Fault::Refused);
    let response = node.post(&mut browser, "/in?ada").await;
    assert_eq!((response.status.as_u16(), response.set_cookies().len()), (503, 0));
}

/// Claims of an old shape are fetched again, but the age of the token still decides whether the store must
/// confirm it.
#[tokio::test(start_paused = true)]
async fn fetched_claims_do_not_make_an_old_token_fresh() {
    for (age, expected) in [(5, "Ada"), (15, "Unavailable"), (95, "Unavailable")] {
        let (source_result, calls) = (SourceResult::default(), Arc::default());
        *source_result.lock().unwrap() = Some("Ada");
        let node = node(&source_result, &calls);
        // An older version of the application, with the same store.
        let former =
            SessionEngine::<OldShape>::builder(tower_auth_session::KeyRing::new(key("k1")))
                .build()
                .unwrap();
        let start = Timestamp::from_unix_seconds(START);
        let sign_in = SignIn::new(subject("ada"), OldShape { label: "Ada".to_owned() });
        let cookie = tower_auth_session::testing::cookie_of(&former, sign_in, start).unwrap();
        let (name, value) = cookie.to_str().unwrap().split_once('=').unwrap();
        let mut browser = Browser::default();
        browser.cookies.insert(name.to_owned(), value.to_owned());
        let before = browser.cookies.clone();
        node.store.set(Fault::Refused);
        node.advance(age);
        assert_eq!(node.current_user(&mut browser).await, expected, "{age}");
        assert_eq!(browser.cookies, before);
        let _: (User, String) = (user(""), secret("k1"));
    }
}

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct OldShape {
    label: String,
}

/// A disabled or deleted user is signed out at the next renewal, on every node; a sign-in is not undone,
/// because the source may read a replica that lags behind.
#[tokio::test(start_paused = true)]
async fn session_of_a_user_that_the_source_does_not_know_is_revoked() {
    let exists = Arc::new(AtomicBool::new(true));
    let source = Arc::clone(&exists);
    let node = Node::with(
        |builder| builder,
        move |layer| {
            layer.claims_source(move |session: SessionIdentity| {
                let exists = source.load(Ordering::SeqCst);
                async move { Ok::<_, Infallible>(exists.then(|| user(session.subject().as_str()))) }
            })
        },
    );
    let elsewhere = node.sibling(|builder| builder);
    let mut browser = node.sign_in("ada").await;
    let mut copy = browser.clone();
    exists.store(false, Ordering::SeqCst);
    node.events.take_names();
    node.advance(9);
    assert_eq!(node.current_user(&mut browser).await, "ada", "the token is not due");
    node.advance(1);
    assert_eq!(node.current_user(&mut browser).await, "SignedOut");
    assert!(browser.has_no_session());
    assert!(node.has_event("UserNotFound"));
    assert_eq!(elsewhere.current_user(&mut copy).await, "SignedOut", "revoked in the store");
    let mut again = Browser::default();
    assert_eq!(node.post(&mut again, "/in?ada").await.status, StatusCode::OK);
    assert!(node.has_event("ClaimsSourceFailed"), "reported, and the sign-in keeps its claims");
    assert_eq!(node.current_user(&mut again).await, "ada");
}
