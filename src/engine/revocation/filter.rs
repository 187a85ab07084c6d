//! [`RevocationFilter`]: whether a session may be revoked, without a lock.
//!
//! Almost no request presents a revoked session, and a process that has revoked a session keeps its
//! revocation list for up to 400 days. Requests therefore read one counter for the session and one
//! for its subject. Two keys may share a counter, so a counter above zero is only a reason to look
//! into the list; a counter of zero is certain.

use std::sync::{
    OnceLock,
    atomic::{AtomicU8, Ordering},
};

use crate::engine::session::{
    id::{SessionId, Subject},
    identity::SessionIdentity,
};

/// The number of counters, one byte each. With 10,000 revocations, 4 in 100 of all sessions share a
/// counter with one of them.
const COUNTERS: usize = 1 << 18;

/// Counts the keys of a revocation list. Only the owner of the list's lock changes it.
#[derive(Debug, Default)]
pub(crate) struct RevocationFilter {
    /// Allocated with the first revocation.
    counters: OnceLock<Box<[AtomicU8]>>,
}

/// A session or a subject, as a number whose upper bits are evenly distributed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilterKey(u64);

impl FilterKey {
    /// The key's place in a table of `count` places, a power of two.
    pub(crate) const fn bucket(self, count: usize) -> usize {
        (self.0 >> (u64::BITS - count.trailing_zeros())) as usize
    }
}

/// An odd number without a pattern: the fractional digits of the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

impl From<SessionId> for FilterKey {
    /// Session ids are random: some of their bits suffice.
    fn from(id: SessionId) -> Self {
        let (first, _) = id.as_bytes().as_chunks::<8>();
        Self(first.first().map_or(0, |bytes| u64::from_le_bytes(*bytes)).wrapping_mul(MIX))
    }
}

impl From<&Subject> for FilterKey {
    fn from(subject: &Subject) -> Self {
        let (chunks, rest) = subject.as_str().as_bytes().as_chunks::<8>();
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
        let words = chunks.iter().chain([&last]).map(|bytes| u64::from_le_bytes(*bytes));
        Self(words.fold(0, |hash: u64, word| (hash.rotate_left(23) ^ word).wrapping_mul(MIX)))
    }
}

impl RevocationFilter {
    /// Whether the list may contain `session`, its subject or one of its actors.
    #[inline]
    pub(crate) fn may_include(&self, session: &SessionIdentity) -> bool {
        let Some(counters) = self.counters.get() else { return false };
        let has = |key: FilterKey| is_counted(counters, key);
        has(session.id().into())
            || has(session.subject().into())
            || session.actors().any(|actor| has(actor.subject().into()))
    }

    /// Whether the list may contain the session `id` by its id.
    pub(crate) fn may_contain(&self, id: SessionId) -> bool {
        self.counters.get().is_some_and(|counters| is_counted(counters, id.into()))
    }

    /// Counts a key that the list did not contain.
    pub(crate) fn add(&self, key: FilterKey) {
        let new = || std::iter::repeat_with(AtomicU8::default).take(COUNTERS).collect();
        if let Some(counter) = self.counters.get_or_init(new).get(key.bucket(COUNTERS)) {
            counter.store(counter.load(Ordering::Relaxed).saturating_add(1), Ordering::Release);
        }
    }

    /// Removes a key that the list contained. A counter that has reached its maximum stays there: it
    /// may count more keys.
    pub(crate) fn remove(&self, key: FilterKey) {
        let counter = self.counters.get().and_then(|counters| counters.get(key.bucket(COUNTERS)));
        if let Some((counter, count)) = counter.map(|it| (it, it.load(Ordering::Relaxed)))
            && count < u8::MAX
        {
            counter.store(count.saturating_sub(1), Ordering::Release);
        }
    }
}

fn is_counted(counters: &[AtomicU8], key: FilterKey) -> bool {
    counters.get(key.bucket(COUNTERS)).is_none_or(|counter| counter.load(Ordering::Acquire) > 0)
}

#[cfg(test)]
mod tests {
    use crate::{engine::revocation::filter::*, random::SeededRandom};

    fn ids(count: usize) -> Vec<SessionId> {
        let random = SeededRandom::new(5);
        (0..count).map(|_| SessionId::generate(&random).unwrap()).collect()
    }

    #[test]
    fn filter_contains_each_added_key_and_few_others() {
        let filter = RevocationFilter::default();
        let all = ids(20_000);
        let (added, others) = all.split_at(10_000);
        assert!(!filter.may_contain(added[0]));
        added.iter().for_each(|id| filter.add((*id).into()));
        assert!(added.iter().all(|id| filter.may_contain(*id)));
        let wrong = others.iter().filter(|id| filter.may_contain(**id)).count();
        assert!(wrong < 600, "{wrong} of 10,000");
        added.iter().for_each(|id| filter.remove((*id).into()));
        assert!(!all.iter().any(|id| filter.may_contain(*id)));
    }

    #[test]
    fn filter_distributes_similar_subjects() {
        let subjects = (0..10_000).map(|n| Subject::new(format!("user-{n}")).unwrap());
        let used: std::collections::HashSet<_> =
            subjects.map(|subject| FilterKey::from(&subject).bucket(COUNTERS)).collect();
        assert!(used.len() > 9_500, "{} of 10,000", used.len());
    }

    #[test]
    fn filter_counter_at_its_maximum_is_never_decremented() {
        let filter = RevocationFilter::default();
        let id = ids(1)[0];
        (0..300).for_each(|_| filter.add(id.into()));
        (0..300).for_each(|_| filter.remove(id.into()));
        assert!(filter.may_contain(id));
    }
}
