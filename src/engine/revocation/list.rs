//! [`RevocationList`]: the revocations that this process knows and that tokens could still contradict.
//!
//! 1. A revocation is kept until no token of its session can be accepted without the store, by the
//!    limits of the session and not by the `exp` of the presented token: a newer one may have been
//!    copied.
//! 2. It is dropped only when both clocks agree that this time has come. The monotonic time counts
//!    from the revocation and does not depend on the wall clock, so a wall clock that was wrong, or
//!    is corrected, restores no session.
//! 3. Revocations are kept in memories by how long they must last, each with its own bound, so that
//!    long-lived ones do not displace short-lived ones. At a bound the entry that expires first is
//!    dropped and returned to the caller, which reports it and relies on the store from then on.
//! 4. Revocations of a subject, and of all subjects, are kept as the instant before which the
//!    sessions signed in. No later revocation, and no exception from one, undoes an earlier one. The
//!    sessions of an actor include those in which it acts as another user.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::{
        Arc, PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{bounded_map::BoundedMap, filter::RevocationFilter};
use crate::{
    engine::session::{
        actor::Actor,
        id::{SessionId, Subject},
        identity::SessionIdentity,
    },
    time::{ClockReading, Timestamp},
};

/// About 150 bytes for each session in each memory.
#[derive(Debug)]
pub(crate) struct RevocationList {
    /// Of each memory.
    capacity: usize,
    /// Counts the keys of `entries`, so that requests with other sessions take no lock.
    filter: Arc<RevocationFilter>,
    /// Sessions that signed in before this second since 1970 are revoked.
    all_before: AtomicU64,
    entries: RwLock<RevocationListInner>,
}

/// Which memory a revoked id is in, by how long it must last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Received from the store: until no process accepts a token of the session without the store.
    Received,
    /// Revoked here, and not acknowledged by a store: until the last token has expired.
    Own,
    /// Revoked here and acknowledged by a store that may lose acknowledged writes in a failover:
    /// until the last token has expired. The store decides after [`Received`](Self::Received) has
    /// dropped the id, so an id that is dropped here is missed only if a failover loses it too.
    Acknowledged,
}

const MEMORIES: usize = 3;

/// How many sessions that were revoked with their subject, or with all sessions, are known by id. A
/// cookie of another one is rejected and not removed.
const MAX_KNOWN_BY_ID: usize = 10_000;

/// How often a full [`Memory::Acknowledged`] is reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct RevocationListInner {
    ids: HashMap<SessionId, [Option<RetainUntil>; MEMORIES]>,
    /// By the monotonic time until which the id is retained.
    order: [BTreeSet<(Duration, SessionId)>; MEMORIES],
    subjects: HashMap<Subject, SubjectRevocation>,
    subject_order: BTreeSet<(Duration, Subject)>,
    /// Sessions that were found to be revoked with others.
    by_id: BoundedMap<SessionId, ()>,
    /// When a full [`Memory::Acknowledged`] was last reported.
    reported_at: Option<Duration>,
    /// Counts each id in `ids`, each in `by_id`, and each subject in `subjects`.
    filter: Arc<RevocationFilter>,
    /// The issuer of this service.
    issuer: Option<Box<str>>,
}

/// The revocation of the sessions of one subject that signed in before an instant.
#[derive(Debug, Clone, Copy)]
struct SubjectRevocation {
    /// All sessions that signed in before this instant.
    all_before: Timestamp,
    /// All sessions but `except` that signed in before this instant.
    before: Timestamp,
    except: Option<SessionId>,
    /// All sessions that signed in before this instant, of other issuers too.
    of_every_issuer_before: Timestamp,
    until: RetainUntil,
}

/// The sessions that the revocation of a subject concerns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SubjectScope<'s> {
    pub(crate) subject: &'s Subject,
    /// Equal subjects of two issuers are different users. Only the operator of a service that verifies
    /// sessions of other issuers may mean all of them.
    pub(crate) of_every_issuer: bool,
}

