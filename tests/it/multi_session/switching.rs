//! The active account: signing in, switching, and listing accounts.

use tower_auth_session::{
    KeyRing, SessionEngine, SignIn, engine::SessionStatusKind, testing::cookie_of, time::Timestamp,
};

use super::{ACTIVE_COOKIE, CHOOSE, Jar, MISMATCH, SIGNED_OUT, Site, cookie_name};
use crate::support::{SID_A, START, User, get, key, subject, user};

#[test]
fn sign_in_of_a_second_account_adds_a_cookie_and_activates_it() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let bob = site.sign_in("bob");
    let mut names = [cookie_name(ada), cookie_name(bob), ACTIVE_COOKIE.to_owned()];
    names.sort();
    assert_eq!(site.names(), names);
    assert_eq!(site.active_cookie(), Some(bob.to_string()));
    assert_eq!(site.current_session(), Ok(bob));
    assert_eq!(site.accounts(), [bob, ada]);
}

#[test]
fn switch_sets_the_active_cookie_only() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let bob = site.sign_in("bob");
    site.now += 20;
    site.events.take();
    assert_eq!(site.switch(ada), [ACTIVE_COOKIE]);
    assert_eq!(site.events.take_names(), ["AccountSwitched"]);
    site.switch(ada);
    assert_eq!(site.events.take_names(), ["Renewed"], "the account is active already");
    assert_eq!(site.current_session(), Ok(ada));
    assert_eq!(site.switch(bob), [ACTIVE_COOKIE]);
    assert!(site.post(|jar| jar.switch_to(SID_A.parse().unwrap())).0.is_err());
    assert_eq!(site.current_session(), Ok(bob));
}

#[test]
fn sign_in_of_the_same_subject_replaces_its_session() {
    let mut site = Site::new();
    let first = site.sign_in("ada");
    let bob = site.sign_in("bob");
    let copy = site.token(first);
    let outcome = site.try_sign_in("ada", user("ada")).unwrap();
    assert_eq!(outcome.replaced, Some(first));
    assert_ne!(outcome.session_id, first);
    assert!(!site.browser.cookies.contains_key(&cookie_name(first)));
    assert_eq!(site.accounts(), [outcome.session_id, bob]);
    site.put(&cookie_name(first), &copy);
    assert_eq!(site.session_with_header(first.as_str()), MISMATCH, "a copied cookie is rejected");
    assert!(!site.browser.cookies.contains_key(&cookie_name(first)), "and removed");
}

#[test]
fn other_accounts_are_verified_on_demand() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let bob = site.sign_in("bob");
    site.put(&cookie_name(SID_A.parse().unwrap()), "a.b.c");
    site.events.take();
    site.current_session().unwrap();
    site.session_with_header(ada.as_str()).unwrap();
    assert_eq!(site.events.take(), [], "the request does not need the others");
    assert_eq!((site.accounts(), site.rejections()), (vec![bob, ada], 1));
    assert_eq!(site.post(|jar| jar.switch_to(ada).is_ok()), (true, vec![ACTIVE_COOKIE.to_owned()]));
    assert_eq!(site.rejections(), 1);
    site.post(|jar| jar.sign_out_all());
    assert_eq!(site.rejections(), 1, "verified once per request");
}

#[test]
fn listing_accounts_removes_expired_ones() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    site.now += 50;
    let bob = site.sign_in("bob");
    site.now += 50;
    site.events.take();
    let (accounts, cookie_changes) = site.run_handler(get("/"), |jar| jar.accounts().len());
    assert_eq!((accounts, cookie_changes.len()), (1, 2));
    assert!(cookie_changes.contains(&format!("-{}", cookie_name(ada))));
    assert_eq!(site.events.take_names(), ["Expired", "Renewed"]);
    assert_eq!(site.current_session(), Ok(bob));
    site.now += 100;
    assert_eq!(site.current_session(), SIGNED_OUT);
    assert_eq!(site.names(), [ACTIVE_COOKIE]);
}

