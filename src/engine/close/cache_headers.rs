//! Cache headers of responses that carry a session cookie or depend on a session.
//!
//! Session cookies in shared caches are the classic leak of sliding sessions, therefore:
//!
//! 1. A response that the application marked for shared caches gets no cookie. The marks are
//!    `public`, `s-maxage` and `immutable` in `Cache-Control`, a field for CDNs without an
//!    unqualified `private` or `no-store` (CDNs obey it instead of `Cache-Control`, RFC 9213 §2.2),
//!    and `X-Accel-Expires` with a lifetime. Informational responses (1xx) carry none either
//!    (RFC 6265bis §5.3).
//! 2. A response that carries a session cookie is `Cache-Control: private, no-store`, whatever the
//!    application set, and varies by `Cookie` (ASVS 14.3.2). That includes 304: a cache that updates
//!    a stored response with it (RFC 9111 §4.3.4) must not store the cookie.
//! 3. A response that depends on a session and has no mark for shared caches is `private`: the
//!    directive is added to those of the application. 200 and 304 are treated alike
//!    (RFC 9110 §15.4.5). A qualified `private="field"` does not count, because it allows the rest to
//!    be stored (RFC 9111 §5.2.2.7).
//! 4. A response for which the session was read varies by `Cookie`; a guarded one without
//!    `Cache-Control` is `private, no-store`, so that the back button shows nothing after a
//!    sign-out.
//! 5. A response that changes the account drops the pages that the browser fetched ahead
//!    (`Clear-Site-Data`, in secure contexts): they were rendered for the previous account.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, VARY},
};

use crate::engine::request::head::SESSION_ID_HEADER;

/// The request header that holds the session cookies.
pub(crate) const COOKIE: &str = "Cookie";
const AUTHORIZATION: &str = "Authorization";

pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("private, no-store");

/// Whether a response may carry a session cookie.
pub(crate) fn can_carry_cookie(status: StatusCode, headers: &HeaderMap) -> bool {
    !status.is_informational() && !is_for_shared_caches(headers)
}

/// Whether the application marked a response for shared caches.
fn is_for_shared_caches(headers: &HeaderMap) -> bool {
    CacheMarks::new(headers).is_shared
}

/// What the application's cache headers state about a response.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CacheMarks {
    /// It is marked for shared caches.
    pub(crate) is_shared: bool,
    has_cache_control: bool,
    has_vary: bool,
    /// `Cache-Control` forbids shared caches to store it.
    is_private: bool,
}

impl CacheMarks {
    /// Reads the headers once: every response passes through here.
    pub(crate) fn new(headers: &HeaderMap) -> Self {
        let mut marks = Self::default();
        for (name, field) in headers {
            if name == CACHE_CONTROL {
                marks.has_cache_control = true;
                for directive in directives(field) {
                    marks.is_shared |= directive.is_one_of(&["public", "s-maxage", "immutable"]);
                    marks.is_private |= is_private(directive);
                }
            } else if name == VARY {
                marks.has_vary = true;
            } else {
                marks.is_shared |= (is_for_cdns(name) && !directives(field).any(is_private))
                    || (name == X_ACCEL_EXPIRES && field.as_bytes().trim_ascii() != b"0");
            }
        }
        marks
    }

    /// Marks a response that depends on a session as private, next to the application's directives.
    pub(crate) fn add_private(self, headers: &mut HeaderMap) {
        const PRIVATE: HeaderValue = HeaderValue::from_static("private");
        if !self.has_cache_control {
            headers.insert(CACHE_CONTROL, PRIVATE);
        } else if !self.is_private {
            headers.append(CACHE_CONTROL, PRIVATE);
        }
    }

    /// Adds the headers that select a session to `Vary`.
    pub(crate) fn vary_by_session(self, headers: &mut HeaderMap, sources: SessionSources) {
        // Usually the application sets no `Vary`.
        match self.has_vary {
            false => drop(headers.insert(VARY, sources.vary())),
            true => vary_by_session(headers, sources),
        }
    }

    /// Marks a guarded response, unless the application set `Cache-Control`. Returns whether it did.
    pub(crate) fn default_to_no_store(self, headers: &mut HeaderMap) -> bool {
        if !self.has_cache_control {
            headers.insert(CACHE_CONTROL, NO_STORE);
        }
        !self.has_cache_control
    }
}

