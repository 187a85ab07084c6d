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
        self.report().status
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
        response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
        response.extensions_mut().insert(self.clone());
        response
    }

    fn problem(&self) -> Response<Bytes> {
        let choose = match (self.kind, &self.location) {
            (RejectionKind::Choose, Some(location)) => Some(location.as_str()),
            _ => None,
        };
        self.report().response_with(choose)
    }

    fn grpc(&self) -> Response<Bytes> {
        let status = match self.kind {
            RejectionKind::SignedOut | RejectionKind::Choose | RejectionKind::NotFresh => "16",
            RejectionKind::Pending | RejectionKind::CrossOrigin(_) | RejectionKind::Forbidden => {
                "7"
            }
            RejectionKind::Mismatch => "9",
            RejectionKind::Unavailable => "14",
            RejectionKind::LayerMissing => "13",
        };
        let detail = self.report().detail;
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static(status));
        headers.insert(HeaderName::from_static("grpc-message"), HeaderValue::from_static(detail));
        response
    }

    const fn report(&self) -> Problem {
        let (status, code, detail) = match self.kind {
            RejectionKind::SignedOut => return Problem::SIGNED_OUT,
            RejectionKind::Unavailable => return Problem::UNAVAILABLE,
            RejectionKind::CrossOrigin(_) => return Problem::CROSS_ORIGIN,
            RejectionKind::Choose => (
                StatusCode::UNAUTHORIZED,
                "choose",
                "Choose one of the accounts that are signed in.",
            ),
            RejectionKind::Pending => {
                (StatusCode::FORBIDDEN, "pending", "Signing in is not complete.")
            }
            RejectionKind::Mismatch => (
                StatusCode::CONFLICT,
                "session_mismatch",
                "The session that the request names is not signed in here.",
            ),
            RejectionKind::Forbidden => {
                (StatusCode::FORBIDDEN, "forbidden", "This account may not do that.")
            }
            RejectionKind::NotFresh => {
                (StatusCode::UNAUTHORIZED, "not_fresh", "Sign in again to go on.")
            }
            RejectionKind::LayerMissing => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "layer_missing",
                "SessionLayer does not wrap this service, or only with another type of claims: \
                 add it outside of the guard or extractor.",
            ),
        };
        Problem { status, code, detail }
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
    pub(crate) const INTERNAL: Self = Self {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "internal",
        detail: "The session could not be changed.",
    };
    pub(crate) const SIGNED_OUT: Self =
        Self { status: StatusCode::UNAUTHORIZED, code: "signed_out", detail: "Sign in first." };
    pub(crate) const UNAVAILABLE: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "unavailable",
        detail: "Sessions cannot be checked now.",
    };

    /// The answer. Never cached.
    pub(crate) fn response(self) -> Response<Bytes> {
        self.response_with(None)
    }

    fn response_with(self, choose: Option<&str>) -> Response<Bytes> {
        #[derive(serde::Serialize)]
        struct Body<'a> {
            title: &'static str,
            status: u16,
            code: &'static str,
            detail: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            choose: Option<&'a str>,
        }
        let Self { status, code, detail } = self;
        let title = status.canonical_reason().unwrap_or("Error");
        let body = Body { title, status: status.as_u16(), code, detail, choose };
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

