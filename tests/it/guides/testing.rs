use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, Response, StatusCode},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tower::ServiceExt as _;
use tower_auth_session::{
    Algorithm, KeyRing, RequireSessionLayer, Session, SessionEngine, SessionJar, SessionLayer,
    SignIn, SigningKey, Subject,
    error::SignInError,
    testing::{ManualClock, carry_cookies, signed_in_with_layer},
    time::Timestamp,
};

#[derive(Serialize, Deserialize)]
struct User {
    name: String,
    admin: bool,
}

async fn me(session: Session<User>) -> String {
    format!("Hello, {}", session.claims().name)
}

async fn sign_in(jar: SessionJar<User>) -> Result<&'static str, SignInError> {
    jar.sign_in(user("Ada", false))?;
    Ok("welcome")
}

/// The function that `main` uses too.
fn app(layer: SessionLayer<User>) -> Router {
    let admin = Router::new()
        .route("/admin", get(|| async {}))
        .route_layer(RequireSessionLayer::new().claims(|user: &User| user.admin));
    Router::new().route("/me", get(me)).route("/sign-in", post(sign_in)).merge(admin).layer(layer)
}

/// A layer with a key of its own, whose clock the test moves.
fn layer(clock: &ManualClock) -> SessionLayer<User> {
    let keys = KeyRing::new(SigningKey::generate("test", Algorithm::Hs256).unwrap());
    let engine = SessionEngine::builder(keys).origin("https://app.example.com").build().unwrap();
    SessionLayer::new(engine).clock(clock.clone())
}

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000))
}

fn user(name: &str, admin: bool) -> SignIn<User> {
    let subject = Subject::new(name.to_lowercase()).unwrap();
    SignIn::new(subject, User { name: name.to_owned(), admin })
}

async fn text(response: Response<Body>) -> String {
    let bytes = to_bytes(response.into_body(), 4096).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn page_greets_the_signed_in_user() {
    let layer = layer(&clock());
    let request = Request::get("/me").body(Body::empty()).unwrap();
    let request = signed_in_with_layer(&layer, user("Ada", false), request).await.unwrap();
    let response = app(layer).oneshot(request).await.unwrap();
    assert_eq!(text(response).await, "Hello, Ada");
}

#[tokio::test]
async fn admin_page_is_for_admins() {
    let layer = layer(&clock());
    let app = app(layer.clone());
    for (admin, status) in [(true, StatusCode::OK), (false, StatusCode::FORBIDDEN)] {
        let request = Request::get("/admin").body(Body::empty()).unwrap();
        let request = signed_in_with_layer(&layer, user("Ada", admin), request).await.unwrap();
        assert_eq!(app.clone().oneshot(request).await.unwrap().status(), status);
    }
    let request = Request::get("/admin").body(Body::empty()).unwrap();
    assert_eq!(app.oneshot(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn form_signs_in_until_the_session_expires() {
    let clock = clock();
    let app = app(layer(&clock));
    // Browsers send `Origin` with a form.
    let form = Request::post("/sign-in").header("origin", "https://app.example.com");
    let signed_in = app.clone().oneshot(form.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(signed_in.status(), StatusCode::OK);

    let mut request = Request::get("/me").body(Body::empty()).unwrap();
    carry_cookies(&signed_in, &mut request);
    assert_eq!(app.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);

    clock.advance(Duration::from_secs(7 * 24 * 3600));
    let mut request = Request::get("/me").body(Body::empty()).unwrap();
    carry_cookies(&signed_in, &mut request);
    assert_eq!(app.oneshot(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn handler_is_called_without_a_router() {
    let layer = layer(&clock());
    let request = signed_in_with_layer(&layer, user("Ada", false), Request::new(())).await.unwrap();
    let jar = layer.engine().open(&request, Timestamp::from_unix_seconds(1_800_000_001));
    assert_eq!(me(jar.session().unwrap()).await, "Hello, Ada");
}
