//! Axum extractors: `Session<C>`, `Option<Session<C>>`, `SessionJar<C>` and `SessionStatus`.
//!
//! | extractor | signed in | signed out, account selection, pending | mismatch, unavailable | layer missing |
//! |---|---|---|---|---|
//! | `Session<C>` | the session | refused | refused | 500 |
//! | `Option<Session<C>>` | `Some` | `None` | refused | 500 |
//! | `SessionJar<C>`, `SessionStatus` | it | it | it | 500 |
//!
//! "Refused" is a [`Rejection`]: a redirect for browsers, 401 for scripts.

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    engine::{
        bearer::token::BearerTokenError,
        jar::{SessionJar, claims::UpdateClaimsError, tasks::TaskError},
        request::{
            head::RequestHead,
            session::{LayerLookupError, Session, SessionStatus},
            state::RequestState,
        },
        session::identity::SessionStatusKind,
        sign_in::{CommitError, SignInError},
    },
    rejection::{
        Rejection, RejectionReason,
        problem::{Problem, ProblemOfHandler},
    },
};

impl<S, C> FromRequestParts<S> for Session<C>
where
    S: Send + Sync,
    C: Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let (record, session) = jar::<C>(parts)?.current();
        record.mark_guarded();
        session.ok_or_else(|| {
            let kind = RejectionReason::from_status(record.status());
            refuse(kind.unwrap_or(RejectionReason::SignedOut), parts, &record)
        })
    }
}

impl<S, C> OptionalFromRequestParts<S> for Session<C>
where
    S: Send + Sync,
    C: Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        let (record, session) = jar::<C>(parts)?.current();
        record.mark_read();
        match record.status() {
            SessionStatusKind::SessionMismatch => {
                Err(refuse(RejectionReason::SessionMismatch, parts, &record))
            }
            SessionStatusKind::Unavailable => {
                Err(refuse(RejectionReason::Unavailable, parts, &record))
            }
            _ => Ok(session),
        }
    }
}

impl<S, C> FromRequestParts<S> for SessionJar<C>
where
    S: Send + Sync,
    C: Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        jar(parts)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SessionStatus {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| missing(LayerLookupError::Missing, "any", parts))
    }
}

/// The jar of the layer whose claims are `C`.
fn jar<C: Send + Sync + 'static>(parts: &Parts) -> Result<SessionJar<C>, Rejection> {
    let status = parts.extensions.get::<SessionStatus>().ok_or(LayerLookupError::Missing);
    status
        .and_then(SessionStatus::find)
        .map_err(|error| missing(error, std::any::type_name::<C>(), parts))
}

fn missing(error: LayerLookupError, required: &str, parts: &Parts) -> Rejection {
    Rejection::from_lookup_error(error, required, parts.extensions.get(), head(parts))
}

fn refuse(kind: RejectionReason, parts: &Parts, record: &RequestState) -> Rejection {
    Rejection::new(kind, head(parts), Some(record))
}

const fn head(parts: &Parts) -> RequestHead<'_> {
    RequestHead::new(&parts.method, &parts.uri, &parts.headers)
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.to_response().map(Body::from)
    }
}

impl IntoResponse for SignInError {
    /// 403 for a request from another site, 409 for a browser that holds no more accounts; the rest
    /// are faults of the application, 500.
    fn into_response(self) -> Response {
        answer(Problem::from_sign_in_error(&self))
    }
}

impl IntoResponse for CommitError {
    /// 503 while the claims source or the store fails, 409 for a browser that holds no more accounts
    /// and a subject that has as many sessions as it may; the rest are faults of the application, 500.
    fn into_response(self) -> Response {
        answer(Problem::from_commit_error(&self))
    }
}

impl IntoResponse for UpdateClaimsError {
    /// 401 when no user is signed in, 503 when the session cannot be checked now; the others are
    /// errors of the application, 500.
    fn into_response(self) -> Response {
        answer(match self {
            Self::SignedOut => Problem::SIGNED_OUT,
            Self::Unavailable => Problem::UNAVAILABLE,
            _ => Problem::INTERNAL,
        })
    }
}

impl IntoResponse for TaskError {
    /// 401 when no session is pending, 503 when the session cannot be checked now; else as for a
    /// sign-in.
    fn into_response(self) -> Response {
        answer(match self {
            Self::NotPending => Problem::SIGNED_OUT,
            Self::Unavailable => Problem::UNAVAILABLE,
            Self::SignIn(error) => Problem::from_sign_in_error(&error),
        })
    }
}

impl IntoResponse for BearerTokenError {
    /// 422 for what is not configured, 403 for a request that was made with a bearer token itself, 401
    /// when the session is over, 503 when it must be checked again; the rest are faults of the
    /// application, 500.
    fn into_response(self) -> Response {
        answer(Problem::from_bearer_error(&self))
    }
}

fn answer(problem: Problem) -> Response {
    let mut response = problem.response().map(Body::from);
    response.extensions_mut().insert(ProblemOfHandler(problem));
    response
}
