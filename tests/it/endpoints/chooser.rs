//! The chooser page.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};
use tower_auth_session::{
    KeyRing, SessionEngine, SignIn,
    config::{Endpoint, Endpoints, RedirectUrls},
    engine::SessionEngineBuilder,
};

use super::{Site, location};
use crate::support::{Browser, TestResponse, get, key, layer_on, post};

const CHOOSE: &str = "/sign-in/choose";

fn policy_of(page: &TestResponse) -> &str {
    page.header("content-security-policy")
}

#[tokio::test]
async fn chooser_page_lists_each_account_with_its_forms() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    let page = site.send(get(&format!("{CHOOSE}?redirect_url=%2Fx%3Fa%3Db%26c"))).await;
    assert_eq!(page.status.as_u16(), 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(
        (page.header("cache-control"), page.header("vary")),
        ("private, no-store", "Cookie, session-id")
    );
    let policy = policy_of(&page);
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    let rest = "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    assert!(policy.ends_with(rest), "{policy}");
    let text = page.text();
    assert_eq!(text.matches("<form ").count(), 5, "{text}");
    for id in &ids {
        let field = format!("<input type=\"hidden\" name=\"session_id\" value=\"{id}\">");
        assert_eq!(text.matches(&field).count(), 2, "{text}");
    }
    let back = r#"<input type="hidden" name="redirect_url" value="/x?a=b&amp;c">"#;
    assert_eq!(text.matches(back).count(), 2, "{text}");
    assert!(!text.contains("Add another account") && text.contains("Active now"), "{text}");
    assert!(!text.contains("<script"), "{text}");

    let mut head = get(CHOOSE);
    *head.method_mut() = Method::HEAD;
    let head = site.send(head).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    let response = site.send(post(CHOOSE, "")).await;
    assert_eq!((response.status.as_u16(), response.header("allow")), (405, "GET, HEAD"));
}

/// The requests that the forms of the page send: sign out, choose another account, sign out of all.
#[tokio::test]
async fn chooser_forms_switch_and_sign_out() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    assert_eq!(location(&site.form("/sign-out", "", "/").await), (303, CHOOSE));
    let page = site.send(get(CHOOSE)).await;
    assert!(page.text().contains("ADA") && !page.text().contains("GRACE"), "{}", page.text());
    assert!(!page.text().contains("Active now"));
    let form = format!("session_id={}&redirect_url=%2F", ids[0]);
    assert_eq!(location(&site.form("/session/switch", &form, CHOOSE).await), (303, "/"));
    assert_eq!(site.who().await, "ada");
    site.form("/sign-out", "scope=browser", CHOOSE).await;
    let page = site.send(get(CHOOSE)).await;
    assert!(page.text().contains("<h1>You are not signed in</h1>"), "{}", page.text());
    assert!(!page.text().contains("<form"), "{}", page.text());
}

#[tokio::test]
async fn chooser_page_escapes_account_names_and_return_urls() {
    let mut site = Site::new(|builder| builder);
    let name = "\"><script>alert(1)</script>&'";
    site.browser = Browser::default();
    let cookie = tower_auth_session::testing::cookie_of(
        site.layer.engine(),
        SignIn::new(crate::support::subject(name), crate::support::user(name)),
        tower_auth_session::time::Timestamp::from_unix_seconds(crate::support::START),
    )
    .unwrap();
    let (cookie, token) = cookie.to_str().unwrap().split_once('=').unwrap();
    site.browser.cookies.insert(cookie.to_owned(), token.to_owned());
    let url = format!("{CHOOSE}?redirect_url=/%22%3E%3Cscript%3E");
    let page = site.send(get(&url)).await;
    assert!(!page.text().contains("<script"), "{}", page.text());
    let shown = "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#39;";
    assert!(page.text().contains(shown), "{}", page.text());
}

type Claims = BTreeMap<String, String>;

