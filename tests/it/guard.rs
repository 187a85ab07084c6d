//! `RequireSessionLayer` between the session layer and a service.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use tower::{Layer as _, ServiceBuilder, service_fn};
use tower_auth_session::{
    KeyRing, Rejection, RequireSessionLayer, Session, SessionEngine, SessionJar, SessionStatus,
    SignIn,
    config::CookieConfig,
    engine::SessionTask,
    error::RejectionReason,
    middleware::{InLayer, LayerName},
    testing::SeededRandom,
};

use crate::support::{
    Browser, ORIGIN, User, get, key, layer, layer_on, post, seconds, site, subject, user,
};

#[tokio::test]
async fn guard_passes_signed_in_requests_with_no_store() {
    let (layer, _, _) = layer();
    let service = site!(layer, RequireSessionLayer::new());
    let mut ada = Browser::default();
    let response = ada.send(&service, get("/me")).await;
    assert_eq!((response.status, response.header("vary")), (StatusCode::UNAUTHORIZED, "Cookie"));
    ada.send(&service, post("/in", "")).await;
    let response = ada.send(&service, get("/me")).await;
    assert_eq!(
        (response.text(), response.header("cache-control")),
        ("private", "private, no-store")
    );
    assert_eq!(response.header("vary"), "Cookie");
    let mut request = get("/me");
    request.headers_mut().insert("x-cache", "private, max-age=60".parse().unwrap());
    let response = ada.send(&service, request).await;
    assert_eq!(
        response.header("cache-control"),
        "private, max-age=60",
        "the application's own value is kept"
    );
}

#[tokio::test]
async fn guard_predicate_over_claims_admits_or_forbids() {
    let guard = || RequireSessionLayer::new().claims(|user: &User| user.name == "Grace");
    let (layer, _, _) = layer();
    let service = site!(layer, guard());
    let mut ada = Browser::default();
    assert_eq!(ada.send(&service, get("/")).await.status, StatusCode::UNAUTHORIZED);
    ada.send(&service, post("/in", "")).await;
    assert_eq!(ada.send(&service, get("/")).await.status, StatusCode::FORBIDDEN);

    let service = site!(layer, RequireSessionLayer::new().claims(|user: &User| user.name == "Ada"));
    assert_eq!(ada.send(&service, get("/")).await.text(), "private");
    let other_claims = RequireSessionLayer::new().claims(|(): &()| true);
    let service = site!(layer, other_claims);
    let response = ada.send(&service, get("/")).await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(response.text().contains("another type of claims"), "{}", response.text());
}

#[tokio::test]
async fn guard_freshness_counts_from_sign_in_and_not_from_activity() {
    let (layer, clock, _) = layer();
    let service = site!(layer, RequireSessionLayer::new().first_factor_within(seconds(60)));
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    for _ in 0..4 {
        clock.advance(seconds(15));
        assert_eq!(ada.send(&service, get("/")).await.status, StatusCode::OK);
    }
    clock.advance(seconds(1));
    let response = ada.send(&service, get("/")).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert!(response.text().contains("not_fresh"), "{}", response.text());
    assert_eq!(response.set_cookies(), Vec::<&str>::new());
}

#[tokio::test]
async fn guard_without_the_session_layer_responds_with_500() {
    let guarded = ServiceBuilder::new().layer(RequireSessionLayer::new()).service(service_fn(
        |_: Request<Full<Bytes>>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("private")))
        },
    ));
    let rejected = Browser::default().send(&guarded, get("/")).await;
    assert_eq!(rejected.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(rejected.text().contains("SessionLayer does not wrap this service"));
    let response = tower::ServiceExt::oneshot(guarded, get("/")).await.unwrap();
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.kind(), RejectionReason::MissingLayer);
}

#[tokio::test]
async fn guard_passes_cors_preflights() {
    let (layer, _, _) = layer();
    let service = site!(layer, RequireSessionLayer::new());
    let mut request = get("/me");
    *request.method_mut() = http::Method::OPTIONS;
    let refused = Browser::default().send(&service, request.clone()).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    request.headers_mut().insert("origin", "https://other.example".parse().unwrap());
    request.headers_mut().insert("access-control-request-method", "GET".parse().unwrap());
    assert_eq!(Browser::default().send(&service, request).await.text(), "private");
}

