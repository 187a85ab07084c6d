//! Each error of this crate as a response of a handler.

use std::{collections::BTreeSet, fs, path::Path};

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get as on_get,
};
use http_body_util::BodyExt as _;
use tower_auth_session::{
    SessionId, SessionJar, Subject,
    bearer::BearerTokenError,
    claims::ClaimsError,
    config::{Origin, TimeLimit},
    engine::SessionTask,
    error::{
        CommitError, FinishFlowError, RandomError, RedirectError, SignInError, StartFlowError,
        TaskError, TokenError, TouchError, UpdateClaimsError,
    },
    store::StoreError,
};

use crate::support::{Browser, SID_A, User, get, layer, probe::now_or_never};

/// The names that `src/error/mod.rs` exports and that are no errors.
const NO_ERRORS: [&str; 2] = ["ConfigProblem", "RejectionReason"];

/// A jar of a request without a session, in a layer without a store.
async fn jar() -> SessionJar<User> {
    let (layer, ..) = layer();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let app = Router::new()
        .route("/", on_get(async move |jar: SessionJar<User>| sender.send(jar).unwrap()))
        .layer(layer);
    Browser::default().send(&app, get("/")).await;
    receiver.recv().await.unwrap()
}

#[tokio::test]
async fn every_public_error_is_a_response_with_its_status_and_code() {
    let jar = jar().await;
    let id: SessionId = SID_A.parse().unwrap();
    let table: Vec<(&str, Response, u16, &str)> = vec![
        ("SignInError", SignInError::Closed.into_response(), 500, "internal"),
        ("CommitError", CommitError::StoreUnavailable.into_response(), 503, "unavailable"),
        ("CommitError", CommitError::TooManySessions.into_response(), 409, "too_many_sessions"),
        ("UpdateClaimsError", UpdateClaimsError::SignedOut.into_response(), 401, "signed_out"),
        ("FinishFlowError", FinishFlowError::Unknown.into_response(), 400, "unknown_flow"),
        ("FinishFlowError", FinishFlowError::Expired.into_response(), 400, "unknown_flow"),
        ("StartFlowError", StartFlowError::NoKey.into_response(), 500, "internal"),
        (
            "StartFlowError",
            StartFlowError::CookieBudget { bytes: 2, budget: 1 }.into_response(),
            409,
            "too_many_accounts",
        ),
        ("TaskError", TaskError::NotPending.into_response(), 401, "signed_out"),
        ("BearerTokenError", BearerTokenError::Pending.into_response(), 403, "pending"),
        ("TouchError", TouchError::NoStore.into_response(), 500, "internal"),
        ("TouchError", TouchError::BearerToken.into_response(), 403, "from_bearer_token"),
        ("TouchError", TouchError::SessionEnded.into_response(), 401, "signed_out"),
        ("TouchError", TouchError::Unavailable.into_response(), 503, "unavailable"),
        ("NotSignedIn", jar.switch_to(id).unwrap_err().into_response(), 409, "not_signed_in_here"),
        (
            "StoreRequired",
            jar.sign_out_everywhere(None).unwrap_err().into_response(),
            400,
            "needs_store",
        ),
        ("StoreError", StoreError::unavailable("down").into_response(), 503, "unavailable"),
        ("StoreError", StoreError::Corrupt("x").into_response(), 500, "internal"),
        ("InvalidId", "x".parse::<SessionId>().unwrap_err().into_response(), 400, "bad_session_id"),
        ("InvalidSubject", Subject::new("").unwrap_err().into_response(), 400, "bad_subject"),
        ("InvalidTask", SessionTask::new("").unwrap_err().into_response(), 400, "bad_task"),
        ("RedirectError", RedirectError::Path.into_response(), 400, "bad_redirect_url"),
        (
            "InvalidTimeLimit",
            "x".parse::<TimeLimit>().unwrap_err().into_response(),
            400,
            "bad_time_limit",
        ),
        ("TokenError", TokenError::Expired.into_response(), 401, "signed_out"),
        ("ClaimsError", ClaimsError::NotAMap.into_response(), 500, "internal"),
        ("ConfigError", Origin::parse("x").unwrap_err().into_response(), 500, "internal"),
        ("RandomError", RandomError::new().into_response(), 500, "internal"),
    ];
    let mut covered: BTreeSet<String> = NO_ERRORS.map(str::to_owned).into();
    for (name, response, status, code) in table {
        assert_eq!(response.status(), status, "{name}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{name}");
        assert_eq!(response.headers()["cache-control"], "no-store", "{name}");
        let body = now_or_never(response.into_body().collect()).unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], code, "{name}");
        covered.insert(name.to_owned());
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/error/mod.rs");
    let exports = fs::read_to_string(file).unwrap();
    let exports = exports.split("pub use").skip(1).collect::<String>();
    let names = exports.split(|c: char| !c.is_alphanumeric() && c != '_');
    for name in names.filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase())) {
        assert!(covered.contains(name), "{name} is in no row");
    }
}

/// A handler that is also used without a layer.
#[tokio::test]
async fn optional_jar_is_none_only_without_a_layer() {
    async fn has_jar(jar: Option<SessionJar<User>>) -> String {
        jar.is_some().to_string()
    }
    let app = Router::new().route("/", on_get(has_jar));
    let other_claims = Router::new()
        .route("/", on_get(async |jar: Option<SessionJar<()>>| jar.is_some().to_string()))
        .layer(layer().0);
    let mut browser = Browser::default();
    assert_eq!(browser.send(&app, get("/")).await.text(), "false");
    assert_eq!(browser.send(&app.layer(layer().0), get("/")).await.text(), "true");
    assert_eq!(browser.send(&other_claims, get("/")).await.status, 500);
}
