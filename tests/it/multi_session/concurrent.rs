//! Requests that overlap with a change.

use tower_auth_session::{SessionId, SignIn};

use super::{
    ACTIVE_COOKIE, CHOOSE, Jar, MISMATCH, Site, cookie_changes, cookie_name, session_of,
    with_session_header,
};
use crate::support::{get, post, subject, user};

#[test]
fn concurrent_renewal_does_not_undo_a_switch() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    site.now += 10;
    let slow = site.open(get("/"));
    site.switch(ada);
    let late = site.close(&slow);
    assert_eq!(cookie_changes(&late), [cookie_name(bob)]);
    site.browser.store(&late);
    assert_eq!(
        (site.current_session(), site.session_with_header(bob.as_str())),
        (Ok(ada), Ok(bob))
    );
}

#[test]
fn concurrent_renewal_does_not_undo_a_sign_out() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    site.now += 10;
    let (slow, slower) = (site.open(get("/")), site.open(get("/")));
    let late_response = site.close(&slow);
    site.post(|jar| jar.sign_out());
    assert_eq!(cookie_changes(&site.close(&slower)), [""; 0], "dropped");
    site.browser.store(&late_response);
    assert!(
        site.browser.cookies.contains_key(&cookie_name(bob)),
        "the cookie of a revoked session"
    );
    let (current_session, cookie_changes) = site.run_handler(get("/"), session_of);
    assert_eq!(
        (current_session, cookie_changes),
        (CHOOSE, vec![format!("-{}", cookie_name(bob))]),
        "removed when it is presented"
    );
    assert_eq!((site.accounts(), site.active_cookie()), (vec![ada], Some("none".into())));
}

#[test]
fn concurrent_sign_ins_both_stay_valid() {
    let mut site = Site::new();
    let (first, second) = (site.open(post("/", "")), site.open(post("/", "")));
    let sign_in = |jar: &Jar, name| jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
    let (ada, bob) = (sign_in(&first, "ada").session_id, sign_in(&second, "bob").session_id);
    let (first, second) = (site.close(&first), site.close(&second));
    site.browser.store(&second);
    site.browser.store(&first);
    assert_eq!(
        (site.current_session(), site.accounts()),
        (Ok(ada), vec![ada, bob]),
        "the last one delivered"
    );
}

