//! Axum: the errors of this crate as responses.
//!
//! A handler can return each of them. A script gets a problem document; for other clients the layer
//! renders the problem, because an error does not know its request.

use axum_core::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::StatusCode;

use crate::{
    bearer::BearerTokenError,
    claims::ClaimsError,
    error::{
        CommitError, ConfigError, FinishFlowError, InvalidId, InvalidSubject, InvalidTask,
        InvalidTimeLimit, NotSignedIn, RandomError, RedirectError, SignInError, StartFlowError,
        StoreRequired, TaskError, TokenError, TouchError, UpdateClaimsError,
    },
    rejection::problem::{Problem, ProblemOfHandler},
    store::StoreError,
};

macro_rules! responses {
    ($($(#[$doc:meta])* $error:ty => $problem:expr;)+) => {$(
        impl IntoResponse for $error {
            $(#[$doc])*
            fn into_response(self) -> Response {
                let problem: fn(&Self) -> Problem = $problem;
                respond(problem(&self))
            }
        }
    )+};
}

responses! {
    /// 403 for a request from another site, 409 for a browser that holds the maximum number of accounts;
    /// the others are errors of the application, 500.
    SignInError => Problem::from_sign_in_error;

    /// 503 while the claims source or the store fails, 409 for a browser that holds the maximum number of
    /// accounts and a subject that has the maximum number of sessions; the others are errors of the
    /// application, 500.
    CommitError => Problem::from_commit_error;

    /// 401 if no user is signed in, 503 if the session cannot be checked now; the others are errors of
    /// the application, 500.
    UpdateClaimsError => |error| match error {
        UpdateClaimsError::SignedOut => Problem::SIGNED_OUT,
        UpdateClaimsError::Unavailable => Problem::UNAVAILABLE,
        _ => Problem::INTERNAL,
    };

    /// 401 if no session is pending, 503 if the session cannot be checked now, otherwise as for a
    /// sign-in.
    TaskError => |error| match error {
        TaskError::NotPending => Problem::SIGNED_OUT,
        TaskError::Unavailable => Problem::UNAVAILABLE,
        TaskError::SignIn(error) => Problem::from_sign_in_error(error),
    };

    /// 422 for what is not configured, 403 for a request that was made with a bearer token itself, 401 if
    /// the session has ended, 503 if it must be checked again; the others are errors of the application,
    /// 500.
    BearerTokenError => Problem::from_bearer_error;

    /// 401 if the session has ended, 403 for a bearer token, 503 if the store is unavailable, 500 without
    /// a store.
    TouchError => |error| match error {
        TouchError::NoStore => Problem::INTERNAL,
        TouchError::BearerToken => Problem {
            detail: "A bearer token does not prolong a session: use the session's cookie.",
            ..Problem::FROM_BEARER_TOKEN
        },
        TouchError::SessionEnded => Problem::SIGNED_OUT,
        TouchError::Unavailable => Problem::UNAVAILABLE,
    };

    /// 400: this browser has not started what the request completes, or the user took too long.
    FinishFlowError => |_| Problem::UNKNOWN_FLOW;

    /// 409 if the session cookies leave no room; the others are errors of the application, 500.
    StartFlowError => |error| match error {
        StartFlowError::CookieBudget { .. } => Problem::TOO_MANY_ACCOUNTS,
        _ => Problem { detail: "What was asked for could not be started.", ..Problem::INTERNAL },
    };

    /// 409.
    NotSignedIn => |_| Problem::NOT_SIGNED_IN_HERE;

    /// 400, as from `POST /sign-out`.
    StoreRequired => |_| Problem::NEEDS_STORE;

    /// 503 if the store is unavailable, otherwise 500.
    StoreError => |error| match error {
        StoreError::Unavailable(_) => Problem::UNAVAILABLE,
        StoreError::Corrupt(_) | StoreError::Conflict => Problem::INTERNAL,
    };

    /// 400: text of the request is not a session id.
    InvalidId => |_| bad_request("bad_session_id", "The text is not the id of a session.");

    /// 400: text of the request is not a subject.
    InvalidSubject => |_| bad_request("bad_subject", "The text is not a valid subject.");

    /// 400: text of the request is not a task.
    InvalidTask => |_| bad_request("bad_task", "The text is not a valid task.");

    /// 400: text of the request is not a redirect target.
    RedirectError => |_| bad_request("bad_redirect_url", "The redirect target is not allowed.");

    /// 400: text of the request is not a time limit.
    InvalidTimeLimit => |_| bad_request("bad_time_limit", "The text is not a time limit.");

    /// 401, without the reason.
    TokenError => |_| Problem::SIGNED_OUT;

    /// 500.
    ClaimsError => |_| Problem::INTERNAL;

    /// 500.
    ConfigError => |_| Problem::INTERNAL;

    /// 500.
    RandomError => |_| Problem::INTERNAL;
}

const fn bad_request(code: &'static str, detail: &'static str) -> Problem {
    Problem { status: StatusCode::BAD_REQUEST, code, detail }
}

fn respond(problem: Problem) -> Response {
    let mut response = problem.response().map(Body::from);
    response.extensions_mut().insert(ProblemOfHandler(problem));
    response
}
