//! `POST /session/token`: issues a bearer token of the request's session. It counts as activity.
//!
//! Parameters: `lifetime`, in whole seconds, and `audience`, both within the configured limits, and
//! `session_id`, which must be the request's session.
//! The response is `{"token": "…", "expires_at": seconds since 1970}`. Without a session it responds like
//! a guard: 401, 409 if the request names another session, 503 while the session cannot be checked.
//! Unreadable parameters are 400, values beyond the configuration 422.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;

use super::{
    params::{Param, Params},
    response::json,
};
use crate::{
    engine::{bearer::token::BearerTokenOptions, jar::SessionJar, session::id::SessionId},
    rejection::{RejectionReason, problem::Problem},
};

/// The requested token. It is issued only after the session is confirmed.
#[derive(Debug)]
pub(super) struct TokenRequest {
    options: BearerTokenOptions,
    session: Option<SessionId>,
}

impl TokenRequest {
    pub(super) fn from_params(params: &Params) -> Result<Self, Problem> {
        let lifetime = match &params.lifetime {
            Param::Absent => None,
            Param::Once(text) => Some(text.parse().map_err(|_| BAD_LIFETIME)?),
            Param::Invalid => return Err(BAD_LIFETIME),
        };
        let audience = match &params.audience {
            Param::Absent => None,
            Param::Once(audience) => Some(audience.clone()),
            Param::Invalid => return Err(BAD_AUDIENCE),
        };
        let session = match &params.session_id {
            Param::Absent => None,
            Param::Once(id) => Some(id.parse().map_err(|_| BAD_SESSION_ID)?),
            Param::Invalid => return Err(BAD_SESSION_ID),
        };
        let lifetime = lifetime.map(Duration::from_secs);
        Ok(Self { options: BearerTokenOptions { lifetime, audience }, session })
    }
}

pub(super) fn token_response<C>(
    jar: &SessionJar<C>,
    wanted: &TokenRequest,
) -> Result<Response<Bytes>, Problem>
where
    C: Send + Sync + 'static,
{
    let (record, session) = jar.current();
    record.mark_guarded();
    let session = match (RejectionReason::from_status(record.status()), session) {
        (None, Some(session)) => session,
        (kind, _) => return Err(kind.unwrap_or(RejectionReason::SignedOut).problem()),
    };
    if wanted.session.is_some_and(|id| id != session.id()) {
        return Err(RejectionReason::SessionMismatch.problem());
    }
    // The body may have arrived long after the session was confirmed: this checks again.
    let token = session
        .bearer_token_with(&wanted.options)
        .map_err(|error| Problem::from_bearer_error(&error))?;
    Ok(json(&TokenResponse {
        token: token.as_str(),
        expires_at: token.expires_at().as_unix_seconds(),
    }))
}

#[derive(Serialize)]
struct TokenResponse<'a> {
    token: &'a str,
    expires_at: u64,
}

const BAD_LIFETIME: Problem = Problem {
    status: StatusCode::BAD_REQUEST,
    code: "bad_lifetime",
    detail: "`lifetime` comes once, as a whole number of seconds.",
};
const BAD_AUDIENCE: Problem = Problem {
    status: StatusCode::BAD_REQUEST,
    code: "bad_audience",
    detail: "`audience` comes once, as text.",
};
const BAD_SESSION_ID: Problem = Problem {
    status: StatusCode::BAD_REQUEST,
    code: "bad_session_id",
    detail: "`session_id` comes once, as the id of a session.",
};
