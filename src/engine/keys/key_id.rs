//! [`KeyId`]: what a key is called.

use std::fmt;

use super::{algorithm::Algorithm, material::PublicKeyMaterial, public_jwk};
use crate::error::{ConfigError, ConfigProblem};

/// What a key is called in the header of every token (`kid`, RFC 7515 §4.1.4): a name of its own, or
/// its thumbprint.
///
/// ```
/// use tower_auth_session::{Algorithm, SigningKey, engine::KeyId};
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
    /// The key's RFC 7638 thumbprint with SHA-256: the same for whoever has the key, and another one
    /// for every other key. It does not tell the algorithms of one RSA key apart.
    ///
    /// Not for HMAC: the thumbprint of a secret is a hash that anybody can try guesses on, and every
    /// token would show it (RFC 7638 §7).
    pub const THUMBPRINT: Self = Self(None);

    /// What forbids this as the name of a key for `algorithm`.
    ///
    /// RFC 7515 §4.1.4 leaves the form of a `kid` open. Its text is never shown when it is refused:
    /// whoever swaps two arguments has put the secret here.
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
                    "give the key a name: a hash of its secret would help to guess it",
                )
            }),
        }
    }

    /// The name, of a key whose rules were checked before.
    pub(crate) fn resolve(
        self,
        algorithm: Algorithm,
        part: &PublicKeyMaterial,
    ) -> Result<String, ConfigError> {
        self.0.or_else(|| public_jwk::thumbprint(algorithm, part)).ok_or_else(|| {
            let remedy = "name the key, or enable the feature `aws-lc-rs` or `rust-crypto`";
            ConfigError::one("kid", "no back end to compute the thumbprint", remedy)
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
    /// The thumbprint where there is no name, as in a setting that may be left out.
    fn from(name: Option<String>) -> Self {
        Self(name)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "KeyId(named)" } else { "KeyId::THUMBPRINT" })
    }
}
