//! [`Origin`]: web origins in canonical form.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    num::NonZeroU16,
    str::FromStr,
};

use crate::error::{ConfigError, ConfigProblem};

/// A web origin in the form in which browsers write it (RFC 6454 §6.2): `scheme://host[:port]`.
///
/// * The scheme is `https`. Plain `http` is allowed only for loopback hosts: `localhost`, names
///   under it, `127.0.0.0/8` and `[::1]`.
/// * The host is lower-case letters, digits and hyphens in labels of 1 to 63 characters (RFC 1123
///   §2.1; international names as `xn--`), a dotted decimal IPv4 address, or a bracketed IPv6
///   address in its shortest form. A name that browsers would read as an address is rejected.
/// * The port is present only if it is not the scheme's default.
///
/// There is one form only, so two origins are equal exactly if their texts are. Nothing is
/// normalised, and there are no wildcards.
///
/// ```
/// use tower_auth_session::config::Origin;
///
/// # fn main() -> Result<(), tower_auth_session::ConfigError> {
/// assert_eq!(Origin::parse("https://app.example.com")?.as_str(), "https://app.example.com");
/// assert!(Origin::parse("https://app.example.com/").is_err());
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin(Box<str>);

impl Origin {
    /// Parses the canonical form.
    ///
    /// # Errors
    ///
    /// When `text` is not in canonical form; the error's field is `origin`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let remedy = match canonical_host(text) {
            Ok(host) if text.starts_with(HTTPS) || is_loopback(host) => {
                return Ok(Self(text.into()));
            }
            Ok(_) => PLAIN,
            Err(remedy) => remedy,
        };
        Err(ConfigError::one("origin", text, remedy))
    }

    /// Parses the setting `field`, and adds what is invalid to `problems`. With `plain_http`, which is
    /// for development, any host may be served over http.
    pub(crate) fn from_setting(
        field: &'static str,
        text: Option<&str>,
        plain_http: bool,
        problems: &mut Vec<ConfigProblem>,
    ) -> Option<Self> {
        let text = text?;
        if plain_http && is_canonical(text) {
            return Some(Self(text.into()));
        }
        match Self::parse(text) {
            Ok(origin) => Some(origin),
            Err(error) => {
                for problem in error.problems() {
                    problems.push(ConfigProblem::new(field, text, problem.remedy()));
                }
                None
            }
        }
    }

    /// Whether `host` is a loopback host, as browsers recognise it.
    pub(crate) fn is_loopback_host(host: &str) -> bool {
        is_loopback(host)
    }

    /// Whether the host is `domain` or below it.
    pub(crate) fn is_below(&self, domain: &str) -> bool {
        host_of(&self.0).is_some_and(|host| is_below(host, domain))
    }

    /// The canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({:?})", &self.0)
    }
}

/// Splits an absolute `http` or `https` URL after its authority, into the unvalidated origin and
/// the rest.
pub(crate) fn split_origin(url: &str) -> Option<(&str, &str)> {
    let authority = without_scheme(url)?;
    let rest = authority.get(authority.find(['/', '?', '#']).unwrap_or(authority.len())..)?;
    Some((url.strip_suffix(rest)?, rest))
}

/// The part after a lower-case `http://` or `https://`.
pub(crate) fn without_scheme(url: &str) -> Option<&str> {
    url.strip_prefix(HTTPS).or_else(|| url.strip_prefix(HTTP))
}

/// Whether `host` is `domain` or below it.
pub(crate) fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The host of an origin in canonical form.
pub(crate) fn host_of(origin: &str) -> Option<&str> {
    canonical_host(origin).ok()
}

/// Whether `text` is an origin in canonical form, with any host and either scheme.
pub(crate) fn is_canonical(text: &str) -> bool {
    canonical_host(text).is_ok()
}

