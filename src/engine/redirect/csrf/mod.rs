//! [`OriginPolicy`]: protection against cross-site request forgery (CWE-352, ASVS 3.5.1 to 3.5.3).
//!
//! It uses what browsers report about a request's origin and scripts cannot forge, the most
//! reliable first:
//!
//! 1. A repeated header that allows one value, or a value outside ASCII: rejected.
//! 2. `Sec-Fetch-Site` (Fetch Metadata §2.3): `same-origin` is accepted. `none`, which means that
//!    no page caused the request, is accepted unless `Origin` is another origin. `same-site` and
//!    `cross-site` are rejected unless `Origin` is trusted. For any other value the next rule
//!    decides.
//! 3. `Origin` (RFC 6454 §7): this service's or a trusted origin, byte for byte, scheme included.
//! 4. `Referer` (RFC 9110 §10.1.3), if there is no `Origin`: its origin by the same rule.
//! 5. None of these: rejected if the request has a session cookie, which a forged request would
//!    use.
//!
//! If no origin is configured, `Origin` and `Referer` are compared with the host and port that the
//! request was sent to, which does not distinguish `http` from `https`. `X-Forwarded-*` is never
//! read (ASVS 4.1.3), and no header overrides the method.

use http::{HeaderMap, HeaderName, Uri, header, uri::Authority};

use super::origin::{self, Origin};

/// The origins whose requests may change state.
#[derive(Debug, Clone, Default)]
pub(crate) struct OriginPolicy {
    pub(crate) own: Option<Origin>,
    trusted: Vec<Origin>,
}

impl OriginPolicy {
    pub(crate) fn new(own: Option<Origin>, trusted: Vec<Origin>) -> Self {
        Self { own, trusted }
    }

    /// Decides by the head of a request, before any work is done for it.
    ///
    /// If a forged request does harm without a cookie too (completing a sign-in), callers pass
    /// `true` for `carries_session_cookie`.
    pub(crate) fn verdict(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        carries_session_cookie: bool,
    ) -> Result<(), CrossOriginReason> {
        let site = single(headers, &SEC_FETCH_SITE)?;
        let origin = single(headers, &header::ORIGIN)?;
        let owns = |origin| self.owns(origin, uri, headers);
        let is_ours = |origin| owns(origin) || self.trusts(origin);
        let (is_allowed, reason) = match (site, origin) {
            (Some("same-origin"), _) | (Some("none"), None) => return Ok(()),
            // Two lines of a header are equivalent to one line with a comma (RFC 9110 §5.3).
            (Some(list), _) if list.contains(',') => return Err(CrossOriginReason::Repeated),
            (Some("none"), Some(origin)) => (owns(origin), CrossOriginReason::Origin),
            (Some("same-site" | "cross-site"), origin) => {
                (origin.is_some_and(|origin| self.trusts(origin)), CrossOriginReason::Site)
            }
            (_, Some(origin)) => (is_ours(origin), CrossOriginReason::Origin),
            (_, None) => match single(headers, &header::REFERER)? {
                Some(referer) => {
                    let origin = origin::split_origin(referer).map(|(origin, _)| origin);
                    (origin.is_some_and(is_ours), CrossOriginReason::Referer)
                }
                None => (!carries_session_cookie, CrossOriginReason::NoSignal),
            },
        };
        if is_allowed { Ok(()) } else { Err(reason) }
    }

    fn owns(&self, origin: &str, uri: &Uri, headers: &HeaderMap) -> bool {
        match &self.own {
            Some(own) => own.as_str() == origin,
            None => is_target(origin, uri, headers),
        }
    }

    fn trusts(&self, origin: &str) -> bool {
        self.trusted.iter().any(|trusted| trusted.as_str() == origin)
    }
}

/// Why a request was rejected as cross-site. It is reported in events; the client only receives
/// 403.
///
/// ```
/// use tower_auth_session::event::{CrossOriginReason, SessionEvent};
///
/// /// Whether an event indicates that the setting `origin` is wrong.
/// fn origin_may_be_wrong(event: &SessionEvent) -> bool {
///     matches!(event, SessionEvent::CrossOriginRefused { reason: CrossOriginReason::Origin, .. })
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CrossOriginReason {
    /// `Sec-Fetch-Site`, `Origin` or `Referer` was sent more than once.
    #[error("a header that states the request's origin is repeated")]
    Repeated,
    /// `Sec-Fetch-Site`, `Origin` or `Referer` is not visible ASCII.
    #[error("a header that states the request's origin is not ASCII")]
    NotAscii,
    /// `Sec-Fetch-Site` names another site or origin, and `Origin` is not trusted.
    #[error("the browser reports that the request comes from another origin")]
    Site,
    /// `Origin` is neither this service's nor trusted.
    #[error("the request's Origin is neither this service's nor trusted")]
    Origin,
    /// `Referer` is not a URL of this service's or a trusted origin.
    #[error("the request's Referer is neither this service's nor trusted")]
    Referer,
    /// The request has a session cookie and no header that states its origin.
    #[error("no header states the request's origin")]
    NoSignal,
}

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The value of a header that a request must not repeat.
pub(super) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, CrossOriginReason> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => line.to_str().map(Some).map_err(|_| CrossOriginReason::NotAscii),
        (Some(_), Some(_)) => Err(CrossOriginReason::Repeated),
    }
}

/// Whether the host and port of `origin` are those that the request was sent to.
pub(crate) fn is_target(origin: &str, uri: &Uri, headers: &HeaderMap) -> bool {
    origin::without_scheme(origin)
        .filter(|authority| is_host_and_port(authority))
        .zip(target_host(uri, headers))
        .is_some_and(|(stated, target)| stated.eq_ignore_ascii_case(target))
}

/// The host and port that a request was sent to: `:authority` or the absolute form, which takes
/// precedence over `Host` (RFC 9112 §3.2.2), otherwise `Host`.
fn target_host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    match uri.authority().map(Authority::as_str) {
        None => single(headers, &header::HOST).ok().flatten(),
        authority => authority,
    }
}

/// Whether `authority` is only a host and port, in any spelling.
fn is_host_and_port(authority: &str) -> bool {
    let is_byte =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':' | b'[' | b']');
    !authority.is_empty() && authority.bytes().all(is_byte)
}

#[cfg(test)]
mod tests;
