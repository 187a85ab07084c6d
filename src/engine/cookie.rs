//! What a session cookie is called, which attributes it has, and how a `Set-Cookie` is written.
//!
//! 1. `__Host-`, Secure, HttpOnly, SameSite=Lax, Path=/ and no Domain unless configured otherwise
//!    (ASVS 3.3.1-3.3.4); the settings are checked together when the engine is built.
//! 2. `Max-Age = min(remaining time, 400 days)`, whole seconds rounded down, digits only
//!    (RFC 6265bis §4.1.1, §5.5).
//! 3. Name and value are at most 4096 bytes together, an attribute at most 1024 (RFC 6265bis §5.6).
//! 4. A removal repeats every attribute: a browser ignores a `__Host-` removal without Secure.

use std::{borrow::Cow, time::Duration};

use cookie::Cookie;
use http::HeaderValue;

use super::id::SessionId;
use crate::error::ConfigProblem;

/// The most bytes of a cookie's name and value together that browsers keep (RFC 6265bis §5.6).
pub(crate) const MAX_COOKIE_LENGTH: usize = 4096;
/// The longest Max-Age that browsers honour: 400 days in seconds (RFC 6265bis §5.5).
pub(crate) const MAX_AGE_LIMIT: u64 = 400 * 24 * 3600;
const MAX_ATTRIBUTE_LENGTH: usize = 1024;

/// How the session cookie is named and scoped.
///
/// The default is `__Host-session`: Secure, HttpOnly, SameSite=Lax, Path=/, no Domain. Cookies ignore
/// ports: two applications on one host need two names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct CookieConfig {
    name: String,
    prefix: Option<CookiePrefix>,
    domain: Option<String>,
    path: String,
    same_site: SameSite,
    secure: bool,
}

/// A name prefix that makes browsers enforce attributes (RFC 6265bis §4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CookiePrefix {
    /// `__Host-`: Secure, Path=/, no Domain. No sibling domain can set such a cookie.
    Host,
    /// `__Secure-`: Secure.
    Secure,
    /// No prefix, so nothing is enforced.
    None,
}

impl CookiePrefix {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "__Host-",
            Self::Secure => "__Secure-",
            Self::None => "",
        }
    }
}

/// Which cross-site requests carry the cookie (RFC 6265bis §4.1.2.7). Always written out: browsers
/// treat an unspecified one more loosely than `Lax` (§5.6.7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SameSite {
    /// None of them.
    Strict,
    /// Navigations to the site with a safe method.
    Lax,
    /// All of them. Requires Secure.
    None,
}

impl From<SameSite> for cookie::SameSite {
    fn from(same_site: SameSite) -> Self {
        match same_site {
            SameSite::Strict => Self::Strict,
            SameSite::Lax => Self::Lax,
            SameSite::None => Self::None,
        }
    }
}