impl<'s> SubjectScope<'s> {
    /// The sessions of the subject in the store.
    pub(crate) const fn in_store(subject: &'s Subject) -> Self {
        Self { subject, of_every_issuer: false }
    }
}

/// The time until which a revocation is retained, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetainUntil {
    wall: Timestamp,
    monotonic: Duration,
}

impl RevocationList {
    /// `issuer` is the issuer of this service, which the names of actors may refer to.
    pub(crate) fn new(capacity: usize, issuer: Option<&str>) -> Self {
        let filter = Arc::<RevocationFilter>::default();
        Self {
            capacity,
            all_before: AtomicU64::new(0),
            entries: RwLock::new(RevocationListInner::new(Arc::clone(&filter), issuer)),
            filter,
        }
    }

    /// Retains the revocation of `id`. Returns the id that was dropped if the memory was full.
    pub(crate) fn insert(
        &self,
        id: SessionId,
        memory: Memory,
        until: RetainUntil,
        now: ClockReading,
    ) -> Option<SessionId> {
        let mut entries = self.write();
        entries.prune(now);
        entries.insert(id, memory, until);
        entries.enforce_capacity(memory, self.capacity, now)
    }

    /// A store has acknowledged the revocation of `id`: it is retained until `until`, as if it came
    /// from the store; and, where the store `may_lose_writes`, in a memory of its own for as long as
    /// before. Returns an id that was dropped and the memory that was full.
    pub(crate) fn acknowledge(
        &self,
        id: SessionId,
        until: RetainUntil,
        may_lose_writes: bool,
        now: ClockReading,
    ) -> [Option<SessionId>; 2] {
        let mut entries = self.write();
        entries.prune(now);
        let Some(full) = entries.remove(id, Memory::Own) else { return [None; 2] };
        entries.insert(id, Memory::Received, until);
        let mut dropped = [None; 2];
        if may_lose_writes {
            entries.insert(id, Memory::Acknowledged, full);
            dropped[1] = entries.enforce_capacity(Memory::Acknowledged, self.capacity, now);
        }
        dropped[0] = entries.enforce_capacity(Memory::Received, self.capacity, now);
        dropped
    }

    /// Retains the revocation of the sessions of a subject that signed in before an instant, but
    /// one. Returns the subject that was dropped if the memory was full.
    pub(crate) fn insert_subject(
        &self,
        SubjectScope { subject, of_every_issuer }: SubjectScope<'_>,
        signed_in_before: Timestamp,
        except: Option<SessionId>,
        until: RetainUntil,
        now: ClockReading,
    ) -> Option<Subject> {
        let mut entries = self.write();
        entries.prune(now);
        let known = entries.subjects.get(subject).copied();
        let mut revocation = known.unwrap_or_else(|| SubjectRevocation::none(until));
        revocation.add(signed_in_before, except);
        if of_every_issuer {
            let before = revocation.of_every_issuer_before.max(signed_in_before);
            revocation.of_every_issuer_before = before;
        }
        revocation.until = revocation.until.later(until);
        entries.put_subject(subject.clone(), revocation);
        let mut dropped = None;
        if entries.subjects.len() > self.capacity
            && let Some((_, soonest)) = entries.subject_order.pop_first()
        {
            entries.remove_subject(&soonest);
            dropped = Some(soonest);
        }
        dropped
    }

    /// A store has acknowledged the revocation of `subject` before an instant, and with it of every
    /// session that the store has: it is retained until `until` only.
    pub(crate) fn acknowledge_subject(
        &self,
        subject: &Subject,
        signed_in_before: Timestamp,
        until: RetainUntil,
    ) {
        let mut entries = self.write();
        let Some(known) = entries.subjects.get(subject).copied() else { return };
        // A later one may wait for its acknowledgement.
        if known.before.max(known.all_before) <= signed_in_before {
            entries.put_subject(subject.clone(), SubjectRevocation { until, ..known });
        }
    }

