//! [`KeyRing`]: the keys of a service, found by their `kid`.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use super::{
    backend as crypto, jwk,
    key::{SigningKey, VerifyingKey},
    key_set::KeySet,
    sealing::SealingKey,
    weak,
};
use crate::{
    error::{ConfigError, ConfigProblem},
    time::ClockReading,
};

/// One signing key, and all trusted keys.
///
/// ```
/// use tower_auth_session::{Algorithm, KeyRing, SigningKey};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let new = SigningKey::generate("2026-08", Algorithm::EdDsa)?;
/// let old = SigningKey::generate("2026-02", Algorithm::EdDsa)?;
/// let ring = KeyRing::new(new).with_key(old.verifying_key());
/// assert_eq!(ring.kids(), ["2026-08", "2026-02"]);
/// # Ok(())
/// # }
/// ```
///
/// A token names its key by `kid` and is verified with that key only. Keys may have different
/// algorithms, as in a migration: each key has exactly one. Every key is tested when it is added.
/// Problems of a ring are reported when an engine is built, all at once.
///
/// **Clones share the keys, including changes.** The engine holds one clone; [`publish`],
/// [`promote`], [`retire`] and [`replace`] on another clone change the keys of a running service. A
/// rejected change leaves the ring unchanged. A ring that signs always signs, and one that only
/// verifies never does.
///
/// [`publish`]: Self::publish
/// [`promote`]: Self::promote
/// [`retire`]: Self::retire
/// [`replace`]: Self::replace
///
/// A rotation, whose steps wait for each other as the [guide](crate::guide::keys) describes:
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::{Algorithm, KeyRing, SigningKey, time::Timestamp};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let ring = KeyRing::new(SigningKey::generate("2026-11", Algorithm::EdDsa)?);
/// let next = SigningKey::generate("2026-12", Algorithm::EdDsa)?;
///
/// ring.publish(next.verifying_key())?; // every node verifies with it
/// ring.promote(next)?; // it signs
/// ring.retire("2026-11", now.saturating_add(Duration::from_secs(7 * 24 * 3600)))?;
/// assert_eq!(ring.kids(), ["2026-12", "2026-11"]);
///
/// // Other services verify with the public halves:
/// let verifying = KeyRing::from_jwks(&ring.public_jwks(now))?;
/// assert_eq!(verifying.kids().len(), 2);
///
/// // All keys at once, for example from a secret store:
/// ring.replace(&KeyRing::new(SigningKey::generate("2027-01", Algorithm::EdDsa)?))?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KeyRing(Arc<SharedRing>);

struct SharedRing {
    /// Locked to read or replace the set, never during signing or verification.
    current: RwLock<Arc<KeySet>>,
    /// Problems of keys that were added while the ring was built. Changes hold this lock, so that
    /// they are serialised.
    problems: Mutex<Vec<ConfigProblem>>,
    /// What the clocks showed to a recent request.
    observed: Mutex<Option<ClockReading>>,
}

