//! `POST /session/switch`.

use http::header;

use super::{Site, location};
use crate::support::{COOKIE, get, post};

#[tokio::test]
async fn switch_activates_the_account_and_redirects() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    for (to, name, form, referer, expected) in [
        (&ids[0], "ada", "", "/account", "/account"),
        (&ids[1], "grace", "&redirect_url=%2Fx", "/account", "/x"),
        (&ids[0], "ada", "&redirect_url=https:%2F%2Fevil.example", "", "/"),
        (&ids[0], "ada", "", "", "/"),
    ] {
        let response =
            site.form("/session/switch", &format!("session_id={to}{form}"), referer).await;
        assert_eq!(location(&response), (303, expected));
        assert_eq!(response.header("cache-control"), "private, no-store");
        let set = response.set_cookies();
        assert_eq!(set.len(), 1, "only the active-account cookie");
        assert!(set[0].starts_with(&format!("{COOKIE}.active={to}; ")), "{set:?}");
        assert_eq!(site.who().await, name);
    }
    assert_eq!(site.subjects().await, ["ada", "grace"]);

    let json =
        post("/session/switch", "").map(|_| format!(r#"{{"session_id":"{}"}}"#, ids[1]).into());
    let (mut parts, body) = json.into_parts();
    parts.headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    let response = site.send(http::Request::from_parts(parts, body)).await;
    assert_eq!((response.status.as_u16(), response.text()), (200, r#"{"redirect_url":"/"}"#));
    assert_eq!(site.who().await, "grace");
}

#[tokio::test]
async fn switch_to_an_unknown_id_changes_nothing() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    let mut tampered = ids[0].clone();
    tampered.replace_range(0..1, if tampered.starts_with('A') { "B" } else { "A" });
    // A forged cookie: a copy under the name of another session.
    let ada = site.browser.cookies[&format!("{COOKIE}.{}", ids[0])].clone();
    site.browser.cookies.insert(format!("{COOKIE}.{tampered}"), ada);
    let before = site.browser.cookies.clone();
    for id in [tampered.as_str(), "CCCCCCCCCCCCCCCCCCCCCA", "nonsense", ""] {
        let form = format!("session_id={id}&redirect_url=%2Fx");
        let response = site.form("/session/switch", &form, "/account").await;
        let choose = "/sign-in/choose?redirect_url=%2Fx";
        assert_eq!(location(&response), (303, choose), "{id}: the return URL is kept");
        assert_eq!(response.set_cookies(), [""; 0]);
        let mut script = post("/session/switch", "");
        *script.uri_mut() = format!("/session/switch?session_id={id}").parse().unwrap();
        let response = site.send(script).await;
        assert_eq!((response.status.as_u16(), response.set_cookies().len()), (409, 0));
        assert_eq!(response.header("content-type"), "application/problem+json");
        assert_eq!(response.header("cache-control"), "no-store");
        assert!(response.text().contains(r#""code":"not_signed_in_here""#), "{}", response.text());
    }
    assert_eq!(site.browser.cookies, before);
    assert_eq!(site.who().await, "grace");
    for form in ["", "session_id=a&session_id=a"] {
        assert_eq!(site.form("/session/switch", form, "").await.status.as_u16(), 400);
    }
}

#[tokio::test]
async fn switch_to_a_signed_out_account_redirects_to_the_chooser() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    let copied_browser = site.browser.clone();
    site.form("/sign-out", &format!("session_id={}", ids[0]), "").await;
    site.browser = copied_browser;
    let response = site.form("/session/switch", &format!("session_id={}", ids[0]), "").await;
    assert_eq!(location(&response), (303, "/sign-in/choose"));
    assert_eq!(site.who().await, "grace");
}

#[tokio::test]
async fn switch_by_another_site_or_a_link_is_refused() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let mut request = post("/session/switch", "");
        *request.body_mut() = format!("session_id={}", ids[0]).into();
        request.headers_mut().insert(name, value.parse().unwrap());
        let response = site.send(request).await;
        assert_eq!((response.status.as_u16(), response.set_cookies().len()), (403, 0));
    }
    let response = site.send(get(&format!("/session/switch?session_id={}", ids[0]))).await;
    assert_eq!((response.status.as_u16(), response.header("allow")), (405, "POST"));
    assert_eq!(site.who().await, "grace");
}
