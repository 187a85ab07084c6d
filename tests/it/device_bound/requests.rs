//! Requests with bound sessions: the owner's, and those with copies of the cookies.

use std::sync::{Arc, Mutex};

use http::StatusCode;
use serde_json::Value;
use tower_auth_session::{
    KeyRing, SessionEngine, SessionLifetime, SignIn,
    config::DeviceBound,
    engine::{DeviceProof, Factor, SessionStatusKind},
    event::{DeviceProofError, ProofSkipReason, SessionEvent},
    time::Timestamp,
};

use super::{BOUND_FOR, Site, altered, builder, device, payload};
use crate::support::{COOKIE, ORIGIN, START, User, get, key, seconds, subject, user};
use SessionStatusKind::{NotDeviceBound, SignedIn, SignedOut, Unproven};

/// The proof that a handler sees.
fn proof(site: &mut Site) -> Option<DeviceProof> {
    let found = Arc::new(Mutex::new(None));
    let sink = Arc::clone(&found);
    site.run(move |jar| {
        *sink.lock().unwrap() = jar.session().and_then(|session| session.device_proof());
    });
    *found.lock().unwrap()
}

#[test]
fn bound_session_needs_a_proof_of_its_device() {
    let mut site = Site::bound();
    let (other, own) = (Site::bound(), site.browser.clone());
    let name = site.proof_name();
    let token = own.cookies[COOKIE].clone();
    let altered = altered(&own.cookies[&name]);
    let of_another = other.browser.cookies[&other.proof_name()].clone();
    for (value, expected) in [
        (None, DeviceProofError::Missing),
        (Some(of_another), DeviceProofError::InvalidCookie),
        (Some(altered), DeviceProofError::InvalidCookie),
        (Some(token), DeviceProofError::InvalidCookie),
        (Some("x".to_owned()), DeviceProofError::InvalidCookie),
    ] {
        // Twice: nothing of it is cached.
        for _ in 0..2 {
            site.browser = own.clone();
            site.browser.cookies.remove(&name);
            site.browser.cookies.extend(value.clone().map(|value| (name.clone(), value)));
            let before = site.browser.cookies.clone();
            site.probe.events.take();
            assert_eq!(site.status(), Unproven, "{value:?}");
            assert_eq!(site.refusals(), [expected]);
            assert_eq!(site.browser.cookies, before, "nothing is removed");
        }
    }
    site.browser = own;
    assert_eq!(site.status(), SignedIn);
}

#[test]
fn proof_counts_for_its_time_whether_cached_or_not() {
    for cached in [10_000, 0] {
        let builder = builder(DeviceBound::Preferred).verified_token_cache(cached);
        let mut site = Site::new(builder);
        let offer = site.sign_in("ada");
        site.register(&offer);
        for second in [0, 0, 1, BOUND_FOR - 2] {
            site.advance(second);
            assert_eq!(site.status(), SignedIn);
        }
        site.advance(1);
        site.probe.events.take();
        assert_eq!(site.status(), Unproven);
        assert_eq!(site.refusals(), [DeviceProofError::Expired]);
        assert_eq!(site.refresh().status, StatusCode::NO_CONTENT);
        assert_eq!(site.status(), SignedIn);
    }
}

#[test]
fn handler_sees_when_the_device_proved_its_key() {
    let mut site = Site::bound();
    let at = Timestamp::from_unix_seconds;
    // The second request is served from the cache.
    for _ in 0..2 {
        let proof = proof(&mut site).unwrap();
        assert_eq!((proof.proven_at, proof.expires_at), (at(START), at(START + BOUND_FOR)));
        assert_eq!(Some(proof.key), site.device.key());
    }
    site.advance(30);
    site.refresh();
    assert_eq!(proof(&mut site).unwrap().proven_at, at(START + 30));
    let mut site = Site::new(builder(DeviceBound::Preferred));
    site.sign_in("ada");
    assert_eq!(proof(&mut site), None);
}

#[test]
fn copied_jar_dies_with_its_proof_while_the_browser_goes_on() {
    let mut site = Site::bound();
    site.advance(20);
    site.refresh();
    let copy = site.browser.clone();
    for second in 1..=30 {
        site.advance(10);
        if second % 3 == 0 {
            assert_eq!(site.refresh().status, StatusCode::NO_CONTENT);
        }
        assert_eq!(site.status(), SignedIn);
        let own = std::mem::replace(&mut site.browser, copy.clone());
        assert_eq!(site.status() == SignedIn, second * 10 < BOUND_FOR, "{second}");
        // The thief cannot sign.
        let response = site.refresh();
        assert!(response.status == StatusCode::NO_CONTENT || response.status == 401);
        site.browser = own;
    }
}