impl CookieConfig {
    /// A cookie called `name`, an RFC 9110 token without `.`; the prefix is put before it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            prefix: None,
            domain: None,
            path: "/".to_owned(),
            same_site: SameSite::Lax,
            secure: true,
        }
    }

    /// The prefix, where the default is not wanted: `__Host-`, or `__Secure-` with a domain or path.
    pub const fn prefix(mut self, prefix: CookiePrefix) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// Shares the session with all hosts under `domain`. The prefix becomes `__Secure-`, which gives
    /// up that no sibling domain can set the cookie: whoever controls one can put somebody else's
    /// session, their own for one, into the browser.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sends the cookie to paths below `path` only. The prefix becomes `__Secure-`. No protection
    /// from other applications on the host: scripts there can still read its pages.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Which cross-site requests carry the cookie; `Lax` by default.
    pub const fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Drops Secure, and the prefix with it, for development over plain http. The session can then
    /// be read by anybody on the way. Browsers treat `http://localhost` and `http://127.0.0.1` as
    /// secure, so this is seldom needed.
    pub const fn insecure_for_development(mut self) -> Self {
        self.secure = false;
        self
    }

    /// Checks all settings together; what is wrong goes to `problems`.
    pub(crate) fn resolve(&self, problems: &mut Vec<ConfigProblem>) -> SessionCookie {
        let default = if self.domain.is_none() && self.path == "/" {
            CookiePrefix::Host
        } else {
            CookiePrefix::Secure
        };
        let prefix = if self.secure { self.prefix.unwrap_or(default) } else { CookiePrefix::None };
        let mut refuse = |field: &'static str, value: &str, remedy: &str| {
            problems.push(ConfigProblem::new(field, value, remedy));
        };

        if self.name.is_empty() || !self.name.bytes().all(is_token_byte) {
            refuse("cookie.name", &self.name, "one or more letters, digits, `-` or `_`");
        } else if self.name.contains('.') {
            refuse("cookie.name", &self.name, "must not contain `.`, which separates session ids");
        }
        // A browser compares prefixes without regard to case and would refuse the cookie.
        if self.name.starts_with("__") {
            refuse(
                "cookie.name",
                &self.name,
                "must not start with `__`: set cookie.prefix instead",
            );
        }
        if prefix == CookiePrefix::Host {
            if let Some(domain) = &self.domain {
                refuse("cookie.domain", domain, "`__Host-` allows no Domain: leave out the prefix");
            }
            if self.path != "/" {
                refuse(
                    "cookie.path",
                    &self.path,
                    "`__Host-` requires Path=/: leave out the prefix",
                );
            }
        }
        if let Some(domain) = &self.domain
            && !is_domain(domain)
        {
            refuse(
                "cookie.domain",
                domain,
                "a host name in lower case with a dot inside, without port: `example.com`",
            );
        }
        if !self.path.starts_with('/')
            || self.path.len() > MAX_ATTRIBUTE_LENGTH
            || !self.path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';')
        {
            refuse(
                "cookie.path",
                &self.path,
                "starts with `/`, visible ASCII without `;`, at most 1024 bytes",
            );
        }
        if self.same_site == SameSite::None && !self.secure {
            refuse("cookie.same_site", "None", "SameSite=None requires Secure (RFC 6265bis §5.7)");
        }
        let name = format!("{}{}", prefix.as_str(), self.name);
        if name.len() > MAX_COOKIE_LENGTH / 4 {
            refuse("cookie.name", &self.name, "at most 1000 bytes, to leave room for the token");
        }
        SessionCookie {
            name,
            domain: self.domain.clone(),
            path: self.path.clone(),
            same_site: self.same_site.into(),
            secure: self.secure,
        }
    }
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self::new("session")
    }
}

/// `tchar` of RFC 9110 §5.6.2.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

fn is_domain(domain: &str) -> bool {
    domain.len() <= 253
        && domain.contains('.')
        && domain.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
        && !domain.split('.').all(|label| label.bytes().all(|b| b.is_ascii_digit()))
}

/// Which of the cookies of one browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// The one cookie of a browser with one account.
    Only,
    /// The cookie of one session among several.
    Slot(SessionId),
    /// Which session is active: a session id, or `none`.
    Pointer,
}

/// The value of a pointer that names nobody.
pub(crate) const NOBODY: &str = "none";
const POINTER_SUFFIX: &str = "active";

/// The checked configuration: names and writes the session cookies.
#[derive(Debug, Clone)]
pub(crate) struct SessionCookie {
    name: String,
    domain: Option<String>,
    path: String,
    same_site: cookie::SameSite,
    secure: bool,
}

