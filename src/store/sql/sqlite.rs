//! [`SqliteStore`]: sessions in one file.

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    Pool, SqlStr, Sqlite, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use super::{
    Sql,
    dialect::{Boxed, Dialect, by_sqlx},
    error::ErrorClass,
    prefix::Prefix,
    queries::{delete, end, read_feed, session},
    store_impl::sql_store,
    transaction::fail,
};
use crate::{engine::session::id::Subject, store::error::StoreError};

/// Sessions in an SQLite file, with SQLite compiled in: for services of one machine. Several processes
/// may open the file.
///
/// What was acknowledged survives `kill -9` and the loss of power: the file is in WAL mode with
/// `synchronous=FULL`, which waits for the disk at every commit, renewals included. That is also how
/// many writes there can be: one at a time, each as long as the disk takes.
///
/// [`revocations`](crate::store::SessionStore::poll_revocations) hears of this process's at once and looks for those
/// of others every [`POLL`](Self::POLL).
///
/// ```no_run
/// # async fn open() -> Result<(), tower_auth_session::store::StoreError> {
/// use tower_auth_session::store::SqliteStore;
///
/// let store = SqliteStore::open("sessions.db").await?;
/// store.migrate().await?;
/// # Ok(()) }
/// ```
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
#[derive(Debug, Clone)]
pub struct SqliteStore(Sql<Sqlite>);

sql_store!(SqliteStore);

/// How long a write waits for another process's.
const BUSY: Duration = Duration::from_secs(2);

impl SqliteStore {
    /// How often what other processes ended is looked for.
    pub const POLL: Duration = Duration::from_millis(250);

    /// The store in the file at `path`, which is made, empty, if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the file cannot be opened or written to,
    /// [`StoreError::Corrupt`] when it is no SQLite database.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        if path.as_os_str().is_empty() || path == Path::new(":memory:") {
            return Err(StoreError::unavailable("an SQLite store is in a file: give its path"));
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await;
        pool.map(Sql::new).map(Self).map_err(fail::<Sqlite>)
    }

    /// The store in the file of a pool of sqlx 0.9. Durability and waiting for locks are as its
    /// connections are set: [`open`](Self::open) takes `journal_mode=WAL`, `synchronous=FULL` and a
    /// `busy_timeout` of two seconds. A connection that saw an error is closed, so an in-memory
    /// database may be gone with it.
    #[must_use]
    pub fn from_pool(pool: SqlitePool) -> Self {
        Self(Sql::new(pool))
    }
}

/// What the handles of one file share in this process.
#[derive(Debug, Default)]
pub(crate) struct SqliteShared {
    /// Whoever waits here waits in line; SQLite itself would try again and again.
    turn: Arc<Mutex<()>>,
    told: watch::Sender<()>,
}

impl Dialect for Sqlite {
    type Database = Self;
    type Shared = SqliteShared;
    type Listener = watch::Receiver<()>;

    const MIGRATIONS: &'static [&'static str] =
        &[include_str!("../../../migrations/sqlite/0001_sessions.sql")];
    const HAS_TABLE: &'static str = "SELECT name FROM sqlite_schema WHERE name = $1";
    const LOAD: &'static str = concat!(
        "SELECT ",
        session!(),
        " FROM auth_sessions WHERE id IN (SELECT value FROM json_each($1))"
    );
    const END: &'static [&'static str] = &[
        end!(),
        "INSERT INTO auth_revocations (told_at, kind, session_id) SELECT $3, 1, $1 \
         WHERE changes() > 0",
    ];
    const DELETE: &'static str = delete!("");
    const READ_FEED: &'static str = read_feed!("1");

    fn sibling(shared: &SqliteShared) -> SqliteShared {
        SqliteShared { turn: Arc::clone(&shared.turn), ..SqliteShared::default() }
    }

    fn classify(code: &str, message: &str) -> ErrorClass {
        // SQLITE_CORRUPT and SQLITE_NOTADB, below what extends them.
        if code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 11 | 26)) {
            return ErrorClass::Damaged;
        }
        let missing = ["no such table", "no such column", "has no column"];
        if missing.iter().any(|missing| message.contains(missing)) {
            return ErrorClass::NoTables;
        }
        ErrorClass::Other
    }

    by_sqlx!();

    fn begin(_: &Prefix, _: Option<&Subject>) -> SqlStr {
        // It has everything to itself.
        SqlStr::from_static("BEGIN IMMEDIATE")
    }

    fn write_lock(shared: &SqliteShared) -> Boxed<'_, Option<OwnedMutexGuard<()>>> {
        Box::pin(async move { Some(Arc::clone(&shared.turn).lock_owned().await) })
    }

    fn notify(shared: &SqliteShared) {
        shared.told.send_replace(());
    }

    fn listen<'a>(
        _: &'a Pool<Self>,
        _: &'a Prefix,
        shared: &'a SqliteShared,
    ) -> Boxed<'a, Self::Listener> {
        Box::pin(async move { shared.told.subscribe() })
    }

    fn wait(ear: &mut Self::Listener, most: Duration) -> Boxed<'_, ()> {
        Box::pin(async move {
            let _ = tokio::time::timeout(most.min(SqliteStore::POLL), ear.changed()).await;
        })
    }
}
