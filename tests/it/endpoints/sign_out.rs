//! `POST /sign-out` with several accounts: which session is revoked, and the redirect.

use http::header;

use super::{Site, location};
use crate::support::{get, post, seconds};

const CHOOSE: &str = "/sign-in/choose";

#[tokio::test]
async fn sign_out_of_the_only_account_redirects_after_sign_out() {
    for (form, expected) in [
        ("", "/bye"),
        ("scope=this", "/bye"),
        ("redirect_url=%2Fx", "/x"),
        ("redirect_url=%2F%2Fevil.example", "/bye"),
    ] {
        let (mut site, _) = Site::signed_in(&["ada"]).await;
        let response = site.form("/sign-out", form, "/account").await;
        assert_eq!(location(&response), (303, expected), "{form}");
        assert!(site.browser.has_no_session(), "{:?}", site.browser.cookies);
        assert_eq!(site.who().await, "signed out");
    }
}

#[tokio::test]
async fn sign_out_of_the_active_account_activates_no_other() {
    for by_id in [false, true] {
        for (form, expected) in [("", CHOOSE), ("redirect_url=%2Fx", "/x")] {
            let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
            let id = if by_id { format!("session_id={}&", ids[1]) } else { String::new() };
            let response = site.form("/sign-out", &format!("{id}{form}"), "/account").await;
            assert_eq!(location(&response), (303, expected), "{form}");
            assert_eq!(site.who().await, "signed out", "no other account becomes active");
            assert_eq!(site.subjects().await, ["ada"]);
            assert!(site.list().await["active"].is_null());
        }
    }
    let redirects = tower_auth_session::config::RedirectUrls::new().sign_in_url("/login?a=b");
    let mut site = Site::new(|builder| builder.redirect_urls(redirects.clone()));
    site.sign_in(&["ada", "grace"]).await;
    let response = site.form("/sign-out", "", "").await;
    assert_eq!(location(&response), (303, "/login/choose?a=b"));

    let redirects = redirects.after_multi_session_single_sign_out_url("/left");
    let mut site = Site::new(|builder| builder.redirect_urls(redirects));
    site.sign_in(&["ada", "grace"]).await;
    assert_eq!(location(&site.form("/sign-out", "", "").await), (303, "/left"));
}

#[tokio::test]
async fn sign_out_of_another_account_by_id_keeps_the_active_one() {
    for (form, referer, expected) in [
        ("", "/account?tab=2", "/account?tab=2"),
        ("", "", "/"),
        ("&redirect_url=%2Fx", "/account", "/x"),
        ("&redirect_url=javascript:1", "/account", "/account"),
    ] {
        let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
        let form = format!("session_id={}{form}", ids[0]);
        let response = site.form("/sign-out", &form, referer).await;
        assert_eq!(location(&response), (303, expected), "{form}");
        assert_eq!(site.who().await, "grace");
        assert_eq!(site.subjects().await, ["grace"]);
    }
}

/// If no account is active, signing out of the last one by its id leaves no account to choose.
#[tokio::test]
async fn sign_out_of_the_last_account_by_id_redirects_after_sign_out() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    site.form("/sign-out", "", "").await;
    let response = site.form("/sign-out", &format!("session_id={}", ids[0]), CHOOSE).await;
    assert_eq!(location(&response), (303, "/bye"));
    assert!(site.browser.has_no_session(), "{:?}", site.browser.cookies);
}

/// Two concurrent sign-ins of one subject: signing out of either session signs out the active account.
#[tokio::test]
async fn sign_out_of_one_of_two_sessions_of_the_active_account_signs_it_out() {
    for newest_first in [true, false] {
        let (mut site, _) = Site::signed_in(&["ada"]).await;
        let mut second_browser = site.browser.clone();
        let active = site.sign_in(&["grace"]).await.remove(0);
        std::mem::swap(&mut site.browser, &mut second_browser);
        let other = site.sign_in(&["grace"]).await.remove(0);
        site.browser.cookies.extend(second_browser.cookies);
        let id = if newest_first { active } else { other };
        let response = site.form("/sign-out", &format!("session_id={id}"), "/account").await;
        assert_eq!(location(&response), (303, CHOOSE));
        assert_eq!(
            (site.who().await, site.subjects().await),
            ("signed out".into(), vec!["ada".into()])
        );
    }
}

