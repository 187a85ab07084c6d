//! [`RevocationOutbox`]: revocations of this process that the store has not acknowledged.

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

/// The maximum number of queued revocations of sessions, and that of subjects: about 20 MB each.
const CAPACITY: usize = 100_000;

/// A bounded queue. If it is full, adding a revocation drops and returns the oldest one.
#[derive(Debug)]
pub(crate) struct RevocationOutbox {
    capacity: usize,
    inner: Mutex<OutboxInner>,
}

#[derive(Debug, Default)]
struct OutboxInner {
    /// By number, in the order in which they were added.
    sessions: BTreeMap<u64, QueuedRevocation>,
    scopes: BTreeMap<u64, QueuedRevocation>,
    numbers: BTreeMap<RevocationKey, u64>,
    next: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QueuedRevocation {
    Session(SessionKey, Revoke),
    /// Many sessions, by the instant before which they signed in.
    All(RevokeScope),
}

/// A revocation that was dropped because the outbox was full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DroppedRevocation {
    Session(SessionId),
    Subject(Subject),
}

/// The sessions that a revocation concerns. The outbox keeps one revocation for each key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum RevocationKey {
    Session(SessionId),
    Subject(Subject, Option<SessionId>),
    All,
}

impl RevocationOutbox {
    pub(crate) fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    fn with_capacity(capacity: usize) -> Self {
        Self { capacity, inner: Mutex::default() }
    }

    /// Adds the revocation of a session. Returns what was dropped for it.
    pub(crate) fn push(&self, key: SessionKey, revoke: Revoke) -> Option<DroppedRevocation> {
        let mut waiting = self.lock();
        waiting.put(RevocationKey::Session(key.id), QueuedRevocation::Session(key, revoke));
        waiting.enforce_capacity(self.capacity)
    }

    /// Adds the revocation of many sessions. Sent later, it must revoke those that existed and not
    /// those that have signed in since. Returns that scope, and what was dropped for it.
    pub(crate) fn push_many(
        &self,
        scope: &RevokeScope,
    ) -> (RevokeScope, Option<DroppedRevocation>) {
        let mut waiting = self.lock();
        let (deferred, key) = (as_deferred(scope), key_of(scope));
        let known = waiting.take(&key).and_then(|queued| match queued {
            QueuedRevocation::All(known) if before(&known) > before(&deferred) => Some(known),
            _ => None,
        });
        waiting.put(key, QueuedRevocation::All(known.unwrap_or_else(|| deferred.clone())));
        (deferred, waiting.enforce_capacity(self.capacity))
    }

    /// The store has acknowledged the revocation of `id`.
    pub(crate) fn acknowledge(&self, id: SessionId) {
        self.lock().take(&RevocationKey::Session(id));
    }

    /// The store has acknowledged the revocation of many sessions.
    pub(crate) fn acknowledge_many(&self, scope: &RevokeScope) {
        let mut waiting = self.lock();
        let key = key_of(scope);
        let queued = waiting.numbers.get(&key).and_then(|number| waiting.scopes.get(number));
        if let Some(QueuedRevocation::All(known)) = queued
            && before(known) <= before(&as_deferred(scope))
        {
            waiting.take(&key);
        }
    }

    /// The revocation that follows the one of that number, and its number.
    pub(crate) fn after(&self, number: Option<u64>) -> Option<(u64, QueuedRevocation)> {
        let start = number.map_or(0, |number| number + 1);
        let waiting = self.lock();
        let first = |queue: &BTreeMap<u64, QueuedRevocation>| {
            queue.range(start..).next().map(|(number, queued)| (*number, queued.clone()))
        };
        let candidates = [first(&waiting.sessions), first(&waiting.scopes)];
        candidates.into_iter().flatten().min_by_key(|(number, _)| *number)
    }

