//! [`VerifiedTokenCache`]: verified tokens, so that a signature is verified only once.
//!
//! 1. A token is found by its whole text, never by a hash alone.
//! 2. The cache stores the result of verification, not of validation. Whether the key is trusted
//!    and the session is valid is checked again for every request.
//! 3. Memory and search are bounded: each token belongs to one set of few entries. If the set is
//!    full, an expired token is evicted first, then one that was not used recently, and a token is
//!    stored only when it is verified for the second time: with more sessions than entries, most
//!    tokens would be evicted before their next request. Only verified tokens are stored, so forged
//!    tokens evict nothing.
//! 4. Readers write only the lock's count and the used flag, and while a set is locked only
//!    comparisons and reference counting run.

use std::sync::{
    Arc, OnceLock, PoisonError, RwLock, RwLockWriteGuard,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    engine::{
        keys::key_set::TrustedKey,
        session::{data::TokenSession, expiry::FreshWindow},
    },
    random::RandomSource,
    time::Timestamp,
};

/// Entries per set.
const WAYS: usize = 8;

/// A cache from verified tokens to values.
pub(crate) struct VerifiedTokenCache<V> {
    /// A random key, so that clients cannot find out which tokens share a set.
    key: [u64; 2],
    ways: usize,
    count: usize,
    /// Allocated with the first token.
    sets: OnceLock<Box<[RwLock<CacheSet<V>>]>>,
}

struct CacheSet<V> {
    /// Digests of the entries, so that most comparisons read no entry.
    digests: [u64; WAYS],
    entries: [Option<CacheEntry<V>>; WAYS],
    /// The next entry to be considered for eviction.
    clock_hand: usize,
    /// Digests of tokens that were verified while the set was full.
    seen: [u64; WAYS],
    /// The next of them to be replaced.
    seen_hand: usize,
}

struct CacheEntry<V> {
    token: Box<[u8]>,
    expires_at: Timestamp,
    used: AtomicBool,
    value: V,
}

/// A token whose signature and recipient were verified, with its session under this process's
/// settings.
pub(crate) struct VerifiedToken<C> {
    pub(crate) session: TokenSession<C>,
    pub(crate) window: FreshWindow,
}

/// A verified token, and the key that verified it.
pub(crate) struct CachedToken<C> {
    pub(crate) verified: VerifiedToken<C>,
    pub(crate) trusted_key: Arc<TrustedKey>,
}

/// A verified token of a device-bound session, and the proof that it was presented with.
pub(crate) struct BoundToken<C> {
    /// Its identity includes the proof.
    pub(crate) session: CachedToken<C>,
    /// The text of the proof cookie.
    pub(crate) proof: Box<[u8]>,
    pub(crate) proof_expires_at: Timestamp,
    pub(crate) proof_key: Arc<TrustedKey>,
}

impl<C> CachedToken<C> {
    /// The verified token, unless its key is retired at `now` or was removed from the ring.
    pub(crate) fn if_trusted(&self, now: Timestamp) -> Option<VerifiedToken<C>> {
        self.trusted_key.is_trusted(now).then(|| self.verified.clone())
    }
}

impl<C> Clone for VerifiedToken<C> {
    fn clone(&self) -> Self {
        Self { session: self.session.clone(), ..*self }
    }
}

impl<V> VerifiedTokenCache<V> {
    /// A cache of at most `capacity` tokens. Without randomness the key is zero: no security
    /// property depends on it, and sign-ins report the failure.
    pub(crate) fn seeded(capacity: usize, random: &dyn RandomSource) -> Self {
        let key = [(); 2].map(|()| {
            let mut key = [0; 8];
            let _ = random.fill(&mut key);
            u64::from_le_bytes(key)
        });
        Self::new(capacity, key)
    }

    /// A cache of at most `capacity` tokens.
    pub(crate) fn new(capacity: usize, key: [u64; 2]) -> Self {
        let ways = capacity.min(WAYS);
        let count = capacity.checked_div(ways).unwrap_or(0);
        Self { key, ways, count, sets: OnceLock::new() }
    }

    /// Applies `read` to the value of `token`, with its set locked.
    pub(crate) fn get<T>(&self, token: &[u8], read: impl FnOnce(&V) -> Option<T>) -> Option<T> {
        let (digest, set) = self.locate(token)?;
        let set = self.sets.get()?.get(set)?;
        let set = set.read().unwrap_or_else(PoisonError::into_inner);
        let found = set.entries.get(set.find(digest, token)?)?.as_ref()?;
        // Avoids writes to a cache line that threads share.
        if !found.used.load(Ordering::Relaxed) {
            found.used.store(true, Ordering::Relaxed);
        }
        read(&found.value)
    }

