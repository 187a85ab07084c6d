//! `outage_grace`: how long a token is accepted while the store is unavailable.

use std::time::Duration;

use tower_auth_session::{Session, SessionLifetime};

use super::fixture::Node;
use crate::support::{User, faulty_store::Fault, get};

fn node(grace: u64) -> Node {
    Node::with(|builder| builder, move |layer| layer.outage_grace(Duration::from_secs(grace)))
}

#[tokio::test(start_paused = true)]
async fn outage_grace_ends_on_time_and_renews_nothing() {
    let node = node(30);
    let mut browser = node.sign_in("ada").await;
    let before = browser.cookies.clone();
    node.store.set(Fault::Refused);
    // Due after 10 s, accepted until 40 s.
    for (wait, guarded) in [(9, 200), (1, 200), (29, 200), (1, 503), (50, 503)] {
        node.advance(wait);
        let response = node.get(&mut browser, "/guarded").await;
        assert_eq!(
            (response.status.as_u16(), response.set_cookies().len()),
            (guarded, 0),
            "{wait}"
        );
        assert_eq!(browser.cookies, before);
    }
    // The expiry of the session has not moved.
    node.advance(9);
    assert_eq!(node.current_user(&mut browser.clone()).await, "Unavailable");
    node.advance(1);
    assert_eq!(node.current_user(&mut browser).await, "SignedOut", "100 s after signing in");
    assert!(browser.has_no_session());
}

#[tokio::test(start_paused = true)]
async fn outage_grace_ends_with_the_session() {
    for lifetime in [
        SessionLifetime::new().inactivity_timeout(Duration::from_secs(20)),
        SessionLifetime::new().maximum_lifetime(Duration::from_secs(20)),
    ] {
        let node = Node::with(
            move |builder| builder.lifetime(lifetime.renew_after(Duration::from_secs(4))),
            |layer| layer.outage_grace(Duration::from_secs(900)),
        );
        let mut browser = node.sign_in("ada").await;
        node.store.set(Fault::Hangs);
        node.advance(19);
        assert_eq!(node.current_user(&mut browser).await, "ada");
        node.advance(1);
        assert_eq!(node.current_user(&mut browser).await, "SignedOut");
    }
}

#[tokio::test(start_paused = true)]
async fn outage_grace_does_not_apply_to_known_revocations() {
    let node = node(80);
    let background = tokio::spawn(node.layer.background());
    let elsewhere = node.sibling(|builder| builder);
    let mut here = node.sign_in("ada").await;
    let mut there = node.sign_in("bob").await;
    let [mut of_ada, mut of_bob] = [here.clone(), there.clone()];
    elsewhere.post(&mut there, "/out").await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    node.store.set(Fault::Refused);
    node.advance(20);
    assert_eq!(
        node.current_user(&mut of_bob.clone()).await,
        "SignedOut",
        "received from the feed before the outage"
    );
    assert_eq!(node.post(&mut here, "/out").await.status, 503);
    for _ in 0..7 {
        node.advance(10);
        for copy in [&mut of_ada, &mut of_bob] {
            assert_eq!(node.current_user(&mut copy.clone()).await, "SignedOut");
        }
    }
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn outage_grace_is_capped_at_15_minutes() {
    let lifetime = SessionLifetime::new()
        .inactivity_timeout(Duration::from_secs(4_000))
        .renew_after(Duration::from_secs(10));
    let node = Node::with(
        move |builder| builder.lifetime(lifetime),
        |layer| layer.outage_grace(Duration::MAX),
    );
    let mut browser = node.sign_in("ada").await;
    node.store.set(Fault::ReadOnly);
    node.advance(909);
    assert_eq!(node.current_user(&mut browser).await, "ada");
    node.advance(1);
    assert_eq!(node.current_user(&mut browser).await, "Unavailable");
}

/// A handler cannot get a new token that the store did not confirm.
#[tokio::test(start_paused = true)]
async fn handler_in_an_outage_cannot_get_an_unconfirmed_token() {
    for grace in [0, 60] {
        let node = node(grace);
        let mut browser = node.sign_in("ada").await;
        let before = browser.cookies.clone();
        node.store.set(Fault::Refused);
        if grace > 0 {
            node.advance(15);
        }
        let response = node.post(&mut browser, "/renew").await;
        assert_eq!((response.text(), response.set_cookies().len()), ("renewed", 0), "{grace}");
        let response = node.post(&mut browser, "/rename?eve").await;
        assert_eq!((response.status.as_u16(), response.set_cookies().len()), (503, 0), "{grace}");
        let response = node
            .run_handler(&mut browser, |jar| async move {
                for name in ["eve", "mallory"] {
                    jar.renew_now();
                    let _ = jar.update_claims(crate::support::user(name));
                    let _ = jar.commit().await;
                }
                jar.renew_now();
            })
            .await;
        assert_eq!((response.status.as_u16(), response.set_cookies().len()), (200, 0), "{grace}");
        assert_eq!(browser.cookies, before);
        assert_eq!(node.current_user(&mut browser).await, "ada");
    }
}

/// A session that is accepted in an outage has the dates of its token, not of a renewal.
#[tokio::test(start_paused = true)]
async fn session_in_the_outage_grace_has_the_dates_of_its_token() {
    let node = node(60);
    let mut browser = node.sign_in("ada").await;
    node.store.set(Fault::Refused);
    node.advance(30);
    let response = node
        .run_handler(&mut browser, |jar| async move {
            let dates = |session: Session<User>| {
                let signed_in = session.signed_in_at();
                let since =
                    |at: tower_auth_session::time::Timestamp| at.saturating_since(signed_in);
                (since(session.last_active_at()), since(session.expires_at()))
            };
            format!("{:?}", jar.session().map(dates))
        })
        .await;
    assert_eq!(response.text(), "Some((0ns, 100s))");
    assert_eq!(node.get(&mut browser, "/").await.header("vary"), "Cookie");
    let mut background_request = get("/guarded");
    background_request.headers_mut().insert("session-activity", "none".parse().unwrap());
    assert_eq!(node.send(&mut browser, background_request).await.status, 200);
}
