//! Whether a request that acts comes from our own pages: [`OriginPolicy`], against cross-site
//! request forgery (CWE-352, ASVS 3.5.1 to 3.5.3).
//!
//! What browsers say of a request's origin, the most reliable first, and scripts cannot forge:
//!
//! 1. Two lines of a header that has one value, or a value outside ASCII: refused.
//! 2. `Sec-Fetch-Site` (Fetch Metadata §2.3): `same-origin` is ours. `none`, which is no page at
//!    all, is ours unless `Origin` says otherwise. `same-site` and `cross-site` are refused unless
//!    `Origin` is a trusted one. Other values are none: the next rule decides.
//! 3. `Origin` (RFC 6454 §7): our own or a trusted one, byte for byte, scheme included.
//! 4. `Referer` (RFC 9110 §10.1.3), where there is no `Origin`: its origin by the same rule.
//! 5. No word of it at all: refused when the request carries a session cookie, which a forger
//!    would be after.
//!
//! Without a configured own origin, `Origin` and `Referer` are ours when their host and port are
//! those the request was sent to; that cannot tell `http` from `https`. `X-Forwarded-*` is never
//! read (ASVS 4.1.3), nor does any header change the method.

use http::{HeaderMap, HeaderName, Uri, header, uri::Authority};

use super::origin::{self, Origin};

/// Whose requests may act.
#[derive(Debug, Clone, Default)]
pub(crate) struct OriginPolicy {
    pub(crate) own: Option<Origin>,
    trusted: Vec<Origin>,
}

impl OriginPolicy {
    pub(crate) fn new(own: Option<Origin>, trusted: Vec<Origin>) -> Self {
        Self { own, trusted }
    }

    /// Decides from the head of a request, before any work is done for it.
    ///
    /// Where a forged request does harm without a cookie too (completing a sign-in), the caller
    /// says that it carries one.
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
            // Two lines of a header are one line with a comma in it (RFC 9110 §5.3).
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
            None => origin::without_scheme(origin)
                .filter(|authority| is_host_and_port(authority))
                .zip(target_host(uri, headers))
                .is_some_and(|(said, target)| said.eq_ignore_ascii_case(target)),
        }
    }

    fn trusts(&self, origin: &str) -> bool {
        self.trusted.iter().any(|trusted| trusted.as_str() == origin)
    }
}

/// Why a request was taken for a forged one. It is for events: the client learns no more than 403.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CrossOriginReason {
    /// `Sec-Fetch-Site`, `Origin` or `Referer` came more than once.
    #[error("a header that says where the request comes from was repeated")]
    Repeated,
    /// `Sec-Fetch-Site`, `Origin` or `Referer` is not visible ASCII.
    #[error("a header that says where the request comes from is not ASCII")]
    NotAscii,
    /// `Sec-Fetch-Site` names another site or origin, and `Origin` is not a trusted one.
    #[error("the browser says that the request comes from another origin")]
    Site,
    /// `Origin` is neither our own nor a trusted one.
    #[error("the request's origin is neither our own nor trusted")]
    Origin,
    /// `Referer` is no URL of our own or a trusted origin.
    #[error("the request's referer is neither our own nor trusted")]
    Referer,
    /// A session cookie, and nothing that says where the request comes from.
    #[error("nothing says where the request comes from")]
    NoSignal,
}

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The value of a header that a request has once at most.
fn single<'a>(
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

/// The host and port that a request was sent to: `:authority` or the absolute form, which outranks
/// `Host` (RFC 9112 §3.2.2), else the one `Host`.
fn target_host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    match uri.authority().map(Authority::as_str) {
        None => single(headers, &header::HOST).ok().flatten(),
        authority => authority,
    }
}

/// Nothing but a host and a port, of any spelling.
fn is_host_and_port(authority: &str) -> bool {
    let is_byte =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':' | b'[' | b']');
    !authority.is_empty() && authority.bytes().all(is_byte)
}

#[cfg(test)]
mod tests;
