//! What can be wrong before a service runs ([`ConfigError`]) and with a token ([`TokenError`]).

use std::{borrow::Cow, error::Error, fmt};

/// Why a configuration or a key was refused: every problem at once, each with the field, the value
/// and the remedy.
///
/// Values of secrets are never part of it.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

/// One thing wrong with a configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    field: Cow<'static, str>,
    value: String,
    remedy: String,
}

impl ConfigError {
    /// Everything that was wrong, in the order it was found. Never empty.
    #[must_use]
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }

    /// An error of one problem.
    pub(crate) fn one(
        field: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { problems: vec![ConfigProblem::new(field, value, remedy)] }
    }

    /// `Err` with all of `problems`, `Ok` when there are none.
    pub(crate) fn check(problems: Vec<ConfigProblem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    pub(crate) fn into_problems(self) -> Vec<ConfigProblem> {
        self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [one] => write!(f, "invalid session configuration: {one}"),
            many => {
                write!(f, "invalid session configuration, {} problems:", many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for ConfigError {}

impl ConfigProblem {
    /// A problem with `field`, whose `value` is shown escaped; `remedy` says what is allowed.
    pub(crate) fn new(
        field: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), value: value.into(), remedy: remedy.into() }
    }

    /// The setting, as it is called in code: `cookie.domain`, `lifetime.inactivity_timeout`.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The value that was refused, or a description of it where it is a secret.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What is wrong with it and what to write instead.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {:?}: {}", self.field, self.value, self.remedy)
    }
}

impl fmt::Debug for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a token is no session here.
///
/// It is for logs and events only: a client is never told which of these it was (ASVS 16.5.1), and
/// no text of the token is part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Longer than a cookie can be (4096 bytes of name and value), or a bearer token (8 KiB).
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of canonical unpadded base64url (RFC 7515 §7.1).
    #[error("the token is malformed")]
    Malformed,
    /// A header that is no JSON object of exactly `alg`, `kid` and `typ` (RFC 7515 §4.1.11).
    #[error("the token's header is not one of ours")]
    Header,
    /// Another `typ` than this purpose asks for (RFC 8725 §3.11).
    #[error("the token is of another type")]
    Type,
    /// No key of this `kid` in the ring.
    #[error("no key of the ring has the token's kid")]
    UnknownKey,
    /// The header's `alg` is not the one algorithm of the key (RFC 8725 §3.1).
    #[error("the token's algorithm is not the key's")]
    Algorithm,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// A payload that is no JSON object, or names a member twice (RFC 8259 §4).
    #[error("the payload is not a JSON object of distinct members")]
    Payload,
    /// A registered claim is missing or of the wrong type.
    #[error("the claim `{0}` is missing or has the wrong type")]
    InvalidClaim(&'static str),
    /// `iss`, `aud` or `azp` is not a configured one.
    #[error("the token is from another issuer or for another audience")]
    WrongRecipient,
    /// `exp` has come, or lies further from `iat` than a token may last.
    #[error("the token is over")]
    Expired,
    /// `iat` lies further in the future than the clock skew, or `nbf` has not come.
    #[error("the token is from the future")]
    NotYetValid,
    /// The application's claims do not decode into its type.
    #[error("the application's claims do not decode")]
    ClaimsDoNotDecode,
}
