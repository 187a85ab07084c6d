//! [`SessionTask`]: a task that must be completed before a sign-in takes effect.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize};

/// A task of a pending session, such as a second factor. Tasks are compared by name, which tokens,
/// problem reports and `GET /session` contain.
///
/// ```
/// use tower_auth_session::engine::SessionTask;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let terms = SessionTask::new("accept-terms")?;
/// assert_eq!(terms.name(), "accept-terms");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SessionTask(Cow<'static, str>);

impl SessionTask {
    /// `second-factor`: a second factor has to be verified.
    pub const SECOND_FACTOR: Self = Self(Cow::Borrowed("second-factor"));
    /// `choose-organization`: the user has to choose an organization.
    pub const CHOOSE_ORGANIZATION: Self = Self(Cow::Borrowed("choose-organization"));
    /// `reset-password`: the password is too weak or compromised.
    pub const RESET_PASSWORD: Self = Self(Cow::Borrowed("reset-password"));

    /// The maximum length of a name in bytes.
    pub const MAX_LENGTH: usize = 32;

    /// A task of the application: 1 to 32 characters of `a` to `z`, `0` to `9` and `-`.
    ///
    /// # Errors
    ///
    /// If `name` is anything else.
    pub fn new(name: &str) -> Result<Self, InvalidTask> {
        let is_one = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=Self::MAX_LENGTH).contains(&name.len()) && name.bytes().all(is_one);
        if fits { Ok(Self(Cow::Owned(name.to_owned()))) } else { Err(InvalidTask(())) }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for SessionTask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

/// The text is not a valid task name.
///
/// ```
/// use tower_auth_session::{engine::SessionTask, error::InvalidTask};
///
/// let error: InvalidTask = SessionTask::new("Accept terms").unwrap_err();
/// assert!(error.to_string().starts_with("not a task name"));
/// assert!(SessionTask::new("accept-terms").is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a task name: 1 to 32 characters of `a` to `z`, `0` to `9` and `-`")]
pub struct InvalidTask(());

#[cfg(test)]
mod tests {
    use crate::engine::session::task::*;

    #[test]
    fn session_task_name_with_invalid_characters_or_length_is_rejected() {
        assert_eq!(SessionTask::new("second-factor"), Ok(SessionTask::SECOND_FACTOR));
        assert!(SessionTask::new(&"x".repeat(32)).is_ok());
        for name in ["", "Second", "a b", "a\n", "\u{e9}", "\"", &"x".repeat(33)] {
            assert_eq!(SessionTask::new(name), Err(InvalidTask(())), "{name:?}");
        }
    }
}
