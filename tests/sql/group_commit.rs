//! Writes of SQLite that share a commit: each gets its own result, and none is acknowledged unless
//! it was committed.
//!
//! Writes that begin together on one thread share a transaction: the task that runs them starts when
//! all of them wait.

use std::path::Path;

use futures::future::{join, join_all};
use sqlx::AssertSqlSafe;
use tower_auth_session::store::{
    CreateOutcome, FeedStart, RenewOutcome, SessionRecord, SessionStore as _, SqliteStore,
    StoreError, SubjectLimit, SubjectLimitPolicy,
};

use super::{
    at, error_text, read, renew, revoke, session, sign_in,
    sqlite::{Folder, open},
};

async fn sign_in_many(store: &SqliteStore, count: usize) -> Vec<SessionRecord> {
    let mut sessions = Vec::new();
    for _ in 0..count {
        sessions.push(sign_in(store).await);
    }
    sessions
}

/// Runs statements on the file itself.
async fn change(path: &Path, statements: String) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&pool).await.unwrap();
    pool.close().await;
}

fn is_active(outcome: &Result<RenewOutcome, StoreError>) -> bool {
    matches!(outcome, Ok(RenewOutcome::Active(_)))
}

#[tokio::test]
async fn writes_that_wait_together_get_their_own_results() {
    let folder = Folder::new();
    let store = open(&folder.file()).await;
    let sessions = sign_in_many(&store, 200).await;
    let start = read(&store, FeedStart::At(at(0))).await.position;
    let (taken, unknown) = (sessions[0].clone(), session());
    let mut full =
        SessionRecord::new(session().id, sessions[1].subject.clone(), at(1_001), at(2_000));
    full.last_active_at = at(1_001);
    let limit = SubjectLimit::new(1, SubjectLimitPolicy::Refuse);
    let renewals = join_all(sessions[..150].iter().map(|session| renew(&store, session)));
    let ends = join_all(sessions[150..].iter().map(|session| revoke(&store, session)));
    let others = join(
        join(store.create(&taken, None), renew(&store, &unknown)),
        join(store.create(&full, Some(limit)), store.create(&unknown, None)),
    );
    let ((renewals, _), ((conflict, not_found), (refused, created))) =
        join(join(renewals, ends), others).await;
    assert!(renewals.iter().all(is_active));
    assert!(matches!(conflict, Err(StoreError::Conflict)), "{conflict:?}");
    assert!(matches!(not_found, Ok(RenewOutcome::NotFound)), "{not_found:?}");
    assert!(matches!(refused, Ok(CreateOutcome::LimitReached)), "{refused:?}");
    assert!(matches!(created, Ok(CreateOutcome::Created { .. })), "{created:?}");

    // Another process finds what was acknowledged, and nothing of what was undone.
    let other = open(&folder.file()).await;
    for session in &sessions[150..] {
        assert!(matches!(renew(&other, session).await, Ok(RenewOutcome::Revoked)));
    }
    assert!(is_active(&renew(&other, &unknown).await));
    let refused = other.load(&[full.key()], at(1_500)).await.unwrap();
    assert_eq!(refused, [None]);
    let feed = read(&other, FeedStart::After(start)).await;
    assert_eq!(feed.revocations.len(), 50);
}

#[tokio::test]
async fn caller_that_stops_waiting_neither_delays_nor_undoes_others() {
    let folder = Folder::new();
    let store = open(&folder.file()).await;
    let sessions = sign_in_many(&store, 3).await;
    let mut renewals: Vec<_> =
        sessions.iter().map(|session| Box::pin(renew(&store, session))).collect();
    // Each has its place in the queue.
    for renewal in &mut renewals {
        assert!(futures::poll!(renewal.as_mut()).is_pending());
    }
    drop(renewals.remove(1));
    assert!(join_all(renewals).await.iter().all(is_active));
    assert!(is_active(&renew(&store, &sessions[1]).await));
}

#[tokio::test]
async fn failed_transaction_acknowledges_none_of_its_writes() {
    let folder = Folder::new();
    let store = open(&folder.file()).await;
    let sessions = sign_in_many(&store, 5).await;
    let bad = sessions[2].id;
    let trigger = format!(
        "CREATE TRIGGER fault BEFORE UPDATE ON auth_sessions WHEN new.id = '{bad}' \
         BEGIN SELECT RAISE(ROLLBACK, 'the disk is full'); END"
    );
    change(&folder.file(), trigger).await;
    let outcomes = join_all(sessions.iter().map(|session| renew(&store, session))).await;
    for outcome in &outcomes[..3] {
        let error = outcome.as_ref().unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
    assert!(error_text(outcomes[2].as_ref().unwrap_err()).contains("the disk is full"));
    // Those that had not run are in the next transaction.
    assert!(outcomes[3..].iter().all(is_active));
    let records = store.load(&[sessions[0].key()], at(1_500)).await.unwrap();
    assert_eq!(records[0].as_ref().unwrap().last_active_at, at(1_000), "the renewal was undone");

    change(&folder.file(), "DROP TRIGGER fault".to_owned()).await;
    let outcomes = join_all(sessions.iter().map(|session| renew(&store, session))).await;
    assert!(outcomes.iter().all(is_active));
}

#[tokio::test]
async fn failed_statement_undoes_its_own_write_only() {
    let folder = Folder::new();
    let store = open(&folder.file()).await;
    let sessions = sign_in_many(&store, 3).await;
    let bad = sessions[1].id;
    let trigger = format!(
        "CREATE TRIGGER fault BEFORE UPDATE ON auth_sessions WHEN new.id = '{bad}' \
         BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    );
    change(&folder.file(), trigger).await;
    // A store in the same file whose tables do not exist.
    let without_tables = store.prefix("other_").unwrap();
    let renewals = join_all(sessions.iter().map(|session| renew(&store, session)));
    let key = sessions[0].key();
    let revocation =
        without_tables.revoke(&key, tower_auth_session::store::Revoke::new(at(1_500), at(2_500)));
    let (missing, renewals) = join(revocation, renewals).await;
    assert!(missing.is_err());
    assert!(is_active(&renewals[0]) && is_active(&renewals[2]), "{renewals:?}");
    assert!(error_text(renewals[1].as_ref().unwrap_err()).contains("not this one"));
}

/// A write may come at the moment at which the task that runs writes stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_from_several_threads_all_succeed() {
    let folder = Folder::new();
    let store = open(&folder.file()).await;
    let sessions = sign_in_many(&store, 8).await;
    let clients = sessions.into_iter().map(|session| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..200 {
                assert!(is_active(&renew(&store, &session).await));
            }
        })
    });
    for client in join_all(clients).await {
        client.unwrap();
    }
}

#[test]
fn writes_run_on_another_runtime_after_that_of_their_task_stopped() {
    let folder = Folder::new();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (store, sessions) = first.block_on(async {
        let store = open(&folder.file()).await;
        let sessions = sign_in_many(&store, 2).await;
        (store, sessions)
    });
    let mut waiting = Box::pin(renew(&store, &sessions[0]));
    first.block_on(async { assert!(futures::poll!(waiting.as_mut()).is_pending()) });
    drop(waiting);
    drop(first);
    assert!(is_active(&runtime().block_on(renew(&store, &sessions[1]))));
}
