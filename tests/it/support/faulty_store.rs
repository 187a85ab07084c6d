//! A store with injected faults that records its calls.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tower_auth_session::{
    Subject,
    store::{
        CreateOutcome, FeedPage, FeedStart, MemoryStore, PageCursor, RenewOutcome, RenewRequest,
        Revoke, RevokeScope, SessionKey, SessionPage, SessionRecord, SessionStore, StoreError,
        StoreFuture, SubjectLimit,
    },
    time::Timestamp,
};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// No connection.
    Refused,
    /// The call never returns.
    Hangs,
    /// The call returns after this time.
    Slow(Duration),
    /// The write succeeds, and the call never returns.
    WritesAndHangs,
    /// The write succeeds, and the connection breaks.
    WritesAndFails,
    /// Reads succeed, writes fail: a replica, or a full disk.
    ReadOnly,
    /// A record that cannot be read.
    Corrupt,
    /// Every other call fails.
    Flapping,
    /// The record of another subject is returned.
    OtherSubject,
    /// The store ignores lineages, as one that does not know them.
    NoLineage,
    /// The store ignores device keys, as one that does not know them.
    NoBinding,
    /// The session id exists already.
    Conflict,
    /// A call fails the test.
    Panics,
}

/// A [`MemoryStore`] behind a [`Fault`]. Clones share both.
#[derive(Debug, Clone)]
pub(crate) struct FaultyStore {
    pub(crate) memory: MemoryStore,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    /// Faults of single operations.
    faults: BTreeMap<&'static str, Fault>,
    calls: Vec<&'static str>,
    in_flight: usize,
    max_in_flight: usize,
}

