//! What this process knows to be over although its tokens are not.
//!
//! 1. An id stays until no token of its session can be alive, by the limits of the session and not
//!    by the `exp` of the token that was presented: a newer one may have been copied.
//! 2. It goes only when both clocks agree that this time has come: a wall clock that jumps ahead and
//!    back again revives nobody.
//! 3. The memory is bounded. At the bound the id nearest its end goes, and the caller is told.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::id::SessionId;
use crate::time::{Now, Timestamp};

/// Sessions that have ended. About 150 bytes each.
#[derive(Debug)]
pub(crate) struct EndedSet {
    capacity: usize,
    /// How many there are, so that a request asks without a lock while nobody has signed out.
    count: AtomicUsize,
    entries: RwLock<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    until: HashMap<SessionId, Until>,
    order: BTreeSet<(Duration, SessionId)>,
}

#[derive(Debug, Clone, Copy)]
struct Until {
    wall: Timestamp,
    monotonic: Duration,
}

impl EndedSet {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, count: AtomicUsize::new(0), entries: RwLock::default() }
    }

    /// Remembers `id` for as long as a token of it may be alive. Returns the id that was forgotten
    /// for it when the memory is full.
    pub(crate) fn insert(
        &self,
        id: SessionId,
        alive_until: Timestamp,
        now: Now,
    ) -> Option<SessionId> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.prune(now);
        let remaining = alive_until.saturating_since(now.timestamp());
        let until =
            Until { wall: alive_until, monotonic: now.monotonic().saturating_add(remaining) };
        entries.insert(id, until);
        let mut forgotten = None;
        if entries.until.len() > self.capacity {
            forgotten = entries.pop_nearest();
        }
        self.count.store(entries.until.len(), Ordering::Release);
        forgotten
    }

    pub(crate) fn contains(&self, id: SessionId) -> bool {
        self.count.load(Ordering::Acquire) > 0
            && self.entries.read().unwrap_or_else(PoisonError::into_inner).until.contains_key(&id)
    }
}

impl Entries {
    fn insert(&mut self, id: SessionId, until: Until) {
        // Ending twice never shortens what is known.
        let until = match self.until.get(&id) {
            Some(old) => {
                self.order.remove(&(old.monotonic, id));
                Until {
                    wall: old.wall.max(until.wall),
                    monotonic: old.monotonic.max(until.monotonic),
                }
            }
            None => until,
        };
        self.until.insert(id, until);
        self.order.insert((until.monotonic, id));
    }

    fn prune(&mut self, now: Now) {
        while let Some(&(monotonic, id)) = self.order.first() {
            let wall_has_passed =
                self.until.get(&id).is_none_or(|until| now.timestamp() >= until.wall);
            if now.monotonic() < monotonic || !wall_has_passed {
                break;
            }
            self.order.pop_first();
            self.until.remove(&id);
        }
    }

    fn pop_nearest(&mut self) -> Option<SessionId> {
        let (_, id) = self.order.pop_first()?;
        self.until.remove(&id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    fn at(wall: u64, monotonic: u64) -> Now {
        Now::new(Timestamp::from_unix_seconds(wall), Duration::from_secs(monotonic))
    }

    fn ids<const N: usize>() -> [SessionId; N] {
        let random = SeededRandom::new(7);
        std::array::from_fn(|_| SessionId::generate(&random).unwrap())
    }

    #[test]
    fn an_id_stays_until_both_clocks_have_passed_its_end() {
        let [a, b] = ids();
        let end = Timestamp::from_unix_seconds(1_100);
        let prune_at = |now: Now| {
            let set = EndedSet::new(9);
            set.insert(a, end, at(1_000, 0));
            set.insert(b, Timestamp::MAX, now);
            set.contains(a)
        };
        assert!(prune_at(at(1_099, 99)));
        assert!(prune_at(at(5_000, 99)), "the wall clock jumped ahead");
        assert!(prune_at(at(900, 5_000)), "the wall clock jumped back");
        assert!(!prune_at(at(1_100, 100)));
    }

    #[test]
    fn at_the_bound_the_one_nearest_its_end_goes() {
        let [a, b, c] = ids();
        let set = EndedSet::new(2);
        let end = Timestamp::from_unix_seconds;
        assert_eq!(set.insert(a, end(300), at(100, 0)), None);
        assert_eq!(set.insert(b, end(200), at(100, 0)), None);
        assert_eq!(set.insert(c, end(250), at(100, 0)), Some(b));
        assert!(set.contains(a) && set.contains(c) && !set.contains(b));
    }

    #[test]
    fn ending_twice_keeps_the_longer_memory() {
        let [a, b] = ids();
        let set = EndedSet::new(9);
        set.insert(a, Timestamp::from_unix_seconds(900), at(100, 0));
        set.insert(a, Timestamp::from_unix_seconds(200), at(100, 0));
        set.insert(b, Timestamp::MAX, at(500, 400));
        assert!(set.contains(a));
    }
}
