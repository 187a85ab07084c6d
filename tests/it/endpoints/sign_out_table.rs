//! The sign-out table once more, row by row: in JSON, with custom places to go, and where an endpoint
//! is switched off.

use http::header;
use serde_json::{Value, json};
use tower_auth_session::SignOutRedirects;

use super::Site;
use crate::support::{COOKIE, get, post};

/// Posts as a script does, and reads where it leads.
async fn asks(site: &mut Site, body: &Value) -> (u16, Value) {
    let mut request = post("/sign-out", "").map(|_| body.to_string().into());
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    headers.insert(header::ACCEPT, "application/json".parse().unwrap());
    headers.insert(header::REFERER, "https://app.example.com/account".parse().unwrap());
    let response = site.send(request).await;
    assert_eq!(response.header("content-type"), "application/json");
    assert!(response.header("cache-control").contains("no-store"));
    assert_eq!(response.header("location"), "");
    (response.status.as_u16(), serde_json::from_slice(&response.body).unwrap())
}

#[tokio::test]
async fn every_row_in_json() {
    const HERE: &str = "https://app.example.com/account";
    const CHOOSE: &str = "/sign-in/choose";
    let (active, other, unknown) = ("active", "other", "CCCCCCCCCCCCCCCCCCCCCA");
    // Who is signed in, which is chosen, the body, where it leads, who is left and active.
    type Row<'a> = (&'a [&'a str], bool, Value, &'a str, &'a [&'a str], &'a str);
    let rows: &[Row<'_>] = &[
        (&["ada"], true, json!({}), "/bye", &[], "signed out"),
        (&["ada"], true, json!({ "redirect_url": "/x" }), "/x", &[], "signed out"),
        (&["ada"], true, json!({ "redirect_url": "//evil.example" }), "/bye", &[], "signed out"),
        (&["ada"], true, json!({ "session_id": active }), "/bye", &[], "signed out"),
        (&["ada"], true, json!({ "session_id": unknown }), HERE, &["ada"], "ada"),
        (&["ada", "bob"], true, json!({}), CHOOSE, &["ada"], "signed out"),
        (&["ada", "bob"], true, json!({ "redirect_url": "/x" }), "/x", &["ada"], "signed out"),
        (&["ada", "bob"], true, json!({ "session_id": active }), CHOOSE, &["ada"], "signed out"),
        (&["ada", "bob"], true, json!({ "session_id": other }), HERE, &["bob"], "bob"),
        (
            &["ada", "bob"],
            true,
            json!({ "session_id": other, "redirect_url": "/x" }),
            "/x",
            &["bob"],
            "bob",
        ),
        (&["ada", "bob"], true, json!({ "session_id": unknown }), HERE, &["ada", "bob"], "bob"),
        (&["ada", "bob"], false, json!({}), CHOOSE, &["ada", "bob"], "signed out"),
        (&["ada", "bob"], false, json!({ "session_id": other }), HERE, &["bob"], "signed out"),
        (&["ada", "bob"], true, json!({ "scope": "browser" }), "/bye", &[], "signed out"),
        (&["ada", "bob"], false, json!({ "scope": "browser" }), "/bye", &[], "signed out"),
        (&[], true, json!({}), "/bye", &[], "signed out"),
    ];
    for (people, chosen, body, leads_to, left, who) in rows {
        let (mut site, ids) = Site::signed_in(people).await;
        if !chosen {
            site.browser.cookies.insert(format!("{COOKIE}.active"), "none".to_owned());
        }
        let mut sent = body.clone();
        let id = match body["session_id"].as_str() {
            Some("active") => ids.last().cloned(),
            Some("other") => ids.first().cloned(),
            _ => None,
        };
        if let Some(id) = id {
            sent["session_id"] = id.into();
        }
        let said = asks(&mut site, &sent).await;
        assert_eq!(said, (200, json!({ "redirect_url": leads_to })), "{people:?} {body}");
        assert_eq!((site.subjects().await, &*site.who().await), (strings(left), *who), "{body}");
    }
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Settings of every form, as browsers and as scripts are told.
#[tokio::test]
async fn where_signing_out_of_one_of_several_leads() {
    let new = SignOutRedirects::new;
    for (redirects, leads_to) in [
        (new(), "/sign-in/choose"),
        (new().sign_in_url("/login"), "/login/choose"),
        (new().sign_in_url("/login/"), "/login/choose"),
        (new().sign_in_url("/login?a=b#c"), "/login/choose?a=b#c"),
        (new().sign_in_url("https://example.com/sign-in"), "https://example.com/sign-in/choose"),
        (new().sign_in_url("https://example.com"), "https://example.com/choose"),
        (new().after_multi_session_single_sign_out_url("/"), "/"),
        (
            new()
                .sign_in_url("/login")
                .after_multi_session_single_sign_out_url("https://www.example.com/left?x=1"),
            "https://www.example.com/left?x=1",
        ),
    ] {
        let mut site = Site::new(|builder| builder.sign_out_redirects(redirects));
        site.sign_in(&["ada", "grace", "barbara"]).await;
        let response = site.form("/sign-out", "", "/account").await;
        assert_eq!((response.status.as_u16(), response.header("location")), (303, leads_to));
        let ids = site.list().await["sessions"][0]["session_id"].clone();
        let form = format!("session_id={}", ids.as_str().unwrap());
        site.form("/session/switch", &form, "").await;
        assert_eq!(asks(&mut site, &json!({})).await, (200, json!({ "redirect_url": leads_to })));
    }
}

/// Each endpoint by itself: the others go on, and nothing leads to what is not there.
#[tokio::test]
async fn each_can_be_off() {
    let all = ["/sign-out", "/session/switch", "/session", "/sign-in/choose"];
    for off in all {
        let mut site = Site::new(|builder| match off {
            "/sign-out" => builder.without_sign_out_path(),
            "/session/switch" => builder.without_switch_path(),
            "/session" => builder.without_sessions_path(),
            _ => builder.without_chooser_path(),
        });
        for path in ["/in/ada", "/in/grace"] {
            site.send(post(path, "")).await;
        }
        for path in all {
            // A chooser without a switch would offer nothing.
            let is_off = path == off || off == "/session/switch" && path == "/sign-in/choose";
            let response = site.send(get(path)).await;
            assert_eq!(response.text() == "application: grace", is_off, "{path} without {off}");
        }
        let page = site.send(get("/sign-in/choose")).await;
        let leaves = page.text().matches("action=\"/sign-out\"").count();
        match off {
            "/sign-out" => assert_eq!(leaves, 0, "{}", page.text()),
            "/session" => assert_eq!(leaves, 3, "{}", page.text()),
            _ => assert_eq!(page.text(), "application: grace"),
        }
    }
}