#[test]
fn unbound_copy_is_refused_and_nothing_else_happens() {
    let mut site = Site::new(builder(DeviceBound::Preferred));
    let offer = site.sign_in("ada");
    let copy = site.browser.clone();
    assert_eq!(site.status(), SignedIn, "the token is cached now");
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    let own = std::mem::replace(&mut site.browser, copy);
    // Requests in flight are served, without the cache and without a new token.
    site.advance(5);
    assert_eq!(site.status(), SignedIn);
    site.advance(1);
    site.probe.events.take();
    for _ in 0..2 {
        let response = site.run(|jar| {
            assert_eq!(jar.status().kind(), SignedOut);
            assert_eq!(jar.accounts(), []);
        });
        assert_eq!(site.refusals(), [DeviceProofError::UnboundToken]);
        assert_eq!(response.set_cookies(), Vec::<&str>::new(), "nothing is removed");
    }
    site.run(|jar| assert_eq!(jar.sign_out_all(), []));
    // The owner noticed nothing.
    site.browser = own;
    assert_eq!(site.status(), SignedIn);
}

#[test]
fn unbound_copy_in_flight_is_not_renewed_into_a_new_session() {
    let lifetime = SessionLifetime::new().renew_after(seconds(2));
    let mut site = Site::new(builder(DeviceBound::Preferred).lifetime(lifetime));
    let offer = site.sign_in("ada");
    let copy = site.browser.clone();
    site.register(&offer);
    let own = std::mem::replace(&mut site.browser, copy);
    site.advance(3);
    assert_eq!(site.status(), SignedIn);
    // Whatever the response to it carried, it is refused like the copy.
    site.advance(3);
    assert_eq!(site.status(), SignedOut);
    site.browser = own;
    assert_eq!(site.status(), SignedIn);
}

#[test]
fn change_of_claims_in_flight_does_not_undo_the_binding() {
    let mut site = Site::new(builder(DeviceBound::Preferred));
    let offer = site.sign_in("ada");
    let in_flight = site.browser.clone();
    site.register(&offer);
    let bound = std::mem::replace(&mut site.browser, in_flight);
    site.run(|jar| jar.update_claims(user("Ada Fernhill")).unwrap());
    let token = payload(&site.browser.cookies[COOKIE]);
    assert_eq!((&token["name"], token["cnf"].is_object()), (&"Ada Fernhill".into(), true));
    // Without the proof, the copy of a thief is worth nothing.
    assert_eq!(site.status(), Unproven);
    site.browser
        .cookies
        .extend(bound.cookies.into_iter().filter(|(name, _)| name.contains(".proof.")));
    site.advance(11);
    assert_eq!(site.status(), SignedIn);
}

#[test]
fn claims_and_factors_of_a_bound_session_can_change() {
    let mut site = Site::bound();
    site.run(|jar| jar.update_claims(user("Ada Fernhill")).unwrap());
    assert_eq!(site.status(), SignedIn);
    site.run(|jar| jar.mark_verified(Factor::Second).unwrap());
    site.advance(11);
    assert_eq!(site.status(), SignedIn, "renewed");
    let token = payload(&site.browser.cookies[COOKIE]);
    assert_eq!(token["name"], "Ada Fernhill");
    assert!(token["cnf"]["jwk"]["x"].is_string() && token["factors_at"].is_array(), "{token}");
    site.browser.cookies.remove(&site.proof_name());
    let name = |jar: &tower_auth_session::SessionJar<_>| {
        assert!(jar.update_claims(user("thief")).is_err());
        assert!(jar.mark_verified(Factor::First).is_err());
    };
    site.run(name);
}

#[test]
fn verification_of_an_unbound_session_offers_to_bind_it() {
    let mut site = Site::new(builder(DeviceBound::Preferred));
    site.sign_in("ada");
    let offer = site.run(|jar| jar.mark_verified(Factor::First).unwrap());
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    let again = site.run(|jar| jar.mark_verified(Factor::First).unwrap());
    assert_eq!(again.header("secure-session-registration"), "");
}

#[test]
fn sign_in_over_a_bound_session_removes_its_proof() {
    let mut site = Site::bound();
    let old = site.proof_name();
    let offer = site.sign_in("bob");
    assert!(!site.browser.cookies.contains_key(&old));
    site.device = device();
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    assert_eq!(site.status(), SignedIn);
}

#[test]
fn off_binds_nothing_and_enforces_what_is_bound() {
    let mut site = Site::bound();
    let engine = builder(DeviceBound::Off);
    let off = Site::new(engine);
    off.advance(0);
    site.probe = off.probe;
    assert_eq!(site.status(), SignedIn);
    assert_eq!(site.refresh().status, StatusCode::NO_CONTENT);
    site.advance(BOUND_FOR);
    assert_eq!(site.status(), Unproven);
    assert_eq!(site.refresh().status, StatusCode::NO_CONTENT);
    assert_eq!(site.status(), SignedIn);
    let mut site = Site::new(builder(DeviceBound::Preferred));
    let offer = site.sign_in("ada");
    site.probe = Site::new(builder(DeviceBound::Off)).probe;
    assert_eq!(site.register(&offer).text(), "{\"continue\":false}");
}

