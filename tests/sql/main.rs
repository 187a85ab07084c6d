//! The SQL stores. SQLite needs no server; PostgreSQL is found by `TEST_POSTGRES_URL`, which
//! `scripts/servers run` sets.
#![cfg(all(feature = "test-util", any(feature = "sqlite", feature = "postgres")))]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod damage;
#[cfg(feature = "sqlite")]
mod group_commit;
#[cfg(all(feature = "sqlite", unix))]
mod kill;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{error::Error, time::Duration};

use tower_auth_session::{
    SessionId, Subject,
    engine::OsRandom,
    store::{
        CreateOutcome, FeedPage, FeedStart, RenewOutcome, RenewRequest, Revoke, SessionRecord,
        SessionStore, StoreError,
    },
    time::Timestamp,
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

/// A session of a new subject, from 1000 to 2000.
fn session() -> SessionRecord {
    let id = SessionId::generate(&OsRandom::default()).unwrap();
    SessionRecord::new(id, Subject::new(format!("ada {id}")).unwrap(), at(1_000), at(2_000))
}

async fn sign_in(store: &dyn SessionStore) -> SessionRecord {
    let session = session();
    let created = store.create(&session, None).await.unwrap();
    assert_eq!(created, CreateOutcome::Created { ended: Vec::new() });
    session
}

async fn renew(
    store: &dyn SessionStore,
    session: &SessionRecord,
) -> Result<RenewOutcome, StoreError> {
    store.renew(&session.key(), RenewRequest::new(at(1_500), at(1_500), at(2_500))).await
}

async fn revoke(store: &dyn SessionStore, session: &SessionRecord) {
    store.revoke(&session.key(), Revoke::new(at(1_500), at(2_500))).await.unwrap();
}

async fn read(store: &dyn SessionStore, from: FeedStart) -> FeedPage {
    store.poll_revocations(&from, Duration::ZERO).await.unwrap()
}

/// The text of an error and its sources.
fn error_text(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    text
}

async fn check_migration_is_required(store: &dyn SessionStore) {
    let (session, all) = (session(), FeedStart::At(at(0)));
    let ending = Revoke::new(at(1_500), at(2_500));
    let keys = [session.key()];
    for result in [
        store.create(&session, None).await.err(),
        store.load(&keys, at(1_500)).await.err(),
        renew(store, &session).await.err(),
        store.revoke(&keys[0], ending).await.err(),
        store.list(&session.subject, at(1_500), None, 9).await.err(),
        store.delete_expired(at(1_500), 9).await.err(),
        store.poll_revocations(&all, Duration::ZERO).await.err(),
    ] {
        let error = result.expect("there are no tables");
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(error_text(&error).contains("migrate()"), "{error:?}");
    }
}
