//! [`Ends`]: what ended here and the store does not know yet.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    engine::SessionId,
    store::{EndAll, Ending, SessionKey},
};

/// How many wait at most: about 20 MB.
const MOST: usize = 100_000;

/// Bounded. At the bound the one that has waited longest is forgotten, and the caller is told.
#[derive(Debug, Default)]
pub(super) struct Ends(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    ends: BTreeMap<u64, End>,
    numbers: BTreeMap<SessionId, u64>,
    next: u64,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Session(SessionKey, Ending),
    /// A sign-out everywhere.
    All(EndAll),
}

impl Ends {
    /// Lets the end of a session wait. Gives back what was forgotten for it.
    pub(super) fn push(&self, key: SessionKey, ending: Ending) -> Option<SessionId> {
        let mut waiting = self.lock();
        let id = key.id;
        if let Some(number) = waiting.numbers.remove(&id) {
            waiting.ends.remove(&number);
        }
        let number = waiting.add(End::Session(key, ending));
        waiting.numbers.insert(id, number);
        if waiting.ends.len() <= MOST {
            return None;
        }
        let (_, End::Session(key, _)) = waiting.ends.pop_first()? else { return None };
        waiting.numbers.remove(&key.id);
        Some(key.id)
    }

    /// Lets the end of many sessions wait. They are few.
    pub(super) fn push_all(&self, ends: EndAll) {
        self.lock().add(End::All(ends));
    }

    /// The store knows the end of `id`.
    pub(super) fn is_told(&self, id: SessionId) {
        let mut waiting = self.lock();
        if let Some(number) = waiting.numbers.remove(&id) {
            waiting.ends.remove(&number);
        }
    }

    /// The end that waits after the one of that number, by number.
    pub(super) fn after(&self, number: Option<u64>) -> Option<(u64, End)> {
        let start = number.map_or(0, |number| number + 1);
        self.lock().ends.range(start..).next().map(|(number, end)| (*number, end.clone()))
    }

    /// The store knows the end of that number.
    pub(super) fn is_done(&self, number: u64) {
        let mut waiting = self.lock();
        if let Some(End::Session(key, _)) = waiting.ends.remove(&number) {
            waiting.numbers.remove(&key.id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn add(&mut self, end: End) -> u64 {
        let number = self.next;
        self.next += 1;
        self.ends.insert(number, end);
        number
    }
}
