//! [`Factor`] and how long ago each was verified.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct as _};

use crate::time::Timestamp;

/// What somebody proved who they are with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Factor {
    /// What signing in takes: a password, a passkey, another site's word.
    First,
    /// What is asked beside it: a code, a security key.
    Second,
}

/// When each factor was last verified, as far as a token says more than `auth_time`: an array of
/// two, first and second.
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

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// How long ago each factor was verified; `None` where it never was in this session.
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
        let age = |at: Option<Timestamp>| at.map(|at| now.saturating_since(at));
        Self { first: age(first), second: age(second) }
    }

    /// The age of one of them.
    #[must_use]
    pub const fn of_factor(self, factor: Factor) -> Option<Duration> {
        match factor {
            Factor::First => self.first,
            Factor::Second => self.second,
        }
    }

    /// In whole minutes, -1 where it never was: what hosted services call `fva`.
    #[must_use]
    pub fn in_minutes(self) -> [i64; 2] {
        [self.first, self.second]
            .map(|age| age.map_or(-1, |age| i64::try_from(age.as_secs() / 60).unwrap_or(i64::MAX)))
    }
}

/// How long ago a factor may have been verified at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FreshnessRequirement {
    /// Which factor; `None` where either will do.
    pub factor: Option<Factor>,
    /// The most there may be between then and now.
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