    /// Revokes every session that signed in before an instant.
    pub(crate) fn revoke_all_before(&self, signed_in_before: Timestamp) {
        self.all_before.fetch_max(signed_in_before.as_unix_seconds(), Ordering::AcqRel);
    }

    /// Whether `session` is revoked: by its id, by its subject or with all sessions. From then on it
    /// is known by its id.
    #[inline]
    pub(crate) fn is_revoked(&self, session: &SessionIdentity) -> bool {
        let id = session.id();
        let all_before = self.all_before.load(Ordering::Acquire);
        let is_old = session.signed_in_at().as_unix_seconds() < all_before;
        if !is_old && !self.filter.may_include(session) {
            return false;
        }
        let is_revoked = is_old || {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            if entries.contains(id) {
                return true;
            }
            let revocation = entries.subjects.get(session.subject());
            revocation.is_some_and(|revocation| revocation.includes(session))
                || entries.includes_actor(session)
        };
        if is_revoked && !self.contains(id) {
            self.write().remember(id);
        }
        is_revoked
    }

    pub(crate) fn contains(&self, id: SessionId) -> bool {
        self.filter.may_contain(id)
            && self.entries.read().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    fn write(&self) -> RwLockWriteGuard<'_, RevocationListInner> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RetainUntil {
    /// Until `wall`, and for at least `duration` from now on: the wall clock may be wrong now.
    pub(crate) fn new(wall: Timestamp, duration: Duration, now: ClockReading) -> Self {
        Self { wall, monotonic: now.monotonic().saturating_add(duration) }
    }

    /// For `duration` from now on.
    pub(crate) fn after(duration: Duration, now: ClockReading) -> Self {
        Self::new(now.timestamp().saturating_add(duration), duration, now)
    }

    fn later(self, other: Self) -> Self {
        Self { wall: self.wall.max(other.wall), monotonic: self.monotonic.max(other.monotonic) }
    }

    fn has_passed(self, now: ClockReading) -> bool {
        now.monotonic() >= self.monotonic && now.timestamp() >= self.wall
    }
}

impl SubjectRevocation {
    const fn none(until: RetainUntil) -> Self {
        let (all_before, before) = (Timestamp::EPOCH, Timestamp::EPOCH);
        Self { all_before, before, except: None, of_every_issuer_before: Timestamp::EPOCH, until }
    }

    fn add(&mut self, before: Timestamp, except: Option<SessionId>) {
        if except.is_none() {
            self.all_before = self.all_before.max(before);
        } else if except == self.except {
            self.before = self.before.max(before);
        } else {
            // The session that one of the two revocations excepts is revoked by the other.
            self.all_before = self.all_before.max(before.min(self.before));
            if before > self.before {
                (self.before, self.except) = (before, except);
            }
        }
    }

    fn includes(&self, session: &SessionIdentity) -> bool {
        let signed_in_at = session.signed_in_at();
        let is_in_store = session.may_be_in_store();
        signed_in_at < self.of_every_issuer_before
            || (is_in_store && signed_in_at < self.all_before)
            || (is_in_store && signed_in_at < self.before && self.except != Some(session.id()))
    }
}

impl RevocationListInner {
    fn new(filter: Arc<RevocationFilter>, issuer: Option<&str>) -> Self {
        Self {
            filter,
            issuer: issuer.map(Into::into),
            ids: HashMap::new(),
            order: Default::default(),
            subjects: HashMap::new(),
            subject_order: BTreeSet::new(),
            by_id: BoundedMap::new(MAX_KNOWN_BY_ID),
            reported_at: None,
        }
    }

    fn contains(&self, id: SessionId) -> bool {
        self.ids.contains_key(&id) || self.by_id.get(&id).is_some()
    }

    /// Whether the sessions of that time of an actor of `session` were revoked: a stolen one of
    /// them may have started this session. An exception protects only the actor's own session.
    /// Sessions of the same second are included: a store lists those by id, and does not know the
    /// actor of this one.
    fn includes_actor(&self, session: &SessionIdentity) -> bool {
        session.actors().any(|actor| {
            let Some(revocation) = self.subjects.get(actor.subject()) else { return false };
            let mut before = revocation.of_every_issuer_before;
            if self.may_be_in_store(actor, session) {
                before = before.max(revocation.all_before).max(revocation.before);
            }
            before > Timestamp::EPOCH && session.signed_in_at() <= before
        })
    }

