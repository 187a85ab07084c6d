//! Parsing and verifying other issuers' tokens: JWS compact serialisation, with only as much
//! freedom as RFC 7515 gives signers.
//!
//! 1. A token longer than 8 KiB is rejected before it is parsed.
//! 2. It has three parts of canonical base64url without padding; header and payload are JSON
//!    objects without duplicate members.
//! 3. `crit` is rejected, because no extension is supported (RFC 7515 §4.1.11), and so are `b64`,
//!    `zip` and `enc`, which change the meaning of the payload. All other unknown members are
//!    ignored: `jku`, `jwk`, `x5u` and `x5c` never provide a key (RFC 8725 §3.10).
//! 4. `typ` is `JWT` or absent: a token issued for another purpose, such as `at+jwt` or a session
//!    token of this crate, is not accepted (RFC 8725 §3.11).
//! 5. The unverified `iss` selects the issuer whose keys are tried, and nothing else. A category
//!    that is not a session token is rejected before a key is looked up.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::{Issuer, IssuerKeys, jwks_cache::KeyLookup};
use crate::{
    engine::{
        encoding::json::JsonObject,
        keys::{key::VerifyingKey, key_ring::KeyRing},
    },
    error::TokenError,
    time::ClockReading,
};

/// Maximum length of a token: the usual limit of servers for all headers of a request.
const MAX_LENGTH: usize = 8 * 1024;

/// A parsed token. Nothing in it has been verified.
pub(crate) struct UnverifiedJws<'t> {
    header: JsonObject,
    signed: &'t [u8],
    payload: Vec<u8>,
    signature: Vec<u8>,
    issuer: String,
}

impl<'t> UnverifiedJws<'t> {
    pub(crate) fn read(token: &'t [u8]) -> Result<Self, TokenError> {
        if token.len() > MAX_LENGTH {
            return Err(TokenError::TooLong);
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed);
        };
        let signed = token.get(..header.len() + 1 + payload.len()).ok_or(TokenError::Malformed)?;
        let (header, payload) = (decode(header)?, decode(payload)?);
        let signature = decode(signature)?;
        let header = object(&header).ok_or(TokenError::Header)?;
        if ["crit", "b64", "zip", "enc"].iter().any(|name| header.get(name).is_some()) {
            return Err(TokenError::Header);
        }
        if header.get("typ").is_some_and(|typ| typ != "JWT") {
            return Err(TokenError::Type);
        }
        let claims = object(&payload).ok_or(TokenError::Payload)?;
        let issuer = claims.get("iss").and_then(Value::as_str);
        let issuer = issuer.ok_or(TokenError::InvalidClaim("iss"))?.to_owned();
        Ok(Self { header, signed, payload, signature, issuer })
    }

    /// The issuer that the token claims.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The payload, if `issuer` signed it, or what must be fetched first. A caller that `waits` for
    /// fetches gets a result by a current key set.
    pub(crate) fn verify(
        &self,
        issuer: &Issuer,
        waits: bool,
        now: ClockReading,
    ) -> Result<KeyLookup<Vec<u8>>, TokenError> {
        let categories = &issuer.rules.categories;
        if let Some(category) = self.header.get("cat").filter(|_| !categories.is_empty())
            && !categories.iter().any(|one| category == one.as_str())
        {
            return Err(TokenError::Type);
        }
        let algorithm = self.header.get("alg").and_then(Value::as_str);
        let algorithm = algorithm.ok_or(TokenError::Header)?;
        if !issuer.rules.algorithms.iter().any(|one| one.name() == algorithm) {
            return Err(TokenError::Algorithm);
        }
        let kid = match self.header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or(TokenError::Header)?),
        };
        let key = match &issuer.keys {
            IssuerKeys::Single(ring) => find_key(ring, None, now),
            IssuerKeys::Ring(ring) => kid.and_then(|kid| find_key(ring, Some(kid), now)),
            IssuerKeys::Remote(remote) => {
                // No key set is fetched for a token without a `kid`.
                let kid = kid.ok_or(TokenError::UnknownKey)?;
                let key = find_key(remote.ring(), Some(kid), now);
                match remote.look_up(key.is_some(), waits, now) {
                    KeyLookup::Found(()) | KeyLookup::Unknown => key,
                    KeyLookup::FetchNeeded => return Ok(KeyLookup::FetchNeeded),
                    KeyLookup::Unavailable => return Ok(KeyLookup::Unavailable),
                }
            }
        };
        let key = key.ok_or(TokenError::UnknownKey)?;
        if key.algorithm().name() != algorithm {
            return Err(TokenError::Algorithm);
        }
        if !key.verify(self.signed, &self.signature) {
            return Err(TokenError::Signature);
        }
        Ok(KeyLookup::Found(self.payload.clone()))
    }
}

/// The key `kid` of `ring`, or the first key.
fn find_key(ring: &KeyRing, kid: Option<&str>, now: ClockReading) -> Option<VerifyingKey> {
    ring.observe(now);
    let keys = ring.current();
    let kid = kid.or_else(|| keys.keys().first().map(|key| key.key().kid()))?;
    keys.verifying(kid.as_bytes(), now.timestamp()).map(|key| key.key().clone())
}

fn decode(part: &[u8]) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

/// serde_json accepts at most 128 levels of nesting.
fn object(json: &[u8]) -> Option<JsonObject> {
    serde_json::from_slice(json).ok().filter(|members: &JsonObject| !members.has_duplicates())
}
