//! [`RedirectTarget`]: validated redirect targets.
//!
//! A text becomes a target through [`RedirectPolicy::check`] (text from the network) or
//! [`RedirectTarget::parse`] (text from the configuration). Both apply the same rules to its bytes
//! and its path. Nothing is normalised, so the validated text is the text that is sent:
//!
//! 1. At most 2048 bytes, each a character of RFC 3986 §2: no space, control, backslash, quote,
//!    angle bracket or non-ASCII letter, which parsers strip, swap or fold.
//! 2. Every `%` starts a triplet, and no triplet encodes a control character.
//! 3. An absolute path (`/…`), or `https://` or `http://` in lower case with a canonical origin. No
//!    other scheme, and no scheme-relative, path-relative, query-only or empty reference.
//! 4. In the path: no empty segment, no dot segment and no `\`, also after one decoding, because some
//!    proxies decode twice. A decoding never reveals a further triplet that would matter. So `%2F`
//!    is allowed inside a name (`/files/a%2Fb`), but not where it would make an empty segment.
//!
//! The page that a request of this site asked for is normalised first, and then follows the same rules
//! ([`RedirectTarget::from_own_page`]): a way back that the guard writes is one that the sign-in page
//! accepts.
//!
//! Against open redirects (CWE-601, ASVS 3.7.2) and header injection (ASVS 4.2.4).

use std::{borrow::Cow, fmt};

use http::HeaderValue;

use super::origin::{self, Origin};
use crate::{
    engine::encoding::percent,
    error::{ConfigError, ConfigProblem},
};