#[test]
fn required_serves_unbound_sessions_only_while_they_may_be_bound() {
    let mut site = Site::new(builder(DeviceBound::Required));
    let offer = site.sign_in("ada");
    let unbound = site.browser.clone();
    for _ in 0..2 {
        assert_eq!(site.status(), SignedIn);
    }
    site.advance(5);
    assert_eq!(site.status(), SignedIn);
    site.advance(1);
    assert_eq!(site.status(), NotDeviceBound);
    assert_eq!(site.register(&offer).status, StatusCode::OK, "a slow device");
    assert_eq!(site.status(), SignedIn);
    assert_ne!(site.browser.cookies, unbound.cookies);
}

#[test]
fn browser_states_why_it_sends_no_proof() {
    let mut site = Site::bound();
    site.browser.cookies.remove(&site.proof_name());
    let mut request = get("/");
    let cookies = site.browser.cookie_header().unwrap();
    request.headers_mut().insert("cookie", cookies.parse().unwrap());
    let skipped = format!("quota_exceeded;session_identifier=\"{}\"", site.id());
    request.headers_mut().insert("secure-session-skipped", skipped.parse().unwrap());
    let events = site.probe.send(request).events;
    let skipped = |event: &SessionEvent| match event {
        SessionEvent::DeviceProofSkipped { reason, .. } => Some(*reason),
        _ => None,
    };
    let reasons: Vec<_> = events.iter().filter_map(skipped).collect();
    assert_eq!(reasons, [ProofSkipReason::QuotaExceeded]);
}

#[test]
fn several_accounts_are_bound_each_by_itself() {
    let mut site = Site::new(builder(DeviceBound::Preferred).multi_session(true));
    let offer = site.sign_in("ada");
    site.register(&offer);
    let ada = site.id();
    let mut second = device();
    std::mem::swap(&mut site.device, &mut second);
    let offer = site.sign_in("bob");
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    let bob = site.id();
    assert_eq!(site.status(), SignedIn);
    // Ada's proof runs out: Bob goes on, and a switch to Ada is unproven.
    site.advance(50);
    site.refresh();
    site.advance(20);
    assert_eq!(site.status(), SignedIn);
    let id = ada.parse().unwrap();
    site.run(move |jar| {
        assert_eq!(jar.accounts().len(), 2);
        jar.switch_to(id).unwrap();
        assert_eq!(jar.status().kind(), Unproven);
        assert!(jar.session().is_none());
    });
    assert_eq!(site.status(), Unproven);
    std::mem::swap(&mut site.device, &mut second);
    site.refresh();
    assert_eq!(site.status(), SignedIn);
    let id = bob.parse().unwrap();
    site.run(move |jar| {
        jar.switch_to(id).unwrap();
        assert_eq!(jar.status().kind(), SignedIn);
        assert!(jar.session().unwrap().device_proof().is_some());
    });
    // Signing out of all removes all.
    site.run(|jar| {
        assert_eq!(jar.sign_out_all().len(), 2);
    });
    assert!(site.browser.has_no_session(), "{:?}", site.browser.cookies);
}

#[test]
fn bound_session_can_be_signed_out_without_a_proof() {
    let mut site = Site::bound();
    site.browser.cookies.remove(&site.proof_name());
    let copy = site.browser.clone();
    site.run(|jar| {
        assert!(jar.sign_out().is_some());
    });
    assert_eq!(site.browser.cookies.len(), 0);
    site.browser = copy;
    assert_eq!(site.status(), SignedOut);
}

#[test]
fn bound_session_survives_turning_several_accounts_on_and_off() {
    let mut site = Site::bound();
    let name = site.proof_name();
    for several in [true, false] {
        let next = Site::new(builder(DeviceBound::Preferred).multi_session(several));
        next.advance(11);
        let start = site.browser.cookies[&name].clone();
        site.probe = next.probe;
        assert_eq!(site.status(), SignedIn, "several: {several}");
        assert_eq!(site.browser.cookies[&name], start);
        site.refresh();
        assert_eq!(site.status(), SignedIn, "several: {several}");
    }
}

#[test]
fn impersonated_session_is_bound_like_others() {
    use tower_auth_session::engine::Actor;
    let mut site = Site::new(builder(DeviceBound::Preferred));
    let offer = site.run(|jar| {
        let actor = Actor::new(subject("support"));
        jar.sign_in(SignIn::new(subject("ada"), user("Ada")).impersonated_by(actor)).unwrap();
    });
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    assert_eq!(site.status(), SignedIn);
    site.browser.cookies.remove(&site.proof_name());
    assert_eq!(site.status(), Unproven);
}

