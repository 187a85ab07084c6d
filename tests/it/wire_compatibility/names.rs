//! The names that clients, operators, other services and stores know, literally.

use std::{collections::BTreeSet, convert::Infallible};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer as _, service_fn};
use tower_auth_session::{
    RequireSessionLayer, SessionLayer, SessionOptions, SignIn,
    bearer::BearerTokens,
    claims::RESERVED_CLAIMS,
    engine::{Actor, SESSION_ACTIVITY_HEADER, SESSION_ID_HEADER, SessionTask},
};

use super::{Person, builder, person};
use crate::support::{Browser, ORIGIN, SID_A, get, layer_on, post, seconds, subject};

/// Columns that migration `0002` adds to `auth_sessions`.
#[cfg(feature = "sqlite")]
pub(super) const ADDED_COLUMNS: [&str; 6] =
    ["kind", "lineage_current", "lineage_previous", "lineage_rotated_at", "bound_key", "bound_at"];

/// The tables of both SQL stores, by name, and their columns in order.
pub(super) const SQL_COLUMNS: [(&str, &[&str]); 4] = [
    (
        "auth_revocations",
        &["position", "xact", "told_at", "kind", "session_id", "subject", "signed_in_before"],
    ),
    (
        "auth_sessions",
        &[
            "id",
            "subject",
            "status",
            "signed_in_at",
            "last_active_at",
            "expires_at",
            "device_label",
            "device_ip",
            "deletable_at",
        ],
    ),
    ("auth_store", &["version", "epoch", "trimmed_position", "trimmed_xact", "trimmed_at"]),
    ("auth_watermarks", &["subject", "signed_in_before", "set_at"]),
];

const VARIABLES: [&str; 17] = [
    "SESSION_INACTIVITY_TIMEOUT",
    "SESSION_MAXIMUM_LIFETIME",
    "SESSION_RENEW_AFTER",
    "SESSION_MULTI",
    "SESSION_SIGN_IN_URL",
    "SESSION_AFTER_SIGN_OUT_URL",
    "SESSION_AFTER_MULTI_SESSION_SINGLE_SIGN_OUT_URL",
    "SESSION_ORIGIN",
    "SESSION_ALLOWED_REDIRECT_ORIGINS",
    "SESSION_TASKS_URL",
    "SESSION_REVERIFY_URL",
    "SESSION_NOT_BEFORE",
    "SESSION_COPIED_COOKIES",
    "SESSION_COPIED_COOKIES_GRACE",
    "SESSION_DEVICE_BOUND",
    "SESSION_BOUND_FOR",
    "SESSION_BINDING_TOLERANCE",
];

#[test]
fn request_headers_and_reserved_claims_keep_their_names() {
    assert_eq!([SESSION_ID_HEADER, SESSION_ACTIVITY_HEADER], ["session-id", "session-activity"]);
    let reserved: BTreeSet<_> = RESERVED_CLAIMS.iter().copied().collect();
    let expected = [
        "acr",
        "act",
        "amr",
        "aud",
        "auth_time",
        "azp",
        "cnf",
        "exp",
        "factors_at",
        "fva",
        "iat",
        "inactivity_timeout",
        "iss",
        "jti",
        "last_active_at",
        "maximum_lifetime",
        "nbf",
        "pending_tasks",
        "persistent",
        "sid",
        "sts",
        "sub",
        "v",
    ];
    // A new reserved claim would break the applications that use its name.
    assert_eq!(reserved, BTreeSet::from(expected));
}

#[test]
fn environment_variables_keep_their_names() {
    for name in VARIABLES {
        let error = SessionOptions::from_vars("SESSION_", [(name, "")]).unwrap_err().to_string();
        assert!(error.contains(&format!("{name} = \"\"")), "{error}");
    }
}

