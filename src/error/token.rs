//! [`TokenError`]: why a token was rejected.

/// Why a token was rejected.
///
/// For logs and events only: responses do not distinguish these reasons (ASVS 16.5.1). It contains no
/// text of the token.
///
/// ```
/// use tower_auth_session::{error::TokenError, event::{CredentialError, SessionEvent}};
///
/// /// Tokens of a key that this process does not know: a rotation has not reached it, or they are forged.
/// fn is_unknown_key(event: &SessionEvent) -> bool {
///     matches!(event, SessionEvent::CredentialRejected {
///         reason: CredentialError::Token(TokenError::UnknownKey), ..
///     })
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Longer than a cookie may be (4096 bytes of name and value), or a bearer token (8 KiB).
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of canonical unpadded base64url (RFC 7515 §7.1).
    #[error("the token is malformed")]
    Malformed,
    /// The header is not a JSON object of exactly `alg`, `kid` and `typ` (RFC 7515 §4.1.11).
    #[error("the token's header is not that of a session or bearer token")]
    Header,
    /// The `typ` is not the one that this purpose requires (RFC 8725 §3.11).
    #[error("the token is of another type")]
    Type,
    /// The key ring has no key with this `kid`.
    #[error("no key of the ring has the token's kid")]
    UnknownKey,
    /// The header's `alg` is not the one algorithm of the key (RFC 8725 §3.1).
    #[error("the token's algorithm is not the key's")]
    Algorithm,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// The payload is not a JSON object, or names a member twice (RFC 8259 §4).
    #[error("the payload is not a JSON object of distinct members")]
    Payload,
    /// A registered claim is missing or of the wrong type.
    #[error("the claim `{0}` is missing or has the wrong type")]
    InvalidClaim(&'static str),
    /// `iss`, `aud` or `azp` is not a configured one.
    #[error("the token is from another issuer or for another audience")]
    WrongRecipient,
    /// `exp` has passed, or is later after `iat` than a token may last.
    #[error("the token has expired")]
    Expired,
    /// `iat` is further in the future than the clock skew, or `nbf` has not passed.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// The application's claims do not decode into its type.
    #[error("the application's claims do not decode")]
    ClaimsDoNotDecode,
}
