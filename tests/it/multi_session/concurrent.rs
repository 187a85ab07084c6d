//! Requests that overlap with one that changes something.

use tower_auth_session::SignIn;

use super::{CHOOSE, Jar, MISMATCH, POINTER, Site, served, slot, written};
use crate::support::{get, post, subject, user};

#[test]
fn a_renewal_in_flight_undoes_no_switch() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    site.now += 10;
    let slow = site.open(get("/"));
    site.switch(ada);
    let late = site.close(&slow);
    assert_eq!(written(&late), [slot(bob)]);
    site.browser.store(&late);
    assert_eq!((site.who(), site.who_named(bob.as_str())), (Ok(ada), Ok(bob)));
}

#[test]
fn a_renewal_in_flight_undoes_no_sign_out() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    site.now += 10;
    let (slow, slower) = (site.open(get("/")), site.open(get("/")));
    let on_the_wire = site.close(&slow);
    site.post(|jar| jar.sign_out());
    assert_eq!(written(&site.close(&slower)), [""; 0], "dropped");
    site.browser.store(&on_the_wire);
    assert!(site.browser.cookies.contains_key(&slot(bob)), "a zombie");
    let (who, written) = site.run_handler(get("/"), served);
    assert_eq!((who, written), (CHOOSE, vec![format!("-{}", slot(bob))]), "gone on first use");
    assert_eq!((site.accounts(), site.pointer()), (vec![ada], Some("none".into())));
}

#[test]
fn two_sign_ins_at_once_both_survive() {
    let mut site = Site::new();
    let (first, second) = (site.open(post("/", "")), site.open(post("/", "")));
    let sign_in = |jar: &Jar, name| jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
    let (ada, bob) = (sign_in(&first, "ada").session_id, sign_in(&second, "bob").session_id);
    let (first, second) = (site.close(&first), site.close(&second));
    site.browser.store(&second);
    site.browser.store(&first);
    assert_eq!((site.who(), site.accounts()), (Ok(ada), vec![ada, bob]), "the last one delivered");
}

/// A form that was sent twice: neither request knew of the other, and both sessions are Ada's.
#[test]
fn two_sign_ins_of_one_subject_at_once_are_one_account() {
    let sign_in =
        |jar: &Jar| jar.sign_in(SignIn::new(subject("ada"), user("ada"))).unwrap().session_id;
    for (was_signed_in, by_id) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut site = Site::new();
        let bob = site.sign_in("bob");
        let before = was_signed_in.then(|| site.sign_in("ada"));
        let (first, second) = (site.open(post("/", "")), site.open(post("/", "")));
        let twins = [sign_in(&first), sign_in(&second)];
        let (first, second) = (site.close(&first), site.close(&second));
        site.browser.store(&second);
        site.browser.store(&first);
        let copies = site.browser.clone();
        assert_eq!((site.who(), site.accounts()), (Ok(twins[0]), vec![twins[0], bob]));
        // A tab that has the other one goes on as Ada.
        assert_eq!(site.who_named(twins[1].as_str()), Ok(twins[1]));
        assert!(before.is_none_or(|before| site.who_named(before.as_str()) == MISMATCH));

        let (_, written) = site.post(|jar| match by_id {
            true => jar.sign_out_session(twins[1]),
            false => jar.sign_out(),
        });
        assert_eq!(written.len(), 3, "both, and the pointer: {written:?}");
        assert_eq!((site.who(), site.accounts()), (CHOOSE, vec![bob]), "not of half of Ada");
        site.browser = copies;
        for id in twins {
            assert_eq!(site.who_named(id.as_str()), MISMATCH, "nor with a copy");
        }
    }

    let mut site = Site::new();
    let (first, second) = (site.open(post("/", "")), site.open(post("/", "")));
    let twins = [sign_in(&first), sign_in(&second)];
    let (first, second) = (site.close(&first), site.close(&second));
    site.browser.store(&first);
    site.browser.store(&second);
    let outcome = site.try_sign_in("ada", user("ada")).unwrap();
    assert!(outcome.replaced.is_some_and(|replaced| twins.contains(&replaced)));
    let mut names = [POINTER.to_owned(), slot(outcome.session_id)];
    names.sort();
    assert_eq!(site.names(), names);
    assert_eq!(site.accounts(), [outcome.session_id], "the next one replaces both");
}

/// Neither request knew that the other one would fill the browser: the next sign-in makes room for
/// both.
#[test]
fn two_sign_ins_at_once_may_be_one_too_many_until_the_next() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(2));
    site.sign_in("ada");
    site.now += 1;
    let sign_in = |jar: &Jar, name| jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
    let (first, second) = (site.open(post("/", "")), site.open(post("/", "")));
    let (bob, cyd) = (sign_in(&first, "bob").session_id, sign_in(&second, "cyd").session_id);
    let (first, second) = (site.close(&first), site.close(&second));
    site.browser.store(&first);
    site.browser.store(&second);
    assert_eq!(site.accounts().len(), 3, "all three live: nobody is signed out behind its back");
    site.now += 1;
    let outcome = site.try_sign_in("dee", user("dee")).unwrap();
    assert_eq!(outcome.made_room.len(), 2);
    assert!(!outcome.made_room.contains(&cyd) && outcome.made_room.contains(&bob));
    assert_eq!(site.accounts(), [outcome.session_id, cyd]);
}

#[test]
fn a_slow_sign_out_promotes_nobody() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let slow = site.open(post("/", ""));
    let bob = site.sign_in("bob");
    site.switch(ada);
    site.post(|jar| jar.sign_out());
    assert_eq!(site.who(), CHOOSE);
    slow.sign_out();
    let late = site.close(&slow);
    site.browser.store(&late);
    assert_eq!(site.who(), CHOOSE, "nobody chose {bob}");
}
