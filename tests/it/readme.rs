//! What comments in the examples of README.md and the front page state is true.

use std::time::Duration;

use axum::{
    Router,
    response::{Html, Redirect},
    routing::{get as on_get, post as on_post},
};
use http::Request;
use tower_auth_session::{
    RequireSessionLayer, Session, SessionEngine, SessionJar, SessionLayer, SessionStatus, SignIn,
    config::{CookieConfig, LifetimeOverride, RedirectUrls},
    error::SignInError,
    testing::ManualClock,
    time::Timestamp,
};

use crate::support::{Browser, get, key, post, subject};

const README: &str = include_str!("../../README.md");

/// The comments in examples that state behaviour, and a test of each.
const COMMENTS: [(&str, &str); 8] = [
    ("After your own authentication, such as a password or a passkey:", ""),
    (
        "For http. In production, set an https `origin` instead: `build()` rejects both together.",
        "engine_settings_that_contradict_each_other_are_reported",
    ),
    (
        "the routes above: browsers are sent to /sign-in, scripts get 401",
        "first_program_answers_as_its_comments_state",
    ),
    (
        "after all routes; it answers `/sign-out` itself",
        "first_program_answers_as_its_comments_state",
    ),
    (
        "401 or a redirect if signed out, 403 without the role.",
        "guard_by_claim_answers_401_and_403",
    ),
    (
        "Ends after 12 hours; the cookie has no Max-Age.",
        "sign_in_that_is_not_remembered_ends_early",
    ),
    (
        "receives revocations from other processes",
        "node_with_the_feed_rejects_fresh_tokens_of_revoked_sessions",
    ),
    ("creates the tables", "tables_are_created_by_migrate_only"),
];

/// The comments in examples of the source that state behaviour, and a test of each. The other examples
/// assert what they show.
const SOURCE_COMMENTS: [(&str, &str, &str); 18] = [
    (
        "engine/session/lifetime.rs",
        "a changed role takes effect within this time",
        "claims_source_is_called_at_sign_in_and_renewal_only",
    ),
    (
        "engine/session/lifetime.rs",
        "Until a week has passed since the sign-in, whatever the activity:",
        "tokens_and_cookies_never_outlive_the_configured_limits",
    ),
    (
        "engine/redirect/settings.rs",
        "guards send users here, with `redirect_url`",
        "guard_answers_each_client_in_a_form_that_it_follows",
    ),
    (
        "engine/redirect/settings.rs",
        "while a task of the sign-in is open",
        "pending_session_is_signed_out_except_for_guards_that_allow_it",
    ),
    (
        "engine/redirect/settings.rs",
        "for routes that require a recent factor",
        "guard_freshness_counts_from_the_verification_of_a_factor",
    ),
    (
        "engine/redirect/settings.rs",
        "other accounts are still signed in",
        "sign_out_of_one_of_several_accounts_redirects_as_configured",
    ),
    (
        "engine/redirect/settings.rs",
        "in place of `redirect_url`",
        "redirect_parameter_of_the_account_chooser",
    ),
    (
        "engine/jar/mod.rs",
        "the active account",
        "sign_out_of_the_active_account_activates_no_other",
    ),
    (
        "engine/jar/mod.rs",
        "every account of this browser",
        "sign_out_of_all_removes_every_session_cookie",
    ),
    ("engine/jar/mod.rs", "the active account from now on", "switch_sets_the_active_cookie_only"),
    (
        "engine/jar/mod.rs",
        "one account, whichever is active",
        "sign_out_of_another_account_keeps_the_active_one",
    ),
    (
        "engine/jar/mod.rs",
        "for guards that require a recent factor",
        "guard_freshness_counts_from_the_verification_of_a_factor",
    ),
    (
        "engine/bearer/token.rs",
        "at most `BearerTokens::max_lifetime`",
        "session_in_a_handler_issues_bearer_tokens_within_the_limits",
    ),
    (
        "engine/bearer/token.rs",
        "one of `BearerTokens::audiences`",
        "token_request_accepts_only_allowed_lifetimes_and_audiences",
    ),
    (
        "engine/keys/key_ring/mod.rs",
        "every node verifies with it",
        "requests_during_a_key_rotation_stay_signed_in",
    ),
    (
        "engine/keys/key_ring/mod.rs",
        "it signs",
        "session_stays_valid_through_any_number_of_rotations",
    ),
    (
        "engine/request/session.rs",
        "signed out, revoked or expired: close the stream",
        "stream_ends_when_its_session_is_revoked_on_any_node",
    ),
    (
        "engine/cookie/config.rs",
        "`__Host-shop; Secure; HttpOnly; SameSite=Lax; Path=/`",
        "browser_stores_and_removes_the_cookie_in_every_configuration",
    ),
];

