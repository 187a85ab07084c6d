//! What this process knows to be over although its tokens are not.
//!
//! 1. An id stays until no token of its session can be alive, by the limits of the session and not
//!    by the `exp` of the token that was presented: a newer one may have been copied.
//! 2. It goes only when both clocks agree that this time has come: a wall clock that jumps ahead and
//!    back again revives nobody.
//! 3. The memory is bounded. At the bound the id nearest its end goes, and the caller is told.
//! 4. Whole subjects, and everybody, are remembered by the instant before which they signed in.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    id::{SessionId, Subject},
    identity::SessionIdentity,
};
use crate::time::{Now, Timestamp};

/// Sessions that have ended. About 150 bytes each.
#[derive(Debug)]
pub(crate) struct EndedSet {
    capacity: usize,
    /// How many there are, so that a request asks without a lock while nobody has signed out.
    count: AtomicUsize,
    /// Whoever signed in before this second, since 1970.
    everybody: AtomicU64,
    entries: RwLock<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    until: HashMap<SessionId, Until>,
    order: BTreeSet<(Duration, SessionId)>,
    subjects: HashMap<Subject, SubjectEnd>,
    subject_order: BTreeSet<(Duration, Subject)>,
}

/// The end of the sessions of one subject that signed in before an instant.
#[derive(Debug, Clone, Copy)]
struct SubjectEnd {
    signed_in_before: Timestamp,
    except: Option<SessionId>,
    until: Until,
}

#[derive(Debug, Clone, Copy)]
struct Until {
    wall: Timestamp,
    monotonic: Duration,
}

