//! [`SessionOptions`]: the settings an operator decides on, from code, a file or the environment.
//!
//! Only the form of a value is checked here (a duration, a flag, a list). `build()` checks whether it is
//! valid, also in combination with the others.

use std::time::Duration;

use super::{copied_cookies::CopiedCookies, device_bound::DeviceBound, limit::TimeLimit};
use crate::time::Timestamp;

/// The settings of a deployment in one value. A setting that is not given keeps its default, which
/// differs from setting it to its default: a default yields where it contradicts an explicit value, as
/// 7 days of inactivity contradict a maximum lifetime of one hour.
///
/// | setting | environment variable | default |
/// |---|---|---|
/// | `inactivity_timeout` | `SESSION_INACTIVITY_TIMEOUT` | `7d` |
/// | `maximum_lifetime` | `SESSION_MAXIMUM_LIFETIME` | `7d` |
/// | `renew_after` | `SESSION_RENEW_AFTER` | `60s` |
/// | `multi_session` | `SESSION_MULTI` | `off` |
/// | `sign_in_url` | `SESSION_SIGN_IN_URL` | none |
/// | `after_sign_out_url` | `SESSION_AFTER_SIGN_OUT_URL` | `/` |
/// | `after_multi_session_single_sign_out_url` | `SESSION_AFTER_MULTI_SESSION_SINGLE_SIGN_OUT_URL` | the account chooser |
/// | `tasks_url` | `SESSION_TASKS_URL` | `sign_in_url` |
/// | `reverify_url` | `SESSION_REVERIFY_URL` | `sign_in_url` |
/// | `not_before` | `SESSION_NOT_BEFORE` | none |
/// | `origin` | `SESSION_ORIGIN` | none |
/// | `allowed_redirect_origins` | `SESSION_ALLOWED_REDIRECT_ORIGINS` | none |
/// | `copied_cookies` | `SESSION_COPIED_COOKIES` | `report` with a store |
/// | `copied_cookies_grace` | `SESSION_COPIED_COOKIES_GRACE` | `10s` |
/// | `device_bound` | `SESSION_DEVICE_BOUND` | `off` |
/// | `bound_for` | `SESSION_BOUND_FOR` | `10m` |
/// | `binding_tolerance` | `SESSION_BINDING_TOLERANCE` | `60s` |
///
/// `build()` rejects both limits off, a duration below one second, and invalid URLs and origins.
///
/// In code:
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::{SessionOptions, config::TimeLimit};
///
/// let options = SessionOptions::default()
///     .inactivity_timeout(Duration::from_secs(30 * 60))
///     .maximum_lifetime(TimeLimit::Off)
///     .sign_in_url("/sign-in");
/// ```
///
/// The same from a file, here TOML, with the feature `serde`: durations are strings as [`TimeLimit`]
/// reads them, every key may be left out, and a key that is not in the table is an error.
///
/// ```
/// # #[cfg(feature = "serde")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {std::time::Duration, tower_auth_session::{SessionOptions, config::TimeLimit}};
/// # let in_code = SessionOptions::default()
/// #     .inactivity_timeout(Duration::from_secs(30 * 60))
/// #     .maximum_lifetime(TimeLimit::Off)
/// #     .sign_in_url("/sign-in");
/// let options: SessionOptions = toml::from_str(
///     r#"
///     inactivity_timeout = "30m"
///     maximum_lifetime = "off"
///     sign_in_url = "/sign-in"
///     "#,
/// )?;
/// # assert_eq!(options, in_code);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "serde"))]
/// # fn main() {}
/// ```
///
/// And from the environment:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_auth_session::SessionOptions;
///
/// let options = SessionOptions::from_env()?.warn(|warning| eprintln!("{warning}"));
/// # Ok(())
/// # }
/// ```
///
/// From code, a map or an environment with another prefix:
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::{SessionOptions, config::{CopiedCookies, DeviceBound}, time::Timestamp};
///
/// # fn main() -> Result<(), tower_auth_session::ConfigError> {
/// const DAY: Duration = Duration::from_secs(24 * 3600);
/// let options = SessionOptions::default()
///     .inactivity_timeout(DAY)
///     .maximum_lifetime(30 * DAY)
///     .renew_after(Duration::from_secs(30))
///     .multi_session(true)
///     .sign_in_url("/sign-in")
///     .tasks_url("/sign-in/code")
///     .reverify_url("/confirm")
///     .after_sign_out_url("/goodbye")
///     .after_multi_session_single_sign_out_url("/choose")
///     .origin("https://app.example.com")
///     .allowed_redirect_origins(["https://docs.example.com"])
///     .not_before(Timestamp::from_unix_seconds(1_790_000_000))
///     .copied_cookies(CopiedCookies::StepUp)
///     .copied_cookies_grace(Duration::from_secs(20))
///     .device_bound(DeviceBound::Preferred)
///     .bound_for(Duration::from_secs(300))
///     .binding_tolerance(Duration::from_secs(30));
/// assert_eq!(CopiedCookies::StepUp.as_str(), "step_up");
///
/// let vars = [("APP_INACTIVITY_TIMEOUT", "12h"), ("APP_INACTIVTY_TIMEOUT", "1h")];
/// let env = SessionOptions::from_vars("APP_", vars)?;
/// let warning = &env.warnings[0];
/// assert_eq!(warning.name(), "APP_INACTIVTY_TIMEOUT");
/// assert_eq!(warning.suggestion(), "APP_INACTIVITY_TIMEOUT");
/// let from_process = SessionOptions::from_env_with_prefix("APP_")?.warn(|it| eprintln!("{it}"));
/// # let _ = (options, from_process);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct SessionOptions {
    pub(crate) inactivity_timeout: Option<TimeLimit>,
    pub(crate) maximum_lifetime: Option<TimeLimit>,
    pub(crate) renew_after: Option<Duration>,
    pub(crate) multi_session: Option<bool>,
    pub(crate) sign_in_url: Option<String>,
    pub(crate) after_sign_out_url: Option<String>,
    pub(crate) after_multi_session_single_sign_out_url: Option<String>,
    pub(crate) origin: Option<String>,
    pub(crate) allowed_redirect_origins: Option<Vec<String>>,
    pub(crate) tasks_url: Option<String>,
    pub(crate) reverify_url: Option<String>,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) copied_cookies: Option<CopiedCookies>,
    pub(crate) copied_cookies_grace: Option<Duration>,
    pub(crate) device_bound: Option<DeviceBound>,
    pub(crate) bound_for: Option<Duration>,
    pub(crate) binding_tolerance: Option<Duration>,
}