#[tokio::test]
async fn sign_out_of_an_unknown_id_changes_nothing() {
    let (mut site, _) = Site::signed_in(&["ada", "grace", "barbara"]).await;
    let before = site.browser.cookies.clone();
    for id in ["CCCCCCCCCCCCCCCCCCCCCA", "", "..%2F", "%3Cscript%3E"] {
        let response = site.form("/sign-out", &format!("session_id={id}"), "/account").await;
        assert_eq!(location(&response), (303, "/account"), "{id}");
        assert_eq!(response.set_cookies(), [""; 0]);
    }
    // The same for the header of a tab whose account was signed out.
    let mut request = post("/sign-out", "");
    request.headers_mut().insert("session-id", "CCCCCCCCCCCCCCCCCCCCCA".parse().unwrap());
    assert_eq!(location(&site.send(request).await), (303, "/"));
    assert_eq!(site.browser.cookies, before);
    assert_eq!(site.subjects().await, ["ada", "barbara", "grace"]);
}

/// A tab with a `session-id` header signs out of its own account, even if another one is active.
#[tokio::test]
async fn sign_out_with_a_session_header_signs_out_that_account() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    let mut request = post("/sign-out", "");
    request.headers_mut().insert("session-id", ids[0].parse().unwrap());
    assert_eq!(location(&site.send(request).await), (303, CHOOSE));
    assert_eq!(site.who().await, "grace");
    assert_eq!(site.subjects().await, ["grace"]);
}

#[tokio::test]
async fn sign_out_without_an_active_account_redirects_to_the_chooser() {
    let (mut site, _) = Site::signed_in(&["ada", "grace", "barbara"]).await;
    site.form("/sign-out", "", "").await;
    let before = site.browser.cookies.clone();
    let response = site.form("/sign-out", "", "/account").await;
    assert_eq!((location(&response), response.set_cookies().len()), ((303, CHOOSE), 0));
    assert_eq!(site.browser.cookies, before);
    assert_eq!(site.subjects().await, ["ada", "grace"]);
}

#[tokio::test]
async fn sign_out_of_the_browser_revokes_all_accounts() {
    for form in ["scope=browser", "scope=browser&redirect_url=%2Fx"] {
        let (mut site, _) = Site::signed_in(&["ada", "grace", "barbara"]).await;
        let copy = site.browser.clone();
        let response = site.form("/sign-out", form, "/account").await;
        assert_eq!(location(&response), (303, "/bye"));
        assert!(site.browser.has_no_session(), "{:?}", site.browser.cookies);
        site.browser = copy;
        assert_eq!(site.subjects().await, [""; 0], "copied cookies are rejected too");
    }
}

#[tokio::test]
async fn sign_out_without_a_valid_cookie_redirects_after_sign_out() {
    let mut site = Site::new(|builder| builder);
    assert_eq!(location(&site.form("/sign-out", "", "").await), (303, "/bye"));
    let name = format!("__Host-session.{}", crate::support::SID_A);
    site.browser.cookies.insert(name, "a.b.c".to_owned());
    assert_eq!(location(&site.form("/sign-out", "", "").await), (303, "/bye"));
    assert!(site.browser.has_no_session(), "{:?}", site.browser.cookies);
}

#[tokio::test]
async fn sign_out_rejects_invalid_parameters_and_accepts_json() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    for form in
        ["scope=all", "scope=everywhere", "session_id=a&session_id=a", "scope=this&scope=this"]
    {
        let response = site.form("/sign-out", form, "").await;
        assert_eq!((response.status.as_u16(), response.set_cookies().len()), (400, 0), "{form}");
    }
    let mut request = post("/sign-out", "");
    *request.body_mut() = format!(r#"{{"session_id":"{}"}}"#, ids[1]).into();
    request.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    let response = site.send(request).await;
    assert_eq!(
        (response.status.as_u16(), response.text()),
        (200, r#"{"redirect_url":"/sign-in/choose"}"#)
    );
    assert_eq!(site.subjects().await, ["ada"]);
}

/// One response removes one cookie and renews the other.
#[tokio::test]
async fn sign_out_of_another_account_renews_the_active_one_when_due() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    site.clock.advance(seconds(50));
    let response = site.form("/sign-out", &format!("session_id={}", ids[0]), "").await;
    assert_eq!(response.set_cookies().len(), 2, "{:?}", response.set_cookies());
    assert_eq!(site.send(get("/")).await.set_cookies(), [""; 0]);
    assert_eq!(site.subjects().await, ["grace"]);
}
