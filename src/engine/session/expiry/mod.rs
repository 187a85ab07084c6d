//! When a session expires and when its token is renewed: integer arithmetic on [`Timestamp`]s only.
//!
//! 1. A session expires at `min(last_active_at + inactivity_timeout, auth_time + maximum_lifetime)`
//!    over the settings that are on (ASVS 7.3.1, 7.3.2), and never after the `exp` of its token.
//! 2. It has expired when `now >= end` (RFC 7519 §4.1.4: "on or after"), with no leeway.
//! 3. Its token is renewed when it is `renew_after` old, or when the request is activity and the
//!    last recorded activity is that old: a background poll neither keeps an abandoned tab signed
//!    in nor hides an active user.
//! 4. Fractions of a second are dropped and ages are never negative: a session may expire up to the
//!    renewal age early, never late, and a clock that goes back expires none.

use std::time::Duration;

use crate::time::Timestamp;

/// The lifetime of one session ("remember me"): a value set here replaces the configured setting
/// for this session, up to
/// [`SessionLifetime::max_override`](crate::SessionLifetime::max_override), and is part of
/// its token.
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::config::LifetimeOverride;
///
/// const DAY: Duration = Duration::from_secs(24 * 3600);
/// let remembered = LifetimeOverride::both(30 * DAY);
/// let shared_computer =
///     LifetimeOverride::new().inactivity_timeout(DAY / 48).maximum_lifetime(DAY / 4);
/// # let _ = (remembered, shared_computer);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct LifetimeOverride {
    pub(crate) inactivity_timeout: Option<Duration>,
    pub(crate) maximum_lifetime: Option<Duration>,
}

impl LifetimeOverride {
    /// Overrides nothing.
    pub const fn new() -> Self {
        Self { inactivity_timeout: None, maximum_lifetime: None }
    }

    /// Sets both timeouts to `duration`: the session lasts exactly that long, active or not.
    pub const fn both(duration: Duration) -> Self {
        Self { inactivity_timeout: Some(duration), maximum_lifetime: Some(duration) }
    }

    /// This session's inactivity timeout.
    pub const fn inactivity_timeout(mut self, timeout: Duration) -> Self {
        self.inactivity_timeout = Some(timeout);
        self
    }

    /// This session's maximum lifetime.
    pub const fn maximum_lifetime(mut self, lifetime: Duration) -> Self {
        self.maximum_lifetime = Some(lifetime);
        self
    }

    /// Whether both values are at least one second and the inactivity timeout is at most the
    /// maximum lifetime.
    pub(crate) fn is_sound(self) -> bool {
        let second = Duration::from_secs(1);
        self.inactivity_timeout.is_none_or(|timeout| timeout >= second)
            && self.maximum_lifetime.is_none_or(|lifetime| lifetime >= second)
            && !matches!(
                (self.inactivity_timeout, self.maximum_lifetime),
                (Some(timeout), Some(lifetime)) if timeout > lifetime
            )
    }
}

/// The limit by which a session expired.
///
/// ```
/// use tower_auth_session::event::{ExpiryReason, SessionEvent};
///
/// fn line(event: &SessionEvent) -> Option<String> {
///     let SessionEvent::Expired { session, by, .. } = event else { return None };
///     let limit = match by {
///         ExpiryReason::Inactivity => "was inactive",
///         ExpiryReason::MaximumLifetime => "was signed in for the maximum lifetime",
///         _ => "expired",
///     };
///     Some(format!("{} {limit}", session.subject()))
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExpiryReason {
    /// The inactivity timeout.
    Inactivity,
    /// The maximum lifetime.
    MaximumLifetime,
}

/// The state of a session by its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liveness {
    Fresh,
    Renew,
    Expired(ExpiryReason),
}

/// The times of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionTimes {
    pub(crate) signed_in_at: Timestamp,
    pub(crate) issued_at: Timestamp,
    pub(crate) last_active_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// When a token is fresh. It follows from the token and the limits of its session alone, so it is
/// computed once for each token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FreshWindow {
    /// The token is not valid before.
    from: Timestamp,
    /// For requests that are no activity.
    until: Timestamp,
    until_for_activity: Timestamp,
}

impl FreshWindow {
    /// Whether the token is valid already.
    pub(crate) fn has_begun(&self, now: Timestamp) -> bool {
        now >= self.from
    }

    /// Whether the token is neither expired nor due for renewal.
    pub(crate) fn is_fresh(&self, activity: bool, now: Timestamp) -> bool {
        now < if activity { self.until_for_activity } else { self.until }
    }
}

/// The configured settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LifetimePolicy {
    pub(crate) inactivity: Option<Duration>,
    pub(crate) maximum: Option<Duration>,
    pub(crate) renew_after: Duration,
    pub(crate) clock_skew: Duration,
    pub(crate) ceiling: Duration,
    /// The maximum lifetime of a pending session.
    pub(crate) pending: Duration,
    /// The maximum lifetime of an impersonated session.
    pub(crate) impersonation: Duration,
}

