//! The endpoints as a service, in routers where the layer only gets requests to the router's own routes.
//!
//! `layer` on the outermost router does not need this: see `axum.rs`.

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

/// Signs in, lists the sessions and signs out below `prefix`.
pub(super) async fn check_endpoints(router: Router, prefix: &str) {
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
    let mut cross_site = post(&path("/sign-out"), "");
    cross_site.headers_mut().insert(header::ORIGIN, "https://evil.example".parse().unwrap());
    assert_eq!(ada.send(&router, cross_site).await.status.as_u16(), 403);
    let signed_out = ada.send(&router, post(&path("/sign-out"), "")).await;
    assert_eq!(
        (signed_out.status.as_u16(), signed_out.header("location")),
        (303, "/"),
        "{signed_out:?}"
    );
    assert!(ada.has_no_session(), "{:?}", ada.cookies);
    assert_eq!(ada.send(&router, get(home)).await.text(), "signed out");
    assert_eq!(ada.send(&router, get(&path("/nowhere"))).await.status.as_u16(), 404);
}

pub(super) fn layer() -> SessionLayer<User> {
    layer_on(engine_builder().0.multi_session(true)).0
}

#[tokio::test]
async fn endpoints_are_served_beside_the_application_layer() {
    let layer = layer();
    check_endpoints(application().layer(layer.clone()).merge(endpoints(&layer)), "").await;
}

#[tokio::test]
async fn endpoints_are_served_under_a_route_layer() {
    let layer = layer();
    check_endpoints(application().merge(endpoints(&layer)).route_layer(layer), "").await;
}

#[tokio::test]
async fn endpoints_are_served_under_a_layer_around_all_routes() {
    let layer = layer();
    check_endpoints(application().merge(endpoints(&layer)).layer(layer), "").await;
}

#[tokio::test]
async fn endpoints_are_served_in_a_nested_router() {
    let layer = layer();
    let inner = application().merge(endpoints(&layer)).layer(layer);
    check_endpoints(Router::new().nest("/app", inner), "/app").await;
}

#[tokio::test]
async fn endpoints_are_served_in_a_nested_service() {
    let layer = layer();
    let inner = application().layer(layer.clone()).fallback_service(layer.endpoints());
    check_endpoints(Router::new().nest_service("/app", inner), "/app").await;
}
