//! [`CopiedCookies`]: what happens when a session cookie was copied.

use super::named_values::named_values;

/// What happens when two clients renew one session's cookie: it was copied, for example by malware. See
/// [the guide](crate::guide::copied_cookies).
///
/// ```
/// use tower_auth_session::config::CopiedCookies;
///
/// assert_eq!("step_up".parse(), Ok(CopiedCookies::StepUp));
/// assert_eq!(CopiedCookies::Report.as_str(), "report");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CopiedCookies {
    /// Nothing: copies are not looked for.
    Off,
    /// The event [`CopiedCookie`](crate::event::SessionEvent::CopiedCookie) and a warning in the log.
    /// The session goes on.
    Report,
    /// The factors that were verified before count as never verified: routes that require a recent
    /// factor ask for it. Verifying it gives the session a new id and revokes the old one.
    StepUp,
    /// The session is revoked, for both clients.
    End,
}

named_values! {
    CopiedCookies, InvalidCopiedCookies:
    Off = "off",
    Report = "report",
    StepUp = "step_up",
    End = "end",
}

/// The text names no value of [`CopiedCookies`].
///
/// ```
/// use tower_auth_session::config::{CopiedCookies, InvalidCopiedCookies};
///
/// let error: InvalidCopiedCookies = "revoke".parse::<CopiedCookies>().unwrap_err();
/// assert_eq!(error.to_string(), "not off, report, step_up or end");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {COPIED_COOKIES_ALLOWED}")]
pub struct InvalidCopiedCookies(());

pub(super) const COPIED_COOKIES_ALLOWED: &str = "off, report, step_up or end";
