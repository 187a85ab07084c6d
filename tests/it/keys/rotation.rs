//! Key rotation while requests are served.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tower::{Layer as _, service_fn};
use tower_auth_session::{
    KeyRing, SignIn,
    error::TokenError,
    event::{CredentialError, SessionEvent},
    time::Timestamp,
};

use super::{builder, current_user, ed25519, kid};
use crate::support::{Browser, COOKIE, Events, START, get, layer_on, seconds, subject, user};

/// A thousand sessions send requests on several threads while the next key is published and promoted and
/// the oldest is retired; five times in a row.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_during_a_key_rotation_stay_signed_in() {
    const REQUESTS: usize = 1_000;
    let ring = KeyRing::new(ed25519("key-0"));
    let (layer, clock) = layer_on(builder(ring.clone()));
    let sign_in = || SignIn::new(subject("ada"), user("Ada"));
    let mut browsers: Vec<_> =
        (0..REQUESTS).map(|_| Browser::signed_in(&layer, sign_in())).collect();
    let first = browsers[0].clone();
    for round in 1..=5 {
        clock.advance(seconds(10));
        let completed = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = browsers
            .into_iter()
            .map(|mut browser| {
                let service = layer.layer(service_fn(current_user));
                let completed = Arc::clone(&completed);
                tokio::spawn(async move {
                    let response = browser.send(&service, get("/")).await;
                    completed.fetch_add(1, Ordering::SeqCst);
                    (browser, response)
                })
            })
            .collect();
        let (ring, now) = (ring.clone(), START + round * 10);
        let rotation = std::thread::spawn(move || {
            let wait_for = |count| {
                while completed.load(Ordering::SeqCst) < count {
                    std::thread::yield_now();
                }
            };
            let next = ed25519(&format!("key-{round}"));
            wait_for(REQUESTS / 4);
            ring.publish(next.verifying_key()).unwrap();
            wait_for(REQUESTS / 2);
            ring.promote(next).unwrap();
            if round >= 3 {
                // The tokens of this round were signed in the previous one, by one of two keys.
                let oldest = format!("key-{}", round - 3);
                ring.retire(&oldest, Timestamp::from_unix_seconds(now)).unwrap();
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
    let service = layer.layer(service_fn(current_user));
    let response = first.clone().send(&service, get("/")).await;
    assert_eq!((response.text(), response.set_cookies()), ("application: signed out", vec![]));
}

/// A session that renews gets each new key. A copy of its first token is rejected when that key is
/// retired, and its cookie is kept because another node may know the key.
#[tokio::test]
async fn session_stays_valid_through_any_number_of_rotations() {
    let events = Events::default();
    let sink = events.clone();
    let ring = KeyRing::new(ed25519("key-0"));
    let (layer, clock) = layer_on(builder(ring.clone()).on_event(move |event| sink.push(event)));
    let service = layer.layer(service_fn(current_user));
    let mut browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
    let mut copy = browser.clone();
    for round in 1..=50_u64 {
        let next = ed25519(&format!("key-{round}"));
        ring.promote(next).unwrap();
        let (last, token) = (kid(&browser.cookies[COOKIE]), browser.cookies[COOKIE].clone());
        assert_eq!(browser.send(&service, get("/")).await.set_cookies(), [""; 0]);
        assert_eq!(browser.cookies[COOKIE], token, "not renewed before it is due");
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
                matches!(events.take()[..], [SessionEvent::CredentialRejected { reason: reported, .. }] if reported == reason)
            );
        }
    }
}

#[tokio::test]
async fn retired_key_is_rejected_from_its_retirement_on() {
    let ring = KeyRing::new(ed25519("old"));
    let (layer, clock) = layer_on(builder(ring.clone()));
    let service = layer.layer(service_fn(current_user));
    let browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
    ring.promote(ed25519("new")).unwrap();
    ring.retire("old", Timestamp::from_unix_seconds(START + 50)).unwrap();
    for (at, name) in [(49, "ada"), (1, "signed out"), (1, "signed out")] {
        clock.advance(seconds(at));
        let response = browser.clone().send(&service, get("/")).await;
        assert_eq!(response.text(), format!("application: {name}"));
    }
}
