//! The parts that the stores in SQL databases share.

pub(crate) mod dialect;
pub(crate) mod error;
pub(crate) mod feed;
pub(crate) mod group_commit;
pub(crate) mod migrate;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub(crate) mod prefix;
pub(crate) mod queries;
pub(crate) mod revoke;
#[cfg(feature = "postgres")]
pub(crate) mod revoke_batch;
pub(crate) mod row;
pub(crate) mod sessions;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
pub(crate) mod store_impl;
pub(crate) mod transaction;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use sqlx::Pool;
use tokio::{sync::OwnedMutexGuard, time::Instant};

use self::{
    dialect::{Boxed, Dialect},
    error::no_tables,
    prefix::Prefix,
    queries::{Statements, V1, V2, VERSION},
    transaction::Transaction,
};
use super::{
    error::StoreError,
    feed::{FeedPage, FeedStart},
    record::SessionKey,
    types::Revoke,
};
use crate::{
    engine::{logging::warnings, session::id::Subject},
    error::ConfigError,
};

/// The store in one database of any dialect.
pub(super) struct Sql<D: Dialect>(Arc<SqlInner<D>>);

struct SqlInner<D: Dialect> {
    pool: Pool<D::Database>,
    prefix: Prefix,
    shared: D::Shared,
    /// The version of the tables that was last read; 0 before.
    version: AtomicI64,
}

/// What a write needs, where it has a transaction of its own.
pub(super) enum WriteScope<'s> {
    /// It is one statement.
    Statement,
    /// Its statements take effect together. Those about all sessions of one subject run one after
    /// another.
    Transaction { alone_with: Option<&'s Subject> },
}

/// The longest wait of one call.
const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

impl<D: Dialect> Sql<D> {
    pub(super) fn new(pool: Pool<D::Database>) -> Self {
        Self::with(pool, Prefix::DEFAULT, D::Shared::default())
    }

    fn with(pool: Pool<D::Database>, prefix: Prefix, shared: D::Shared) -> Self {
        Self(Arc::new(SqlInner { pool, prefix, shared, version: AtomicI64::new(0) }))
    }

    pub(super) fn prefix(&self, prefix: &str) -> Result<Self, ConfigError> {
        let inner = &*self.0;
        Ok(Self::with(inner.pool.clone(), Prefix::new(prefix)?, D::sibling(&inner.shared)))
    }

    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        let work = self.begin().await?;
        let prefix = &self.0.prefix;
        let table = format!("{}store", prefix.as_str());
        migrate::migrate(work, &table, |file| prefix.apply(file)).await?;
        self.0.version.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// The statements for the tables as they are.
    pub(super) async fn statements(&self) -> Result<&'static Statements, StoreError> {
        match self.0.version.load(Ordering::Relaxed) {
            0 => self.read_version().await,
            1 => Ok(&V1),
            _ => Ok(&V2),
        }
    }

    /// The same, after another look at tables of version 1: they may have been migrated meanwhile.
    pub(super) async fn current_statements(&self) -> Result<&'static Statements, StoreError> {
        if self.0.version.load(Ordering::Relaxed) < 2 {
            return self.read_version().await;
        }
        Ok(&V2)
    }

    /// Whether the tables were of version 1 when their version was last read, which was logged.
    pub(super) fn has_outdated_schema(&self) -> bool {
        self.0.version.load(Ordering::Relaxed) == 1
    }

    async fn read_version(&self) -> Result<&'static Statements, StoreError> {
        let mut work = self.read().await?;
        let row = work.row(VERSION, &[]).await?;
        let version = row.ok_or_else(no_tables)?.int()?;
        work.commit().await?;
        if self.0.version.swap(version, Ordering::Relaxed) == 0 && version < 2 {
            warnings::store_outdated(self.0.prefix.as_str());
        }
        Ok(if version < 2 { &V1 } else { &V2 })
    }

    pub(super) async fn read(&self) -> Result<Transaction<'_, D>, StoreError> {
        Transaction::read(&self.0.pool, &self.0.prefix).await
    }

    /// A transaction that shares no commit with other writes.
    pub(super) async fn begin(&self) -> Result<Transaction<'_, D>, StoreError> {
        Transaction::begin(&self.0.pool, &self.0.prefix, self.turn().await, None).await
    }

    async fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        match D::group_commit(&self.0.shared) {
            Some(writes) => Some(writes.turn().await),
            None => None,
        }
    }

    /// Runs a write: with the writes that wait, where the database has one writer at a time. If it
    /// `publishes` revocations, the readers in this process learn of them with the commit.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        scope: WriteScope<'_>,
        publishes: bool,
        write: impl for<'t> FnOnce(Transaction<'t, D>) -> Boxed<'t, Result<T, StoreError>>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        let SqlInner { pool, prefix, shared, .. } = &*self.0;
        if let Some(writes) = D::group_commit(shared) {
            let inner = Arc::downgrade(&self.0);
            let committed = move || {
                if publishes && let Some(inner) = inner.upgrade() {
                    D::notify(&inner.shared);
                }
            };
            let is_one_statement = matches!(scope, WriteScope::Statement);
            return writes.run(pool, prefix, is_one_statement, committed, write).await;
        }
        let work = match scope {
            WriteScope::Statement => Transaction::write(pool, prefix, None).await?,
            WriteScope::Transaction { alone_with } => {
                Transaction::begin(pool, prefix, None, alone_with).await?
            }
        };
        write(work).await
    }

    pub(super) async fn revoke(&self, key: &SessionKey, ending: Revoke) -> Result<(), StoreError> {
        let scope = if D::END.len() == 1 {
            WriteScope::Statement
        } else {
            WriteScope::Transaction { alone_with: None }
        };
        let key = key.clone();
        let write = self.write(scope, true, move |work| {
            Box::pin(async move { revoke::revoke(work, &key, ending).await })
        });
        write.await
    }

    async fn page(&self, from: &FeedStart) -> Result<FeedPage, StoreError> {
        let mut work = self.read().await?;
        let page = feed::read(&mut work, from).await?;
        work.commit().await?;
        Ok(page)
    }

    pub(super) async fn follow(
        &self,
        from: &FeedStart,
        wait: Duration,
    ) -> Result<FeedPage, StoreError> {
        let has_come = |page: &FeedPage| !page.revocations.is_empty() || page.has_gap;
        if wait.is_zero() {
            return self.page(from).await;
        }
        let end = Instant::now() + wait.min(MAX_WAIT);
        let mut listener = D::listen(&self.0.pool, &self.0.prefix, &self.0.shared).await;
        let mut page = self.page(from).await?;
        while !has_come(&page) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            D::wait(&mut listener, left).await;
            page = self.page(&FeedStart::After(page.position)).await?;
        }
        Ok(page)
    }
}

impl<D: Dialect> Clone for Sql<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Dialect> fmt::Debug for Sql<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.prefix, f)
    }
}
