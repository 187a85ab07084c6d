//! The SQLite store, in a file.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{AssertSqlSafe, Row as _, SqlitePool};
use tower_auth_session::store::{
    FeedStart, RenewOutcome, Revocation, SessionStore, SqliteStore, StoreError, contract,
};

use super::{
    at, check_migration_is_required, damage, error_text, read, renew, revoke, session, sign_in,
};

/// A new folder that is removed with its contents when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = env::temp_dir().join(format!("sessions-{}", session().id));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("sessions.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) async fn open(path: &Path) -> SqliteStore {
    let store = SqliteStore::open(path).await.unwrap();
    store.migrate().await.unwrap();
    store
}

struct File(SqlitePool);

impl File {
    async fn open(folder: &Folder) -> Self {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.file());
        Self(SqlitePool::connect_with(options).await.unwrap())
    }
}

impl damage::Sql for File {
    async fn run(&self, statement: String) -> Vec<String> {
        let rows = sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(&self.0).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_store_fulfils_the_contract() {
    let folder = Folder::new();
    contract::check(async |tenant| {
        let store = open(&folder.file()).await;
        if tenant == 0 {
            return Arc::new(store) as Arc<dyn SessionStore>;
        }
        let other = store.prefix("other_").unwrap();
        other.migrate().await.unwrap();
        Arc::new(other)
    })
    .await;
}

#[tokio::test]
async fn damaged_rows_are_corrupt() {
    let folder = Folder::new();
    let store = open(&folder.file()).await;
    damage::check(&store, &File::open(&folder).await).await;
}

#[tokio::test]
async fn trimmed_feed_is_a_gap_and_all_sessions_can_be_revoked() {
    let folder = Folder::new();
    let store = open(&folder.file()).await;
    damage::check_trimmed_feed(&store).await;
    damage::check_revocation_of_all(&store).await;
}

#[tokio::test]
async fn long_feed_is_read_in_pages() {
    let folder = Folder::new();
    let store = open(&folder.file()).await;
    damage::check_pages(&store).await;
}

#[tokio::test]
async fn tables_of_version_1_work_until_they_are_migrated() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let file = File::open(&folder).await;
    damage::Sql::run(&file, include_str!("../../migrations/sqlite/0001_sessions.sql").to_owned())
        .await;
    damage::check_version_1(&store, async || store.migrate().await.unwrap()).await;
}

#[tokio::test]
async fn tables_are_created_by_migrate_only() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    check_migration_is_required(&store).await;
    // Several migrations at once, and another one afterwards.
    let migrating = (0..4).map(|_| {
        let path = folder.file();
        tokio::spawn(async move { SqliteStore::open(path).await?.migrate().await })
    });
    for one in migrating.collect::<Vec<_>>() {
        one.await.unwrap().unwrap();
    }
    store.migrate().await.unwrap();
    sign_in(&store).await;
    assert_eq!(format!("{store:?}"), "SqliteStore(\"auth_\")");
    assert!(store.prefix("auth_sessions; --").is_err());
}

#[tokio::test]
async fn file_that_is_not_a_session_database_is_an_error() {
    let folder = Folder::new();
    let text = "Dear diary, this is more than a hundred bytes long. ".repeat(20);
    fs::write(folder.file(), &text).unwrap();
    let error = SqliteStore::open(folder.file()).await.expect_err("not a database");
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), text, "the file is unchanged");
    for path in [folder.file().join("below a file"), "/no/such/folder/x.db".into(), "".into()] {
        let error = SqliteStore::open(&path).await.expect_err("the path does not exist");
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
    // Another application's database.
    fs::remove_file(folder.file()).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.file());
    let other = SqlitePool::connect_with(options.create_if_missing(true)).await.unwrap();
    sqlx::query("CREATE TABLE diary (text TEXT)").execute(&other).await.unwrap();
    let error = renew(&SqliteStore::from_pool(other), &session()).await.unwrap_err();
    assert!(error_text(&error).contains("migrate()"), "{error:?}");
}

#[tokio::test]
async fn read_only_file_is_unavailable_for_writes_and_readable() {
    let folder = Folder::new();
    let session = sign_in(&open(&folder.file()).await).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.file()).read_only(true);
    let store = SqliteStore::from_pool(SqlitePool::connect_with(options).await.unwrap());
    let renewed = renew(&store, &session).await;
    assert!(matches!(renewed, Err(StoreError::Unavailable(_))), "{renewed:?}");
    let found = store.load(&[session.key()], at(1_500)).await.unwrap();
    assert_eq!(found, [Some(session)]);
}

#[tokio::test]
async fn file_locked_by_another_connection_is_unavailable() {
    let folder = Folder::new();
    let store = open(&folder.file()).await;
    let session = sign_in(&store).await;
    let other = File::open(&folder).await;
    let mut transaction = other.0.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("DELETE FROM auth_watermarks").execute(&mut *transaction).await.unwrap();
    let renewed = renew(&store, &session).await;
    assert!(matches!(renewed, Err(StoreError::Unavailable(_))), "{renewed:?}");
    transaction.rollback().await.unwrap();
    assert!(matches!(renew(&store, &session).await, Ok(RenewOutcome::Active(_))), "recovered");
}

#[tokio::test]
async fn dropped_operation_is_complete_or_has_no_effect() {
    let folder = Folder::new();
    damage::check_dropped_operation(&open(&folder.file()).await).await;
}

#[tokio::test]
async fn revocation_by_another_process_is_read_by_polling() {
    let folder = Folder::new();
    let (first, second) = (open(&folder.file()).await, open(&folder.file()).await);
    let session = sign_in(&first).await;
    let start = FeedStart::After(read(&second, FeedStart::At(at(0))).await.position);
    let reading = tokio::spawn(async move {
        second.poll_revocations(&start, Duration::from_secs(60)).await.unwrap().revocations
    });
    revoke(&first, &session).await;
    assert_eq!(reading.await.unwrap(), [Revocation::Session(session.id)]);
}