impl SessionCookie {
    /// The full name of the one cookie, prefix included; the others begin with it and a dot.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn name_of(&self, place: Place) -> Cow<'_, str> {
        match place {
            Place::Only => Cow::Borrowed(&self.name),
            Place::Slot(id) => Cow::Owned(format!("{}.{id}", self.name)),
            Place::Pointer => Cow::Owned(format!("{}.{POINTER_SUFFIX}", self.name)),
        }
    }

    /// The place of a cookie called `name`, if it is one of ours.
    pub(crate) fn place_of(&self, name: &[u8]) -> Option<Place> {
        let rest = name.strip_prefix(self.name.as_bytes())?;
        if rest.is_empty() {
            return Some(Place::Only);
        }
        let suffix = str::from_utf8(rest.strip_prefix(b".")?).ok()?;
        if suffix == POINTER_SUFFIX {
            Some(Place::Pointer)
        } else {
            suffix.parse().ok().map(Place::Slot)
        }
    }

    /// The longest value that still fits a browser's limit, in any place: a session must be able to
    /// move from one to the other.
    pub(crate) fn max_value_length(&self, several: bool) -> usize {
        let suffix = if several { 1 + SessionId::LENGTH } else { 0 };
        MAX_COOKIE_LENGTH - self.name.len() - suffix
    }

    /// `Set-Cookie` for a token that is alive for `remaining`; without Max-Age the cookie goes when
    /// the browser is closed. `None` when there is nothing that a browser would keep.
    pub(crate) fn set(
        &self,
        place: Place,
        token: &str,
        remaining: Duration,
        persistent: bool,
    ) -> Option<HeaderValue> {
        let seconds = remaining.as_secs().min(MAX_AGE_LIMIT);
        let name = self.name_of(place);
        if seconds == 0 || name.len() + token.len() > MAX_COOKIE_LENGTH {
            return None;
        }
        let mut header = self.write(&name, token, persistent.then_some(seconds))?;
        // Not in `Debug`, nor in the tables of HPACK (RFC 7541 §7.1.3).
        header.set_sensitive(true);
        Some(header)
    }

    /// `Set-Cookie` that makes `session` the active one, or nobody.
    pub(crate) fn point_to(&self, session: Option<SessionId>) -> Option<HeaderValue> {
        let value = session.as_ref().map_or(NOBODY, SessionId::as_str);
        self.write(&self.name_of(Place::Pointer), value, Some(MAX_AGE_LIMIT))
    }

    /// `Set-Cookie` that removes the cookie.
    pub(crate) fn remove(&self, place: Place) -> Option<HeaderValue> {
        self.write(&self.name_of(place), "", Some(0))
    }

    fn write(&self, name: &str, value: &str, max_age: Option<u64>) -> Option<HeaderValue> {
        let mut cookie = Cookie::new(name, value);
        cookie.set_path(self.path.as_str());
        cookie.set_http_only(true);
        cookie.set_secure(self.secure);
        cookie.set_same_site(self.same_site);
        if let Some(domain) = &self.domain {
            cookie.set_domain(domain.as_str());
        }
        if let Some(seconds) = max_age {
            // At most MAX_AGE_LIMIT, so the conversion is exact.
            let seconds = i64::try_from(seconds).unwrap_or(0);
            cookie.set_max_age(cookie::time::Duration::seconds(seconds));
        }
        HeaderValue::try_from(cookie.to_string()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(config: &CookieConfig) -> Result<SessionCookie, Vec<String>> {
        let mut problems = Vec::new();
        let cookie = config.resolve(&mut problems);
        if problems.is_empty() {
            Ok(cookie)
        } else {
            Err(problems.iter().map(|problem| problem.field().to_owned()).collect())
        }
    }

    #[test]
    fn the_default_is_as_strict_as_browsers_allow() {
        let cookie = resolve(&CookieConfig::default()).unwrap();
        assert_eq!(
            cookie.set(Place::Only, "t", Duration::from_millis(604_799_999), true).unwrap(),
            "__Host-session=t; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=604799"
        );
        assert_eq!(
            cookie.set(Place::Only, "t", Duration::from_secs(9), false).unwrap(),
            "__Host-session=t; HttpOnly; SameSite=Lax; Secure; Path=/"
        );
        assert_eq!(
            cookie.remove(Place::Only).unwrap(),
            "__Host-session=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
        );
    }

    #[test]
    fn a_removal_repeats_every_attribute() {
        let config =
            CookieConfig::new("sid").domain("example.com").path("/app").same_site(SameSite::Strict);
        let cookie = resolve(&config).unwrap();
        let attributes = "HttpOnly; SameSite=Strict; Secure; Path=/app; Domain=example.com";
        assert_eq!(
            cookie.remove(Place::Only).unwrap(),
            format!("__Secure-sid=; {attributes}; Max-Age=0")
        );
        assert_eq!(
            cookie.set(Place::Only, "t", Duration::from_secs(1), true).unwrap(),
            format!("__Secure-sid=t; {attributes}; Max-Age=1")
        );
    }

    #[test]
    fn max_age_is_capped_at_400_days() {
        let cookie = resolve(&CookieConfig::default()).unwrap();
        for (remaining, max_age) in [
            (Duration::from_secs(1), Some(1)),
            (Duration::from_secs(34_559_999), Some(34_559_999)),
            (Duration::from_secs(34_560_000), Some(34_560_000)),
            (Duration::from_secs(34_560_001), Some(34_560_000)),
            (Duration::from_secs(u64::MAX), Some(34_560_000)),
            (Duration::MAX, Some(34_560_000)),
            (Duration::from_millis(999), None),
            (Duration::ZERO, None),
        ] {
            let header = cookie.set(Place::Only, "t", remaining, true);
            let expected = max_age.map(|age: u64| format!("; Max-Age={age}"));
            match (header, expected) {
                (Some(header), Some(expected)) => {
                    assert!(header.to_str().unwrap().ends_with(&expected), "{header:?}");
                }
                (header, expected) => assert!(header.is_none() && expected.is_none()),
            }
        }
    }

    #[test]
    fn name_and_value_fill_exactly_4096_bytes() {
        let cookie = resolve(&CookieConfig::default()).unwrap();
        let full = "x".repeat(4096 - "__Host-session".len());
        assert!(cookie.set(Place::Only, &full, Duration::from_secs(1), true).is_some());
        assert!(
            cookie.set(Place::Only, &format!("{full}x"), Duration::from_secs(1), true).is_none()
        );
    }

    #[test]
    fn settings_are_checked_together() {
        use CookiePrefix as P;
        let long_path = format!("/{}", "p".repeat(1024));
        let new = |name: &str| CookieConfig::new(name);
        let table: Vec<(CookieConfig, &[&str])> = vec![
            (new("session"), &[]),
            (new("s-e_s!"), &[]),
            (new(""), &["cookie.name"]),
            (new("a b"), &["cookie.name"]),
            (new("a=b"), &["cookie.name"]),
            (new("a;b"), &["cookie.name"]),
            (new("sé"), &["cookie.name"]),
            (new("a.b"), &["cookie.name"]),
            (new("__Host-a"), &["cookie.name"]),
            (new("__host-a"), &["cookie.name"]),
            (new("__SECURE-a").insecure_for_development(), &["cookie.name"]),
            (new(&"x".repeat(2_000)), &["cookie.name"]),
            (new("s").prefix(P::Host), &[]),
            (new("s").prefix(P::Secure), &[]),
            (new("s").prefix(P::None), &[]),
            (new("s").domain("example.com"), &[]),
            (new("s").domain("example.com").prefix(P::Secure), &[]),
            (new("s").domain("example.com").prefix(P::None), &[]),
            (new("s").domain("example.com").prefix(P::Host), &["cookie.domain"]),
            (new("s").domain(".example.com"), &["cookie.domain"]),
            (new("s").domain("example.com."), &["cookie.domain"]),
            (new("s").domain("Example.com"), &["cookie.domain"]),
            (new("s").domain("example.com:443"), &["cookie.domain"]),
            (new("s").domain("com"), &["cookie.domain"]),
            (new("s").domain(""), &["cookie.domain"]),
            (new("s").domain("a; Secure"), &["cookie.domain"]),
            (new("s").domain("127.0.0.1"), &["cookie.domain"]),
            (new("s").path("/app"), &[]),
            (new("s").path("/app").prefix(P::Host), &["cookie.path"]),
            (new("s").path("app"), &["cookie.path"]),
            (new("s").path(""), &["cookie.path"]),
            (new("s").path("/a;b"), &["cookie.path"]),
            (new("s").path("/a\r\nb"), &["cookie.path"]),
            (new("s").path(long_path), &["cookie.path"]),
            (new("s").same_site(SameSite::None), &[]),
            (new("s").same_site(SameSite::Strict), &[]),
            (new("s").insecure_for_development(), &[]),
            (new("s").prefix(P::Host).insecure_for_development(), &[]),
            (new("s").same_site(SameSite::None).insecure_for_development(), &["cookie.same_site"]),
            (
                new("a b").domain("x y").path("p").prefix(P::Host),
                &["cookie.name", "cookie.domain", "cookie.path", "cookie.domain", "cookie.path"],
            ),
        ];
        for (config, expected) in table {
            let mut found = resolve(&config).err().unwrap_or_default();
            let mut expected = expected.to_vec();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{config:?}");
        }
        let plain = resolve(&new("s").insecure_for_development()).unwrap();
        assert_eq!(
            plain.set(Place::Only, "t", Duration::from_secs(5), true).unwrap(),
            "s=t; HttpOnly; SameSite=Lax; Path=/; Max-Age=5"
        );
    }
}
