//! [`ConfigError`]: what is wrong with a configuration or a key.

use std::{borrow::Cow, error::Error, fmt};

/// Why a configuration or a key was refused: every problem at once, each with the field, the value
/// and the remedy.
///
/// Values of secrets are never part of it.
///
/// ```
/// use tower_auth_session::{Algorithm, KeyRing, SessionEngine, SigningKey};
///
/// # fn main() -> Result<(), tower_auth_session::ConfigError> {
/// let keys = KeyRing::new(SigningKey::generate("2026-11", Algorithm::Hs256)?);
/// let error = SessionEngine::<()>::builder(keys)
///     .origin("app.example.com")
///     .max_sessions_per_browser(0)
///     .build()
///     .expect_err("two problems");
/// for problem in error.problems() {
///     println!("{} = {}: {}", problem.field(), problem.value(), problem.remedy());
/// }
/// assert_eq!(error.problems().len(), 2);
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

/// One thing wrong with a configuration.
///
/// ```
/// use tower_auth_session::config::Origin;
///
/// let error = Origin::parse("https://App.example.com").expect_err("upper case");
/// let problem = &error.problems()[0];
/// assert_eq!(problem.value(), "https://App.example.com");
/// assert!(!problem.field().is_empty() && !problem.remedy().is_empty());
/// ```
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
