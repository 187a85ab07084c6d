//! The newest token that this process wrote for a session, so that a slow response neither replaces
//! it with an older one nor removes it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::id::SessionId;
use crate::time::Timestamp;

/// Newest `iat` by session. Bounded: the session renewed longest ago is forgotten first, which costs
/// it this protection and nothing else.
#[derive(Debug)]
pub(crate) struct RenewedMap {
    capacity: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    newest: HashMap<SessionId, Timestamp>,
    order: VecDeque<SessionId>,
}

impl RenewedMap {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, entries: Mutex::default() }
    }

    /// Records a token of `id` issued at `issued_at`, unless a newer one is known: then `false`.
    pub(crate) fn record(&self, id: SessionId, issued_at: Timestamp) -> bool {
        let mut entries = self.lock();
        match entries.newest.get_mut(&id) {
            Some(newest) if *newest > issued_at => false,
            Some(newest) => {
                *newest = issued_at;
                true
            }
            None => {
                if entries.order.len() >= self.capacity
                    && let Some(oldest) = entries.order.pop_front()
                {
                    entries.newest.remove(&oldest);
                }
                entries.order.push_back(id);
                entries.newest.insert(id, issued_at);
                true
            }
        }
    }

    /// When the newest token of `id` that this process wrote was issued.
    pub(crate) fn newest(&self, id: SessionId) -> Option<Timestamp> {
        self.lock().newest.get(&id).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn an_older_token_never_replaces_a_newer_one() {
        let random = SeededRandom::new(3);
        let id = || SessionId::generate(&random).unwrap();
        let (a, b, c) = (id(), id(), id());
        let at = Timestamp::from_unix_seconds;
        let renewed = RenewedMap::new(2);
        assert!(renewed.record(a, at(10)));
        assert!(!renewed.record(a, at(9)));
        assert!(renewed.record(a, at(10)));
        assert!(renewed.record(b, at(1)) && renewed.record(c, at(1)));
        assert_eq!(renewed.newest(a), None, "bounded");
        assert_eq!(renewed.newest(c), Some(at(1)));
    }
}
