//! [`ProofClaims`]: the token in the proof cookie. Only the refresh and registration endpoints issue it,
//! and nothing extends it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::signed_claims;
use crate::{
    engine::{
        keys::{key_ring::KeyRing, key_set::TrustedKey},
        session::id::SessionId,
    },
    time::Timestamp,
};

/// JOSE `typ` of proofs.
const PROOF_TYPE: &str = "session-proof+jwt";

/// The claims of a proof.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProofClaims {
    /// The engine, by the base name of its cookie.
    pub(crate) azp: Box<str>,
    pub(crate) sid: SessionId,
    /// The thumbprint of the device's key (RFC 9449 §6.1).
    pub(crate) jkt: Box<str>,
    /// When the device signed.
    pub(crate) iat: Timestamp,
    pub(crate) exp: Timestamp,
}

impl ProofClaims {
    pub(crate) fn issue(&self, ring: &KeyRing) -> Option<String> {
        signed_claims::sign(ring, PROOF_TYPE, self)
    }

    /// The claims of `token`, which may be those of any session, and the key that verified it.
    pub(crate) fn verify(
        ring: &KeyRing,
        token: &[u8],
        now: Timestamp,
    ) -> Option<(Self, Arc<TrustedKey>)> {
        signed_claims::verify(ring, PROOF_TYPE, token, now).ok()
    }
}