/// No cache keeps an answer about a session.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;

    use super::*;
    use crate::{
        engine::{ResolvedRedirects, SignOutRedirects},
        time::Timestamp,
    };

    fn redirects(sign_in: Option<&str>) -> Arc<ResolvedRedirects> {
        let redirects = match sign_in {
            Some(url) => SignOutRedirects::new().sign_in_url(url),
            None => SignOutRedirects::new(),
        };
        let mut problems = Vec::new();
        let resolved = redirects.resolve(&mut problems);
        assert_eq!(problems, []);
        Arc::new(resolved)
    }

    fn reject(kind: RejectionKind, request: &Request<()>, sign_in: Option<&str>) -> Rejection {
        let record = RequestRecord::new(
            SessionStatusKind::SignedOut,
            None,
            request.uri().clone(),
            Timestamp::EPOCH,
            redirects(sign_in),
        );
        Rejection::new(kind, RequestHead::of(request), Some(&record))
    }

    fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    /// DESIGN §10, cell by cell.
    #[test]
    fn each_client_hears_it_in_its_own_language() {
        use RejectionKind as K;
        let navigation =
            request("GET", "/me?a=1&b=%20", &[("sec-fetch-mode", "navigate"), ("accept", "*/*")]);
        let script = request("GET", "/me", &[("accept", "application/json")]);
        let htmx = request("GET", "/me", &[("hx-request", "true"), ("accept", "text/html")]);
        let grpc = request("POST", "/s/M", &[("content-type", "application/grpc+proto")]);
        let sign_in = "/sign-in?redirect_url=%2Fme%3Fa%3D1%26b%3D%2520";
        let foreign = K::CrossOrigin(CrossOrigin::Origin);
        for (kind, to, status, code, grpc_status) in [
            (K::SignedOut, Some(sign_in), 401, "signed_out", "16"),
            (K::Choose, Some("/sign-in/choose"), 401, "choose", "16"),
            (K::Pending, Some("/sign-in"), 403, "pending", "7"),
            (K::Mismatch, Some("/"), 409, "session_mismatch", "9"),
            (K::Unavailable, None, 503, "unavailable", "14"),
            (foreign, None, 403, "cross_origin", "7"),
            (K::Forbidden, None, 403, "forbidden", "7"),
            (K::NotFresh, Some(sign_in), 401, "not_fresh", "16"),
            (K::LayerMissing, None, 500, "layer_missing", "13"),
        ] {
            let answer = reject(kind, &navigation, Some("/sign-in")).to_response();
            assert_eq!(answer.headers()["cache-control"], "no-store");
            assert_eq!(answer.extensions().get::<Rejection>().unwrap().kind(), kind);
            match to {
                Some(url) => {
                    assert_eq!(answer.status(), 303, "{kind:?}");
                    assert_eq!(answer.headers()["location"], url, "{kind:?}");
                    assert!(answer.body().is_empty());
                }
                None => assert_eq!(answer.status(), status, "{kind:?}"),
            }

            let answer = reject(kind, &script, Some("/sign-in")).to_response();
            assert_eq!(answer.status(), status, "{kind:?}");
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            assert_eq!(answer.headers().contains_key("www-authenticate"), status == 401);
            assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
            let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!((&body["code"], &body["status"]), (&code.into(), &status.into()));
            let choose = (kind == K::Choose).then_some("/sign-in/choose");
            assert_eq!(body.get("choose").and_then(serde_json::Value::as_str), choose);

            let answer = reject(kind, &htmx, Some("/sign-in")).to_response();
            assert_eq!(answer.status(), status);
            let location = to.map(|url| url.split('?').next().unwrap());
            let redirect = answer.headers().get("hx-redirect");
            assert_eq!(redirect.map(|url| url.to_str().unwrap()), location, "{kind:?}");

            let answer = reject(kind, &grpc, Some("/sign-in")).to_response();
            assert_eq!((answer.status(), answer.body().len()), (StatusCode::OK, 0));
            assert_eq!(answer.headers()["grpc-status"], grpc_status, "{kind:?}");
            assert_eq!(answer.headers()["content-type"], "application/grpc");
            assert!(!answer.headers().contains_key("location"));
        }
    }

    #[test]
    fn only_documents_that_are_asked_for_with_get_are_navigations() {
        for (method, headers, expected) in [
            ("GET", &[("sec-fetch-mode", "navigate")][..], Client::Navigation),
            ("GET", &[("sec-fetch-dest", "document")], Client::Navigation),
            ("HEAD", &[("sec-fetch-mode", "navigate")], Client::Navigation),
            ("GET", &[("accept", "text/html,application/xhtml+xml;q=0.9")], Client::Navigation),
            ("GET", &[("accept", "application/json, TEXT/HTML ;q=0.1")], Client::Navigation),
            ("GET", &[("accept", "text/html"), ("sec-fetch-mode", "cors")], Client::Other),
            ("GET", &[("accept", "text/html"), ("sec-fetch-dest", "image")], Client::Other),
            ("GET", &[("accept", "*/*")], Client::Other),
            ("GET", &[], Client::Other),
            ("POST", &[("sec-fetch-mode", "navigate"), ("accept", "text/html")], Client::Other),
            ("DELETE", &[("accept", "text/html")], Client::Other),
            ("GET", &[("hx-request", "false"), ("accept", "text/html")], Client::Navigation),
            ("POST", &[("content-type", "application/grpc-web+proto")], Client::Grpc),
            ("POST", &[("content-type", "application/json")], Client::Other),
        ] {
            let request = request(method, "/", headers);
            assert_eq!(Client::of(RequestHead::of(&request)), expected, "{method} {headers:?}");
        }
    }

    /// A path that would lead to another site after signing in is not gone back to.
    #[test]
    fn an_unsafe_path_is_not_gone_back_to() {
        let navigate = &[("sec-fetch-mode", "navigate")];
        for (uri, location) in [
            ("//evil.example/a", "/sign-in"),
            ("/a/../b", "/sign-in"),
            ("/%2f/evil.example", "/sign-in"),
            ("https://app.example.com/me", "/sign-in?redirect_url=%2Fme"),
        ] {
            let rejection =
                reject(RejectionKind::SignedOut, &request("GET", uri, navigate), Some("/sign-in"));
            assert_eq!(rejection.location().unwrap().as_str(), location, "{uri}");
        }
        let nowhere = reject(RejectionKind::SignedOut, &request("GET", "/me", navigate), None);
        assert_eq!(nowhere.to_response().status(), 401, "there is no page to sign in at");
    }
}
