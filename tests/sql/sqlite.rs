//! SQLite: a file.

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

use super::{at, damage, end, is_told_to_migrate, read, renew, session, sign_in, words};

/// A new folder, gone with all that is in it when this is dropped.
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

async fn open(path: &Path) -> SqliteStore {
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
async fn the_contract_holds() {
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
async fn damage_is_corrupt() {
    let folder = Folder::new();
    let store = open(&folder.file()).await;
    damage::check(&store, &File::open(&folder).await).await;
}

#[tokio::test]
async fn the_feed_is_trimmed_and_everybody_ends() {
    let folder = Folder::new();
    let store = open(&folder.file()).await;
    damage::a_trimmed_feed_is_a_gap(&store).await;
    damage::everybody_ends(&store).await;
}

#[tokio::test]
async fn tables_come_by_migrating_alone() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    is_told_to_migrate(&store).await;
    // Several at once, and once more.
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
async fn a_file_of_something_else_says_so() {
    let folder = Folder::new();
    let text = "Dear diary, this is more than a hundred bytes long. ".repeat(20);
    fs::write(folder.file(), &text).unwrap();
    let error = SqliteStore::open(folder.file()).await.expect_err("no database");
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), text, "and is left alone");
    for path in [folder.file().join("below a file"), "/no/such/folder/x.db".into(), "".into()] {
        let error = SqliteStore::open(&path).await.expect_err("not there");
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
    // Somebody's database, which is none of sessions.
    fs::remove_file(folder.file()).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.file());
    let theirs = SqlitePool::connect_with(options.create_if_missing(true)).await.unwrap();
    sqlx::query("CREATE TABLE diary (text TEXT)").execute(&theirs).await.unwrap();
    let error = renew(&SqliteStore::from_pool(theirs), &session()).await.unwrap_err();
    assert!(words(&error).contains("migrate()"), "{error:?}");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_unavailable_and_signs_nobody_out() {
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
async fn somebody_who_holds_the_file_makes_it_unavailable() {
    let folder = Folder::new();
    let store = open(&folder.file()).await;
    let session = sign_in(&store).await;
    let theirs = File::open(&folder).await;
    let mut holds = theirs.0.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("DELETE FROM auth_watermarks").execute(&mut *holds).await.unwrap();
    let renewed = renew(&store, &session).await;
    assert!(matches!(renewed, Err(StoreError::Unavailable(_))), "{renewed:?}");
    holds.rollback().await.unwrap();
    assert!(matches!(renew(&store, &session).await, Ok(RenewOutcome::Active(_))), "recovered");
}

#[tokio::test]
async fn dropped_half_way_is_whole_or_nothing() {
    let folder = Folder::new();
    damage::dropped_half_way_is_whole_or_nothing(&open(&folder.file()).await).await;
}

#[tokio::test]
async fn another_process_is_heard_of_within_the_poll() {
    let folder = Folder::new();
    let (here, there) = (open(&folder.file()).await, open(&folder.file()).await);
    let session = sign_in(&here).await;
    let start = FeedStart::After(read(&there, FeedStart::At(at(0))).await.position);
    let hearing = tokio::spawn(async move {
        there.poll_revocations(&start, Duration::from_secs(60)).await.unwrap().revocations
    });
    end(&here, &session).await;
    assert_eq!(hearing.await.unwrap(), [Revocation::Session(session.id)]);
}
