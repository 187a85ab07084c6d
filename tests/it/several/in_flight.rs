//! Requests that overlap with one that changes something.

use tower_auth_session::SignIn;

use super::{CHOOSE, Jar, Site, served, slot, written};
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
    let (who, written) = site.act(get("/"), served);
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
