//! [`RevocationOutbox`]: what ended here and the store does not know yet.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    engine::session::id::{SessionId, Subject},
    store::{
        record::SessionKey,
        types::{Revoke, RevokeScope},
    },
    time::Timestamp,
};

/// How many sessions wait at most: about 20 MB.
const MOST: usize = 100_000;

/// Bounded. At the bound the session that has waited longest is forgotten, and the caller is told.
#[derive(Debug, Default)]
pub(crate) struct RevocationOutbox(Mutex<OutboxInner>);

#[derive(Debug, Default)]
struct OutboxInner {
    ends: BTreeMap<u64, QueuedRevocation>,
    numbers: BTreeMap<RevocationKey, u64>,
    next: u64,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QueuedRevocation {
    Session(SessionKey, Revoke),
    /// Many, by the moment before which they signed in.
    All(RevokeScope),
}

/// Whom an end is about: one waits for each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum RevocationKey {
    Session(SessionId),
    Subject(Subject, Option<SessionId>),
    Everybody,
}

impl RevocationOutbox {
    /// Lets the end of a session wait. Gives back what was forgotten for it.
    pub(crate) fn push(&self, key: SessionKey, ending: Revoke) -> Option<SessionId> {
        let mut waiting = self.lock();
        waiting.put(RevocationKey::Session(key.id), QueuedRevocation::Session(key, ending));
        if waiting.ends.len() <= MOST {
            return None;
        }
        // RevocationOutbox of many are few, one a subject.
        let oldest = waiting.ends.values().find_map(|end| match end {
            QueuedRevocation::Session(key, _) => Some(key.id),
            QueuedRevocation::All(_) => None,
        })?;
        waiting.take(&RevocationKey::Session(oldest));
        Some(oldest)
    }

    /// Lets the end of many sessions wait. Told late it means those that there were, not those that
    /// have signed in since. Gives back what it means.
    pub(crate) fn push_many(&self, ends: &RevokeScope) -> RevokeScope {
        let mut waiting = self.lock();
        let (late, name) = (as_deferred(ends), key_of(ends));
        let known = waiting.take(&name).and_then(|end| match end {
            QueuedRevocation::All(known) if before(&known) > before(&late) => Some(known),
            _ => None,
        });
        waiting.put(name, QueuedRevocation::All(known.unwrap_or_else(|| late.clone())));
        late
    }

    /// The store knows the end of `id`.
    pub(crate) fn acknowledge(&self, id: SessionId) {
        self.lock().take(&RevocationKey::Session(id));
    }

    /// The store knows the end of many.
    pub(crate) fn acknowledge_many(&self, ends: &RevokeScope) {
        let mut waiting = self.lock();
        let name = key_of(ends);
        let covered = waiting.numbers.get(&name).and_then(|number| waiting.ends.get(number));
        if let Some(QueuedRevocation::All(known)) = covered
            && before(known) <= before(&as_deferred(ends))
        {
            waiting.take(&name);
        }
    }

    /// The end that waits after the one of that number, by number.
    pub(crate) fn after(&self, number: Option<u64>) -> Option<(u64, QueuedRevocation)> {
        let start = number.map_or(0, |number| number + 1);
        self.lock().ends.range(start..).next().map(|(number, end)| (*number, end.clone()))
    }

    /// The end of that number waits no more.
    pub(crate) fn remove(&self, number: u64) {
        let mut waiting = self.lock();
        let name = waiting.ends.get(&number).map(|end| match end {
            QueuedRevocation::Session(key, _) => RevocationKey::Session(key.id),
            QueuedRevocation::All(ends) => key_of(ends),
        });
        if let Some(name) = name {
            waiting.take(&name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, OutboxInner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutboxInner {
    fn put(&mut self, name: RevocationKey, end: QueuedRevocation) {
        self.take(&name);
        self.numbers.insert(name, self.next);
        self.ends.insert(self.next, end);
        self.next += 1;
    }

    fn take(&mut self, name: &RevocationKey) -> Option<QueuedRevocation> {
        let number = self.numbers.remove(name)?;
        self.ends.remove(&number)
    }
}

fn key_of(ends: &RevokeScope) -> RevocationKey {
    match ends {
        RevokeScope::Subject { subject, except, .. } => {
            RevocationKey::Subject(subject.clone(), *except)
        }
        RevokeScope::All { .. } => RevocationKey::Everybody,
    }
}

/// The same, told whenever: sessions of the very second of the end are over too.
fn as_deferred(ends: &RevokeScope) -> RevokeScope {
    let mut late = ends.clone();
    if let RevokeScope::Subject { now, signed_in_before, .. } = &mut late {
        signed_in_before.get_or_insert(now.saturating_add(Duration::from_secs(1)));
    }
    late
}

fn before(ends: &RevokeScope) -> Timestamp {
    match ends {
        RevokeScope::Subject { now, signed_in_before, .. } => signed_in_before.unwrap_or(*now),
        RevokeScope::All { signed_in_before, .. } => *signed_in_before,
    }
}

#[cfg(test)]
mod tests {
    use crate::middleware::store_client::outbox::*;
    use crate::random::SeededRandom;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    fn ada() -> Subject {
        Subject::new("ada").unwrap()
    }

    fn waiting(ends: &RevocationOutbox) -> Vec<QueuedRevocation> {
        let mut all = Vec::new();
        let mut last = None;
        while let Some((number, end)) = ends.after(last) {
            last = Some(number);
            all.push(end);
        }
        all
    }

    #[test]
    fn outbox_merges_revocations_of_one_scope_to_the_later_instant() {
        let ends = RevocationOutbox::default();
        let all = |second| RevokeScope::subject(ada(), at(second), None);
        let before = |second| {
            QueuedRevocation::All(RevokeScope::subject_before(ada(), at(second - 1), at(second)))
        };
        ends.push_many(&all(100));
        ends.push_many(&all(105));
        ends.push_many(&RevokeScope::subject_before(ada(), at(110), at(50)));
        assert_eq!(waiting(&ends), [before(106)], "the sessions of that second too");
        ends.acknowledge_many(&all(100));
        assert_eq!(waiting(&ends).len(), 1, "what was told is less than what waits");
        let random = SeededRandom::new(3);
        let id = SessionId::generate(&random).unwrap();
        ends.push_many(&RevokeScope::subject(ada(), at(105), Some(id)));
        ends.push_many(&RevokeScope::all(at(105), at(90)));
        assert_eq!(waiting(&ends).len(), 3);
        ends.acknowledge_many(&all(107));
        ends.acknowledge_many(&RevokeScope::all(at(200), at(90)));
        ends.acknowledge_many(&RevokeScope::subject(ada(), at(105), Some(id)));
        assert_eq!(waiting(&ends), []);
    }

    #[test]
    fn outbox_session_pushed_twice_is_queued_once_at_the_end() {
        let ends = RevocationOutbox::default();
        let random = SeededRandom::new(3);
        let [a, b] = [0, 1].map(|_| SessionId::generate(&random).unwrap());
        let key = |id| SessionKey::new(id, ada());
        let ending = |second| Revoke::new(at(second), at(900));
        ends.push(key(a), ending(1));
        ends.push(key(b), ending(1));
        ends.push(key(a), ending(2));
        let expected = [
            QueuedRevocation::Session(key(b), ending(1)),
            QueuedRevocation::Session(key(a), ending(2)),
        ];
        assert_eq!(waiting(&ends), expected);
        ends.remove(0);
        assert_eq!(waiting(&ends), expected, "the number of an end that was pushed again");
        ends.acknowledge(a);
        ends.remove(1);
        assert_eq!(waiting(&ends), []);
    }
}