    /// Stores the value of `token`, unless its set is full and the token is verified for the first
    /// time.
    pub(crate) fn insert(&self, token: &[u8], value: V, expires_at: Timestamp, now: Timestamp) {
        let Some((digest, index)) = self.locate(token) else { return };
        let set = || RwLock::new(CacheSet::new());
        let sets = self.sets.get_or_init(|| std::iter::repeat_with(set).take(self.count).collect());
        let Some(set) = sets.get(index) else { return };
        if !lock(set).admits(digest, self.ways, now) {
            return;
        }
        let used = AtomicBool::new(false);
        let entry = CacheEntry { token: token.into(), expires_at, used, value };
        let evicted = { lock(set).put(digest, entry, self.ways, now) };
        // Dropped after the lock: the value has parts of the application, whose code may run here.
        drop(evicted);
    }

    /// Removes `token`, which has expired or whose session was revoked.
    pub(crate) fn remove(&self, token: &[u8]) {
        let Some((digest, index)) = self.locate(token) else { return };
        let Some(set) = self.sets.get().and_then(|sets| sets.get(index)) else { return };
        let removed = {
            let mut set = lock(set);
            let found = set.find(digest, token);
            found.and_then(|found| set.entries.get_mut(found)).and_then(Option::take)
        };
        drop(removed);
    }

    /// Removes the tokens whose values `is_removed` selects.
    pub(crate) fn remove_where(&self, is_removed: impl Fn(&V) -> bool) {
        for set in self.sets.get().into_iter().flatten() {
            let removed: Vec<_> = {
                let mut set = lock(set);
                let is_meant = |entry: &mut CacheEntry<V>| is_removed(&entry.value);
                set.entries.iter_mut().filter_map(|entry| entry.take_if(is_meant)).collect()
            };
            drop(removed);
        }
    }

    /// A verified token ends with its signature, which clients cannot choose, so its last bytes
    /// serve as a hash of the whole.
    fn locate(&self, token: &[u8]) -> Option<(u64, usize)> {
        let (tail, _) = token.last_chunk::<16>()?.as_chunks::<8>();
        let [first, second] = tail else { return None };
        let [key, other] = self.key;
        let product = u128::from(u64::from_le_bytes(*first) ^ key)
            * u128::from(u64::from_le_bytes(*second) ^ other);
        let [low, high] = [product as u64, (product >> 64) as u64];
        let digest = low ^ high;
        // The upper half of the product is evenly distributed over any number of sets.
        let set = (u128::from(digest) * self.count as u128) >> 64;
        Some((digest, set as usize))
    }
}

impl<V> CacheSet<V> {
    const fn new() -> Self {
        Self {
            digests: [0; WAYS],
            entries: [const { None }; WAYS],
            clock_hand: 0,
            seen: [0; WAYS],
            seen_hand: 0,
        }
    }

    fn find(&self, digest: u64, token: &[u8]) -> Option<usize> {
        let mut entries = self.digests.iter().zip(&self.entries);
        entries.position(|(other, entry)| {
            *other == digest && entry.as_ref().is_some_and(|entry| *entry.token == *token)
        })
    }

    /// Whether a token is stored: there is space, or it was verified before, which is recorded.
    fn admits(&mut self, digest: u64, ways: usize, now: Timestamp) -> bool {
        let is_full = !self.entries.iter().take(ways).any(|entry| is_free(entry, now));
        if !is_full || self.seen.contains(&digest) {
            return true;
        }
        let hand = self.seen_hand % WAYS;
        self.seen_hand = hand + 1;
        self.seen.get_mut(hand).into_iter().for_each(|seen| *seen = digest);
        false
    }

    /// Stores `entry` and returns the evicted one.
    fn put(
        &mut self,
        digest: u64,
        entry: CacheEntry<V>,
        ways: usize,
        now: Timestamp,
    ) -> Option<CacheEntry<V>> {
        let index = self
            .find(digest, &entry.token)
            .or_else(|| self.entries.iter().take(ways).position(|entry| is_free(entry, now)))
            .unwrap_or_else(|| self.evict_clock(ways));
        *self.digests.get_mut(index)? = digest;
        self.entries.get_mut(index)?.replace(entry)
    }

    /// CLOCK: an entry that was used since the last pass gets a second chance.
    fn evict_clock(&mut self, ways: usize) -> usize {
        loop {
            let index = self.clock_hand % ways.max(1);
            self.clock_hand = index + 1;
            let entry = self.entries.get_mut(index).and_then(Option::as_mut);
            if !entry.is_some_and(|entry| std::mem::take(entry.used.get_mut())) {
                return index;
            }
        }
    }
}

