//! [`Transaction`]: statements on one connection that take effect together or not at all.

use sqlx::{Pool, SqlStr, pool::PoolConnection};
use tokio::{runtime::Handle, sync::OwnedMutexGuard};

use super::{
    dialect::Dialect,
    error::store_error,
    prefix::Prefix,
    row::{BindValue, Row},
};
use crate::{engine::session::id::Subject, store::error::StoreError};

/// A connection that returns to its pool only after it has finished. If it is dropped before that, or
/// had an error, it is closed, and the database undoes what was not committed. So no other operation
/// gets a connection that hangs or is still in a transaction.
pub(in crate::store) struct Transaction<'s, D: Dialect> {
    connection: Option<PoolConnection<D::Database>>,
    prefix: &'s Prefix,
    is_open: bool,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl<'s, D: Dialect> Transaction<'s, D> {
    /// For single statements.
    pub(in crate::store) async fn read(
        pool: &Pool<D::Database>,
        prefix: &'s Prefix,
    ) -> Result<Self, StoreError> {
        // Connecting continues after its caller has given up, for the next caller: a timeout shorter
        // than it takes would otherwise cancel it each time.
        let acquired = tokio::spawn(pool.acquire()).await.map_err(StoreError::unavailable)?;
        let connection = acquired.map_err(fail::<D>)?;
        Ok(Self { connection: Some(connection), prefix, is_open: false, _turn: None })
    }

    /// For a single statement that writes.
    pub(in crate::store) async fn write(
        pool: &Pool<D::Database>,
        prefix: &'s Prefix,
        shared: &D::Shared,
    ) -> Result<Self, StoreError> {
        let turn = D::write_lock(shared).await;
        let mut work = Self::read(pool, prefix).await?;
        work._turn = turn;
        Ok(work)
    }

    /// For statements that take effect together. Those about all sessions of one subject run one after
    /// another.
    pub(in crate::store) async fn begin(
        pool: &Pool<D::Database>,
        prefix: &'s Prefix,
        shared: &D::Shared,
        alone_with: Option<&Subject>,
    ) -> Result<Self, StoreError> {
        let mut work = Self::write(pool, prefix, shared).await?;
        work.script(D::begin(prefix, alone_with)).await?;
        work.is_open = true;
        Ok(work)
    }

    pub(in crate::store) async fn rows(
        &mut self,
        statement: &'static str,
        values: &[BindValue<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let statement = self.prefix.apply(statement);
        let Some(connection) = &mut self.connection else { return Err(closed()) };
        let rows = D::fetch(connection, statement, values).await;
        rows.map_err(|error| self.fail(error))
    }

    /// The first row.
    pub(in crate::store) async fn row(
        &mut self,
        statement: &'static str,
        values: &[BindValue<'_>],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(statement, values).await?.into_iter().next())
    }

    pub(in crate::store) async fn script(&mut self, statements: SqlStr) -> Result<(), StoreError> {
        let Some(connection) = &mut self.connection else { return Err(closed()) };
        let done = D::script(connection, statements).await;
        done.map_err(|error| self.fail(error))
    }

    /// Commits the transaction.
    pub(in crate::store) async fn commit(mut self) -> Result<(), StoreError> {
        if self.is_open {
            self.script(SqlStr::from_static("COMMIT")).await?;
        }
        self.release();
        Ok(())
    }

    /// Rolls back the transaction.
    pub(in crate::store) async fn rollback(mut self) -> Result<(), StoreError> {
        self.script(SqlStr::from_static("ROLLBACK")).await?;
        self.release();
        Ok(())
    }

    fn release(&mut self) {
        drop(self.connection.take());
    }

    fn fail(&mut self, error: sqlx::Error) -> StoreError {
        let error = fail::<D>(error);
        // After a conflict the connection is usable, once the rest is undone.
        if !matches!(error, StoreError::Conflict) {
            self.close();
        }
        error
    }

    fn close(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if Handle::try_current().is_ok() {
            connection.close_on_drop();
        } else {
            // Without a runtime the connection cannot be closed gracefully.
            drop(connection.leak());
        }
    }
}

impl<D: Dialect> Drop for Transaction<'_, D> {
    fn drop(&mut self) {
        self.close();
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(in crate::store) fn fail<D: Dialect>(error: sqlx::Error) -> StoreError {
    store_error(&error, D::classify)
}

fn closed() -> StoreError {
    StoreError::unavailable("the connection is closed")
}