#[test]
fn migrations_keep_the_names_of_tables_and_columns() {
    for migration in [
        include_str!("../../../migrations/sqlite/0001_sessions.sql"),
        include_str!("../../../migrations/postgres/0001_sessions.sql"),
    ] {
        for (table, columns) in SQL_COLUMNS {
            let start = migration.find(&format!("CREATE TABLE {table} (")).unwrap();
            let (_, body) = migration[start..].split_once('\n').unwrap();
            let (body, _) = body.split_once("\n)").unwrap();
            let lines = body.lines().map(str::trim).filter(|line| !line.starts_with("--"));
            let found: Vec<_> = lines.map(|line| line.split(' ').next().unwrap()).collect();
            assert_eq!(found, columns, "{table}");
        }
    }
}

#[cfg(feature = "redis")]
#[test]
fn redis_keys_start_with_session_by_default() {
    assert_eq!(tower_auth_session::store::RedisStore::DEFAULT_PREFIX, "session");
}

fn layer() -> (SessionLayer<Person>, tower_auth_session::testing::ManualClock) {
    let tokens = BearerTokens::new().max_lifetime(seconds(60)).accept(true);
    layer_on(builder("HS256").multi_session(true).bearer_tokens(tokens))
}

fn ada() -> SignIn<Person> {
    SignIn::new(subject("ada"), person("ADA"))
}

/// The problem report of a response.
async fn problem(
    layer: &SessionLayer<Person>,
    browser: &mut Browser,
    request: Request<Full<Bytes>>,
) -> (u16, Value) {
    let app = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let guard = match request.uri().path() {
        "/fresh" => RequireSessionLayer::new().first_factor_within(seconds(30)),
        "/own" => RequireSessionLayer::new().deny_impersonated(),
        "/grace" => RequireSessionLayer::new().claims(|person: &Person| person.name == "GRACE"),
        _ => RequireSessionLayer::new(),
    };
    let what = format!("{} {}", request.method(), request.uri());
    let response = browser.send(&layer.layer(guard.layer(app)), request).await;
    assert_eq!(response.header("content-type"), "application/problem+json", "{what}");
    (response.status.as_u16(), serde_json::from_slice(&response.body).unwrap())
}

fn with_header(
    mut request: Request<Full<Bytes>>,
    name: &'static str,
    value: &'static str,
) -> Request<Full<Bytes>> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

