//! [`KeySet`]: a snapshot of a ring's keys, with the retirement of each.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{
    key::{SigningKey, VerifyingKey},
    sealing::SealingKey,
};
use crate::time::{ClockReading, Timestamp};

/// A key that is trusted until it is retired.
///
/// All snapshots of a ring share it. A cache that keeps it beside the tokens it verified learns of
/// the retirement from [`is_trusted`](Self::is_trusted) alone: one atomic read, without the ring.
/// If a replacement ring has the same key again, it keeps the same `TrustedKey`.
///
/// A key that is retired stays retired, even if the wall clock is set back. A planned retirement is compared
/// with the wall clock at each request, until the monotonic clock confirms that its time has come: a wall
/// clock that is ahead for a moment does not retire a key permanently.
pub(crate) struct TrustedKey {
    key: VerifyingKey,
    /// Seconds since 1970, or `FOREVER`.
    until: AtomicU64,
    /// Whether the retirement has come.
    has_come: AtomicBool,
    /// The monotonic second at which a planned retirement comes, or `FOREVER`.
    due: AtomicU64,
}

/// A retirement that is first seen within this time of its instant was set for that moment.
const JUST_SET: u64 = 60;

/// How long the clocks must agree that a retirement has come which lies further back when it is first
/// seen: the wall clock may be ahead of one that is planned.
const CONFIRM_AFTER: u64 = 60;

impl TrustedKey {
    const FOREVER: u64 = u64::MAX;

    pub(crate) const fn new(key: VerifyingKey) -> Self {
        Self {
            key,
            until: AtomicU64::new(Self::FOREVER),
            has_come: AtomicBool::new(false),
            due: AtomicU64::new(Self::FOREVER),
        }
    }

    /// The same key with an independent retirement.
    pub(crate) fn detached(&self) -> Self {
        let detached = Self::new(self.key.clone());
        detached.sync_with(self);
        detached
    }

    pub(crate) const fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Whether this key is trusted at `now`: in its ring, and not retired.
    pub(crate) fn is_trusted(&self, now: Timestamp) -> bool {
        let until = self.until.load(Ordering::Acquire);
        until == Self::FOREVER
            || (now.as_unix_seconds() < until && !self.has_come.load(Ordering::Acquire))
    }

    /// Notes that the clocks show `now`: from then on a retirement that has come stays.
    pub(crate) fn observe(&self, now: ClockReading) {
        let until = self.until.load(Ordering::Acquire);
        if until == Self::FOREVER || self.has_come.load(Ordering::Acquire) {
            return;
        }
        let (wall, monotonic) = (now.timestamp().as_unix_seconds(), now.monotonic().as_secs());
        match self.due.load(Ordering::Acquire) {
            Self::FOREVER if (until..=until.saturating_add(JUST_SET)).contains(&wall) => {
                self.has_come.store(true, Ordering::Release);
            }
            Self::FOREVER => {
                let wait = if wall < until { until - wall } else { CONFIRM_AFTER };
                self.due.store(monotonic.saturating_add(wait), Ordering::Release);
            }
            due if wall >= until && monotonic >= due => {
                self.has_come.store(true, Ordering::Release);
            }
            _ => {}
        }
    }

    /// The instant from which the key is not trusted, if it is set.
    pub(crate) fn retires_at(&self) -> Option<Timestamp> {
        let until = self.until.load(Ordering::Acquire);
        (until != Self::FOREVER).then(|| Timestamp::from_unix_seconds(until))
    }

    /// Retires the key at `at`. An earlier instant that was set before is kept.
    pub(crate) fn retire(&self, at: Timestamp) {
        let at = at.as_unix_seconds();
        if at < self.until.fetch_min(at, Ordering::AcqRel) {
            self.due.store(Self::FOREVER, Ordering::Release);
        }
    }

    /// Copies the retirement of `other`. The same retirement stays if it has come.
    pub(crate) fn sync_with(&self, other: &Self) {
        let until = other.until.load(Ordering::Acquire);
        if self.until.swap(until, Ordering::AcqRel) != until {
            self.due.store(Self::FOREVER, Ordering::Release);
            self.has_come.store(other.has_come.load(Ordering::Acquire), Ordering::Release);
        }
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
    /// Sealing keys that do not depend on the signing key. The first one seals.
    flow_keys: Vec<SealingKey>,
}

impl KeySet {
    pub(crate) const fn new(signing: Option<SigningKey>, keys: Vec<Arc<TrustedKey>>) -> Self {
        Self { signing, keys, flow_keys: Vec::new() }
    }

    /// Adds a flow key after those that there are.
    pub(crate) fn with_flow_key(mut self, key: SealingKey) -> Self {
        self.flow_keys.push(key);
        self
    }

    /// The same keys with the flow keys of `other`.
    pub(crate) fn with_flow_keys_of(mut self, other: &Self) -> Self {
        self.flow_keys.clone_from(&other.flow_keys);
        self
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

    /// What seals: the first flow key, otherwise the signing key's. `None` if the ring has neither.
    pub(crate) fn sealing_key(&self) -> Option<&SealingKey> {
        let derived = || self.signing()?.verifying().sealing_key();
        self.flow_keys.first().or_else(derived)
    }

    /// What opens: all flow keys, and the sealing keys of all keys that are trusted at `now`.
    pub(crate) fn sealing_keys(&self, now: Timestamp) -> impl Iterator<Item = &SealingKey> {
        let trusted = self.keys.iter().filter(move |key| key.is_trusted(now));
        self.flow_keys.iter().chain(trusted.filter_map(|key| key.key.sealing_key()))
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
            Some(index) => {
                let known = self.keys.remove(index);
                known.key.learn_sealing_key(key.verifying());
                known
            }
            None => Arc::new(TrustedKey::new(key.verifying_key())),
        };
        self.keys.insert(0, trusted);
        self.signing = Some(key);
        self
    }
}
