//! [`KeySet`]: a snapshot of a ring's keys, with the retirement of each.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::key::{SigningKey, VerifyingKey};
use crate::time::Timestamp;

/// A key that is trusted until it is retired.
///
/// All snapshots of a ring share it. A cache that keeps it beside the tokens it verified learns of
/// the retirement from [`is_trusted`](Self::is_trusted) alone: one atomic read, without the ring.
/// If a replacement ring has the same key again, it keeps the same `TrustedKey`.
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

    /// The same key with an independent retirement.
    pub(crate) fn detached(&self) -> Self {
        let until = AtomicU64::new(self.until.load(Ordering::Acquire));
        Self { key: self.key.clone(), until }
    }

    pub(crate) const fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Whether this key is trusted at `now`: in its ring, and not retired.
    pub(crate) fn is_trusted(&self, now: Timestamp) -> bool {
        now.as_unix_seconds() < self.until.load(Ordering::Acquire)
    }

    /// The instant from which the key is not trusted, if it is set.
    pub(crate) fn retires_at(&self) -> Option<Timestamp> {
        let until = self.until.load(Ordering::Acquire);
        (until != Self::FOREVER).then(|| Timestamp::from_unix_seconds(until))
    }

    /// Retires the key at `at`. An earlier instant that was set before is kept.
    pub(crate) fn retire(&self, at: Timestamp) {
        self.until.fetch_min(at.as_unix_seconds(), Ordering::AcqRel);
    }

    /// Copies the retirement of `other`.
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

/// The signing key, and all trusted keys.
#[derive(Clone, Default)]
pub(crate) struct KeySet {
    signing: Option<SigningKey>,
    /// The signing key is first.
    keys: Vec<Arc<TrustedKey>>,
}

impl KeySet {
    pub(crate) const fn new(signing: Option<SigningKey>, keys: Vec<Arc<TrustedKey>>) -> Self {
        Self { signing, keys }
    }

    pub(crate) const fn signing(&self) -> Option<&SigningKey> {
        self.signing.as_ref()
    }

    pub(crate) fn keys(&self) -> &[Arc<TrustedKey>] {
        &self.keys
    }

    /// The key with this name, trusted or retired.
    pub(crate) fn get(&self, kid: &[u8]) -> Option<&Arc<TrustedKey>> {
        // A ring has few keys, so a linear search is faster than hashing a client's input.
        self.keys.iter().find(|key| key.key.kid().as_bytes() == kid)
    }

    /// The trusted key with this name.
    pub(crate) fn verifying(&self, kid: &[u8], now: Timestamp) -> Option<&Arc<TrustedKey>> {
        self.get(kid).filter(|key| key.is_trusted(now))
    }

    /// Adds `key` as a trusted key.
    pub(crate) fn with_key(mut self, key: VerifyingKey) -> Self {
        self.keys.push(Arc::new(TrustedKey::new(key)));
        self
    }

    /// Signs with `key`, which is added if it is not in the set.
    pub(crate) fn with_signing_key(mut self, key: SigningKey) -> Self {
        let index = self.keys.iter().position(|other| other.key.kid() == key.kid());
        let trusted = match index {
            Some(index) => self.keys.remove(index),
            None => Arc::new(TrustedKey::new(key.verifying_key())),
        };
        self.keys.insert(0, trusted);
        self.signing = Some(key);
        self
    }
}
