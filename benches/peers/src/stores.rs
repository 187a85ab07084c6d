//! Stores that count how often they are asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tower_auth_session::{
    Subject, Timestamp,
    store::{
        CreateOutcome, RevokeScope, Revoke, FeedStart, FeedPage, MemoryStore, PageCursor, RenewRequest, RenewOutcome,
        SessionKey, SessionPage, SessionRecord, SessionStore, StoreFuture, SubjectLimit,
    },
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
    /// How often it was asked since the last time.
    pub(crate) fn take(&self) -> usize {
        self.count.swap(0, Relaxed)
    }

    fn asked(&self) -> &S {
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
        self.asked().create(session, limit)
    }

    fn load<'a>(
        &'a self,
        keys: &'a [SessionKey],
        now: Timestamp,
    ) -> StoreFuture<'a, Vec<Option<SessionRecord>>> {
        self.asked().load(keys, now)
    }

    fn renew<'a>(&'a self, key: &'a SessionKey, renewal: RenewRequest) -> StoreFuture<'a, RenewOutcome> {
        self.asked().renew(key, renewal)
    }

    fn end<'a>(&'a self, key: &'a SessionKey, ending: Revoke) -> StoreFuture<'a, ()> {
        self.asked().end(key, ending)
    }

    fn end_all<'a>(&'a self, ends: &'a RevokeScope) -> StoreFuture<'a, u64> {
        self.asked().end_all(ends)
    }

    fn sessions_of<'a>(
        &'a self,
        subject: &'a Subject,
        now: Timestamp,
        after: Option<PageCursor>,
        limit: usize,
    ) -> StoreFuture<'a, SessionPage> {
        self.asked().sessions_of(subject, now, after, limit)
    }

    fn delete_expired(&self, now: Timestamp, limit: usize) -> StoreFuture<'_, u64> {
        self.asked().delete_expired(now, limit)
    }

    fn revocations<'a>(&'a self, from: &'a FeedStart, wait: Duration) -> StoreFuture<'a, FeedPage> {
        self.asked().revocations(from, wait)
    }
}

#[async_trait::async_trait]
impl<S: tower_sessions::SessionStore> tower_sessions::SessionStore for Counted<S> {
    async fn create(&self, record: &mut Record) -> Result<()> {
        self.asked().create(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.asked().save(record).await
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        self.asked().load(id).await
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.asked().delete(id).await
    }
}
