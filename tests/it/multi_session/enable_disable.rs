//! Multi-session is enabled or disabled by a restart.

use super::{ACTIVE_COOKIE, MISMATCH, SIGNED_OUT, Site, cookie_name, session_of};
use crate::support::{COOKIE, SID_A, SID_B, get, user};

#[test]
fn enabling_multi_session_keeps_the_session() {
    let mut site = Site::with(|builder| builder.multi_session(false));
    let ada = site.sign_in("ada");
    assert_eq!(site.names(), [COOKIE]);
    site.restart_with_multi_session(true);
    let (current_session, cookie_changes) = site.run_handler(get("/"), session_of);
    assert_eq!(
        (current_session, cookie_changes.len()),
        (Ok(ada), 0),
        "active without an active-account cookie"
    );
    assert_eq!(
        (site.session_with_header(ada.as_str()), site.session_with_header(SID_A)),
        (Ok(ada), MISMATCH)
    );

    let mut moved =
        Site { engine: site.engine.clone(), browser: site.browser.clone(), ..Site::new() };
    moved.now += 10;
    let (_, cookie_changes) = moved.run_handler(get("/"), session_of);
    assert_eq!(
        cookie_changes,
        [format!("-{COOKIE}"), cookie_name(ada)],
        "a renewal moves it to its own cookie"
    );
    assert_eq!((moved.current_session(), moved.active_cookie()), (Ok(ada), None));

    let bob = site.sign_in("bob");
    assert_eq!((site.current_session(), site.accounts()), (Ok(bob), vec![bob, ada]));
    site.switch(ada);
    assert_eq!(site.current_session(), Ok(ada), "in the single-account cookie");
    site.now += 10;
    site.current_session().unwrap();
    assert!(!site.browser.cookies.contains_key(COOKIE));
    assert_eq!((site.current_session(), site.accounts()), (Ok(ada), vec![ada, bob]));
    site.switch(bob);
    let (out, _) = site.post(|jar| jar.sign_out_session(ada));
    assert_eq!((out.unwrap().id(), site.current_session()), (ada, Ok(bob)));
}

#[test]
fn session_in_the_single_account_cookie_can_be_signed_out_by_id() {
    let mut site = Site::with(|builder| builder.multi_session(false));
    let ada = site.sign_in("ada");
    site.restart_with_multi_session(true);
    let bob = site.sign_in("bob");
    let (out, cookie_changes) = site.post(|jar| jar.sign_out_session(ada));
    assert_eq!((out.unwrap().id(), cookie_changes), (ada, vec![format!("-{COOKIE}")]));
    assert_eq!((site.current_session(), site.accounts()), (Ok(bob), vec![bob]));
}

#[test]
fn disabling_multi_session_keeps_the_active_session() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    site.switch(ada);
    site.restart_with_multi_session(false);
    let (current_session, cookie_changes) = site.run_handler(get("/"), session_of);
    assert_eq!((current_session, cookie_changes.len()), (Ok(ada), 0));
    site.now += 10;
    let (current_session, cookie_changes) = site.run_handler(get("/"), session_of);
    assert_eq!(
        (current_session, cookie_changes),
        (Ok(ada), vec![format!("-{}", cookie_name(ada)), COOKIE.to_owned()])
    );
    assert!(
        site.browser.cookies.contains_key(&cookie_name(bob)),
        "the other account's cookie is ignored"
    );
    let outcome = site.try_sign_in("cyd", user("cyd")).unwrap();
    assert_eq!(site.names(), [COOKIE], "a sign-in removes the other cookies");
    assert_eq!(site.current_session(), Ok(outcome.session_id));
}

#[test]
fn disabling_multi_session_keeps_an_only_session_and_selects_none_of_two() {
    for active_cookie in [Some("none"), Some(SID_B), None] {
        let mut site = Site::new();
        let ada = site.sign_in("ada");
        let bob = site.sign_in("bob");
        match active_cookie {
            Some(active_cookie) => site.put(ACTIVE_COOKIE, active_cookie),
            None => drop(site.browser.cookies.remove(ACTIVE_COOKIE)),
        }
        site.restart_with_multi_session(false);
        assert_eq!(
            site.current_session(),
            SIGNED_OUT,
            "two sessions, and none is active: {active_cookie:?}"
        );
        let mut one =
            Site { engine: site.engine.clone(), browser: site.browser.clone(), ..Site::new() };
        one.browser.cookies.remove(&cookie_name(ada));
        assert_eq!(one.current_session(), Ok(bob), "{active_cookie:?}");
        site.post(|jar| jar.sign_out());
        assert_eq!(site.names(), [""; 0], "{active_cookie:?}");
    }
}

#[test]
fn enabling_multi_session_keeps_a_session_with_the_largest_token() {
    let mut site = Site::with(|builder| builder.multi_session(false));
    let largest = (2_000..3_100)
        .rev()
        .find(|length| site.try_sign_in("ada", user(&"x".repeat(*length))).is_ok());
    assert!(largest.is_some());
    site.restart_with_multi_session(true);
    let ada = site.current_session().unwrap();
    for _ in 0..4 {
        site.now += 40;
        assert_eq!(site.current_session(), Ok(ada), "active before each expiry");
    }
}