    /// Whether the sessions of `actor`, who acts in `session`, may be in the store. An actor is of the
    /// issuer of the session, unless its claim names another one.
    fn may_be_in_store(&self, actor: &Actor, session: &SessionIdentity) -> bool {
        let own = self.issuer.as_deref();
        let of_session = session.external().map_or(own, |external| Some(external.issuer()));
        match actor.issuer() {
            Some(issuer) if of_session != Some(issuer) => own == Some(issuer),
            _ => session.may_be_in_store(),
        }
    }

    fn insert(&mut self, id: SessionId, memory: Memory, until: RetainUntil) {
        let order = &mut self.order[memory as usize];
        let memories = self.ids.entry(id).or_insert_with(|| {
            self.filter.add(id.into());
            [None; MEMORIES]
        });
        let slot = &mut memories[memory as usize];
        // Revoking twice never shortens the time.
        let until = slot.map_or(until, |known| {
            order.remove(&(known.monotonic, id));
            known.later(until)
        });
        *slot = Some(until);
        order.insert((until.monotonic, id));
    }

    fn remove(&mut self, id: SessionId, memory: Memory) -> Option<RetainUntil> {
        let Entry::Occupied(mut entry) = self.ids.entry(id) else { return None };
        let until = entry.get_mut()[memory as usize].take();
        if let Some(until) = until {
            self.order[memory as usize].remove(&(until.monotonic, id));
        }
        if entry.get().iter().all(Option::is_none) {
            entry.remove();
            self.filter.remove(id.into());
        }
        until
    }

    fn put_subject(&mut self, subject: Subject, revocation: SubjectRevocation) {
        match self.subjects.insert(subject.clone(), revocation) {
            Some(known) => {
                self.subject_order.remove(&(known.until.monotonic, subject.clone()));
            }
            None => self.filter.add((&subject).into()),
        }
        self.subject_order.insert((revocation.until.monotonic, subject));
    }

    fn remove_subject(&mut self, subject: &Subject) {
        if self.subjects.remove(subject).is_some() {
            self.filter.remove(subject.into());
        }
    }

    /// Remembers by its id a session that was revoked with others.
    fn remember(&mut self, id: SessionId) {
        if self.by_id.get(&id).is_none() {
            self.filter.add(id.into());
        }
        if let Some(dropped) = self.by_id.put(id, ()) {
            self.filter.remove(dropped.into());
        }
    }

    /// Drops the entry that expires first if there are too many, and returns it if it is to be
    /// reported.
    fn enforce_capacity(
        &mut self,
        memory: Memory,
        capacity: usize,
        now: ClockReading,
    ) -> Option<SessionId> {
        let order = &self.order[memory as usize];
        if order.len() <= capacity {
            return None;
        }
        let (_, id) = *order.first()?;
        self.remove(id, memory);
        if memory == Memory::Acknowledged {
            let last = self.reported_at;
            if last.is_some_and(|last| now.monotonic() < last.saturating_add(REPORT_INTERVAL)) {
                return None;
            }
            self.reported_at = Some(now.monotonic());
        }
        Some(id)
    }