impl EndedSet {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            count: AtomicUsize::new(0),
            everybody: AtomicU64::new(0),
            entries: RwLock::default(),
        }
    }

    /// Remembers `id` for as long as a token of it may be alive. Returns the id that was forgotten
    /// for it when the memory is full.
    pub(crate) fn insert(
        &self,
        id: SessionId,
        alive_until: Timestamp,
        now: Now,
    ) -> Option<SessionId> {
        let mut entries = self.write();
        entries.prune(now);
        entries.insert(id, Until::new(alive_until, now));
        let mut forgotten = None;
        if entries.until.len() > self.capacity {
            forgotten = entries.pop_nearest();
        }
        self.count.store(entries.len(), Ordering::Release);
        forgotten
    }

    /// Remembers that the sessions of `subject` that signed in before an instant are over, but one.
    /// At the bound the subject nearest its end is forgotten.
    pub(crate) fn insert_subject(
        &self,
        subject: Subject,
        signed_in_before: Timestamp,
        except: Option<SessionId>,
        alive_until: Timestamp,
        now: Now,
    ) {
        let mut entries = self.write();
        entries.prune(now);
        let until = Until::new(alive_until, now);
        let known = entries.subjects.get(&subject);
        // What an earlier end let stay is told by its own id when it ends later.
        let end = match known {
            Some(known) if known.signed_in_before > signed_in_before => *known,
            _ => SubjectEnd { signed_in_before, except, until },
        };
        if let Some(known) = entries.subjects.insert(subject.clone(), end) {
            entries.subject_order.remove(&(known.until.monotonic, subject.clone()));
        }
        entries.subject_order.insert((end.until.monotonic, subject));
        if entries.subjects.len() > self.capacity
            && let Some((_, nearest)) = entries.subject_order.pop_first()
        {
            entries.subjects.remove(&nearest);
        }
        self.count.store(entries.len(), Ordering::Release);
    }

    /// Remembers that every session that signed in before an instant is over.
    pub(crate) fn insert_everybody(&self, signed_in_before: Timestamp) {
        self.everybody.fetch_max(signed_in_before.as_unix_seconds(), Ordering::AcqRel);
    }

    /// Whether `session` is over, by its id, its subject or with everybody. From then on it is over
    /// by its id.
    pub(crate) fn covers(&self, session: &SessionIdentity) -> bool {
        let id = session.id();
        let everybody = self.everybody.load(Ordering::Acquire);
        let is_old = session.signed_in_at().as_unix_seconds() < everybody;
        if !is_old && self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let by_subject = {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            if entries.until.contains_key(&id) {
                return true;
            }
            entries.subjects.get(session.subject()).copied()
        };
        let by_subject = by_subject
            .filter(|end| session.signed_in_at() < end.signed_in_before && end.except != Some(id))
            .map(|end| end.until);
        // The end of everybody is never forgotten; that its cookie can go is known by the id.
        let forever = Until { wall: session.expires_at(), monotonic: Duration::ZERO };
        let Some(until) = by_subject.or_else(|| is_old.then_some(forever)) else { return false };
        let mut entries = self.write();
        entries.insert(id, until);
        self.count.store(entries.len(), Ordering::Release);
        true
    }

    pub(crate) fn contains(&self, id: SessionId) -> bool {
        self.count.load(Ordering::Acquire) > 0
            && self.entries.read().unwrap_or_else(PoisonError::into_inner).until.contains_key(&id)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Until {
    const PAST: Self = Self { wall: Timestamp::EPOCH, monotonic: Duration::ZERO };

    fn new(wall: Timestamp, now: Now) -> Self {
        let remaining = wall.saturating_since(now.timestamp());
        Self { wall, monotonic: now.monotonic().saturating_add(remaining) }
    }

    fn has_come(self, now: Now) -> bool {
        now.monotonic() >= self.monotonic && now.timestamp() >= self.wall
    }
}

impl Entries {
    fn len(&self) -> usize {
        self.until.len() + self.subjects.len()
    }

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
        while let Some((_, subject)) = self.subject_order.first()
            && self.subjects.get(subject).is_none_or(|end| end.until.has_come(now))
            && let Some((_, subject)) = self.subject_order.pop_first()
        {
            self.subjects.remove(&subject);
        }
        while let Some(&(monotonic, id)) = self.order.first() {
            let until = Until { monotonic, ..self.until.get(&id).copied().unwrap_or(Until::PAST) };
            if !until.has_come(now) {
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
    use crate::{
        engine::{
            identity::Terms,
            limits::{Dates, LifetimeOverride},
        },
        random::SeededRandom,
    };

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

    fn session(id: SessionId, subject: &str, signed_in: u64) -> SessionIdentity {
        let signed_in_at = Timestamp::from_unix_seconds(signed_in);
        let dates = Dates {
            signed_in_at,
            issued_at: signed_in_at,
            last_active_at: signed_in_at,
            expires_at: Timestamp::from_unix_seconds(signed_in + 1_000),
        };
        let terms = Terms { lifetime: LifetimeOverride::new(), persistent: true };
        SessionIdentity::new(id, Subject::new(subject).unwrap(), dates, terms)
    }

    #[test]
    fn a_subject_is_over_up_to_an_instant_but_for_one_session() {
        let [a, b, c, d] = ids();
        let set = EndedSet::new(9);
        let ada = || Subject::new("ada").unwrap();
        let instant = Timestamp::from_unix_seconds;
        assert!(!set.covers(&session(a, "ada", 100)));
        set.insert_subject(ada(), instant(200), Some(b), instant(300), at(200, 0));
        // An older instant takes nothing back.
        set.insert_subject(ada(), instant(150), None, instant(300), at(200, 0));
        for (id, subject, signed_in, expected) in [
            (a, "ada", 199, true),
            (a, "ada", 250, true),
            (b, "ada", 100, false),
            (c, "ada", 200, false),
            (d, "bob", 100, false),
        ] {
            let session = session(id, subject, signed_in);
            assert_eq!(set.covers(&session), expected, "{subject} {signed_in}");
            assert_eq!(set.contains(id), expected, "known by its id from then on");
        }
        // Until no token of theirs can be believed without asking.
        set.insert(d, Timestamp::MAX, at(300, 100));
        assert!(!set.covers(&session(c, "ada", 199)));
        set.insert_everybody(instant(250));
        assert!(set.covers(&session(c, "ada", 249)) && !set.covers(&session(b, "ada", 250)));
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
