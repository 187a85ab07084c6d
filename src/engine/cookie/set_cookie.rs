//! Names and `Set-Cookie` headers of the cookies of one browser.
//!
//! 1. `Max-Age = min(remaining time, 400 days)`, whole seconds rounded down, digits only
//!    (RFC 6265bis §4.1.1, §5.5).
//! 2. Name and value are at most 4096 bytes together (RFC 6265bis §5.6).
//! 3. A removal repeats every attribute: a browser ignores a `__Host-` removal without Secure.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

use bytes::Bytes;
use cookie::Cookie;
use http::HeaderValue;
use memchr::memmem::Finder;

use super::{config::SameSite, scan::CookieName};
use crate::engine::{flow::FlowId, session::id::SessionId};

/// Maximum length of name and value together that browsers accept (RFC 6265bis §5.6).
pub(crate) const MAX_COOKIE_LENGTH: usize = 4096;
/// Maximum Max-Age that browsers honour: 400 days in seconds (RFC 6265bis §5.5).
const MAX_AGE_LIMIT: u64 = 400 * 24 * 3600;

/// One of the cookies of a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CookieSlot {
    /// The cookie of a browser with one account.
    Single,
    /// The cookie of one of several accounts.
    Account(SessionId),
    /// The active cookie: the id of the active session, or `none`.
    Active,
    /// The cookie of a flow.
    Flow(FlowId),
    /// The proof that requests of a session come from the device that it is bound to. Its name is the
    /// same whether a browser has one account or several.
    Proof(SessionId),
}

/// Value of the active cookie when no session is active.
pub(crate) const NO_ACTIVE: &str = "none";
pub(crate) const ACTIVE_SUFFIX: &str = "active";
/// Before the id of a flow.
pub(crate) const FLOW_SUFFIX: &str = "flow.";
pub(crate) const PROOF_SUFFIX: &str = "proof";

/// The validated configuration, which names and writes the session cookies.
#[derive(Debug, Clone)]
pub(crate) struct SessionCookie {
    /// The configured name without its prefix: the purpose that tokens are bound to.
    pub(crate) base_name: Box<str>,
    pub(crate) name: String,
    pub(crate) finder: Finder<'static>,
    /// The attributes as written in every `Set-Cookie`, from the first semicolon on.
    pub(crate) attributes: String,
    /// The same for flows, which choose their `SameSite`: Strict, Lax, None.
    pub(crate) flow_attributes: [String; 3],
}

impl SessionCookie {
    /// Full name of the session cookie with its prefix. The other names append a dot and a suffix.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the cookies have the attribute `Secure`.
    pub(crate) fn is_secure(&self) -> bool {
        self.attributes.contains("; Secure")
    }

    /// The attributes of every cookie, without `Max-Age`.
    pub(crate) fn attributes(&self) -> &str {
        self.attributes.trim_start_matches([';', ' '])
    }

