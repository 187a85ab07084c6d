//! Small tokens that only this service reads: claims signed by the key ring under their own `typ`.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    engine::{
        keys::{key_ring::KeyRing, key_set::TrustedKey},
        token::jws,
    },
    error::TokenError,
    time::Timestamp,
};

use std::sync::Arc;

/// The maximum length of a token: claims of a few hundred bytes, and a signature of RSA with 4096 bits.
pub(super) const MAX_LENGTH: usize = 1_536;

/// `claims` as a token of type `typ`; `None` if the ring cannot sign.
pub(super) fn sign(ring: &KeyRing, typ: &str, claims: &impl Serialize) -> Option<String> {
    let payload = serde_json::to_vec(claims).ok()?;
    let keys = ring.current();
    let token = jws::sign(keys.signing()?, typ, &payload).ok()?;
    (token.len() <= MAX_LENGTH).then_some(token)
}

/// The claims of a token of type `typ`, and the key that verified it.
pub(super) fn verify<T: DeserializeOwned>(
    ring: &KeyRing,
    typ: &str,
    token: &[u8],
    now: Timestamp,
) -> Result<(T, Arc<TrustedKey>), TokenError> {
    let verified = jws::verify(ring, token, Some(typ), MAX_LENGTH, now)?;
    let claims = serde_json::from_slice(&verified.payload()?).map_err(|_| TokenError::Payload)?;
    Ok((claims, verified.key))
}
