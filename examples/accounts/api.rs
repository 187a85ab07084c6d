//! The JSON API. All of it except [`public`] is guarded by a `RequireSessionLayer`.

use std::time::Duration;

use axum::{
    Form, Json,
    extract::{
        FromRequest, Query, Request, State,
        rejection::{FormRejection, JsonRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use tower_auth_session::{
    Session, SessionId, SessionJar, SessionStatus, Subject, engine::SessionStatusKind,
    time::Timestamp,
};

use crate::{
    App, pages,
    people::{self, Claims, MAX_ROLE},
    visitor::Visitor,
};

/// The longest that [`slow`] takes, in milliseconds.
const SLOWEST_MS: u64 = 60_000;

/// `GET /api/me`; times are unix seconds.
pub(crate) async fn me(session: Session<Claims>) -> Response {
    #[derive(Serialize)]
    struct Me<'a> {
        session_id: SessionId,
        subject: &'a Subject,
        signed_in_at: Timestamp,
        last_active_at: Timestamp,
        expires_at: Timestamp,
        claims: &'a Claims,
    }
    Json(Me {
        session_id: session.id(),
        subject: session.subject(),
        signed_in_at: session.signed_in_at(),
        last_active_at: session.last_active_at(),
        expires_at: session.expires_at(),
        claims: session.claims(),
    })
    .into_response()
}

/// `GET /api/public`: whether a user is signed in, `null` if the session cannot be checked now.
pub(crate) async fn public(status: SessionStatus) -> Response {
    let signed_in = match status.kind() {
        SessionStatusKind::Unavailable => None,
        kind => Some(kind == SessionStatusKind::SignedIn),
    };
    Json(json!({ "signed_in": signed_in })).into_response()
}

/// `POST /api/role`, as a form or as JSON. A browser's form is redirected to its page.
///
/// The table is authoritative: every other session of this user gets the role when its token is
/// renewed. This session gets a new token at once.
pub(crate) async fn set_role(
    State(App { people, several, .. }): State<App>,
    session: Session<Claims>,
    jar: SessionJar<Claims>,
    headers: HeaderMap,
    Sent(change): Sent<RoleChange>,
) -> Response {
    let is_form = is_form(&headers);
    let Some(role) = people::check_role(&change.role) else {
        let problem = format!("A role is 1 to {MAX_ROLE} visible characters.");
        return if is_form {
            let visitor = Visitor::of(&jar, several);
            pages::problem(StatusCode::UNPROCESSABLE_ENTITY, &visitor, "That is no role", &problem)
        } else {
            error(StatusCode::UNPROCESSABLE_ENTITY, &problem)
        };
    };
    let Some(claims) = people.set_role(session.subject().as_str(), role) else {
        return error(StatusCode::NOT_FOUND, "There is no such account any more.");
    };
    let answer = json!({ "subject": session.subject(), "role": claims.role });
    if let Err(error) = jar.update_claims(claims) {
        return error.into_response();
    }
    if is_form { Redirect::to("/me").into_response() } else { Json(answer).into_response() }
}

/// `GET /api/slow?ms=`: answers after that many milliseconds, [`SLOWEST_MS`] at most.
pub(crate) async fn slow(query: Result<Query<Slow>, QueryRejection>) -> Response {
    match query {
        Ok(Query(Slow { ms })) if ms <= SLOWEST_MS => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Json(json!({ "ms": ms })).into_response()
        }
        _ => {
            let problem = format!("`ms` is a whole number from 0 to {SLOWEST_MS}.");
            error(StatusCode::BAD_REQUEST, &problem)
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Slow {
    ms: u64,
}

#[derive(Deserialize)]
pub(crate) struct RoleChange {
    role: String,
}

/// What a form or a program sends.
pub(crate) struct Sent<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let is_json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        if is_json {
            let read: Result<Json<T>, JsonRejection> = Json::from_request(request, state).await;
            read.map(|Json(sent)| Self(sent))
                .map_err(|rejection| error(rejection.status(), &rejection.body_text()))
        } else {
            let read: Result<Form<T>, FormRejection> = Form::from_request(request, state).await;
            read.map(|Form(sent)| Self(sent))
                .map_err(|rejection| error(rejection.status(), &rejection.body_text()))
        }
    }
}

/// Whether the response answers a browser's form, which is redirected to a page.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/html"))
}

fn error(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}
