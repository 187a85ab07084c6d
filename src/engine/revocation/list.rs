//! What this process knows to be over although its tokens are not.
//!
//! 1. An id stays until no token of its session can be alive, by the limits of the session and not
//!    by the `exp` of the token that was presented: a newer one may have been copied.
//! 2. It goes only when both clocks agree that this time has come: a wall clock that jumps ahead and
//!    back again revives nobody.
//! 3. The memory is bounded. At the bound the id nearest its end goes, and the caller is told.
//! 4. Whole subjects, and everybody, are remembered by the instant before which they signed in. No
//!    later end, and no exception from one, takes anything back. With the sessions of an actor those
//!    end in which they act as somebody else.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::bounded_map::BoundedMap;
use crate::{
    engine::session::{
        id::{SessionId, Subject},
        identity::SessionIdentity,
    },
    time::{ClockReading, Timestamp},
};

/// Sessions that have ended. About 150 bytes each.
#[derive(Debug)]
pub(crate) struct RevocationList {
    capacity: usize,
    /// How many there are, so that a request asks without a lock while nobody has signed out.
    count: AtomicUsize,
    /// Whoever signed in before this second, since 1970.
    everybody: AtomicU64,
    entries: RwLock<RevocationListInner>,
}

/// How many of those that are over with their subject or with everybody are known by their id. At the
/// bound a cookie is refused and not removed: nothing is lost.
const BY_ID: usize = 10_000;

#[derive(Debug)]
struct RevocationListInner {
    until: HashMap<SessionId, RetainUntil>,
    order: BTreeSet<(Duration, SessionId)>,
    subjects: HashMap<Subject, SubjectRevocation>,
    subject_order: BTreeSet<(Duration, Subject)>,
    /// Those that were found to be over with others.
    by_id: BoundedMap<SessionId, ()>,
}

/// The end of the sessions of one subject that signed in before an instant.
#[derive(Debug, Clone, Copy)]
struct SubjectRevocation {
    /// Every one of them before this.
    all_before: Timestamp,
    /// All but one before this.
    before: Timestamp,
    except: Option<SessionId>,
    until: RetainUntil,
}

#[derive(Debug, Clone, Copy)]
struct RetainUntil {
    wall: Timestamp,
    monotonic: Duration,
}

