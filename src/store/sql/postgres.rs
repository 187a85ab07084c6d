//! [`PostgresStore`]: sessions in PostgreSQL.

use std::{str::FromStr as _, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, PgPool, Pool, Postgres, SqlSafeStr as _, SqlStr,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{
    Sql,
    dialect::{Boxed, Dialect, by_sqlx},
    error::ErrorClass,
    group_commit::GroupCommit,
    prefix::Prefix,
    queries::{delete, end, read_feed, session},
    revoke_batch::RevokeBatches,
    store_impl::sql_store,
    transaction::fail,
};
use crate::{engine::session::id::Subject, store::error::StoreError};

/// Sessions in PostgreSQL 12 or later.
///
/// Acknowledged writes are as durable as the server's commits: leave `synchronous_commit` on. The pool
/// must connect to a primary.
///
/// [`poll_revocations`](crate::store::SessionStore::poll_revocations) reads a table, so that no
/// revocation is lost, and is woken by `NOTIFY` through a separate connection outside the pool.
/// Without that, as behind a pooler without `LISTEN`, it polls every [`POLL`](Self::POLL).
///
/// # TLS
///
/// The feature `postgres-tls` adds TLS by rustls; every TLS feature of sqlx 0.9 works as well. Require it
/// in the URL, or connections to a server without TLS are not encrypted:
/// `?sslmode=verify-full&sslrootcert=/etc/ssl/root.pem`.
///
/// ```no_run
/// # async fn open() -> Result<(), tower_auth_session::store::StoreError> {
/// use tower_auth_session::store::PostgresStore;
///
/// let store = PostgresStore::connect("postgres://app@db.example.com/app?sslmode=verify-full").await?;
/// store.migrate().await?;
/// # Ok(()) }
/// ```
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
#[derive(Debug, Clone)]
pub struct PostgresStore(Sql<Postgres>);

sql_store!(PostgresStore, RevokeBatches::revoke);

/// How long to wait for a connection of the pool.
const ACQUIRE: Duration = Duration::from_secs(5);

impl PostgresStore {
    /// How often the feed is read without a notification.
    pub const POLL: Duration = Duration::from_secs(1);

    /// The store in the database that `url` names, through a pool of ten connections.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the URL is invalid or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        // Do not log the statement a second that reads the feed.
        let options = PgConnectOptions::from_str(url).map_err(fail::<Postgres>)?;
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .acquire_timeout(ACQUIRE)
            .connect_with(options.disable_statement_logging());
        pool.await.map(Sql::new).map(Self).map_err(fail::<Postgres>)
    }

    /// The store in the database of a pool of sqlx 0.9, which may connect later.
    ///
    /// ```
    /// use sqlx::PgPool;
    /// use tower_auth_session::store::PostgresStore;
    ///
    /// /// The application and the sessions share the pool.
    /// fn store(pool: &PgPool) -> PostgresStore {
    ///     PostgresStore::from_pool(pool.clone())
    /// }
    /// ```
    #[must_use]
    pub fn from_pool(pool: PgPool) -> Self {
        Self(Sql::new(pool))
    }
}

/// The state that the handles of one store share.
#[derive(Debug, Default)]
pub(crate) struct PostgresShared {
    listener: Arc<Mutex<Option<PgListener>>>,
    pub(super) batches: RevokeBatches,
}

/// The shared listener, for one reader at a time; others poll every [`PostgresStore::POLL`].
#[derive(Debug)]
pub(crate) struct Listener(Option<OwnedMutexGuard<Option<PgListener>>>);

impl Listener {
    /// Discards notifications that have already arrived.
    async fn drain(&mut self) {
        while self.next(Duration::ZERO).await {}
    }

    /// Whether a notification arrived.
    async fn next(&mut self, most: Duration) -> bool {
        let Some(Some(listener)) = self.0.as_deref_mut() else {
            tokio::time::sleep(most).await;
            return false;
        };
        match tokio::time::timeout(most, listener.try_recv()).await {
            Ok(Ok(notification)) => notification.is_some(),
            Ok(Err(_)) => {
                // The next call opens another one.
                if let Some(mut listener) = self.0.take() {
                    *listener = None;
                }
                tokio::time::sleep(most).await;
                false
            }
            Err(_) => false,
        }
    }
}

