//! The layer, the guard and the extractors in Axum routers.

use std::{convert::Infallible, future::ready};

use axum::{
    Router,
    body::Body,
    response::Redirect,
    routing::{get as on_get, post as on_post},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn, util::MapResponse};
use tower_auth_session::{
    KeyRing, RequireSessionLayer, Session, SessionEngine, SessionJar, SessionLayer, SessionStatus,
    SignIn,
    config::{CookieConfig, Endpoint, Endpoints, RedirectUrls},
    error::SignInError,
    middleware::SessionBody,
};
use tower_http::{compression::CompressionLayer, decompression::Decompression, trace::TraceLayer};

use crate::support::{
    Browser, ORIGIN, TestResponse, User, engine_builder, get, key, layer, layer_on, post, seconds,
    subject, user,
};

type Jar = SessionJar<User>;

/// A second type of claims, for employees.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Staff {
    role: String,
}

async fn current_user(session: Option<Session<User>>) -> String {
    session.map_or_else(|| "signed out".to_owned(), |session| session.claims().name.clone())
}

async fn sign_in(jar: Jar) -> Result<Redirect, SignInError> {
    jar.sign_in(SignIn::new(subject("ada"), user("Ada")))?;
    Ok(Redirect::to("/"))
}

/// Routes without a layer: `/` returns the signed-in user, `/in` signs Ada in, `/page` is large
/// enough to be compressed.
fn site() -> Router {
    Router::new()
        .route("/", on_get(current_user))
        .route("/in", on_post(sign_in))
        .route("/page", on_get(|| async { PAGE.repeat(100) }))
}

const PAGE: &str = "Nothing here is secret.\n";

fn ada(layer: &SessionLayer<User>) -> Browser {
    Browser::signed_in(layer, SignIn::new(subject("ada"), user("Ada")))
}

fn staff_layer() -> SessionLayer<Staff> {
    let engine = SessionEngine::<Staff>::builder(KeyRing::new(key("staff")))
        .cookie(CookieConfig::new("staff"))
        .origin(ORIGIN)
        .endpoints(Endpoints::new().path(Endpoint::SignOut, "/staff/sign-out"));
    layer_on(engine).0
}

fn staff(layer: &SessionLayer<Staff>) -> Browser {
    let claims = Staff { role: "teller".to_owned() };
    Browser::signed_in(layer, SignIn::new(subject("bob"), claims))
}

/// A browser that follows a link.
fn visit(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header(header::ACCEPT, "text/html").body(Full::default()).unwrap()
}

/// The body that a client with `Accept-Encoding: gzip` reads.
async fn decoded(compressed: TestResponse) -> String {
    assert_eq!(compressed.header("content-encoding"), "gzip", "{compressed:?}");
    let mut response = Response::new(Full::new(compressed.body));
    *response.headers_mut() = compressed.headers;
    let mut response = Some(response);
    let replay = service_fn(move |_: Request<Full<Bytes>>| {
        ready(Ok::<_, Infallible>(response.take().expect("one call")))
    });
    let response = Decompression::new(replay).oneshot(get("/")).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
    String::from_utf8(body.to_bytes().into()).unwrap()
}

