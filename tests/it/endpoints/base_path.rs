//! Endpoints behind a proxy or a router that strips the beginning of the path.

use http::Request;
use tower::{Layer as _, service_fn};
use tower_auth_session::{
    RequireSessionLayer,
    config::{Endpoint, Endpoints, RedirectUrls},
};

use super::{App, Site, app, location};
use crate::support::{Browser, engine_builder, get, layer_on};

#[tokio::test]
async fn urls_of_the_endpoints_have_the_base_path() {
    let redirects = RedirectUrls::new();
    let mut site =
        Site::new(|b| b.redirect_urls(redirects).endpoints(Endpoints::new().base_path("/app")));
    let ids = site.sign_in(&["ada", "grace"]).await;
    let page = site.send(get("/sign-in/choose")).await;
    let text = page.text();
    assert_eq!(text.matches("action=\"/app/session/switch\"").count(), 2, "{text}");
    assert_eq!(text.matches("action=\"/app/sign-out\"").count(), 3, "{text}");
    assert_eq!(text.matches("name=\"redirect_url\" value=\"/app\"").count(), 2, "{text}");
    let here = "name=\"redirect_url\" value=\"/app/sign-in/choose\"";
    assert_eq!(text.matches(here).count(), 1, "{text}");

    let to_ada = format!("session_id={}", ids[0]);
    assert_eq!(location(&site.form("/session/switch", &to_ada, "").await), (303, "/app"));
    let unknown_id = site.form("/session/switch", "session_id=x", "").await;
    assert_eq!(location(&unknown_id), (303, "/app/sign-in/choose"));
    let signed_out = site.form("/sign-out", "", "").await;
    assert_eq!(location(&signed_out), (303, "/app/sign-in/choose"));
    assert_eq!(location(&site.form("/sign-out", "scope=browser", "").await), (303, "/app"));
    let page = site.send(get("/sign-in/choose")).await;
    assert!(page.text().contains(" href=\"/app\">"), "{}", page.text());
}

/// The base path is added to the guard's return URL, and not to configured URLs.
#[tokio::test]
async fn configured_urls_do_not_get_the_base_path() {
    let redirects = RedirectUrls::new().sign_in_url("/app/login").after_sign_out_url("/elsewhere");
    let builder = engine_builder().0.multi_session(true);
    let builder = builder
        .redirect_urls(redirects)
        .endpoints(Endpoints::new().base_path("/app").path(Endpoint::Chooser, "/choose"));
    let layer = layer_on(builder).0;
    let guarded = layer.layer(RequireSessionLayer::new().layer(service_fn(app as App)));
    let navigation = |path: &str| {
        let (mut parts, body) = get(path).into_parts();
        parts.headers.insert("sec-fetch-mode", "navigate".parse().unwrap());
        Request::from_parts(parts, body)
    };
    let response = Browser::default().send(&guarded, navigation("/me?tab=2")).await;
    let back = "/app/login?redirect_url=%2Fapp%2Fme%3Ftab%3D2";
    assert_eq!(location(&response), (303, back));
    let mut named = navigation("/me");
    named.headers_mut().insert("session-id", crate::support::SID_A.parse().unwrap());
    assert_eq!(location(&Browser::default().send(&guarded, named).await), (303, "/app"));
    let mut visitor = Browser::default();
    let response = visitor.send(&guarded, crate::support::post("/sign-out", "")).await;
    assert_eq!(location(&response), (303, "/elsewhere"));
}

#[test]
fn invalid_base_path_is_a_build_error() {
    for base in ["", "/", "app", "/app/", "/app?x", "//app", "https://app.example.com/app"] {
        let error =
            engine_builder().0.endpoints(Endpoints::new().base_path(base)).build().unwrap_err();
        let [problem] = error.problems() else { panic!("{error}") };
        assert_eq!((problem.field(), problem.value()), ("endpoints.base_path", base));
    }
}
