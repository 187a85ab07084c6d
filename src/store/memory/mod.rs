//! [`MemoryStore`]: sessions in this process, for tests and for services with one process.

pub(crate) mod feed;
pub(crate) mod tables;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use self::tables::Tables;
use super::{
    SessionStore, StoreFuture,
    error::StoreError,
    feed::{FeedPage, FeedStart},
    record::{SessionKey, SessionRecord},
    types::{
        CreateOutcome, PageCursor, RenewOutcome, RenewRequest, Revoke, RevokeScope, SessionPage,
        SubjectLimit,
    },
};
use crate::{engine::session::id::Subject, time::Timestamp};

/// Sessions in the memory of this process, about 500 bytes each. They are lost when it ends: all users
/// are then signed out, within `renew_after`.
///
/// Clones share the sessions. The store is bounded: if it is full of active sessions, sign-ins are
/// refused ([`StoreError::Unavailable`]) and no user is signed out.
///
/// ```
/// use tower_auth_session::{SessionEngine, SessionLayer, store::MemoryStore};
///
/// fn layer(engine: SessionEngine) -> (SessionLayer, MemoryStore) {
///     let store = MemoryStore::new(); // or `with_capacity` for another bound
///     (SessionLayer::new(engine).store(store.clone()), store)
/// }
///
/// let small = MemoryStore::with_capacity(1_000);
/// assert!(small.is_empty() && small.len() == 0);
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<MemoryInner>);

struct MemoryInner {
    shelf: Mutex<Tables>,
    published: Notify,
}

impl MemoryStore {
    /// The default capacity in sessions.
    pub const DEFAULT_CAPACITY: usize = 1_000_000;

    /// An empty store for [`DEFAULT_CAPACITY`](Self::DEFAULT_CAPACITY) sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(Self::DEFAULT_CAPACITY)
    }

    /// An empty store for `capacity` sessions, including revoked ones that must be remembered.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let shelf = Mutex::new(Tables::new(capacity));
        Self(Arc::new(MemoryInner { shelf, published: Notify::new() }))
    }

    /// The number of records, including those of revoked sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shelf().len()
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shelf(&self) -> MutexGuard<'_, Tables> {
        // A poisoned lock leaves the tables consistent: no foreign code runs under it.
        self.0.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` synchronously.
    fn now<'a, T: Send + 'a>(
        &'a self,
        work: impl FnOnce(&mut Tables) -> Result<T, StoreError> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move { work(&mut self.shelf()) })
    }

    fn notify_readers<T>(&self, outcome: T) -> T {
        self.0.published.notify_waiters();
        outcome
    }
}

impl SessionStore for MemoryStore {
    fn create<'a>(
        &'a self,
        session: &'a SessionRecord,
        limit: Option<SubjectLimit>,
    ) -> StoreFuture<'a, CreateOutcome> {
        self.now(move |shelf| {
            shelf.create(session, limit).map(|created| self.notify_readers(created))
        })
    }

    fn load<'a>(
        &'a self,
        keys: &'a [SessionKey],
        now: Timestamp,
    ) -> StoreFuture<'a, Vec<Option<SessionRecord>>> {
        self.now(move |shelf| keys.iter().map(|key| shelf.find(key, now)).collect())
    }

    fn renew<'a>(
        &'a self,
        key: &'a SessionKey,
        renewal: RenewRequest,
    ) -> StoreFuture<'a, RenewOutcome> {
        self.now(move |shelf| shelf.renew(key, renewal))
    }

    fn revoke<'a>(&'a self, key: &'a SessionKey, ending: Revoke) -> StoreFuture<'a, ()> {
        self.now(move |shelf| shelf.revoke(key, ending).map(|()| self.notify_readers(())))
    }

    fn revoke_many<'a>(&'a self, ends: &'a RevokeScope) -> StoreFuture<'a, u64> {
        self.now(move |shelf| Ok(self.notify_readers(shelf.revoke_many(ends))))
    }

    fn list<'a>(
        &'a self,
        subject: &'a Subject,
        now: Timestamp,
        after: Option<PageCursor>,
        limit: usize,
    ) -> StoreFuture<'a, SessionPage> {
        self.now(move |shelf| Ok(shelf.list(subject, now, after, limit)))
    }

    fn delete_expired(&self, now: Timestamp, limit: usize) -> StoreFuture<'_, u64> {
        self.now(move |shelf| Ok(shelf.delete_expired(now, limit)))
    }

    fn may_lose_acknowledged_writes(&self) -> bool {
        false
    }

    fn poll_revocations<'a>(
        &'a self,
        from: &'a FeedStart,
        wait: Duration,
    ) -> StoreFuture<'a, FeedPage> {
        Box::pin(async move {
            let published = self.0.published.notified();
            tokio::pin!(published);
            // Registered before the first read, so that no revocation in between is missed.
            published.as_mut().enable();
            let page = self.shelf().feed.read(from);
            if !page.revocations.is_empty() || page.has_gap || wait.is_zero() {
                return Ok(page);
            }
            let _ = tokio::time::timeout(wait, published).await;
            Ok(self.shelf().feed.read(&FeedStart::After(page.position)))
        })
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("sessions", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests;
