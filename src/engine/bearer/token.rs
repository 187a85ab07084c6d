//! What is asked for, what comes of it, and why nothing does.

use std::{fmt, time::Duration};

use crate::{engine::token::claims::ClaimsError, time::Timestamp};

/// What one bearer token is to be, within what
/// [`BearerTokens`](crate::engine::bearer::BearerTokens) allows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct BearerTokenOptions {
    pub(crate) lifetime: Option<Duration>,
    pub(crate) audience: Option<String>,
}

impl BearerTokenOptions {
    /// As configured.
    pub const fn new() -> Self {
        Self { lifetime: None, audience: None }
    }

    /// How long it lasts, in whole seconds, one at least.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Who is to accept it: one of the configured
    /// [`audiences`](crate::engine::bearer::BearerTokens::audiences), or the engine's own.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }
}

/// A token to be sent as `Authorization: Bearer`. Whoever holds it is the session until it ends, so
/// `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken {
    token: Box<str>,
    expires_at: Timestamp,
}

impl BearerToken {
    pub(crate) fn new(token: String, expires_at: Timestamp) -> Self {
        Self { token: token.into(), expires_at }
    }

    /// The token: RFC 7515's compact serialisation.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.token
    }

    /// The first instant at which it is nothing any more (`exp`).
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Why there is no bearer token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BearerTokenError {
    /// The lifetime is below a second, or above what is configured.
    #[error("a bearer token lasts 1 to {} seconds", longest.as_secs())]
    Lifetime {
        /// The longest there may be.
        longest: Duration,
    },
    /// The audience is none of those configured.
    #[error("no bearer token is made for this audience")]
    Audience,
    /// The request was made with a bearer token, which makes no other one: it would never end. So does
    /// no token of another issuer's.
    #[error("a bearer token makes no other: ask with the session's cookie")]
    NotACookieSession,
    /// Tasks are left to do before the subject is signed in.
    #[error("the session is pending: tasks are left to do")]
    Pending,
    /// The session is over by now.
    #[error("the session is over")]
    SessionEnded,
    /// It is long ago that a store was asked whether the session lives: ask in a new request.
    #[error("the session was checked too long ago")]
    RequestTooOld,
    /// The session comes from no layer, which alone has keys and the time:
    /// [`SessionEngine::bearer_token`](crate::SessionEngine::bearer_token) is for callers without one.
    #[error("the session comes from no layer")]
    NoSessionLayer,
    /// The claims cannot stand in a token.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// The token would be longer than one is accepted.
    #[error("the token would be longer than 8 KiB: keep less in the claims")]
    TooLarge,
    /// The ring has no signing key, or the back end failed.
    #[error("the token could not be signed")]
    Signing,
    /// The random source failed.
    #[error("the random source failed")]
    Random,
}

#[cfg(test)]
mod tests {
    use crate::engine::bearer::token::*;

    #[test]
    fn bearer_token_debug_output_hides_the_token() {
        let token = BearerToken::new("secret".to_owned(), Timestamp::EPOCH);
        assert!(!format!("{token:?} {token:#?}").contains("secret"));
    }
}
