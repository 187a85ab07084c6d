//! The endpoints as a router, merged in every place where a router can be.

use axum::{Router, body::Body, routing::get as on_get};
use http::{Method, Request, StatusCode};
use tower::{Service, util::MapRequest};
use tower_auth_session::{
    SessionLayer, SignIn,
    config::{Endpoint, Endpoints},
};

use super::nested_routers::{application, check_endpoints, layer};
use crate::support::{
    Browser, Events, User, engine_builder, get, layer_on, post, seconds, subject, user,
};

type Sent = Request<http_body_util::Full<bytes::Bytes>>;

/// The service with the body type of a server.
macro_rules! serve {
    ($service:expr) => {
        MapRequest::new($service, |request: Sent| request.map(Body::new))
    };
}

#[tokio::test]
async fn endpoint_router_works_beside_the_application_layer() {
    let layer = layer();
    check_endpoints(application().layer(layer.clone()).merge(layer.router()), "").await;
}

#[tokio::test]
async fn endpoint_router_works_with_a_route_layer() {
    let layer = layer();
    check_endpoints(application().merge(layer.router()).route_layer(layer.clone()), "").await;
    check_endpoints(application().route_layer(layer.clone()).merge(layer.router()), "").await;
}

#[tokio::test]
async fn endpoint_router_works_under_a_layer_around_all_routes() {
    let layer = layer();
    check_endpoints(application().merge(layer.router()).layer(layer), "").await;
}

#[tokio::test]
async fn endpoint_router_works_in_nested_routers() {
    let layer = layer();
    let inner = || application().merge(layer.router());
    check_endpoints(Router::new().nest("/app", inner().layer(layer.clone())), "/app").await;
    let deeper = Router::new().nest("/b", inner().route_layer(layer.clone()));
    check_endpoints(Router::new().nest("/a", deeper), "/a/b").await;
    check_endpoints(Router::new().nest("/app", inner()).layer(layer.clone()), "/app").await;
    check_endpoints(Router::new().nest("/app", inner()).route_layer(layer.clone()), "/app").await;
}

#[tokio::test]
async fn endpoint_router_works_in_nested_services() {
    let layer = layer();
    let inner = application().merge(layer.router()).layer(layer.clone());
    check_endpoints(Router::new().nest_service("/app", inner), "/app").await;
    let inner = application().merge(layer.router());
    check_endpoints(Router::new().nest_service("/app", inner).layer(layer), "/app").await;
}

/// Two layers with one engine, one of which serves the endpoint, send each cookie once.
#[tokio::test]
async fn layer_around_a_nested_router_sets_each_cookie_once() {
    let (builder, events) = engine_builder();
    let (layer, clock) = layer_on(builder.multi_session(true));
    let inner = application().merge(layer.router());
    let app = serve!(Router::new().nest("/app", inner).layer(layer.clone()));
    let mut browser = Browser::signed_in(&layer, SignIn::new(subject("bob"), user("Bob")));
    browser.send(&app, post("/app/in", "")).await;
    let (ada, bob) = ids(&layer, &browser);
    clock.advance(seconds(20));
    events.take();

    let switch = with_body("/app/session/switch", format!("session_id={bob}"));
    let response = browser.send(&app, switch).await;
    let names = |events: &Events| events.take_names();
    assert_eq!(
        cookie_names(&response.set_cookies()).len(),
        response.set_cookies().len(),
        "{response:?}"
    );
    assert!(!names(&events).contains(&"CookieNameConflict".to_owned()));
    assert_eq!(ids(&layer, &browser), (bob.clone(), ada.clone()));

    clock.advance(seconds(20));
    let response = browser.send(&app, post("/app/sign-out", "")).await;
    assert_eq!(
        cookie_names(&response.set_cookies()).len(),
        response.set_cookies().len(),
        "{response:?}"
    );
    assert!(!browser.cookies.keys().any(|name| name.ends_with(&bob)), "{:?}", browser.cookies);
    assert!(!names(&events).contains(&"CookieNameConflict".to_owned()));
}

fn with_body(path: &str, body: String) -> Sent {
    post(path, "").map(|_| http_body_util::Full::from(body))
}

/// The distinct names of the cookies.
fn cookie_names<'a>(set: &[&'a str]) -> std::collections::BTreeSet<&'a str> {
    set.iter().filter_map(|set| set.split('=').next()).collect()
}

/// The ids of the active account and of the other one.
fn ids(layer: &SessionLayer<User>, browser: &Browser) -> (String, String) {
    let mut request = get("/");
    let cookies = browser.cookie_header().unwrap().parse().unwrap();
    request.headers_mut().insert(http::header::COOKIE, cookies);
    let now = tower_auth_session::time::Timestamp::from_unix_seconds(crate::support::START + 40);
    let accounts = layer.engine().open(&request, now).accounts();
    (accounts[0].session_id.to_string(), accounts[1].session_id.to_string())
}

