//! Each kind of request with a bound session.

use http::StatusCode;
use tower_auth_session::{
    RequireSessionLayer, SessionId, SessionJar,
    config::DeviceBound,
    engine::{Factor, SessionStatusKind},
};

use super::{Presented, World, ask, check_table};
use crate::{
    device_bound::{Site, builder, device, guards, payload},
    support::{COOKIE, User, faulty_store::Fault, post, user},
};
use Presented::*;
use SessionStatusKind::{SignedIn, SignedOut, Unavailable, Unproven};

#[test]
fn each_request_with_a_bound_session_has_the_result_of_its_cell() {
    check_table(
        "| request | no proof, or an expired or invalid one | a valid proof | a token from before the binding |",
        &[
            ("no proof, or an expired or invalid one", &[NoProof, ExpiredProof, InvalidProof]),
            ("a valid proof", &[ValidProof]),
            ("a token from before the binding", &[UnboundInFlight, UnboundLater]),
        ],
        &[
            ("any request", any_request),
            ("a page behind a guard", page),
            ("sign-out", sign_out),
            ("update_claims, mark_verified", changes),
            ("switch to it", switch),
            ("refresh", refresh),
            ("registration", registration),
            ("revoked or expired", ended),
            ("the store is unavailable and the token is due", store_unavailable),
        ],
    );
}

/// The session in a process without a store, and in one with a store.
fn worlds(presented: Presented) -> impl Iterator<Item = World> {
    let new = move |store| World::new(builder(DeviceBound::Preferred), store, presented);
    [false, true].into_iter().map(new)
}

fn any_request(presented: Presented) {
    for mut world in worlds(presented) {
        if presented.is_proven() {
            // A registration is not activity: the next request is recorded.
            world.site.status();
        }
        let before = world.site.browser.cookies.clone();
        let expected = match presented {
            NoProof | ExpiredProof | InvalidProof => Unproven,
            ValidProof | UnboundInFlight => SignedIn,
            UnboundLater => SignedOut,
        };
        for _ in 0..2 {
            assert_eq!(world.site.status(), expected);
            assert_eq!(world.site.browser.cookies, before, "nothing is renewed or removed");
        }
        if presented.is_proven() {
            world.site.advance(11);
            assert_eq!(world.site.status(), SignedIn);
            let proof = world.site.proof_name();
            assert_ne!(world.site.browser.cookies[COOKIE], before[COOKIE], "renewed");
            assert_eq!(world.site.browser.cookies[&proof], before[&proof], "not extended");
        }
        world.assert_owner_is_signed_in();
    }
}

fn page(presented: Presented) {
    for mut world in worlds(presented) {
        let guard = RequireSessionLayer::new();
        let mut open = || guards::send(&mut world.site, &guard, guards::navigation("/a?b=c"));
        let mut response = open();
        if matches!(presented, ExpiredProof | InvalidProof) {
            assert_eq!(response.status, StatusCode::TEMPORARY_REDIRECT);
            assert_eq!(response.header("location"), "/a?b=c");
            response = open();
        }
        match presented {
            NoProof | ExpiredProof | InvalidProof => {
                assert_eq!(response.status, StatusCode::UNAUTHORIZED);
                assert_eq!(response.header("refresh"), "10");
                assert!(!world.site.browser.cookies.contains_key(&world.site.proof_name()));
            }
            ValidProof | UnboundInFlight => assert_eq!(response.text(), "the page"),
            UnboundLater => {
                assert_eq!(response.status, StatusCode::SEE_OTHER);
                assert!(response.header("location").starts_with("/sign-in?"));
            }
        }
        world.assert_owner_is_signed_in();
    }
}

fn sign_out(presented: Presented) {
    for mut world in worlds(presented) {
        let response = world.site.send(post("/sign-out", ""));
        assert_eq!(response.status, StatusCode::SEE_OTHER);
        assert_eq!(world.site.browser.cookies.len(), 0, "the cookies of this browser are removed");
        let expected = if presented == UnboundLater { SignedIn } else { SignedOut };
        assert_eq!(world.as_owner(Site::status), expected, "here");
        if world.store.is_some() {
            world.site.advance(11);
            world.site.probe = world.other_process(builder(DeviceBound::Preferred));
            assert_eq!(world.as_owner(Site::status), expected, "in another process");
        }
    }
}

fn changes(presented: Presented) {
    let changes: [fn(&SessionJar<User>) -> bool; 2] = [
        |jar| jar.update_claims(user("Ada Fernhill")).is_ok(),
        |jar| jar.mark_verified(Factor::Second).is_ok(),
    ];
    for change in changes {
        for mut world in worlds(presented) {
            check_change(&mut world, change, presented);
        }
        if presented.is_unbound() {
            // This process has not seen the binding, but the store has recorded it.
            let mut world = World::new(builder(DeviceBound::Preferred), true, presented);
            world.site.probe = world.other_process(builder(DeviceBound::Preferred));
            check_change(&mut world, change, presented);
        }
    }
}