async fn connect_listener(pool: &PgPool, prefix: &Prefix) -> Result<PgListener, sqlx::Error> {
    // Outside the pool, where it would occupy a connection permanently.
    let own = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with((*pool.connect_options()).clone());
    let mut listener = PgListener::connect_with(&own).await?;
    listener.listen(&format!("{}revocations", prefix.as_str())).await?;
    Ok(listener)
}

/// A number for the subject, the same on every node: FNV-1a. Two subjects with the same number wait for
/// each other, which is harmless.
fn lock_of(prefix: &Prefix, subject: Option<&Subject>) -> i64 {
    let subject = subject.map_or("", Subject::as_str);
    let bytes = prefix.as_str().bytes().chain([0]).chain(subject.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i64::from_ne_bytes(hash.to_ne_bytes())
}

macro_rules! load {
    ($version:tt) => {
        concat!("SELECT ", session!($version), " FROM auth_sessions WHERE id = ANY($1::TEXT[])")
    };
}

impl Dialect for Postgres {
    type Database = Self;
    type Shared = PostgresShared;
    type Listener = Listener;

    const MIGRATIONS: &'static [&'static str] = &[
        include_str!("../../../migrations/postgres/0001_sessions.sql"),
        include_str!("../../../migrations/postgres/0002_kind_lineage_binding.sql"),
    ];
    const HAS_TABLE: &'static str = "SELECT $1 WHERE to_regclass($1) IS NOT NULL";
    const LOAD: [&'static str; 2] = [load!(1), load!(2)];
    const END: &'static [&'static str] = &[concat!(
        "WITH ended AS (",
        end!(),
        ") INSERT INTO auth_revocations (told_at, kind, session_id) \
         SELECT $3, 1, id FROM ended RETURNING kind"
    )];
    const DELETE: &'static str = delete!(" FOR UPDATE SKIP LOCKED");
    const READ_FEED: &'static str =
        read_feed!("txid_snapshot_xmin(txid_current_snapshot())", "position = ANY($2::BIGINT[])");

    const ARRAY: [char; 2] = ['{', '}'];

    fn sibling(_: &PostgresShared) -> PostgresShared {
        PostgresShared::default()
    }

    fn classify(code: &str, _: &str) -> ErrorClass {
        match code {
            // Undefined table, column, function.
            "42P01" | "42703" | "42883" => ErrorClass::NoTables,
            // Data corrupted, index corrupted.
            "XX001" | "XX002" => ErrorClass::Damaged,
            _ => ErrorClass::Other,
        }
    }

    by_sqlx!();

    fn begin(prefix: &Prefix, alone_with: Option<&Subject>) -> SqlStr {
        // A node that hangs must not keep a subject locked. Only a number is inserted into the text.
        let lock = lock_of(prefix, alone_with);
        AssertSqlSafe(format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'; \
             SET LOCAL statement_timeout = '30s'; \
             SET LOCAL idle_in_transaction_session_timeout = '10s'; \
             SELECT pg_advisory_xact_lock({lock})"
        ))
        .into_sql_str()
    }

    fn group_commit(_: &PostgresShared) -> Option<&GroupCommit<Self>> {
        None
    }

    fn notify(_: &PostgresShared) {}

    fn listen<'a>(
        pool: &'a Pool<Self>,
        prefix: &'a Prefix,
        shared: &'a PostgresShared,
    ) -> Boxed<'a, Listener> {
        Box::pin(async move {
            let mut listener = Listener(Arc::clone(&shared.listener).try_lock_owned().ok());
            if let Some(connection) = &mut listener.0
                && connection.is_none()
            {
                **connection = connect_listener(pool, prefix).await.ok();
            }
            listener.drain().await;
            listener
        })
    }

    fn wait(listener: &mut Listener, most: Duration) -> Boxed<'_, ()> {
        Box::pin(async move {
            listener.next(most.min(PostgresStore::POLL)).await;
            listener.drain().await;
        })
    }
}