impl LifetimePolicy {
    /// The limits of a session with this override.
    pub(crate) fn of_session(&self, own: LifetimeOverride) -> SessionLimits {
        let inactivity =
            own.inactivity_timeout.map(|own| own.min(self.ceiling)).or(self.inactivity);
        SessionLimits {
            inactivity,
            maximum: own.maximum_lifetime.map(|own| own.min(self.ceiling)).or(self.maximum),
            renewal_age: inactivity
                .map_or(self.renew_after, |timeout| self.renew_after.min(timeout / 4))
                .max(Duration::from_secs(1)),
            clock_skew: self.clock_skew,
        }
    }
}

/// The limits of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionLimits {
    inactivity: Option<Duration>,
    maximum: Option<Duration>,
    renewal_age: Duration,
    clock_skew: Duration,
}

impl SessionLimits {
    /// The same limits with a maximum lifetime of at most `most`.
    pub(crate) fn capped(self, most: Duration) -> Self {
        let maximum = Some(self.maximum.map_or(most, |maximum| maximum.min(most)));
        Self { maximum, ..self }
    }

    /// The times of a session signed in `now`.
    pub(crate) fn sign_in(&self, now: Timestamp) -> SessionTimes {
        SessionTimes {
            signed_in_at: now,
            issued_at: now,
            last_active_at: now,
            expires_at: self.end(now, now),
        }
    }

    /// The times of the token that a request at `now` renews. Never called for an expired session,
    /// so it restores none.
    pub(crate) fn renew(
        &self,
        dates: SessionTimes,
        activity: bool,
        now: Timestamp,
    ) -> SessionTimes {
        let last_active_at =
            if activity { dates.last_active_at.max(now) } else { dates.last_active_at };
        SessionTimes {
            signed_in_at: dates.signed_in_at,
            // A clock that went back must not date a token before the activity that it records.
            issued_at: now.max(last_active_at),
            last_active_at,
            expires_at: self.end(dates.signed_in_at, last_active_at),
        }
    }

    /// The expiry of the session by its token and by the current configuration.
    #[inline]
    pub(crate) fn expires_at(&self, dates: SessionTimes) -> Timestamp {
        dates.expires_at.min(self.end(dates.signed_in_at, dates.last_active_at))
    }

    /// The age from which a token is renewed.
    pub(crate) const fn renewal_age(&self) -> Duration {
        self.renewal_age
    }

    /// The state of the session for a request at `now`.
    #[inline]
    pub(crate) fn liveness(&self, dates: SessionTimes, activity: bool, now: Timestamp) -> Liveness {
        if now >= self.expires_at(dates) {
            let idle = self.inactivity_end(dates.last_active_at).unwrap_or(Timestamp::MAX);
            let spent = self.maximum_end(dates.signed_in_at).unwrap_or(Timestamp::MAX);
            // If only the token's own `exp` has passed, a setting was lengthened since.
            return Liveness::Expired(if now >= spent && spent <= idle {
                ExpiryReason::MaximumLifetime
            } else {
                ExpiryReason::Inactivity
            });
        }
        let old = |since: Timestamp| now.saturating_since(since) >= self.renewal_age;
        if old(dates.issued_at) || (activity && old(dates.last_active_at)) {
            Liveness::Renew
        } else {
            Liveness::Fresh
        }
    }

    /// When a token with these times is fresh: [`liveness`](Self::liveness), as instants.
    pub(crate) fn fresh_window(
        &self,
        dates: SessionTimes,
        not_before: Option<Timestamp>,
    ) -> FreshWindow {
        let due = |since: Timestamp| since.saturating_add(self.renewal_age);
        let until = self.expires_at(dates).min(due(dates.issued_at));
        let latest_start = not_before.map_or(dates.issued_at, |at| at.max(dates.issued_at));
        FreshWindow {
            from: latest_start.saturating_sub(self.clock_skew),
            until,
            until_for_activity: until.min(due(dates.last_active_at)),
        }
    }

    /// The latest expiry of any token of this session, on any node, if it is revoked `now`. It
    /// follows from the limits and not from the presented token's `exp`, because a newer token may
    /// exist.
    pub(crate) fn alive_until(&self, dates: SessionTimes, now: Timestamp) -> Timestamp {
        let SessionTimes { signed_in_at, last_active_at, .. } = dates;
        self.end(signed_in_at, now.max(last_active_at)).saturating_add(self.clock_skew * 2)
    }

    fn end(&self, signed_in_at: Timestamp, last_active_at: Timestamp) -> Timestamp {
        let inactivity = self.inactivity_end(last_active_at).unwrap_or(Timestamp::MAX);
        inactivity.min(self.maximum_end(signed_in_at).unwrap_or(Timestamp::MAX))
    }

    fn inactivity_end(&self, last_active_at: Timestamp) -> Option<Timestamp> {
        self.inactivity.map(|timeout| last_active_at.saturating_add(timeout))
    }

    fn maximum_end(&self, signed_in_at: Timestamp) -> Option<Timestamp> {
        self.maximum.map(|lifetime| signed_in_at.saturating_add(lifetime))
    }
}

#[cfg(test)]
mod tests;
