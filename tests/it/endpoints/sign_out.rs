//! The sign-out table.

use http::header;

use super::{Site, location};
use crate::support::{get, post, seconds};

const CHOOSE: &str = "/sign-in/choose";

#[tokio::test]
async fn the_active_one_and_no_other() {
    for (form, leads_to) in [
        ("", "/bye"),
        ("scope=this", "/bye"),
        ("redirect_url=%2Fx", "/x"),
        ("redirect_url=%2F%2Fevil.example", "/bye"),
    ] {
        let (mut site, _) = Site::signed_in(&["ada"]).await;
        let response = site.form("/sign-out", form, "/account").await;
        assert_eq!(location(&response), (303, leads_to), "{form}");
        assert!(site.browser.has_no_session(), "{:?}", site.browser.cookies);
        assert_eq!(site.who().await, "signed out");
    }
}

#[tokio::test]
async fn the_active_one_while_others_remain() {
    for by_id in [false, true] {
        for (form, leads_to) in [("", CHOOSE), ("redirect_url=%2Fx", "/x")] {
            let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
            let id = if by_id { format!("session_id={}&", ids[1]) } else { String::new() };
            let response = site.form("/sign-out", &format!("{id}{form}"), "/account").await;
            assert_eq!(location(&response), (303, leads_to), "{form}");
            assert_eq!(site.who().await, "signed out", "nobody is promoted");
            assert_eq!(site.subjects().await, ["ada"]);
            assert!(site.list().await["active"].is_null());
        }
    }
    let redirects = tower_auth_session::SignOutRedirects::new().sign_in_url("/login?a=b");
    let mut site = Site::new(|builder| builder.sign_out_redirects(redirects.clone()));
    site.sign_in(&["ada", "grace"]).await;
    let response = site.form("/sign-out", "", "").await;
    assert_eq!(location(&response), (303, "/login/choose?a=b"));

    let redirects = redirects.after_multi_session_single_sign_out_url("/left");
    let mut site = Site::new(|builder| builder.sign_out_redirects(redirects));
    site.sign_in(&["ada", "grace"]).await;
    assert_eq!(location(&site.form("/sign-out", "", "").await), (303, "/left"));
}

#[tokio::test]
async fn another_one_by_id() {
    for (form, referer, leads_to) in [
        ("", "/account?tab=2", "/account?tab=2"),
        ("", "", "/"),
        ("&redirect_url=%2Fx", "/account", "/x"),
        ("&redirect_url=javascript:1", "/account", "/account"),
    ] {
        let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
        let form = format!("session_id={}{form}", ids[0]);
        let response = site.form("/sign-out", &form, referer).await;
        assert_eq!(location(&response), (303, leads_to), "{form}");
        assert_eq!(site.who().await, "grace");
        assert_eq!(site.subjects().await, ["grace"]);
    }
}

/// With nobody active, ending the last one by its id leaves nothing to come back to.
#[tokio::test]
async fn the_last_one_by_id() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    site.form("/sign-out", "", "").await;
    let response = site.form("/sign-out", &format!("session_id={}", ids[0]), CHOOSE).await;
    assert_eq!(location(&response), (303, "/bye"));
    assert!(site.browser.has_no_session(), "{:?}", site.browser.cookies);
}

/// Two sign-ins at once: whichever of the two sessions a form names, the active account has left.
#[tokio::test]
async fn one_of_two_sessions_of_the_active_one() {
    for newest_first in [true, false] {
        let (mut site, _) = Site::signed_in(&["ada"]).await;
        let mut twin = site.browser.clone();
        let active = site.sign_in(&["grace"]).await.remove(0);
        std::mem::swap(&mut site.browser, &mut twin);
        let other = site.sign_in(&["grace"]).await.remove(0);
        site.browser.cookies.extend(twin.cookies);
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
async fn an_id_that_is_not_signed_in_here() {
    let (mut site, _) = Site::signed_in(&["ada", "grace", "barbara"]).await;
    let before = site.browser.cookies.clone();
    for id in ["CCCCCCCCCCCCCCCCCCCCCA", "", "..%2F", "%3Cscript%3E"] {
        let response = site.form("/sign-out", &format!("session_id={id}"), "/account").await;
        assert_eq!(location(&response), (303, "/account"), "{id}");
        assert_eq!(response.set_cookies(), [""; 0]);
    }
    // Nor by the header of a tab whose account has left.
    let mut request = post("/sign-out", "");
    request.headers_mut().insert("session-id", "CCCCCCCCCCCCCCCCCCCCCA".parse().unwrap());
    assert_eq!(location(&site.send(request).await), (303, "/"));
    assert_eq!(site.browser.cookies, before);
    assert_eq!(site.subjects().await, ["ada", "barbara", "grace"]);
}

/// The one that the request acts as, which another tab may have made another one than the active.
#[tokio::test]
async fn a_tab_signs_out_its_own() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    let mut request = post("/sign-out", "");
    request.headers_mut().insert("session-id", ids[0].parse().unwrap());
    assert_eq!(location(&site.send(request).await), (303, CHOOSE));
    assert_eq!(site.who().await, "grace");
    assert_eq!(site.subjects().await, ["grace"]);
}

#[tokio::test]
async fn no_id_in_choose_state() {
    let (mut site, _) = Site::signed_in(&["ada", "grace", "barbara"]).await;
    site.form("/sign-out", "", "").await;
    let before = site.browser.cookies.clone();
    let response = site.form("/sign-out", "", "/account").await;
    assert_eq!((location(&response), response.set_cookies().len()), ((303, CHOOSE), 0));
    assert_eq!(site.browser.cookies, before);
    assert_eq!(site.subjects().await, ["ada", "grace"]);
}

#[tokio::test]
async fn all_of_the_browser() {
    for form in ["scope=browser", "scope=browser&redirect_url=%2Fx"] {
        let (mut site, _) = Site::signed_in(&["ada", "grace", "barbara"]).await;
        let copy = site.browser.clone();
        let response = site.form("/sign-out", form, "/account").await;
        assert_eq!(location(&response), (303, "/bye"));
        assert!(site.browser.has_no_session(), "{:?}", site.browser.cookies);
        site.browser = copy;
        assert_eq!(site.subjects().await, [""; 0], "copies are dead too");
    }
}

#[tokio::test]
async fn nobody_and_garbage() {
    let mut site = Site::new(|builder| builder);
    assert_eq!(location(&site.form("/sign-out", "", "").await), (303, "/bye"));
    let name = format!("__Host-session.{}", crate::support::SID_A);
    site.browser.cookies.insert(name, "a.b.c".to_owned());
    assert_eq!(location(&site.form("/sign-out", "", "").await), (303, "/bye"));
    assert!(site.browser.has_no_session(), "{:?}", site.browser.cookies);
}

#[tokio::test]
async fn bad_requests_and_json() {
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

/// One answer takes one cookie away and renews the other.
#[tokio::test]
async fn signing_out_another_one_when_a_renewal_is_due() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    site.clock.advance(seconds(50));
    let response = site.form("/sign-out", &format!("session_id={}", ids[0]), "").await;
    assert_eq!(response.set_cookies().len(), 2, "{:?}", response.set_cookies());
    assert_eq!(site.send(get("/")).await.set_cookies(), [""; 0]);
    assert_eq!(site.subjects().await, ["grace"]);
}
