//! [`CookieConfig`]: names and attributes of the session cookies.
//!
//! `__Host-`, Secure, HttpOnly, SameSite=Lax, Path=/ and no Domain unless configured otherwise
//! (ASVS 3.3.1-3.3.4). The settings are validated together when the engine is built, because a
//! browser silently drops a cookie that breaks the rules of its prefix. An attribute has at most
//! 1024 bytes (RFC 6265bis §5.6).

use memchr::memmem::Finder;

use super::set_cookie::{MAX_COOKIE_LENGTH, SessionCookie, attributes};
use crate::error::ConfigProblem;

const MAX_ATTRIBUTE_LENGTH: usize = 1024;

/// Name and scope of the session cookie.
///
/// The default is `__Host-session`: Secure, HttpOnly, SameSite=Lax, Path=/, no Domain. Cookies
/// ignore ports, so two applications on one host need different names.
///
/// ```
/// use tower_auth_session::config::{CookieConfig, CookiePrefix, SameSite};
///
/// // `__Host-shop; Secure; HttpOnly; SameSite=Lax; Path=/`
/// let shop = CookieConfig::new("shop");
///
/// // Sessions that the subdomains share:
/// let shared = CookieConfig::default().prefix(CookiePrefix::Secure).domain("example.com");
///
/// // An application below a path, whose cookie other sites never send:
/// let below = CookieConfig::new("admin")
///     .prefix(CookiePrefix::Secure)
///     .path("/admin")
///     .same_site(SameSite::Strict);
///
/// // Plain http on the developer's machine:
/// let development = CookieConfig::default().insecure_for_development();
/// # let _ = (shop, shared, below, development);
/// ```
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
///
/// ```
/// use tower_auth_session::config::{CookieConfig, CookiePrefix};
///
/// // `__Secure-shop`, which subdomains share:
/// let cookie = CookieConfig::new("shop").prefix(CookiePrefix::Secure).domain("example.com");
/// # let _ = cookie;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CookiePrefix {
    /// `__Host-`: Secure, Path=/, no Domain. No sibling domain can set such a cookie.
    Host,
    /// `__Secure-`: Secure.
    Secure,
    /// No prefix: browsers enforce nothing.
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

