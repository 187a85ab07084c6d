//! The verified-token cache never outlives the key, the session or the expiry of a token.

use tower::{Layer as _, service_fn};
use tower_auth_session::{KeyRing, SessionLayer, SignIn, engine::SessionTask, time::Timestamp};

use super::{builder, current_user, ed25519};
use crate::support::{Browser, START, User, get, layer_on, seconds, subject, user};

type Change = fn(&KeyRing, &SessionLayer<User>);

fn at(second: u64) -> Timestamp {
    Timestamp::from_unix_seconds(START + second)
}

/// Sends three requests before a renewal is due: the first is verified, the others use the cache.
async fn send_three_times(layer: &SessionLayer<User>, browser: &Browser, expected: &str) {
    let service = layer.layer(service_fn(current_user));
    for _ in 0..3 {
        let response = browser.clone().send(&service, get("/")).await;
        assert_eq!(response.text(), format!("application: {expected}"));
    }
}

#[tokio::test]
async fn cached_token_is_rejected_after_its_key_or_session_is_revoked() {
    let changes: [(&str, Change); 6] = [
        ("retired", |ring, _| ring.retire("old", at(1)).unwrap()),
        ("replaced", |ring, _| ring.replace(&KeyRing::new(ed25519("new"))).unwrap()),
        ("replaced under its name", |ring, _| {
            ring.replace(&KeyRing::new(ed25519("old"))).unwrap();
        }),
        ("subject revoked before", |_, layer| {
            layer.engine().revoke_subject_before(subject("ada"), at(1), at(1));
        }),
        ("all revoked before", |_, layer| layer.engine().revoke_all_before(at(1))),
        ("not a change", |_, _| {}),
    ];
    for capacity in [0, 10_000] {
        for (name, change) in changes {
            let ring = KeyRing::new(ed25519("old"));
            let builder = builder(ring.clone()).verified_token_cache(capacity);
            let (layer, clock) = layer_on(builder);
            let browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
            ring.promote(ed25519("next")).unwrap();
            send_three_times(&layer, &browser, "ada").await;
            clock.advance(seconds(1));
            send_three_times(&layer, &browser, "ada").await;
            change(&ring, &layer);
            let expected = if name == "not a change" { "ada" } else { "signed out" };
            println!("{name}, {capacity}");
            send_three_times(&layer, &browser, expected).await;
        }
    }
}

#[tokio::test]
async fn cached_token_is_rejected_at_the_planned_retirement_of_its_key() {
    let ring = KeyRing::new(ed25519("old"));
    let (layer, clock) = layer_on(builder(ring.clone()));
    let browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
    ring.promote(ed25519("new")).unwrap();
    ring.retire("old", at(3)).unwrap();
    for expected in ["ada", "ada", "ada", "signed out", "signed out"] {
        send_three_times(&layer, &browser, expected).await;
        clock.advance(seconds(1));
    }
}

#[tokio::test]
async fn cached_pending_session_stays_pending() {
    let (layer, _) = layer_on(builder(KeyRing::new(ed25519("key"))));
    let sign_in = SignIn::new(subject("ada"), user("Ada")).with_tasks([SessionTask::SECOND_FACTOR]);
    let browser = Browser::signed_in(&layer, sign_in);
    send_three_times(&layer, &browser, "signed out").await;
}