impl FaultyStore {
    pub(crate) fn new() -> Self {
        let state = State {
            fault: Fault::None,
            faults: BTreeMap::new(),
            calls: Vec::new(),
            in_flight: 0,
            max_in_flight: 0,
        };
        Self { memory: MemoryStore::new(), state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn set(&self, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        state.fault = fault;
        state.faults.clear();
    }

    /// Sets the fault of one operation, until the next call of [`Self::set`].
    pub(crate) fn set_for(&self, name: &'static str, fault: Fault) {
        self.state.lock().unwrap().faults.insert(name, fault);
    }

    /// The operations since the last call, except reading the feed and deleting expired sessions.
    pub(crate) fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    /// The maximum number of calls that ran at the same time.
    pub(crate) fn max_in_flight(&self) -> usize {
        self.state.lock().unwrap().max_in_flight
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        name: &'static str,
        is_write: bool,
        real: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        let (fault, number) = {
            let mut state = self.state.lock().unwrap();
            state.calls.push(name);
            (state.fault_of(name), state.calls.len())
        };
        Box::pin(async move {
            let _in_flight = InFlight::new(self);
            match fault {
                Fault::None | Fault::OtherSubject | Fault::NoLineage | Fault::NoBinding => {
                    real.await
                }
                Fault::Refused => Err(StoreError::unavailable("connection refused")),
                Fault::Hangs => std::future::pending().await,
                Fault::Slow(time) => {
                    tokio::time::sleep(time).await;
                    real.await
                }
                Fault::WritesAndHangs => {
                    let _ = real.await;
                    std::future::pending().await
                }
                Fault::WritesAndFails => {
                    let _ = real.await;
                    Err(StoreError::unavailable("connection reset"))
                }
                Fault::ReadOnly if is_write => Err(StoreError::unavailable("read only")),
                Fault::ReadOnly => real.await,
                Fault::Corrupt => Err(StoreError::Corrupt("an unknown version")),
                Fault::Flapping if number % 2 == 1 => Err(StoreError::unavailable("flapping")),
                Fault::Flapping => real.await,
                Fault::Conflict => Err(StoreError::Conflict),
                Fault::Panics => panic!("{name}: unexpected call"),
            }
        })
    }
}

fn with_subject_mallory(mut record: SessionRecord) -> SessionRecord {
    record.subject = Subject::new("mallory").unwrap();
    record
}

impl State {
    fn fault_of(&self, name: &str) -> Fault {
        self.faults.get(name).copied().unwrap_or(self.fault)
    }
}

struct InFlight<'a>(&'a FaultyStore);

impl<'a> InFlight<'a> {
    fn new(store: &'a FaultyStore) -> Self {
        let mut state = store.state.lock().unwrap();
        state.in_flight += 1;
        state.max_in_flight = state.max_in_flight.max(state.in_flight);
        Self(store)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().in_flight -= 1;
    }
}

impl SessionStore for FaultyStore {
    fn create<'a>(
        &'a self,
        session: &'a SessionRecord,
        limit: Option<SubjectLimit>,
    ) -> StoreFuture<'a, CreateOutcome> {
        self.call("create", true, self.memory.create(session, limit))
    }

    fn load<'a>(
        &'a self,
        keys: &'a [SessionKey],
        now: Timestamp,
    ) -> StoreFuture<'a, Vec<Option<SessionRecord>>> {
        let real = self.memory.load(keys, now);
        let other_subject = self.state.lock().unwrap().fault_of("load") == Fault::OtherSubject;
        let real: StoreFuture<'a, Vec<Option<SessionRecord>>> = if other_subject {
            let wrong = |found: Option<SessionRecord>| found.map(with_subject_mallory);
            Box::pin(async move { Ok(real.await?.into_iter().map(wrong).collect()) })
        } else {
            real
        };
        self.call("load", false, real)
    }

    fn renew<'a>(
        &'a self,
        key: &'a SessionKey,
        renewal: RenewRequest,
    ) -> StoreFuture<'a, RenewOutcome> {
        let mut renewal = renewal;
        match self.state.lock().unwrap().fault_of("renew") {
            Fault::NoLineage => renewal.lineage = None,
            Fault::NoBinding => renewal.device_key = None,
            _ => {}
        }
        let real = self.memory.renew(key, renewal);
        let other_subject = self.state.lock().unwrap().fault_of("renew") == Fault::OtherSubject;
        let real: StoreFuture<'a, RenewOutcome> = if other_subject {
            Box::pin(async move {
                Ok(match real.await? {
                    RenewOutcome::Active(record) => {
                        RenewOutcome::Active(with_subject_mallory(record))
                    }
                    other => other,
                })
            })
        } else {
            real
        };
        self.call("renew", true, real)
    }

    fn revoke<'a>(&'a self, key: &'a SessionKey, ending: Revoke) -> StoreFuture<'a, ()> {
        self.call("end", true, self.memory.revoke(key, ending))
    }

    fn revoke_many<'a>(&'a self, ends: &'a RevokeScope) -> StoreFuture<'a, u64> {
        self.call("end_all", true, self.memory.revoke_many(ends))
    }

    fn list<'a>(
        &'a self,
        subject: &'a Subject,
        now: Timestamp,
        after: Option<PageCursor>,
        limit: usize,
    ) -> StoreFuture<'a, SessionPage> {
        self.call("sessions_of", false, self.memory.list(subject, now, after, limit))
    }

    fn delete_expired(&self, now: Timestamp, limit: usize) -> StoreFuture<'_, u64> {
        self.memory.delete_expired(now, limit)
    }

    fn may_lose_acknowledged_writes(&self) -> bool {
        self.memory.may_lose_acknowledged_writes()
    }

    fn poll_revocations<'a>(
        &'a self,
        from: &'a FeedStart,
        wait: Duration,
    ) -> StoreFuture<'a, FeedPage> {
        let fault = self.state.lock().unwrap().fault_of("revocations");
        let real = self.memory.poll_revocations(from, wait);
        if matches!(fault, Fault::None | Fault::ReadOnly | Fault::OtherSubject | Fault::Corrupt) {
            return real;
        }
        Box::pin(async { Err(StoreError::unavailable("no feed")) })
    }
}