#[test]
fn proof_of_a_retired_key_is_renewed() {
    let ring = KeyRing::new(key("k1"));
    let (next, lifetime) = (key("k2"), SessionLifetime::new().renew_after(seconds(10)));
    let builder = SessionEngine::<User>::builder(ring.clone())
        .origin(ORIGIN)
        .lifetime(lifetime)
        .device_bound(DeviceBound::Preferred);
    let mut site = Site::new(builder);
    let offer = site.sign_in("ada");
    site.register(&offer);
    ring.publish(next.verifying_key()).unwrap();
    ring.promote(next).unwrap();
    site.advance(10);
    assert_eq!(site.status(), SignedIn, "the session has a token of the new key");
    ring.retire("k1", Timestamp::from_unix_seconds(START + 11)).unwrap();
    site.advance(1);
    assert_eq!(site.status(), Unproven);
    // The challenge of the old key is replaced as well.
    assert_eq!(site.request_refresh().status, StatusCode::FORBIDDEN);
    assert_eq!(site.refresh().status, StatusCode::NO_CONTENT);
    assert_eq!(site.status(), SignedIn);
}

/// A sign-in beyond the budget evicts an account at once, not with the next request.
#[test]
fn proofs_of_other_accounts_count_in_the_cookie_budget() {
    let accounts = |budget: usize| {
        let builder = builder(DeviceBound::Preferred).multi_session(true).cookie_budget(budget);
        let mut site = Site::new(builder);
        for name in ["ada", "bob", "cyd"] {
            site.device = device();
            let offer = site.run(move |jar| {
                jar.sign_in(SignIn::new(subject(name), user(&name.repeat(400)))).unwrap();
            });
            if name != "cyd" {
                assert_eq!(site.register(&offer).status, StatusCode::OK);
            }
        }
        let bytes = site.browser.cookies.iter().map(|(name, value)| name.len() + value.len() + 3);
        let proofs = site.browser.cookies.keys().filter(|name| name.contains(".proof."));
        (proofs.count(), bytes.sum::<usize>())
    };
    // Each of the three tokens may grow by this much at a renewal.
    const GROWTH: usize = 38;
    let (proofs, bytes) = accounts(32_000);
    assert_eq!(proofs, 2);
    let needed = bytes + 3 * GROWTH;
    assert_eq!(accounts(needed), (2, bytes));
    assert_eq!(accounts(needed - 1).0, 1, "an account is evicted");
}

/// A user whose session must be bound is not locked out for lack of room.
#[test]
fn required_sign_in_leaves_room_for_its_proof() {
    for budget in (4_200..6_400).step_by(100) {
        let builder = builder(DeviceBound::Required).multi_session(true).cookie_budget(budget);
        let mut site = Site::new(builder);
        for name in ["ada", "bob"] {
            site.device = device();
            let offer = site.run(move |jar| {
                jar.sign_in(SignIn::new(subject(name), user(&name.repeat(400)))).unwrap();
            });
            let text = site.register(&offer).text().to_owned();
            assert!(text.contains("session_identifier"), "{name} with {budget}: {text}");
        }
    }
}

#[test]
fn list_of_accounts_states_which_are_bound_and_proven() {
    let mut site = Site::new(builder(DeviceBound::Preferred).multi_session(true));
    site.sign_in("ada");
    let offer = site.sign_in("bob");
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    let expires_at = Timestamp::from_unix_seconds(START + BOUND_FOR);
    let mut listed = |expected: Option<Timestamp>| {
        site.run(move |jar| {
            let accounts = jar.accounts();
            let [ada, bob] = ["ada", "bob"]
                .map(|name| accounts.iter().find(|it| it.subject.as_str() == name).unwrap());
            assert_eq!((ada.device_bound, ada.proof_expires_at), (false, None));
            assert_eq!((bob.device_bound, bob.proof_expires_at), (true, expected));
        });
        let list: Value = serde_json::from_slice(&site.send(get("/session")).body).unwrap();
        let item = |name: &str| {
            let sessions = list["sessions"].as_array().unwrap();
            sessions.iter().find(|it| it["subject"] == name).unwrap().clone()
        };
        assert!(item("ada").get("device_bound").is_none());
        assert!(item("ada").get("proof_expires_at").is_none());
        assert_eq!(item("bob")["device_bound"], true);
        let stated = item("bob").get("proof_expires_at").cloned();
        assert_eq!(stated, expected.map(|it| it.as_unix_seconds().into()));
        site.advance(BOUND_FOR);
    };
    listed(Some(expires_at));
    listed(None);
}