/// A proxy or Axum strips `/app`; every URL in a response must have it.
#[tokio::test]
async fn endpoint_router_behind_a_prefix_writes_full_urls() {
    let layer = || {
        layer_on(
            engine_builder().0.multi_session(true).endpoints(Endpoints::new().base_path("/app")),
        )
        .0
    };
    let inner =
        |layer: &SessionLayer<User>| application().route_layer(layer.clone()).merge(layer.router());
    let strip = |mut request: Sent| {
        let path = request.uri().path_and_query().unwrap().as_str().strip_prefix("/app").unwrap();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        *request.uri_mut() = path.parse().unwrap();
        request
    };
    let one = layer();
    check_urls_have_prefix(&one, serve!(Router::new().nest("/app", inner(&one)))).await;
    let one = layer();
    check_urls_have_prefix(&one, serve!(Router::new().nest_service("/app", inner(&one)))).await;
    let one = layer();
    check_urls_have_prefix(&one, MapRequest::new(serve!(inner(&one)), strip)).await;
}

async fn check_urls_have_prefix<S>(layer: &SessionLayer<User>, app: S)
where
    S: Service<Sent, Response = axum::response::Response> + Clone,
    S::Error: std::fmt::Debug,
{
    let mut browser = Browser::signed_in(layer, SignIn::new(subject("bob"), user("Bob")));
    browser.send(&app, post("/app/in", "")).await;
    let page = browser.send(&app, get("/app/sign-in/choose")).await;
    for action in ["/app/session/switch", "/app/sign-out"] {
        assert!(page.text().contains(&format!("action=\"{action}\"")), "{page:?}");
    }
    assert!(!page.text().contains("action=\"/s"), "{page:?}");
    let (_, bob) = ids(layer, &browser);
    let switch = with_body("/app/session/switch", format!("session_id={bob}"));
    assert_eq!(browser.send(&app, switch).await.header("location"), "/app");
    let signed_out = browser.send(&app, post("/app/sign-out", "")).await;
    assert_eq!(signed_out.header("location"), "/app/sign-in/choose");
    let signed_out = browser.send(&app, post("/app/sign-out", "scope=browser")).await;
    assert_eq!(signed_out.header("location"), "/app");
}

/// The router serves its own endpoints only, in routers with any state.
#[tokio::test]
async fn endpoint_router_serves_only_its_paths_and_methods() {
    #[derive(Clone)]
    struct Shared;
    let app = || Router::<Shared>::new().route("/", on_get(|| async { "app" }));
    let status = async |app: Router, method: Method, path: &str| {
        let mut request = get(path);
        *request.method_mut() = method;
        let response = Browser::default().send(&serve!(app), request).await;
        (response.status, response.header("allow").to_owned(), response.body.len())
    };
    let all = app().merge(layer().router()).with_state(Shared);
    for (path, allowed, allow) in [
        ("/sign-out", Method::POST, "POST"),
        ("/session/switch", Method::POST, "POST"),
        ("/session", Method::GET, "GET, HEAD"),
        ("/sign-in/choose", Method::GET, "GET, HEAD"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
            let method: Method = method.parse().unwrap();
            let (got, allow_header, length) = status(all.clone(), method.clone(), path).await;
            if method == allowed || method == Method::HEAD && allowed == Method::GET {
                assert_ne!(got, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            } else {
                let expected = (StatusCode::METHOD_NOT_ALLOWED, allow.to_owned());
                assert_eq!((got, allow_header), expected, "{method} {path}");
            }
            assert!(method != Method::HEAD || length == 0, "{path}");
        }
    }
    for path in ["/sign-out/", "/session/x", "/sign-in", "/%73ession"] {
        assert_eq!(status(all.clone(), Method::GET, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(status(all, Method::GET, "/").await.0, StatusCode::OK);

    let (disabled, _) = layer_on(
        engine_builder()
            .0
            .multi_session(true)
            .endpoints(Endpoints::new().disable(Endpoint::Sessions)),
    );
    let disabled = app().merge(disabled.router()).with_state(Shared);
    assert_eq!(status(disabled, Method::GET, "/session").await.0, StatusCode::NOT_FOUND);
}

/// Every path that `build()` accepts is taken literally and does not panic in a router.
#[tokio::test]
async fn endpoint_paths_with_pattern_characters_are_literal() {
    let odd = ["/:leave", "/*switch", "/a%7Bb%7D", "/~/@me;x=1"];
    let builder = engine_builder().0.multi_session(true);
    let [sign_out, switch, sessions, choose] = odd;
    let builder = builder.endpoints(
        Endpoints::new()
            .path(Endpoint::SignOut, sign_out)
            .path(Endpoint::Switch, switch)
            .path(Endpoint::Sessions, sessions)
            .path(Endpoint::Chooser, choose),
    );
    let (layer, _) = layer_on(builder);
    let app = serve!(layer.router::<()>());
    for path in odd {
        let response = Browser::default().send(&app, get(path)).await;
        assert_ne!(response.status, StatusCode::NOT_FOUND, "{path}");
    }
    let response = Browser::default().send(&app, post("/xleave", "")).await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
}