#[tokio::test]
async fn session_layer_works_inside_and_outside_other_layers() {
    let stacks: [fn(Router, SessionLayer<User>) -> Router; 4] = [
        // One by one, each an Axum route of its own: the last one is the outermost.
        |site, session| {
            site.layer(CompressionLayer::new())
                .layer(TraceLayer::new_for_http())
                .layer(session)
                .layer(TraceLayer::new_for_http())
                .layer(CompressionLayer::new())
        },
        // One stack, in which each body wraps the other: the first one is the outermost.
        |site, session| {
            site.layer(
                ServiceBuilder::new()
                    .layer(CompressionLayer::new())
                    .layer(TraceLayer::new_for_http())
                    .layer(session)
                    .layer(TraceLayer::new_for_http())
                    .layer(CompressionLayer::new()),
            )
        },
        // Compressed inside only, so that the layer gets bodies of unknown length.
        |site, session| {
            site.layer(ServiceBuilder::new().layer(session).layer(CompressionLayer::new()))
        },
        // Around the whole router.
        |site, session| {
            let service = ServiceBuilder::new()
                .layer(CompressionLayer::new())
                .layer(TraceLayer::new_for_http())
                .layer(session)
                .service(site);
            Router::new().fallback_service(service)
        },
    ];
    for (number, stack) in stacks.into_iter().enumerate() {
        let (layer, clock, _) = layer();
        let app = stack(site(), layer);
        let page = || {
            let mut request = get("/page");
            request.headers_mut().insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
            request
        };
        let mut ada = Browser::default();
        let response = ada.send(&app, post("/in", "")).await;
        assert_eq!((response.status, response.header("location")), (StatusCode::SEE_OTHER, "/"));
        assert_eq!(ada.send(&app, get("/")).await.text(), "Ada", "stack {number}");

        clock.advance(seconds(10));
        let response = ada.send(&app, page()).await;
        assert_eq!(response.set_cookies().len(), 1, "stack {number}");
        let vary: Vec<_> = response.headers.get_all("vary").iter().collect();
        let vary = format!("{vary:?}").to_ascii_lowercase();
        assert!(vary.contains("accept-encoding") && vary.contains("cookie"), "{vary}");
        assert_eq!(decoded(response).await, PAGE.repeat(100), "stack {number}");

        let response = ada.send(&app, post("/sign-out", "")).await;
        assert_eq!((response.status, response.header("location")), (StatusCode::SEE_OTHER, "/"));
        assert!(ada.cookies.is_empty());
        assert_eq!(ada.send(&app, get("/")).await.text(), "signed out", "stack {number}");
    }
}

