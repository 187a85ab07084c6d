//! Cache headers of responses that carry a session cookie or depend on a session.
//!
//! Session cookies in shared caches are the classic leak of sliding sessions, therefore:
//!
//! 1. A response that the application marked for shared caches (`public`, `s-maxage`, `immutable`)
//!    gets no cookie, nor do 1xx and 304, from which browsers take none (RFC 6265bis §5.3). What is
//!    said to CDNs alone marks it too, unless it is `private` or `no-store`: they obey it and not
//!    `Cache-Control` (RFC 9213 §2.2).
//! 2. A response that carries a cookie of ours is `Cache-Control: private, no-store`, whatever it
//!    said before, and varies by `Cookie` (ASVS 14.3.2).
//! 3. A response for which the session was consulted varies by `Cookie`; a guarded one without
//!    `Cache-Control` is `private, no-store`, so that the back button shows nothing after signing
//!    out.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, Entry, VARY},
};

use crate::engine::request::head::SESSION_ID_HEADER;

/// The request header that holds the session cookies.
pub(crate) const COOKIE: &str = "Cookie";
const AUTHORIZATION: &str = "Authorization";

pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("private, no-store");

/// Whether a response may carry a session cookie.
pub(crate) fn can_carry_cookie(status: StatusCode, headers: &HeaderMap) -> bool {
    !status.is_informational()
        && status != StatusCode::NOT_MODIFIED
        && !headers
            .get_all(CACHE_CONTROL)
            .iter()
            .any(|field| says_one_of(field, &["public", "s-maxage", "immutable"]))
        && !headers
            .iter()
            .any(|(name, field)| is_for_cdns(name) && !says_one_of(field, &["private", "no-store"]))
}

/// Whether a field replaces `Cache-Control` for CDNs: that of RFC 9213 §3.1, a vendor's of the same
/// form (`Cloudflare-CDN-Cache-Control`), or the older `Surrogate-Control`.
fn is_for_cdns(name: &HeaderName) -> bool {
    name.as_str().ends_with("cdn-cache-control") || name == "surrogate-control"
}

/// Whether a field has one of `directives`, with any value.
fn says_one_of(field: &HeaderValue, directives: &[&str]) -> bool {
    field.as_bytes().split(|byte| *byte == b',').any(|directive| {
        let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default();
        directives.iter().any(|one| name.trim_ascii().eq_ignore_ascii_case(one.as_bytes()))
    })
}

/// Marks a response that carries a session cookie.
pub(crate) fn set_no_store(headers: &mut HeaderMap, sources: SessionSources) {
    headers.insert(CACHE_CONTROL, NO_STORE);
    vary_by_session(headers, sources);
}

/// Marks a guarded response, unless the application set `Cache-Control`.
pub(crate) fn default_to_no_store(headers: &mut HeaderMap) {
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, NO_STORE);
    }
}

/// Adds `name` to `Vary` unless it is covered.
pub(crate) fn vary_by(headers: &mut HeaderMap, name: &'static str) {
    let mut members: Vec<u8> = Vec::new();
    for field in headers.get_all(VARY) {
        for member in field.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if member == b"*" || member.eq_ignore_ascii_case(name.as_bytes()) {
                return;
            }
            if !member.is_empty() {
                members.extend_from_slice(member);
                members.extend_from_slice(b", ");
            }
        }
    }
    members.extend_from_slice(name.as_bytes());
    match HeaderValue::from_bytes(&members) {
        Ok(value) => headers.insert(VARY, value),
        Err(_) => headers.insert(VARY, HeaderValue::from_static(name)),
    };
}

/// The request headers that select a session, besides cookies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionSources {
    /// `Authorization`.
    pub(crate) bearer: bool,
    /// The header that selects one of several accounts.
    pub(crate) several: bool,
}

impl SessionSources {
    const fn vary(self) -> HeaderValue {
        // Validated at compile time, not for each response.
        match (self.bearer, self.several) {
            (false, false) => const { HeaderValue::from_static(COOKIE) },
            (false, true) => const { HeaderValue::from_static("Cookie, session-id") },
            (true, false) => const { HeaderValue::from_static("Cookie, Authorization") },
            (true, true) => const { HeaderValue::from_static("Cookie, Authorization, session-id") },
        }
    }
}

/// Adds the headers that select a session to `Vary`: `Cookie`, `Authorization` if bearer tokens are
/// accepted, and with several accounts the session header, because a tab must not receive another
/// tab's response.
pub(crate) fn vary_by_session(headers: &mut HeaderMap, sources: SessionSources) {
    match headers.entry(VARY) {
        // The usual case: the application sets no `Vary`.
        Entry::Vacant(vary) => {
            vary.insert(sources.vary());
        }
        Entry::Occupied(_) => {
            vary_by(headers, COOKIE);
            if sources.bearer {
                vary_by(headers, AUTHORIZATION);
            }
            if sources.several {
                vary_by(headers, SESSION_ID_HEADER);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::close::cache_headers::*;

    #[test]
    fn cookie_is_allowed_only_on_responses_that_are_not_shared() {
        for (status, expected) in [
            (101, false),
            (103, false),
            (200, true),
            (204, true),
            (206, true),
            (301, true),
            (303, true),
            (304, false),
            (401, true),
            (404, true),
            (500, true),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(can_carry_cookie(status, &HeaderMap::new()), expected, "{status}");
        }
        for (fields, expected) in [
            (&["private"][..], true),
            (&["max-age=60"], true),
            (&["no-cache"], true),
            (&["x-public, private=\"public\""], true),
            (&["public"], false),
            (&["Public, max-age=60"], false),
            (&["max-age=60,S-MaxAge = 60"], false),
            (&["max-age=31536000, immutable"], false),
            (&["private", "immutable"], false),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(field));
            }
            assert_eq!(can_carry_cookie(StatusCode::OK, &headers), expected, "{fields:?}");
        }
    }

    #[test]
    fn vary_names_every_header_that_selects_a_session() {
        for (bearer, several) in [(false, false), (false, true), (true, false), (true, true)] {
            let sources = SessionSources { bearer, several };
            let named = [(true, COOKIE), (bearer, AUTHORIZATION), (several, SESSION_ID_HEADER)];
            let named: Vec<_> = named.iter().filter(|one| one.0).map(|one| one.1).collect();
            let mut headers = HeaderMap::new();
            for _ in 0..2 {
                vary_by_session(&mut headers, sources);
                assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), [&named.join(", ")]);
            }
            let mut headers = HeaderMap::new();
            headers.insert(VARY, HeaderValue::from_static("Accept"));
            vary_by_session(&mut headers, sources);
            assert_eq!(headers[VARY], format!("Accept, {}", named.join(", ")));
        }
    }

    #[test]
    fn vary_merged_twice_contains_each_header_once() {
        for (fields, expected) in [
            (&[][..], &["Cookie"][..]),
            (&["*"], &["*"]),
            (&["cookie"], &["cookie"]),
            (&["Accept"], &["Accept, Cookie"]),
            (&["Accept", "Origin , accept-encoding"], &["Accept, Origin, accept-encoding, Cookie"]),
            (&["Accept", "COOKIE"], &["Accept", "COOKIE"]),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(VARY, HeaderValue::from_static(field));
            }
            vary_by(&mut headers, COOKIE);
            vary_by(&mut headers, COOKIE);
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), expected);
        }
    }
}
