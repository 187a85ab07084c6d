//! Signing in with OpenID Connect: authorization code with PKCE, several accounts in one browser, and
//! sign-out at the provider.
//!
//! The crate `openidconnect` speaks with the provider, `tower-auth-session` keeps the nonce and the PKCE
//! verifier in a flow until the user returns, and the session afterwards. README.md says how to start it.

mod pages;
mod provider;

use std::env;

use axum::{
    Form, Router,
    extract::{Query, State},
    http::{Method, StatusCode, Uri},
    response::{ErrorResponse, IntoResponse, Redirect, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use tower_auth_session::{
    Algorithm, KeyRing, RequireSessionLayer, Session, SessionEngine, SessionJar, SessionLayer,
    SignIn, SigningKey,
    config::{CookieConfig, RedirectTarget, RedirectUrls},
    flow::Flow,
};

use crate::provider::{Failure, Login, Provider};

/// The claims of a session, from the ID token.
#[derive(Clone, Serialize, Deserialize)]
struct User {
    name: String,
    email: Option<String>,
}

#[derive(Clone)]
struct App {
    provider: Provider,
    engine: SessionEngine<User>,
}

/// A sign-in with the code that the provider's form brought.
#[derive(Serialize, Deserialize)]
struct AnsweredLogin {
    code: String,
    login: Login,
}

#[derive(Deserialize)]
struct SignInQuery {
    redirect_url: Option<String>,
}

/// The provider's answer (RFC 6749 §4.1.2): a code or an error, and our `state`.
#[derive(Deserialize)]
struct Answer {
    state: String,
    code: Option<String>,
    error: Option<String>,
}

type Outcome<T = Redirect> = Result<T, ErrorResponse>;

/// Sends the user to the provider.
async fn sign_in(
    State(app): State<App>,
    jar: SessionJar<User>,
    Query(query): Query<SignInQuery>,
) -> Outcome {
    let (request, login) = app.provider.authorization().await.map_err(pages::provider_failed)?;
    let return_to = query.redirect_url.and_then(|url| app.engine.redirect_target(&url));
    let flow = Flow::new(login).same_site(app.provider.same_site()).return_to(return_to);
    let state = jar.start_flow(flow)?;
    // A second account needs a sign-in of its own, although the provider still knows the first one.
    let adds_account = !jar.accounts().is_empty();
    Ok(Redirect::to(request.url(state, adds_account).as_str()))
}

/// The provider answers by a redirect.
async fn callback(
    State(app): State<App>,
    jar: SessionJar<User>,
    Query(answer): Query<Answer>,
) -> Outcome {
    let flow = jar.finish_flow::<Login>(&answer.state)?;
    let code = answer.code.ok_or_else(|| pages::refused(answer.error.as_deref()))?;
    complete(&app, &jar, flow.data, code, flow.return_to).await
}

/// The provider answers by a form (`form_post`). A form of another site comes without the cookies of
/// sessions, so a page of this site completes the sign-in. The code travels to it in a flow, not in a
/// URL.
async fn callback_form(jar: SessionJar<User>, Form(answer): Form<Answer>) -> Outcome {
    let flow = jar.finish_flow::<Login>(&answer.state)?;
    let code = answer.code.ok_or_else(|| pages::refused(answer.error.as_deref()))?;
    let answered = AnsweredLogin { code, login: flow.data };
    let next = jar.start_flow(Flow::new(answered).return_to(flow.return_to))?;
    Ok(Redirect::to(&format!("/callback/form?state={next}")))
}

async fn after_form(
    State(app): State<App>,
    jar: SessionJar<User>,
    Query(answer): Query<Answer>,
) -> Outcome {
    let flow = jar.finish_flow::<AnsweredLogin>(&answer.state)?;
    let AnsweredLogin { code, login } = flow.data;
    complete(&app, &jar, login, code, flow.return_to).await
}

/// Exchanges the code for an ID token, and signs its subject in.
async fn complete(
    app: &App,
    jar: &SessionJar<User>,
    login: Login,
    code: String,
    return_to: Option<RedirectTarget>,
) -> Outcome {
    let identity = app.provider.exchange(code, login).await;
    let (subject, user) = identity.map_err(pages::provider_failed)?;
    jar.sign_in(SignIn::new(subject, user))?;
    Ok(Redirect::to(return_to.as_ref().map_or("/", RedirectTarget::as_str)))
}

async fn home(session: Option<Session<User>>, jar: SessionJar<User>) -> Response {
    pages::home(session.as_ref(), &jar.accounts()).into_response()
}

async fn account(session: Session<User>) -> Response {
    pages::account(&session).into_response()
}

async fn not_found(method: Method, uri: Uri) -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, format!("no {method} {}", uri.path()))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_env_filter(env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()))
        .init();
    let listener = tokio::net::TcpListener::bind(setting("LISTEN", "127.0.0.1:3000")).await?;
    let default_origin = format!("http://{}", listener.local_addr()?);
    let origin = setting("ORIGIN", &default_origin);
    let provider = Provider::discover(&origin).await?;

    // A service keeps its key: tower_auth_session::keys::KeyFile reads one.
    let keys = KeyRing::new(SigningKey::generate("example", Algorithm::EdDsa)?);
    let mut cookie = CookieConfig::default();
    if setting("INSECURE_COOKIES", "off") == "on" {
        // Safari keeps no Secure cookies over plain http, also not of this machine.
        cookie = cookie.insecure_for_development();
    }
    let urls = RedirectUrls::new()
        .sign_in_url("/sign-in")
        // Signing out of all accounts ends the provider's session too. Signing out of one account ends
        // only this application's session, and redirects to the account chooser at /sign-in/choose.
        .after_sign_out_url(provider.sign_out_url());
    let engine = SessionEngine::builder(keys)
        .origin(&origin)
        .cookie(cookie)
        .multi_session(true)
        .redirect_urls(urls)
        .build()?;

    let guarded =
        Router::new().route("/account", get(account)).route_layer(RequireSessionLayer::new());
    let app = Router::new()
        .route("/", get(home))
        .route("/sign-in", get(sign_in))
        .route("/callback", get(callback).post(callback_form))
        .route("/callback/form", get(after_form))
        .merge(guarded)
        .fallback(not_found)
        .with_state(App { provider, engine: engine.clone() })
        .layer(SessionLayer::new(engine));
    println!("listening on {origin}");
    axum::serve(listener, app).with_graceful_shutdown(stopped()).await?;
    Ok(())
}

/// An environment variable, or its default.
fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Resolves at SIGTERM or Ctrl-C.
async fn stopped() {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => _ = terminate.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
