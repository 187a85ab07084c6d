//! Copied cookies: two clients that renew the token of one session.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tower_auth_session::{
    SessionId, SessionLifetime,
    config::CopiedCookies,
    engine::{Factor, SessionEngineBuilder},
    event::SessionEvent,
    time::Timestamp,
};

use super::fixture::Node;
use crate::support::{Browser, START, User, faulty_store::Fault, get, seconds, subject};

const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/140.0.0.0 Safari/537.36";

pub(super) fn settings(
    reaction: Option<CopiedCookies>,
) -> impl FnOnce(SessionEngineBuilder<User>) -> SessionEngineBuilder<User> {
    move |builder| {
        let lifetime = SessionLifetime::new()
            .inactivity_timeout(seconds(3_600))
            .maximum_lifetime(seconds(36_000))
            .renew_after(seconds(60));
        let builder = builder.lifetime(lifetime);
        match reaction {
            Some(reaction) => builder.copied_cookies(reaction),
            None => builder,
        }
    }
}

pub(super) fn node(reaction: impl Into<Option<CopiedCookies>>) -> Node {
    Node::with(settings(reaction.into()), |layer| layer)
}

/// A claim of the browser's token; empty without it.
pub(super) fn claim(browser: &Browser, name: &str) -> String {
    let token = browser.cookies.values().next().unwrap();
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    claims[name].as_str().unwrap_or_default().to_owned()
}

/// The events about copied cookies since the last call.
pub(super) fn copies(node: &Node) -> Vec<SessionEvent> {
    let is_copy = |event: &SessionEvent| matches!(event, SessionEvent::CopiedCookie { .. });
    node.events.take().into_iter().filter(is_copy).collect()
}

/// A browser and a copy of its cookies. The browser renewed twice since the copy was made.
pub(super) async fn copied(node: &Node) -> (Browser, Browser) {
    let mut browser = node.sign_in("ada").await;
    let copy = browser.clone();
    for _ in 0..2 {
        node.advance(60);
        assert_eq!(node.current_user(&mut browser).await, "ada");
    }
    node.events.take();
    (browser, copy)
}

