//! Stores that count their operations.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tower_auth_session::{
    Subject,
    store::{
        CreateOutcome, FeedPage, FeedStart, MemoryStore, PageCursor, RenewOutcome, RenewRequest,
        Revoke, RevokeScope, SessionKey, SessionPage, SessionRecord, SessionStore, StoreFuture,
        SubjectLimit,
    },
    time::Timestamp,
};
use tower_sessions::{
    session::{Id, Record},
    session_store::Result,
};

#[derive(Debug, Clone, Default)]
pub(crate) struct Counted<S> {
    store: S,
    count: Arc<AtomicUsize>,
}

impl<S> Counted<S> {
    /// The number of operations since the last call.
    pub(crate) fn take(&self) -> usize {
        self.count.swap(0, Relaxed)
    }

    fn count(&self) -> &S {
        self.count.fetch_add(1, Relaxed);
        &self.store
    }
}

impl SessionStore for Counted<MemoryStore> {
    fn create<'a>(
        &'a self,
        session: &'a SessionRecord,
        limit: Option<SubjectLimit>,
    ) -> StoreFuture<'a, CreateOutcome> {
        self.count().create(session, limit)
    }

    fn load<'a>(
        &'a self,
        keys: &'a [SessionKey],
        now: Timestamp,
    ) -> StoreFuture<'a, Vec<Option<SessionRecord>>> {
        self.count().load(keys, now)
    }

    fn renew<'a>(
        &'a self,
        key: &'a SessionKey,
        renewal: RenewRequest,
    ) -> StoreFuture<'a, RenewOutcome> {
        self.count().renew(key, renewal)
    }

    fn revoke<'a>(&'a self, key: &'a SessionKey, ending: Revoke) -> StoreFuture<'a, ()> {
        self.count().revoke(key, ending)
    }

    fn revoke_many<'a>(&'a self, ends: &'a RevokeScope) -> StoreFuture<'a, u64> {
        self.count().revoke_many(ends)
    }

    fn list<'a>(
        &'a self,
        subject: &'a Subject,
        now: Timestamp,
        after: Option<PageCursor>,
        limit: usize,
    ) -> StoreFuture<'a, SessionPage> {
        self.count().list(subject, now, after, limit)
    }

    fn delete_expired(&self, now: Timestamp, limit: usize) -> StoreFuture<'_, u64> {
        self.count().delete_expired(now, limit)
    }

    fn poll_revocations<'a>(
        &'a self,
        from: &'a FeedStart,
        wait: Duration,
    ) -> StoreFuture<'a, FeedPage> {
        self.count().poll_revocations(from, wait)
    }
}

#[async_trait::async_trait]
impl<S: tower_sessions::SessionStore> tower_sessions::SessionStore for Counted<S> {
    async fn create(&self, record: &mut Record) -> Result<()> {
        self.count().create(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.count().save(record).await
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        self.count().load(id).await
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.count().delete(id).await
    }
}
