//! Tokens that are remembered as verified: no memory of one outlives its key, its session or its time.

use tower::{Layer as _, service_fn};
use tower_auth_session::{KeyRing, SessionLayer, SessionTask, SignIn, Timestamp};

use super::{builder, ed25519, who};
use crate::support::{Browser, START, User, get, layer_on, seconds, subject, user};

type Change = fn(&KeyRing, &SessionLayer<User>);

fn at(second: u64) -> Timestamp {
    Timestamp::from_unix_seconds(START + second)
}

/// Asked thrice at one age, far younger than renewal: first seen, then recognised twice.
async fn three_times(layer: &SessionLayer<User>, browser: &Browser, expected: &str) {
    let service = layer.layer(service_fn(who));
    for _ in 0..3 {
        let response = browser.clone().send(&service, get("/")).await;
        assert_eq!(response.text(), format!("application: {expected}"));
    }
}

#[tokio::test]
async fn what_is_remembered_dies_at_once() {
    let changes: [(&str, Change); 6] = [
        ("retired", |ring, _| ring.retire("old", at(1)).unwrap()),
        ("replaced", |ring, _| ring.replace(&KeyRing::new(ed25519("new"))).unwrap()),
        ("replaced under its name", |ring, _| {
            ring.replace(&KeyRing::new(ed25519("old"))).unwrap();
        }),
        ("ended before", |_, layer| {
            layer.engine().end_before(subject("ada"), at(1), at(1));
        }),
        ("everybody ended before", |_, layer| layer.engine().end_everybody_before(at(1))),
        ("not a change", |_, _| {}),
    ];
    for capacity in [0, 10_000] {
        for (name, change) in changes {
            let ring = KeyRing::new(ed25519("old"));
            let builder = builder(ring.clone()).verified_token_cache(capacity);
            let (layer, clock) = layer_on(builder);
            let browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
            ring.promote(ed25519("next")).unwrap();
            three_times(&layer, &browser, "ada").await;
            clock.advance(seconds(1));
            three_times(&layer, &browser, "ada").await;
            change(&ring, &layer);
            let expected = if name == "not a change" { "ada" } else { "signed out" };
            println!("{name}, {capacity}");
            three_times(&layer, &browser, expected).await;
        }
    }
}

#[tokio::test]
async fn a_retirement_that_was_announced_comes_in_time() {
    let ring = KeyRing::new(ed25519("old"));
    let (layer, clock) = layer_on(builder(ring.clone()));
    let browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
    ring.promote(ed25519("new")).unwrap();
    ring.retire("old", at(3)).unwrap();
    for expected in ["ada", "ada", "ada", "signed out", "signed out"] {
        three_times(&layer, &browser, expected).await;
        clock.advance(seconds(1));
    }
}

#[tokio::test]
async fn who_is_pending_is_remembered_as_pending() {
    let (layer, _) = layer_on(builder(KeyRing::new(ed25519("key"))));
    let sign_in = SignIn::new(subject("ada"), user("Ada")).pending([SessionTask::SECOND_FACTOR]);
    let browser = Browser::signed_in(&layer, sign_in);
    three_times(&layer, &browser, "signed out").await;
}
