//! [`KeyId`]: the name of a key.

use std::fmt;

use super::{algorithm::Algorithm, material::PublicKeyMaterial, public_jwk};
use crate::error::{ConfigError, ConfigProblem};

/// The name of a key in the header of every token (`kid`, RFC 7515 §4.1.4): chosen, or the key's
/// thumbprint.
///
/// ```
/// use tower_auth_session::{Algorithm, SigningKey, keys::KeyId};
///
/// # fn main() -> Result<(), tower_auth_session::ConfigError> {
/// let named = SigningKey::generate("2026-11", Algorithm::EdDsa)?;
/// assert_eq!(named.kid(), "2026-11");
/// let key = SigningKey::generate(KeyId::THUMBPRINT, Algorithm::EdDsa)?;
/// assert_eq!(Some(key.kid()), key.verifying_key().thumbprint().as_deref());
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct KeyId(Option<String>);

impl KeyId {
    /// The key's RFC 7638 thumbprint with SHA-256: the same on all hosts that have the key, and
    /// different for every other key. It does not distinguish the algorithms of one RSA key.
    ///
    /// Not for HMAC: the thumbprint of a secret allows offline guessing, and every token would
    /// contain it (RFC 7638 §7).
    pub const THUMBPRINT: Self = Self(None);

    /// Why this cannot be the name of a key for `algorithm`.
    ///
    /// RFC 7515 §4.1.4 leaves the form of a `kid` open. A rejected text is never shown: if two
    /// arguments were swapped, it is the secret.
    pub(crate) fn problem(&self, algorithm: Algorithm) -> Option<ConfigProblem> {
        match &self.0 {
            Some(name) => {
                let valid = (1..=64).contains(&name.len())
                    && name.bytes().all(|byte| byte.is_ascii_graphic());
                (!valid).then(|| {
                    ConfigProblem::new(
                        "kid",
                        format!("{} bytes", name.len()),
                        "name the key with 1 to 64 visible ASCII characters",
                    )
                })
            }
            None => algorithm.is_symmetric().then(|| {
                ConfigProblem::new(
                    "kid",
                    "missing",
                    "name the key: a hash of its secret would allow guessing it",
                )
            }),
        }
    }

    /// The name of a key that was validated before.
    pub(crate) fn resolve(
        self,
        algorithm: Algorithm,
        part: &PublicKeyMaterial,
    ) -> Result<String, ConfigError> {
        self.0.or_else(|| public_jwk::thumbprint(algorithm, part)).ok_or_else(|| {
            let remedy = "name the key, or enable the feature `aws-lc-rs` or `rust-crypto`";
            ConfigError::one("kid", "no cryptographic back end computes the thumbprint", remedy)
        })
    }
}

impl From<&str> for KeyId {
    fn from(name: &str) -> Self {
        Self(Some(name.to_owned()))
    }
}

impl From<String> for KeyId {
    fn from(name: String) -> Self {
        Self(Some(name))
    }
}

impl From<&String> for KeyId {
    fn from(name: &String) -> Self {
        Self(Some(name.clone()))
    }
}

impl From<Option<String>> for KeyId {
    /// The thumbprint if there is no name, as with an optional setting.
    fn from(name: Option<String>) -> Self {
        Self(name)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "KeyId(named)" } else { "KeyId::THUMBPRINT" })
    }
}
