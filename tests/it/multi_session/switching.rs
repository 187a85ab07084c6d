//! Which account is active: signing in, switching, lists.

use tower_auth_session::{
    KeyRing, SessionEngine, SessionStatusKind, SignIn, Timestamp, testing::cookie_of,
};

use super::{CHOOSE, Jar, MISMATCH, POINTER, SIGNED_OUT, Site, slot};
use crate::support::{SID_A, START, User, get, key, subject, user};

#[test]
fn two_accounts_have_a_cookie_each_and_the_newest_is_active() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let bob = site.sign_in("bob");
    let mut names = [slot(ada), slot(bob), POINTER.to_owned()];
    names.sort();
    assert_eq!(site.names(), names);
    assert_eq!(site.pointer(), Some(bob.to_string()));
    assert_eq!(site.who(), Ok(bob));
    assert_eq!(site.accounts(), [bob, ada]);
}

#[test]
fn switching_writes_the_pointer_only() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let bob = site.sign_in("bob");
    site.now += 20;
    assert_eq!(site.switch(ada), [POINTER]);
    assert_eq!(site.who(), Ok(ada));
    assert_eq!(site.switch(bob), [POINTER]);
    assert!(site.post(|jar| jar.switch_to(SID_A.parse().unwrap())).0.is_err());
    assert_eq!(site.who(), Ok(bob));
}

#[test]
fn the_same_subject_again_replaces_its_session() {
    let mut site = Site::new();
    let first = site.sign_in("ada");
    let bob = site.sign_in("bob");
    let copy = site.token(first);
    let outcome = site.try_sign_in("ada", user("ada")).unwrap();
    assert_eq!(outcome.replaced, Some(first));
    assert_ne!(outcome.session_id, first);
    assert!(!site.browser.cookies.contains_key(&slot(first)));
    assert_eq!(site.accounts(), [outcome.session_id, bob]);
    site.put(&slot(first), &copy);
    assert_eq!(site.who_named(first.as_str()), MISMATCH, "a copy is dead");
    assert!(!site.browser.cookies.contains_key(&slot(first)), "and goes");
}

#[test]
fn others_are_verified_only_when_asked_for() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let bob = site.sign_in("bob");
    site.put(&slot(SID_A.parse().unwrap()), "a.b.c");
    site.events.take();
    site.who().unwrap();
    site.who_named(ada.as_str()).unwrap();
    assert_eq!(site.events.take(), [], "a plain request");
    assert_eq!((site.accounts(), site.rejections()), (vec![bob, ada], 1));
    assert_eq!(site.post(|jar| jar.switch_to(ada).is_ok()), (true, vec![POINTER.to_owned()]));
    assert_eq!(site.rejections(), 1);
    site.post(|jar| jar.sign_out_all());
    assert_eq!(site.rejections(), 1, "once");
}

#[test]
fn expired_accounts_are_removed_quietly() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    site.now += 50;
    let bob = site.sign_in("bob");
    site.now += 50;
    site.events.take();
    let (accounts, written) = site.run_handler(get("/"), |jar| jar.accounts().len());
    assert_eq!((accounts, written.len()), (1, 2));
    assert!(written.contains(&format!("-{}", slot(ada))));
    assert_eq!(site.events.take_names(), ["Expired", "Renewed"]);
    assert_eq!(site.who(), Ok(bob));
    site.now += 100;
    assert_eq!(site.who(), SIGNED_OUT);
    assert_eq!(site.names(), [POINTER]);
}

#[test]
fn what_one_request_does_in_turn_adds_up() {
    let sign_in = |jar: &Jar, name| jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
    let start = || {
        let mut site = Site::new();
        let ids = (site.sign_in("ada"), site.sign_in("bob"));
        (site, ids)
    };
    let (mut site, (ada, bob)) = start();
    site.post(|jar| (jar.switch_to(ada).unwrap(), jar.sign_out().unwrap()));
    assert_eq!((site.who(), site.accounts()), (CHOOSE, vec![bob]), "switched, then signed out");

    let (mut site, (ada, _)) = start();
    let (cyd, _) = site.post(|jar| (jar.sign_out(), sign_in(jar, "cyd")).1.session_id);
    assert_eq!((site.who(), site.accounts()), (Ok(cyd), vec![cyd, ada]), "out, then in");

    let (mut site, _) = start();
    let (cyd, _) = site.post(|jar| (jar.sign_out_all(), sign_in(jar, "cyd")).1.session_id);
    assert_eq!((site.who(), site.accounts()), (Ok(cyd), vec![cyd]), "all out, then in");

    let (mut site, (ada, bob)) = start();
    site.post(|jar| (sign_in(jar, "cyd"), jar.sign_out()));
    assert_eq!((site.who(), site.accounts()), (Ok(bob), vec![bob, ada]), "taken back");

    let (mut site, (ada, bob)) = start();
    let (cyd, _) = site.post(|jar| (sign_in(jar, "cyd"), jar.sign_out_session(ada)).0.session_id);
    assert_eq!((site.who(), site.accounts()), (Ok(cyd), vec![cyd, bob]), "in, and another out");

    let (mut site, (_, bob)) = start();
    site.post(|jar| (jar.sign_out(), jar.switch_to(bob).unwrap_err()));
    assert_eq!(site.who(), CHOOSE, "no way back to what is over");
}

#[test]
fn the_accounts_after_a_sign_in_have_the_new_one() {
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
fn switching_to_claims_that_do_not_decode_signs_nobody_in() {
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
fn the_application_says_what_accounts_are_called() {
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
fn an_end_is_told_once() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(1));
    let ada = site.sign_in("ada");
    site.events.take();
    site.post(|jar| {
        jar.sign_in(SignIn::new(subject("bob"), user("bob"))).unwrap();
        jar.sign_out_session(ada)
    });
    assert_eq!(site.events.take_names(), ["SignedOut", "SignedIn"]);
}