/// The host of an origin in canonical form, or the remedy for the operator.
fn canonical_host(text: &str) -> Result<&str, &'static str> {
    let authority = without_scheme(text).ok_or(SCHEME)?;
    if authority.contains(['/', '?', '#', '\\', '@']) {
        return Err(MORE);
    }
    // All colons of an IPv6 address are before its bracket.
    let port_start = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(port_start).ok_or(HOST)?;
    check_host(host)?;
    match port.strip_prefix(':') {
        Some(port) => check_port(port, text.starts_with(HTTPS))?,
        None if port.is_empty() => {}
        None => return Err(PORT),
    }
    Ok(host)
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if let Some(bracketed) = host.strip_prefix('[') {
        let address = bracketed.strip_suffix(']').and_then(|text| text.parse().ok());
        let canonical = address.is_some_and(|address| browser_form(address) == bracketed);
        return if canonical { Ok(()) } else { Err(IPV6) };
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err(HOST);
    }
    // Browsers parse a host whose last label is a number as an IPv4 address (WHATWG URL §3.5, "ends
    // in a number"), so `0x7f.1` would be a different host.
    let last = host.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|b| b.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    if number && ipv4(host).is_none() { Err(IPV4) } else { Ok(()) }
}

fn check_port(port: &str, https: bool) -> Result<(), &'static str> {
    let number: NonZeroU16 = port.parse().map_err(|_| PORT)?;
    if number.to_string() != port {
        return Err(PORT);
    }
    if number.get() == if https { 443 } else { 80 } { Err(DEFAULT_PORT) } else { Ok(()) }
}

/// `address` and the closing bracket as browsers write them (WHATWG URL §3.5): RFC 5952, except
/// that mapped IPv4 addresses have no dots.
fn browser_form(address: Ipv6Addr) -> String {
    match (address.to_ipv4_mapped(), address.segments()) {
        (Some(_), [.., high, low]) => format!("::ffff:{high:x}:{low:x}]"),
        _ => format!("{address}]"),
    }
}

/// The standard library's parser accepts only four decimal numbers without leading zeros.
fn ipv4(host: &str) -> Option<Ipv4Addr> {
    host.parse().ok()
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "[::1]")
        || host.ends_with(".localhost")
        || ipv4(host).is_some_and(|address| address.is_loopback())
}

const HTTPS: &str = "https://";
const HTTP: &str = "http://";

const SCHEME: &str = "start with https://, or http:// for a loopback host, in lower case";
const PLAIN: &str = "use https: plain http is allowed only for loopback hosts, and for other hosts with \
                     CookieConfig::insecure_for_development";
const MORE: &str = "end after the host or port: no path, slash, query, fragment or user";
const HOST: &str = "write the host as lower-case letters, digits and hyphens (international names \
                    as xn--), without empty labels, trailing dot or wildcard";
