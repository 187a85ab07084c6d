//! What comments in the examples of README.md and the front page state is true.

use axum::{
    Router,
    response::Redirect,
    routing::{get as on_get, post as on_post},
};
use http::Request;
use tower_auth_session::{
    RequireSessionLayer, Session, SessionEngine, SessionJar, SessionLayer, SessionStatus, SignIn,
    config::{CookieConfig, RedirectUrls},
    error::SignInError,
};

use crate::support::{Browser, TestResponse, get, key, post, subject};

const README: &str = include_str!("../../README.md");

/// The comments in examples that state behaviour, and a test of each.
const COMMENTS: [(&str, &str); 13] = [
    ("After your own authentication, such as a password or a passkey:", ""),
    (
        "In production, use an https origin and remove this line: `build()` rejects both together.",
        "engine_settings_that_contradict_each_other_are_reported",
    ),
    (
        "401 if signed out; with a `sign_in_url`, browsers are redirected to it",
        "first_program_answers_as_its_comments_state",
    ),
    (
        "after all routes: `layer` applies to those before it",
        "first_program_answers_as_its_comments_state",
    ),
    (
        "401 or a redirect if signed out, 403 without the role.",
        "guard_by_claim_answers_401_and_403",
    ),
    ("answers preflights for the endpoints too", "cors_layer_outside_covers_the_endpoints"),
    (
        "Guards treat the session as signed out until the second factor is verified; it then gets a new id.",
        "completing_the_last_task_starts_a_new_session_and_revokes_the_pending_one",
    ),
    (
        "Records that the password was verified again, for routes behind `first_factor_within`.",
        "guard_freshness_counts_from_the_verification_of_a_factor",
    ),
    (
        "Records the acting user; lasts at most one hour.",
        "impersonation_lifetime_limits_every_impersonated_session",
    ),
    ("no cookies, no endpoints; guards work as usual", "verify_only_layer_serves_no_endpoints"),
    (
        "receives revocations from other processes",
        "node_with_the_feed_rejects_fresh_tokens_of_revoked_sessions",
    ),
    ("creates the tables", "tables_are_created_by_migrate_only"),
    ("separate tables", "sqlite_store_fulfils_the_contract"),
];

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

async fn sign_in(jar: SessionJar) -> Result<Redirect, SignInError> {
    jar.sign_in(SignIn::new(subject("ada"), ()))?;
    Ok(Redirect::to("/me"))
}

async fn me(session: Session) -> String {
    format!("{}, signed in until {}", session.subject(), session.expires_at())
}

fn first_program(redirects: RedirectUrls) -> Router {
    let engine = SessionEngine::<()>::builder(tower_auth_session::KeyRing::new(key("readme")))
        .origin("http://127.0.0.1:3000")
        .cookie(CookieConfig::default().insecure_for_development())
        .redirect_urls(redirects)
        .build()
        .unwrap();
    Router::new()
        .route("/sign-in", on_post(sign_in))
        .route("/me", on_get(me))
        .layer(SessionLayer::new(engine))
        .route(
            "/later",
            on_get(|status: Option<axum::Extension<SessionStatus>>| async move {
                status.is_some().to_string()
            }),
        )
}

fn navigation() -> Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = get("/me");
    let headers = request.headers_mut();
    headers.insert("sec-fetch-mode", "navigate".parse().unwrap());
    headers.insert("sec-fetch-dest", "document".parse().unwrap());
    headers.insert("accept", "text/html".parse().unwrap());
    request
}

fn form(path: &str) -> Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = post(path, "");
    request.headers_mut().insert("origin", "http://127.0.0.1:3000".parse().unwrap());
    request
}

#[tokio::test]
async fn first_program_answers_as_its_comments_state() {
    let app = first_program(RedirectUrls::new());
    let mut browser = Browser::default();
    for request in [get("/me"), navigation()] {
        let response: TestResponse = browser.send(&app, request).await;
        assert_eq!((response.status.as_u16(), response.header("location")), (401, ""));
    }
    let with_page = first_program(RedirectUrls::new().sign_in_url("/sign-in"));
    assert_eq!(browser.send(&with_page, get("/me")).await.status, 401);
    let redirected = browser.send(&with_page, navigation()).await;
    assert_eq!(redirected.header("location"), "/sign-in?redirect_url=%2Fme");

    let signed_in = browser.send(&app, form("/sign-in")).await;
    assert_eq!(signed_in.header("location"), "/me");
    assert!(!signed_in.set_cookies()[0].contains("Secure"), "{:?}", signed_in.set_cookies());
    let page = browser.send(&app, get("/me")).await;
    assert!(page.text().starts_with("ada, signed in until 2"), "{}", page.text());
    assert_eq!(browser.send(&app, get("/later")).await.text(), "false", "after the layer");
    assert_eq!(browser.send(&app, form("/sign-out")).await.status, 303, "the layer answers it");
    assert_eq!(browser.send(&app, get("/me")).await.status, 401);
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
    let clock = tower_auth_session::testing::ManualClock::at(
        tower_auth_session::time::Timestamp::from_unix_seconds(crate::support::START),
    );
    let layer = SessionLayer::new(engine).clock(clock);
    let app = Router::new()
        .route("/me", on_get(|| async {}))
        .layer(RequireSessionLayer::new().claims(|user: &Member| user.admin))
        .layer(layer.clone());
    assert_eq!(Browser::default().send(&app, get("/me")).await.status, 401);
    assert_eq!(Browser::default().send(&app, navigation()).await.status, 303);
    for (admin, status) in [(false, 403), (true, 200)] {
        let sign_in = SignIn::new(subject("ada"), Member { admin });
        let mut browser = Browser::signed_in(&layer, sign_in);
        assert_eq!(browser.send(&app, get("/me")).await.status, status);
    }
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
    let app =
        Router::new().route("/", on_get(handler)).route("/sign-in", on_post(sign_in)).layer(layer);
    let mut browser = Browser::default();
    assert_eq!(browser.send(&app, get("/")).await.text(), "false");
    browser.send(&app, post("/sign-in", "")).await;
    assert_eq!(browser.send(&app, get("/")).await.text(), "true");
}
