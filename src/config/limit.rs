//! [`TimeLimit`]: a duration that can be off, and the one way durations are written in configuration.

use std::{fmt, str::FromStr, time::Duration};

/// How long something may last: `off`, or a duration.
///
/// The text form is `off`, or one or more whole numbers with a unit each (`w`, `d`, `h`, `m`, `s`),
/// largest unit first, each at most once, with at most one space between them: `7d`, `90s`,
/// `1h30m`, `1h 30m`. Every number needs a unit, so that the text is never ambiguous.
///
/// Any duration is accepted here; the setting defines which ones are valid.
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::config::TimeLimit;
///
/// # fn main() -> Result<(), tower_auth_session::error::InvalidTimeLimit> {
/// assert_eq!("1h 30m".parse::<TimeLimit>()?, TimeLimit::After(Duration::from_secs(5400)));
/// assert_eq!("off".parse::<TimeLimit>()?, TimeLimit::Off);
/// assert_eq!(TimeLimit::from(Duration::from_secs(90)).to_string(), "1m30s");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a limit is off or it is not: there is no third")]
pub enum TimeLimit {
    /// No limit.
    Off,
    /// The limit is reached after this long.
    After(Duration),
}

impl From<Duration> for TimeLimit {
    fn from(duration: Duration) -> Self {
        Self::After(duration)
    }
}

impl From<Option<Duration>> for TimeLimit {
    /// `None` is [`TimeLimit::Off`].
    fn from(duration: Option<Duration>) -> Self {
        duration.map_or(Self::Off, Self::After)
    }
}

impl FromStr for TimeLimit {
    type Err = InvalidTimeLimit;

    fn from_str(text: &str) -> Result<Self, InvalidTimeLimit> {
        if text == "off" {
            return Ok(Self::Off);
        }
        parse_duration(text).map(Self::After).map_err(InvalidTimeLimit)
    }
}

impl fmt::Display for TimeLimit {
    /// Days are the largest unit that is written, because `400d` is easier to read than `57w1d`. A fraction
    /// of a second has no text form and is shown as [`Duration`] shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.pad("off"),
            Self::After(Duration::ZERO) => f.pad("0s"),
            Self::After(exact) if exact.subsec_nanos() != 0 => f.pad(&format!("{exact:?}")),
            Self::After(whole) => f.pad(&write_seconds(whole.as_secs())),
        }
    }
}

fn write_seconds(mut seconds: u64) -> String {
    let mut text = String::new();
    for unit in ['d', 'h', 'm', 's'] {
        let Some(length) = unit_seconds(unit) else { continue };
        if seconds >= length {
            text.push_str(&(seconds / length).to_string());
            text.push(unit);
            seconds %= length;
        }
    }
    text
}

/// The text is not a time limit. The message states the problem and the remedy.
///
/// ```
/// use tower_auth_session::{config::TimeLimit, error::InvalidTimeLimit};
///
/// let error: InvalidTimeLimit = "90".parse::<TimeLimit>().unwrap_err();
/// // For the person who wrote the setting.
/// eprintln!("INACTIVITY_TIMEOUT = \"90\": {error}");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}; write {LIMIT_ALLOWED}", .0.complaint())]
pub struct InvalidTimeLimit(InvalidDuration);

impl InvalidTimeLimit {
    /// What is wrong with the text.
    pub(crate) const fn complaint(self) -> &'static str {
        self.0.complaint()
    }
}

/// The text form of a [`TimeLimit`], for error messages.
pub(crate) const LIMIT_ALLOWED: &str = "`off`, or whole numbers with a unit each (w, d, h, m, s), \
     largest first, such as 7d, 90s or 1h30m";

/// What [`parse_duration`] accepts, for error messages.
pub(crate) const DURATION_ALLOWED: &str = "whole numbers with a unit each (w, d, h, m, s), largest \
     first, such as 60s or 1m30s";

/// What is wrong with the text of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidDuration {
    Syntax,
    NoUnit,
    Order,
    TooLong,
}

impl InvalidDuration {
    pub(crate) const fn complaint(self) -> &'static str {
        match self {
            Self::Syntax => "it is not a duration",
            Self::NoUnit => "a number has no unit",
            Self::Order => "its units do not go from the largest to the smallest, each once",
            Self::TooLong => "it is longer than can be counted",
        }
    }
}