/// Which cross-site requests carry the cookie (RFC 6265bis §4.1.2.7). The attribute is always
/// written, because browsers treat a missing one more loosely than `Lax` (§5.6.7.2).
///
/// ```
/// use tower_auth_session::config::{CookieConfig, SameSite};
///
/// // Pages of other sites embed the application in frames:
/// let cookie = CookieConfig::default().same_site(SameSite::None);
/// # let _ = cookie;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SameSite {
    /// No cross-site requests.
    Strict,
    /// Navigations with a safe method.
    Lax,
    /// All cross-site requests. Requires Secure.
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
    /// A cookie named `name`, an RFC 9110 token without `.`, after its prefix.
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

    /// Replaces the default prefix, which is `__Host-`, or `__Secure-` with a domain or path.
    pub const fn prefix(mut self, prefix: CookiePrefix) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// Shares the session with all hosts under `domain`. The prefix becomes `__Secure-`, so any
    /// host under `domain` can set the cookie: an attacker who controls one can put another
    /// session, such as their own, into the user's browser.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sends the cookie only to paths below `path`. The prefix becomes `__Secure-`. This does not
    /// protect from other applications on the same host, whose scripts can read the pages below
    /// `path`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Which cross-site requests carry the cookie; `Lax` by default.
    pub const fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Omits Secure and the prefix, for development over plain http. Anyone on the network path can
    /// then read the session.
    ///
    /// Every browser drops Secure cookies over plain http, except that Chromium and Firefox keep them
    /// on `http://localhost` and `http://127.0.0.1`. WebKit (Safari) drops them there too, so that a
    /// sign-in leads back to the sign-in page.
    ///
    /// This setting does not reach production unnoticed: with an `https`
    /// [origin](crate::engine::SessionEngineBuilder::origin) `build` fails, otherwise it logs a
    /// warning, and so does each sign-in from a page over https.
    pub const fn insecure_for_development(mut self) -> Self {
        self.secure = false;
        self
    }

    pub(crate) fn cookie_path(&self) -> &str {
        &self.path
    }

    pub(crate) fn cookie_domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    pub(crate) const fn is_secure(&self) -> bool {
        self.secure
    }

    pub(crate) const fn is_strict(&self) -> bool {
        matches!(self.same_site, SameSite::Strict)
    }

    /// Validates the settings together, and adds what is invalid to `problems`.
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
            refuse("cookie.name", &self.name, "use one or more letters, digits, `-` or `_`");
        } else if self.name.contains('.') {
            refuse("cookie.name", &self.name, "remove the `.`, which separates session ids");
        }
        // Browsers compare prefixes case-insensitively and would reject the cookie.
        if self.name.starts_with("__") {
            refuse(
                "cookie.name",
                &self.name,
                "remove the leading `__`, and set cookie.prefix instead",
            );
        }
        if prefix == CookiePrefix::Host {
            if let Some(domain) = &self.domain {
                refuse(
                    "cookie.domain",
                    domain,
                    "`__Host-` allows no Domain: remove the prefix setting",
                );
            }
            if self.path != "/" {
                refuse(
                    "cookie.path",
                    &self.path,
                    "`__Host-` requires Path=/: remove the prefix setting",
                );
            }
        }
        if let Some(domain) = &self.domain
            && !is_domain(domain)
        {
            refuse(
                "cookie.domain",
                domain,
                "use a lower-case host name with a dot inside and without port: `example.com`",
            );
        }
        if !self.path.starts_with('/')
            || self.path.len() > MAX_ATTRIBUTE_LENGTH
            || !self.path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';')
        {
            refuse(
                "cookie.path",
                &self.path,
                "start with `/`, and use at most 1024 bytes of visible ASCII without `;`",
            );
        }
        if self.same_site == SameSite::None && !self.secure {
            refuse("cookie.same_site", "None", "SameSite=None requires Secure (RFC 6265bis §5.7)");
        }
        let name = format!("{}{}", prefix.as_str(), self.name);
        if name.len() > MAX_COOKIE_LENGTH / 4 {
            refuse(
                "cookie.name",
                &self.name,
                "use at most 1000 bytes, to leave space for the token",
            );
        }
        let attributes = |same_site: SameSite| {
            attributes(self.domain.as_deref(), &self.path, same_site.into(), self.secure)
        };
        SessionCookie {
            base_name: self.name.as_str().into(),
            finder: Finder::new(&name).into_owned(),
            name,
            attributes: attributes(self.same_site),
            flow_attributes: [SameSite::Strict, SameSite::Lax, SameSite::None].map(attributes),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::engine::cookie::config::*;
    use crate::engine::cookie::set_cookie::CookieSlot;

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
    fn default_cookie_has_the_strictest_attributes() {
        let cookie = resolve(&CookieConfig::default()).unwrap();
        assert_eq!(
            cookie.set(CookieSlot::Single, "t", Duration::from_millis(604_799_999), true).unwrap(),
            "__Host-session=t; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=604799"
        );
        assert_eq!(
            cookie.set(CookieSlot::Single, "t", Duration::from_secs(9), false).unwrap(),
            "__Host-session=t; HttpOnly; SameSite=Lax; Secure; Path=/"
        );
        assert_eq!(
            cookie.remove(CookieSlot::Single).unwrap(),
            "__Host-session=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
        );
    }

    #[test]
    fn cookie_removal_repeats_every_attribute() {
        let config =
            CookieConfig::new("sid").domain("example.com").path("/app").same_site(SameSite::Strict);
        let cookie = resolve(&config).unwrap();
        let attributes = "HttpOnly; SameSite=Strict; Secure; Path=/app; Domain=example.com";
        assert_eq!(
            cookie.remove(CookieSlot::Single).unwrap(),
            format!("__Secure-sid=; {attributes}; Max-Age=0")
        );
        assert_eq!(
            cookie.set(CookieSlot::Single, "t", Duration::from_secs(1), true).unwrap(),
            format!("__Secure-sid=t; {attributes}; Max-Age=1")
        );
    }

    #[test]
    fn cookie_max_age_is_capped_at_400_days() {
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
            let header = cookie.set(CookieSlot::Single, "t", remaining, true);
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
    fn cookie_name_and_value_are_limited_to_4096_bytes() {
        let cookie = resolve(&CookieConfig::default()).unwrap();
        let full = "x".repeat(4096 - "__Host-session".len());
        assert!(cookie.set(CookieSlot::Single, &full, Duration::from_secs(1), true).is_some());
        assert!(
            cookie
                .set(CookieSlot::Single, &format!("{full}x"), Duration::from_secs(1), true)
                .is_none()
        );
    }

    #[test]
    fn cookie_settings_that_conflict_are_rejected() {
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
            plain.set(CookieSlot::Single, "t", Duration::from_secs(5), true).unwrap(),
            "s=t; HttpOnly; SameSite=Lax; Path=/; Max-Age=5"
        );
    }
}