#[tokio::test]
async fn guards_find_the_nested_layer_with_their_claims() {
    /// The claims of an employee.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Staff {}

    let builder = SessionEngine::<Staff>::builder(KeyRing::new(key("staff")))
        .cookie(CookieConfig::new("staff"))
        .origin(ORIGIN)
        .random(SeededRandom::new(2));
    let (staff, _) = layer_on(builder);
    let (users, ..) = layer();
    let app = service_fn(|request: Request<Full<Bytes>>| async move {
        let status = request.extensions().get::<SessionStatus>().unwrap();
        if request.uri().path() == "/in" {
            let jar = status.jar::<User>().unwrap();
            jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
            let jar = status.jar::<Staff>().unwrap();
            jar.sign_in(SignIn::new(subject("root"), Staff {})).unwrap();
        }
        if request.uri().path() == "/half-in" {
            let jar = status.jar::<Staff>().unwrap();
            let sign_in = SignIn::new(subject("root"), Staff {});
            jar.sign_in(sign_in.with_tasks([SessionTask::SECOND_FACTOR])).unwrap();
        }
        assert!(status.jar::<String>().is_none());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("both")))
    });
    let guards =
        (RequireSessionLayer::for_claims::<User>(), RequireSessionLayer::for_claims::<Staff>());
    let guarded = ServiceBuilder::new().layer(guards.0).layer(guards.1).service(app);
    let users_and_staff = ServiceBuilder::new().layer(users).layer(staff).into_inner();
    let (open, guarded) = (
        ServiceBuilder::new().layer(users_and_staff.clone()).service(app),
        ServiceBuilder::new().layer(users_and_staff.clone()).service(guarded),
    );

    let mut browser = Browser::default();
    assert_eq!(browser.send(&guarded, get("/")).await.status, StatusCode::UNAUTHORIZED);
    browser.send(&open, post("/in", "")).await;
    assert_eq!(browser.send(&guarded, get("/")).await.text(), "both");
    // A guard that looks at the claims of both.
    let both = RequireSessionLayer::new().claims(|_: &Staff| true).claims(|_: &User| true);
    let both = ServiceBuilder::new().layer(users_and_staff).layer(both).service(app);
    assert_eq!(browser.send(&both, get("/")).await.text(), "both");
    let mut half = Browser { cookies: browser.cookies.clone() };
    half.send(&open, post("/half-in", "")).await;
    assert_eq!(half.send(&both, get("/")).await.status, StatusCode::FORBIDDEN);
    // With the cookie of one of the two layers only.
    for name in ["__Host-session", "__Host-staff"] {
        let cookies = browser.cookie_header().unwrap();
        let one = cookies.split("; ").find(|cookie| cookie.starts_with(name)).unwrap();
        let mut request = get("/");
        request.headers_mut().insert(header::COOKIE, one.parse().unwrap());
        let response = Browser::default().send(&guarded, request).await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED, "{name}");
    }
}

/// An engine with the claims of [`User`] and cookies named `name`.
fn engine_named(name: &'static str, seed: u64) -> tower_auth_session::SessionLayer<User> {
    let builder = SessionEngine::<User>::builder(KeyRing::new(key(name)))
        .cookie(CookieConfig::new(name))
        .origin(ORIGIN)
        .random(SeededRandom::new(seed));
    layer_on(builder).0.name(name)
}