#[test]
fn comments_in_examples_of_the_source_have_tests() {
    let tests = read_all("tests/it");
    for (file, comment, test) in SOURCE_COMMENTS {
        let source = std::fs::read_to_string(format!("src/{file}")).unwrap();
        let states = |line: &str| line.trim_start().starts_with("///") && line.ends_with(comment);
        assert!(source.lines().any(states), "{file} no longer states: {comment}");
        assert!(tests.contains(&format!("fn {test}(")), "no test {test}");
    }
}

/// The comments in the Rust examples of README.md.
fn comments() -> Vec<&'static str> {
    let mut found = Vec::new();
    for block in README.split("```rust").skip(1) {
        let code = block.split("```").next().unwrap();
        for line in code.lines() {
            let comment = line.split_once("// ").filter(|(before, _)| !before.ends_with(':'));
            found.extend(comment.map(|(_, comment)| comment.trim()));
        }
    }
    found
}

#[test]
fn every_comment_of_an_example_has_a_test() {
    let tests: String = ["it", "sql"].map(|folder| read_all(&format!("tests/{folder}"))).concat();
    let listed: Vec<_> = COMMENTS.iter().map(|(comment, _)| *comment).collect();
    let comments = comments();
    for comment in &comments {
        assert!(listed.contains(comment), "README.md: a comment without a test: {comment}");
    }
    for (comment, test) in COMMENTS {
        assert!(comments.contains(&comment), "README.md no longer states: {comment}");
        assert!(test.is_empty() || tests.contains(&format!("fn {test}(")), "no test {test}");
    }
}

fn read_all(folder: &str) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &read_all(path.to_str().unwrap());
        } else if path.extension().is_some_and(|it| it == "rs") {
            text += &std::fs::read_to_string(path).unwrap();
        }
    }
    text
}

#[derive(serde::Serialize, serde::Deserialize)]
struct User {
    name: String,
    admin: bool,
}

const SIGN_IN: &str = r#"<form method="post"><button>Sign in as Ada</button></form>"#;
const SIGN_OUT: &str = r#"<form method="post" action="/sign-out"><button>Sign out</button></form>"#;

async fn sign_in(jar: SessionJar<User>) -> Result<Redirect, SignInError> {
    jar.sign_in(SignIn::new(subject("user-1815"), User { name: "Ada".into(), admin: false }))?;
    Ok(Redirect::to("/"))
}

async fn home(session: Session<User>) -> Html<String> {
    Html(format!("<h1>Hello, {}</h1>{SIGN_OUT}", session.claims().name))
}

/// The first program, with another key and without its listener.
fn first_program() -> Router {
    let engine = SessionEngine::<User>::builder(tower_auth_session::KeyRing::new(key("readme")))
        .redirect_urls(RedirectUrls::new().sign_in_url("/sign-in"))
        .cookie(CookieConfig::default().insecure_for_development())
        .build()
        .unwrap();
    Router::new()
        .route("/", on_get(home))
        .route_layer(RequireSessionLayer::new())
        .route("/sign-in", on_get(Html(SIGN_IN)).post(sign_in))
        .layer(SessionLayer::new(engine))
        .route(
            "/later",
            on_get(|status: Option<axum::Extension<SessionStatus>>| async move {
                status.is_some().to_string()
            }),
        )
}

fn navigation() -> Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = get("/");
    let headers = request.headers_mut();
    headers.insert("sec-fetch-mode", "navigate".parse().unwrap());
    headers.insert("sec-fetch-dest", "document".parse().unwrap());
    headers.insert("accept", "text/html".parse().unwrap());
    request
}

/// A form that the browser sends to this host.
fn form(path: &str) -> Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = post(path, "");
    let headers = request.headers_mut();
    headers.insert("host", "127.0.0.1:3000".parse().unwrap());
    headers.insert("origin", "http://127.0.0.1:3000".parse().unwrap());
    request
}

#[tokio::test]
async fn first_program_answers_as_its_comments_state() {
    let app = first_program();
    let mut browser = Browser::default();
    assert_eq!(browser.send(&app, get("/")).await.status, 401);
    let redirected = browser.send(&app, navigation()).await;
    assert_eq!(redirected.header("location"), "/sign-in?redirect_url=%2F");
    assert_eq!(browser.send(&app, get("/sign-in")).await.text(), SIGN_IN);

    let signed_in = browser.send(&app, form("/sign-in")).await;
    assert_eq!(signed_in.header("location"), "/");
    assert!(!signed_in.set_cookies()[0].contains("Secure"), "{:?}", signed_in.set_cookies());
    let page = browser.send(&app, get("/")).await;
    assert!(page.text().starts_with("<h1>Hello, Ada</h1>"), "{}", page.text());
    assert_eq!(browser.send(&app, get("/later")).await.text(), "false", "after the layer");
    assert_eq!(browser.send(&app, form("/sign-out")).await.status, 303, "the layer answers it");
    assert_eq!(browser.send(&app, get("/")).await.status, 401);
}

