//! The public keys of a ring as a JSON Web Key Set.

use serde::Serialize;

use super::{key_ring::KeyRing, key_set::TrustedKey};
use crate::time::Timestamp;

/// A set of public keys.
pub(crate) struct PublicKeys {
    pub(crate) json: String,
    /// When the first of them is retired, if that is set.
    pub(crate) retires_at: Option<Timestamp>,
}

impl KeyRing {
    /// The public keys as a JSON Web Key Set (RFC 7517 §5): every asymmetric key that is trusted at
    /// `now`, whether it signs or not. HMAC keys and private members are never included.
    ///
    /// The layer serves it as `GET /.well-known/jwks.json`; use this method to publish it in
    /// another way. Keys are sorted by name, so that all nodes of a fleet return the same text.
    #[must_use]
    pub fn public_jwks(&self, now: Timestamp) -> String {
        self.public_keys(now).map_or_else(|| r#"{"keys":[]}"#.to_owned(), |keys| keys.json)
    }

    /// `None` if the ring has no public keys.
    pub(crate) fn public_keys(&self, now: Timestamp) -> Option<PublicKeys> {
        let current = self.current();
        let is_shown = |key: &&TrustedKey| key.key().public().is_some() && key.is_trusted(now);
        let mut shown: Vec<&TrustedKey> =
            current.keys().iter().map(AsRef::as_ref).filter(is_shown).collect();
        shown.sort_by_key(|key| key.key().kid());
        let keys: Vec<_> = shown.iter().filter_map(|key| key.key().published()).collect();
        let json = (!keys.is_empty()).then(|| serde_json::to_string(&PublicJwkSet { keys }).ok());
        let retires_at = shown.iter().filter_map(|key| key.retires_at()).min();
        Some(PublicKeys { json: json??, retires_at })
    }
}

#[derive(Serialize)]
struct PublicJwkSet<K> {
    keys: Vec<K>,
}