/// A visitor is signed in through the inner layer; the outer layer is that of the users.
#[tokio::test]
async fn unnamed_lookups_that_find_two_engines_are_refused() {
    let (users, visitors) = (engine_named("users", 2), engine_named("visitors", 3));
    let app = service_fn(|request: Request<Full<Bytes>>| async move {
        let status = request.extensions().get::<SessionStatus>().unwrap();
        let visitors = status.layer("visitors").unwrap();
        if request.uri().path() == "/in" {
            let jar = visitors.jar::<User>().unwrap();
            jar.sign_in(SignIn::new(subject("visitor"), user("visitor"))).unwrap();
        }
        let session = request.extensions().get::<Session<User>>();
        let seen = format!(
            "{:?} {} {} {} | {:?} {:?}",
            status.kind(),
            status.identity().is_some(),
            status.jar::<User>().is_some(),
            session.is_some(),
            status.layer("users").unwrap().kind(),
            visitors.kind(),
        );
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(seen)))
    });
    let two = || ServiceBuilder::new().layer(users.clone()).layer(visitors.clone());
    let mut browser = Browser::default();
    browser.send(&two().service(app), post("/in", "")).await;
    let response = browser.send(&two().service(app), get("/")).await;
    assert_eq!(response.text(), "Ambiguous false false false | SignedOut SignedIn");

    for (guard, status, text) in [
        (RequireSessionLayer::new(), 500, "layer_ambiguous"),
        (RequireSessionLayer::for_claims::<User>(), 500, "layer_ambiguous"),
        (RequireSessionLayer::new().claims(|_: &User| true), 500, "layer_ambiguous"),
        (RequireSessionLayer::new().for_layer("visitors"), 200, "Ambiguous"),
        (RequireSessionLayer::new().for_layer("users"), 401, "signed_out"),
        (RequireSessionLayer::new().claims(|_: &User| true).for_layer("visitors"), 200, ""),
        (RequireSessionLayer::for_claims::<User>().for_layer("users"), 401, "signed_out"),
        (RequireSessionLayer::new().for_layer("staff"), 500, "layer_missing"),
        (RequireSessionLayer::new().claims(|(): &()| true), 500, "layer_missing"),
    ] {
        let described = format!("{guard:?} {status} {text}");
        let response = browser.send(&two().layer(guard).service(app), get("/")).await;
        assert_eq!(response.status, status, "{described}");
        assert!(response.text().contains(text), "{described}: {}", response.text());
    }
    // The same engine twice counts as one layer.
    let twice = ServiceBuilder::new().layer(visitors.clone()).layer(visitors.clone());
    let open = service_fn(|request: Request<Full<Bytes>>| async move {
        let status = request.extensions().get::<SessionStatus>().unwrap();
        let seen = format!("{:?} {}", status.kind(), status.jar::<User>().is_some());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(seen)))
    });
    let guarded = twice.layer(RequireSessionLayer::new()).service(open);
    assert_eq!(browser.send(&guarded, get("/")).await.text(), "SignedIn true");
}

#[tokio::test]
async fn extractors_select_a_named_layer() {
    use axum::routing::get as on;

    struct Users;
    impl LayerName for Users {
        const NAME: &'static str = "users";
    }
    struct Visitors;
    impl LayerName for Visitors {
        const NAME: &'static str = "visitors";
    }
    type Named<N> = InLayer<N, Session<User>>;
    let app = axum::Router::new()
        .route(
            "/in",
            on(|InLayer(jar, _): InLayer<Visitors, SessionJar<User>>| async move {
                jar.sign_in(SignIn::new(subject("visitor"), user("visitor"))).unwrap();
            }),
        )
        .route("/users", on(|_: Named<Users>| async {}))
        .route(
            "/visitors",
            on(|InLayer(session, _): Named<Visitors>, status: SessionStatus| async move {
                format!("{} {:?}", session.subject().as_str(), status.kind())
            }),
        )
        .route("/unnamed", on(|_: Session<User>| async {}))
        .layer(engine_named("visitors", 3))
        .layer(engine_named("users", 2));
    let mut browser = Browser::default();
    browser.send(&app, get("/in")).await;
    for (path, status, text) in [
        ("/users", 401, "signed_out"),
        ("/visitors", 200, "visitor Ambiguous"),
        ("/unnamed", 500, "layer_ambiguous"),
    ] {
        let response = browser.send(&app, get(path)).await;
        assert_eq!(response.status, status, "{path}");
        assert!(response.text().contains(text), "{path}: {}", response.text());
    }
}

