//! [`Problem`]: a response that states what went wrong, for programs and for people.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::{
    client::{Client, Grpc},
    error_page::ErrorPage,
};
use crate::engine::{
    bearer::{CredentialKind, token::BearerTokenError},
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
        detail: "An impersonated session cannot impersonate another user.",
    };
    pub(crate) const INTERNAL: Self = Self {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "internal",
        detail: "The session could not be changed.",
    };
    pub(crate) const SIGNED_OUT: Self =
        Self { status: StatusCode::UNAUTHORIZED, code: "signed_out", detail: "Sign in first." };
    pub(crate) const NOT_SIGNED_IN_HERE: Self = Self {
        status: StatusCode::CONFLICT,
        code: "not_signed_in_here",
        detail: "The session is not signed in from this browser.",
    };
    pub(crate) const FROM_BEARER_TOKEN: Self = Self {
        status: StatusCode::FORBIDDEN,
        code: "from_bearer_token",
        detail: "A bearer token cannot issue another one: use the session's cookie.",
    };
    pub(crate) const NEEDS_STORE: Self = Self {
        status: StatusCode::BAD_REQUEST,
        code: "needs_store",
        detail: "Signing out everywhere needs a session store.",
    };
    const TOO_MANY_SESSIONS: Self = Self {
        status: StatusCode::CONFLICT,
        code: "too_many_sessions",
        detail: "The account has the maximum number of sessions: sign out elsewhere first.",
    };
    pub(crate) const TOO_MANY_ACCOUNTS: Self = Self {
        status: StatusCode::CONFLICT,
        code: "too_many_accounts",
        detail: "The browser has the maximum number of accounts: sign out of one first.",
    };
    #[cfg(feature = "axum")]
    pub(crate) const UNKNOWN_FLOW: Self = Self {
        status: StatusCode::BAD_REQUEST,
        code: "unknown_flow",
        detail: "It took too long, or was started in another browser: start again.",
    };
    pub(crate) const UNAVAILABLE: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "unavailable",
        detail: "Sessions cannot be checked now.",
    };

    /// Why a sign-in failed, as far as the user can act on it.
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

    /// Why the changes of a request were not made.
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
                "The requested lifetime is out of range.",
            ),
            BearerTokenError::Audience => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "audience_not_allowed",
                "Bearer tokens for this audience are not configured.",
            ),
            BearerTokenError::NotACookieSession => return Self::FROM_BEARER_TOKEN,
            BearerTokenError::Pending => {
                (StatusCode::FORBIDDEN, "pending", "The sign-in is not complete.")
            }
            BearerTokenError::SessionEnded => return Self::SIGNED_OUT,
            BearerTokenError::RequestTooOld => return Self::UNAVAILABLE,
            _ => {
                let detail = "The bearer token could not be issued.";
                return Self { detail, ..Self::INTERNAL };
            }
        };
        Self { status, code, detail }
    }

    /// Names the accepted scheme and what is wrong with the credential (RFC 6750 §3, RFC 9470 §3).
    pub(crate) fn challenge(
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

    /// The response, which caches must not store.
    pub(crate) fn response(self) -> Response<Bytes> {
        self.response_with(&ProblemExtensions::default())
    }

    /// The response in the form that the client understands.
    pub(crate) fn response_to<'a>(
        self,
        client: Client,
        page: impl FnOnce() -> ErrorPage<'a>,
    ) -> Response<Bytes> {
        match client {
            Client::Grpc(grpc) => self.to_grpc(grpc),
            Client::Navigation | Client::Turbo { .. } => self.page(&page()),
            Client::Htmx | Client::Script => self.response(),
        }
    }

    /// The response for a user.
    pub(super) fn page(self, page: &ErrorPage<'_>) -> Response<Bytes> {
        let mut response = page.response(self);
        self.set_status_headers(response.headers_mut());
        response
    }

    /// What the status requires, whatever the body.
    fn set_status_headers(self, headers: &mut HeaderMap) {
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2 requires a challenge; browsers ignore a scheme that they do not know.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Cookie"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
    }

    /// The response for gRPC: a status in the headers of an empty HTTP response, "Trailers-Only".
    pub(super) fn to_grpc(self, grpc: Grpc) -> Response<Bytes> {
        let status = match self.status {
            StatusCode::UNAUTHORIZED => "16",
            StatusCode::FORBIDDEN => "7",
            StatusCode::CONFLICT => "9",
            StatusCode::SERVICE_UNAVAILABLE => "14",
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNSUPPORTED_MEDIA_TYPE => "12",
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
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        headers.insert(CACHE_CONTROL, NO_STORE);
        self.set_status_headers(headers);
        response
    }
}

/// Additional members of some problem documents.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct ProblemExtensions<'a> {
    /// The account chooser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) choose: Option<&'a str>,
    /// The open tasks.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) tasks: &'a [SessionTask],
    /// The required freshness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reverification: Option<FreshnessRequirement>,
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Caches must not store a response about a session.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Marks a response about a session; pages have a mark already.
pub(crate) fn no_store(headers: &mut HeaderMap) {
    headers.entry(CACHE_CONTROL).or_insert(NO_STORE);
}

/// In the extensions of an error's response: what the layer shows to a client that understands no
/// problem documents. The error itself does not know the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProblemOfHandler(pub(crate) Problem);

impl ProblemOfHandler {
    /// The problem, unless the application replaced the document.
    pub(crate) fn find<B>(response: &Response<B>) -> Option<Problem> {
        let Self(problem) = response.extensions().get()?;
        let kind = response.headers().get(CONTENT_TYPE);
        kind.is_some_and(|kind| *kind == PROBLEM_JSON).then_some(*problem)
    }
}

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
