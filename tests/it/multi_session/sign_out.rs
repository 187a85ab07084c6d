//! Signing out, which never activates another account.

use super::{ACTIVE_COOKIE, CHOOSE, SIGNED_OUT, Site, cookie_name, with_session_header};
use http::header;

use crate::support::{COOKIE, SID_A, get, post};

#[test]
fn sign_out_of_the_active_account_activates_no_other() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let bob = site.sign_in("bob");
    let (out, cookie_changes) = site.post(|jar| jar.sign_out());
    assert_eq!(out.unwrap().id(), bob);
    assert_eq!(cookie_changes, [format!("-{}", cookie_name(bob)), ACTIVE_COOKIE.to_owned()]);
    assert_eq!((site.active_cookie(), site.current_session()), (Some("none".into()), CHOOSE));
    assert_eq!(
        site.post(|jar| jar.sign_out()).0,
        None,
        "without an active account nothing is signed out"
    );
    assert_eq!((site.current_session(), site.accounts()), (CHOOSE, vec![ada]));
    site.switch(ada);
    assert_eq!(site.current_session(), Ok(ada));
    site.post(|jar| jar.sign_out());
    // The active-account cookie stays with the value `none`, because another tab may be signing in.
    assert_eq!((site.names().len(), site.current_session()), (1, SIGNED_OUT));
}

#[test]
fn sign_out_of_another_account_keeps_the_active_one() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let (out, cookie_changes) = site.post(|jar| jar.sign_out_session(ada));
    assert_eq!((out.unwrap().id(), cookie_changes), (ada, vec![format!("-{}", cookie_name(ada))]));
    assert_eq!((site.current_session(), site.accounts()), (Ok(bob), vec![bob]));
    let (out, cookie_changes) = site.post(|jar| jar.sign_out_session(ada));
    assert_eq!((out, cookie_changes.len()), (None, 0), "an id that is not signed in here");
}

#[test]
fn sign_out_with_a_session_header_keeps_the_active_account() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let (out, _) = site.run_handler(with_session_header(&[ada.as_str()]), |jar| jar.sign_out());
    assert_eq!(out.unwrap().id(), ada);
    assert_eq!((site.active_cookie(), site.current_session()), (Some(bob.to_string()), Ok(bob)));
}

#[test]
fn sign_out_of_all_removes_every_session_cookie() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let copies = site.browser.clone();
    site.put(&cookie_name(SID_A.parse().unwrap()), "no.session.atall");
    let (out, _) = site.post(|jar| jar.sign_out_all());
    assert_eq!(out.len(), 2);
    assert!(out.iter().all(|session| [ada, bob].contains(&session.id())));
    assert_eq!(site.names(), [ACTIVE_COOKIE]);
    assert_eq!((site.active_cookie(), site.current_session()), (Some("none".into()), SIGNED_OUT));
    site.browser = copies;
    assert_eq!((site.current_session(), site.accounts()), (SIGNED_OUT, vec![]));
}

#[test]
fn sign_out_of_all_removes_more_cookies_than_are_verified() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(2));
    site.sign_in("ada");
    for index in 0..9 {
        let id = SID_A.replacen('A', &index.to_string(), 1);
        site.put(&format!("{COOKIE}.{id}"), &format!("a.b.{index}"));
    }
    site.post(|jar| jar.sign_out_all());
    assert_eq!(site.names(), [ACTIVE_COOKIE]);
}

#[test]
fn sign_out_revokes_every_session_of_the_account_beyond_the_bounds_of_reading() {
    for (max, count) in [(5, 11), (5, 12), (5, 20), (2, 5), (20, 60)] {
        let mut site = Site::with(|builder| builder.max_sessions_per_browser(max));
        let other = site.sign_in("bob");
        let ids: Vec<_> = (0..count).map(|_| site.sign_in_without_cookies("ada")).collect();
        let copies: Vec<_> = ids.iter().map(|id| (*id, site.token(*id))).collect();
        assert_eq!(site.post(|jar| jar.accounts().len()).0, 2, "{max} {count}");
        assert!(site.post(|jar| jar.sign_out()).0.is_some());
        assert_eq!(site.accounts(), [other], "{max} {count}");
        for (id, token) in copies {
            assert!(!site.accepts(id, &token), "{max} {count}");
        }
        assert_eq!(site.current_session(), CHOOSE, "{max} {count}");
    }
}

#[test]
fn sign_out_of_all_revokes_every_session_beyond_the_bounds_of_reading() {
    for count in [20, 100] {
        let mut site = Site::new();
        let names = ["ada", "bob", "eve"].into_iter().cycle();
        let ids: Vec<_> =
            names.take(count).map(|name| site.sign_in_without_cookies(name)).collect();
        let copies: Vec<_> = ids.iter().map(|id| (*id, site.token(*id))).collect();
        assert_eq!(site.post(|jar| jar.sign_out_all()).0.len(), count);
        for (id, token) in copies {
            assert!(!site.accepts(id, &token), "{count}");
        }
    }
}

#[test]
fn sign_out_works_when_the_cookies_are_too_long_to_be_read() {
    for all in [false, true] {
        let mut site = Site::new();
        let ids: Vec<_> = (0..3).map(|_| site.sign_in_without_cookies("ada")).collect();
        let copies: Vec<_> = ids.iter().map(|id| (*id, site.token(*id))).collect();
        site.put("other", &"x".repeat(33_000));
        assert!(site.open(get("/")).session().is_none());
        let (count, _) = site.post(|jar| {
            if all { jar.sign_out_all().len() } else { usize::from(jar.sign_out().is_some()) }
        });
        assert_eq!(count, if all { 3 } else { 1 });
        for (id, token) in copies {
            assert!(!site.accepts(id, &token));
            assert!(!site.names().contains(&cookie_name(id).as_str()));
        }
    }
}

#[test]
fn sign_out_revokes_sessions_under_a_name_with_too_many_values() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let token = site.token(ada);
    let mut request = post("/", "");
    for value in 0..5 {
        let cookie = format!("{}=a.b.{value}", cookie_name(ada));
        request.headers_mut().append(header::COOKIE, cookie.parse().unwrap());
    }
    let (out, _) = site.run_handler(request, |jar| jar.sign_out_all());
    assert_eq!(out.len(), 1);
    assert!(!site.accepts(ada, &token));
}

#[test]
fn a_sign_in_replaces_every_session_of_the_account_beyond_the_bounds_of_reading() {
    let mut site = Site::new();
    let ids: Vec<_> = (0..12).map(|_| site.sign_in_without_cookies("ada")).collect();
    let last = site.sign_in("ada");
    assert_eq!(site.accounts(), [last]);
    assert!(ids.iter().all(|id| !site.names().contains(&cookie_name(*id).as_str())));
}

#[test]
fn two_accounts_without_an_active_cookie_require_a_selection() {
    let mut site = Site::new();
    let (ada, _) = (site.sign_in("ada"), site.sign_in("bob"));
    site.browser.cookies.remove(ACTIVE_COOKIE);
    assert_eq!(site.current_session(), CHOOSE);
    site.switch(ada);
    assert_eq!(site.current_session(), Ok(ada));
}

#[test]
fn sign_out_without_an_active_cookie_activates_no_account() {
    let mut site = Site::new();
    let (_, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    site.browser.cookies.remove(ACTIVE_COOKIE);
    assert_eq!(site.current_session(), CHOOSE);
    site.post(|jar| jar.sign_out_session(bob));
    assert_eq!(site.current_session(), CHOOSE);
}
