//! [`RemoteKeys`]: the last fetched key set of an issuer, and when to fetch it again.
//!
//! 1. A fetched set replaces the previous one: a key that the issuer withdrew is no longer trusted.
//! 2. A failed fetch, or a set without a usable key, changes nothing: the last set stays trusted
//!    for a bounded time. An empty set is a mistake of the issuer, and an attacker who can cause it
//!    must not be able to sign all users out at once.
//! 3. Tokens with unknown keys cause at most one fetch per interval, however many arrive.
//! 4. While the keys are unknown, a token is neither accepted nor rejected.
//!
//! This module does no I/O: the caller fetches and reports the result.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    engine::keys::{algorithm::Algorithm, jwk, key::VerifyingKey, key_ring::KeyRing},
    time::ClockReading,
};

/// Maximum number of keys of a set that are read; the rest is ignored.
const MAX_KEYS: usize = 32;
/// Pause after a failed fetch.
const RETRY: Duration = Duration::from_secs(5);

/// When key sets are fetched, and how long they are trusted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefreshPolicy {
    pub(crate) refresh_interval: Duration,
    pub(crate) min_refetch_interval: Duration,
    pub(crate) max_stale: Duration,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            refresh_interval: Duration::from_secs(5 * 60),
            min_refetch_interval: Duration::from_secs(30),
            max_stale: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl RefreshPolicy {
    pub(crate) fn check(self, problem: &mut impl FnMut(&'static str, &str, &'static str)) {
        let second = Duration::from_secs(1);
        let settings = [
            ("trusted_issuer.refresh_interval", self.refresh_interval),
            ("trusted_issuer.min_refetch_interval", self.min_refetch_interval),
        ];
        for (field, value) in settings {
            if value < second {
                problem(field, &format!("{value:?}"), "at least one second");
            }
        }
        if self.max_stale < self.refresh_interval {
            let remedy =
                "at least `refresh_interval`: otherwise the keys expire between two fetches";
            problem("trusted_issuer.max_stale", &format!("{:?}", self.max_stale), remedy);
        }
    }
}

/// Result of looking up a `kid`.
#[derive(Debug)]
pub(crate) enum KeyLookup<K> {
    Found(K),
    /// The issuer has no such key.
    Unknown,
    /// The key set must be fetched first.
    FetchNeeded,
    /// The key set cannot be fetched.
    Unavailable,
}

/// The key set of an issuer, fetched from a URL.
pub(crate) struct RemoteKeys {
    pub(crate) url: Box<str>,
    ring: KeyRing,
    policy: RefreshPolicy,
    state: Mutex<FetchState>,
}

/// Times are readings of the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
struct FetchState {
    last_success: Option<Duration>,
    last_attempt: Option<Duration>,
    /// A fetch is in progress.
    in_flight: bool,
    /// The last fetch failed.
    failed: bool,
}

impl RemoteKeys {
    /// Maximum length of a key set in bytes: enough for 32 keys with a certificate each.
    pub(crate) const MAX_BYTES: usize = 64 * 1024;

    pub(crate) fn new(url: String, policy: RefreshPolicy) -> Self {
        let url = url.into();
        Self { url, ring: KeyRing::verify_only(), policy, state: Mutex::default() }
    }

    /// The keys, to be used after [`KeyLookup::Found`].
    pub(crate) const fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// How to proceed with a token whose key is or is not in the [`ring`](Self::ring), as
    /// `is_there` states. A caller that `waits` for fetches does not get a key from a stale set
    /// that can be fetched again.
    pub(crate) fn look_up(&self, is_there: bool, waits: bool, now: ClockReading) -> KeyLookup<()> {
        let state = *self.state();
        let age = state.last_success.map(|at| elapsed(at, now));
        let is_usable = age.is_some_and(|age| age <= self.policy.max_stale);
        // After a failed fetch no request waits for another one.
        let is_stale = waits && !state.failed && age.is_some_and(|age| age >= self.stale_after());
        let can_fetch = state.in_flight || self.may_fetch(&state, now);
        if is_there && is_usable && !(is_stale && can_fetch) {
            KeyLookup::Found(())
        } else if can_fetch {
            KeyLookup::FetchNeeded
        } else if is_usable && !state.failed {
            KeyLookup::Unknown
        } else {
            KeyLookup::Unavailable
        }
    }

