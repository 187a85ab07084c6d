//! Verifying bearer tokens: [`BearerVerifier`], and the verifier of this engine's own tokens.

use std::{fmt, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;

use super::{BEARER_TYPE, BearerPolicy, MAX_BEARER_LENGTH};
use crate::{
    engine::{
        keys::key_ring::KeyRing,
        session::{
            attributes::SessionAttributes,
            data::SessionData,
            expiry::{LifetimeOverride, SessionTimes},
            identity::{SessionFlags, SessionIdentity},
            lifetime::SessionLifetime,
        },
        token::{
            claims::{bearer::BearerClaims, decode::decode_bearer},
            jws,
        },
    },
    error::TokenError,
    time::Timestamp,
};

/// Verifies the bearer tokens of one issuer. Each verifier checks everything, so that no rule of
/// one issuer applies to the tokens of another (RFC 8725 §3.8).
pub(crate) trait BearerVerifier<C>: fmt::Debug + Send + Sync {
    /// The session of `token`, if the token is valid at `now`.
    ///
    /// # Errors
    ///
    /// Why the token is rejected. [`TokenError::UnknownKey`] means that it is not this issuer's.
    fn verify(&self, token: &[u8], now: Timestamp) -> Result<SessionData<C>, TokenError>;

    /// Maximum lifetime of an accepted token.
    fn max_lifetime(&self) -> Duration;
}

/// Decodes a payload into the registered claims, and the application's if they deserialize as `C`.
type BearerDecodeFn<C> = fn(&[u8]) -> Result<(BearerClaims, Option<C>), TokenError>;

/// Verifies tokens that are signed with the engine's own ring.
struct LocalBearerVerifier<C> {
    keys: KeyRing,
    decode: BearerDecodeFn<C>,
    issuer: Option<Box<str>>,
    audience: Option<Box<str>>,
    /// The base name of the engine's cookie.
    engine_name: Box<str>,
    reject_unbound_tokens: bool,
    authorized_parties: Box<[Box<str>]>,
    max_lifetime: Duration,
    clock_skew: Duration,
}

/// The verifiers of an engine with these settings: one for its own tokens, or none if bearer tokens
/// are not accepted.
pub(crate) fn local_verifier<C: DeserializeOwned + 'static>(
    keys: KeyRing,
    audience: Option<&str>,
    (engine_name, reject_unbound_tokens): (&str, bool),
    policy: &BearerPolicy,
    clock_skew: Duration,
) -> Box<[Arc<dyn BearerVerifier<C>>]> {
    if !policy.accept {
        return Box::default();
    }
    Box::new([Arc::new(LocalBearerVerifier {
        keys,
        decode: decode_bearer::<C>,
        issuer: policy.issuer.clone(),
        audience: audience.map(Into::into),
        engine_name: engine_name.into(),
        reject_unbound_tokens,
        authorized_parties: policy.authorized_parties.clone(),
        max_lifetime: policy.max_lifetime,
        clock_skew,
    })])
}

impl<C> BearerVerifier<C> for LocalBearerVerifier<C> {
    fn verify(&self, token: &[u8], now: Timestamp) -> Result<SessionData<C>, TokenError> {
        let typ = Some(BEARER_TYPE);
        let verified = jws::verify(&self.keys, token, typ, MAX_BEARER_LENGTH, now)?;
        let (claims, custom) = (self.decode)(&verified.payload()?)?;
        if claims.iss != self.issuer {
            return Err(TokenError::WrongRecipient);
        }
        // RFC 7519 §4.1.3: a token for another audience is rejected.
        let is_recipient = match (&self.audience, &claims.aud) {
            (Some(audience), Some(aud)) => aud.contains(audience),
            (None, None) => true,
            _ => false,
        };
        let is_authorized_party = self.authorized_parties.is_empty()
            || claims.azp.as_ref().is_some_and(|azp| self.authorized_parties.contains(azp));
        if !is_recipient || !is_authorized_party {
            return Err(TokenError::WrongRecipient);
        }
        // Engines that share keys, issuer and audience do not accept each other's tokens.
        match claims.engine_name() {
            Some(name) if *name == *self.engine_name => {}
            Some(_) => return Err(TokenError::WrongRecipient),
            None if self.reject_unbound_tokens => return Err(TokenError::InvalidClaim("jti")),
            None => {}
        }
        // A pending session is treated as signed out.
        if claims.sts.as_deref() != Some("active") {
            return Err(TokenError::InvalidClaim("sts"));
        }
        let latest = now.saturating_add(self.clock_skew);
        if claims.iat > latest || claims.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(TokenError::NotYetValid);
        }
        // No leeway for `exp`, as for session tokens (RFC 7519 §4.1.4), and no lifetime above the
        // configured maximum.
        if now >= claims.exp || claims.exp.saturating_since(claims.iat) > self.max_lifetime {
            return Err(TokenError::Expired);
        }
        let id = claims.sid.parse().map_err(|_| TokenError::InvalidClaim("sid"))?;
        let signed_in_at = claims.auth_time.ok_or(TokenError::InvalidClaim("auth_time"))?;
        let times = SessionTimes {
            signed_in_at,
            issued_at: claims.iat,
            // A bearer token has no such claim, and bearer requests do not extend a session.
            last_active_at: signed_in_at,
            expires_at: claims.exp,
        };
        let attributes = SessionAttributes {
            actor: claims.act,
            factors: claims.factors_at,
            ..SessionAttributes::default()
        };
        let identity =
            SessionIdentity::new(id, claims.sub, times, UNKNOWN_FLAGS, attributes.shared());
        let claims = custom.ok_or(TokenError::ClaimsDoNotDecode)?;
        Ok(SessionData::new(identity, Arc::new(claims)))
    }

    fn max_lifetime(&self) -> Duration {
        self.max_lifetime
    }
}

/// A bearer token does not state its session's lifetime. A revocation of that session is therefore
/// retained for the longest lifetime that a session can have.
const UNKNOWN_FLAGS: SessionFlags = SessionFlags {
    lifetime: LifetimeOverride::both(SessionLifetime::MAX_OVERRIDE),
    persistent: true,
    pending: false,
    impersonated: false,
    bound_to_engine: true,
};

impl<C> fmt::Debug for LocalBearerVerifier<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalBearerVerifier").field("keys", &self.keys).finish_non_exhaustive()
    }
}
