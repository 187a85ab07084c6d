//! Settings for several accounts in one browser.

use crate::error::ConfigProblem;

/// What happens when a browser exceeds its limits.
///
/// ```
/// use tower_auth_session::{KeyRing, SessionEngine, config::AccountLimitPolicy};
///
/// fn two_accounts(keys: KeyRing) -> Result<SessionEngine, tower_auth_session::ConfigError> {
///     SessionEngine::builder(keys)
///         .multi_session(true)
///         .max_sessions_per_browser(2)
///         .account_limit_policy(AccountLimitPolicy::Refuse)
///         .build()
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum AccountLimitPolicy {
    /// A sign-in evicts the least recently active account; its outcome and an event report it. A later
    /// request that finds too many evicts the account that signed in first.
    #[default]
    SignOutLeastRecentlyActive,
    /// The sign-in is refused. A later request that finds too many evicts the account that signed in
    /// last.
    Refuse,
}

/// The checked settings.
#[derive(Debug, Clone)]
pub(crate) struct MultiSession {
    pub(crate) max: usize,
    pub(crate) policy: AccountLimitPolicy,
    /// The maximum bytes of session cookies in one request, names and separators included.
    pub(crate) cookie_budget: usize,
    pub(crate) session_query_param: Option<Box<str>>,
}

impl MultiSession {
    pub(crate) const DEFAULT_MAX: usize = 5;
    /// Browsers keep at least 50 cookies of a domain (RFC 6265bis §6.1).
    const MAX: usize = 20;
    /// Fits in one header line of 8 KiB next to a few cookies of the application.
    pub(crate) const DEFAULT_COOKIE_BUDGET: usize = 7_000;

    /// Validates the settings together and adds errors to `problems`.
    pub(crate) fn check(&self, problems: &mut Vec<ConfigProblem>) {
        if !(1..=Self::MAX).contains(&self.max) {
            problems.push(ConfigProblem::new(
                "max_sessions_per_browser",
                self.max.to_string(),
                "1 to 20: a browser keeps few cookies of one site (RFC 6265bis §6.1)",
            ));
        }
        if !(4_200..=32_000).contains(&self.cookie_budget) {
            problems.push(ConfigProblem::new(
                "cookie_budget",
                self.cookie_budget.to_string(),
                "4,200 (one cookie of the largest size) to 32,000 bytes",
            ));
        }
        if let Some(name) = &self.session_query_param
            && (name.is_empty()
                || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'))
        {
            problems.push(ConfigProblem::new(
                "session_query_param",
                name.to_string(),
                "letters, digits, `-` and `_`: it is compared without decoding",
            ));
        }
    }
}
