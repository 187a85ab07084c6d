//! [`Rejection`]: why a request is refused, as a browser, a script or a gRPC client wants to hear it.
//!
//! | client | signed out | choose | pending | mismatch | unavailable |
//! |---|---|---|---|---|---|
//! | document navigation (GET or HEAD) | 303 to sign in, with `redirect_url` | 303 to choose | 303 to sign in | 303 home | 503 |
//! | `fetch`, HTMX, other methods | 401 | 401 with `choose` | 403 | 409 | 503 |
//! | gRPC, in `grpc-status` | 16 | 16 | 7 | 9 | 14 |
//!
//! Foreign WebSocket handshakes and failed predicates are 403 (7), a sign-in that is too long ago is
//! like signed out, and a missing layer is 500 (13). Bodies are `application/problem+json` (RFC 9457);
//! HTMX gets `HX-Redirect` beside its 401. A request that would repeat a body is never redirected.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
    },
};

use crate::engine::{
    CrossOrigin, RedirectPolicy, RedirectTarget, RequestHead, RequestRecord, SessionStatusKind,
};

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// Nobody is signed in.
    SignedOut,
    /// No account is active, but others are signed in from this browser.
    Choose,
    /// Signed in, but a task is left to do.
    Pending,
    /// The request names a session that is not signed in here.
    Mismatch,
    /// Whether the session has ended cannot be found out now.
    Unavailable,
    /// A WebSocket handshake from a foreign origin.
    CrossOrigin(CrossOrigin),
    /// A predicate over the claims said no.
    Forbidden,
    /// Signing in was too long ago for what is asked.
    NotFresh,
    /// `SessionLayer` does not wrap this service, or only for another type of claims.
    LayerMissing,
}

/// A refusal, ready to be answered. It is also in the extensions of the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    kind: RejectionKind,
    client: Client,
    location: Option<RedirectTarget>,
}

/// What kind of program sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Navigation,
    Htmx,
    Grpc,
    Other,
}

impl Rejection {
    pub(crate) fn new(
        kind: RejectionKind,
        head: RequestHead<'_>,
        record: Option<&RequestRecord>,
    ) -> Self {
        let client = Client::of(head);
        let location = record.and_then(|record| {
            let redirects = &record.redirects;
            match kind {
                RejectionKind::SignedOut | RejectionKind::NotFresh => {
                    redirects.sign_in.as_ref().map(|sign_in| match return_to(record, client) {
                        Some(back) => sign_in.with_query("redirect_url", back.as_str()),
                        None => sign_in.clone(),
                    })
                }
                RejectionKind::Choose => Some(redirects.choose.clone()),
                RejectionKind::Pending => redirects.sign_in.clone(),
                RejectionKind::Mismatch => Some(RedirectTarget::ROOT),
                _ => None,
            }
        });
        Self { kind, client, location }
    }

    /// The reason.
    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Where a person would go on: to sign in, to choose an account.
    #[must_use]
    pub const fn location(&self) -> Option<&RedirectTarget> {
        self.location.as_ref()
    }

    /// The status for clients other than gRPC's, where they are not redirected.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self.kind {
            RejectionKind::SignedOut | RejectionKind::Choose | RejectionKind::NotFresh => {
                StatusCode::UNAUTHORIZED
            }
            RejectionKind::Pending
            | RejectionKind::CrossOrigin(_)
            | RejectionKind::Forbidden => StatusCode::FORBIDDEN,
            RejectionKind::Mismatch => StatusCode::CONFLICT,
            RejectionKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            RejectionKind::LayerMissing => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer. Never cached.
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let mut response = match (self.client, &self.location) {
            (Client::Grpc, _) => self.grpc(),
            (Client::Navigation, Some(location)) => redirect(location),
            (Client::Htmx, Some(location)) => {
                let mut response = self.problem();
                let name = HeaderName::from_static("hx-redirect");
                response.headers_mut().insert(name, location.to_header_value());
                response
            }
            _ => self.problem(),
        };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(self.clone());
        response
    }

    fn problem(&self) -> Response<Bytes> {
        let (code, detail) = self.words();
        let choose = (self.kind == RejectionKind::Choose)
            .then(|| self.location.as_ref().map(RedirectTarget::as_str))
            .flatten();
        let mut response = problem(self.status(), code, detail, choose);
        let headers = response.headers_mut();
        if self.status() == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2 asks for a challenge; browsers ignore a scheme they do not know.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Cookie"));
        }
        if self.kind == RejectionKind::Unavailable {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }

    fn grpc(&self) -> Response<Bytes> {
        let status = match self.kind {
            RejectionKind::SignedOut | RejectionKind::Choose | RejectionKind::NotFresh => "16",
            RejectionKind::Pending
            | RejectionKind::CrossOrigin(_)
            | RejectionKind::Forbidden => "7",
            RejectionKind::Mismatch => "9",
            RejectionKind::Unavailable => "14",
            RejectionKind::LayerMissing => "13",
        };
        let (_, detail) = self.words();
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static(status));
        headers.insert(HeaderName::from_static("grpc-message"), HeaderValue::from_static(detail));
        response
    }

    /// A code for programs and a sentence for people.
    const fn words(&self) -> (&'static str, &'static str) {
        match self.kind {
            RejectionKind::SignedOut => ("signed_out", "Sign in first."),
            RejectionKind::Choose => ("choose", "Choose one of the accounts that are signed in."),
            RejectionKind::Pending => ("pending", "Signing in is not complete."),
            RejectionKind::Mismatch => {
                ("session_mismatch", "The session that the request names is not signed in here.")
            }
            RejectionKind::Unavailable => ("unavailable", "Sessions cannot be checked now."),
            RejectionKind::CrossOrigin(_) => {
                ("cross_origin", "The request comes from another site.")
            }
            RejectionKind::Forbidden => ("forbidden", "This account may not do that."),
            RejectionKind::NotFresh => ("not_fresh", "Sign in again to go on."),
            RejectionKind::LayerMissing => (
                "layer_missing",
                "SessionLayer does not wrap this service, or only with another type of claims: \
                 add it outside of the guard or extractor.",
            ),
        }
    }
}