/// A validated redirect target: an absolute path on this site, or an absolute `http` or `https`
/// URL. Its text is visible ASCII, so it is a valid `Location` header.
///
/// ```
/// use tower_auth_session::config::RedirectTarget;
///
/// # fn main() -> Result<(), tower_auth_session::ConfigError> {
/// let target = RedirectTarget::parse("/cart?step=2")?;
/// assert_eq!(target.as_str(), "/cart?step=2");
/// assert_eq!(target.to_header_value(), "/cart?step=2"); // for `Location`
/// assert!(RedirectTarget::parse("//other.example").is_err());
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RedirectTarget(Cow<'static, str>);

impl RedirectTarget {
    /// Maximum length of an accepted text in bytes.
    pub const MAX_LENGTH: usize = 2048;

    /// `/`, the default target.
    pub(crate) const DEFAULT: Self = Self(Cow::Borrowed("/"));
    /// The account chooser that the crate serves.
    pub(crate) const CHOOSE: Self = Self(Cow::Borrowed(Self::CHOOSE_PATH));
    pub(crate) const CHOOSE_PATH: &str = "/sign-in/choose";

    /// Parses a target from the application's configuration: an absolute path, or a URL of any
    /// origin in canonical form (see [`Origin`]; plain `http` is allowed for every host). Never use
    /// it for text from a request.
    ///
    /// # Errors
    ///
    /// When `url` breaks a rule; the error's field is `redirect`.
    pub fn parse(url: &str) -> Result<Self, ConfigError> {
        Self::validated(url, origin::is_canonical)
            .map_err(|error| ConfigError::one("redirect", url, error.remedy()))
    }

    /// [`RedirectTarget::parse`] for the setting `field`.
    pub(crate) fn from_setting(field: &'static str, url: &str) -> Result<Self, ConfigProblem> {
        Self::validated(url, origin::is_canonical)
            .map_err(|error| ConfigProblem::new(field, url, error.remedy()))
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of a `Location` header.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        // Every target is visible ASCII, which is a valid header value; the fallback avoids a
        // panic.
        HeaderValue::from_str(&self.0).unwrap_or_else(|_| HeaderValue::from_static("/"))
    }

    /// The page at `path_and_query` of this site, which a browser requested. It is normalised, so that
    /// it keeps what browsers send but [`validated`](Self::validated) rejects, such as `|` in a query,
    /// and then validated like any other text: the sign-in page must accept it as a parameter.
    ///
    /// Query parameters with encoded control characters, such as the line breaks of a text field, are
    /// left out.
    ///
    /// # Errors
    ///
    /// When the path is not one that a target may have, or the result exceeds
    /// [`MAX_LENGTH`](Self::MAX_LENGTH).
    pub(super) fn from_own_page(path_and_query: &str) -> Result<Self, RedirectError> {
        let url = normalise(path_and_query);
        let (path, query) = split_before(&url, ['?']);
        Self::validated(&format!("{path}{}", without_controls(query)), |_| false)
    }

    /// The whole URL of a page of `origin`, unless it exceeds [`MAX_LENGTH`](Self::MAX_LENGTH).
    pub(super) fn on_origin(self, origin: &Origin) -> Option<Self> {
        let url = format!("{}{self}", origin.as_str());
        (url.len() <= Self::MAX_LENGTH).then(|| Self(url.into()))
    }

    /// The URL with `segment` (unreserved characters only) appended to its path. Query and fragment
    /// stay, and a trailing slash is not doubled.
    pub(crate) fn append_segment(&self, segment: &'static str) -> Self {
        let (path, tail) = split_before(&self.0, ['?', '#']);
        let path = path.strip_suffix('/').unwrap_or(path);
        Self(format!("{path}/{segment}{tail}").into())
    }

    /// The URL with this query parameter appended and percent-encoded; the fragment stays last. An
    /// existing parameter of the same name is replaced, because some readers reject duplicates. The
    /// result may be longer than [`RedirectTarget::MAX_LENGTH`].
    ///
    /// If the value has control characters, which a target cannot encode, the URL stays unchanged.
    pub(crate) fn with_query(&self, name: &str, value: &str) -> Self {
        if value.contains(|c: char| c.is_ascii_control()) {
            return self.clone();
        }
        let (url, fragment) = split_before(&self.0, ['#']);
        let (path, query) = split_before(url, ['?']);
        let mut text = path.to_owned();
        let mut mark = '?';
        for pair in query.trim_start_matches('?').split('&') {
            if !pair.is_empty() && pair.split('=').next() != Some(name) {
                text.push(mark);
                text.push_str(pair);
                mark = '&';
            }
        }
        text.push(mark);
        percent::encode_into(&mut text, name);
        text.push('=');
        percent::encode_into(&mut text, value);
        text.push_str(fragment);
        Self(text.into())
    }

    fn validated(text: &str, allows: impl Fn(&str) -> bool) -> Result<Self, RedirectError> {
        if text.is_empty() {
            return Err(RedirectError::Empty);
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(RedirectError::TooLong);
        }
        if !text.bytes().all(is_url_byte) {
            return Err(RedirectError::Character);
        }
        if percent::escapes(text.as_bytes()).any(|octet| octet.is_none_or(|b| b.is_ascii_control()))
        {
            return Err(RedirectError::Escape);
        }
        let rest = if text.starts_with('/') {
            text
        } else {
            let (origin, rest) = origin::split_origin(text).ok_or(RedirectError::Form)?;
            if !allows(origin) {
                return Err(RedirectError::Origin);
            }
            rest
        };
        check_path(split_before(rest, ['?', '#']).0)?;
        Ok(Self(text.to_owned().into()))
    }
}

impl AsRef<str> for RedirectTarget {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RedirectTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RedirectTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedirectTarget({:?})", self.0)
    }
}

/// Which targets a request may choose: absolute paths, and URLs of this origin or a listed one,
/// compared byte for byte.
///
/// This origin comes from the configuration, never from `Host` or `X-Forwarded-*` (ASVS 4.1.3).
#[derive(Debug, Clone, Default)]
pub(crate) struct RedirectPolicy {
    own: Option<Origin>,
    allowed: Vec<Origin>,
}

impl RedirectPolicy {
    pub(crate) fn new(own: Option<Origin>, allowed: Vec<Origin>) -> Self {
        Self { own, allowed }
    }

    /// Validates `input`, a parameter after exactly one decoding. If it is rejected, the caller
    /// uses the configured fallback.
    pub(crate) fn check(&self, input: &str) -> Result<RedirectTarget, RedirectError> {
        RedirectTarget::validated(input, |origin| {
            self.own.iter().chain(&self.allowed).any(|allowed| allowed.as_str() == origin)
        })
    }
}

