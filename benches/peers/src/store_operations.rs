//! Counts the store operations of a series of requests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http::StatusCode;
use tower::{Layer as _, Service as _, service_fn};
use tower_auth_session::{
    Algorithm, SessionLayer, SessionLifetime, Subject,
    store::{
        CreateOutcome, FeedPage, FeedStart, MemoryStore, PageCursor, RenewOutcome, RenewRequest,
        Revoke, RevokeScope, SessionKey, SessionPage, SessionRecord, SessionStore, StoreFuture,
        SubjectLimit,
    },
    testing::ManualClock,
    time::Timestamp,
};
use tower_sessions::{
    session::{Id, Record},
    session_store::Result,
};

use crate::{
    measure::{self, signed_in},
    sites,
};

const REQUESTS: u32 = 1_000;

#[derive(Debug, Clone, Default)]
struct Counted<S> {
    store: S,
    count: Arc<AtomicUsize>,
}

impl<S> Counted<S> {
    /// The number of operations since the last call.
    fn take(&self) -> usize {
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

pub(crate) async fn store_operations() {
    println!("\n## Store operations\n");
    println!("1,000 requests of one session within 100 seconds, all of them user activity.\n");
    println!("| | operations |\n|---|--:|");
    let start = Timestamp::from_unix_seconds(1_800_000_000);
    for renew_after in [60, 10] {
        let clock = ManualClock::at(start);
        let engine = sites::engine(sites::ring(Algorithm::Hs256), |it| {
            let renew_after = Duration::from_secs(renew_after);
            it.lifetime(SessionLifetime::new().renew_after(renew_after))
        });
        let store = Counted::<MemoryStore>::default();
        let layer = SessionLayer::new(engine).clock(clock.clone()).store(store.clone());
        let mut service = layer.layer(service_fn(sites::this_crate_with_sign_in));
        let answer = service.call(measure::sign_in_request()).await.unwrap();
        let mut cookie = measure::cookies_of(&answer);
        store.take();
        for _ in 0..REQUESTS {
            clock.advance(Duration::from_millis(100));
            let answer = service.call(measure::request(cookie.as_deref())).await.unwrap();
            assert_eq!(answer.status(), StatusCode::ACCEPTED);
            cookie = measure::cookies_of(&answer).or(cookie);
        }
        println!("| this crate, `renew_after` of {renew_after} s | {} |", store.take());
    }
    for (name, always) in [("one key read", false), ("sliding (`always_save`)", true)] {
        let store = Counted::<tower_sessions::MemoryStore>::default();
        let layer =
            tower_sessions::SessionManagerLayer::new(store.clone()).with_always_save(always);
        let mut service = layer.layer(service_fn(sites::tower_sessions));
        let cookie = signed_in(&mut service);
        store.take();
        for _ in 0..REQUESTS {
            let answer = service.call(measure::request(cookie.as_deref())).await.unwrap();
            assert_eq!(answer.status(), StatusCode::ACCEPTED);
        }
        println!("| tower-sessions 0.15, {name} | {} |", store.take());
    }
}
