//! [`KeyRing`]: the keys of a service, found by their `kid`.

use std::{fmt, sync::Arc};

use crate::{
    engine::{
        crypto, jwk,
        keys::{SigningKey, VerifyingKey},
    },
    error::{ConfigError, ConfigProblem},
};

/// One key that signs, and every key that is believed.
///
/// ```
/// use tower_auth_session::engine::{Algorithm, KeyRing, SigningKey};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let new = SigningKey::generate("2026-08", Algorithm::EdDsa)?;
/// let old = SigningKey::generate("2026-02", Algorithm::EdDsa)?;
/// let ring = KeyRing::new(new).accept(old.verifying_key());
/// assert!(ring.kids().eq(["2026-08", "2026-02"]));
/// # Ok(())
/// # }
/// ```
///
/// A token names its key by `kid` and is tried with that one key only. Algorithms may differ from
/// key to key, as in a migration: each key has exactly one. Every key is tested when it enters. What
/// is wrong with a ring is told when it is put to use, all at once.
///
/// Clones share the keys.
#[derive(Clone)]
pub struct KeyRing(Arc<Inner>);

#[derive(Clone, Default)]
struct Inner {
    signing: Option<SigningKey>,
    verifying: Vec<VerifyingKey>,
    problems: Vec<ConfigProblem>,
}

impl KeyRing {
    /// A ring that signs with `key` and believes it.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        let mut ring = Inner::default();
        if crypto::is_available() && !key.self_test() {
            ring.problems.push(failed(key.kid(), "does not verify what it signs"));
        }
        ring.enter(key.verifying_key());
        ring.signing = Some(key);
        Self(Arc::new(ring))
    }

    /// An empty ring that never signs, to [`accept`](Self::accept) keys into.
    #[must_use]
    pub fn verify_only() -> Self {
        Self(Arc::default())
    }

    /// Believes `key` too: the previous key after a rotation, or the next one before it.
    #[must_use]
    pub fn accept(mut self, key: VerifyingKey) -> Self {
        Arc::make_mut(&mut self.0).enter(key);
        self
    }

    /// A ring that never signs, from a JSON Web Key Set (RFC 7517 §5).
    ///
    /// A set holds public keys or HMAC secrets, never both: it is published or it is secret.
    ///
    /// # Errors
    ///
    /// When any key is refused, two have one `kid`, or there is none.
    pub fn from_jwks(json: &str) -> Result<Self, ConfigError> {
        let mut ring = Inner::default();
        for (place, key) in jwk::public_keys(json)?.into_iter().enumerate() {
            match key.and_then(VerifyingKey::from_read) {
                Ok(key) => ring.enter(key),
                Err(error) => ring.problems.extend(error.into_problems().iter().map(|problem| {
                    let field = format!("keys[{place}].{}", problem.field());
                    ConfigProblem::new(field, problem.value(), problem.remedy())
                })),
            }
        }
        let symmetric = ring.verifying.iter().filter(|key| key.algorithm().is_symmetric()).count();
        if symmetric != 0 && symmetric != ring.verifying.len() {
            ring.problems.push(ConfigProblem::new(
                "keys",
                "HMAC secrets beside public keys",
                "a set is published or it is secret: split it",
            ));
        }
        let ring = Self(Arc::new(ring));
        ConfigError::check(ring.key_problems())?;
        Ok(ring)
    }

    /// The names of the keys that are believed, the signing key's first.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.0.verifying.iter().map(VerifyingKey::kid)
    }

    pub(crate) fn signing(&self) -> Option<&SigningKey> {
        self.0.signing.as_ref()
    }

    /// A ring has few keys, so a walk over them beats hashing what a stranger sent.
    pub(crate) fn verifying(&self, kid: &[u8]) -> Option<&VerifyingKey> {
        self.0.verifying.iter().find(|key| key.kid().as_bytes() == kid)
    }

    /// Every key that is believed.
    pub(crate) fn keys(&self) -> &[VerifyingKey] {
        &self.0.verifying
    }

    /// Everything that forbids to use this ring.
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = self.key_problems();
        if !crypto::is_available() {
            problems.push(ConfigProblem::new(
                "features",
                "no cryptographic back end",
                "enable the feature `aws-lc-rs` or `rust-crypto` of tower-auth-session",
            ));
        }
        problems
    }

    fn key_problems(&self) -> Vec<ConfigProblem> {
        let mut problems = self.0.problems.clone();
        if self.0.verifying.is_empty() && problems.is_empty() {
            problems.push(ConfigProblem::new("keys", "none", "add a key: KeyRing::new or accept"));
        }
        problems
    }
}

impl Inner {
    fn enter(&mut self, key: VerifyingKey) {
        if self.verifying.iter().any(|other| other.kid() == key.kid()) {
            self.problems.push(ConfigProblem::new(
                "kid",
                key.kid(),
                "two keys of the ring have it: give each key a name of its own",
            ));
        }
        if crypto::is_available() && !key.self_test() {
            self.problems.push(failed(key.kid(), "does not refuse what nobody signed"));
        }
        self.verifying.push(key);
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("signing", &self.0.signing)
            .field("verifying", &self.0.verifying)
            .finish_non_exhaustive()
    }
}

fn failed(kid: &str, what: &str) -> ConfigProblem {
    ConfigProblem::new("kid", kid, format!("the key failed its self-test: it {what}"))
}

#[cfg(test)]
mod tests;