#[tokio::test(start_paused = true)]
async fn copy_is_reported_by_default_and_both_clients_stay_signed_in() {
    let node = node(None);
    let mut sign_in = crate::support::post("/in?ada", "");
    sign_in.headers_mut().insert("user-agent", CHROME.parse().unwrap());
    let mut browser = Browser::default();
    node.send(&mut browser, sign_in).await;
    let mut copy = browser.clone();
    for _ in 0..2 {
        node.advance(60);
        node.get(&mut browser, "/").await;
    }
    assert_eq!(copies(&node), []);
    node.advance(30);
    let mut request = get("/guarded");
    request.headers_mut().insert("user-agent", "curl/8.5.0\t(copied)".parse().unwrap());
    assert_eq!(node.send(&mut copy, request).await.text(), "ada");
    let [event] = copies(&node).try_into().unwrap();
    let SessionEvent::CopiedCookie { session, device, user_agent, reaction, .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!((session.subject(), reaction), (&subject("ada"), CopiedCookies::Report));
    let label = cfg!(feature = "user-agent").then_some("Chrome on Linux");
    assert_eq!(device.as_deref(), label);
    assert_eq!(user_agent.as_deref(), Some("curl/8.5.0(copied)"));
    for client in [&mut browser, &mut copy] {
        assert_eq!(node.get(client, "/guarded").await.text(), "ada");
    }
    // The copy goes on as the newest token: one event for each renewal in turn.
    node.advance(60);
    node.get(&mut copy, "/").await;
    assert_eq!(copies(&node), []);
    node.advance(60);
    node.get(&mut browser, "/").await;
    assert_eq!(copies(&node).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn end_signs_both_clients_out_on_every_node() {
    let node = node(CopiedCookies::End);
    let (mut browser, mut copy) = copied(&node).await;
    let elsewhere = node.sibling(settings(Some(CopiedCookies::End)));
    node.store.take_calls();
    let response = elsewhere.get(&mut copy, "/guarded").await;
    assert_eq!(response.status, 401);
    assert_eq!(copy.cookie_header(), None, "the cookie is removed");
    assert_eq!(copies(&elsewhere).len(), 1);
    assert_eq!(elsewhere.store.take_calls(), ["renew", "end"]);
    node.advance(60);
    assert_eq!(node.current_user(&mut browser).await, "SignedOut");
    assert_eq!(copies(&node), [], "one event");
}

#[tokio::test(start_paused = true)]
async fn end_is_sent_later_if_the_store_fails() {
    let node = node(CopiedCookies::End);
    let (_, mut copy) = copied(&node).await;
    node.store.set_for("end", Fault::Refused);
    assert_eq!(node.get(&mut copy, "/guarded").await.status, 401);
    assert!(node.has_event("RevocationDeferred"));
}

#[tokio::test(start_paused = true)]
async fn browser_that_renews_after_the_copy_ends_the_session_for_both() {
    let node = node(CopiedCookies::End);
    let mut browser = node.sign_in("ada").await;
    let mut copy = browser.clone();
    node.advance(60);
    assert_eq!(node.current_user(&mut copy).await, "ada");
    node.advance(40);
    assert_eq!(node.current_user(&mut browser).await, "ada", "the first renewal apart");
    assert_eq!(copies(&node), []);
    node.advance(60);
    assert_eq!(node.current_user(&mut copy).await, "ada");
    assert_eq!(node.current_user(&mut browser).await, "SignedOut", "the second one");
    assert_eq!(node.current_user(&mut copy).await, "SignedOut");
    assert_eq!(copies(&node).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn step_up_requires_a_verification_and_gives_the_session_a_new_id() {
    let node = node(CopiedCookies::StepUp);
    let (mut browser, mut copy) = copied(&node).await;
    let ages = |jar: tower_auth_session::SessionJar<User>| async move {
        let session = jar.session().unwrap();
        let now = session.identity().issued_at();
        format!("{:?}", session.identity().factor_ages(now).first)
    };
    let id = |browser: &Browser| -> SessionId { claim(browser, "sid").parse().unwrap() };
    let old = id(&browser);
    let fresh = format!("{:?}", Some(seconds(120)));
    assert_eq!(node.run_handler(&mut browser, ages).await.text(), fresh);
    node.advance(30);
    assert_ne!(node.run_handler(&mut copy, ages).await.text(), fresh, "for the copy");
    assert_eq!(copies(&node).len(), 1);
    node.advance(30);
    assert_ne!(node.run_handler(&mut browser, ages).await.text(), fresh, "and for the browser");
    // The token states it until the user is verified.
    node.advance(10);
    assert_ne!(node.run_handler(&mut browser, ages).await.text(), fresh);
    assert_eq!(node.current_user(&mut browser).await, "ada", "other routes are unchanged");
    assert_eq!(copies(&node), [], "one event");

    let verify = |jar: tower_auth_session::SessionJar<User>| async move {
        jar.mark_verified(Factor::First).unwrap();
    };
    assert_eq!(node.run_handler(&mut browser, verify).await.status, 200);
    assert_ne!(id(&browser), old);
    assert_eq!(
        node.run_handler(&mut browser, ages).await.text(),
        format!("{:?}", Some(seconds(0)))
    );
    let session = node.layer.sessions().unwrap().list(&subject("ada"), None, 9).await.unwrap();
    assert_eq!(session.sessions.len(), 1, "the old session is revoked");
    assert_eq!(session.sessions[0].signed_in_at, Timestamp::from_unix_seconds(START));
    assert_eq!(node.current_user(&mut copy).await, "SignedOut");
    for _ in 0..3 {
        node.advance(60);
        assert_eq!(node.current_user(&mut browser).await, "ada");
    }
    assert_eq!(copies(&node), []);
}

#[tokio::test(start_paused = true)]
async fn parallel_requests_on_two_nodes_get_the_same_successor() {
    let node = node(CopiedCookies::End);
    let elsewhere = node.sibling(settings(Some(CopiedCookies::End)));
    let mut browser = node.sign_in("ada").await;
    let mut tab = browser.clone();
    for _ in 0..5 {
        node.advance(60);
        assert_eq!(node.current_user(&mut browser).await, "ada");
        node.advance(3);
        assert_eq!(elsewhere.current_user(&mut tab).await, "ada");
        assert_eq!(claim(&browser, "jti"), claim(&tab, "jti"));
    }
    assert!(copies(&node).is_empty() && copies(&elsewhere).is_empty());
}

#[tokio::test(start_paused = true)]
async fn lost_responses_sign_no_user_out() {
    let node = node(CopiedCookies::End);
    let browser = node.sign_in("ada").await;
    for second in 1..200 {
        node.advance(7);
        let mut lost = browser.clone();
        assert_eq!(node.current_user(&mut lost).await, "ada", "{second}");
    }
    assert_eq!(copies(&node), []);
}

#[tokio::test(start_paused = true)]
async fn store_outage_raises_no_alarm_and_rotates_nothing() {
    let node = Node::with(settings(Some(CopiedCookies::End)), |layer| {
        layer.outage_grace(Duration::from_secs(600))
    });
    let mut browser = node.sign_in("ada").await;
    node.advance(60);
    node.current_user(&mut browser).await;
    let before = claim(&browser, "jti");
    node.store.set(Fault::Refused);
    for _ in 0..5 {
        node.advance(60);
        assert_eq!(node.current_user(&mut browser).await, "ada");
    }
    assert_eq!(claim(&browser, "jti"), before);
    node.store.set(Fault::None);
    node.advance(60);
    assert_eq!(node.current_user(&mut browser).await, "ada");
    assert_ne!(claim(&browser, "jti"), before);
    assert_eq!(copies(&node), []);
}

#[tokio::test(start_paused = true)]
async fn changed_claims_and_forced_renewals_keep_the_id_of_the_token() {
    let node = node(CopiedCookies::End);
    let mut browser = node.sign_in("ada").await;
    node.advance(60);
    node.current_user(&mut browser).await;
    let before = claim(&browser, "jti");
    // Long enough for a rotation, too short for a token that is due.
    for (path, wait) in [("/rename?eve", 40), ("/renew", 10)] {
        node.advance(wait);
        let response = node.post(&mut browser, path).await;
        assert_eq!(response.set_cookies().len(), 1, "{path}");
        assert_eq!(claim(&browser, "jti"), before, "{path}");
    }
    assert_eq!(copies(&node), []);
}

/// The response with the next token was lost.
#[tokio::test(start_paused = true)]
async fn previous_token_waits_for_the_next_rotation_and_carries_changes_meanwhile() {
    let node = node(CopiedCookies::End);
    let mut browser = node.sign_in("ada").await;
    let presented = claim(&browser, "jti");
    node.advance(60);
    let mut lost = browser.clone();
    node.current_user(&mut lost).await;
    assert_ne!(claim(&lost, "jti"), presented);
    node.advance(15);
    let response = node.get(&mut browser, "/").await;
    assert_eq!((response.text(), response.set_cookies().len()), ("ada", 0));
    let response = node.post(&mut browser, "/rename?eve").await;
    assert_eq!(response.set_cookies().len(), 1);
    assert_eq!((claim(&browser, "name"), claim(&browser, "jti")), ("eve".to_owned(), presented));
    assert_eq!(copies(&node), []);
}

#[tokio::test(start_paused = true)]
async fn copy_that_changes_claims_is_detected() {
    let node = node(CopiedCookies::End);
    let (_, mut copy) = copied(&node).await;
    let elsewhere = node.sibling(settings(Some(CopiedCookies::End)));
    // The session has ended before the handler runs.
    assert_eq!(elsewhere.post(&mut copy, "/rename?eve").await.status, 400);
    assert_eq!(copies(&elsewhere).len(), 1);
    assert_eq!(copy.cookie_header(), None);
}

/// The store compares the token of one of two parallel requests.
#[tokio::test(start_paused = true)]
async fn copy_that_is_presented_while_the_browser_renews_is_detected() {
    let node = node(CopiedCookies::Report);
    let (mut browser, mut copy) = copied(&node).await;
    node.advance(60);
    node.store.set(Fault::Slow(Duration::from_millis(100)));
    let requests = futures::future::join(node.get(&mut browser, "/"), node.get(&mut copy, "/"));
    let (first, second) = requests.await;
    assert_eq!((first.text(), second.text()), ("ada", "ada"));
    assert_eq!(copies(&node).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn turning_detection_off_and_on_raises_no_alarm() {
    let node = node(CopiedCookies::End);
    let off = node.sibling(settings(Some(CopiedCookies::Off)));
    let mut browser = node.sign_in("ada").await;
    for round in 0..6 {
        node.advance(60);
        let here = if round % 3 == 0 { &node } else { &off };
        assert_eq!(here.current_user(&mut browser).await, "ada", "{round}");
    }
    assert!(copies(&node).is_empty() && copies(&off).is_empty());
}

#[tokio::test(start_paused = true)]
async fn token_without_an_id_is_a_copy_only_where_ids_are_required() {
    let strict = |builder: SessionEngineBuilder<User>| {
        settings(Some(CopiedCookies::End))(builder).require_token_ids(true)
    };
    for (is_strict, expected) in [(false, "ada"), (true, "SignedOut")] {
        let node = node(CopiedCookies::End);
        let checked = if is_strict { node.sibling(strict) } else { node.clone() };
        // Nodes of an earlier version issue tokens without an id.
        let old = node.sibling(settings(Some(CopiedCookies::Off)));
        let mut browser = old.sign_in("ada").await;
        assert_eq!(claim(&browser, "jti"), "", "no id");
        let mut copy = browser.clone();
        for _ in 0..3 {
            node.advance(60);
            assert_eq!(node.current_user(&mut browser).await, "ada");
        }
        node.advance(40);
        assert_eq!(checked.current_user(&mut copy).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn pending_sessions_and_their_activation_have_a_lineage() {
    use tower_auth_session::{SignIn, engine::SessionTask};
    let node = node(CopiedCookies::End);
    let mut browser = Browser::default();
    node.run_handler(&mut browser, |jar| async move {
        let sign_in = SignIn::new(subject("ada"), crate::support::user("ada"));
        jar.sign_in(sign_in.with_tasks([SessionTask::SECOND_FACTOR])).unwrap();
    })
    .await;
    let pending = claim(&browser, "jti");
    node.run_handler(&mut browser, |jar| async move {
        jar.complete_task(&SessionTask::SECOND_FACTOR).map(drop).unwrap();
    })
    .await;
    assert_ne!(claim(&browser, "jti"), pending);
    assert_ne!(claim(&browser, "jti"), "");
}
