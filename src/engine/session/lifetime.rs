//! The settings for the lifetime of sessions. `expiry` applies them.

use std::time::Duration;

use super::expiry::LifetimePolicy;
use crate::{config::limit::TimeLimit, error::ConfigProblem};

/// How long sessions last, and when tokens are renewed.
///
/// Both timeouts are on by default, 7 days each. A default adapts to the setting that is set: with
/// `maximum_lifetime` of one day alone, the inactivity timeout is one day too.
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::{SessionLifetime, config::TimeLimit};
///
/// const HOUR: Duration = Duration::from_secs(3600);
/// let lifetime = SessionLifetime::new()
///     .inactivity_timeout(8 * HOUR)
///     .maximum_lifetime(7 * 24 * HOUR)
///     .renew_after(Duration::from_secs(30)) // a changed role takes effect within this time
///     .max_override(30 * 24 * HOUR) // "remember me" may ask for this much
///     .pending_lifetime(HOUR / 4)
///     .impersonation_lifetime(HOUR / 2)
///     .clock_skew(Duration::from_secs(10));
///
/// // Until a week has passed since the sign-in, whatever the activity:
/// let fixed = SessionLifetime::new().inactivity_timeout(TimeLimit::Off).maximum_lifetime(168 * HOUR);
/// # let _ = (lifetime, fixed);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct SessionLifetime {
    /// `None` if it was not set, because a default adapts to an explicit value.
    pub(crate) inactivity_timeout: Option<TimeLimit>,
    pub(crate) maximum_lifetime: Option<TimeLimit>,
    pub(crate) renew_after: Option<Duration>,
    clock_skew: Duration,
    override_ceiling: Duration,
    pending_lifetime: Duration,
    impersonation_lifetime: Duration,
}

