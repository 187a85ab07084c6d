//! The application of axum-login with this crate, beside the old layer and without it.

use std::{env, error::Error};

use axum::{
    Form, Router,
    extract::{Query, State},
    http::{StatusCode, Uri},
    middleware::from_fn,
    response::{ErrorResponse, Html, Redirect},
    routing::get,
};
use axum_login::{AuthManagerLayer, AuthUser as _, AuthnBackend as _};
use axum_messages::{Messages, MessagesManagerLayer};
use serde::Deserialize;
use tower_auth_session::{
    ConfigError, KeyRing, RequireSessionLayer, Session, SessionEngine, SessionJar, SessionLayer,
    SignIn, SigningKey, Subject, config::RedirectUrls,
};
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::{
    axum_login_claims::{Claims, with_lifetime},
    from_axum_login::{sign_out_of_both, take_over},
    users::{Backend, Credentials},
};

/// A form without `action` is sent to the URL of its page, which contains `next`.
const LOGIN: &str = r#"<form method="post"><input name="name"><input name="password" type="password">
<label><input name="remember" type="checkbox"> Remember me</label><button>Sign in</button></form>"#;
const SIGN_OUT: &str = r#"<form method="post" action="/sign-out"><button>Sign out</button></form>"#;

#[derive(Clone)]
struct App {
    backend: Backend,
    engine: SessionEngine<Claims>,
}

#[derive(Deserialize)]
struct LoginQuery {
    next: Option<String>,
}

#[derive(Deserialize)]
struct LoginForm {
    name: String,
    password: String,
    /// A browser sends a checkbox only if it is checked.
    remember: Option<String>,
}

fn text(messages: Messages) -> String {
    messages.into_iter().map(|it| it.message).collect()
}

async fn login_page(messages: Messages) -> Html<String> {
    Html(format!("<p>{}</p>{LOGIN}", text(messages)))
}

async fn login(
    State(app): State<App>,
    jar: SessionJar<Claims>,
    messages: Messages,
    uri: Uri,
    Query(query): Query<LoginQuery>,
    Form(form): Form<LoginForm>,
) -> Result<Redirect, ErrorResponse> {
    let credentials = Credentials { name: form.name, password: form.password };
    let found = app.backend.authenticate(credentials).await;
    let Some(user) = found.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)? else {
        messages.error("The name or the password is wrong.");
        return Ok(Redirect::to(&uri.to_string()));
    };
    let subject = Subject::new(user.id().to_string()).expect("a number is a valid subject");
    jar.sign_in(with_lifetime(SignIn::from_claims_source(subject), form.remember.is_some()))?;
    messages.success("You are signed in.");
    let next = query.next.and_then(|next| app.engine.redirect_target(&next));
    Ok(Redirect::to(next.as_ref().map_or("/", |target| target.as_str())))
}

async fn home(session: Session<Claims>, messages: Messages) -> Html<String> {
    let name = &session.claims().name; // escape it, for example with a template engine
    Html(format!("<p>{}</p><h1>Hello, {name}</h1>{SIGN_OUT}", text(messages)))
}

/// This crate's layer. All nodes have the same secret, also after a restart.
pub fn sessions(secret: &str, backend: Backend) -> Result<SessionLayer<Claims>, ConfigError> {
    let engine = SessionEngine::<Claims>::builder(KeyRing::new(SigningKey::hs256("1", secret)?))
        .origin("https://app.example.com")
        .redirect_urls(RedirectUrls::new().sign_in_url("/login").redirect_param("next"))
        .build()?;
    Ok(SessionLayer::new(engine).claims_source(backend))
}

pub fn routes(backend: Backend, sessions: &SessionLayer<Claims>) -> Router {
    let users = Router::new()
        .route("/users", get(|| async { "all users" }))
        .route_layer(RequireSessionLayer::new().permission::<Claims>("users"));
    Router::new()
        .route("/", get(home))
        .route_layer(RequireSessionLayer::new())
        .merge(users)
        .route("/login", get(login_page).post(login))
        .with_state(App { backend, engine: sessions.engine().clone() })
}

/// While both layers run. `old` is the layer of `AuthManagerLayerBuilder`.
pub fn both(
    routes: Router,
    sessions: SessionLayer<Claims>,
    old: AuthManagerLayer<Backend, MemoryStore>,
) -> Router {
    routes
        .layer(MessagesManagerLayer)
        .layer(from_fn(take_over))
        .layer(sessions)
        .layer(from_fn(sign_out_of_both))
        .layer(old) // outermost
}

/// After the old layer was removed. tower-sessions stays for messages.
pub fn after(
    routes: Router,
    sessions: SessionLayer<Claims>,
    visitors: SessionManagerLayer<MemoryStore>,
) -> Router {
    routes.layer(MessagesManagerLayer).layer(visitors).layer(sessions)
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error>> {
    let backend = Backend::new();
    let sessions = sessions(&env::var("SESSION_SECRET")?, backend.clone())?; // add your store
    tokio::spawn(sessions.background());
    let visitors = SessionManagerLayer::new(MemoryStore::default());
    let app = after(routes(backend, &sessions), sessions, visitors);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}
