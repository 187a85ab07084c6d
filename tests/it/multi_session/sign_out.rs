//! Signing out, and that nobody is promoted.

use super::{CHOOSE, POINTER, SIGNED_OUT, Site, naming, slot};
use crate::support::{COOKIE, SID_A};

#[test]
fn nobody_is_promoted_after_the_active_one_signs_out() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let bob = site.sign_in("bob");
    let (out, written) = site.post(|jar| jar.sign_out());
    assert_eq!(out.unwrap().id(), bob);
    assert_eq!(written, [format!("-{}", slot(bob)), POINTER.to_owned()]);
    assert_eq!((site.pointer(), site.who()), (Some("none".into()), CHOOSE));
    assert_eq!(site.post(|jar| jar.sign_out()).0, None, "no id, in choose state: nothing");
    assert_eq!((site.who(), site.accounts()), (CHOOSE, vec![ada]));
    site.switch(ada);
    assert_eq!(site.who(), Ok(ada));
    site.post(|jar| jar.sign_out());
    // The pointer stays, and names nobody: another tab may be signing in.
    assert_eq!((site.names().len(), site.who()), (1, SIGNED_OUT));
}

#[test]
fn signing_out_another_one_leaves_the_active_one() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let (out, written) = site.post(|jar| jar.sign_out_session(ada));
    assert_eq!((out.unwrap().id(), written), (ada, vec![format!("-{}", slot(ada))]));
    assert_eq!((site.who(), site.accounts()), (Ok(bob), vec![bob]));
    let (out, written) = site.post(|jar| jar.sign_out_session(ada));
    assert_eq!((out, written.len()), (None, 0), "an id that is not signed in here");
}

#[test]
fn a_tab_that_signs_out_its_own_account_leaves_the_active_one() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let (out, _) = site.run_handler(naming(&[ada.as_str()]), |jar| jar.sign_out());
    assert_eq!(out.unwrap().id(), ada);
    assert_eq!((site.pointer(), site.who()), (Some(bob.to_string()), Ok(bob)));
}

#[test]
fn signing_out_all_takes_every_cookie() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let copies = site.browser.clone();
    site.put(&slot(SID_A.parse().unwrap()), "no.session.atall");
    let (out, _) = site.post(|jar| jar.sign_out_all());
    assert_eq!(out.len(), 2);
    assert!(out.iter().all(|session| [ada, bob].contains(&session.id())));
    assert_eq!(site.names(), [POINTER]);
    assert_eq!((site.pointer(), site.who()), (Some("none".into()), SIGNED_OUT));
    site.browser = copies;
    assert_eq!((site.who(), site.accounts()), (SIGNED_OUT, vec![]));
}

#[test]
fn signing_out_all_takes_every_cookie_however_many() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(2));
    site.sign_in("ada");
    for index in 0..9 {
        let id = SID_A.replacen('A', &index.to_string(), 1);
        site.put(&format!("{COOKIE}.{id}"), &format!("a.b.{index}"));
    }
    site.post(|jar| jar.sign_out_all());
    assert_eq!(site.names(), [POINTER]);
}

#[test]
fn without_a_pointer_two_accounts_are_a_choice() {
    let mut site = Site::new();
    let (ada, _) = (site.sign_in("ada"), site.sign_in("bob"));
    site.browser.cookies.remove(POINTER);
    assert_eq!(site.who(), CHOOSE);
    site.switch(ada);
    assert_eq!(site.who(), Ok(ada));
}

#[test]
fn without_a_pointer_signing_out_of_one_promotes_nobody() {
    let mut site = Site::new();
    let (_, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    site.browser.cookies.remove(POINTER);
    assert_eq!(site.who(), CHOOSE);
    site.post(|jar| jar.sign_out_session(bob));
    assert_eq!(site.who(), CHOOSE);
}
