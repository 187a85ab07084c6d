//! The settings by name: the name of each, the form of its value, and the setting that a misspelt name
//! may mean.

use super::{
    SessionOptions,
    limit::{DURATION_ALLOWED, InvalidDuration, InvalidTimeLimit, LIMIT_ALLOWED, parse_duration},
};
use crate::time::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Setting {
    InactivityTimeout,
    MaximumLifetime,
    RenewAfter,
    MultiSession,
    SignInUrl,
    AfterSignOutUrl,
    AfterMultiSessionSingleSignOutUrl,
    Origin,
    AllowedRedirectOrigins,
    TasksUrl,
    ReverifyUrl,
    NotBefore,
    CopiedCookies,
    CopiedCookiesGrace,
    DeviceBound,
    BoundFor,
    BindingTolerance,
}

/// A value of the right form for some setting.
#[derive(Debug)]
pub(super) enum RawValue {
    Text(String),
    Flag(bool),
    List(Vec<String>),
}

impl Setting {
    pub(super) const ALL: [Self; 17] = [
        Self::InactivityTimeout,
        Self::MaximumLifetime,
        Self::RenewAfter,
        Self::MultiSession,
        Self::SignInUrl,
        Self::AfterSignOutUrl,
        Self::AfterMultiSessionSingleSignOutUrl,
        Self::Origin,
        Self::AllowedRedirectOrigins,
        Self::TasksUrl,
        Self::ReverifyUrl,
        Self::NotBefore,
        Self::CopiedCookies,
        Self::CopiedCookiesGrace,
        Self::DeviceBound,
        Self::BoundFor,
        Self::BindingTolerance,
    ];

    /// The name in code and files.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::InactivityTimeout => "inactivity_timeout",
            Self::MaximumLifetime => "maximum_lifetime",
            Self::RenewAfter => "renew_after",
            Self::MultiSession => "multi_session",
            Self::SignInUrl => "sign_in_url",
            Self::AfterSignOutUrl => "after_sign_out_url",
            Self::AfterMultiSessionSingleSignOutUrl => "after_multi_session_single_sign_out_url",
            Self::Origin => "origin",
            Self::AllowedRedirectOrigins => "allowed_redirect_origins",
            Self::TasksUrl => "tasks_url",
            Self::ReverifyUrl => "reverify_url",
            Self::NotBefore => "not_before",
            Self::CopiedCookies => "copied_cookies",
            Self::CopiedCookiesGrace => "copied_cookies_grace",
            Self::DeviceBound => "device_bound",
            Self::BoundFor => "bound_for",
            Self::BindingTolerance => "binding_tolerance",
        }
    }

    /// The name in the environment, without its prefix.
    pub(super) fn variable(self) -> String {
        match self {
            // With the usual prefix the key would read SESSION_MULTI_SESSION.
            Self::MultiSession => "MULTI".to_owned(),
            other => other.key().to_ascii_uppercase(),
        }
    }

    /// What a text for this setting must be, for error messages. Flags and lists are written
    /// differently in files and in the environment: see there.
    pub(super) const fn allowed_text(self) -> &'static str {
        match self {
            Self::InactivityTimeout | Self::MaximumLifetime => LIMIT_ALLOWED,
            Self::RenewAfter
            | Self::CopiedCookiesGrace
            | Self::BoundFor
            | Self::BindingTolerance => DURATION_ALLOWED,
            Self::DeviceBound => "off, preferred or required",
            Self::CopiedCookies => "off, report, step_up or end",
            Self::NotBefore => "an instant in UTC, such as 2026-11-23T22:00:00Z",
            Self::Origin => "this application's origin, such as https://app.example.com",
            _ => "a path or a URL, such as / or https://accounts.example.com/sign-in",
        }
    }

    /// Sets this setting in `options`, or returns what is wrong with the value.
    pub(super) fn set(
        self,
        options: &mut SessionOptions,
        value: RawValue,
    ) -> Result<(), &'static str> {
        match (self, value) {
            (Self::InactivityTimeout, RawValue::Text(text)) => {
                let limit = text.parse().map_err(InvalidTimeLimit::complaint)?;
                options.inactivity_timeout = Some(limit);
            }
            (Self::MaximumLifetime, RawValue::Text(text)) => {
                let limit = text.parse().map_err(InvalidTimeLimit::complaint)?;
                options.maximum_lifetime = Some(limit);
            }
            (Self::RenewAfter, RawValue::Text(text)) => {
                let age = parse_duration(&text).map_err(InvalidDuration::complaint)?;
                options.renew_after = Some(age);
            }
            (Self::CopiedCookies, RawValue::Text(text)) => {
                let reaction = text.parse().map_err(|_| "it is not a reaction")?;
                options.copied_cookies = Some(reaction);
            }
            (Self::CopiedCookiesGrace, RawValue::Text(text)) => {
                let grace = parse_duration(&text).map_err(InvalidDuration::complaint)?;
                options.copied_cookies_grace = Some(grace);
            }
            (Self::DeviceBound, RawValue::Text(text)) => {
                let mode = text.parse().map_err(|_| "it is not a mode")?;
                options.device_bound = Some(mode);
            }
            (Self::BoundFor, RawValue::Text(text)) => {
                let lifetime = parse_duration(&text).map_err(InvalidDuration::complaint)?;
                options.bound_for = Some(lifetime);
            }
            (Self::BindingTolerance, RawValue::Text(text)) => {
                let tolerance = parse_duration(&text).map_err(InvalidDuration::complaint)?;
                options.binding_tolerance = Some(tolerance);
            }
            (Self::MultiSession, RawValue::Flag(on)) => options.multi_session = Some(on),
            (Self::SignInUrl, RawValue::Text(url)) => options.sign_in_url = Some(url),
            (Self::AfterSignOutUrl, RawValue::Text(url)) => options.after_sign_out_url = Some(url),
            (Self::AfterMultiSessionSingleSignOutUrl, RawValue::Text(url)) => {
                options.after_multi_session_single_sign_out_url = Some(url);
            }
            (Self::TasksUrl, RawValue::Text(url)) => options.tasks_url = Some(url),
            (Self::ReverifyUrl, RawValue::Text(url)) => options.reverify_url = Some(url),
            (Self::NotBefore, RawValue::Text(text)) => {
                let instant = Timestamp::from_utc(&text).ok_or("it is not an instant")?;
                options.not_before = Some(instant);
            }
            (Self::Origin, RawValue::Text(origin)) => options.origin = Some(origin),
            (Self::AllowedRedirectOrigins, RawValue::List(origins)) => {
                if origins.iter().any(String::is_empty) {
                    return Err("one of its items is empty");
                }
                options.allowed_redirect_origins = Some(origins);
            }
            (other, _) => return Err(other.wrong_shape()),
        }
        Ok(())
    }

    /// The problem of a value that does not have this setting's form.
    pub(super) const fn wrong_shape(self) -> &'static str {
        match self {
            Self::MultiSession => "it is not a boolean",
            Self::AllowedRedirectOrigins => "it is not a list of strings",
            _ => "it is not a string",
        }
    }

    /// The setting whose key or variable is `name`, up to case, separators and `edits` characters
    /// that are missing, too many or others.
    pub(super) fn near(name: &str, edits: usize) -> Option<Self> {
        let name = squash(name);
        Self::ALL.into_iter().find(|setting| {
            within(&name, &squash(setting.key()), edits)
                || within(&name, &squash(&setting.variable()), edits)
        })
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
