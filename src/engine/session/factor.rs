//! [`Factor`] and the time since each was verified.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct as _};

use crate::time::Timestamp;

/// An authentication factor.
///
/// ```
/// use tower_auth_session::{SessionJar, engine::Factor, error::UpdateClaimsError};
///
/// fn password_verified_again(jar: &SessionJar) -> Result<(), UpdateClaimsError> {
///     jar.mark_verified(Factor::First)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Factor {
    /// The factor of a sign-in: a password, a passkey, an identity provider's assertion.
    First,
    /// An additional factor: a code, a security key.
    Second,
}

/// When each factor was last verified, if that differs from `auth_time`: an array of two, first and
/// second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct FactorTimes([Option<Timestamp>; 2]);

impl FactorTimes {
    pub(crate) const fn get(self, factor: Factor) -> Option<Timestamp> {
        let [first, second] = self.0;
        match factor {
            Factor::First => first,
            Factor::Second => second,
        }
    }

    pub(crate) const fn set(&mut self, factor: Factor, at: Timestamp) {
        let [first, second] = &mut self.0;
        match factor {
            Factor::First => *first = Some(at),
            Factor::Second => *second = Some(at),
        }
    }

    /// Factors that were verified until `instant`, or at the sign-in, count as verified long ago: at an
    /// instant that no verification has.
    pub(crate) fn distrust_until(&mut self, instant: Timestamp) {
        let [first, second] = &mut self.0;
        if first.is_none_or(|at| at <= instant) {
            *first = Some(Timestamp::EPOCH);
        }
        if second.is_some_and(|at| at <= instant) {
            *second = Some(Timestamp::EPOCH);
        }
    }

    /// Whether the first factor is distrusted and was not verified again.
    pub(crate) fn is_distrusted(self) -> bool {
        self.get(Factor::First) == Some(Timestamp::EPOCH)
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// The time since each factor was verified; `None` if it never was in this session. A verification
/// that is dated ahead of the current time, because clocks differ, counts as if it were as long ago.
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::{Session, engine::Factor, time::Timestamp};
///
/// fn may_pay(session: &Session, now: Timestamp) -> bool {
///     let age = session.identity().factor_ages(now).of_factor(Factor::Second);
///     age.is_some_and(|age| age <= Duration::from_secs(300))
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FactorAges {
    /// The first factor.
    pub first: Option<Duration>,
    /// The second factor.
    pub second: Option<Duration>,
}

impl FactorAges {
    pub(crate) fn new(first: Option<Timestamp>, second: Option<Timestamp>, now: Timestamp) -> Self {
        // The distance in either direction: a wall clock that was ahead when the factor was verified,
        // or has been set back since, makes no factor fresh.
        let age = |at: Timestamp| now.saturating_since(at).max(at.saturating_since(now));
        let age = |at: Option<Timestamp>| at.map(age);
        Self { first: age(first), second: age(second) }
    }

    /// The age of one factor.
    #[must_use]
    pub const fn of_factor(self, factor: Factor) -> Option<Duration> {
        match factor {
            Factor::First => self.first,
            Factor::Second => self.second,
        }
    }

    /// The ages in whole minutes, -1 if a factor was never verified: the form that hosted services
    /// call `fva`.
    ///
    /// ```
    /// use tower_auth_session::{Session, time::Timestamp};
    ///
    /// /// The claim that hosted services call `fva`, for code that moves to this crate.
    /// fn fva(session: &Session, now: Timestamp) -> [i64; 2] {
    ///     session.identity().factor_ages(now).in_minutes()
    /// }
    /// ```
    #[must_use]
    pub fn in_minutes(self) -> [i64; 2] {
        [self.first, self.second]
            .map(|age| age.map_or(-1, |age| i64::try_from(age.as_secs() / 60).unwrap_or(i64::MAX)))
    }
}

/// The maximum age of a verified factor.
///
/// ```
/// use axum::response::{IntoResponse as _, Response};
/// use tower_auth_session::Rejection;
///
/// /// A response of the application's own for guards that require a recent factor.
/// fn respond(rejection: &Rejection) -> Response {
///     match rejection.freshness() {
///         Some(required) => {
///             format!("confirm your password: older than {} s", required.max_age.as_secs()).into_response()
///         }
///         None => rejection.to_response().map(axum::body::Body::from),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FreshnessRequirement {
    /// The factor; `None` if either satisfies the requirement.
    pub factor: Option<Factor>,
    /// The maximum time since it was verified.
    pub max_age: Duration,
}

impl Serialize for FreshnessRequirement {
    /// `{"factor": "first", "second" or "any", "max_age": seconds}`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let factor = match self.factor {
            Some(Factor::First) => "first",
            Some(Factor::Second) => "second",
            None => "any",
        };
        let mut members = serializer.serialize_struct("FreshnessRequirement", 2)?;
        members.serialize_field("factor", factor)?;
        members.serialize_field("max_age", &self.max_age.as_secs())?;
        members.end()
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::session::factor::*;

    #[test]
    fn factor_verified_ahead_of_the_clock_is_not_fresh() {
        let at = Timestamp::from_unix_seconds;
        for (verified, now, age) in
            [(100, 100, 0), (100, 160, 60), (103, 100, 3), (3_700, 100, 3_600), (100, 0, 100)]
        {
            let ages = FactorAges::new(Some(at(verified)), None, at(now));
            assert_eq!(ages.first, Some(Duration::from_secs(age)), "{verified} at {now}");
            assert_eq!(ages.second, None);
        }
    }
}