const DAY: Duration = Duration::from_secs(24 * 3600);

fn sign_in_for(jar: &SessionJar, remember: bool) -> Result<(), SignInError> {
    let user = SignIn::new(subject("ada"), ());
    let user = if remember {
        user.lifetime(LifetimeOverride::both(30 * DAY))
    } else {
        user.lifetime(LifetimeOverride::both(DAY / 2)).persistent(false)
    };
    jar.sign_in(user).map(drop)
}

#[tokio::test]
async fn sign_in_that_is_not_remembered_ends_early() {
    let clock = ManualClock::at(Timestamp::from_unix_seconds(crate::support::START));
    let engine = SessionEngine::<()>::builder(tower_auth_session::KeyRing::new(key("readme")))
        .origin(crate::support::ORIGIN)
        .build()
        .unwrap();
    let layer = SessionLayer::new(engine).clock(clock.clone());
    let app = Router::new()
        .route("/remembered", on_post(async |jar: SessionJar| sign_in_for(&jar, true)))
        .route("/once", on_post(async |jar: SessionJar| sign_in_for(&jar, false)))
        .route("/", on_get(async |_: Session| {}))
        .layer(layer);
    let (mut remembered, mut once) = (Browser::default(), Browser::default());
    let response = remembered.send(&app, post("/remembered", "")).await;
    assert!(response.set_cookies()[0].contains("Max-Age=2592000"), "{:?}", response.set_cookies());
    let response = once.send(&app, post("/once", "")).await;
    assert!(!response.set_cookies()[0].contains("Max-Age"), "{:?}", response.set_cookies());
    clock.advance(DAY / 2);
    assert_eq!(once.send(&app, get("/")).await.status, 401);
    assert_eq!(remembered.send(&app, get("/")).await.status, 200);
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Member {
    admin: bool,
}

#[tokio::test]
async fn guard_by_claim_answers_401_and_403() {
    let engine = SessionEngine::<Member>::builder(tower_auth_session::KeyRing::new(key("readme")))
        .origin(crate::support::ORIGIN)
        .redirect_urls(RedirectUrls::new().sign_in_url("/sign-in"))
        .build()
        .unwrap();
    let clock = ManualClock::at(Timestamp::from_unix_seconds(crate::support::START));
    let layer = SessionLayer::new(engine).clock(clock);
    let app = Router::new()
        .route("/", on_get(|| async {}))
        .layer(RequireSessionLayer::new().claims(|user: &Member| user.admin))
        .layer(layer.clone());
    assert_eq!(Browser::default().send(&app, get("/")).await.status, 401);
    assert_eq!(Browser::default().send(&app, navigation()).await.status, 303);
    for (admin, status) in [(false, 403), (true, 200)] {
        let sign_in = SignIn::new(subject("ada"), Member { admin });
        let mut browser = Browser::signed_in(&layer, sign_in);
        assert_eq!(browser.send(&app, get("/")).await.status, status);
    }
}

async fn sign_in_ada(jar: SessionJar) -> Result<(), SignInError> {
    jar.sign_in(SignIn::new(subject("ada"), ())).map(drop)
}

/// The front page: "Request extensions".
#[tokio::test]
async fn extensions_hold_the_status_and_the_session_and_not_the_jar() {
    let engine = SessionEngine::<()>::builder(tower_auth_session::KeyRing::new(key("readme")))
        .origin(crate::support::ORIGIN)
        .build()
        .unwrap();
    let layer = SessionLayer::new(engine);
    let handler = |request: axum::extract::Request| async move {
        let extensions = request.extensions();
        let status = extensions.get::<SessionStatus>().expect("always there");
        assert!(status.jar::<()>().is_some(), "the jar is reached through the status");
        assert!(extensions.get::<SessionJar>().is_none());
        extensions.get::<Session>().is_some().to_string()
    };
    let app = Router::new()
        .route("/", on_get(handler))
        .route("/sign-in", on_post(sign_in_ada))
        .layer(layer);
    let mut browser = Browser::default();
    assert_eq!(browser.send(&app, get("/")).await.text(), "false");
    browser.send(&app, post("/sign-in", "")).await;
    assert_eq!(browser.send(&app, get("/")).await.text(), "true");
}
