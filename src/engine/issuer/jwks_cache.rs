//! [`RemoteKeys`]: the key set of an issuer as it was fetched last, and when to fetch it again.
//!
//! 1. What was fetched takes the place of what was there: a key that the issuer withdrew is gone.
//! 2. A key set that cannot be had, or holds no key that can be used, changes nothing: the last one is
//!    believed on, for a bounded time. An issuer without keys has made a mistake, and whoever can make it
//!    publish none must not be able to lock everybody out at once.
//! 3. A token of an unknown key may cause one fetch an interval, whoever sends how many of them.
//! 4. While nobody can say what the keys are, a token is neither good nor bad.
//!
//! It fetches nothing itself: who does says what came of it.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    engine::keys::{algorithm::Algorithm, jwk, key::VerifyingKey, key_ring::KeyRing},
    time::ClockReading,
};

/// The most keys of a set that are looked at: no issuer has so many.
const MAX_KEYS: usize = 32;
/// How long nothing is tried after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// How long what is believed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefreshPolicy {
    pub(crate) refresh: Duration,
    pub(crate) refetch: Duration,
    pub(crate) keep: Duration,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(5 * 60),
            refetch: Duration::from_secs(30),
            keep: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl RefreshPolicy {
    pub(crate) fn check(self, problem: &mut impl FnMut(&'static str, &str, &'static str)) {
        let second = Duration::from_secs(1);
        let settings = [
            ("trusted_issuer.refresh_every", self.refresh),
            ("trusted_issuer.refetch_after", self.refetch),
        ];
        for (field, value) in settings {
            if value < second {
                problem(field, &format!("{value:?}"), "at least a second");
            }
        }
        if self.keep < self.refresh {
            let remedy = "at least `refresh_every`: else the keys are gone between two fetches";
            problem("trusted_issuer.keep_through_outage", &format!("{:?}", self.keep), remedy);
        }
    }
}

/// What is known of a `kid`.
#[derive(Debug)]
pub(crate) enum KeyLookup<K> {
    Found(K),
    /// The issuer has no such key.
    Unknown,
    /// The issuer should be asked.
    Ask,
    /// It was asked, and does not answer.
    Unavailable,
}

/// The key set of an issuer, fetched from its URL.
pub(crate) struct RemoteKeys {
    pub(crate) url: Box<str>,
    ring: KeyRing,
    terms: RefreshPolicy,
    book: Mutex<FetchState>,
}

/// By the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
struct FetchState {
    fetched: Option<Duration>,
    asked: Option<Duration>,
    /// Somebody is asking.
    under_way: bool,
    /// The last time there was no answer.
    failed: bool,
}

impl RemoteKeys {
    /// The longest key set in bytes: 32 keys with a certificate each fit.
    pub(crate) const MAX_BYTES: usize = 64 * 1024;

    pub(crate) fn new(url: String, terms: RefreshPolicy) -> Self {
        let url = url.into();
        Self { url, ring: KeyRing::verify_only(), terms, book: Mutex::default() }
    }

    /// The keys, for what is found to be [`KeyLookup::Found`].
    pub(crate) const fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// What to do about a token whose key is among the [`ring`](Self::ring)'s, or is not. Who `waits`
    /// is not told of a key that was there long ago, if the issuer can say whether it is there still.
    pub(crate) fn look_up(&self, is_there: bool, waits: bool, now: ClockReading) -> KeyLookup<()> {
        let book = *self.book();
        let age = book.fetched.map(|at| passed(at, now));
        let is_kept = age.is_some_and(|age| age <= self.terms.keep);
        // An issuer that did not answer the last time keeps nobody waiting.
        let is_stale = waits && !book.failed && age.is_some_and(|age| age >= self.stale_after());
        let asks = book.under_way || self.may_ask(&book, now);
        if is_there && is_kept && !(is_stale && asks) {
            KeyLookup::Found(())
        } else if asks {
            KeyLookup::Ask
        } else if is_kept && !book.failed {
            KeyLookup::Unknown
        } else {
            KeyLookup::Unavailable
        }
    }

    /// Whether the set is due to be fetched again: at its age in the background, and at twice of it
    /// where nobody has done that.
    pub(crate) fn is_due(&self, in_background: bool, now: ClockReading) -> bool {
        let book = *self.book();
        let age = if in_background { self.terms.refresh } else { self.stale_after() };
        let is_old = book.fetched.map_or(in_background, |at| passed(at, now) >= age);
        is_old && !book.under_way && book.asked.is_none_or(|at| passed(at, now) >= RETRY)
    }

    /// Takes it upon the caller to ask, if it is time to: then [`finish`](Self::finish) must follow.
    pub(crate) fn start_fetch(&self, now: ClockReading) -> bool {
        let mut book = self.book();
        let due = book.fetched.is_some_and(|at| passed(at, now) >= self.terms.refresh)
            && book.asked.is_none_or(|at| passed(at, now) >= RETRY);
        if book.under_way || !(due || self.may_ask(&book, now)) {
            return false;
        }
        (book.under_way, book.asked) = (true, Some(now.monotonic()));
        true
    }

    /// Takes in what the issuer said: `None` for no answer. Whether it was a key set with a key that can
    /// be used.
    pub(crate) fn finish_fetch(
        &self,
        body: Option<&[u8]>,
        algorithms: &[Algorithm],
        now: ClockReading,
    ) -> bool {
        let keys = body.and_then(|body| read(body, algorithms));
        let is_read = keys.as_ref().is_some_and(|keys| self.replace(keys));
        let mut book = self.book();
        book.under_way = false;
        book.failed = !is_read;
        if is_read {
            book.fetched = Some(now.monotonic());
        }
        is_read
    }

    fn replace(&self, keys: &[VerifyingKey]) -> bool {
        let accept = |ring: KeyRing, key: &VerifyingKey| ring.with_key(key.clone());
        let new = keys.iter().fold(KeyRing::verify_only(), accept);
        self.ring.replace(&new).is_ok()
    }

    /// The age of a set that nobody refreshes in the background.
    const fn stale_after(&self) -> Duration {
        self.terms.refresh.saturating_mul(2)
    }

    fn may_ask(&self, book: &FetchState, now: ClockReading) -> bool {
        let pause = if book.failed || book.fetched.is_none() { RETRY } else { self.terms.refetch };
        book.asked.is_none_or(|at| passed(at, now) >= pause)
    }

    fn book(&self) -> MutexGuard<'_, FetchState> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn passed(since: Duration, now: ClockReading) -> Duration {
    now.monotonic().saturating_sub(since)
}

/// The keys of a set that can be used: RFC 7517 §5 asks to pass over the others. `None` when it is no
/// key set, or one of which nothing can be used.
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