const IPV4: &str = "write a host that ends in a number as an IPv4 address of four decimal numbers";
const IPV6: &str = "write the IPv6 address in brackets, lower case and shortest form";
const PORT: &str = "write the port as 1 to 65535, without leading zeros";
const DEFAULT_PORT: &str = "remove the scheme's default port";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use crate::engine::redirect::origin::*;

    const CANONICAL: &[&str] = &[
        "https://example.com",
        "https://a.b-c.example.com:8443",
        "https://xn--bcher-kva.example",
        "https://intranet",
        "https://1.example",
        "https://0xg",
        "https://192.0.2.1",
        "https://[2001:db8::1]",
        "https://[2001:db8::1]:8443",
        "https://[::ffff:c000:201]",
        "https://[::]",
        "https://example.com:80",
        "https://example.com:65535",
        "http://localhost",
        "http://localhost:3000",
        "http://app.localhost:443",
        "http://127.0.0.1:3000",
        "http://127.255.0.9",
        "http://[::1]:3000",
    ];

    #[test]
    fn canonical_origin_matches_browser_serialization() {
        for text in CANONICAL {
            assert_eq!(Origin::parse(text).unwrap().as_str(), *text);
            assert_eq!(Url::parse(text).unwrap().origin().ascii_serialization(), *text);
        }
    }

    #[test]
    fn origin_in_another_form_is_rejected_with_remedy() {
        let long_label = format!("https://{}.com", "a".repeat(64));
        let long_host = format!("https://{}com", "a.".repeat(126));
        for (text, remedy) in [
            ("", SCHEME),
            ("example.com", SCHEME),
            ("//example.com", SCHEME),
            ("HTTPS://example.com", SCHEME),
            ("ftp://example.com", SCHEME),
            ("wss://example.com", SCHEME),
            (" https://example.com", SCHEME),
            ("null", SCHEME),
            ("*", SCHEME),
            ("https://example.com/", MORE),
            ("https://example.com?", MORE),
            ("https://example.com#", MORE),
            ("https://user@example.com", MORE),
            ("https:///example.com", MORE),
            ("https://example.com\\", MORE),
            ("https://", HOST),
            ("https://:8443", HOST),
            ("https://Example.com", HOST),
            ("https://example.com.", HOST),
            ("https://.example.com", HOST),
            ("https://a..b", HOST),
            ("https://*.example.com", HOST),
            ("https://-a.example", HOST),
            ("https://a-.example", HOST),
            ("https://a_b.example", HOST),
            ("https://b\u{fc}cher.example", HOST),
            ("https://example%2ecom", HOST),
            ("https://example.com ", HOST),
            (&long_label, HOST),
            (&long_host, HOST),
            ("https://0x7f.1", IPV4),
            ("https://127.1", IPV4),
            ("https://2130706433", IPV4),
            ("https://192.0.2.01", IPV4),
            ("https://192.0.2.256", IPV4),
            ("https://1.2.3.4.5", IPV4),
            ("https://a.0x", IPV4),
            ("https://1.2.3.0x4", IPV4),
            ("https://[2001:DB8::1]", IPV6),
            ("https://[2001:db8:0:0:0:0:0:1]", IPV6),
            ("https://[::ffff:192.0.2.1]", IPV6),
            ("https://[fe80::1%25eth0]", IPV6),
            ("https://[::1", IPV6),
            ("https://[]", IPV6),
            ("https://[[::1]]", IPV6),
            ("https://[::1]a", PORT),
            ("https://[::1]8443", PORT),
            ("https://example.com:", PORT),
            ("https://example.com:0", PORT),
            ("https://example.com:08443", PORT),
            ("https://example.com:+8443", PORT),
            ("https://example.com:65536", PORT),
            ("https://example.com:84:43", PORT),
            ("https://example.com:443", DEFAULT_PORT),
            ("http://localhost:80", DEFAULT_PORT),
            ("http://example.com", PLAIN),
            ("http://192.0.2.1", PLAIN),
            ("http://notlocalhost", PLAIN),
            ("http://localhost.example.com", PLAIN),
            ("http://127.0.0.1.example.com", PLAIN),
            ("http://[::2]", PLAIN),
        ] {
            let error = Origin::parse(text).unwrap_err();
            let [problem] = error.problems() else { panic!("{error}") };
            assert_eq!((problem.field(), problem.value()), ("origin", text));
            assert_eq!(problem.remedy(), remedy, "{text}");
        }
    }

    #[test]
    fn url_is_split_after_its_authority() {
        for (url, parts) in [
            ("https://a/b", Some(("https://a", "/b"))),
            ("http://a?b/c", Some(("http://a", "?b/c"))),
            ("https://a#b?c", Some(("https://a", "#b?c"))),
            ("https://a", Some(("https://a", ""))),
            ("https://", Some(("https://", ""))),
            ("https:///a", Some(("https://", "/a"))),
            ("https://a\\@b/c", Some(("https://a\\@b", "/c"))),
            ("https:/a", None),
            ("//a", None),
        ] {
            assert_eq!(split_origin(url), parts, "{url}");
        }
    }

    proptest! {
        #[test]
        fn accepted_origin_always_matches_browser_serialization(
            text in "(https?://)?(\\[[0-9a-f:.]{0,9}\\]|[a-z0-9x.-]{0,12}|[0-9.x]{0,9}|\\PC{0,9})(:[0-9]{0,5})?"
        ) {
            if Origin::parse(&text).is_ok() && !text.contains("xn--") {
                let url = Url::parse(&text);
                prop_assert!(url.is_ok(), "{text}");
                prop_assert_eq!(url.unwrap().origin().ascii_serialization(), text);
            }
        }
    }
}
