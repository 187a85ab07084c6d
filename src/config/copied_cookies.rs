//! [`CopiedCookies`]: what happens when a session cookie was copied.

use std::{fmt, str::FromStr};

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

impl CopiedCookies {
    const ALL: [Self; 4] = [Self::Off, Self::Report, Self::StepUp, Self::End];

    /// The name in files and in the environment.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Report => "report",
            Self::StepUp => "step_up",
            Self::End => "end",
        }
    }
}

impl fmt::Display for CopiedCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for CopiedCookies {
    type Err = InvalidCopiedCookies;

    fn from_str(text: &str) -> Result<Self, InvalidCopiedCookies> {
        Self::ALL.into_iter().find(|value| value.as_str() == text).ok_or(InvalidCopiedCookies(()))
    }
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
#[error("not off, report, step_up or end")]
pub struct InvalidCopiedCookies(());