fn check_change(world: &mut World, change: fn(&SessionJar<User>) -> bool, presented: Presented) {
    let before = world.site.browser.cookies.clone();
    let is_done = ask(&mut world.site, change);
    assert_eq!(is_done, matches!(presented, ValidProof | UnboundInFlight));
    let token = payload(&world.site.browser.cookies[COOKIE]);
    if is_done {
        assert!(token["name"] == "Ada Fernhill" || token["factors_at"].is_array(), "{token}");
        assert!(token["cnf"].is_object(), "{token}");
    } else {
        assert_eq!(world.site.browser.cookies, before);
    }
    world.assert_owner_is_signed_in();
}

fn switch(presented: Presented) {
    for has_store in [false, true] {
        let builder = builder(DeviceBound::Preferred).multi_session(true);
        let mut world = World::new(builder, has_store, ValidProof);
        let id: SessionId = world.site.id().parse().unwrap();
        let offer = std::mem::take(&mut world.offer.headers);
        let mut unbound = crate::support::Browser::default();
        unbound.store(&offer);
        unbound.cookies.retain(|name, _| !name.ends_with(".active"));
        world.site.sign_in("bob");
        world.present(&unbound, presented);
        let (is_done, status) =
            ask(&mut world.site, move |jar| (jar.switch_to(id).is_ok(), jar.status().kind()));
        let expected = match presented {
            NoProof | ExpiredProof | InvalidProof => (true, Unproven),
            ValidProof | UnboundInFlight => (true, SignedIn),
            UnboundLater => (false, SignedIn),
        };
        assert_eq!((is_done, status), expected);
        let active = &world.site.browser.cookies["__Host-session.active"];
        assert_eq!(*active == id.to_string(), is_done);
        assert_eq!(world.site.status(), expected.1);
        world.assert_owner_is_signed_in();
    }
}

fn refresh(presented: Presented) {
    for mut world in worlds(presented) {
        let before = world.site.browser.cookies.clone();
        let response = world.site.refresh();
        if presented.is_unbound() {
            assert_eq!(response.status, StatusCode::UNAUTHORIZED);
            assert_eq!(world.site.browser.cookies, before);
        } else {
            assert_eq!(response.status, StatusCode::NO_CONTENT);
            assert_eq!(world.site.status(), SignedIn);
        }
        world.assert_owner_is_signed_in();
    }
}

fn registration(presented: Presented) {
    for is_same_key in [true, false] {
        for mut world in worlds(presented) {
            let own = std::mem::replace(&mut world.site.device, device());
            let other = std::mem::replace(&mut world.site.device, own);
            let client = if is_same_key { &world.site.device } else { &other };
            let offer = crate::device_bound::http(&world.offer);
            let request = client.register(&offer).unwrap();
            let before = world.site.browser.cookies.clone();
            let response = world.site.send(request);
            let expected = match (is_same_key, presented) {
                (true, UnboundLater) | (false, UnboundLater) => StatusCode::UNAUTHORIZED,
                (true, _) => StatusCode::OK,
                // The store decides which key was the first.
                (false, UnboundInFlight) if world.store.is_some() => StatusCode::UNAUTHORIZED,
                (false, _) => StatusCode::CONFLICT,
            };
            assert_eq!(response.status, expected, "the same key: {is_same_key}");
            if expected == StatusCode::OK {
                assert_eq!(world.site.status(), SignedIn);
            } else {
                assert_eq!(world.site.browser.cookies, before);
            }
            world.assert_owner_is_signed_in();
        }
    }
}

fn ended(presented: Presented) {
    for is_revoked in [true, false] {
        for mut world in worlds(presented) {
            if is_revoked {
                world.as_owner(|site| ask(site, |jar| jar.sign_out().is_some()));
            } else {
                world.site.advance(101);
            }
            assert_eq!(world.site.refresh().status, StatusCode::UNAUTHORIZED, "{is_revoked}");
            assert_eq!(world.site.status(), SignedOut, "revoked: {is_revoked}");
        }
    }
}

fn store_unavailable(presented: Presented) {
    for has_seen_binding in [true, false] {
        let mut world = World::new(builder(DeviceBound::Preferred), true, presented);
        if !has_seen_binding {
            world.site.probe = world.other_process(builder(DeviceBound::Preferred));
        }
        if !presented.is_unbound() {
            world.site.advance(11);
        }
        world.store.as_ref().unwrap().set(Fault::Refused);
        let before = world.site.browser.cookies.clone();
        let expected = match presented {
            NoProof | ExpiredProof | InvalidProof => Unproven,
            ValidProof | UnboundInFlight => Unavailable,
            UnboundLater if has_seen_binding => SignedOut,
            UnboundLater => Unavailable,
        };
        assert_eq!(world.site.status(), expected, "has seen the binding: {has_seen_binding}");
        if presented.is_proven() {
            assert_eq!(world.site.refresh().status, StatusCode::SERVICE_UNAVAILABLE);
        }
        assert_eq!(world.site.browser.cookies, before);
        world.store.as_ref().unwrap().set(Fault::None);
        world.assert_owner_is_signed_in();
    }
}