/// A [`TimeLimit`] that cannot be off.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let mut rest = text;
    let mut seconds = 0_u64;
    let mut previous = u64::MAX;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        if number.is_empty() {
            return Err(InvalidDuration::Syntax);
        }
        let mut after = after.chars();
        let unit = after.next().ok_or(InvalidDuration::NoUnit)?;
        let unit = unit_seconds(unit).ok_or(InvalidDuration::Syntax)?;
        if unit >= previous {
            return Err(InvalidDuration::Order);
        }
        previous = unit;
        // Only digits, at least one: a number that does not parse is too large.
        let number: u64 = number.parse().map_err(|_| InvalidDuration::TooLong)?;
        seconds = number
            .checked_mul(unit)
            .and_then(|more| seconds.checked_add(more))
            .ok_or(InvalidDuration::TooLong)?;
        rest = after.as_str();
        if rest.is_empty() {
            return Ok(Duration::from_secs(seconds));
        }
        rest = rest.strip_prefix(' ').unwrap_or(rest);
    }
}

const fn unit_seconds(unit: char) -> Option<u64> {
    match unit {
        'w' => Some(7 * 86_400),
        'd' => Some(86_400),
        'h' => Some(3_600),
        'm' => Some(60),
        's' => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::config::limit::*;

    fn after(seconds: u64) -> TimeLimit {
        TimeLimit::After(Duration::from_secs(seconds))
    }

    #[test]
    fn time_limit_text_parses_only_in_exact_form() {
        use InvalidDuration::{NoUnit, Order, Syntax, TooLong};
        for (text, expected) in [
            ("off", Ok(TimeLimit::Off)),
            ("7d", Ok(after(604_800))),
            ("90s", Ok(after(90))),
            ("1h30m", Ok(after(5_400))),
            ("1h 30m", Ok(after(5_400))),
            ("2w", Ok(after(1_209_600))),
            ("1w1d1h1m1s", Ok(after(694_861))),
            ("0s", Ok(after(0))),
            ("007d", Ok(after(604_800))),
            ("18446744073709551615s", Ok(after(u64::MAX))),
            ("18446744073709551616s", Err(TooLong)),
            ("30500568904944w", Err(TooLong)),
            ("213503982334601d7h15s", Ok(after(u64::MAX))),
            ("213503982334601d7h16s", Err(TooLong)),
            ("", Err(Syntax)),
            ("OFF", Err(Syntax)),
            ("never", Err(Syntax)),
            ("604800", Err(NoUnit)),
            ("1h30", Err(NoUnit)),
            ("30m1h", Err(Order)),
            ("1m1m", Err(Order)),
            ("1h  30m", Err(Syntax)),
            ("1h\t30m", Err(Syntax)),
            (" 7d", Err(Syntax)),
            ("7d ", Err(Syntax)),
            ("7 d", Err(Syntax)),
            ("7 days", Err(Syntax)),
            ("7days", Err(Syntax)),
            ("7D", Err(Syntax)),
            ("500ms", Err(Syntax)),
            ("1y", Err(Syntax)),
            ("1.5h", Err(Syntax)),
            ("-1d", Err(Syntax)),
            ("+1d", Err(Syntax)),
            ("٧d", Err(Syntax)),
            ("7д", Err(Syntax)),
            ("off 7d", Err(Syntax)),
        ] {
            assert_eq!(text.parse(), expected.map_err(InvalidTimeLimit), "{text:?}");
        }
    }

    #[test]
    fn time_limit_error_states_the_remedy() {
        let error = "90".parse::<TimeLimit>().unwrap_err().to_string();
        assert_eq!(
            error,
            "a number has no unit; write `off`, or whole numbers with a unit each (w, d, h, m, s), \
             largest first, such as 7d, 90s or 1h30m",
        );
    }

    #[test]
    fn time_limit_display_uses_the_text_form() {
        for (limit, text) in [
            (TimeLimit::Off, "off"),
            (TimeLimit::from(None), "off"),
            (after(0), "0s"),
            (after(60), "1m"),
            (after(5_400), "1h30m"),
            (TimeLimit::from(Duration::from_secs(604_800)), "7d"),
            (TimeLimit::from(Some(Duration::from_millis(1_500))), "1.5s"),
        ] {
            assert_eq!(limit.to_string(), text);
        }
        assert_eq!(format!("{:>5}|", after(60)), "   1m|");
    }

    proptest! {
        #[test]
        fn time_limit_of_whole_seconds_round_trips_through_text(seconds: u64, small in 0_u64..1_000_000) {
            for limit in [after(seconds), after(small)] {
                prop_assert_eq!(limit.to_string().parse(), Ok(limit));
            }
        }

        #[test]
        fn time_limit_from_any_text_never_panics(
            any: String,
            alike in "(off|[0-9]{1,21}[wdhmsx]? ?){0,4}",
        ) {
            for text in [any, alike] {
                if let Ok(limit) = text.parse::<TimeLimit>() {
                    prop_assert_eq!(limit.to_string().parse(), Ok(limit));
                }
            }
        }
    }
}
