//! Sign-ins, changes of settings and other processes, for unbound sessions and for bound ones.

use http::StatusCode;
use tower_auth_session::{
    KeyRing, SessionEngine, SessionId, SessionLifetime, SignIn,
    config::{CopiedCookies, DeviceBound},
    engine::{Factor, SessionEngineBuilder, SessionStatusKind, SessionTask},
    time::Timestamp,
};

use super::{ask, check_table, process};
use crate::{
    device_bound::{BOUND_FOR, Site, builder, device, payload},
    support::{
        COOKIE, ORIGIN, START, TestResponse, User,
        faulty_store::FaultyStore,
        key,
        probe::{Probe, now_or_never},
        seconds, subject,
        token_forge::TokenForge,
        user,
    },
};
use Session::{Bound, Unbound};
use SessionStatusKind::{NotDeviceBound, SignedIn, SignedOut, Unproven};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    Unbound,
    Bound,
}

#[test]
fn each_event_has_the_effects_of_its_cells() {
    check_table(
        "| event | unbound session | bound session |",
        &[("unbound session", &[Unbound]), ("bound session", &[Bound])],
        &[
            ("sign-in in the same browser", sign_in),
            ("a task is completed (activation)", activation),
            ("a factor is verified", verification),
            ("renewal", renewal),
            ("bind_device", bind_device),
            ("device_bound becomes off", off),
            ("device_bound becomes required", required),
            ("several accounts are turned on or off", several_accounts),
            ("a signing key is retired", retired_key),
            ("a node of an earlier version", earlier_version),
            ("a node that has not seen the binding", binding_not_seen),
            ("sign-out everywhere, revocation of the subject", revocation),
        ],
    );
}

fn preferred() -> SessionEngineBuilder<User> {
    builder(DeviceBound::Preferred)
}

/// A browser in which Ada is signed in, and the offer to bind the session.
fn signed_in(session: Session, probe: Probe<User>) -> (Site, TestResponse) {
    let mut site = Site::on(probe);
    let offer = site.sign_in("ada");
    if session == Bound {
        assert_eq!(site.register(&offer).status, StatusCode::OK);
    }
    (site, offer)
}

fn site(session: Session) -> Site {
    signed_in(session, process(preferred(), None, None)).0
}

fn has_offer(response: &TestResponse) -> bool {
    response.headers.contains_key("secure-session-registration")
}

fn session_id(site: &mut Site) -> SessionId {
    ask(site, |jar| jar.session().unwrap().id())
}

fn sign_in(session: Session) {
    let mut site = site(session);
    let copy = site.browser.clone();
    let response = site.sign_in("bob");
    assert!(has_offer(&response));
    assert_eq!(site.browser.cookies.len(), 1, "the proof is removed");
    assert_eq!(site.status(), SignedIn);
    site.browser = copy;
    assert_eq!(site.status(), SignedOut, "replaced");
}

fn activation(session: Session) {
    let mut site = Site::new(preferred());
    let pending = site.run(|jar| {
        let sign_in = SignIn::new(subject("ada"), user("Ada"));
        jar.sign_in(sign_in.with_tasks([SessionTask::SECOND_FACTOR])).unwrap();
    });
    assert!(!has_offer(&pending));
    if session == Bound {
        // Even with a challenge that this service signed.
        let bound = site.run(|jar| jar.bind_device());
        assert!(!has_offer(&bound), "pending sessions are not bound");
        return;
    }
    let before = payload(&site.browser.cookies[COOKIE])["sid"].clone();
    let activated = site.run(|jar| {
        jar.complete_task(&SessionTask::SECOND_FACTOR).map(drop).unwrap();
    });
    assert_ne!(payload(&site.browser.cookies[COOKIE])["sid"], before);
    assert_eq!(site.register(&activated).status, StatusCode::OK);
}