    /// Removes the revocation of that number.
    pub(crate) fn remove(&self, number: u64) {
        let mut waiting = self.lock();
        let queued = waiting.sessions.get(&number).or_else(|| waiting.scopes.get(&number));
        let key = queued.map(|queued| match queued {
            QueuedRevocation::Session(key, _) => RevocationKey::Session(key.id),
            QueuedRevocation::All(scope) => key_of(scope),
        });
        if let Some(key) = key {
            waiting.take(&key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, OutboxInner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutboxInner {
    fn put(&mut self, key: RevocationKey, queued: QueuedRevocation) {
        self.take(&key);
        self.numbers.insert(key, self.next);
        let queue = match &queued {
            QueuedRevocation::Session(..) => &mut self.sessions,
            QueuedRevocation::All(_) => &mut self.scopes,
        };
        queue.insert(self.next, queued);
        self.next += 1;
    }

    fn take(&mut self, key: &RevocationKey) -> Option<QueuedRevocation> {
        let number = self.numbers.remove(key)?;
        self.sessions.remove(&number).or_else(|| self.scopes.remove(&number))
    }

    fn enforce_capacity(&mut self, capacity: usize) -> Option<DroppedRevocation> {
        if self.sessions.len() > capacity
            && let Some((_, QueuedRevocation::Session(key, _))) = self.sessions.pop_first()
        {
            self.numbers.remove(&RevocationKey::Session(key.id));
            return Some(DroppedRevocation::Session(key.id));
        }
        // The revocation of all sessions is one entry and is never dropped.
        let oldest = || self.scopes.values().find_map(subject_of).cloned();
        let subject = (self.scopes.len() > capacity).then(oldest).flatten()?;
        let is_of_subject = |queued: &&QueuedRevocation| subject_of(queued) == Some(&subject);
        if let Some(QueuedRevocation::All(scope)) = self.scopes.values().find(is_of_subject) {
            let key = key_of(scope);
            self.take(&key);
        }
        Some(DroppedRevocation::Subject(subject))
    }
}

fn subject_of(queued: &QueuedRevocation) -> Option<&Subject> {
    match queued {
        QueuedRevocation::All(RevokeScope::Subject { subject, .. }) => Some(subject),
        _ => None,
    }
}

fn key_of(scope: &RevokeScope) -> RevocationKey {
    match scope {
        RevokeScope::Subject { subject, except, .. } => {
            RevocationKey::Subject(subject.clone(), *except)
        }
        RevokeScope::All { .. } => RevocationKey::All,
    }
}

/// The same scope, for sending later. It includes sessions that signed in within the second of the
/// revocation.
fn as_deferred(scope: &RevokeScope) -> RevokeScope {
    let mut deferred = scope.clone();
    if let RevokeScope::Subject { now, signed_in_before, .. } = &mut deferred {
        signed_in_before.get_or_insert(now.saturating_add(Duration::from_secs(1)));
    }
    deferred
}

fn before(scope: &RevokeScope) -> Timestamp {
    match scope {
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
        let ends = RevocationOutbox::new();
        let all = |second| RevokeScope::subject(ada(), at(second), None);
        let before = |second| {
            QueuedRevocation::All(RevokeScope::subject_before(ada(), at(second - 1), at(second)))
        };
        ends.push_many(&all(100));
        ends.push_many(&all(105));
        ends.push_many(&RevokeScope::subject_before(ada(), at(110), at(50)));
        assert_eq!(waiting(&ends), [before(106)], "the sessions of that second too");
        ends.acknowledge_many(&all(100));
        assert_eq!(waiting(&ends).len(), 1, "the waiting revocation covers more");
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
        let ends = RevocationOutbox::new();
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

    #[test]
    fn outbox_at_capacity_drops_and_reports_the_oldest_revocation_of_its_kind() {
        let outbox = RevocationOutbox::with_capacity(2);
        let random = SeededRandom::new(4);
        let [a, b, c] = [0, 1, 2].map(|_| SessionId::generate(&random).unwrap());
        let push = |id| outbox.push(SessionKey::new(id, ada()), Revoke::new(at(1), at(900)));
        outbox.push_many(&RevokeScope::all(at(1), at(1)));
        assert_eq!([push(a), push(b), push(a)], [None, None, None]);
        assert_eq!(push(c), Some(DroppedRevocation::Session(b)), "the one that waited longest");
        let subject = |name: &str| Subject::new(name).unwrap();
        let push_many =
            |name: &str| outbox.push_many(&RevokeScope::subject(subject(name), at(1), None)).1;
        assert_eq!(push_many("ada"), None);
        assert_eq!(push_many("bob"), Some(DroppedRevocation::Subject(subject("ada"))));
        assert_eq!(push_many("bob"), None);
        let left = waiting(&outbox);
        assert_eq!(left.len(), 4, "two sessions, a subject and the revocation of all: {left:?}");
        assert!(left.contains(&QueuedRevocation::All(RevokeScope::all(at(1), at(1)))));
    }
}