    /// Finds occurrences of the name.
    pub(crate) const fn finder(&self) -> &Finder<'static> {
        &self.finder
    }

    pub(crate) fn name_of(&self, slot: CookieSlot) -> Cow<'_, str> {
        match slot {
            CookieSlot::Single => Cow::Borrowed(&self.name),
            CookieSlot::Account(id) => Cow::Owned(format!("{}.{id}", self.name)),
            CookieSlot::Active => Cow::Owned(format!("{}.{ACTIVE_SUFFIX}", self.name)),
            CookieSlot::Flow(id) => Cow::Owned(format!("{}.{FLOW_SUFFIX}{id}", self.name)),
            CookieSlot::Proof(id) => Cow::Owned(format!("{}.{PROOF_SUFFIX}.{id}", self.name)),
        }
    }

    /// The bytes of a `Cookie` field that a session cookie takes, with its separators.
    pub(crate) fn pair_length(&self, name: CookieName<'_>, value: &[u8]) -> usize {
        let suffix = match name {
            CookieName::Single => 0,
            CookieName::Active => 1 + ACTIVE_SUFFIX.len(),
            CookieName::Account(_) => 1 + SessionId::LENGTH,
            CookieName::Flow => 1 + FLOW_SUFFIX.len() + FlowId::LENGTH,
            CookieName::Proof(_) => 1 + PROOF_SUFFIX.len() + 1 + SessionId::LENGTH,
        };
        self.name.len() + suffix + "=; ".len() + value.len()
    }

    /// How much a renewal without activity can lengthen a token, which then states the last
    /// activity: `"last_active_at":1800000000,` in base64.
    pub(crate) const MAX_RENEWAL_GROWTH: usize = 38;

    /// Maximum token length that fits browsers' limit in every cookie the session can be moved to.
    pub(crate) fn max_value_length(&self, multi_session: bool) -> usize {
        let suffix = if multi_session { 1 + SessionId::LENGTH } else { 0 };
        MAX_COOKIE_LENGTH - self.name.len() - suffix
    }

    /// `Set-Cookie` for a token that expires in `remaining`. Without Max-Age the browser removes
    /// the cookie when it is closed. `None` if a browser would not keep the cookie.
    pub(crate) fn set(
        &self,
        slot: CookieSlot,
        token: &str,
        remaining: Duration,
        persistent: bool,
    ) -> Option<HeaderValue> {
        let seconds = remaining.as_secs().min(MAX_AGE_LIMIT);
        let name = self.name_of(slot);
        if seconds == 0 || name.len() + token.len() > MAX_COOKIE_LENGTH {
            return None;
        }
        let mut header = self.write(&name, token, persistent.then_some(seconds))?;
        // Keeps the value out of `Debug` and of HPACK's tables (RFC 7541 §7.1.3).
        header.set_sensitive(true);
        Some(header)
    }

    /// `Set-Cookie` that makes `session` the active one, or none.
    pub(crate) fn set_active(&self, session: Option<SessionId>) -> Option<HeaderValue> {
        let value = session.as_ref().map_or(NO_ACTIVE, SessionId::as_str);
        self.write(&self.name_of(CookieSlot::Active), value, Some(MAX_AGE_LIMIT))
    }

    /// `Set-Cookie` that removes the cookie.
    pub(crate) fn remove(&self, slot: CookieSlot) -> Option<HeaderValue> {
        self.write(&self.name_of(slot), "", Some(0))
    }

    /// `Set-Cookie` for a flow that expires in `remaining`. `None` if it has expired.
    pub(crate) fn set_flow(
        &self,
        id: FlowId,
        value: &str,
        same_site: SameSite,
        remaining: Duration,
    ) -> Option<HeaderValue> {
        let seconds = remaining.as_secs();
        let (name, attributes) = (self.name_of(CookieSlot::Flow(id)), self.flow(same_site));
        let mut header = write_cookie(&name, value, attributes, Some(seconds))?;
        header.set_sensitive(true);
        (seconds > 0).then_some(header)
    }

    /// `Set-Cookie` that removes the cookie of a flow.
    pub(crate) fn remove_flow(&self, id: FlowId, same_site: SameSite) -> Option<HeaderValue> {
        write_cookie(&self.name_of(CookieSlot::Flow(id)), "", self.flow(same_site), Some(0))
    }

    fn flow(&self, same_site: SameSite) -> &str {
        let [strict, lax, none] = &self.flow_attributes;
        match same_site {
            SameSite::Strict => strict,
            SameSite::Lax => lax,
            SameSite::None => none,
        }
    }

    fn write(&self, name: &str, value: &str, max_age: Option<u64>) -> Option<HeaderValue> {
        write_cookie(name, value, &self.attributes, max_age)
    }
}

fn write_cookie(
    name: &str,
    value: &str,
    attributes: &str,
    max_age: Option<u64>,
) -> Option<HeaderValue> {
    const MAX_AGE: &str = "; Max-Age=";
    let age = if max_age.is_some() { MAX_AGE.len() + 1 } else { 0 };
    let digits = max_age.and_then(u64::checked_ilog10).unwrap_or(0) as usize;
    let length = name.len() + 1 + value.len() + attributes.len() + age + digits;
    let mut header = String::with_capacity(length);
    header.extend([name, "=", value, attributes]);
    if let Some(seconds) = max_age {
        let _ = write!(header, "{MAX_AGE}{seconds}");
    }
    HeaderValue::from_maybe_shared(Bytes::from(header)).ok()
}

/// The attributes that all session cookies share.
pub(crate) fn attributes(
    domain: Option<&str>,
    path: &str,
    same_site: cookie::SameSite,
    secure: bool,
) -> String {
    let mut cookie = Cookie::new("", "");
    cookie.set_path(path);
    cookie.set_http_only(true);
    cookie.set_secure(secure);
    cookie.set_same_site(same_site);
    if let Some(domain) = domain {
        cookie.set_domain(domain);
    }
    cookie.to_string().split_off(1)
}
