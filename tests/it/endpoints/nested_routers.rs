//! The endpoints as a service, under routers that show the layer their own routes alone.
//!
//! `layer` on the outermost router needs nothing of this: see `axum.rs`.

use axum::{Router, body::Body, response::IntoResponse, routing::get as on_get};
use http::{Request, header};
use tower_auth_session::{Session, SessionJar, SessionLayer, SignIn};

use crate::support::{Browser, User, engine_builder, get, layer_on, post, subject, user};

async fn sign_in(jar: SessionJar<User>) -> &'static str {
    jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
    "in"
}

async fn home(session: Option<Session<User>>) -> impl IntoResponse {
    session.map_or("signed out", |_| "Ada")
}

pub(super) fn application() -> Router {
    Router::new().route("/in", axum::routing::post(sign_in)).route("/", on_get(home))
}

fn endpoints(layer: &SessionLayer<User>) -> Router {
    let endpoints = |router: Router, path| router.route_service(path, layer.endpoints());
    layer.engine().endpoint_paths().fold(Router::new(), endpoints)
}

/// Signs in, lists, signs out, below `prefix`.
pub(super) async fn walk(router: Router, prefix: &str) {
    let router = tower::util::MapRequest::new(router, |request: Request<_>| request.map(Body::new));
    let mut ada = Browser::default();
    let path = |path: &str| format!("{prefix}{path}");
    ada.send(&router, post(&path("/in"), "")).await;
    let home = if prefix.is_empty() { "/" } else { prefix };
    assert_eq!(ada.send(&router, get(home)).await.text(), "Ada");
    let list = ada.send(&router, get(&path("/session"))).await;
    assert!(list.text().contains(r#""label":"Ada""#), "{list:?}");
    let page = ada.send(&router, get(&path("/sign-in/choose"))).await;
    assert!(page.text().contains("<h1>Choose an account</h1>"), "{page:?}");
    let mut foreign = post(&path("/sign-out"), "");
    foreign.headers_mut().insert(header::ORIGIN, "https://evil.example".parse().unwrap());
    assert_eq!(ada.send(&router, foreign).await.status.as_u16(), 403);
    let left = ada.send(&router, post(&path("/sign-out"), "")).await;
    assert_eq!((left.status.as_u16(), left.header("location")), (303, "/"), "{left:?}");
    assert!(ada.has_no_session(), "{:?}", ada.cookies);
    assert_eq!(ada.send(&router, get(home)).await.text(), "signed out");
    assert_eq!(ada.send(&router, get(&path("/nowhere"))).await.status.as_u16(), 404);
}

pub(super) fn layer() -> SessionLayer<User> {
    layer_on(engine_builder().0.multi_session(true)).0
}

#[tokio::test]
async fn merged_beside_the_application() {
    let layer = layer();
    walk(application().layer(layer.clone()).merge(endpoints(&layer)), "").await;
}

#[tokio::test]
async fn under_route_layer() {
    let layer = layer();
    walk(application().merge(endpoints(&layer)).route_layer(layer), "").await;
}

#[tokio::test]
async fn merged_under_a_layer_around_everything() {
    let layer = layer();
    walk(application().merge(endpoints(&layer)).layer(layer), "").await;
}

#[tokio::test]
async fn in_a_nested_router() {
    let layer = layer();
    let inner = application().merge(endpoints(&layer)).layer(layer);
    walk(Router::new().nest("/app", inner), "/app").await;
}

#[tokio::test]
async fn in_a_nested_service() {
    let layer = layer();
    let inner = application().layer(layer.clone()).fallback_service(layer.endpoints());
    walk(Router::new().nest_service("/app", inner), "/app").await;
}
