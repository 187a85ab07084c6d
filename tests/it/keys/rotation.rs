//! Rotations under load.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tower::{Layer as _, service_fn};
use tower_auth_session::{
    KeyRing, SessionEvent, SignIn, Timestamp, TokenError, engine::CredentialError,
};

use super::{builder, ed25519, kid, who};
use crate::support::{Browser, COOKIE, Events, START, get, layer_on, seconds, subject, user};

/// A thousand requests of a thousand sessions on several threads, while the next key is published and
/// promoted and the oldest is retired at once; and again, five times.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_refused_during_a_rotation() {
    const REQUESTS: usize = 1_000;
    let ring = KeyRing::new(ed25519("key-0"));
    let (layer, clock) = layer_on(builder(ring.clone()));
    let sign_in = || SignIn::new(subject("ada"), user("Ada"));
    let mut browsers: Vec<_> =
        (0..REQUESTS).map(|_| Browser::signed_in(&layer, sign_in())).collect();
    let first = browsers[0].clone();
    for round in 1..=5 {
        clock.advance(seconds(10));
        let answered = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = browsers
            .into_iter()
            .map(|mut browser| {
                let service = layer.layer(service_fn(who));
                let answered = Arc::clone(&answered);
                tokio::spawn(async move {
                    let response = browser.send(&service, get("/")).await;
                    answered.fetch_add(1, Ordering::SeqCst);
                    (browser, response)
                })
            })
            .collect();
        let (ring, now) = (ring.clone(), START + round * 10);
        let rotation = std::thread::spawn(move || {
            let wait_for = |count| {
                while answered.load(Ordering::SeqCst) < count {
                    std::thread::yield_now();
                }
            };
            let next = ed25519(&format!("key-{round}"));
            wait_for(REQUESTS / 4);
            ring.publish(next.verifying_key()).unwrap();
            wait_for(REQUESTS / 2);
            ring.promote(next).unwrap();
            if round >= 3 {
                // What is presented in this round was signed in the last one, by one of two keys.
                let before_them = format!("key-{}", round - 3);
                ring.retire(&before_them, Timestamp::from_unix_seconds(now)).unwrap();
            }
        });
        browsers = Vec::with_capacity(REQUESTS);
        let mut signed_by = [0, 0];
        for task in tasks {
            let (browser, response) = task.await.unwrap();
            assert_eq!(response.text(), "application: ada");
            let kid = kid(&browser.cookies[COOKIE]);
            let old = format!("key-{}", round - 1);
            signed_by[usize::from(kid != old)] += 1;
            browsers.push(browser);
        }
        rotation.join().unwrap();
        assert!(signed_by[0] >= REQUESTS / 4 && signed_by[1] > 0, "{signed_by:?}");
    }
    let service = layer.layer(service_fn(who));
    let response = first.clone().send(&service, get("/")).await;
    assert_eq!((response.text(), response.set_cookies()), ("application: signed out", vec![]));
}

/// The session that renews moves on from key to key; a copy of its first token ends with its key, and
/// the cookie is left to whoever may know it.
#[tokio::test]
async fn a_session_survives_any_number_of_rotations() {
    let events = Events::default();
    let sink = events.clone();
    let ring = KeyRing::new(ed25519("key-0"));
    let (layer, clock) = layer_on(builder(ring.clone()).on_event(move |event| sink.push(event)));
    let service = layer.layer(service_fn(who));
    let mut browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
    let mut copy = browser.clone();
    for round in 1..=50_u64 {
        let next = ed25519(&format!("key-{round}"));
        ring.promote(next).unwrap();
        let (last, token) = (kid(&browser.cookies[COOKIE]), browser.cookies[COOKIE].clone());
        assert_eq!(browser.send(&service, get("/")).await.set_cookies(), [""; 0]);
        assert_eq!(browser.cookies[COOKIE], token, "not before its time");
        clock.advance(seconds(10));
        assert_eq!(browser.send(&service, get("/")).await.text(), "application: ada");
        assert_eq!(kid(&browser.cookies[COOKIE]), format!("key-{round}"));
        let now = START + round * 10;
        if round == 1 {
            assert_eq!(copy.send(&service, get("/")).await.text(), "application: ada");
            copy.cookies.insert(COOKIE.to_owned(), token);
        }
        ring.retire(&last, Timestamp::from_unix_seconds(now)).unwrap();
        events.take();
        if round == 1 {
            let response = copy.send(&service, get("/")).await;
            assert_eq!(
                (response.text(), response.set_cookies()),
                ("application: signed out", vec![])
            );
            let reason = CredentialError::Token(TokenError::UnknownKey);
            assert!(
                matches!(events.take()[..], [SessionEvent::CredentialRejected { reason: told, .. }] if told == reason)
            );
        }
    }
}

#[tokio::test]
async fn retirement_is_an_instant() {
    let ring = KeyRing::new(ed25519("old"));
    let (layer, clock) = layer_on(builder(ring.clone()));
    let service = layer.layer(service_fn(who));
    let browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
    ring.promote(ed25519("new")).unwrap();
    ring.retire("old", Timestamp::from_unix_seconds(START + 50)).unwrap();
    for (at, who) in [(49, "ada"), (1, "signed out"), (1, "signed out")] {
        clock.advance(seconds(at));
        let response = browser.clone().send(&service, get("/")).await;
        assert_eq!(response.text(), format!("application: {who}"));
    }
}