/// nginx obeys it instead of `Cache-Control`: seconds, or `@` and an instant; 0 forbids storing.
const X_ACCEL_EXPIRES: &str = "x-accel-expires";

/// Whether a field replaces `Cache-Control` for CDNs: that of RFC 9213 §3.1, a vendor's of the same
/// form (`Cloudflare-CDN-Cache-Control`), or the older `Surrogate-Control`, `Edge-Control` and
/// `X-LiteSpeed-Cache-Control`.
fn is_for_cdns(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.ends_with("cdn-cache-control")
        || matches!(name, "surrogate-control" | "edge-control" | "x-litespeed-cache-control")
}

/// One directive of a cache field: its name, and whether it has an argument.
#[derive(Clone, Copy)]
struct Directive<'f> {
    name: &'f [u8],
    has_argument: bool,
}

impl Directive<'_> {
    fn is_one_of(self, names: &[&str]) -> bool {
        names.iter().any(|name| self.name.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// Whether a directive forbids shared caches to store the whole response.
fn is_private(directive: Directive<'_>) -> bool {
    !directive.has_argument && directive.is_one_of(&["private", "no-store"])
}

/// The directives of a field. A comma inside a quoted argument does not separate two of them.
fn directives(field: &HeaderValue) -> impl Iterator<Item = Directive<'_>> {
    let mut is_quoted = false;
    let parts = field.as_bytes().split(move |byte| {
        is_quoted ^= *byte == b'"';
        *byte == b',' && !is_quoted
    });
    parts.map(|part| {
        let mut parts = part.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default().trim_ascii();
        Directive { name, has_argument: parts.next().is_some() }
    })
}

/// Marks a response that carries a session cookie.
pub(crate) fn set_no_store(headers: &mut HeaderMap, sources: SessionSources) {
    headers.insert(CACHE_CONTROL, NO_STORE);
    vary_by_session(headers, sources);
}

/// Makes the browser drop pages that it fetched ahead for the previous account. The application's
/// own `Clear-Site-Data` is kept.
pub(crate) fn clear_speculative_pages(headers: &mut HeaderMap) {
    const PAGES: HeaderValue = HeaderValue::from_static("\"prefetchCache\", \"prerenderCache\"");
    static CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
    if !headers.get_all(&CLEAR_SITE_DATA).iter().any(|value| *value == PAGES) {
        headers.append(&CLEAR_SITE_DATA, PAGES);
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
    if !headers.contains_key(VARY) {
        headers.insert(VARY, sources.vary());
        return;
    }
    vary_by(headers, COOKIE);
    if sources.bearer {
        vary_by(headers, AUTHORIZATION);
    }
    if sources.several {
        vary_by(headers, SESSION_ID_HEADER);
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
            (304, true),
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
        for (name, value, expected) in [
            ("cdn-cache-control", "max-age=60", false),
            ("cdn-cache-control", "max-age=60, private", true),
            ("cdn-cache-control", "max-age=60, private=\"x-n\"", false),
            ("cloudflare-cdn-cache-control", "no-store", true),
            ("surrogate-control", "max-age=60", false),
            ("edge-control", "max-age=60", false),
            ("edge-control", "no-store", true),
            ("x-litespeed-cache-control", "public,max-age=60", false),
            ("x-litespeed-cache-control", "private,max-age=60", true),
            ("x-accel-expires", "60", false),
            ("x-accel-expires", "@1800000000", false),
            ("x-accel-expires", "0", true),
            ("x-public", "public", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(can_carry_cookie(StatusCode::OK, &headers), expected, "{name}: {value}");
        }
    }

    #[test]
    fn private_is_added_to_the_directives_of_the_application() {
        for (fields, expected) in [
            (&[][..], &["private"][..]),
            (&["max-age=60"], &["max-age=60", "private"]),
            (&["private"], &["private"]),
            (&["max-age=60", "No-Store"], &["max-age=60", "No-Store"]),
            (&["private=\"x\""], &["private=\"x\"", "private"]),
            (&["private=\"x, no-store, y\""], &["private=\"x, no-store, y\"", "private"]),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(field));
            }
            CacheMarks::new(&headers).add_private(&mut headers);
            let found: Vec<_> = headers.get_all(CACHE_CONTROL).iter().collect();
            assert_eq!(found, expected, "{fields:?}");
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
