//! [`Problem`]: an answer that says what went wrong, for programs and for people.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::client::{Grpc, ResponseFormat};
use crate::engine::{
    bearer::{CredentialKind, token::BearerTokenError},
    request::state::RequestState,
    session::{factor::FreshnessRequirement, task::SessionTask},
    sign_in::{CommitError, SignInError},
};

/// A problem report (RFC 9457): a code for programs and a sentence for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) detail: &'static str,
}

impl Problem {
    pub(crate) const CROSS_ORIGIN: Self = Self {
        status: StatusCode::FORBIDDEN,
        code: "cross_origin",
        detail: "The request comes from another site.",
    };
    const IMPERSONATING: Self = Self {
        status: StatusCode::FORBIDDEN,
        code: "impersonating",
        detail: "Who acts as somebody else cannot go over into a third account from there.",
    };
    pub(crate) const INTERNAL: Self = Self {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "internal",
        detail: "The session could not be changed.",
    };
    pub(crate) const SIGNED_OUT: Self =
        Self { status: StatusCode::UNAUTHORIZED, code: "signed_out", detail: "Sign in first." };
    const TOO_MANY_SESSIONS: Self = Self {
        status: StatusCode::CONFLICT,
        code: "too_many_sessions",
        detail: "The account is signed in as often as it may be: sign out elsewhere first.",
    };
    const TOO_MANY_ACCOUNTS: Self = Self {
        status: StatusCode::CONFLICT,
        code: "too_many_accounts",
        detail: "The browser holds as many accounts as it may: sign out of one first.",
    };
    pub(crate) const UNAVAILABLE: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "unavailable",
        detail: "Sessions cannot be checked now.",
    };

    /// Why somebody could not sign in, as far as a person can do anything about it.
    pub(crate) const fn from_sign_in_error(error: &SignInError) -> Self {
        match error {
            SignInError::CrossOrigin(_) => Self::CROSS_ORIGIN,
            SignInError::NestedImpersonation => Self::IMPERSONATING,
            SignInError::TooManyAccounts { .. } | SignInError::CookieBudget { .. } => {
                Self::TOO_MANY_ACCOUNTS
            }
            _ => Self::INTERNAL,
        }
    }

    /// Why the changes of a request could not be made.
    pub(crate) const fn from_commit_error(error: &CommitError) -> Self {
        match error {
            CommitError::ClaimsSource
            | CommitError::StoreUnavailable
            | CommitError::RevokedDuringSignIn => Self::UNAVAILABLE,
            CommitError::TooManySessions => Self::TOO_MANY_SESSIONS,
            CommitError::SignIn(error) => Self::from_sign_in_error(error),
            _ => Self::INTERNAL,
        }
    }

    /// Why there is no bearer token.
    pub(crate) const fn from_bearer_error(error: &BearerTokenError) -> Self {
        let (status, code, detail) = match error {
            BearerTokenError::Lifetime { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "lifetime_not_allowed",
                "No bearer token lasts that long, or not even a second.",
            ),
            BearerTokenError::Audience => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "audience_not_allowed",
                "No bearer token is made for this audience.",
            ),
            BearerTokenError::NotACookieSession => (
                StatusCode::FORBIDDEN,
                "from_bearer_token",
                "A bearer token makes no other: ask with the session's cookie.",
            ),
            BearerTokenError::Pending => {
                (StatusCode::FORBIDDEN, "pending", "Signing in is not complete.")
            }
            BearerTokenError::SessionEnded => return Self::SIGNED_OUT,
            BearerTokenError::RequestTooOld => return Self::UNAVAILABLE,
            _ => {
                let detail = "The bearer token could not be made.";
                return Self { detail, ..Self::INTERNAL };
            }
        };
        Self { status, code, detail }
    }

    /// The answer to the request of `record`, with the challenge that goes with what it brought.
    pub(crate) fn response_for(self, record: &RequestState) -> Response<Bytes> {
        let mut response = self.response();
        self.challenge(record.credential, record.accepts_bearer, response.headers_mut());
        response
    }

    /// Says what would have been accepted, and what is wrong with what was brought (RFC 6750 §3, RFC
    /// 9470 §3).
    pub(super) fn challenge(
        self,
        credential: CredentialKind,
        accepts_bearer: bool,
        headers: &mut HeaderMap,
    ) {
        // A call of gRPC is refused in the headers of its answer too, which are its metadata; who is
        // redirected is not.
        let is_asked = headers.contains_key(WWW_AUTHENTICATE) || headers.contains_key(GRPC_STATUS);
        if self.status != StatusCode::UNAUTHORIZED || !is_asked {
            return;
        }
        let challenge = match (credential, accepts_bearer) {
            (CredentialKind::BearerToken, _) if self.code == "not_fresh" => {
                "Bearer error=\"insufficient_user_authentication\""
            }
            (CredentialKind::BearerToken, _) => "Bearer error=\"invalid_token\"",
            (CredentialKind::Cookie, true) => "Cookie, Bearer",
            (CredentialKind::Cookie, false) => return,
        };
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }

    /// The answer. Never cached.
    pub(crate) fn response(self) -> Response<Bytes> {
        self.response_with(&ProblemExtensions::default())
    }

    /// The answer in the language of who asks.
    pub(crate) fn response_to(self, asker: ResponseFormat) -> Response<Bytes> {
        asker.grpc.map_or_else(|| self.response(), |grpc| self.to_grpc(grpc))
    }

    /// The answer as gRPC has it: a status in the headers of an empty HTTP response, "Trailers-Only".
    pub(super) fn to_grpc(self, grpc: Grpc) -> Response<Bytes> {
        let status = match self.status {
            StatusCode::UNAUTHORIZED => "16",
            StatusCode::FORBIDDEN => "7",
            StatusCode::CONFLICT => "9",
            StatusCode::SERVICE_UNAVAILABLE => "14",
            _ => "13",
        };
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(grpc.content_type()));
        headers.insert(CACHE_CONTROL, NO_STORE);
        let message = HeaderValue::from_static(self.detail);
        headers.insert(GRPC_STATUS, HeaderValue::from_static(status));
        headers.insert(HeaderName::from_static("grpc-message"), message);
        response
    }

    pub(super) fn response_with(self, more: &ProblemExtensions<'_>) -> Response<Bytes> {
        #[derive(serde::Serialize)]
        struct ProblemBody<'a> {
            title: &'static str,
            status: u16,
            code: &'static str,
            detail: &'static str,
            #[serde(flatten)]
            more: &'a ProblemExtensions<'a>,
        }
        let Self { status, code, detail } = self;
        let title = status.canonical_reason().unwrap_or("Error");
        let body = ProblemBody { title, status: status.as_u16(), code, detail, more };
        let mut response = Response::new(serde_json::to_vec(&body).unwrap_or_default().into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, NO_STORE);
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2 asks for a challenge; browsers ignore a scheme they do not know.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Cookie"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// What some reports have beside that.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct ProblemExtensions<'a> {
    /// Where an account is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) choose: Option<&'a str>,
    /// What is left to do.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) tasks: &'a [SessionTask],
    /// What would be fresh enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reverification: Option<FreshnessRequirement>,
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// No cache keeps an answer about a session.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