#[tokio::test]
async fn problem_reports_keep_their_codes_and_members() {
    let large = Box::leak("x".repeat(9_000).into_boxed_str());
    let mut members = BTreeSet::new();
    let foreign = |request| with_header(request, "origin", "https://evil.example");
    let signed_out = || Browser::default();
    let (site, clock) = layer();
    let signed_in = || Browser::signed_in(&site, ada());
    let pending = || Browser::signed_in(&site, ada().with_tasks([SessionTask::SECOND_FACTOR]));
    let support = || Actor::new(subject("support"));
    let impersonated = || Browser::signed_in(&site, ada().impersonated_by(support()));
    let none_active = || {
        let mut browser = signed_in();
        browser.cookies.insert("__Host-session.active".to_owned(), "none".to_owned());
        browser
    };
    // The factors of all sessions below were verified 40 seconds ago.
    clock.advance(seconds(40));
    let websocket = || with_header(get("/"), "upgrade", "websocket");
    for (mut browser, request, status, code) in [
        (signed_out(), get("/"), 401, "signed_out"),
        (none_active(), get("/"), 401, "choose"),
        (pending(), get("/"), 403, "pending"),
        (signed_in(), with_header(get("/"), SESSION_ID_HEADER, SID_A), 409, "session_mismatch"),
        (signed_in(), get("/grace"), 403, "forbidden"),
        (impersonated(), get("/own"), 403, "impersonated"),
        (signed_in(), foreign(websocket()), 403, "cross_origin"),
        (signed_in(), foreign(post("/sign-out", "")), 403, "cross_origin"),
        (signed_in(), get("/sign-out"), 405, "method_not_allowed"),
        (signed_in(), post("/sign-out", "scope=all"), 400, "bad_scope"),
        (signed_in(), post("/session/switch", ""), 400, "bad_session_id"),
        (
            signed_in(),
            with_header(post("/session/switch", "session_id=x"), "accept", "application/json"),
            409,
            "not_signed_in_here",
        ),
        (signed_in(), post("/session/switch", large), 413, "body_too_large"),
        (
            signed_in(),
            with_header(post("/session/switch", "[]"), "content-type", "application/json"),
            400,
            "bad_json",
        ),
        (
            signed_in(),
            with_header(post("/session/switch", "x"), "content-type", "text/plain"),
            415,
            "unsupported_media_type",
        ),
        (signed_in(), post("/session/token", "lifetime=x"), 400, "bad_lifetime"),
        (signed_in(), post("/session/token", "lifetime=61"), 422, "lifetime_not_allowed"),
        (signed_in(), post("/session/token", "audience=a&audience=b"), 400, "bad_audience"),
        (signed_in(), post("/session/token", "audience=a"), 422, "audience_not_allowed"),
        (signed_in(), get("/fresh"), 401, "not_fresh"),
    ] {
        let what = format!("{} {code}", request.uri());
        let (found, report) = problem(&site, &mut browser, request).await;
        assert_eq!((found, &report["code"]), (status, &json!(code)), "{what}: {report}");
        assert_eq!(report["status"], status, "{what}");
        members.extend(report.as_object().unwrap().keys().cloned());
        match code {
            "choose" => assert_eq!(report["choose"], "/sign-in/choose"),
            "pending" => assert_eq!(report["tasks"], json!(["second-factor"])),
            "not_fresh" => {
                assert_eq!(report["reverification"], json!({ "factor": "first", "max_age": 30 }));
            }
            _ => {}
        }
    }
    assert_eq!(
        json!(members),
        json!(["choose", "code", "detail", "reverification", "status", "tasks", "title"])
    );
    let missing = RequireSessionLayer::new().layer(service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let response = signed_out().send(&missing, get("/")).await;
    assert!(response.text().contains(r#""code":"layer_missing""#), "{}", response.text());
}

/// The errors of handlers, as responses.
#[cfg(feature = "axum")]
#[tokio::test]
async fn errors_keep_their_problem_codes() {
    use axum::response::IntoResponse as _;
    use tower_auth_session::{
        bearer::BearerTokenError,
        error::{CommitError, FinishFlowError, SignInError},
    };

    for (response, status, code) in [
        (SignInError::NestedImpersonation.into_response(), 403, "impersonating"),
        (SignInError::TooManyAccounts { max: 5 }.into_response(), 409, "too_many_accounts"),
        (SignInError::BearerToken.into_response(), 500, "internal"),
        (CommitError::TooManySessions.into_response(), 409, "too_many_sessions"),
        (CommitError::StoreUnavailable.into_response(), 503, "unavailable"),
        (BearerTokenError::NotACookieSession.into_response(), 403, "from_bearer_token"),
        (FinishFlowError::Unknown.into_response(), 400, "unknown_flow"),
    ] {
        let response = crate::support::TestResponse::of(response).await;
        let report: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!((response.status.as_u16(), &report["code"]), (status, &json!(code)), "{report}");
    }
}

#[tokio::test]
async fn cookies_keep_their_names() {
    let expected = [
        (false, vec!["__Host-session".to_owned()]),
        (true, vec!["__Host-session.<id>".to_owned(), "__Host-session.active".to_owned()]),
    ];
    for (multi_session, names) in expected {
        let (site, _) = layer_on(builder("HS256").multi_session(multi_session));
        let service = site.layer(service_fn(async |request: Request<Full<Bytes>>| {
            let status = request.extensions().get::<tower_auth_session::SessionStatus>().unwrap();
            let id = status.jar::<Person>().unwrap().sign_in(ada()).unwrap().session_id;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(id.to_string())))
        }));
        let request = with_header(post("/", ""), header::ORIGIN.as_str(), ORIGIN);
        let mut browser = Browser::default();
        let response = browser.send(&service, request).await;
        let found: Vec<_> =
            browser.cookies.keys().map(|name| name.replace(response.text(), "<id>")).collect();
        assert_eq!(found, names);
        if multi_session {
            assert_eq!(browser.cookies["__Host-session.active"], response.text());
        }
    }
}