impl SessionLifetime {
    /// Default of both timeouts.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);
    /// Default of [`renew_after`](Self::renew_after).
    pub const DEFAULT_RENEW_AFTER: Duration = Duration::from_secs(60);
    /// Default of [`clock_skew`](Self::clock_skew).
    pub const DEFAULT_CLOCK_SKEW: Duration = Duration::from_secs(5);
    /// The longest [`clock_skew`](Self::clock_skew) that can be set.
    pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);
    /// Default of [`pending_lifetime`](Self::pending_lifetime).
    pub const DEFAULT_PENDING_LIFETIME: Duration = Duration::from_secs(15 * 60);
    /// Default of [`impersonation_lifetime`](Self::impersonation_lifetime).
    pub const DEFAULT_IMPERSONATION_LIFETIME: Duration = Duration::from_secs(3600);
    /// 400 days: default and maximum of [`max_override`](Self::max_override).
    pub const MAX_OVERRIDE: Duration = Duration::from_secs(400 * 24 * 3600);

    /// The defaults: inactivity timeout and maximum lifetime of 7 days, renewal after 60 s.
    pub const fn new() -> Self {
        Self {
            inactivity_timeout: None,
            maximum_lifetime: None,
            renew_after: None,
            clock_skew: Self::DEFAULT_CLOCK_SKEW,
            override_ceiling: Self::MAX_OVERRIDE,
            pending_lifetime: Self::DEFAULT_PENDING_LIFETIME,
            impersonation_lifetime: Self::DEFAULT_IMPERSONATION_LIFETIME,
        }
    }

    /// The inactivity timeout (ASVS 7.3.1): a [`Duration`], or [`TimeLimit::Off`].
    pub fn inactivity_timeout(mut self, timeout: impl Into<TimeLimit>) -> Self {
        self.inactivity_timeout = Some(timeout.into());
        self
    }

    /// The maximum lifetime since the sign-in, whatever the activity (ASVS 7.3.2): a [`Duration`],
    /// or [`TimeLimit::Off`].
    pub fn maximum_lifetime(mut self, lifetime: impl Into<TimeLimit>) -> Self {
        self.maximum_lifetime = Some(lifetime.into());
        self
    }

    /// The token age from which a request renews it. The effective age is at most a quarter of the
    /// inactivity timeout and at least one second.
    pub const fn renew_after(mut self, age: Duration) -> Self {
        self.renew_after = Some(age);
        self
    }

    /// The maximum difference between the clocks of any two nodes: a token whose `iat` is up to
    /// this far in the future is accepted.
    pub const fn clock_skew(mut self, skew: Duration) -> Self {
        self.clock_skew = skew;
        self
    }

    /// The maximum that a sign-in may set with
    /// [`LifetimeOverride`](crate::config::LifetimeOverride). Lowering it shortens existing
    /// sessions.
    pub const fn max_override(mut self, ceiling: Duration) -> Self {
        self.override_ceiling = ceiling;
        self
    }

    /// The maximum lifetime of a [pending](crate::SignIn::with_tasks) session: a user who has not
    /// completed the tasks by then has to sign in again. 15 minutes by default; a lifetime override
    /// cannot exceed it.
    pub const fn pending_lifetime(mut self, lifetime: Duration) -> Self {
        self.pending_lifetime = lifetime;
        self
    }

    /// The maximum lifetime of an [impersonated](crate::SignIn::impersonated_by) session, one hour
    /// by default; a lifetime override cannot exceed it.
    pub const fn impersonation_lifetime(mut self, lifetime: Duration) -> Self {
        self.impersonation_lifetime = lifetime;
        self
    }

    /// Validates the settings together and adds errors to `problems`.
    pub(crate) fn resolve(&self, problems: &mut Vec<ConfigProblem>) -> LifetimePolicy {
        let mut refuse = |field: &'static str, value: Duration, remedy: &str| {
            problems.push(ConfigProblem::new(field, TimeLimit::After(value).to_string(), remedy));
        };
        let explicit =
            |setting| if let Some(TimeLimit::After(limit)) = setting { Some(limit) } else { None };
        let (inactivity, maximum) = (self.inactivity_timeout, self.maximum_lifetime);
        for (field, duration) in [
            (INACTIVITY_TIMEOUT, explicit(inactivity)),
            ("lifetime.maximum_lifetime", explicit(maximum)),
            (RENEW_AFTER, self.renew_after),
            ("lifetime.override_ceiling", Some(self.override_ceiling)),
            ("lifetime.pending_lifetime", Some(self.pending_lifetime)),
            ("lifetime.impersonation_lifetime", Some(self.impersonation_lifetime)),
        ] {
            if let Some(duration) = duration
                && duration < Duration::from_secs(1)
            {
                refuse(
                    field,
                    duration,
                    "at least one second: sessions are measured in whole seconds",
                );
            }
        }
        if self.clock_skew > Self::MAX_CLOCK_SKEW {
            let remedy = "at most 300 s: synchronise the clocks of the nodes instead";
            refuse("lifetime.clock_skew", self.clock_skew, remedy);
        }
        if self.override_ceiling > Self::MAX_OVERRIDE {
            let remedy = "at most 400 days, the longest browsers keep a cookie (RFC 6265bis §5.5)";
            refuse("lifetime.override_ceiling", self.override_ceiling, remedy);
        }
        // With an inactivity timeout, tokens are renewed after a quarter of it at the latest.
        if let (Some(TimeLimit::Off), Some(age)) = (inactivity, self.renew_after) {
            let longest = explicit(maximum).unwrap_or(Self::DEFAULT_TIMEOUT);
            if maximum != Some(TimeLimit::Off) && age >= longest {
                let limit = TimeLimit::After(longest);
                let remedy = format!(
                    "must be shorter than lifetime.maximum_lifetime, {limit}: no token would be \
                     renewed, and no store queried"
                );
                refuse(RENEW_AFTER, age, &remedy);
            }
        }
        match (inactivity, maximum) {
            (Some(TimeLimit::Off), Some(TimeLimit::Off)) => problems.push(ConfigProblem::new(
                "lifetime",
                "inactivity_timeout off, maximum_lifetime off",
                "turn at least one of them on: a session must end",
            )),
            (Some(TimeLimit::After(idle)), Some(TimeLimit::After(longest))) if idle > longest => {
                let limit = TimeLimit::After(longest);
                let remedy = format!("must not be longer than lifetime.maximum_lifetime, {limit}");
                refuse(INACTIVITY_TIMEOUT, idle, &remedy);
            }
            _ => {}
        }
        let resolved = |setting: Option<TimeLimit>, default: Duration| match setting {
            Some(TimeLimit::Off) => None,
            Some(TimeLimit::After(duration)) => Some(duration),
            None => Some(default),
        };
        let default = Self::DEFAULT_TIMEOUT;
        LifetimePolicy {
            inactivity: resolved(
                inactivity,
                explicit(maximum).map_or(default, |longest| longest.min(default)),
            ),
            maximum: resolved(
                maximum,
                explicit(inactivity).map_or(default, |idle| idle.max(default)),
            ),
            renew_after: self.renew_after.unwrap_or(Self::DEFAULT_RENEW_AFTER),
            clock_skew: self.clock_skew,
            ceiling: self.override_ceiling,
            pending: self.pending_lifetime,
            impersonation: self.impersonation_lifetime,
        }
    }
}

impl Default for SessionLifetime {
    fn default() -> Self {
        Self::new()
    }
}

const RENEW_AFTER: &str = "lifetime.renew_after";
const INACTIVITY_TIMEOUT: &str = "lifetime.inactivity_timeout";