fn verification(session: Session) {
    let mut site = site(session);
    let response = site.run(|jar| jar.mark_verified(Factor::Second).unwrap());
    assert_eq!(has_offer(&response), session == Unbound);
    let token = payload(&site.browser.cookies[COOKIE]);
    assert_eq!(token["cnf"].is_object(), session == Bound);
    assert_eq!(site.status(), SignedIn);

    let copied = preferred().copied_cookies(CopiedCookies::StepUp);
    let copied = copied.copied_cookies_grace(seconds(1));
    let (mut site, _) = signed_in(session, process(copied, Some(&FaultyStore::new()), None));
    let mut copy = site.browser.clone();
    let old = session_id(&mut site);
    for _ in 0..2 {
        site.advance(10);
        assert_eq!(site.status(), SignedIn);
    }
    std::mem::swap(&mut site.browser, &mut copy);
    site.status();
    std::mem::swap(&mut site.browser, &mut copy);
    site.advance(10);
    let response = site.run(|jar| jar.mark_verified(Factor::First).unwrap());
    assert!(has_offer(&response), "a new session");
    assert_ne!(session_id(&mut site), old);
    assert_eq!(site.browser.cookies.len(), 1, "the proof of the old session is removed");
    site.device = device();
    assert_eq!(site.register(&response).status, StatusCode::OK);
    assert_eq!(site.status(), SignedIn);
}

fn renewal(session: Session) {
    let mut site = site(session);
    let before = site.browser.cookies.clone();
    site.advance(11);
    let response = site.run(|_| {});
    assert!(!has_offer(&response));
    assert_eq!(response.set_cookies().len(), 1, "the proof is not extended");
    let key = |token: &str| payload(token)["cnf"].clone();
    assert_ne!(site.browser.cookies[COOKIE], before[COOKIE]);
    assert_eq!(key(&site.browser.cookies[COOKIE]), key(&before[COOKIE]));
}

fn bind_device(session: Session) {
    let mut site = site(session);
    let response = site.run(|jar| jar.bind_device());
    assert_eq!(has_offer(&response), session == Unbound);
}

fn off(session: Session) {
    let store = FaultyStore::new();
    let (mut site, offer) = signed_in(session, process(preferred(), Some(&store), None));
    site.probe = process(builder(DeviceBound::Off), Some(&store), Some(&site.probe.clock));
    assert_eq!(site.status(), SignedIn);
    match session {
        Unbound => {
            assert_eq!(site.register(&offer).text(), "{\"continue\":false}");
            site.advance(BOUND_FOR);
            assert_eq!(site.status(), SignedIn);
        }
        Bound => {
            site.advance(BOUND_FOR);
            assert_eq!(site.status(), Unproven);
            assert_eq!(site.refresh().status, StatusCode::NO_CONTENT);
            assert_eq!(site.status(), SignedIn);
        }
    }
}

fn required(session: Session) {
    let store = FaultyStore::new();
    let (mut site, offer) = signed_in(session, process(preferred(), Some(&store), None));
    site.probe = process(builder(DeviceBound::Required), Some(&store), Some(&site.probe.clock));
    site.advance(5);
    assert_eq!(site.status(), SignedIn, "within the tolerance after the sign-in");
    site.advance(1);
    match session {
        Unbound => {
            assert_eq!(site.status(), NotDeviceBound);
            assert_eq!(site.register(&offer).status, StatusCode::OK);
            assert_eq!(site.status(), SignedIn);
        }
        Bound => assert_eq!(site.status(), SignedIn),
    }
}

fn several_accounts(session: Session) {
    let mut site = site(session);
    let id = session_id(&mut site);
    for (several, name) in [(true, format!("{COOKIE}.{id}")), (false, COOKIE.to_owned())] {
        let builder = preferred().multi_session(several);
        site.probe = process(builder, None, Some(&site.probe.clock));
        let proof = site.browser.cookies.get(&format!("{COOKIE}.proof.{id}")).cloned();
        assert_eq!(proof.is_some(), session == Bound);
        site.advance(11);
        assert_eq!(site.status(), SignedIn);
        assert!(site.browser.cookies.contains_key(&name), "it moves to the other cookie");
        assert_eq!(site.browser.cookies.get(&format!("{COOKIE}.proof.{id}")), proof.as_ref());
        assert_eq!(session_id(&mut site), id);
    }
}

