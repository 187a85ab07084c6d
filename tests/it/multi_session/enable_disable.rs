//! Several accounts turned on and off by a restart.

use super::{MISMATCH, POINTER, SIGNED_OUT, Site, served, slot};
use crate::support::{COOKIE, SID_A, SID_B, get, user};

#[test]
fn turning_it_on_signs_nobody_out() {
    let mut site = Site::with(|builder| builder.multi_session(false));
    let ada = site.sign_in("ada");
    assert_eq!(site.names(), [COOKIE]);
    site.turn(true);
    let (who, written) = site.run_handler(get("/"), served);
    assert_eq!((who, written.len()), (Ok(ada), 0), "active while there is no pointer");
    assert_eq!((site.who_named(ada.as_str()), site.who_named(SID_A)), (Ok(ada), MISMATCH));

    let mut moved =
        Site { engine: site.engine.clone(), browser: site.browser.clone(), ..Site::new() };
    moved.now += 10;
    let (_, written) = moved.run_handler(get("/"), served);
    assert_eq!(written, [format!("-{COOKIE}"), slot(ada)], "it moves at its renewal");
    assert_eq!((moved.who(), moved.pointer()), (Ok(ada), None));

    let bob = site.sign_in("bob");
    assert_eq!((site.who(), site.accounts()), (Ok(bob), vec![bob, ada]));
    site.switch(ada);
    assert_eq!(site.who(), Ok(ada), "from where it is");
    site.now += 10;
    site.who().unwrap();
    assert!(!site.browser.cookies.contains_key(COOKIE));
    assert_eq!((site.who(), site.accounts()), (Ok(ada), vec![ada, bob]));
    site.switch(bob);
    let (out, _) = site.post(|jar| jar.sign_out_session(ada));
    assert_eq!((out.unwrap().id(), site.who()), (ada, Ok(bob)));
}

#[test]
fn a_session_that_has_not_moved_can_be_signed_out_by_id() {
    let mut site = Site::with(|builder| builder.multi_session(false));
    let ada = site.sign_in("ada");
    site.turn(true);
    let bob = site.sign_in("bob");
    let (out, written) = site.post(|jar| jar.sign_out_session(ada));
    assert_eq!((out.unwrap().id(), written), (ada, vec![format!("-{COOKIE}")]));
    assert_eq!((site.who(), site.accounts()), (Ok(bob), vec![bob]));
}

#[test]
fn turning_it_off_serves_the_pointers_session() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    site.switch(ada);
    site.turn(false);
    let (who, written) = site.run_handler(get("/"), served);
    assert_eq!((who, written.len()), (Ok(ada), 0));
    site.now += 10;
    let (who, written) = site.run_handler(get("/"), served);
    assert_eq!((who, written), (Ok(ada), vec![format!("-{}", slot(ada)), COOKIE.to_owned()]));
    assert!(site.browser.cookies.contains_key(&slot(bob)), "others are ignored");
    let outcome = site.try_sign_in("cyd", user("cyd")).unwrap();
    assert_eq!(site.names(), [COOKIE], "until somebody signs in");
    assert_eq!(site.who(), Ok(outcome.session_id));
}

#[test]
fn turning_it_off_serves_the_only_session_and_else_nobody() {
    for pointer in [Some("none"), Some(SID_B), None] {
        let mut site = Site::new();
        let ada = site.sign_in("ada");
        let bob = site.sign_in("bob");
        match pointer {
            Some(pointer) => site.put(POINTER, pointer),
            None => drop(site.browser.cookies.remove(POINTER)),
        }
        site.turn(false);
        assert_eq!(site.who(), SIGNED_OUT, "two, and none of them chosen: {pointer:?}");
        let mut one =
            Site { engine: site.engine.clone(), browser: site.browser.clone(), ..Site::new() };
        one.browser.cookies.remove(&slot(ada));
        assert_eq!(one.who(), Ok(bob), "{pointer:?}");
        site.post(|jar| jar.sign_out());
        assert_eq!(site.names(), [""; 0], "{pointer:?}");
    }
}

#[test]
fn the_largest_token_survives_that_several_accounts_are_turned_on() {
    let mut site = Site::with(|builder| builder.multi_session(false));
    let largest = (2_000..3_100)
        .rev()
        .find(|length| site.try_sign_in("ada", user(&"x".repeat(*length))).is_ok());
    assert!(largest.is_some());
    site.turn(true);
    let ada = site.who().unwrap();
    for _ in 0..4 {
        site.now += 40;
        assert_eq!(site.who(), Ok(ada), "active all the time");
    }
}
