//! Moving the endpoints to other paths and disabling them.

use http::Method;
use tower_auth_session::config::{Endpoint, Endpoints, RedirectUrls};

use super::{Site, location};
use crate::support::{engine_builder, get, post, seconds};

const DEFAULTS: [&str; 4] = ["/sign-out", "/session/switch", "/session", "/sign-in/choose"];

#[tokio::test]
async fn cors_preflights_of_endpoint_paths_reach_the_application() {
    let mut site = Site::new(|builder| builder);
    for path in DEFAULTS {
        let mut request = get(path);
        *request.method_mut() = Method::OPTIONS;
        assert_eq!(site.send(request.clone()).await.status.as_u16(), 405, "{path}");
        request.headers_mut().insert("access-control-request-method", "POST".parse().unwrap());
        assert_eq!(site.send(request.clone()).await.status.as_u16(), 405, "{path}");
        request.headers_mut().insert("origin", "https://other.example".parse().unwrap());
        assert_eq!(site.send(request).await.text(), "application: signed out", "{path}");
    }
}

#[tokio::test]
async fn endpoint_paths_can_be_moved() {
    let mut site = Site::new(|builder| {
        builder.endpoints(
            Endpoints::new()
                .path(Endpoint::SignOut, "/a/leave")
                .path(Endpoint::Switch, "/a/switch")
                .path(Endpoint::Sessions, "/a/who")
                .path(Endpoint::Chooser, "/a/choose"),
        )
    });
    for path in DEFAULTS {
        assert_eq!(site.send(get(path)).await.text(), "application: signed out", "{path}");
    }
    for path in ["/in/ada", "/in/grace"] {
        site.send(post(path, "")).await;
    }
    assert_eq!(location(&site.form("/a/leave", "", "").await), (303, "/a/choose"));
    let response = site.form("/a/switch", "session_id=x", "").await;
    assert_eq!(location(&response), (303, "/a/choose"));
    assert!(site.send(get("/a/who")).await.text().starts_with(r#"{"active":null,"#));
    let page = site.send(get("/a/choose")).await;
    assert!(page.text().contains(r#"action="/a/switch""#), "{}", page.text());
    assert!(page.text().contains(r#"action="/a/leave""#), "{}", page.text());
}

#[tokio::test]
async fn endpoints_can_be_disabled() {
    let mut site = Site::new(|builder| {
        builder.endpoints(
            Endpoints::new()
                .disable(Endpoint::SignOut)
                .disable(Endpoint::Switch)
                .disable(Endpoint::Sessions)
                .disable(Endpoint::Chooser),
        )
    });
    for path in DEFAULTS {
        for request in [get(path), post(path, "")] {
            assert_eq!(site.send(request).await.text(), "application: signed out", "{path}");
        }
    }
}

#[tokio::test]
async fn chooser_and_switch_are_not_served_without_multi_session() {
    let mut site = Site::new(|builder| builder.multi_session(false));
    for path in ["/session/switch", "/sign-in/choose"] {
        assert_eq!(site.send(get(path)).await.text(), "application: signed out", "{path}");
    }
    site.sign_in(&["ada"]).await;
    assert_eq!(site.subjects().await, ["ada"]);
}

/// After a sign-out of one of two accounts, browsers are redirected to the chooser. The layer serves it
/// below every sign-in page of this origin, unless the application disables it.
#[tokio::test]
async fn redirects_to_the_chooser_lead_to_a_page() {
    let page = |url: &str| RedirectUrls::new().sign_in_url(url);
    let none = Endpoints::new;
    for (redirects, endpoints, location_of_chooser, served_at) in [
        (RedirectUrls::new(), none(), "/sign-in/choose", Some("/sign-in/choose")),
        (page("/sign-in"), none(), "/sign-in/choose", Some("/sign-in/choose")),
        (page("/login/?a=b#c"), none(), "/login/choose?a=b#c", Some("/login/choose")),
        (page("https://app.example.com"), none(), "/choose", Some("/choose")),
        (page("/app/login"), none().base_path("/app"), "/app/login/choose", Some("/login/choose")),
        (page("/login"), none().path(Endpoint::Chooser, "/who"), "/who", Some("/who")),
        // The application serves these.
        (page("/login"), none().disable(Endpoint::Chooser), "/login/choose", None),
        (page("/login"), none().disable(Endpoint::Switch), "/login/choose", None),
        (page("/login"), none().base_path("/app"), "/login/choose", None),
        (page("/app2/login"), none().base_path("/app"), "/app2/login/choose", None),
        (page("https://id.example.com/in"), none(), "https://id.example.com/in/choose", None),
    ] {
        let described = format!("{redirects:?} {endpoints:?}");
        let mut site = Site::new(|builder| builder.redirect_urls(redirects).endpoints(endpoints));
        for path in ["/in/ada", "/in/grace"] {
            site.send(post(path, "")).await;
        }
        let response = site.form("/sign-out", "", "").await;
        assert_eq!(location(&response), (303, location_of_chooser), "{described}");
        for path in ["/sign-in/choose", "/login/choose", "/choose", "/who", "/app/login/choose"] {
            let page = site.send(get(path)).await;
            let is_chooser = page.text().contains("<h1>Choose an account</h1>");
            assert_eq!(is_chooser, served_at == Some(path), "{path}: {described}");
        }
    }
}

#[test]
fn invalid_endpoint_paths_are_reported_together() {
    let builder = || engine_builder().0.multi_session(true);
    let error = builder()
        .endpoints(
            Endpoints::new()
                .path(Endpoint::SignOut, "sign-out")
                .path(Endpoint::Switch, "/switch?x=1")
                .path(Endpoint::Sessions, "https://app.example.com/session")
                .path(Endpoint::Chooser, "/choose"),
        )
        .build()
        .unwrap_err();
    let fields: Vec<_> = error.problems().iter().map(|problem| problem.field()).collect();
    assert_eq!(
        fields,
        ["endpoints.sign_out", "endpoints.switch", "endpoints.sessions", "endpoints.chooser"]
    );

    for (builder, field, value) in [
        (
            builder().endpoints(Endpoints::new().path(Endpoint::Switch, "/sign-out")),
            "endpoints.switch",
            "/sign-out",
        ),
        (
            builder().endpoints(Endpoints::new().path(Endpoint::Sessions, "/session/switch")),
            "endpoints.sessions",
            "/session/switch",
        ),
        (
            builder().endpoints(Endpoints::new().path(Endpoint::Chooser, "/session")),
            "endpoints.chooser",
            "/session",
        ),
        (
            builder().endpoints(
                Endpoints::new().path(Endpoint::Chooser, "/c").disable(Endpoint::Switch),
            ),
            "endpoints.chooser",
            "/c",
        ),
        (
            builder()
                .redirect_urls(RedirectUrls::new().sign_in_url("/session"))
                .endpoints(Endpoints::new().path(Endpoint::Chooser, "/c")),
            "endpoints.sessions",
            "/session",
        ),
    ] {
        let error = builder.build().unwrap_err();
        let [problem] = error.problems() else { panic!("{error}") };
        assert_eq!((problem.field(), problem.value()), (field, value), "{error}");
    }
}

#[tokio::test]
async fn touch_records_activity_and_renews_the_session() {
    let mut site = Site::new(|builder| builder.activity_filter(|_| false));
    assert_eq!(site.form("/session/touch", "", "").await.status, 401, "signed out");
    site.send(post("/in/ada", "")).await;
    for _ in 0..4 {
        site.clock.advance(seconds(60));
        let response = site.form("/session/touch", "", "").await;
        assert_eq!(response.status, 204);
        assert_eq!(
            response.set_cookies().len(),
            1,
            "renewed, although the filter finds no activity"
        );
    }
    assert_eq!(site.send(get("/session/touch")).await.status, 405);
    let mut request = get("/session");
    request.headers_mut().insert("session-activity", "user".parse().unwrap());
    site.clock.advance(seconds(60));
    site.send(request).await;
    site.clock.advance(seconds(60));
    assert_eq!(
        site.form("/session/touch", "", "").await.status,
        204,
        "the list counted as activity"
    );
}

/// Settings that contradict each other, and the fields that `build` reports.
#[test]
fn settings_that_contradict_each_other_are_build_errors() {
    use tower_auth_session::config::CookieConfig;

    let cookie = || CookieConfig::new("session");
    let at_app = Endpoints::new()
        .path(Endpoint::SignOut, "/app/sign-out")
        .path(Endpoint::Sessions, "/app")
        .path(Endpoint::Token, "/app/token")
        .path(Endpoint::Touch, "/app/touch");
    let outside =
        ["endpoints.sign_out", "endpoints.sessions", "endpoints.token", "endpoints.touch"];
    let sibling = at_app.clone().path(Endpoint::Token, "/application/token");
    for (cookie, endpoints, origin, fields) in [
        (cookie().path("/app"), Endpoints::new(), "https://app.example.com", &outside[..]),
        (cookie().path("/app"), Endpoints::new().base_path("/app"), "https://app.example.com", &[]),
        (cookie().path("/app"), at_app, "https://app.example.com", &[]),
        (cookie().path("/app"), sibling, "https://app.example.com", &["endpoints.token"]),
        (cookie().domain("example.com"), Endpoints::new(), "https://app.example.com", &[]),
        (cookie().domain("app.example.com"), Endpoints::new(), "https://app.example.com", &[]),
        (
            cookie().domain("ample.com"),
            Endpoints::new(),
            "https://app.example.com",
            &["cookie.domain"],
        ),
        (
            cookie().domain("example.org"),
            Endpoints::new(),
            "https://app.example.com",
            &["cookie.domain"],
        ),
        (
            cookie().domain("a.app.example.com"),
            Endpoints::new(),
            "https://app.example.com",
            &["cookie.domain"],
        ),
        (cookie(), Endpoints::new(), "http://192.168.1.5:3000", &["origin"]),
        (cookie().insecure_for_development(), Endpoints::new(), "http://192.168.1.5:3000", &[]),
    ] {
        let described = format!("{cookie:?} {endpoints:?} {origin}");
        let builder = engine_builder().0.cookie(cookie).endpoints(endpoints).origin(origin);
        let found: Vec<String> = match builder.build() {
            Ok(_) => Vec::new(),
            Err(error) => error.problems().iter().map(|it| it.field().to_owned()).collect(),
        };
        assert_eq!(found, fields, "{described}");
    }
}
