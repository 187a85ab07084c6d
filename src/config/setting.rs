//! The settings by name: the name of each, the form of its value, and the setting that a misspelt name
//! may mean.

use std::time::Duration;

use super::{
    SessionOptions, TimeLimit,
    copied_cookies::{COPIED_COOKIES_ALLOWED, CopiedCookies},
    device_bound::{DEVICE_BOUND_ALLOWED, DeviceBound},
    limit::{DURATION_ALLOWED, InvalidDuration, InvalidTimeLimit, LIMIT_ALLOWED, parse_duration},
};
use crate::time::Timestamp;

pub(super) struct Setting {
    /// The name in code and files.
    pub(super) key: &'static str,
    pub(super) form: ValueForm,
}

/// The form of a value, and where the options keep it.
#[derive(Clone, Copy)]
pub(super) enum ValueForm {
    Limit(Field<TimeLimit>),
    Duration(Field<Duration>),
    Instant(Field<Timestamp>),
    Url(Field<String>),
    Origin(Field<String>),
    Origins(Field<Vec<String>>),
    Flag(Field<bool>),
    CopiedCookies(Field<CopiedCookies>),
    DeviceBound(Field<DeviceBound>),
}

type Field<T> = fn(&mut SessionOptions) -> &mut Option<T>;

/// A value as a file or the environment has it.
#[derive(Debug)]
pub(super) enum RawValue {
    Text(String),
    Flag(bool),
    List(Vec<String>),
}

macro_rules! settings {
    ($($field:ident: $form:ident,)*) => {
        &[$(Setting {
            key: stringify!($field),
            form: ValueForm::$form(|options| &mut options.$field),
        },)*]
    };
}

impl Setting {
    pub(super) const ALL: &[Self] = settings! {
        inactivity_timeout: Limit,
        maximum_lifetime: Limit,
        renew_after: Duration,
        multi_session: Flag,
        sign_in_url: Url,
        after_sign_out_url: Url,
        after_multi_session_single_sign_out_url: Url,
        origin: Origin,
        allowed_redirect_origins: Origins,
        tasks_url: Url,
        reverify_url: Url,
        not_before: Instant,
        copied_cookies: CopiedCookies,
        copied_cookies_grace: Duration,
        device_bound: DeviceBound,
        bound_for: Duration,
        binding_tolerance: Duration,
    };

    /// The name in the environment, without its prefix.
    pub(super) fn variable(&self) -> String {
        match self.key {
            // With the usual prefix the key would read SESSION_MULTI_SESSION.
            "multi_session" => "MULTI".to_owned(),
            other => other.to_ascii_uppercase(),
        }
    }

    /// Sets this setting in `options`, or returns what is wrong with the value.
    pub(super) fn set(
        &self,
        options: &mut SessionOptions,
        value: RawValue,
    ) -> Result<(), &'static str> {
        match (self.form, value) {
            (ValueForm::Limit(field), RawValue::Text(text)) => {
                *field(options) = Some(text.parse().map_err(InvalidTimeLimit::complaint)?);
            }
            (ValueForm::Duration(field), RawValue::Text(text)) => {
                *field(options) = Some(parse_duration(&text).map_err(InvalidDuration::complaint)?);
            }
            (ValueForm::Instant(field), RawValue::Text(text)) => {
                *field(options) = Some(Timestamp::from_utc(&text).ok_or("it is not an instant")?);
            }
            (ValueForm::Url(field) | ValueForm::Origin(field), RawValue::Text(text)) => {
                *field(options) = Some(text);
            }
            (ValueForm::Origins(field), RawValue::List(origins)) => {
                if origins.iter().any(String::is_empty) {
                    return Err("one of its items is empty");
                }
                *field(options) = Some(origins);
            }
            (ValueForm::Flag(field), RawValue::Flag(on)) => *field(options) = Some(on),
            (ValueForm::CopiedCookies(field), RawValue::Text(text)) => {
                *field(options) = Some(text.parse().map_err(|_| "it is not a reaction")?);
            }
            (ValueForm::DeviceBound(field), RawValue::Text(text)) => {
                *field(options) = Some(text.parse().map_err(|_| "it is not a mode")?);
            }
            (form, _) => return Err(form.wrong_shape()),
        }
        Ok(())
    }

    /// The setting whose key or variable is `name`, up to case, separators and `edits` characters
    /// that are missing, too many or others.
    pub(super) fn near(name: &str, edits: usize) -> Option<&'static Self> {
        let name = squash(name);
        Self::ALL.iter().find(|setting| {
            within(&name, &squash(setting.key), edits)
                || within(&name, &squash(&setting.variable()), edits)
        })
    }
}

impl ValueForm {
    /// What a text of this form must be, for error messages. Flags and lists are written differently in
    /// files and in the environment: see there.
    pub(super) const fn allowed_text(self) -> &'static str {
        match self {
            Self::Limit(_) => LIMIT_ALLOWED,
            Self::Duration(_) => DURATION_ALLOWED,
            Self::DeviceBound(_) => DEVICE_BOUND_ALLOWED,
            Self::CopiedCookies(_) => COPIED_COOKIES_ALLOWED,
            Self::Instant(_) => "an instant in UTC, such as 2026-11-23T22:00:00Z",
            Self::Origin(_) => "this application's origin, such as https://app.example.com",
            _ => "a path or a URL, such as / or https://accounts.example.com/sign-in",
        }
    }

    /// The problem of a value that does not have this form.
    pub(super) const fn wrong_shape(self) -> &'static str {
        match self {
            Self::Flag(_) => "it is not a boolean",
            Self::Origins(_) => "it is not a list of strings",
            _ => "it is not a string",
        }
    }
}

/// `name` without case and separators, which are misspelt most often.
pub(super) fn squash(name: &str) -> Vec<u8> {
    name.bytes()
        .filter(|byte| !matches!(byte, b'_' | b'-' | b'.' | b' '))
        .map(|byte| byte.to_ascii_lowercase())
        .collect()
}

/// Whether at most `edits` single insertions, removals or replacements turn `a` into `b`.
fn within(a: &[u8], b: &[u8], edits: usize) -> bool {
    // Also what bounds the recursion: names of the environment can have any length, ours do not.
    if a.len().abs_diff(b.len()) > edits {
        return false;
    }
    match (a, b) {
        ([x, a_rest @ ..], [y, b_rest @ ..]) if x == y => within(a_rest, b_rest, edits),
        ([], []) => true,
        _ if edits == 0 => false,
        ([_, a_rest @ ..], [_, b_rest @ ..]) => {
            within(a_rest, b_rest, edits - 1)
                || within(a_rest, b, edits - 1)
                || within(a, b_rest, edits - 1)
        }
        // One is a tail no longer than `edits`, by the first lines.
        ([], _) | (_, []) => true,
    }
}