#[test]
fn several_changes_in_one_request_take_effect_in_order() {
    let sign_in = |jar: &Jar, name| jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
    let start = || {
        let mut site = Site::new();
        let ids = (site.sign_in("ada"), site.sign_in("bob"));
        (site, ids)
    };
    let (mut site, (ada, bob)) = start();
    site.post(|jar| (jar.switch_to(ada).unwrap(), jar.sign_out().unwrap()));
    assert_eq!(
        (site.current_session(), site.accounts()),
        (CHOOSE, vec![bob]),
        "switch, then sign-out"
    );

    let (mut site, (ada, _)) = start();
    let (cyd, _) = site.post(|jar| (jar.sign_out(), sign_in(jar, "cyd")).1.session_id);
    assert_eq!(
        (site.current_session(), site.accounts()),
        (Ok(cyd), vec![cyd, ada]),
        "sign-out, then sign-in"
    );

    let (mut site, _) = start();
    let (cyd, _) = site.post(|jar| (jar.sign_out_all(), sign_in(jar, "cyd")).1.session_id);
    assert_eq!((site.current_session(), site.accounts()), (Ok(cyd), vec![cyd]), "all out, then in");

    let (mut site, (ada, bob)) = start();
    site.post(|jar| (sign_in(jar, "cyd"), jar.sign_out()));
    assert_eq!(
        (site.current_session(), site.accounts()),
        (Ok(bob), vec![bob, ada]),
        "sign-in, then sign-out"
    );

    let (mut site, (ada, bob)) = start();
    let (cyd, _) = site.post(|jar| (sign_in(jar, "cyd"), jar.sign_out_session(ada)).0.session_id);
    assert_eq!(
        (site.current_session(), site.accounts()),
        (Ok(cyd), vec![cyd, bob]),
        "sign-in, then sign-out of another"
    );

    let (mut site, (_, bob)) = start();
    site.post(|jar| (jar.sign_out(), jar.switch_to(bob).unwrap_err()));
    assert_eq!(site.current_session(), CHOOSE, "a revoked session cannot be activated");
}

#[test]
fn accounts_after_a_sign_in_include_the_new_one() {
    let mut site = Site::new();
    site.sign_in("ada");
    let ((session, active), _) = site.post(|jar| {
        jar.sign_in(SignIn::new(subject("bob"), user("bob"))).unwrap();
        let active = jar.accounts().iter().find(|account| account.active).map(|a| a.session_id);
        (jar.session().map(|session| session.id()), active)
    });
    assert_eq!(active, session);
}

#[test]
fn switch_to_a_session_with_undecodable_claims_does_not_sign_in() {
    let mut site = Site::new();
    let other = SessionEngine::<()>::builder(KeyRing::new(key("k1"))).multi_session(true);
    let now = Timestamp::from_unix_seconds(START);
    let cookie = cookie_of(&other.build().unwrap(), SignIn::new(subject("bob"), ()), now).unwrap();
    let (name, value) = cookie.to_str().unwrap().split_once('=').unwrap();
    let bob = name.strip_prefix("__Host-session.").unwrap().parse().unwrap();
    site.sign_in("ada");
    site.put(name, value);
    let ((kind, session), _) = site.post(|jar| {
        let _ = jar.switch_to(bob);
        (jar.status().kind(), jar.session().is_some())
    });
    assert_eq!(kind == SessionStatusKind::SignedIn, session);
}

#[test]
fn account_label_function_sets_label_and_detail() {
    let label = |user: &User| (format!("Dr {}", user.name), Some("staff".to_owned()));
    for (mut site, label, detail) in [
        (Site::new(), "ada", None),
        (Site::with(|builder| builder.account_label(label)), "Dr ada", Some("staff".to_owned())),
    ] {
        site.sign_in("ada");
        let (accounts, _) = site.post(|jar| jar.accounts());
        assert_eq!((accounts[0].label.as_str(), &accounts[0].detail), (label, &detail));
    }
}

#[test]
fn revoked_session_is_reported_once() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(1));
    let ada = site.sign_in("ada");
    site.events.take();
    site.post(|jar| {
        jar.sign_in(SignIn::new(subject("bob"), user("bob"))).unwrap();
        jar.sign_out_session(ada)
    });
    assert_eq!(site.events.take_names(), ["SignedOut", "SignedIn"]);
}