impl RevocationList {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            count: AtomicUsize::new(0),
            everybody: AtomicU64::new(0),
            entries: RwLock::new(RevocationListInner::new()),
        }
    }

    /// Remembers `id` for as long as a token of it may be alive. Returns the id that was forgotten
    /// for it when the memory is full.
    pub(crate) fn insert(
        &self,
        id: SessionId,
        alive_until: Timestamp,
        now: ClockReading,
    ) -> Option<SessionId> {
        let mut entries = self.write();
        entries.prune(now);
        entries.insert(id, RetainUntil::new(alive_until, now));
        let mut forgotten = None;
        if entries.until.len() > self.capacity {
            forgotten = entries.pop_soonest();
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
        now: ClockReading,
    ) {
        let mut entries = self.write();
        entries.prune(now);
        let until = RetainUntil::new(alive_until, now);
        let known = entries.subjects.get(&subject).copied();
        let mut end = known.unwrap_or_else(|| SubjectRevocation::none(until));
        end.add(signed_in_before, except);
        end.until = end.until.later(until);
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
    pub(crate) fn revoke_all_before(&self, signed_in_before: Timestamp) {
        self.everybody.fetch_max(signed_in_before.as_unix_seconds(), Ordering::AcqRel);
    }

    /// Whether `session` is over, by its id, its subject or with everybody. From then on it is over
    /// by its id.
    #[inline]
    pub(crate) fn is_revoked(&self, session: &SessionIdentity) -> bool {
        let id = session.id();
        let everybody = self.everybody.load(Ordering::Acquire);
        let is_old = session.signed_in_at().as_unix_seconds() < everybody;
        if !is_old && self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let is_over = is_old || {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            if entries.contains(id) {
                return true;
            }
            entries.subjects.get(session.subject()).is_some_and(|end| end.is_revoked(session))
                || entries.covers_actor(session)
        };
        if is_over && !self.contains(id) {
            let mut entries = self.write();
            entries.by_id.put(id, ());
            self.count.store(entries.len(), Ordering::Release);
        }
        is_over
    }

    pub(crate) fn contains(&self, id: SessionId) -> bool {
        self.count.load(Ordering::Acquire) > 0
            && self.entries.read().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    fn write(&self) -> RwLockWriteGuard<'_, RevocationListInner> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RetainUntil {
    const PAST: Self = Self { wall: Timestamp::EPOCH, monotonic: Duration::ZERO };

    fn new(wall: Timestamp, now: ClockReading) -> Self {
        let remaining = wall.saturating_since(now.timestamp());
        Self { wall, monotonic: now.monotonic().saturating_add(remaining) }
    }

    fn later(self, other: Self) -> Self {
        Self { wall: self.wall.max(other.wall), monotonic: self.monotonic.max(other.monotonic) }
    }

    fn has_come(self, now: ClockReading) -> bool {
        now.monotonic() >= self.monotonic && now.timestamp() >= self.wall
    }
}

impl SubjectRevocation {
    const fn none(until: RetainUntil) -> Self {
        Self { all_before: Timestamp::EPOCH, before: Timestamp::EPOCH, except: None, until }
    }

    fn add(&mut self, before: Timestamp, except: Option<SessionId>) {
        if except.is_none() {
            self.all_before = self.all_before.max(before);
        } else if except == self.except {
            self.before = self.before.max(before);
        } else {
            // Whom one of them lets stay, the other ends.
            self.all_before = self.all_before.max(before.min(self.before));
            if before > self.before {
                (self.before, self.except) = (before, except);
            }
        }
    }

    fn is_revoked(&self, session: &SessionIdentity) -> bool {
        let signed_in_at = session.signed_in_at();
        signed_in_at < self.all_before
            || (signed_in_at < self.before && self.except != Some(session.id()))
    }
}

impl RevocationListInner {
    fn new() -> Self {
        Self {
            until: HashMap::new(),
            order: BTreeSet::new(),
            subjects: HashMap::new(),
            subject_order: BTreeSet::new(),
            by_id: BoundedMap::new(BY_ID),
        }
    }

    fn len(&self) -> usize {
        self.until.len() + self.subjects.len() + self.by_id.len()
    }

    fn contains(&self, id: SessionId) -> bool {
        self.until.contains_key(&id) || self.by_id.get(&id).is_some()
    }

    /// Whether somebody acts in `session` whose own sessions of that time are over: whoever stole one
    /// of these may have begun it. Exceptions are for the one own session that stays. Of that very second
    /// too: a store tells those one by one, and does not know of this one.
    fn covers_actor(&self, session: &SessionIdentity) -> bool {
        std::iter::successors(session.actor(), |actor| actor.prior()).any(|actor| {
            let end = self.subjects.get(actor.subject());
            end.is_some_and(|end| session.signed_in_at() <= end.all_before.max(end.before))
        })
    }

    fn insert(&mut self, id: SessionId, until: RetainUntil) {
        // Ending twice never shortens what is known.
        let known = self.until.get(&id).copied();
        if let Some(known) = known {
            self.order.remove(&(known.monotonic, id));
        }
        let until = known.map_or(until, |known| known.later(until));
        self.until.insert(id, until);
        self.order.insert((until.monotonic, id));
    }

    fn prune(&mut self, now: ClockReading) {
        while let Some((_, subject)) = self.subject_order.first()
            && self.subjects.get(subject).is_none_or(|end| end.until.has_come(now))
            && let Some((_, subject)) = self.subject_order.pop_first()
        {
            self.subjects.remove(&subject);
        }
        while let Some(&(monotonic, id)) = self.order.first() {
            let until = RetainUntil {
                monotonic,
                ..self.until.get(&id).copied().unwrap_or(RetainUntil::PAST)
            };
            if !until.has_come(now) {
                break;
            }
            self.order.pop_first();
            self.until.remove(&id);
        }
    }

    fn pop_soonest(&mut self) -> Option<SessionId> {
        let (_, id) = self.order.pop_first()?;
        self.until.remove(&id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::revocation::list::*;
    use crate::{
        engine::session::{
            expiry::{LifetimeOverride, SessionTimes},
            identity::SessionFlags,
        },
        random::SeededRandom,
    };

    fn at(wall: u64, monotonic: u64) -> ClockReading {
        ClockReading::new(Timestamp::from_unix_seconds(wall), Duration::from_secs(monotonic))
    }

    fn ids<const N: usize>() -> [SessionId; N] {
        let random = SeededRandom::new(7);
        std::array::from_fn(|_| SessionId::generate(&random).unwrap())
    }

    #[test]
    fn revoked_id_is_kept_until_both_clocks_pass_its_expiry() {
        let [a, b] = ids();
        let end = Timestamp::from_unix_seconds(1_100);
        let prune_at = |now: ClockReading| {
            let set = RevocationList::new(9);
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
        let dates = SessionTimes {
            signed_in_at,
            issued_at: signed_in_at,
            last_active_at: signed_in_at,
            expires_at: Timestamp::from_unix_seconds(signed_in + 1_000),
        };
        let terms = SessionFlags {
            lifetime: LifetimeOverride::new(),
            persistent: true,
            pending: false,
            impersonated: false,
        };
        SessionIdentity::new(id, Subject::new(subject).unwrap(), dates, terms, None)
    }

    #[test]
    fn revoked_subject_covers_sessions_before_an_instant_except_one() {
        let [a, b, c, d] = ids();
        let set = RevocationList::new(9);
        let ada = || Subject::new("ada").unwrap();
        let instant = Timestamp::from_unix_seconds;
        assert!(!set.is_revoked(&session(a, "ada", 100)));
        set.insert_subject(ada(), instant(200), Some(b), instant(300), at(200, 0));
        // An older instant takes nothing back.
        set.insert_subject(ada(), instant(150), None, instant(300), at(200, 0));
        for (id, subject, signed_in, expected) in [
            (a, "ada", 199, true),
            (a, "ada", 250, true),
            (b, "ada", 150, false),
            (c, "ada", 200, false),
            (d, "bob", 100, false),
        ] {
            let session = session(id, subject, signed_in);
            assert_eq!(set.is_revoked(&session), expected, "{subject} {signed_in}");
            assert_eq!(set.contains(id), expected, "known by its id from then on");
        }
        // RetainUntil no token of theirs can be believed without asking.
        set.insert(d, Timestamp::MAX, at(300, 100));
        assert!(!set.is_revoked(&session(c, "ada", 199)));
        set.revoke_all_before(instant(250));
        assert!(
            set.is_revoked(&session(c, "ada", 249)) && !set.is_revoked(&session(b, "ada", 250))
        );
    }

    #[test]
    fn later_exception_never_restores_a_revoked_session() {
        let [a, b, c] = ids();
        let instant = Timestamp::from_unix_seconds;
        let ends = [(200, None), (200, Some(b)), (300, Some(c)), (250, Some(a)), (100, None)];
        let sessions =
            [(a, 99), (a, 199), (a, 240), (b, 199), (b, 290), (c, 199), (c, 249), (c, 260)];
        // Whatever the order in which they are told, and told twice.
        for rotation in 0..ends.len() {
            let set = RevocationList::new(9);
            let mut told: Vec<(u64, Option<SessionId>)> = Vec::new();
            for step in 0..ends.len() * 2 {
                let (before, except) = ends[(rotation + step * 2) % ends.len()];
                let subject = Subject::new("ada").unwrap();
                set.insert_subject(subject, instant(before), except, Timestamp::MAX, at(400, 0));
                told.push((before, except));
                for (id, signed_in) in sessions {
                    let fresh = RevocationList {
                        entries: RwLock::new(RevocationListInner::new()),
                        ..RevocationList::new(9)
                    };
                    fresh.write().subjects.clone_from(&set.write().subjects);
                    fresh.count.store(1, Ordering::Release);
                    let expected = told
                        .iter()
                        .any(|(before, except)| signed_in < *before && *except != Some(id));
                    let session = session(id, "ada", signed_in);
                    assert_eq!(fresh.is_revoked(&session), expected, "{told:?} {signed_in}");
                }
            }
        }
    }

    #[test]
    fn revoke_all_before_an_instant_does_not_fill_the_list() {
        let set = RevocationList::new(3);
        set.revoke_all_before(Timestamp::from_unix_seconds(500));
        let random = SeededRandom::new(8);
        let mut others = (0..50).map(|_| SessionId::generate(&random).unwrap());
        for id in others.by_ref().take(20) {
            assert!(set.is_revoked(&session(id, "ada", 499)));
            assert!(set.contains(id), "its cookie can go");
        }
        // What ends one by one is remembered, and forgotten in time.
        for (second, id) in (0..).zip(others) {
            let end = Timestamp::from_unix_seconds(502 + second);
            assert_eq!(set.insert(id, end, at(500 + second, second)), None);
        }
    }

    #[test]
    fn revocation_list_at_capacity_evicts_the_earliest_expiry() {
        let [a, b, c] = ids();
        let set = RevocationList::new(2);
        let end = Timestamp::from_unix_seconds;
        assert_eq!(set.insert(a, end(300), at(100, 0)), None);
        assert_eq!(set.insert(b, end(200), at(100, 0)), None);
        assert_eq!(set.insert(c, end(250), at(100, 0)), Some(b));
        assert!(set.contains(a) && set.contains(c) && !set.contains(b));
    }

    #[test]
    fn session_revoked_twice_keeps_the_later_expiry() {
        let [a, b] = ids();
        let set = RevocationList::new(9);
        set.insert(a, Timestamp::from_unix_seconds(900), at(100, 0));
        set.insert(a, Timestamp::from_unix_seconds(200), at(100, 0));
        set.insert(b, Timestamp::MAX, at(500, 400));
        assert!(set.contains(a));
    }
}
