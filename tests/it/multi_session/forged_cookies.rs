//! Only verified tokens count: copied cookies, forged active-account cookies, cookies of others.

use http::header;
use tower_auth_session::event::{CredentialError, SessionEvent};

use super::{ACTIVE_COOKIE, CHOOSE, MISMATCH, SIGNED_OUT, Site, cookie_name, session_of};
use crate::support::{COOKIE, SID_A, SID_B, get};

#[test]
fn token_under_another_sessions_cookie_name_is_ignored() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let (ada_token, bob_token) = (site.token(ada), site.token(bob));
    site.put(&cookie_name(SID_A.parse().unwrap()), &ada_token);
    assert_eq!((site.current_session(), site.session_with_header(SID_A)), (Ok(bob), MISMATCH));
    assert_eq!(site.accounts(), [bob, ada]);
    assert_eq!(site.post(|jar| jar.sign_out_session(SID_A.parse().unwrap())).0, None);

    site.put(&cookie_name(bob), &ada_token);
    assert_eq!(site.current_session(), CHOOSE, "Ada's token is not Bob's");
    assert_eq!(
        (site.session_with_header(bob.as_str()), site.session_with_header(ada.as_str())),
        (MISMATCH, Ok(ada))
    );
    let both = format!("{}={ada_token}; {}={bob_token}", cookie_name(bob), cookie_name(bob));
    site.browser.cookies.remove(&cookie_name(bob));
    let mut request = get("/");
    request.headers_mut().insert(header::COOKIE, both.parse().unwrap());
    let (session_of, cookie_changes) = site.run_handler(request, session_of);
    assert_eq!((session_of, cookie_changes.len()), (Ok(bob), 0), "Bob's own token is used");
}

#[test]
fn active_cookie_selects_only_verified_sessions() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let token = site.token(ada);
    let other = cookie_name(SID_B.parse().unwrap());
    for (active_cookie, forged) in [
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
        site.put(ACTIVE_COOKIE, active_cookie);
        if let Some(forged) = forged {
            site.put(&other, forged);
        }
        let (session_of, cookie_changes) = site.run_handler(get("/"), session_of);
        assert_eq!((session_of, cookie_changes.len()), (CHOOSE, 0), "{active_cookie:?} {forged:?}");
        assert_eq!(site.session_with_header(ada.as_str()), Ok(ada));
        assert_eq!(site.accounts(), [ada]);
    }
}

#[test]
fn conflicting_active_cookies_select_no_account() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    for (second, expected) in [(ada.as_str(), CHOOSE), (bob.as_str(), Ok(bob)), ("none", CHOOSE)] {
        let mut request = get("/");
        let pair = format!("{ACTIVE_COOKIE}={second}");
        request.headers_mut().insert(header::COOKIE, pair.parse().unwrap());
        assert_eq!(site.session_for(request), expected, "{second}");
    }
    // The third equals the first, but the second still differs.
    let mut request = get("/");
    let pairs = format!("{ACTIVE_COOKIE}={bob}; {ACTIVE_COOKIE}={ada}");
    request.headers_mut().insert(header::COOKIE, pairs.parse().unwrap());
    assert_eq!(site.session_for(request), CHOOSE);
}

#[test]
fn at_most_twice_the_account_limit_of_cookies_is_verified() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(2));
    for index in 0..9 {
        let id = SID_A.replacen('A', &index.to_string(), 1);
        site.put(&format!("{COOKIE}.{id}"), &format!("a.b.{index}"));
    }
    assert_eq!(site.current_session(), SIGNED_OUT);
    let reasons = site.events.take();
    let tokens = |event: &&SessionEvent| {
        matches!(event, SessionEvent::CredentialRejected { reason: CredentialError::Token(_), .. })
    };
    assert_eq!(reasons.iter().filter(tokens).count(), 4, "{reasons:?}");
}

#[test]
fn cookie_with_a_similar_name_is_not_a_session_cookie() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let token = site.token(ada);
    for suffix in [".", ".x", &format!(".{ada}."), &format!(".{ada}x"), &format!("..{ada}")] {
        site.put(&format!("{COOKIE}{suffix}"), &token);
    }
    site.events.take();
    let (all, cookie_changes) = site.post(|jar| jar.sign_out_all());
    assert_eq!((all.len(), cookie_changes.len(), site.rejections()), (1, 2, 0));
    assert_eq!(site.names().len(), 5 + 1, "the other cookies, and the active-account cookie");
}

#[test]
fn requested_session_is_verified_despite_many_other_cookies() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(2));
    let ada = site.sign_in("ada");
    // Such as cookies of unknown keys, which stay within the budget.
    for index in 0..4 {
        let id = SID_A.replacen("AA", &format!("-{index}"), 1);
        site.put(&format!("{COOKIE}.{id}"), &format!("a.b.{index}"));
    }
    assert_eq!(
        (site.session_with_header(ada.as_str()), site.current_session()),
        (Ok(ada), Ok(ada))
    );
}
