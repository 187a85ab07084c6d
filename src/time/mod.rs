//! Time as a value: [`Timestamp`] for what is written into tokens, [`ClockReading`] for one reading of a
//! [`Clock`].

#[cfg(any(test, feature = "test-util"))]
pub(crate) mod manual_clock;

use std::{
    fmt,
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

/// A point in time in whole seconds since 1970-01-01T00:00:00Z: the `NumericDate` of RFC 7519 §2,
/// integers only.
///
/// The range ends with the year 9999, and all arithmetic stops at its ends instead of wrapping.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_auth_session::time::Timestamp;
///
/// let start = Timestamp::from_unix_seconds(1_800_000_000);
/// let later = start.saturating_add(Duration::from_secs(60));
/// assert_eq!(later.saturating_since(start), Duration::from_secs(60));
/// assert_eq!(later.saturating_sub(Duration::from_secs(60)), start);
/// assert_eq!(later.as_unix_seconds(), 1_800_000_060);
/// assert_eq!(start.to_string(), "2027-01-15T08:00:00Z");
/// assert_eq!(Timestamp::from(SystemTime::from(start)), start);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-31T23:59:59Z.
    pub const MAX: Self = Self(253_402_300_799);

    /// The instant `seconds` after 1970-01-01T00:00:00Z, at most [`Timestamp::MAX`].
    #[must_use]
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        if seconds > Self::MAX.0 { Self::MAX } else { Self(seconds) }
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_unix_seconds(self) -> u64 {
        self.0
    }

    /// The instant that `text` writes as `2026-11-23T22:00:00Z` (RFC 3339 §5.6, in UTC and without
    /// fractions); `None` for anything else, and for what is before 1970.
    pub(crate) fn from_utc(text: &str) -> Option<Self> {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
        let is_leap = |year: u64| {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        };
        let days_of = |month: u64| match month {
            2 => 28 + u64::from(is_leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let is_one = year >= 1970
            && (1..=12).contains(&month)
            && (1..=days_of(month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !is_one {
            return None;
        }
        let years: u64 = (1970..year).map(|year| 365 + u64::from(is_leap(year))).sum();
        let days = years + (1..month).map(days_of).sum::<u64>() + day - 1;
        Some(Self::from_unix_seconds(((days * 24 + hour) * 60 + minute) * 60 + second))
    }

    /// `self + duration`, whole seconds rounded down, at most [`Timestamp::MAX`].
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self::from_unix_seconds(self.0.saturating_add(duration.as_secs()))
    }

    /// `self - duration`, whole seconds rounded down, at least [`Timestamp::EPOCH`].
    #[must_use]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// The time from `earlier` to `self`, zero when `earlier` is the later one.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

/// Three numbers of so many digits each, with `separator` between them.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = part.parse().ok().filter(|_| is_number)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// RFC 3339 in UTC: `2026-11-23T22:00:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds) = (self.0 / 86_400, self.0 % 86_400);
        let (year, month, day) = civil_date(days);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        f.pad(&text)
    }
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01.
const fn civil_date(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that a leap day is the last day of a year. The calendar repeats
    // after 400 years of 146,097 days.
    const MARCH_0000_TO_1970: u64 = 719_468;
    let days = days + MARCH_0000_TO_1970;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era + year_of_era / 100 - 365 * year_of_era - year_of_era / 4;
    // March to July and August to December have the same 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Whole seconds, rounded down. An instant before 1970 becomes [`Timestamp::EPOCH`], one after the
/// year 9999 [`Timestamp::MAX`].
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::from_unix_seconds(since.as_secs())
    }
}

impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        let since = Duration::from_secs(timestamp.0);
        // Every timestamp is in the range of the supported platforms; the fallback avoids a panic.
        Self::UNIX_EPOCH.checked_add(since).unwrap_or(Self::UNIX_EPOCH)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    /// Accepts integers of the range only: a date that another reader would understand differently
    /// must not be accepted here (RFC 8725 §2.4).
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = u64::deserialize(deserializer)?;
        if seconds > Self::MAX.0 {
            return Err(serde::de::Error::custom("a date after the year 9999"));
        }
        Ok(Self(seconds))
    }
}

/// One reading of a [`Clock`]: the wall clock for dates in tokens, and a monotonic reading for how
/// long this process must remember something, which no correction of the wall clock may shorten.
///
/// A [`Timestamp`] converts into it for callers that have no monotonic clock.
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::time::{ClockReading, Timestamp};
///
/// let wall = Timestamp::from_unix_seconds(1_800_000_000);
/// let reading = ClockReading::new(wall, Duration::from_secs(5));
/// assert_eq!((reading.timestamp(), reading.monotonic()), (wall, Duration::from_secs(5)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    wall: Timestamp,
    monotonic: Duration,
}

impl ClockReading {
    /// A reading of both clocks; `monotonic` counts from any fixed moment.
    #[must_use]
    pub const fn new(wall: Timestamp, monotonic: Duration) -> Self {
        Self { wall, monotonic }
    }

    /// The wall clock.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        self.wall
    }

    /// The monotonic clock.
    #[must_use]
    pub const fn monotonic(self) -> Duration {
        self.monotonic
    }
}

impl From<Timestamp> for ClockReading {
    fn from(wall: Timestamp) -> Self {
        Self::new(wall, Duration::from_secs(wall.0))
    }
}