fn retired_key(session: Session) {
    let at = |second| Timestamp::from_unix_seconds(START + second);
    for is_renewed in [false, true] {
        let ring = KeyRing::new(key("k1"));
        let builder = SessionEngine::<User>::builder(ring.clone())
            .origin(ORIGIN)
            .lifetime(SessionLifetime::new().renew_after(seconds(10)))
            .device_bound(DeviceBound::Preferred);
        let (mut site, _) = signed_in(session, process(builder, None, None));
        ring.publish(key("k2").verifying_key()).unwrap();
        ring.promote(key("k2")).unwrap();
        site.advance(10);
        if is_renewed {
            assert_eq!(site.status(), SignedIn, "the session has a token of the new key");
        }
        ring.retire("k1", at(11)).unwrap();
        site.advance(1);
        let expected = match (is_renewed, session) {
            (false, _) => SignedOut,
            (true, Unbound) => SignedIn,
            (true, Bound) => Unproven,
        };
        assert_eq!(site.status(), expected, "renewed: {is_renewed}");
        if expected == Unproven {
            // The challenge of the old key is replaced as well.
            assert_eq!(site.request_refresh().status, StatusCode::FORBIDDEN);
            assert_eq!(site.refresh().status, StatusCode::NO_CONTENT);
            assert_eq!(site.status(), SignedIn);
        }
    }
}

/// Earlier versions reject every `cnf`, as this one rejects a `cnf` that it does not know.
fn earlier_version(session: Session) {
    let mut site = site(session);
    let mut token = payload(&site.browser.cookies[COOKIE]);
    match session {
        Unbound => {
            let mut before = Site::new(builder(DeviceBound::Off));
            before.sign_in("ada");
            let members = |token: &serde_json::Value| {
                token.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
            };
            assert_eq!(members(&token), members(&payload(&before.browser.cookies[COOKIE])));
        }
        Bound => {
            let thumbprint = site.device.key().unwrap().thumbprint();
            token["cnf"] = serde_json::json!({ "jkt": thumbprint });
            let token = TokenForge::new("k1").token(token.to_string());
            let own = site.browser.cookies.insert(COOKIE.to_owned(), token).unwrap();
            let before = site.browser.cookies.clone();
            assert_eq!(site.status(), SignedOut);
            assert_eq!(site.browser.cookies, before, "it stays");
            site.browser.cookies.insert(COOKIE.to_owned(), own);
            assert_eq!(site.status(), SignedIn);
        }
    }
}

fn binding_not_seen(session: Session) {
    for has_store in [true, false] {
        let store = has_store.then(FaultyStore::new);
        let (mut site, offer) = signed_in(Unbound, process(preferred(), store.as_ref(), None));
        let unbound = site.browser.clone();
        if session == Bound {
            assert_eq!(site.register(&offer).status, StatusCode::OK);
        }
        let owner = std::mem::replace(&mut site.browser, unbound);
        site.probe = process(preferred(), store.as_ref(), Some(&site.probe.clock));
        site.advance(9);
        assert_eq!(site.status(), SignedIn, "not due");
        site.advance(1);
        let is_refused = session == Bound && has_store;
        assert_eq!(site.status(), if is_refused { SignedOut } else { SignedIn });
        // Without a store it is renewed like the token of any other session.
        site.advance(91);
        assert_eq!(site.status(), if is_refused { SignedOut } else { SignedIn });
        if session == Bound && has_store {
            site.browser = owner;
            site.refresh();
            assert_eq!(site.status(), SignedOut, "the owner was inactive for 100 s");
        }
    }
}

fn revocation(session: Session) {
    for is_sign_out in [true, false] {
        let store = FaultyStore::new();
        let (mut site, _) = signed_in(session, process(preferred(), Some(&store), None));
        let copy = site.browser.clone();
        if is_sign_out {
            assert!(ask(&mut site, |jar| jar.sign_out_everywhere(None).is_ok()));
            assert_eq!(site.browser.cookies.len(), 0);
        } else {
            let sessions = site.probe.layer.sessions().unwrap();
            let ada = subject("ada");
            assert_eq!(now_or_never(sessions.revoke_all_of(&ada)).unwrap(), 1);
        }
        site.browser = copy;
        site.advance(10);
        if session == Bound {
            assert_eq!(site.refresh().status, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(site.status(), SignedOut);
    }
}
