//! [`ClaimsDeError`]: serde's error for the application's part of a payload.

use std::{borrow::Cow, fmt};

use serde::de::{Error, Expected, Unexpected};

/// Why the application's type could not be deserialized, without any value of the token.
#[derive(Debug, Default)]
pub(super) struct ClaimsDeError(Cow<'static, str>);

impl ClaimsDeError {
    pub(super) fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ClaimsDeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() {
            "their structure does not match the type"
        } else {
            &self.0
        })
    }
}

impl std::error::Error for ClaimsDeError {}

impl Error for ClaimsDeError {
    /// Drops the text, which may contain a value.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::default()
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("{expected} was expected").into())
    }

    fn missing_field(field: &'static str) -> Self {
        Self(format!("`{field}` is missing").into())
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self(format!("`{field}` is not expected").into())
    }
}
