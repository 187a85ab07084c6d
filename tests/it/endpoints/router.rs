//! The endpoints as a router, merged wherever a router can be.

use axum::{Router, body::Body, routing::get as on_get};
use http::{Method, Request, StatusCode};
use tower::{Service, util::MapRequest};
use tower_auth_session::{SessionLayer, SignIn};

use super::nested_routers::{application, layer, walk};
use crate::support::{
    Browser, Events, User, engine_builder, get, layer_on, post, seconds, subject, user,
};

type Sent = Request<http_body_util::Full<bytes::Bytes>>;

/// As a server has it.
macro_rules! serve {
    ($service:expr) => {
        MapRequest::new($service, |request: Sent| request.map(Body::new))
    };
}

#[tokio::test]
async fn merged_beside_the_application() {
    let layer = layer();
    walk(application().layer(layer.clone()).merge(layer.router()), "").await;
}

#[tokio::test]
async fn under_route_layer() {
    let layer = layer();
    walk(application().merge(layer.router()).route_layer(layer.clone()), "").await;
    walk(application().route_layer(layer.clone()).merge(layer.router()), "").await;
}

#[tokio::test]
async fn merged_under_a_layer_around_everything() {
    let layer = layer();
    walk(application().merge(layer.router()).layer(layer), "").await;
}

#[tokio::test]
async fn in_nested_routers() {
    let layer = layer();
    let inner = || application().merge(layer.router());
    walk(Router::new().nest("/app", inner().layer(layer.clone())), "/app").await;
    let deeper = Router::new().nest("/b", inner().route_layer(layer.clone()));
    walk(Router::new().nest("/a", deeper), "/a/b").await;
    walk(Router::new().nest("/app", inner()).layer(layer.clone()), "/app").await;
    walk(Router::new().nest("/app", inner()).route_layer(layer.clone()), "/app").await;
}

#[tokio::test]
async fn in_nested_services() {
    let layer = layer();
    let inner = application().merge(layer.router()).layer(layer.clone());
    walk(Router::new().nest_service("/app", inner), "/app").await;
    let inner = application().merge(layer.router());
    walk(Router::new().nest_service("/app", inner).layer(layer), "/app").await;
}

/// Two layers on one engine, one of which answers: one set of cookies comes of it.
#[tokio::test]
async fn a_layer_around_the_nest_writes_no_cookie_twice() {
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
    assert_eq!(pairs(&response.set_cookies()).len(), response.set_cookies().len(), "{response:?}");
    assert!(!names(&events).contains(&"ApplicationCookieReplaced".to_owned()));
    assert_eq!(ids(&layer, &browser), (bob.clone(), ada.clone()));

    clock.advance(seconds(20));
    let response = browser.send(&app, post("/app/sign-out", "")).await;
    assert_eq!(pairs(&response.set_cookies()).len(), response.set_cookies().len(), "{response:?}");
    assert!(!browser.cookies.keys().any(|name| name.ends_with(&bob)), "{:?}", browser.cookies);
    assert!(!names(&events).contains(&"ApplicationCookieReplaced".to_owned()));
}

fn with_body(path: &str, body: String) -> Sent {
    post(path, "").map(|_| http_body_util::Full::from(body))
}

/// Names of cookies, each once.
fn pairs<'a>(set: &[&'a str]) -> std::collections::BTreeSet<&'a str> {
    set.iter().filter_map(|set| set.split('=').next()).collect()
}

/// The active account and the other one.
fn ids(layer: &SessionLayer<User>, browser: &Browser) -> (String, String) {
    let mut request = get("/");
    let cookies = browser.cookie_header().unwrap().parse().unwrap();
    request.headers_mut().insert(http::header::COOKIE, cookies);
    let now = tower_auth_session::Timestamp::from_unix_seconds(crate::support::START + 40);
    let accounts = layer.engine().open(&request, now).accounts();
    (accounts[0].session_id.to_string(), accounts[1].session_id.to_string())
}

/// `/app` taken away by a proxy or by Axum: every URL that goes out has it.
#[tokio::test]
async fn behind_a_prefix() {
    let layer = || layer_on(engine_builder().0.multi_session(true).base_path("/app")).0;
    let inner =
        |layer: &SessionLayer<User>| application().route_layer(layer.clone()).merge(layer.router());
    let strip = |mut request: Sent| {
        let path = request.uri().path_and_query().unwrap().as_str().strip_prefix("/app").unwrap();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        *request.uri_mut() = path.parse().unwrap();
        request
    };
    let one = layer();
    every_url_has_it(&one, serve!(Router::new().nest("/app", inner(&one)))).await;
    let one = layer();
    every_url_has_it(&one, serve!(Router::new().nest_service("/app", inner(&one)))).await;
    let one = layer();
    every_url_has_it(&one, MapRequest::new(serve!(inner(&one)), strip)).await;
}

async fn every_url_has_it<S>(layer: &SessionLayer<User>, app: S)
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
    let left = browser.send(&app, post("/app/sign-out", "")).await;
    assert_eq!(left.header("location"), "/app/sign-in/choose");
    let left = browser.send(&app, post("/app/sign-out", "scope=browser")).await;
    assert_eq!(left.header("location"), "/app");
}

/// Its routes are its own endpoints alone, of any method, in routers of any state.
#[tokio::test]
async fn what_it_answers() {
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
            let (got, said, length) = status(all.clone(), method.clone(), path).await;
            if method == allowed || method == Method::HEAD && allowed == Method::GET {
                assert_ne!(got, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            } else {
                let expected = (StatusCode::METHOD_NOT_ALLOWED, allow.to_owned());
                assert_eq!((got, said), expected, "{method} {path}");
            }
            assert!(method != Method::HEAD || length == 0, "{path}");
        }
    }
    for path in ["/sign-out/", "/session/x", "/sign-in", "/%73ession"] {
        assert_eq!(status(all.clone(), Method::GET, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(status(all, Method::GET, "/").await.0, StatusCode::OK);

    let (off, _) = layer_on(engine_builder().0.multi_session(true).without_sessions_path());
    let off = app().merge(off.router()).with_state(Shared);
    assert_eq!(status(off, Method::GET, "/session").await.0, StatusCode::NOT_FOUND);
}

/// No path that an engine is built with panics in a router.
#[tokio::test]
async fn a_path_is_no_pattern() {
    let odd = ["/:leave", "/*switch", "/a%7Bb%7D", "/~/@me;x=1"];
    let builder = engine_builder().0.multi_session(true);
    let [leave, switch, who, choose] = odd;
    let builder = builder.sign_out_path(leave).switch_path(switch).sessions_path(who);
    let (layer, _) = layer_on(builder.chooser_path(choose));
    let app = serve!(layer.router::<()>());
    for path in odd {
        let response = Browser::default().send(&app, get(path)).await;
        assert_ne!(response.status, StatusCode::NOT_FOUND, "{path}");
    }
    let response = Browser::default().send(&app, post("/xleave", "")).await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
}
