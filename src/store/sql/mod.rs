//! The parts that the stores in SQL databases share.

pub(crate) mod dialect;
pub(crate) mod error;
pub(crate) mod feed;
pub(crate) mod migrate;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub(crate) mod prefix;
pub(crate) mod queries;
pub(crate) mod revoke;
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
use tokio::time::Instant;

use self::{
    dialect::Dialect,
    error::no_tables,
    prefix::Prefix,
    queries::{Statements, V1, V2, VERSION},
    transaction::Transaction,
};
use super::{
    error::StoreError,
    feed::{FeedPage, FeedStart},
};
use crate::{
    engine::{logging, session::id::Subject},
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
        let work = self.begin(None).await?;
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

    async fn read_version(&self) -> Result<&'static Statements, StoreError> {
        let mut work = self.read().await?;
        let row = work.row(VERSION, &[]).await?;
        let version = row.ok_or_else(no_tables)?.int()?;
        work.commit().await?;
        if self.0.version.swap(version, Ordering::Relaxed) == 0 && version < 2 {
            logging::store_outdated();
        }
        Ok(if version < 2 { &V1 } else { &V2 })
    }

    pub(super) async fn read(&self) -> Result<Transaction<'_, D>, StoreError> {
        Transaction::read(&self.0.pool, &self.0.prefix).await
    }

    pub(super) async fn write(&self) -> Result<Transaction<'_, D>, StoreError> {
        Transaction::write(&self.0.pool, &self.0.prefix, &self.0.shared).await
    }

    pub(super) async fn begin(
        &self,
        alone_with: Option<&Subject>,
    ) -> Result<Transaction<'_, D>, StoreError> {
        Transaction::begin(&self.0.pool, &self.0.prefix, &self.0.shared, alone_with).await
    }

    /// For a revocation, which is one statement or several.
    pub(super) async fn begin_revoke(&self) -> Result<Transaction<'_, D>, StoreError> {
        if D::END.len() == 1 { self.write().await } else { self.begin(None).await }
    }

    pub(super) fn tell<T>(&self, outcome: T) -> T {
        D::notify(&self.0.shared);
        outcome
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
        let mut ear = D::listen(&self.0.pool, &self.0.prefix, &self.0.shared).await;
        let mut page = self.page(from).await?;
        while !has_come(&page) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            D::wait(&mut ear, left).await;
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