fn is_free<V>(entry: &Option<CacheEntry<V>>, now: Timestamp) -> bool {
    entry.as_ref().is_none_or(|entry| entry.expires_at <= now)
}

fn lock<V>(set: &RwLock<CacheSet<V>>) -> RwLockWriteGuard<'_, CacheSet<V>> {
    set.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use crate::engine::token::cache::*;

    const KEY: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344];

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn get<V: Clone>(cache: &VerifiedTokenCache<V>, token: &[u8]) -> Option<V> {
        cache.get(token, |value| Some(value.clone()))
    }

    /// As tokens are: the end of each is as good as random.
    fn token(n: u64) -> Vec<u8> {
        let mix = |n: u64| n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("token-{n}.{:016x}", mix(mix(n) ^ (mix(n) >> 31))).into_bytes()
    }

    fn put(cache: &VerifiedTokenCache<u64>, n: u64, expires_at: u64, now: u64) {
        cache.insert(&token(n), n, at(expires_at), at(now));
    }

    fn known(cache: &VerifiedTokenCache<u64>, of: u64) -> Vec<u64> {
        (0..of).filter(|n| get(cache, &token(*n)) == Some(*n)).collect()
    }

    #[test]
    fn token_cache_lookup_compares_the_whole_token() {
        let cache = VerifiedTokenCache::new(100, KEY);
        cache.insert(b"one.0123456789abcdef", 1, at(9), at(0));
        assert_eq!(get(&cache, b"one.0123456789abcdef"), Some(1));
        for other in ["two.0123456789abcdef", "0123456789abcdef", "one.0123456789abcdeF", "", "a"] {
            assert_eq!(get(&cache, other.as_bytes()), None, "{other}");
        }
        cache.remove(b"two.0123456789abcdef");
        assert_eq!(get(&cache, b"one.0123456789abcdef"), Some(1));
        cache.remove(b"one.0123456789abcdef");
        assert_eq!(get(&cache, b"one.0123456789abcdef"), None);
    }

    #[test]
    fn token_cache_never_exceeds_its_capacity() {
        for capacity in [0, 1, 7, 8, 9, 100, 1_000] {
            let cache = VerifiedTokenCache::new(capacity, KEY);
            (0..5_000).for_each(|n| put(&cache, n, 9, 0));
            let cached = known(&cache, 5_000).len();
            assert!(cached <= capacity && cached >= capacity / 8 * 8, "{cached} of {capacity}");
        }
    }

    #[test]
    fn token_cache_evicts_expired_entries_first_and_keeps_used_ones() {
        let cache = VerifiedTokenCache::new(8, KEY);
        (0..8).for_each(|n| put(&cache, n, 9, 0));
        for n in 100..400 {
            assert_eq!(get(&cache, &token(3)), Some(3), "after {n}");
            put(&cache, n, 9, 0);
            assert_eq!(get(&cache, &token(n)), None, "verified once");
            put(&cache, n, 9, 0);
            assert_eq!(get(&cache, &token(n)), Some(n), "verified twice");
        }
        let cache = VerifiedTokenCache::new(8, KEY);
        (0..8).for_each(|n| put(&cache, n, if n == 5 { 2 } else { 9 }, 0));
        put(&cache, 8, 9, 2);
        assert_eq!(known(&cache, 9), [0, 1, 2, 3, 4, 6, 7, 8]);
    }

    /// Its count is what is alive.
    struct Counted(Arc<AtomicUsize>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Relaxed);
        }
    }

    #[test]
    fn token_cache_shared_by_threads_stays_correct_and_bounded() {
        let alive = Arc::new(AtomicUsize::new(0));
        let cache = VerifiedTokenCache::new(64, KEY);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (cache, alive) = (&cache, &alive);
                scope.spawn(move || {
                    for n in 0..4_000 {
                        let n = (n * (thread + 1)) % 300;
                        match get(cache, &token(n)) {
                            Some((found, _)) => assert_eq!(found, n),
                            None => {
                                alive.fetch_add(1, Relaxed);
                                let counted = Arc::new(Counted(Arc::clone(alive)));
                                cache.insert(&token(n), (n, counted), at(9), at(0));
                            }
                        }
                        if n % 97 == 0 {
                            cache.remove(&token(n));
                        }
                    }
                });
            }
        });
        assert!(alive.load(Relaxed) <= 64);
        drop(cache);
        assert_eq!(alive.load(Relaxed), 0);
    }
}