#[tokio::test]
async fn rejection_is_compressed_like_other_responses() {
    let (layer, ..) = layer();
    let app = site()
        .route_layer(RequireSessionLayer::new())
        .layer(ServiceBuilder::new().layer(CompressionLayer::new()).layer(layer));
    let mut request = get("/page");
    request.headers_mut().insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
    let response = Browser::default().send(&app, request).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert!(decoded(response).await.contains(r#""code":"signed_out""#));
}

/// Signs Ada out at `path` of `service`. With a 404, she must still be signed in.
async fn sign_out<S, B>(layer: &SessionLayer<User>, service: S, path: &str) -> StatusCode
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: std::fmt::Debug,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let mut browser = ada(layer);
    let copy = browser.cookies.clone();
    let response = browser.send(&service, post(path, "")).await;
    let check = layer.layer(site());
    let after = Browser { cookies: copy }.send(&check, get("/")).await;
    match response.status {
        StatusCode::SEE_OTHER => {
            assert!(browser.cookies.is_empty());
            assert_eq!(after.text(), "signed out");
        }
        _ => {
            assert!(response.set_cookies().is_empty(), "{response:?}");
            assert_eq!(after.text(), "Ada");
        }
    }
    response.status
}

#[tokio::test]
async fn sign_out_endpoint_is_served_by_the_outermost_layer() {
    let (layer, ..) = layer();
    let app = site().nest("/inner", site()).layer(layer.clone());
    assert_eq!(sign_out(&layer, app, "/sign-out").await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn sign_out_endpoint_is_served_by_a_layer_around_the_router() {
    let (layer, ..) = layer();
    let app = layer.layer(site());
    assert_eq!(sign_out(&layer, app.clone(), "/sign-out").await, StatusCode::SEE_OTHER);

    // `axum::serve` takes services with Axum's own body only.
    let app =
        MapResponse::new(app, |response: Response<SessionBody<Body>>| response.map(Body::new));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    drop(axum::serve(listener, axum::ServiceExt::<Request<Body>>::into_make_service(app.clone())));
}

#[tokio::test]
async fn sign_out_endpoint_takes_precedence_over_a_route_of_its_path() {
    let (layer, ..) = layer();
    let app = site().route("/sign-out", on_post(|| async { "mine" })).layer(layer.clone());
    assert_eq!(sign_out(&layer, app, "/sign-out").await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn sign_out_endpoint_is_not_served_by_a_route_layer() {
    let (layer, ..) = layer();
    let app = site().route_layer(layer.clone());
    assert_eq!(sign_out(&layer, app, "/sign-out").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn sign_out_endpoint_is_not_served_by_a_layer_on_a_nested_router() {
    let (layer, ..) = layer();
    let app = Router::new().nest("/app", site().layer(layer.clone()));
    assert_eq!(sign_out(&layer, app.clone(), "/sign-out").await, StatusCode::NOT_FOUND);
    assert_eq!(sign_out(&layer, app, "/app/sign-out").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn sign_out_endpoint_is_not_served_by_a_layer_on_a_method_router() {
    let (layer, ..) = layer();
    let app = Router::new().route("/", on_get(current_user).layer(layer.clone()));
    assert_eq!(sign_out(&layer, app, "/sign-out").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn sign_out_endpoint_is_not_served_after_merging_a_router_without_the_layer() {
    let (layer, ..) = layer();
    let health = Router::new().route("/health", on_get(|| async {}));
    // Axum then uses the other router's 404 for paths that neither has.
    let app = site().layer(layer.clone()).merge(health.clone());
    assert_eq!(sign_out(&layer, app, "/sign-out").await, StatusCode::NOT_FOUND);
    let app = site().merge(health).layer(layer.clone());
    assert_eq!(sign_out(&layer, app, "/sign-out").await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn guard_in_a_nested_router_returns_to_the_full_path() {
    let (builder, _) = engine_builder();
    let redirects = RedirectUrls::new().sign_in_url("/sign-in?from=app");
    let (layer, _) = layer_on(builder.redirect_urls(redirects));
    let guarded_by_layer = Router::new()
        .route("/users", on_get(|| async { "users" }))
        .layer(RequireSessionLayer::new());
    let guarded_by_extractor = Router::new()
        .route("/users", on_get(|_: Session<User>, uri: Uri| async move { uri.to_string() }));
    let app = Router::new()
        .nest("/a", Router::new().nest("/b", guarded_by_layer))
        .nest("/c", Router::new().nest("/d", guarded_by_extractor))
        .nest_service("/e", RequireSessionLayer::new().layer(site()))
        .layer(layer.clone());

    for path in ["/a/b/users?page=2&x=%C3%A4", "/c/d/users?page=2&x=%C3%A4", "/e/?page=2&x=%C3%A4"]
    {
        let response = Browser::default().send(&app, visit(path)).await;
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{path}");
        let location = url::Url::parse("https://app.example.com").unwrap();
        let location = location.join(response.header("location")).unwrap();
        assert_eq!(location.path(), "/sign-in");
        let query: Vec<_> = location.query_pairs().collect();
        assert_eq!(query[0], ("from".into(), "app".into()));
        assert_eq!(query[1], ("redirect_url".into(), path.into()));
        assert_eq!(query.len(), 2);
        assert_eq!(response.header("cache-control"), "no-store");
    }
    let response = ada(&layer).send(&app, get("/c/d/users")).await;
    assert_eq!(response.text(), "/users", "the handler sees what Axum shows it");
}

#[tokio::test]
async fn guard_as_route_layer_protects_the_routes_added_before_it() {
    let (layer, ..) = layer();
    let app = Router::new()
        .route("/account", on_get(current_user))
        .route_layer(RequireSessionLayer::new())
        .route("/in", on_post(sign_in))
        .layer(layer.clone());
    let mut visitor = Browser::default();
    assert_eq!(visitor.send(&app, get("/account")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(visitor.send(&app, get("/nowhere")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(visitor.send(&app, post("/in", "")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(visitor.send(&app, get("/account")).await.text(), "Ada");
}

#[tokio::test]
async fn guard_outside_the_session_layer_fails_with_500() {
    let (layer, ..) = layer();
    let app = site().layer(layer.clone()).layer(RequireSessionLayer::new());
    let response = ada(&layer).send(&app, get("/")).await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(response.text().contains("SessionLayer does not wrap this service"), "{response:?}");
}

#[tokio::test]
async fn extractors_respond_for_each_session_state() {
    let routes = || {
        Router::new()
            .route("/required", on_get(|s: Session<User>| async move { s.claims().name.clone() }))
            .route("/option", on_get(current_user))
            .route("/jar", on_get(|jar: Jar| async move { current_user(jar.session()).await }))
            .route("/status", on_get(|s: SessionStatus| async move { format!("{:?}", s.kind()) }))
    };
    let (session, ..) = layer();
    let other = staff_layer();
    let ok = |text: &'static str| (200, text);
    let missing = (500, r#""code":"layer_missing""#);
    let rows = [
        (
            "signed in",
            routes().layer(session.clone()),
            ada(&session),
            [ok("Ada"), ok("Ada"), ok("Ada"), ok("SignedIn")],
        ),
        (
            "signed out",
            routes().layer(session.clone()),
            Browser::default(),
            [(401, r#""code":"signed_out""#), ok("signed out"), ok("signed out"), ok("SignedOut")],
        ),
        ("layer missing", routes(), ada(&session), [missing; 4]),
        (
            "another type of claims",
            routes().layer(other.clone()),
            staff(&other),
            // The status has no type of claims: it comes from the innermost layer.
            [missing, missing, missing, ok("SignedIn")],
        ),
    ];
    for (state, app, mut browser, expected) in rows {
        for (path, (status, text)) in
            ["/required", "/option", "/jar", "/status"].into_iter().zip(expected)
        {
            let response = browser.send(&app, get(path)).await;
            assert_eq!(response.status, status, "{state}, {path}: {response:?}");
            assert!(response.text().contains(text), "{state}, {path}: {response:?}");
            if status != 500 {
                assert_eq!(response.header("vary"), "Cookie", "{state}, {path}");
            }
        }
    }
}

#[tokio::test]
async fn two_layers_with_different_claims_keep_separate_sessions() {
    let (users, ..) = layer();
    let staffs = staff_layer();
    let app = Router::new()
        .route("/account", on_get(|| async { "account" }))
        .route_layer(RequireSessionLayer::for_claims::<Staff>())
        .route(
            "/",
            on_get(async |user: Option<Session<User>>, staff: Option<Session<Staff>>| {
                let user = user.map_or_else(String::new, |user| user.claims().name.clone());
                let staff = staff.map_or_else(String::new, |staff| staff.claims().role.clone());
                format!("{user}/{staff}")
            }),
        )
        .route(
            "/in",
            on_post(async |users: Jar, staff: SessionJar<Staff>| {
                users.sign_in(SignIn::new(subject("ada"), user("Ada")))?;
                let role = "auditor".to_owned();
                staff.sign_in(SignIn::new(subject("bob"), Staff { role }))?;
                Ok::<_, SignInError>(())
            }),
        )
        .layer(staffs.clone())
        .layer(users.clone());

    let mut both = Browser::default();
    let response = both.send(&app, post("/in", "")).await;
    assert_eq!(response.set_cookies().len(), 2, "each writes its own cookie");
    assert_eq!(both.send(&app, get("/")).await.text(), "Ada/auditor");
    assert_eq!(ada(&users).send(&app, get("/")).await.text(), "Ada/");
    assert_eq!(staff(&staffs).send(&app, get("/")).await.text(), "/teller");

    // The guard uses the layer with its claims.
    let account = get("/account");
    assert_eq!(staff(&staffs).send(&app, account.clone()).await.status, StatusCode::OK);
    assert_eq!(ada(&users).send(&app, account).await.status, StatusCode::UNAUTHORIZED);

    // Each layer signs out at its own path and leaves the other session unchanged.
    both.send(&app, post("/staff/sign-out", "")).await;
    assert_eq!(both.send(&app, get("/")).await.text(), "Ada/");
    both.send(&app, post("/sign-out", "")).await;
    assert_eq!(both.send(&app, get("/")).await.text(), "/");
}

#[tokio::test]
async fn two_layers_with_the_same_claims_are_ambiguous() {
    let (outer, ..) = layer();
    let (builder, _) = engine_builder();
    let (inner, _) = layer_on(builder.cookie(CookieConfig::new("inner")));
    let app = site().layer(inner.clone()).layer(outer.clone());
    for layer in [&inner, &outer] {
        let response = ada(layer).send(&app, get("/")).await;
        assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.text().contains("layer_ambiguous"), "{}", response.text());
    }
}

#[tokio::test]
async fn guard_predicate_over_other_claims_fails_with_500() {
    let (layer, ..) = layer();
    let guarded = |guard| site().route_layer(guard).layer(layer.clone());
    let is = |name: &'static str| RequireSessionLayer::new().claims(move |u: &User| u.name == name);
    for (guard, status) in [
        (is("Ada"), StatusCode::OK),
        (is("Grace"), StatusCode::FORBIDDEN),
        (RequireSessionLayer::new().claims(|_: &Staff| true), StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        assert_eq!(ada(&layer).send(&guarded(guard), get("/")).await.status, status);
    }
}

#[tokio::test]
async fn sign_in_error_becomes_a_problem_response() {
    let (layer, ..) = layer();
    let huge = |jar: Jar| async move {
        jar.sign_in(SignIn::new(subject("ada"), user(&"A".repeat(5_000)))).map(drop)
    };
    let app = site().route("/huge", on_post(huge)).layer(layer);
    let mut cross_site = post("/in", "");
    cross_site.headers_mut().insert(header::ORIGIN, "https://evil.example".parse().unwrap());
    for (request, status, code) in [
        (cross_site, StatusCode::FORBIDDEN, "cross_origin"),
        (post("/huge", ""), StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    ] {
        let response = Browser::default().send(&app, request).await;
        assert_eq!(response.status, status);
        assert_eq!(response.header("content-type"), "application/problem+json");
        assert!(response.text().contains(code), "{response:?}");
        assert!(response.set_cookies().is_empty());
    }
}

/// 409 and not 500: the user can sign out of an account and try again.
#[tokio::test]
async fn sign_in_beyond_the_account_limit_is_a_conflict() {
    let refuse = tower_auth_session::config::AccountLimitPolicy::Refuse;
    let builder = engine_builder().0.multi_session(true).account_limit_policy(refuse);
    let (layer, _) = layer_on(builder.max_sessions_per_browser(2));
    let large = |jar: Jar| async move {
        let name = format!("{:?}", jar.accounts().len());
        jar.sign_in(SignIn::new(subject(&name), user(&"A".repeat(2_400)))).map(drop)
    };
    let more = |jar: Jar| async move {
        let name = format!("{:?}", jar.accounts().len());
        jar.sign_in(SignIn::new(subject(&name), user("x"))).map(drop)
    };
    let app = Router::new().route("/large", on_post(large)).route("/more", on_post(more));
    let app = app.layer(layer);
    for path in ["/large", "/more"] {
        let mut browser = Browser::default();
        for _ in 0..2 {
            browser.send(&app, post(path, "")).await;
        }
        let before = browser.cookies.clone();
        let response = browser.send(&app, post(path, "")).await;
        assert_eq!(response.status, StatusCode::CONFLICT);
        assert!(response.text().contains(r#""code":"too_many_accounts""#), "{response:?}");
        assert_eq!(browser.cookies, before);
    }
}

#[tokio::test]
async fn error_responses_carry_the_session_cookie() {
    let (layer, clock, _) = layer();
    let fails = |status: StatusCode| {
        on_post(move |jar: Jar| async move {
            jar.sign_in(SignIn::new(subject("ada"), user("Ada")))?;
            Ok::<_, SignInError>(status)
        })
    };
    let app = site()
        .route("/422", fails(StatusCode::UNPROCESSABLE_ENTITY))
        .route("/500", fails(StatusCode::INTERNAL_SERVER_ERROR))
        .layer(layer);
    for path in ["/422", "/500"] {
        let mut ada = Browser::default();
        let response = ada.send(&app, post(path, "")).await;
        assert_eq!(response.status.as_str(), &path[1..]);
        assert_eq!(response.set_cookies().len(), 1);
        // So does the router's own 404 and 405, when a renewal is due.
        for request in [get("/nowhere"), get("/in")] {
            clock.advance(seconds(10));
            let response = ada.send(&app, request).await;
            assert!(response.status.is_client_error());
            assert_eq!(response.set_cookies().len(), 1, "{response:?}");
        }
        assert_eq!(ada.send(&app, get("/")).await.text(), "Ada");
    }
}

#[tokio::test]
async fn guarded_response_is_private_by_default() {
    let (layer, ..) = layer();
    let cached = || async { ([(header::CACHE_CONTROL, "private, max-age=60")], "cached") };
    let app = Router::new()
        .route("/extractor", on_get(|_: Session<User>| async {}))
        .merge(
            Router::new()
                .route("/guarded", on_get(|| async {}))
                .route("/cached", on_get(cached))
                .route_layer(RequireSessionLayer::new()),
        )
        .route("/open", on_get(|| async {}))
        .layer(layer.clone());
    for (path, expected, vary) in [
        ("/guarded", "private, no-store", "Cookie"),
        ("/extractor", "private, no-store", "Cookie"),
        ("/cached", "private, max-age=60", "Cookie"),
        ("/open", "private", "Cookie"),
    ] {
        let response = ada(&layer).send(&app, get(path)).await;
        assert_eq!(response.status, StatusCode::OK, "{path}");
        assert_eq!(response.header("cache-control"), expected, "{path}");
        assert_eq!(response.header("vary"), vary, "{path}");
    }
}
