//! The parts of a request that decide about its session.

use std::fmt;

use http::{
    HeaderMap, HeaderName, Method, Request, Uri,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
};

/// The head of a request, as passed to the activity filter. `Debug` shows method and path only,
/// because the rest can contain secrets.
///
/// ```
/// use tower_auth_session::{KeyRing, SessionEngine, engine::RequestHead};
///
/// /// Polls of an open page are not activity of its user.
/// fn is_activity(request: RequestHead<'_>) -> bool {
///     !request.uri.path().starts_with("/notifications")
/// }
///
/// fn engine(keys: KeyRing) -> Result<SessionEngine, tower_auth_session::ConfigError> {
///     SessionEngine::builder(keys).activity_filter(is_activity).build()
/// }
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct RequestHead<'r> {
    /// The method.
    pub method: &'r Method,
    /// The URI.
    pub uri: &'r Uri,
    /// The headers.
    pub headers: &'r HeaderMap,
}

/// The request header that selects one of several sessions of a browser.
pub const SESSION_ID_HEADER: &str = "session-id";

/// The request header that states whether a request is user activity.
pub const SESSION_ACTIVITY_HEADER: &str = "session-activity";

static ACTIVITY: HeaderName = HeaderName::from_static(SESSION_ACTIVITY_HEADER);

impl<'r> RequestHead<'r> {
    pub(crate) const fn new(method: &'r Method, uri: &'r Uri, headers: &'r HeaderMap) -> Self {
        Self { method, uri, headers }
    }

    pub(crate) fn from_request<B>(request: &'r Request<B>) -> Self {
        Self::new(request.method(), request.uri(), request.headers())
    }

    /// What the client declares in `session-activity`: `Some(false)` for `none`, `Some(true)` for
    /// `user`.
    pub(crate) fn declared_activity(&self) -> Option<bool> {
        let value = self.headers.get(&ACTIVITY)?.as_bytes().trim_ascii();
        if value.eq_ignore_ascii_case(b"none") {
            Some(false)
        } else {
            value.eq_ignore_ascii_case(b"user").then_some(true)
        }
    }

    /// Whether the browser fetches a page before the user opens it: `Sec-Purpose: prefetch`, or
    /// `prefetch;prerender`. Older browsers send `Purpose` or `X-Moz`.
    pub(crate) fn is_speculative(&self) -> bool {
        static PURPOSE: [HeaderName; 3] = [
            HeaderName::from_static("sec-purpose"),
            HeaderName::from_static("purpose"),
            HeaderName::from_static("x-moz"),
        ];
        PURPOSE.iter().filter_map(|name| self.headers.get(name)).any(|value| {
            let mut parts = value.as_bytes().split(|byte| matches!(byte, b';' | b','));
            parts.any(|part| {
                let part = part.trim_ascii();
                part.eq_ignore_ascii_case(b"prefetch") || part.eq_ignore_ascii_case(b"prerender")
            })
        })
    }

    /// Whether it is a CORS preflight (Fetch §3.2.2): OPTIONS with `Origin` and
    /// `Access-Control-Request-Method`. Browsers send it without cookies. Any other OPTIONS request is
    /// one of the application's or of a client that is not a browser.
    pub(crate) fn is_preflight(&self) -> bool {
        self.method == Method::OPTIONS
            && self.headers.contains_key(ORIGIN)
            && self.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("path", &self.uri.path())
            .finish_non_exhaustive()
    }
}