/// The label and the detail of one account, in the list and on the page.
async fn labels(
    change: impl FnOnce(SessionEngineBuilder<Claims>) -> SessionEngineBuilder<Claims>,
    claims: &[(&str, &str)],
) -> (Value, Vec<String>) {
    let builder = SessionEngine::<Claims>::builder(KeyRing::new(key("k1"))).multi_session(true);
    let (layer, _) = layer_on(change(builder));
    let claims = claims.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let ada = SignIn::new(crate::support::subject("user-1815"), claims.collect());
    let mut browser = Browser::signed_in(&layer, ada);
    let list = browser.send(&layer.endpoints(), get("/session")).await;
    let list: Value = serde_json::from_slice(&list.body).unwrap();
    let page = browser.send(&layer.endpoints(), get(CHOOSE)).await;
    let texts = page.text().split("<bdi").skip(1);
    let texts = texts.map(|text| text.split_once('>').unwrap().1.split_once('<').unwrap().0);
    let session = &list["sessions"][0];
    (json!([session["label"], session["detail"]]), texts.map(str::to_owned).collect())
}

#[tokio::test]
async fn account_labels_come_from_the_claims_or_the_label_function() {
    let (name, email) = (("name", "Ada"), ("email", "ada@example.com"));
    for (claims, label, detail) in [
        (&[name, email][..], "Ada", json!("ada@example.com")),
        (&[name], "Ada", Value::Null),
        (&[email], "ada@example.com", Value::Null),
        (&[("name", ""), ("email", "")], "user-1815", Value::Null),
        (&[], "user-1815", Value::Null),
    ] {
        let (listed, shown) = labels(|builder| builder, claims).await;
        assert_eq!(listed, json!([label, detail]));
        let mut texts = vec![label.to_owned()];
        texts.extend(detail.as_str().map(str::to_owned));
        // Twice: in the form to switch, and in the form to sign out.
        assert_eq!(shown, [texts.clone(), texts].concat(), "{claims:?}");
    }

    let own =
        |claims: &Claims| (format!("<{}>", claims["name"]), Some("Acme & Sons \"Ltd\"".to_owned()));
    let (listed, shown) = labels(|builder| builder.account_label(own), &[name]).await;
    assert_eq!(listed, json!(["<Ada>", "Acme & Sons \"Ltd\""]));
    let texts = ["&lt;Ada&gt;", "Acme &amp; Sons &quot;Ltd&quot;"];
    assert_eq!(shown, [texts, texts].concat());
    // A blank label would be a button without text.
    let blank = |_: &Claims| (" ".to_owned(), None);
    let (listed, _) = labels(|builder| builder.account_label(blank), &[name]).await;
    assert_eq!(listed, json!(["user-1815", null]));
}

/// Browsers also apply `form-action` to the redirect that follows a form.
#[tokio::test]
async fn chooser_policy_allows_the_redirect_targets_of_its_forms() {
    let redirects = RedirectUrls::new()
        .sign_in_url("/login?x=1")
        .after_sign_out_url("https://www.example.com/bye");
    let mut site = Site::new(|builder| {
        builder
            .redirect_urls(redirects)
            .endpoints(Endpoints::new().path(Endpoint::Chooser, CHOOSE))
            .allowed_redirect_origins(["https://shop.example.com"])
    });
    site.sign_in(&["ada"]).await;
    let page = site.send(get(&format!("{CHOOSE}?redirect_url=https://shop.example.com/a"))).await;
    let origins = "form-action 'self' https://shop.example.com https://www.example.com;";
    assert!(policy_of(&page).contains(origins), "{}", policy_of(&page));
    let link = "/login?x=1&amp;redirect_url=https%3A%2F%2Fshop.example.com%2Fa";
    assert!(page.text().contains(link), "{}", page.text());
    let page = site.send(get(&format!("{CHOOSE}?redirect_url=https://evil.example/"))).await;
    assert!(!policy_of(&page).contains("evil") && !page.text().contains("evil"));
}
