//! What a ring shows to everybody: its public keys as a JSON Web Key PublicJwkSet.

use serde::Serialize;

use super::{key_ring::KeyRing, key_set::TrustedKey};
use crate::time::Timestamp;

/// A set of public keys.
pub(crate) struct PublicKeys {
    pub(crate) json: String,
    /// When the first of them is retired, where that is known.
    pub(crate) retires_at: Option<Timestamp>,
}

impl KeyRing {
    /// The public keys as a JSON Web Key PublicJwkSet (RFC 7517 §5): every asymmetric key that is believed at
    /// `now`, whether it signs yet, still or never. HMAC keys are not in it, nor anything private.
    ///
    /// The layer answers `GET /.well-known/jwks.json` with it; this is for who publishes it in another
    /// way. Keys stand in the order of their names, so that every node of a fleet says the same.
    #[must_use]
    pub fn public_jwks(&self, now: Timestamp) -> String {
        self.public_keys(now).map_or_else(|| r#"{"keys":[]}"#.to_owned(), |keys| keys.json)
    }

    /// `None` where the ring has no public keys.
    pub(crate) fn public_keys(&self, now: Timestamp) -> Option<PublicKeys> {
        let current = self.current();
        let is_shown =
            |belief: &&TrustedKey| belief.key().public().is_some() && belief.is_trusted(now);
        let mut shown: Vec<&TrustedKey> =
            current.keys().iter().map(AsRef::as_ref).filter(is_shown).collect();
        shown.sort_by_key(|belief| belief.key().kid());
        let keys: Vec<_> = shown.iter().filter_map(|belief| belief.key().published()).collect();
        let json = (!keys.is_empty()).then(|| serde_json::to_string(&PublicJwkSet { keys }).ok());
        let retires_at = shown.iter().filter_map(|belief| belief.retires_at()).min();
        Some(PublicKeys { json: json??, retires_at })
    }
}

#[derive(Serialize)]
struct PublicJwkSet<K> {
    keys: Vec<K>,
}