impl KeyRing {
    /// A ring that signs with `key` and trusts it.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        let problems = sign_self_test(&key).into_iter().collect();
        let problem = verify_self_test(key.verifying());
        let ring = Self::holding(KeySet::default().with_signing_key(key), problems);
        ring.problems_so_far().extend(problem);
        ring
    }

    /// An empty ring that never signs; add keys with [`with_key`](Self::with_key).
    ///
    /// ```
    /// use tower_auth_session::{KeyRing, keys::VerifyingKey};
    ///
    /// /// The ring of a service that only verifies.
    /// fn ring(keys: impl IntoIterator<Item = VerifyingKey>) -> KeyRing {
    ///     keys.into_iter().fold(KeyRing::verify_only(), KeyRing::with_key)
    /// }
    /// ```
    #[must_use]
    pub fn verify_only() -> Self {
        Self::holding(KeySet::default(), Vec::new())
    }

    /// Also trusts `key`: the previous key after a rotation, or the next one before it.
    ///
    /// This is for building a ring: problems of `key` are reported when an engine is built. While a
    /// service runs, use [`publish`](Self::publish), which reports them at once.
    #[must_use]
    pub fn with_key(self, key: VerifyingKey) -> Self {
        if let Err(error) = self.publish(key) {
            self.problems_so_far().extend(error.into_problems());
        }
        self
    }

    /// Seals [flows](crate::flow::Flow) with this secret of at least 32 random bytes, instead of a key that
    /// is derived from the signing key: for nodes that have signing keys of their own and must finish each
    /// other's flows. Of several, the first one seals, and the others open what they sealed before.
    ///
    /// As with [`with_key`](Self::with_key), a problem is reported when an engine is built.
    ///
    /// ```
    /// use tower_auth_session::{Algorithm, ConfigError, KeyRing, SigningKey};
    ///
    /// /// A node with a signing key of its own, and the secret that all nodes share.
    /// fn keys(own_pem: &str, flow_secret: &[u8]) -> Result<KeyRing, ConfigError> {
    ///     let own_key = SigningKey::from_pem("node-1", Algorithm::EdDsa, own_pem)?;
    ///     Ok(KeyRing::new(own_key).with_flow_key(flow_secret))
    /// }
    /// ```
    #[must_use]
    pub fn with_flow_key(self, secret: impl AsRef<[u8]>) -> Self {
        let secret = secret.as_ref();
        match flow_key_problem(secret) {
            Some(problem) => self.problems_so_far().push(problem),
            // Without a back end, the ring reports that it has none.
            None => {
                if let Some(key) = SealingKey::derive(secret) {
                    self.swap(KeySet::clone(&self.current()).with_flow_key(key));
                }
            }
        }
        self
    }

    /// A ring that never signs, from a JSON Web Key Set (RFC 7517 §5).
    ///
    /// A set contains public keys or HMAC secrets, never both: it is either public or secret.
    ///
    /// # Errors
    ///
    /// When a key is invalid, two keys have the same `kid`, or there is no key.
    pub fn from_jwks(json: &str) -> Result<Self, ConfigError> {
        let mut ring = Self::verify_only();
        for (index, key) in jwk::public_keys(json)?.into_iter().enumerate() {
            match key.and_then(VerifyingKey::from_read) {
                Ok(key) => ring = ring.with_key(key),
                Err(error) => {
                    let problems = error.into_problems().into_iter().map(|problem| {
                        let field = format!("keys[{index}].{}", problem.field());
                        ConfigProblem::new(field, problem.value(), problem.remedy())
                    });
                    ring.problems_so_far().extend(problems);
                }
            }
        }
        let current = ring.current();
        let is_symmetric = |key: &VerifyingKey| key.algorithm().is_symmetric();
        let symmetric = current.keys().iter().filter(|one| is_symmetric(one.key())).count();
        if symmetric != 0 && symmetric != current.keys().len() {
            ring.problems_so_far().push(ConfigProblem::new(
                "keys",
                "HMAC secrets beside public keys",
                "a set is either public or secret: split it",
            ));
        }
        ConfigError::check(ring.key_problems())?;
        Ok(ring)
    }

    /// The names of all keys, the signing key's first. Retired keys are included until the ring is
    /// [replaced](Self::replace).
    #[must_use]
    pub fn kids(&self) -> Vec<String> {
        self.current().keys().iter().map(|key| key.key().kid().to_owned()).collect()
    }

    /// A snapshot of the keys. All decisions about one token use the same snapshot.
    pub(crate) fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why this ring cannot be used.
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = self.key_problems();
        problems.extend(no_back_end());
        problems
    }

    pub(crate) fn key_problems(&self) -> Vec<ConfigProblem> {
        let mut problems = self.problems_so_far().clone();
        if self.current().keys().is_empty() && problems.is_empty() {
            problems.push(ConfigProblem::new(
                "keys",
                "none",
                "add a key: KeyRing::new or with_key",
            ));
        }
        problems
    }

    fn holding(keys: KeySet, problems: Vec<ConfigProblem>) -> Self {
        let current = RwLock::new(Arc::new(keys));
        let (problems, observed) = (Mutex::new(problems), Mutex::new(None));
        Self(Arc::new(SharedRing { current, problems, observed }))
    }

    /// Notes that the clocks show `now`, so that a retirement which has come stays when the wall clock
    /// goes back.
    pub(crate) fn observe(&self, now: ClockReading) {
        *self.0.observed.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        self.current().keys().iter().for_each(|key| key.observe(now));
    }

    /// What the clocks showed to a recent request.
    pub(crate) fn last_observed(&self) -> Option<ClockReading> {
        *self.0.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn problems_so_far(&self) -> MutexGuard<'_, Vec<ConfigProblem>> {
        self.0.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn swap(&self, keys: KeySet) {
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

/// Why a secret cannot seal flows.
fn flow_key_problem(secret: &[u8]) -> Option<ConfigProblem> {
    let remedy = "use 32 random bytes or more: `openssl rand -base64 32` prints some";
    let problem = |value: String| Some(ConfigProblem::new("flow key", value, remedy));
    if secret.len() < SealingKey::MIN_SECRET_LENGTH {
        return problem(format!("{} bytes", secret.len()));
    }
    if weak::is_placeholder(secret) {
        return problem("a placeholder that can be guessed".to_owned());
    }
    None
}

/// The problem that no cryptographic back end is compiled in, if so.
pub(crate) fn no_back_end() -> Option<ConfigProblem> {
    let remedy = "enable the feature `aws-lc-rs` or `rust-crypto` of tower-auth-session";
    let problem = || ConfigProblem::new("features", "no cryptographic back end", remedy);
    (!crypto::is_available()).then(problem)
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.current();
        f.debug_struct("KeyRing")
            .field("signing", &current.signing())
            .field("verifying", &current.keys())
            .finish_non_exhaustive()
    }
}

pub(crate) fn sign_self_test(key: &SigningKey) -> Option<ConfigProblem> {
    (crypto::is_available() && !key.self_test())
        .then(|| failed(key.kid(), "does not verify what it signs"))
}

pub(crate) fn verify_self_test(key: &VerifyingKey) -> Option<ConfigProblem> {
    (crypto::is_available() && !key.self_test())
        .then(|| failed(key.kid(), "accepts a forged signature"))
}

fn failed(kid: &str, what: &str) -> ConfigProblem {
    ConfigProblem::new("kid", kid, format!("the key failed its self-test: it {what}"))
}

#[cfg(test)]
mod tests;
