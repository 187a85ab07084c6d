//! [`KeySet`]: the keys of a ring at one moment, and until when each is believed.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::key::{SigningKey, VerifyingKey};
use crate::time::Timestamp;

/// A key that is believed until it is retired.
///
/// Every snapshot of a ring has the same one, so whoever keeps it with what the key has vouched for
/// learns of the retirement by [`is_believed`](Self::is_believed) alone: one atomic read, without the
/// ring. Where the ring has the same key again after a replacement, it has the same `TrustedKey` too.
pub(crate) struct TrustedKey {
    key: VerifyingKey,
    /// Seconds since 1970, or `FOREVER`.
    until: AtomicU64,
}

impl TrustedKey {
    const FOREVER: u64 = u64::MAX;

    pub(crate) const fn new(key: VerifyingKey) -> Self {
        Self { key, until: AtomicU64::new(Self::FOREVER) }
    }

    /// The same key, with a retirement of its own from now on.
    pub(crate) fn detached(&self) -> Self {
        let until = AtomicU64::new(self.until.load(Ordering::Acquire));
        Self { key: self.key.clone(), until }
    }

    pub(crate) const fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Whether this very key is believed at `now`: in its ring, and not retired.
    pub(crate) fn is_trusted(&self, now: Timestamp) -> bool {
        now.as_unix_seconds() < self.until.load(Ordering::Acquire)
    }

    /// From when on it is not believed, where that is known.
    pub(crate) fn retires_at(&self) -> Option<Timestamp> {
        let until = self.until.load(Ordering::Acquire);
        (until != Self::FOREVER).then(|| Timestamp::from_unix_seconds(until))
    }

    /// Not believed from `at` on, nor from any earlier instant that was said before.
    pub(crate) fn retire(&self, at: Timestamp) {
        self.until.fetch_min(at.as_unix_seconds(), Ordering::AcqRel);
    }

    /// Believed as long as `other`.
    pub(crate) fn sync_with(&self, other: &Self) {
        self.until.store(other.until.load(Ordering::Acquire), Ordering::Release);
    }
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedKey")
            .field("key", &self.key)
            .field("retires_at", &self.retires_at())
            .finish()
    }
}

/// One key that signs, and every key that is believed.
#[derive(Clone, Default)]
pub(crate) struct KeySet {
    signing: Option<SigningKey>,
    /// The signing key's first.
    beliefs: Vec<Arc<TrustedKey>>,
}

impl KeySet {
    pub(crate) const fn new(signing: Option<SigningKey>, beliefs: Vec<Arc<TrustedKey>>) -> Self {
        Self { signing, beliefs }
    }

    pub(crate) const fn signing(&self) -> Option<&SigningKey> {
        self.signing.as_ref()
    }

    pub(crate) fn keys(&self) -> &[Arc<TrustedKey>] {
        &self.beliefs
    }

    /// Whatever has this name, believed or retired.
    pub(crate) fn get(&self, kid: &[u8]) -> Option<&Arc<TrustedKey>> {
        // A ring has few keys, so a walk over them beats hashing what a stranger sent.
        self.beliefs.iter().find(|belief| belief.key.kid().as_bytes() == kid)
    }

    /// The key that tokens of this name are tried with.
    pub(crate) fn verifying(&self, kid: &[u8], now: Timestamp) -> Option<&Arc<TrustedKey>> {
        self.get(kid).filter(|belief| belief.is_trusted(now))
    }

    /// With `key` believed too.
    pub(crate) fn with_key(mut self, key: VerifyingKey) -> Self {
        self.beliefs.push(Arc::new(TrustedKey::new(key)));
        self
    }

    /// Signing with `key`, which is believed already or from now on.
    pub(crate) fn with_signing_key(mut self, key: SigningKey) -> Self {
        let place = self.beliefs.iter().position(|belief| belief.key.kid() == key.kid());
        let belief = match place {
            Some(place) => self.beliefs.remove(place),
            None => Arc::new(TrustedKey::new(key.verifying_key())),
        };
        self.beliefs.insert(0, belief);
        self.signing = Some(key);
        self
    }
}
