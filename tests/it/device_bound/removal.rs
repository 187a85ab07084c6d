//! Proofs are removed with their sessions, and no others.

use std::sync::Arc;

use http::StatusCode;
use tower_auth_session::{
    SessionLayer, SignIn,
    config::DeviceBound,
    engine::{SessionEngineBuilder, SessionStatusKind},
    store::{MemoryStore, SessionStore},
    testing::ManualClock,
};

use super::{Site, builder};
use crate::support::{Browser, Events, User, get, probe::Probe, subject, user};
use SessionStatusKind::{SignedIn, SignedOut};

/// Processes with the same store and clock.
struct Fleet {
    store: Arc<dyn SessionStore>,
    clock: ManualClock,
}

impl Fleet {
    fn new() -> Self {
        let clock = Site::new(builder(DeviceBound::Off)).probe.clock;
        Self { store: Arc::new(MemoryStore::new()), clock }
    }

    fn process(
        &self,
        settings: impl FnOnce(SessionEngineBuilder<User>) -> SessionEngineBuilder<User>,
    ) -> Probe<User> {
        let engine = settings(builder(DeviceBound::Preferred)).build().unwrap();
        let layer = SessionLayer::new(engine).store_arc(Arc::clone(&self.store));
        let layer = layer.clock(self.clock.clone());
        Probe { layer, clock: self.clock.clone(), events: Events::default() }
    }
}

/// Signs the accounts of `site` out in `elsewhere`. The browser keeps the cookies.
fn sign_out_elsewhere(site: &mut Site, elsewhere: Probe<User>) {
    let own: Browser = site.browser.clone();
    let here = std::mem::replace(&mut site.probe, elsewhere);
    site.run(|jar| assert!(!jar.sign_out_all().is_empty()));
    (site.browser, site.probe) = (own, here);
}

fn proofs(site: &Site) -> usize {
    site.browser.cookies.keys().filter(|name| name.contains(".proof.")).count()
}

/// A proof without its session would count in the cookie budget until it expires.
#[test]
fn proof_of_a_session_that_was_revoked_elsewhere_is_removed_with_it() {
    for several in [false, true] {
        for changes_claims in [false, true] {
            let fleet = Fleet::new();
            let process = || fleet.process(|it| it.multi_session(several));
            let mut site = Site::on(process());
            let offer = site.sign_in("ada");
            assert_eq!(site.register(&offer).status, StatusCode::OK);
            assert_eq!(proofs(&site), 1);
            sign_out_elsewhere(&mut site, process());
            // A process that has not queried the store for the session.
            site.probe = process();
            if changes_claims {
                // The token is fresh: only the commit of the change shows the revocation.
                site.run(|jar| jar.update_claims(user("Augusta")).unwrap());
            } else {
                site.advance(11);
                assert_eq!(site.status(), SignedOut);
            }
            assert_eq!(proofs(&site), 0, "several: {several}, changes: {changes_claims}");
        }
    }
}

/// An expired token does not mean that its session has ended.
#[test]
fn expired_token_in_another_cookie_costs_no_proof() {
    let fleet = Fleet::new();
    let several = || fleet.process(|it| it.multi_session(true));
    let mut site = Site::on(fleet.process(|it| it));
    let offer = site.run(|jar| {
        jar.sign_in(SignIn::new(subject("ada"), user("ada")).persistent(false)).unwrap();
    });
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    let old = site.browser.cookies["__Host-session"].clone();
    site.probe = several();
    site.advance(11);
    assert_eq!(site.status(), SignedIn);
    site.run(|jar| drop(jar.switch_to(jar.session().unwrap().id()).unwrap()));
    // A slower response of a process with one account per browser.
    site.browser.cookies.insert("__Host-session".into(), old);
    for _ in 0..10 {
        site.advance(11);
        site.refresh();
        assert_eq!(site.status(), SignedIn);
    }
    // A process that did not issue the newer tokens.
    site.probe = several();
    let list = site.send(get("/session"));
    assert!(list.text().contains(&site.id()), "{}", list.text());
    assert!(!site.browser.cookies.contains_key("__Host-session"));
    assert_eq!(proofs(&site), 1, "the session is active");
    assert_eq!(site.status(), SignedIn);
}

/// Servers and proxies limit the size of a response's head.
#[test]
fn response_removes_no_more_cookies_with_proofs() {
    let fleet = Fleet::new();
    let process = || {
        fleet
            .process(|it| it.multi_session(true).max_sessions_per_browser(20).cookie_budget(32_000))
    };
    let mut site = Site::on(process());
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"] {
        let offer = site.sign_in(name);
        assert_eq!(site.register(&offer).status, StatusCode::OK);
    }
    sign_out_elsewhere(&mut site, process());
    site.advance(11);
    let mut responses = 0;
    while proofs(&site) > 0 {
        let response = site.send(get("/session"));
        let removed = response.headers.get_all("set-cookie").iter().count();
        assert!((1..=16).contains(&removed), "{removed} removals");
        responses += 1;
    }
    assert_eq!(responses, 2, "24 cookies");
}
