//! [`BearerTokenOptions`], the issued [`BearerToken`] and [`BearerTokenError`].

use std::{fmt, time::Duration};

use crate::{engine::token::claims::ClaimsError, time::Timestamp};

/// Options for one bearer token, within the limits of
/// [`BearerTokens`](crate::engine::bearer::BearerTokens).
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::{
///     Session,
///     bearer::{BearerToken, BearerTokenError, BearerTokenOptions},
/// };
///
/// fn for_reports(session: &Session) -> Result<BearerToken, BearerTokenError> {
///     let options = BearerTokenOptions::new()
///         .lifetime(Duration::from_secs(300)) // at most `BearerTokens::max_lifetime`
///         .audience("https://reports.example.com"); // one of `BearerTokens::audiences`
///     session.bearer_token_with(&options)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct BearerTokenOptions {
    pub(crate) lifetime: Option<Duration>,
    pub(crate) audience: Option<String>,
}

impl BearerTokenOptions {
    /// The configured defaults.
    pub const fn new() -> Self {
        Self { lifetime: None, audience: None }
    }

    /// Lifetime in whole seconds, at least one.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// The service that accepts the token: one of the configured
    /// [`audiences`](crate::engine::bearer::BearerTokens::audiences), or the engine's own.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }
}

/// A token for `Authorization: Bearer`. Its holder can act as the session until it expires, so
/// `Debug` does not show it.
///
/// ```
/// use tower_auth_session::{Session, bearer::BearerTokenError};
///
/// fn header(session: &Session) -> Result<String, BearerTokenError> {
///     let token = session.bearer_token()?;
///     println!("valid until {}", token.expires_at());
///     Ok(format!("Bearer {}", token.as_str()))
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken {
    token: Box<str>,
    expires_at: Timestamp,
}

impl BearerToken {
    pub(crate) fn new(token: String, expires_at: Timestamp) -> Self {
        Self { token: token.into(), expires_at }
    }

    /// The token in JWS compact serialisation (RFC 7515 §7.1).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.token
    }

    /// The first instant at which the token is no longer valid (`exp`).
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

/// Why no bearer token was issued.
///
/// ```
/// use tower_auth_session::{Session, bearer::BearerTokenError};
///
/// fn token(session: &Session) -> Result<String, &'static str> {
///     session.bearer_token().map(|token| token.as_str().to_owned()).map_err(|error| match error {
///         BearerTokenError::Pending => "complete the sign-in first",
///         BearerTokenError::SessionEnded => "sign in again",
///         _ => "no token",
///     })
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BearerTokenError {
    /// The lifetime is below one second, or above the configured maximum.
    #[error("the lifetime of a bearer token is 1 to {} seconds", max_lifetime.as_secs())]
    Lifetime {
        /// The configured maximum.
        max_lifetime: Duration,
    },
    /// The audience is not a configured one.
    #[error("the audience is not a configured one")]
    Audience,
    /// The session came by a bearer token or from another issuer. Such a session cannot issue
    /// bearer tokens, or a copied token could be extended for ever.
    #[error("bearer tokens are issued only for requests with the session cookie")]
    NotACookieSession,
    /// The session is pending: tasks are left before it takes effect.
    #[error("the session is pending: complete its tasks first")]
    Pending,
    /// The session has expired or was revoked.
    #[error("the session has ended")]
    SessionEnded,
    /// Too much time has passed since the session was checked for this request. Send a new request.
    #[error("the session was checked too long ago: send a new request")]
    RequestTooOld,
    /// The session does not come from a layer, which provides the keys and the time. Callers
    /// without a layer use [`SessionEngine::bearer_token`](crate::SessionEngine::bearer_token).
    #[error("the session does not come from a session layer")]
    NoSessionLayer,
    /// The claims cannot be encoded.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// The token would exceed the maximum length.
    #[error("the token would exceed 8 KiB: store less in the claims")]
    TooLarge,
    /// The ring has no signing key, or the cryptographic back end failed.
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