    fn prune(&mut self, now: ClockReading) {
        while let Some((_, subject)) = self.subject_order.first()
            && self.subjects.get(subject).is_none_or(|it| it.until.has_passed(now))
            && let Some((_, subject)) = self.subject_order.pop_first()
        {
            self.remove_subject(&subject);
        }
        for memory in [Memory::Received, Memory::Own, Memory::Acknowledged] {
            while let Some(&(_, id)) = self.order[memory as usize].first() {
                let until = self.ids.get(&id).and_then(|memories| memories[memory as usize]);
                if until.is_some_and(|until| !until.has_passed(now)) {
                    break;
                }
                self.order[memory as usize].pop_first();
                self.remove(id, memory);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::revocation::list::*;
    use crate::{
        engine::session::{
            attributes::SessionAttributes,
            expiry::{LifetimeOverride, SessionTimes},
            identity::{ExternalSession, SessionFlags},
        },
        random::SeededRandom,
    };

    fn at(wall: u64, monotonic: u64) -> ClockReading {
        ClockReading::new(Timestamp::from_unix_seconds(wall), Duration::from_secs(monotonic))
    }

    fn until(wall: u64, now: ClockReading) -> RetainUntil {
        let wall = Timestamp::from_unix_seconds(wall);
        RetainUntil::new(wall, wall.saturating_since(now.timestamp()), now)
    }

    fn ids<const N: usize>() -> [SessionId; N] {
        let random = SeededRandom::new(7);
        std::array::from_fn(|_| SessionId::generate(&random).unwrap())
    }

    #[test]
    fn revoked_id_is_kept_until_both_clocks_pass_its_expiry() {
        let [a, b] = ids();
        let prune_at = |now: ClockReading| {
            let set = RevocationList::new(9, None);
            set.insert(a, Memory::Own, until(1_100, at(1_000, 0)), at(1_000, 0));
            set.insert(b, Memory::Own, RetainUntil::after(Duration::MAX, now), now);
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
            bound_to_engine: true,
        };
        SessionIdentity::new(id, Subject::new(subject).unwrap(), dates, terms, None)
    }

    #[test]
    fn revoked_subject_covers_sessions_before_an_instant_except_one() {
        let [a, b, c, d] = ids();
        let set = RevocationList::new(9, None);
        let ada = || Subject::new("ada").unwrap();
        let (instant, now) = (Timestamp::from_unix_seconds, at(200, 0));
        assert!(!set.is_revoked(&session(a, "ada", 100)));
        set.insert_subject(
            SubjectScope::in_store(&ada()),
            instant(200),
            Some(b),
            until(300, now),
            now,
        );
        // An older instant undoes nothing.
        set.insert_subject(
            SubjectScope::in_store(&ada()),
            instant(150),
            None,
            until(300, now),
            now,
        );
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
        let later = at(300, 100);
        set.insert(d, Memory::Received, RetainUntil::after(Duration::MAX, later), later);
        assert!(!set.is_revoked(&session(c, "ada", 199)));
        set.revoke_all_before(instant(250));
        assert!(
            set.is_revoked(&session(c, "ada", 249)) && !set.is_revoked(&session(b, "ada", 250))
        );
    }

    #[test]
    fn revoked_subject_covers_its_impersonations_unless_the_actor_is_of_another_issuer() {
        let [a, _] = ids();
        let (own, other) = ("https://own.example", "https://other.example");
        let session = |of: Option<(&str, bool)>, actor: Actor| {
            let local = session(a, "ada", 100);
            let standing = SessionAttributes { actor: Some(actor), ..SessionAttributes::default() };
            let session = match of {
                None => local,
                Some((issuer, shares_store)) => {
                    let sid = if shares_store { a.as_str() } else { "sid" };
                    let external = ExternalSession::new(issuer.into(), sid.into());
                    let (subject, dates) = (local.subject().clone(), local.dates());
                    SessionIdentity::from_issuer(a, subject, dates, external)
                }
            };
            session.with_attributes(standing.shared())
        };
        let bob = || Actor::new(Subject::new("bob").unwrap());
        let of = |issuer| bob().issued_by(issuer);
        let carol = || Actor::new(Subject::new("carol").unwrap());
        for (own, session, expected) in [
            (None, session(None, bob()), true),
            (None, session(None, of(other)), false),
            (Some(own), session(None, bob()), true),
            (Some(own), session(None, of(own)), true),
            (Some(own), session(None, of(other)), false),
            (Some(own), session(None, carol().with_prior(bob())), true),
            (Some(own), session(None, carol().with_prior(of(other))), false),
            (Some(own), session(Some((other, true)), bob()), true),
            (Some(own), session(Some((other, true)), of(other)), true),
            (Some(own), session(Some((other, false)), bob()), false),
            (Some(own), session(Some((other, false)), of(other)), false),
            (Some(own), session(Some((other, false)), of(own)), true),
        ] {
            for (of_every_issuer, before, is_old_enough) in
                [(false, 101, true), (false, 100, true), (false, 99, false), (true, 101, true)]
            {
                let set = RevocationList::new(9, own);
                let subject = Subject::new("bob").unwrap();
                let scope = SubjectScope { subject: &subject, of_every_issuer };
                let (before, now) = (Timestamp::from_unix_seconds(before), at(400, 0));
                set.insert_subject(scope, before, None, until(900, now), now);
                let is_revoked = is_old_enough && (expected || of_every_issuer);
                assert_eq!(set.is_revoked(&session), is_revoked, "{own:?} {session:?} {before:?}");
            }
        }
    }

    #[test]
    fn later_exception_never_restores_a_revoked_session() {
        let [a, b, c] = ids();
        let instant = Timestamp::from_unix_seconds;
        let ends = [(200, None), (200, Some(b)), (300, Some(c)), (250, Some(a)), (100, None)];
        let sessions =
            [(a, 99), (a, 199), (a, 240), (b, 199), (b, 290), (c, 199), (c, 249), (c, 260)];
        // In every rotation of the order, and each twice.
        for rotation in 0..ends.len() {
            let set = RevocationList::new(9, None);
            let mut revoked: Vec<(u64, Option<SessionId>)> = Vec::new();
            for step in 0..ends.len() * 2 {
                let (before, except) = ends[(rotation + step * 2) % ends.len()];
                let subject = Subject::new("ada").unwrap();
                let until = RetainUntil::after(Duration::MAX, at(400, 0));
                set.insert_subject(
                    SubjectScope::in_store(&subject),
                    instant(before),
                    except,
                    until,
                    at(400, 0),
                );
                revoked.push((before, except));
                for (id, signed_in) in sessions {
                    // A look-up remembers the session, so each has a list of its own.
                    let fresh = RevocationList::new(9, None);
                    for (subject, revocation) in &set.write().subjects {
                        fresh.write().put_subject(subject.clone(), *revocation);
                    }
                    let expected = revoked
                        .iter()
                        .any(|(before, except)| signed_in < *before && *except != Some(id));
                    let session = session(id, "ada", signed_in);
                    assert_eq!(fresh.is_revoked(&session), expected, "{revoked:?} {signed_in}");
                }
            }
        }
    }

    #[test]
    fn revoke_all_before_an_instant_does_not_fill_the_list() {
        let set = RevocationList::new(3, None);
        set.revoke_all_before(Timestamp::from_unix_seconds(500));
        let random = SeededRandom::new(8);
        let mut others = (0..50).map(|_| SessionId::generate(&random).unwrap());
        for id in others.by_ref().take(20) {
            assert!(set.is_revoked(&session(id, "ada", 499)));
            assert!(set.contains(id), "its cookie can go");
        }
        // Single revocations are retained, and dropped in time.
        for (second, id) in (0..).zip(others) {
            let now = at(500 + second, second);
            let dropped = set.insert(id, Memory::Own, until(502 + second, now), now);
            assert_eq!(dropped, None);
        }
    }

    #[test]
    fn each_memory_drops_its_earliest_expiry_and_no_entry_of_another() {
        let random = SeededRandom::new(9);
        let ids: Vec<_> = (0..8).map(|_| SessionId::generate(&random).unwrap()).collect();
        let (set, now) = (RevocationList::new(2, None), at(100, 0));
        let insert = |n: usize, memory, second| set.insert(ids[n], memory, until(second, now), now);
        assert_eq!(insert(0, Memory::Own, 90_000), None);
        assert_eq!(insert(1, Memory::Own, 80_000), None);
        for n in 2..4 {
            assert_eq!(insert(n, Memory::Received, 130), None, "own revocations displace none");
        }
        assert_eq!(insert(4, Memory::Own, 85_000), Some(ids[1]));
        assert_eq!(insert(5, Memory::Received, 160), Some(ids[2].min(ids[3])));
        let subject = |name: &str| Subject::new(name).unwrap();
        let revoke = |name: &str, second| {
            let before = Timestamp::from_unix_seconds(100);
            set.insert_subject(
                SubjectScope::in_store(&subject(name)),
                before,
                None,
                until(second, now),
                now,
            )
        };
        assert_eq!([revoke("ada", 500), revoke("bob", 400)], [None, None]);
        assert_eq!(revoke("carol", 450), Some(subject("bob")));
        assert!(set.contains(ids[0]) && set.contains(ids[4]) && set.contains(ids[5]));
    }

    /// Entries of the feed are needed for a minute, and own revocations without an acknowledgement
    /// for days: the second must not fill the memory of the first.
    #[test]
    fn acknowledged_revocation_is_retained_as_long_as_a_received_one() {
        let [a, b] = ids();
        for may_lose_writes in [false, true] {
            let set = RevocationList::new(9, None);
            let now = at(100, 0);
            set.insert(a, Memory::Own, until(90_000, now), now);
            let dropped = set.acknowledge(a, until(160, now), may_lose_writes, now);
            assert_eq!(dropped, [None; 2]);
            assert_eq!(set.acknowledge(b, until(160, now), true, now), [None; 2]);
            assert!(set.contains(a) && !set.contains(b), "b was not revoked here");
            let later = at(170, 70);
            set.insert(b, Memory::Own, until(900, later), later);
            assert_eq!(set.contains(a), may_lose_writes, "a failover may lose it");
        }
        let set = RevocationList::new(1, None);
        let mut reported = Vec::new();
        for second in 0..200 {
            let (id, now) = (ids::<200>()[second], at(1_000 + second as u64, second as u64));
            set.insert(id, Memory::Own, until(90_000, now), now);
            let [received, acknowledged] = set.acknowledge(id, until(1_000, now), true, now);
            assert_eq!(received, None);
            reported.extend(acknowledged.map(|_| second));
        }
        assert_eq!(reported, [1, 61, 121, 181], "a full memory is reported once a minute");
    }

    #[test]
    fn acknowledged_revocation_of_a_subject_is_shortened_unless_a_later_one_waits() {
        let [a, b] = ids();
        let (ada, instant) = (Subject::new("ada").unwrap(), Timestamp::from_unix_seconds);
        for (acknowledged, is_shortened) in [(99, false), (100, true), (101, true)] {
            let (set, now) = (RevocationList::new(9, None), at(100, 0));
            let scope = SubjectScope::in_store(&ada);
            set.insert_subject(scope, instant(100), None, until(900, now), now);
            set.acknowledge_subject(&ada, instant(acknowledged), until(160, now));
            let later = at(170, 70);
            set.insert(b, Memory::Own, until(900, later), later);
            assert_eq!(set.is_revoked(&session(a, "ada", 50)), !is_shortened, "{acknowledged}");
        }
    }

    #[test]
    fn session_that_shares_its_counters_with_a_revoked_one_is_not_contained() {
        let random = SeededRandom::new(12);
        let mut ids = std::iter::repeat_with(|| SessionId::generate(&random).unwrap());
        let (set, now) = (RevocationList::new(9_999, None), at(100, 0));
        for id in ids.by_ref().take(5_000) {
            set.insert(id, Memory::Own, until(900, now), now);
        }
        let alike = ids.find(|id| set.filter.may_contain(*id)).unwrap();
        assert!(!set.contains(alike) && !set.is_revoked(&session(alike, "ada", 50)));
    }

    #[test]
    fn session_revoked_while_the_wall_clock_is_ahead_stays_revoked() {
        let [a, b] = ids();
        let set = RevocationList::new(9, None);
        // Revoked ten days ahead, when the limits of the session seem to have passed.
        let ahead = at(864_000, 50);
        let until = RetainUntil::new(
            Timestamp::from_unix_seconds(90_000),
            Duration::from_secs(89_000),
            ahead,
        );
        set.insert(a, Memory::Own, until, ahead);
        set.insert(b, Memory::Own, until, ahead);
        let corrected = at(1_100, 60);
        set.insert(b, Memory::Own, until, corrected);
        assert!(set.contains(a));
    }

    #[test]
    fn session_revoked_twice_keeps_the_later_expiry() {
        let [a, b] = ids();
        let set = RevocationList::new(9, None);
        let now = at(100, 0);
        set.insert(a, Memory::Own, until(900, now), now);
        set.insert(a, Memory::Own, until(200, now), now);
        let later = at(500, 400);
        set.insert(b, Memory::Own, RetainUntil::after(Duration::MAX, later), later);
        assert!(set.contains(a));
    }

    #[test]
    fn lookup_of_a_session_that_was_not_revoked_takes_no_lock() {
        let set = Arc::new(RevocationList::new(9, None));
        let [a, b, c] = ids();
        let now = at(400, 0);
        let always = RetainUntil::after(Duration::MAX, now);
        set.insert(a, Memory::Own, always, now);
        set.insert_subject(
            SubjectScope::in_store(&Subject::new("ada").unwrap()),
            now.timestamp(),
            None,
            always,
            now,
        );
        assert!(set.is_revoked(&session(b, "ada", 100)));
        let (sender, receiver) = std::sync::mpsc::channel();
        let held = set.write();
        let reader = std::thread::spawn({
            let set = Arc::clone(&set);
            move || sender.send(set.is_revoked(&session(c, "bob", 100)))
        });
        let is_revoked = receiver.recv_timeout(Duration::from_secs(60));
        drop(held);
        assert_eq!(is_revoked, Ok(false));
        reader.join().unwrap().unwrap();
    }

    #[test]
    fn filter_counts_what_the_list_contains() {
        let random = SeededRandom::new(11);
        let ids: Vec<_> = (0..60).map(|_| SessionId::generate(&random).unwrap()).collect();
        let subjects = ["ada", "bob", "cleo", "dan", "eve", "fay", "gus", "hal"];
        let set = RevocationList::new(5, None);
        for step in 0..600_usize {
            let now = at(1_000 + step as u64, step as u64);
            let id = ids[step * 7 % ids.len()];
            let until = RetainUntil::after(Duration::from_secs(step as u64 % 13), now);
            match step % 4 {
                0 => drop(set.insert(id, Memory::Own, until, now)),
                1 => drop(set.insert(id, Memory::Received, until, now)),
                2 => drop(set.acknowledge(id, until, step % 3 == 0, now)),
                _ => {
                    let subject = Subject::new(subjects[step * 5 % subjects.len()]).unwrap();
                    set.insert_subject(
                        SubjectScope::in_store(&subject),
                        now.timestamp(),
                        None,
                        until,
                        now,
                    );
                    set.is_revoked(&session(id, subjects[step % subjects.len()], 999));
                }
            }
            let entries = set.write();
            for id in &ids {
                assert!(!entries.contains(*id) || set.filter.may_contain(*id), "step {step}");
            }
            for subject in entries.subjects.keys() {
                assert!(set.filter.may_include(&session(ids[0], subject.as_str(), 1)));
            }
        }
        // After the last entry was dropped, no key is counted.
        let later = at(1_000_000, 1_000_000);
        let mut entries = set.write();
        entries.prune(later);
        let remembered: Vec<_> = ids.iter().filter(|id| entries.by_id.get(id).is_some()).collect();
        assert!(entries.ids.is_empty() && entries.subjects.is_empty() && remembered.len() > 5);
        for id in ids.iter().filter(|id| !remembered.contains(id)) {
            assert!(!set.filter.may_include(&session(*id, "ada", 1)), "{id}");
        }
    }
}
