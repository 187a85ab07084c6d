//! [`SqliteStore`]: sessions in an SQLite file.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions as _, Pool, SqlStr, Sqlite, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::watch;

use super::{
    Sql,
    dialect::{Boxed, Dialect, by_sqlx},
    error::ErrorClass,
    group_commit::GroupCommit,
    prefix::Prefix,
    queries::{delete, end, read_feed, session},
    store_impl::sql_store,
    transaction::fail,
};
use crate::{engine::session::id::Subject, store::error::StoreError};

/// Sessions in an SQLite file, with SQLite compiled in: for services of one machine. Several processes
/// may open the file.
///
/// Acknowledged writes survive `kill -9` and a loss of power: the file is in WAL mode with
/// `synchronous=FULL`, which waits for the disk at every commit, renewals included. Writes that wait for
/// each other share one commit, so the rate of writes grows with the number of requests that wait. A
/// write is acknowledged after the commit that contains it.
///
/// [`poll_revocations`](crate::store::SessionStore::poll_revocations) returns this process's
/// revocations at once and reads those of other processes every [`POLL`](Self::POLL).
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

sql_store!(SqliteStore, Sql::revoke);

/// How long a write waits for a write of another process.
const BUSY: Duration = Duration::from_secs(2);

impl SqliteStore {
    /// How often revocations by other processes are read.
    pub const POLL: Duration = Duration::from_millis(250);

    /// The store in the file at `path`, which is created if it does not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the file cannot be opened or written to, or if `path` names none,
    /// such as `:memory:`;
    /// [`StoreError::Corrupt`] if it is not an SQLite database.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        if path.as_os_str().is_empty() || path == Path::new(":memory:") {
            let reason = "an SQLite store needs a file: give its path, or use a `MemoryStore`";
            return Err(StoreError::unavailable(reason));
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            // Do not log the four statements a second that read the feed.
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await;
        pool.map(Sql::new).map(Self).map_err(fail::<Sqlite>)
    }

    /// The store in the file of a pool of sqlx 0.9. Durability and the waiting for locks depend on the
    /// options of its connections: [`open`](Self::open) sets `journal_mode=WAL`, `synchronous=FULL` and
    /// a `busy_timeout` of two seconds. A connection with an error is closed, which may delete an
    /// in-memory database.
    ///
    /// ```
    /// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};
    /// use tower_auth_session::store::SqliteStore;
    ///
    /// # async fn example() -> Result<(), sqlx::Error> {
    /// let options = SqliteConnectOptions::new()
    ///     .filename("application.db")
    ///     .journal_mode(SqliteJournalMode::Wal)
    ///     .synchronous(SqliteSynchronous::Full);
    /// let store = SqliteStore::from_pool(SqlitePool::connect_with(options).await?);
    /// # let _ = store;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn from_pool(pool: SqlitePool) -> Self {
        Self(Sql::new(pool))
    }
}

/// The state that the handles of one file share in this process.
#[derive(Debug, Default)]
pub(crate) struct SqliteShared {
    writes: GroupCommit<Sqlite>,
    published: watch::Sender<()>,
}

macro_rules! load {
    ($version:tt) => {
        concat!(
            "SELECT ",
            session!($version),
            " FROM auth_sessions WHERE id IN (SELECT value FROM json_each($1))"
        )
    };
}

impl Dialect for Sqlite {
    type Database = Self;
    type Shared = SqliteShared;
    type Listener = watch::Receiver<()>;

    const MIGRATIONS: &'static [&'static str] = &[
        include_str!("../../../migrations/sqlite/0001_sessions.sql"),
        include_str!("../../../migrations/sqlite/0002_kind_lineage_binding.sql"),
    ];
    const HAS_TABLE: &'static str = "SELECT name FROM sqlite_schema WHERE name = $1";
    const LOAD: [&'static str; 2] = [load!(1), load!(2)];
    const END: &'static [&'static str] = &[
        end!(),
        "INSERT INTO auth_revocations (told_at, kind, session_id) SELECT $3, 1, $1 \
         WHERE changes() > 0",
    ];
    const DELETE: &'static str = delete!("");
    const READ_FEED: &'static str =
        read_feed!("1", "position IN (SELECT value FROM json_each($2))");

    const ARRAY: [char; 2] = ['[', ']'];

    fn sibling(shared: &SqliteShared) -> SqliteShared {
        SqliteShared { writes: shared.writes.clone(), ..SqliteShared::default() }
    }

    fn classify(code: &str, message: &str) -> ErrorClass {
        // SQLITE_CORRUPT and SQLITE_NOTADB, without the bits of extended codes.
        if code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 11 | 26)) {
            return ErrorClass::Damaged;
        }
        let missing = ["no such table", "no such column", "has no column"];
        if missing.iter().any(|missing| message.contains(missing)) {
            return ErrorClass::NoTables;
        }
        ErrorClass::Other
    }

    fn is_statement_error(code: &str) -> bool {
        // SQLITE_ERROR and SQLITE_CONSTRAINT, without the bits of extended codes.
        code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 1 | 19))
    }

    by_sqlx!();

    fn begin(_: &Prefix, _: Option<&Subject>) -> SqlStr {
        // SQLite has one writer at a time. The savepoint exists as long as the transaction is open.
        SqlStr::from_static("BEGIN IMMEDIATE; SAVEPOINT writes")
    }

    fn group_commit(shared: &SqliteShared) -> Option<&GroupCommit<Self>> {
        Some(&shared.writes)
    }

    fn notify(shared: &SqliteShared) {
        shared.published.send_replace(());
    }

    fn listen<'a>(
        _: &'a Pool<Self>,
        _: &'a Prefix,
        shared: &'a SqliteShared,
    ) -> Boxed<'a, Self::Listener> {
        Box::pin(async move { shared.published.subscribe() })
    }

    fn wait(listener: &mut Self::Listener, most: Duration) -> Boxed<'_, ()> {
        Box::pin(async move {
            let _ = tokio::time::timeout(most.min(SqliteStore::POLL), listener.changed()).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::SqliteStore;

    #[tokio::test]
    async fn path_that_names_no_file_is_refused_with_a_remedy() {
        for path in ["", ":memory:"] {
            let error = SqliteStore::open(path).await.unwrap_err();
            let reason = error.source().expect("a reason").to_string();
            assert!(reason.contains("give its path, or use a `MemoryStore`"), "{path:?}: {reason}");
        }
    }
}