/// Only a complete preflight passes a guard without a session, and only where the guard does not answer
/// it itself.
#[tokio::test]
async fn guard_passes_no_other_options_request_than_preflights() {
    let (origin, method) =
        (("origin", "https://other.example"), ("access-control-request-method", "GET"));
    let answers = RequireSessionLayer::new().answer_preflights();
    for (verb, headers, passed, answered) in [
        ("OPTIONS", &[origin, method][..], 200, 204),
        ("OPTIONS", &[], 401, 401),
        ("OPTIONS", &[origin], 401, 401),
        ("OPTIONS", &[method], 401, 401),
        ("GET", &[origin, method], 401, 401),
        ("POST", &[origin, method], 401, 401),
        ("DELETE", &[origin, method], 401, 401),
    ] {
        for (guard, expected) in [(RequireSessionLayer::new(), passed), (answers.clone(), answered)]
        {
            let (layer, _, _) = layer();
            let service = site!(layer, guard);
            let mut request = get("/me");
            *request.method_mut() = verb.parse().unwrap();
            for (name, value) in headers {
                request.headers_mut().insert(*name, value.parse().unwrap());
            }
            let response = Browser::default().send(&service, request).await;
            assert_eq!(response.status, expected, "{verb} {headers:?}");
            assert_eq!(response.text() == "private", expected == 200, "{verb} {headers:?}");
        }
    }
}

/// A browser that drops Secure cookies, as WebKit does over http, comes back to the sign-in page after
/// every sign-in.
#[tokio::test]
async fn redirect_to_the_sign_in_page_states_that_the_browser_kept_no_cookie() {
    let on = |builder: tower_auth_session::engine::SessionEngineBuilder<User>| {
        let redirects = tower_auth_session::config::RedirectUrls::new().sign_in_url("/sign-in");
        let (layer, _) = layer_on(builder.redirect_urls(redirects));
        site!(layer, RequireSessionLayer::new())
    };
    let known = on(crate::support::engine_builder().0);
    let unknown = on(SessionEngine::<User>::builder(KeyRing::new(key("k1"))));
    let marked = "/sign-in?redirect_url=%2Fme&cookie_missing=1";
    let unmarked = "/sign-in?redirect_url=%2Fme";
    for (referer, cookie, expected) in [
        (Some("https://app.example.com/sign-in"), None, marked),
        (Some("https://app.example.com/sign-in?redirect_url=%2Fme"), None, marked),
        (Some("https://app.example.com/sign-in?redirect_url=/me?a|b"), None, marked),
        (Some("https://app.example.com/sign-in"), Some("other=1"), marked),
        (Some("https://app.example.com/sign-in"), Some("__Host-session=expired"), unmarked),
        (Some("https://app.example.com/sign-in"), Some("__Host-session.active=none"), unmarked),
        (Some("https://app.example.com/other"), None, unmarked),
        (Some("https://evil.example/sign-in"), None, unmarked),
        (Some("/sign-in"), None, unmarked),
        (None, None, unmarked),
    ] {
        let mut request = get("/me");
        let headers = request.headers_mut();
        headers.insert("host", "app.example.com".parse().unwrap());
        headers.insert("sec-fetch-mode", "navigate".parse().unwrap());
        headers.insert("sec-fetch-dest", "document".parse().unwrap());
        if let Some(referer) = referer {
            headers.insert("referer", referer.parse().unwrap());
        }
        if let Some(cookie) = cookie {
            headers.insert("cookie", cookie.parse().unwrap());
        }
        let mut browser = Browser::default();
        for service in
            [browser.send(&known, request.clone()).await, browser.send(&unknown, request).await]
        {
            assert_eq!(service.header("location"), expected, "{referer:?} {cookie:?}");
        }
    }
    // Only people read the sign-in page.
    let mut request = get("/me");
    request.headers_mut().insert("hx-request", "true".parse().unwrap());
    request.headers_mut().insert("referer", "https://app.example.com/sign-in".parse().unwrap());
    let response = Browser::default().send(&known, request).await;
    assert!(!format!("{:?}", response.headers).contains("cookie_missing"));
}
