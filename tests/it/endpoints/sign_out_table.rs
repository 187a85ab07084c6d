//! The table of sign-outs, row by row: with JSON, with configured redirect targets, and with disabled
//! endpoints.

use http::header;
use serde_json::{Value, json};
use tower_auth_session::config::{Endpoint, Endpoints, RedirectUrls};

use super::Site;
use crate::support::{COOKIE, get, post};

/// Signs out as a script does, and returns the status and the JSON body.
async fn sign_out(site: &mut Site, body: &Value) -> (u16, Value) {
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
async fn sign_out_with_json_follows_the_sign_out_table() {
    const HERE: &str = "https://app.example.com/account";
    const CHOOSE: &str = "/sign-in/choose";
    let (active, other, unknown) = ("active", "other", "CCCCCCCCCCCCCCCCCCCCCA");
    // The accounts, whether one is active, the body, the redirect target, the remaining accounts, and
    // the active one.
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
    for (accounts, has_active, body, expected, remaining, who) in rows {
        let (mut site, ids) = Site::signed_in(accounts).await;
        if !has_active {
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
        let result = sign_out(&mut site, &sent).await;
        assert_eq!(result, (200, json!({ "redirect_url": expected })), "{accounts:?} {body}");
        assert_eq!(
            (site.subjects().await, &*site.who().await),
            (strings(remaining), *who),
            "{body}"
        );
    }
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Redirect URLs of every form, in responses to browsers and to scripts.
#[tokio::test]
async fn sign_out_of_one_of_several_accounts_redirects_as_configured() {
    let new = RedirectUrls::new;
    for (redirects, expected) in [
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
        let mut site = Site::new(|builder| builder.redirect_urls(redirects));
        site.sign_in(&["ada", "grace", "barbara"]).await;
        let response = site.form("/sign-out", "", "/account").await;
        assert_eq!((response.status.as_u16(), response.header("location")), (303, expected));
        let ids = site.list().await["sessions"][0]["session_id"].clone();
        let form = format!("session_id={}", ids.as_str().unwrap());
        site.form("/session/switch", &form, "").await;
        assert_eq!(
            sign_out(&mut site, &json!({})).await,
            (200, json!({ "redirect_url": expected }))
        );
    }
}

/// Disabling one endpoint keeps the others, and no page refers to the disabled one.
#[tokio::test]
async fn disabling_one_endpoint_keeps_the_others() {
    let all = ["/sign-out", "/session/switch", "/session", "/sign-in/choose"];
    for disabled in all {
        let mut site = Site::new(|builder| match disabled {
            "/sign-out" => builder.endpoints(Endpoints::new().disable(Endpoint::SignOut)),
            "/session/switch" => builder.endpoints(Endpoints::new().disable(Endpoint::Switch)),
            "/session" => builder.endpoints(Endpoints::new().disable(Endpoint::Sessions)),
            _ => builder.endpoints(Endpoints::new().disable(Endpoint::Chooser)),
        });
        for path in ["/in/ada", "/in/grace"] {
            site.send(post(path, "")).await;
        }
        for path in all {
            // A chooser without a switch would offer nothing.
            let is_disabled =
                path == disabled || disabled == "/session/switch" && path == "/sign-in/choose";
            let response = site.send(get(path)).await;
            assert_eq!(
                response.text() == "application: grace",
                is_disabled,
                "{path} without {disabled}"
            );
        }
        let page = site.send(get("/sign-in/choose")).await;
        let sign_out_forms = page.text().matches("action=\"/sign-out\"").count();
        match disabled {
            "/sign-out" => assert_eq!(sign_out_forms, 0, "{}", page.text()),
            "/session" => assert_eq!(sign_out_forms, 3, "{}", page.text()),
            _ => assert_eq!(page.text(), "application: grace"),
        }
    }
}
