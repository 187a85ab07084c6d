//! A claims source beside a store: who is asked first, and what the failure of one means.

use std::sync::{Arc, Mutex};

use tower_auth_session::{ClaimsSourceError, SessionEngine, SessionIdentity, SignIn, Timestamp};

use super::fixture::Node;
use crate::support::{Browser, START, User, faulty_store::Fault, key, secret, subject};

type Says = Arc<Mutex<Option<&'static str>>>;

/// What the source says, and how often it was asked since.
fn node(says: &Says, asked: &Arc<Mutex<usize>>) -> Node {
    let (says, asked) = (Arc::clone(says), Arc::clone(asked));
    Node::with(
        |builder| builder,
        move |layer| {
            layer.claims_source(move |_: SessionIdentity| {
                *asked.lock().unwrap() += 1;
                let says = *says.lock().unwrap();
                async move {
                    let says = says.ok_or_else(|| {
                        ClaimsSourceError::from(std::io::Error::other("the database"))
                    });
                    says.map(crate::support::user)
                }
            })
        },
    )
}

#[tokio::test(start_paused = true)]
async fn nobody_s_claims_are_looked_up_who_is_signed_out() {
    let (says, asked) = (Says::default(), Arc::default());
    *says.lock().unwrap() = Some("Ada");
    let node = node(&says, &asked);
    let mut browser = Browser::default();
    assert_eq!(node.post(&mut browser, "/in?ada").await.status, 200);
    let mut copy = browser.clone();
    assert_eq!(*asked.lock().unwrap(), 1);
    node.sibling(|builder| builder).post(&mut browser, "/out").await;
    node.advance(10);
    assert_eq!(node.who(&mut copy).await, "SignedOut");
    assert_eq!(*asked.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn either_may_fail() {
    let (says, asked) = (Says::default(), Arc::default());
    *says.lock().unwrap() = Some("Ada");
    let node = node(&says, &asked);
    let mut browser = Browser::default();
    node.post(&mut browser, "/in?ada").await;
    // The store: no answer, and nobody is looked up.
    node.advance(10);
    node.store.set(Fault::Refused);
    *asked.lock().unwrap() = 0;
    assert_eq!(node.who(&mut browser).await, "Unavailable");
    assert_eq!(*asked.lock().unwrap(), 0);
    // The source: the old claims stay.
    node.store.set(Fault::None);
    node.advance(1);
    *says.lock().unwrap() = None;
    assert_eq!(node.who(&mut browser).await, "Ada");
    // Both, one after the other.
    *says.lock().unwrap() = Some("Lovelace");
    node.advance(10);
    assert_eq!(node.who(&mut browser).await, "Lovelace");
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_without_claims_is_not_kept() {
    let (says, asked) = (Says::default(), Arc::default());
    let node = node(&says, &asked);
    let mut browser = Browser::default();
    let response = node
        .run_handler(&mut browser, |jar| async move {
            jar.sign_in(SignIn::from_claims_source(subject("ada"))).unwrap();
        })
        .await;
    assert_eq!((response.status.as_u16(), response.set_cookies().len()), (503, 0));
    assert!(node.store.memory.is_empty(), "the source comes first: {:?}", node.store.take_calls());
    *says.lock().unwrap() = Some("Ada");
    node.store.set(Fault::Refused);
    let response = node.post(&mut browser, "/in?ada").await;
    assert_eq!((response.status.as_u16(), response.set_cookies().len()), (503, 0));
}

/// Claims of an old shape, which the source makes anew: how old the token is stays known.
#[tokio::test(start_paused = true)]
async fn new_claims_make_no_old_token_fresh() {
    for (age, expected) in [(5, "Ada"), (15, "Unavailable"), (95, "Unavailable")] {
        let (says, asked) = (Says::default(), Arc::default());
        *says.lock().unwrap() = Some("Ada");
        let node = node(&says, &asked);
        // Of an older version of the application, on the same store.
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
        assert_eq!(node.who(&mut browser).await, expected, "{age}");
        assert_eq!(browser.cookies, before);
        let _: (User, String) = (crate::support::user(""), secret("k1"));
    }
}

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct OldShape {
    label: String,
}