impl SessionOptions {
    /// How long a session lasts without activity: a [`Duration`], or [`TimeLimit::Off`].
    pub fn inactivity_timeout(mut self, limit: impl Into<TimeLimit>) -> Self {
        self.inactivity_timeout = Some(limit.into());
        self
    }

    /// How long a session lasts from sign-in, whatever the activity: a [`Duration`], or
    /// [`TimeLimit::Off`].
    pub fn maximum_lifetime(mut self, limit: impl Into<TimeLimit>) -> Self {
        self.maximum_lifetime = Some(limit.into());
        self
    }

    /// The age from which a request renews its session token.
    pub fn renew_after(mut self, age: Duration) -> Self {
        self.renew_after = Some(age);
        self
    }

    /// Whether several accounts may be signed in from one browser.
    pub fn multi_session(mut self, on: bool) -> Self {
        self.multi_session = Some(on);
        self
    }

    /// The sign-in page: a path or a URL. The account chooser is at `/choose` below it.
    pub fn sign_in_url(mut self, url: impl Into<String>) -> Self {
        self.sign_in_url = Some(url.into());
        self
    }

    /// The redirect target of a sign-out that leaves no account: a path or a URL.
    pub fn after_sign_out_url(mut self, url: impl Into<String>) -> Self {
        self.after_sign_out_url = Some(url.into());
        self
    }

    /// The redirect target of a sign-out that leaves other accounts: a path or a URL.
    pub fn after_multi_session_single_sign_out_url(mut self, url: impl Into<String>) -> Self {
        self.after_multi_session_single_sign_out_url = Some(url.into());
        self
    }

    /// The page for the tasks of a pending session: a path or a URL.
    pub fn tasks_url(mut self, url: impl Into<String>) -> Self {
        self.tasks_url = Some(url.into());
        self
    }

    /// The re-verification page: a path or a URL.
    pub fn reverify_url(mut self, url: impl Into<String>) -> Self {
        self.reverify_url = Some(url.into());
        self
    }

    /// Revokes all sessions that signed in before this instant. In files and in the environment
    /// `2026-11-23T22:00:00Z`.
    pub fn not_before(mut self, instant: Timestamp) -> Self {
        self.not_before = Some(instant);
        self
    }

    /// What happens when a session cookie was copied: `off`, `report`, `step_up` or `end`.
    pub fn copied_cookies(mut self, reaction: CopiedCookies) -> Self {
        self.copied_cookies = Some(reaction);
        self
    }

    /// How late a response may arrive before its token counts as copied.
    pub fn copied_cookies_grace(mut self, grace: Duration) -> Self {
        self.copied_cookies_grace = Some(grace);
        self
    }

    /// Whether sessions are bound to a key of the user's device: `off`, `preferred` or `required`.
    pub fn device_bound(mut self, mode: DeviceBound) -> Self {
        self.device_bound = Some(mode);
        self
    }

    /// How long a device's proof counts.
    pub fn bound_for(mut self, lifetime: Duration) -> Self {
        self.bound_for = Some(lifetime);
        self
    }

    /// How long tokens from before the binding are accepted, for requests that are in flight.
    pub fn binding_tolerance(mut self, tolerance: Duration) -> Self {
        self.binding_tolerance = Some(tolerance);
        self
    }

    /// This application's own origin as browsers see it: scheme, host and, if not the default one,
    /// port, as in `https://app.example.com`.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// The other origins that a `redirect_url` may name. Replaces those set before.
    pub fn allowed_redirect_origins<I>(mut self, origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.allowed_redirect_origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }
}