impl RejectionKind {
    /// Why a request of this status is no signed-in session's.
    pub(crate) const fn of_status(kind: SessionStatusKind) -> Option<Self> {
        match kind {
            SessionStatusKind::SignedIn => None,
            SessionStatusKind::SignedOut => Some(Self::SignedOut),
            SessionStatusKind::Choose => Some(Self::Choose),
            SessionStatusKind::Pending => Some(Self::Pending),
            SessionStatusKind::Mismatch => Some(Self::Mismatch),
            SessionStatusKind::Unavailable => Some(Self::Unavailable),
            SessionStatusKind::CrossOrigin(reason) => Some(Self::CrossOrigin(reason)),
        }
    }
}

impl Client {
    fn of(head: RequestHead<'_>) -> Self {
        let RequestHead { method, headers, .. } = head;
        let is = |name: &str, value: &[u8]| {
            headers.get(name).is_some_and(|found| found.as_bytes().eq_ignore_ascii_case(value))
        };
        let is_grpc = headers.get(CONTENT_TYPE).is_some_and(|found| {
            let prefix = b"application/grpc";
            found.as_bytes().get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(prefix))
        });
        if is_grpc {
            Self::Grpc
        } else if is("hx-request", b"true") {
            Self::Htmx
        } else if !matches!(*method, Method::GET | Method::HEAD) {
            Self::Other
        } else if headers.contains_key("sec-fetch-mode") || headers.contains_key("sec-fetch-dest") {
            // Fetch Metadata is exact where a browser sends it: an image is no navigation although
            // it accepts anything.
            if is("sec-fetch-mode", b"navigate") || is("sec-fetch-dest", b"document") {
                Self::Navigation
            } else {
                Self::Other
            }
        } else if accepts(headers, "text/html") {
            Self::Navigation
        } else {
            Self::Other
        }
    }
}

/// Whether `Accept` names `media_type` itself: `*/*` is what scripts send.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers.get_all(ACCEPT).iter().any(|field| {
        field.as_bytes().split(|byte| *byte == b',').any(|range| {
            let name = range.split(|byte| *byte == b';').next().unwrap_or_default();
            name.trim_ascii().eq_ignore_ascii_case(media_type.as_bytes())
        })
    })
}

/// Where the person wanted to go, if it is safe to go back there.
fn return_to(record: &RequestRecord, client: Client) -> Option<RedirectTarget> {
    if client != Client::Navigation {
        return None;
    }
    let path = record.uri.path_and_query()?.as_str();
    RedirectPolicy::new(None, Vec::new()).check(path).ok()
}

pub(crate) fn redirect(location: &RedirectTarget) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, location.to_header_value());
    response
}

/// A problem report (RFC 9457).
pub(crate) fn problem(
    status: StatusCode,
    code: &'static str,
    detail: &'static str,
    choose: Option<&str>,
) -> Response<Bytes> {
    #[derive(serde::Serialize)]
    struct Problem<'a> {
        title: &'static str,
        status: u16,
        code: &'static str,
        detail: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        choose: Option<&'a str>,
    }
    let title = status.canonical_reason().unwrap_or("Error");
    let body = Problem { title, status: status.as_u16(), code, detail, choose };
    let mut response = Response::new(serde_json::to_vec(&body).unwrap_or_default().into());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