/// A source of time. The engine never reads one. The layer reads the wall clock when a request comes
/// in, and both clocks where it writes, revokes or waits.
///
/// ```
/// use tower_auth_session::time::{Clock, ClockReading, SystemClock};
///
/// /// A clock that another library of the service provides.
/// #[derive(Debug)]
/// struct ServiceClock(SystemClock);
///
/// impl Clock for ServiceClock {
///     fn now(&self) -> ClockReading {
///         let reading = self.0.now();
///         ClockReading::new(reading.timestamp(), reading.monotonic())
///     }
/// }
///
/// let clock = ServiceClock(SystemClock::new());
/// assert!(clock.now().monotonic() <= clock.now().monotonic());
/// ```
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> ClockReading;

    /// The wall clock alone, which most requests need only. By default that of [`now`](Self::now).
    fn timestamp(&self) -> Timestamp {
        self.now().timestamp()
    }
}

/// The clock of the operating system.
///
/// ```
/// use tower_auth_session::time::{Clock as _, SystemClock};
///
/// let clock = SystemClock::new();
/// let before = clock.now();
/// assert!(clock.now().monotonic() >= before.monotonic());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic reading starts at zero.
    #[must_use]
    pub fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
        let start = Instant::now();
        Self { start }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> ClockReading {
        ClockReading::new(self.timestamp(), self.start.elapsed())
    }

    fn timestamp(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
        let wall = SystemTime::now();
        // A clock before 1970 reads as 1970: this node then rejects all tokens as not valid yet, and
        // does not panic.
        Timestamp::from(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::manual_clock::ManualClock;
    use crate::time::*;

    #[test]
    fn manual_clock_advanced_by_fractions_accumulates_whole_seconds() {
        let clock = ManualClock::at(Timestamp::from_unix_seconds(100));
        for _ in 0..25 {
            clock.advance(Duration::from_millis(100));
        }
        assert_eq!(clock.now().timestamp().as_unix_seconds(), 102);
        clock.set(Timestamp::from_unix_seconds(50));
        clock.advance(Duration::from_millis(999));
        assert_eq!(clock.now().timestamp().as_unix_seconds(), 50);
        assert_eq!(clock.now().monotonic(), Duration::from_millis(100_000 + 2_500 + 999));
    }

    #[test]
    fn timestamp_arithmetic_out_of_range_saturates() {
        let t = Timestamp::from_unix_seconds(100);
        assert_eq!(t.saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_unix_seconds(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::EPOCH.saturating_since(t), Duration::ZERO);
        assert_eq!(t.saturating_add(Duration::from_millis(1_999)).as_unix_seconds(), 101);
    }

    #[test]
    fn timestamp_from_utc_text_parses_only_valid_instants() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T23:59:59Z", Some(951_868_799)),
            ("2026-11-23T22:00:00Z", Some(1_795_471_200)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("9999-12-31T23:59:59Z", Some(Timestamp::MAX.as_unix_seconds())),
            ("1969-12-31T23:59:59Z", None),
            ("2100-02-29T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-04-31T00:00:00Z", None),
            ("2026-11-23T24:00:00Z", None),
            ("2026-11-23T22:00:60Z", None),
            ("2026-11-23T22:00:00+01:00", None),
            ("2026-11-23T22:00:00", None),
            ("2026-11-23 22:00:00Z", None),
            ("2026-11-23T22:00Z", None),
            ("+026-11-23T22:00:00Z", None),
            ("2026-11-23-01T22:00:00Z", None),
            ("1795471200", None),
            ("", None),
        ] {
            let read = Timestamp::from_utc(text).map(Timestamp::as_unix_seconds);
            assert_eq!(read, seconds, "{text}");
            if let Some(seconds) = seconds {
                assert_eq!(Timestamp::from_unix_seconds(seconds).to_string(), text);
            }
        }
    }

    #[test]
    fn every_timestamp_is_printed_as_it_is_parsed() {
        // About one instant per three days, at different times of the day.
        for seconds in (0..=Timestamp::MAX.as_unix_seconds()).step_by(2_600_003) {
            let timestamp = Timestamp::from_unix_seconds(seconds);
            assert_eq!(Timestamp::from_utc(&timestamp.to_string()), Some(timestamp));
        }
        assert_eq!(format!("{:>22}|", Timestamp::EPOCH), "  1970-01-01T00:00:00Z|");
    }

    #[test]
    fn timestamp_converts_to_and_from_system_time() {
        for seconds in [0, 1, 1_795_471_200, Timestamp::MAX.as_unix_seconds()] {
            let timestamp = Timestamp::from_unix_seconds(seconds);
            assert_eq!(Timestamp::from(SystemTime::from(timestamp)), timestamp);
        }
        let half = Duration::from_millis(1_500);
        assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH + half).as_unix_seconds(), 1);
        assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH - half), Timestamp::EPOCH);
        let late = SystemTime::from(Timestamp::MAX) + Duration::from_secs(1);
        assert_eq!(Timestamp::from(late), Timestamp::MAX);
    }

    #[test]
    fn timestamp_deserialization_accepts_only_integers_in_range() {
        for (text, valid) in [
            ("0", true),
            ("253402300799", true),
            ("253402300800", false),
            ("18446744073709551615", false),
            ("-1", false),
            ("1.0", false),
            ("1e3", false),
            ("\"5\"", false),
            ("null", false),
            ("[1]", false),
        ] {
            assert_eq!(serde_json::from_str::<Timestamp>(text).is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn manual_clock_set_to_other_wall_time_keeps_monotonic_time() {
        let clock = ManualClock::at(Timestamp::from_unix_seconds(1_000));
        let before = clock.now().monotonic();
        clock.set(Timestamp::from_unix_seconds(5));
        clock.advance(Duration::from_secs(3));
        assert_eq!(clock.now().timestamp().as_unix_seconds(), 8);
        assert_eq!(clock.now().monotonic() - before, Duration::from_secs(3));
    }
}