/// A form that was sent twice: neither request knows of the other, and both sessions are Ada's.
#[test]
fn concurrent_sign_ins_of_one_subject_are_one_account() {
    let sign_in =
        |jar: &Jar| jar.sign_in(SignIn::new(subject("ada"), user("ada"))).unwrap().session_id;
    for case in 0..8 {
        let [was_signed_in, by_id, is_first] = [1, 2, 4].map(|bit| case & bit != 0);
        let mut site = Site::new();
        let bob = site.sign_in("bob");
        let before = was_signed_in.then(|| site.sign_in("ada"));
        let (first, second) = (site.open(post("/", "")), site.open(post("/", "")));
        let ada_sessions = [sign_in(&first), sign_in(&second)];
        let (first, second) = (site.close(&first), site.close(&second));
        site.browser.store(&second);
        site.browser.store(&first);
        let copies = site.browser.clone();
        // The requests that see both are concurrent: none of their responses has arrived.
        let jar = site.open(get("/"));
        let accounts: Vec<_> = jar.accounts().iter().map(|account| account.session_id).collect();
        assert_eq!((session_of(&jar), accounts), (Ok(ada_sessions[0]), vec![ada_sessions[0], bob]));
        // A tab with the id of the other session is still Ada.
        let named = |id: SessionId| session_of(&site.open(with_session_header(&[id.as_str()])));
        assert_eq!(named(ada_sessions[1]), Ok(ada_sessions[1]));
        assert!(before.is_none_or(|before| named(before) == MISMATCH));

        let kept = *ada_sessions.iter().max().unwrap();
        if !is_first {
            // The next renewal leaves the session with the later id.
            site.now += 10;
            assert_eq!(site.current_session(), Ok(ada_sessions[0]));
            assert_eq!((site.current_session(), site.accounts()), (Ok(kept), vec![kept, bob]));
        }

        let (_, cookie_changes) = site.post(|jar| match by_id {
            true => jar.sign_out_session(kept),
            false => jar.sign_out(),
        });
        assert_eq!(
            cookie_changes.len(),
            if is_first { 3 } else { 2 },
            "Ada's cookies, and the active-account cookie: {cookie_changes:?}"
        );
        assert_eq!(
            (site.current_session(), site.accounts()),
            (CHOOSE, vec![bob]),
            "both sessions of Ada are revoked"
        );
        site.browser = copies;
        for id in ada_sessions {
            assert_eq!(site.session_with_header(id.as_str()), MISMATCH, "copies are rejected too");
        }
    }

    let mut site = Site::new();
    let (first, second) = (site.open(post("/", "")), site.open(post("/", "")));
    let ada_sessions = [sign_in(&first), sign_in(&second)];
    let (first, second) = (site.close(&first), site.close(&second));
    site.browser.store(&first);
    site.browser.store(&second);
    let outcome = site.try_sign_in("ada", user("ada")).unwrap();
    assert!(outcome.replaced.is_some_and(|replaced| ada_sessions.contains(&replaced)));
    let mut names = [ACTIVE_COOKIE.to_owned(), cookie_name(outcome.session_id)];
    names.sort();
    assert_eq!(site.names(), names);
    assert_eq!(site.accounts(), [outcome.session_id], "the next one replaces both");
}

/// Neither request knows that the other one fills the browser. The next sign-in evicts as many accounts
/// as necessary, and so does the next request.
#[test]
fn concurrent_sign_ins_may_exceed_the_limit_until_the_next_request() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(2));
    site.sign_in("ada");
    site.now += 1;
    let sign_in = |jar: &Jar, name| jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
    let (first, second) = (site.open(post("/", "")), site.open(post("/", "")));
    sign_in(&first, "bob");
    sign_in(&second, "cyd");
    let (first, second) = (site.close(&first), site.close(&second));
    site.browser.store(&first);
    site.browser.store(&second);
    let mut next = Site { engine: site.engine.clone(), ..Site::new() };
    (next.browser, next.now) = (site.browser.clone(), site.now);
    let _ = (next.current_session(), next.current_session());
    assert_eq!(next.accounts().len(), 2, "the account that signed in first is evicted");

    let mut site = Site::with(|builder| builder.max_sessions_per_browser(2));
    site.sign_in("ada");
    site.now += 1;
    let (first, second) = (site.open(post("/", "")), site.open(post("/", "")));
    let (bob, cyd) = (sign_in(&first, "bob").session_id, sign_in(&second, "cyd").session_id);
    let (first, second) = (site.close(&first), site.close(&second));
    site.browser.store(&first);
    site.browser.store(&second);
    assert_eq!(site.open(get("/")).accounts().len(), 3, "all three are valid");
    site.now += 1;
    let outcome = site.try_sign_in("dee", user("dee")).unwrap();
    assert_eq!(outcome.evicted.len(), 2);
    assert!(!outcome.evicted.contains(&cyd) && outcome.evicted.contains(&bob));
    assert_eq!(site.accounts(), [outcome.session_id, cyd]);
}

#[test]
fn slow_sign_out_does_not_activate_another_account() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let slow = site.open(post("/", ""));
    let bob = site.sign_in("bob");
    site.switch(ada);
    site.post(|jar| jar.sign_out());
    assert_eq!(site.current_session(), CHOOSE);
    slow.sign_out();
    let late = site.close(&slow);
    site.browser.store(&late);
    assert_eq!(site.current_session(), CHOOSE, "no request activated {bob}");
}