    /// Whether the set should be fetched: in the background at the refresh interval, and during
    /// requests at twice that age, if no background task refreshed it.
    pub(crate) fn is_due(&self, in_background: bool, now: ClockReading) -> bool {
        let state = *self.state();
        let age = if in_background { self.policy.refresh_interval } else { self.stale_after() };
        let is_old = state.last_success.map_or(in_background, |at| elapsed(at, now) >= age);
        is_old && !state.in_flight && state.last_attempt.is_none_or(|at| elapsed(at, now) >= RETRY)
    }

    /// Reserves the fetch for the caller, if one is due: [`finish_fetch`](Self::finish_fetch) must
    /// follow.
    pub(crate) fn start_fetch(&self, now: ClockReading) -> bool {
        let mut state = self.state();
        let due =
            state.last_success.is_some_and(|at| elapsed(at, now) >= self.policy.refresh_interval)
                && state.last_attempt.is_none_or(|at| elapsed(at, now) >= RETRY);
        if state.in_flight || !(due || self.may_fetch(&state, now)) {
            return false;
        }
        (state.in_flight, state.last_attempt) = (true, Some(now.monotonic()));
        true
    }

    /// Records the response: `None` for a failed fetch. Returns whether it was a key set with a
    /// usable key.
    pub(crate) fn finish_fetch(
        &self,
        body: Option<&[u8]>,
        algorithms: &[Algorithm],
        now: ClockReading,
    ) -> bool {
        let keys = body.and_then(|body| read(body, algorithms));
        let is_valid = keys.as_ref().is_some_and(|keys| self.replace(keys));
        let mut state = self.state();
        state.in_flight = false;
        state.failed = !is_valid;
        if is_valid {
            state.last_success = Some(now.monotonic());
        }
        is_valid
    }

    fn replace(&self, keys: &[VerifyingKey]) -> bool {
        let accept = |ring: KeyRing, key: &VerifyingKey| ring.with_key(key.clone());
        let new = keys.iter().fold(KeyRing::verify_only(), accept);
        self.ring.replace(&new).is_ok()
    }

    /// The age from which a set counts as not refreshed in the background.
    const fn stale_after(&self) -> Duration {
        self.policy.refresh_interval.saturating_mul(2)
    }

    fn may_fetch(&self, state: &FetchState, now: ClockReading) -> bool {
        let pause = if state.failed || state.last_success.is_none() {
            RETRY
        } else {
            self.policy.min_refetch_interval
        };
        state.last_attempt.is_none_or(|at| elapsed(at, now) >= pause)
    }

    fn state(&self) -> MutexGuard<'_, FetchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn elapsed(since: Duration, now: ClockReading) -> Duration {
    now.monotonic().saturating_sub(since)
}

/// The usable keys of a set; RFC 7517 §5 requires the others to be ignored. `None` if `body` is not
/// a key set, or no key is usable.
fn read(body: &[u8], algorithms: &[Algorithm]) -> Option<Vec<VerifyingKey>> {
    if body.len() > RemoteKeys::MAX_BYTES {
        return None;
    }
    let rsa = {
        let mut rsa = algorithms.iter().filter(|algorithm| algorithm.is_rsa());
        rsa.next().filter(|_| rsa.next().is_none()).copied()
    };
    let read = jwk::first_public_keys::<MAX_KEYS>(str::from_utf8(body).ok()?, rsa).ok()?;
    let mut keys: Vec<VerifyingKey> = Vec::new();
    for key in read {
        let Ok(key) = key.and_then(VerifyingKey::from_read) else { continue };
        let is_pinned = algorithms.contains(&key.algorithm()) && !key.algorithm().is_symmetric();
        if is_pinned && key.self_test() && !keys.iter().any(|other| other.kid() == key.kid()) {
            keys.push(key);
        }
    }
    Some(keys).filter(|keys| !keys.is_empty())
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeys").field("url", &self.url).field("ring", &self.ring).finish()
    }
}