/// Why a redirect target was rejected. It is reported in events, without the rejected text.
///
/// ```
/// use tower_auth_session::{error::RedirectError, event::SessionEvent};
///
/// /// Links to foreign sites are an attempt at phishing.
/// fn is_open_redirect(event: &SessionEvent) -> bool {
///     matches!(event, SessionEvent::RedirectRefused { reason: RedirectError::Origin, .. })
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// The text is empty. No event is emitted: the request asks for the fallback.
    #[error("the redirect is empty")]
    Empty,
    /// More than [`RedirectTarget::MAX_LENGTH`] bytes.
    #[error("the redirect is too long")]
    TooLong,
    /// A character that is not allowed in URLs (RFC 3986 §2).
    #[error("the redirect has a character that is not allowed in URLs")]
    Character,
    /// A `%` without two hexadecimal digits, or an encoded control character.
    #[error("the redirect has a malformed percent-encoding or an encoded control character")]
    Escape,
    /// Neither an absolute path nor an `https://` or `http://` URL.
    #[error("the redirect is neither an absolute path nor an http or https URL")]
    Form,
    /// An origin that is neither this service's nor listed.
    #[error("the origin of the redirect is not allowed")]
    Origin,
    /// An empty segment, a dot segment or a backslash in the path, encoded or not.
    #[error("the path of the redirect has an empty segment, a dot segment or an encoded backslash")]
    Path,
}

impl RedirectError {
    /// The remedy for the author of a configuration.
    fn remedy(self) -> &'static str {
        match self {
            Self::Empty => "write an absolute path or URL, or remove the setting",
            Self::TooLong => "write at most 2048 bytes",
            Self::Character => "write ASCII only, and other characters as %XX",
            Self::Escape => "write each % as %25, and remove control characters",
            Self::Form => "start with /, https:// or http://, in lower case",
            Self::Origin => {
                "write the host in lower case, without user and without the scheme's default port"
            }
            Self::Path => "remove //, . and .. segments and %5C from the path, and %2F beside a /",
        }
    }
}

/// Splits `text` before the first of `delimiters`.
pub(crate) fn split_before<const N: usize>(text: &str, delimiters: [char; N]) -> (&str, &str) {
    text.find(delimiters).and_then(|at| text.split_at_checked(at)).unwrap_or((text, ""))
}

/// Reserved, unreserved and `%` (RFC 3986 §2).
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// `path_and_query` with every character that is not allowed in URLs percent-encoded, and every `%`
/// that starts no triplet. Browsers send some of them in a query as they are (WHATWG URL §1.3).
fn normalise(path_and_query: &str) -> String {
    let bytes = path_and_query.as_bytes();
    let mut url = String::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        let is_kept = match byte {
            b'%' => {
                bytes.get(at + 1..at + 3).is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit))
            }
            // The fragment of a URL is never sent.
            b'#' => false,
            byte => is_url_byte(*byte),
        };
        if is_kept {
            url.push(char::from(*byte));
        } else {
            percent::push_triplet(&mut url, *byte);
        }
    }
    url
}

/// Browsers treat `%2e` as a dot when they resolve segments (WHATWG URL §4.1).
fn has_dot_segment(path: &str) -> bool {
    let dotted = path.to_ascii_lowercase().replace("%2e", ".");
    dotted.split('/').any(|segment| matches!(segment, "." | ".."))
}

fn check_path(path: &str) -> Result<(), RedirectError> {
    // As the browser reads it, and as a proxy reads it that decodes once more.
    let once: Vec<u8> = percent::decoded(path.bytes()).flatten().collect();
    let is_bad = |path: &str| path.contains("//") || path.contains('\\') || has_dot_segment(path);
    // The triplets that a second decoding would see, whatever their spelling.
    let hidden = percent::escapes(&once)
        .flatten()
        .any(|octet| matches!(octet, 0..=0x1f | b'/' | b'\\' | b'.' | b'%'));
    // A segment that is appended to it would be an empty one.
    let ends_encoded = once.ends_with(b"/") && !path.ends_with('/');
    if is_bad(path) || is_bad(&String::from_utf8_lossy(&once)) || ends_encoded || hidden {
        return Err(RedirectError::Path);
    }
    Ok(())
}

/// A query, with its `?`, without the parameters that encode control characters.
fn without_controls(query: &str) -> String {
    let has_control = |pair: &str| {
        percent::escapes(pair.as_bytes()).flatten().any(|octet| octet.is_ascii_control())
    };
    let Some(pairs) = query.strip_prefix('?') else { return String::new() };
    let kept: Vec<_> = pairs.split('&').filter(|pair| !has_control(pair)).collect();
    if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) }
}
