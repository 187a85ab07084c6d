//! Only verified tokens speak: copies, forged pointers, foreign cookies.

use http::header;
use tower_auth_session::{SessionEvent, engine::CredentialError};

use super::{CHOOSE, MISMATCH, POINTER, Site, served, slot};
use crate::support::{COOKIE, SID_A, SID_B, get};

#[test]
fn a_copy_under_the_name_of_another_session_speaks_for_neither() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let (ada_token, bob_token) = (site.token(ada), site.token(bob));
    site.put(&slot(SID_A.parse().unwrap()), &ada_token);
    assert_eq!((site.who(), site.who_named(SID_A)), (Ok(bob), MISMATCH));
    assert_eq!(site.accounts(), [bob, ada]);
    assert_eq!(site.post(|jar| jar.sign_out_session(SID_A.parse().unwrap())).0, None);

    site.put(&slot(bob), &ada_token);
    assert_eq!(site.who(), CHOOSE, "Ada's token is not Bob's");
    assert_eq!((site.who_named(bob.as_str()), site.who_named(ada.as_str())), (MISMATCH, Ok(ada)));
    let both = format!("{}={ada_token}; {}={bob_token}", slot(bob), slot(bob));
    site.browser.cookies.remove(&slot(bob));
    let mut request = get("/");
    request.headers_mut().insert(header::COOKIE, both.parse().unwrap());
    let (served, written) = site.run_handler(request, served);
    assert_eq!((served, written.len()), (Ok(bob), 0), "it does not take Bob's place either");
}

#[test]
fn a_pointer_chooses_only_among_verified_sessions() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let token = site.token(ada);
    let other = slot(SID_B.parse().unwrap());
    for (pointer, forged) in [
        (SID_B, None),
        ("none", None),
        ("", None),
        ("NONE", None),
        ("x", None),
        (SID_B, Some("a.b.c")),
        (SID_B, Some(token.as_str())),
    ] {
        let mut site =
            Site { engine: site.engine.clone(), browser: site.browser.clone(), ..Site::new() };
        site.put(POINTER, pointer);
        if let Some(forged) = forged {
            site.put(&other, forged);
        }
        let (served, written) = site.run_handler(get("/"), served);
        assert_eq!((served, written.len()), (CHOOSE, 0), "{pointer:?} {forged:?}");
        assert_eq!(site.who_named(ada.as_str()), Ok(ada));
        assert_eq!(site.accounts(), [ada]);
    }
}

#[test]
fn two_pointers_that_differ_point_to_nobody() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    for (second, expected) in [(ada.as_str(), CHOOSE), (bob.as_str(), Ok(bob)), ("none", CHOOSE)] {
        let mut request = get("/");
        let pair = format!("{POINTER}={second}");
        request.headers_mut().insert(header::COOKIE, pair.parse().unwrap());
        assert_eq!(site.who_at(request), expected, "{second}");
    }
    // The third agrees with the first: two of them still differ.
    let mut request = get("/");
    let pairs = format!("{POINTER}={bob}; {POINTER}={ada}");
    request.headers_mut().insert(header::COOKIE, pairs.parse().unwrap());
    assert_eq!(site.who_at(request), CHOOSE);
}

#[test]
fn at_most_twice_as_many_cookies_as_accounts_are_looked_at() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(2));
    for index in 0..9 {
        let id = SID_A.replacen('A', &index.to_string(), 1);
        site.put(&format!("{COOKIE}.{id}"), &format!("a.b.{index}"));
    }
    site.accounts();
    let reasons = site.events.take();
    let tokens = |event: &&SessionEvent| {
        matches!(event, SessionEvent::CredentialRejected { reason: CredentialError::Token(_), .. })
    };
    assert_eq!(reasons.iter().filter(tokens).count(), 4, "{reasons:?}");
}

#[test]
fn a_name_of_another_shape_is_none_of_ours() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let token = site.token(ada);
    for suffix in [".", ".x", &format!(".{ada}."), &format!(".{ada}x"), &format!("..{ada}")] {
        site.put(&format!("{COOKIE}{suffix}"), &token);
    }
    site.events.take();
    let (all, written) = site.post(|jar| jar.sign_out_all());
    assert_eq!((all.len(), written.len(), site.rejections()), (1, 2, 0));
    assert_eq!(site.names().len(), 5 + 1, "somebody else's, and the pointer");
}

#[test]
fn whom_the_browser_names_is_looked_at_whatever_else_there_is() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(2));
    let ada = site.sign_in("ada");
    // Of keys that are no longer known, for one: such cookies are never removed.
    for index in 0..4 {
        let id = SID_A.replacen("AA", &format!("-{index}"), 1);
        site.put(&format!("{COOKIE}.{id}"), &format!("a.b.{index}"));
    }
    assert_eq!((site.who_named(ada.as_str()), site.who()), (Ok(ada), Ok(ada)));
}
