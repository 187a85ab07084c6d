use std::{sync::Arc, time::Duration};

use crate::{
    engine::session::id::SessionId,
    random::SeededRandom,
    store::{contract, feed::Revocation, memory::*},
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

#[tokio::test]
async fn memory_store_passes_the_store_contract() {
    let tenants = [MemoryStore::new(), MemoryStore::new()];
    contract::check(async |tenant| Arc::new(tenants[tenant].clone()) as Arc<dyn SessionStore>)
        .await;
}

fn sessions(most: u64) -> impl Iterator<Item = SessionRecord> {
    let random = SeededRandom::new(11);
    (0..most).map(move |n| {
        let subject = Subject::new(format!("user {}", n / 2)).unwrap();
        let id = SessionId::generate(&random).unwrap();
        SessionRecord::new(id, subject, at(1_000), at(2_000 + n % 7))
    })
}

#[tokio::test]
async fn full_memory_store_rejects_new_sessions_and_keeps_existing_ones() {
    let store = MemoryStore::with_capacity(3);
    let all: Vec<_> = sessions(5).collect();
    for session in &all[..3] {
        store.create(session, None).await.unwrap();
    }
    let refused = store.create(&all[3], None).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    let keys: Vec<_> = all.iter().map(SessionRecord::key).collect();
    let found = store.load(&keys, at(1_500)).await.unwrap();
    assert_eq!(found.iter().flatten().count(), 3);
    // Expired sessions are deleted to make room.
    let mut later = all[4].clone();
    (later.signed_in_at, later.expires_at) = (at(2_001), at(3_000));
    store.create(&later, None).await.unwrap();
    assert_eq!(store.len(), 3);
}

#[tokio::test]
async fn revoke_all_ends_every_session() {
    let store = MemoryStore::new();
    let all: Vec<_> = sessions(4).collect();
    for session in &all {
        store.create(session, None).await.unwrap();
    }
    store.revoke_many(&RevokeScope::all(at(1_100), at(1_001))).await.unwrap();
    for session in &all {
        let renewal = RenewRequest::new(at(1_100), at(1_100), at(2_100));
        assert_eq!(store.renew(&session.key(), renewal).await.unwrap(), RenewOutcome::Revoked);
    }
    let page = store.poll_revocations(&FeedStart::At(at(1_100)), Duration::ZERO).await.unwrap();
    assert_eq!(page.revocations, [Revocation::all(at(1_001))]);
}

#[tokio::test]
async fn trimmed_feed_reports_a_gap() {
    let store = MemoryStore::new();
    let [one, two] = [0, 1].map(|n| sessions(2).nth(n).unwrap());
    store.revoke(&one.key(), Revoke::new(at(1_000), at(2_000))).await.unwrap();
    let start = FeedStart::After(crate::store::feed::FeedCursor::new("0"));
    let all = store.poll_revocations(&start, Duration::ZERO).await.unwrap();
    assert_eq!((all.revocations.len(), all.has_gap), (1, false));
    store.revoke(&two.key(), Revoke::new(at(9_000), at(9_500))).await.unwrap();
    store.delete_expired(at(9_000), 10).await.unwrap();
    for (from, is_gap) in [
        (start, true),
        (FeedStart::At(at(1_000)), true),
        (FeedStart::At(at(1_001)), false),
        (FeedStart::After(all.position), false),
    ] {
        let page = store.poll_revocations(&from, Duration::ZERO).await.unwrap();
        assert_eq!(page.has_gap, is_gap, "{from:?}");
        assert_eq!(page.revocations, [Revocation::Session(two.id)], "{from:?}");
    }
}

#[tokio::test]
async fn million_expired_sessions_are_deleted_in_batches() {
    let store = MemoryStore::with_capacity(1_000_000);
    for session in sessions(1_000_000) {
        store.create(&session, None).await.unwrap();
    }
    assert_eq!(store.len(), 1_000_000);
    let mut deleted = 0;
    loop {
        let some = store.delete_expired(at(3_000), 50_000).await.unwrap();
        deleted += some;
        if some < 50_000 {
            break;
        }
    }
    assert_eq!((deleted, store.len()), (1_000_000, 0));
}
