//! Whose bearer tokens are believed: [`BearerVerifier`], and the one that is ourselves.

use std::{fmt, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;

use super::{BEARER_TYPE, BearerPolicy, MAX_BEARER_LENGTH};
use crate::{
    engine::{
        keys::key_ring::KeyRing,
        session::{
            attributes::SessionAttributes,
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

/// Somebody whose tokens are believed. Each is asked for all of what makes a token good, so that
/// nothing of one issuer's rules counts for another one's tokens (RFC 8725 §3.8).
pub(crate) trait BearerVerifier<C>: fmt::Debug + Send + Sync {
    /// The session that `token` proves at `now`.
    ///
    /// # Errors
    ///
    /// Why it proves none. [`TokenError::UnknownKey`] says that it is not this issuer's.
    fn verify(&self, token: &[u8], now: Timestamp) -> Result<VerifiedBearer<C>, TokenError>;

    /// The longest that it lets a token live.
    fn longest(&self) -> Duration;
}

/// What a bearer token proves.
pub(crate) struct VerifiedBearer<C> {
    pub(crate) identity: SessionIdentity,
    pub(crate) claims: C,
}

/// How a payload is read: our claims, and the application's where they are a `C`.
type BearerDecodeFn<C> = fn(&[u8]) -> Result<(BearerClaims, Option<C>), TokenError>;

/// Tokens that are signed with keys of our own ring.
struct LocalBearerVerifier<C> {
    keys: KeyRing,
    decode: BearerDecodeFn<C>,
    issuer: Option<Box<str>>,
    audience: Option<Box<str>>,
    parties: Box<[Box<str>]>,
    longest: Duration,
    clock_skew: Duration,
}

/// The list of those who are believed by `terms` alone: whoever signs with `keys`, or nobody.
pub(crate) fn local_verifier<C: DeserializeOwned + 'static>(
    keys: KeyRing,
    audience: Option<&str>,
    terms: &BearerPolicy,
    clock_skew: Duration,
) -> Box<[Arc<dyn BearerVerifier<C>>]> {
    if !terms.accept {
        return Box::default();
    }
    Box::new([Arc::new(LocalBearerVerifier {
        keys,
        decode: decode_bearer::<C>,
        issuer: terms.issuer.clone(),
        audience: audience.map(Into::into),
        parties: terms.parties.clone(),
        longest: terms.longest,
        clock_skew,
    })])
}

impl<C> BearerVerifier<C> for LocalBearerVerifier<C> {
    fn verify(&self, token: &[u8], now: Timestamp) -> Result<VerifiedBearer<C>, TokenError> {
        let typ = Some(BEARER_TYPE);
        let mut buffer = [0; jws::max_decoded_len(MAX_BEARER_LENGTH)];
        let vouched = jws::verify(&self.keys, token, typ, MAX_BEARER_LENGTH, now, &mut buffer)?;
        let (claims, custom) = (self.decode)(vouched.payload)?;
        if claims.iss != self.issuer {
            return Err(TokenError::WrongRecipient);
        }
        // RFC 7519 §4.1.3: a token for somebody else is not for us.
        let for_us = match (&self.audience, &claims.aud) {
            (Some(audience), Some(aud)) => aud.contains(audience),
            (None, None) => true,
            _ => false,
        };
        let party_may = self.parties.is_empty()
            || claims.azp.as_ref().is_some_and(|azp| self.parties.contains(azp));
        if !for_us || !party_may {
            return Err(TokenError::WrongRecipient);
        }
        // A session that is not complete is not one.
        if claims.sts.as_deref() != Some("active") {
            return Err(TokenError::InvalidClaim("sts"));
        }
        let latest = now.saturating_add(self.clock_skew);
        if claims.iat > latest || claims.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(TokenError::NotYetValid);
        }
        // No leeway at the end, as for sessions (RFC 7519 §4.1.4), and none that was never allowed.
        if now >= claims.exp || claims.exp.saturating_since(claims.iat) > self.longest {
            return Err(TokenError::Expired);
        }
        let id = claims.sid.parse().map_err(|_| TokenError::InvalidClaim("sid"))?;
        let signed_in_at = claims.auth_time.ok_or(TokenError::InvalidClaim("auth_time"))?;
        let dates = SessionTimes {
            signed_in_at,
            issued_at: claims.iat,
            // It does not say; nobody is kept signed in by it in any case.
            last_active_at: signed_in_at,
            expires_at: claims.exp,
        };
        let standing =
            SessionAttributes { tasks: None, actor: claims.act, factors: claims.factors_at };
        let identity =
            SessionIdentity::new(id, claims.sub, dates, UNKNOWN_TERMS, standing.shared());
        let claims = custom.ok_or(TokenError::ClaimsDoNotDecode)?;
        Ok(VerifiedBearer { identity, claims })
    }

    fn longest(&self) -> Duration {
        self.longest
    }
}

/// A bearer token does not say how long its session may last: whoever ends the session remembers it
/// for as long as any may.
const UNKNOWN_TERMS: SessionFlags = SessionFlags {
    lifetime: LifetimeOverride::both(SessionLifetime::MAX_OVERRIDE),
    persistent: true,
    pending: false,
    impersonated: false,
};

impl<C> fmt::Debug for LocalBearerVerifier<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalBearerVerifier").field("keys", &self.keys).finish_non_exhaustive()
    }
}
