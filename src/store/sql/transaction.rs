//! [`Transaction`]: statements on one connection that take effect together or not at all.

use std::sync::Arc;

use sqlx::{Pool, SqlStr, pool::PoolConnection};
use tokio::{runtime::Handle, sync::OwnedMutexGuard};

use super::{
    dialect::Dialect,
    error::store_error,
    group_commit::{LentConnection, ReturnedConnection, WriteState},
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
    scope: TransactionScope<D>,
    _turn: Option<OwnedMutexGuard<()>>,
}

/// What takes effect together.
enum TransactionScope<D: Dialect> {
    /// Each statement by itself.
    Statement,
    Transaction,
    /// The statements of one write in a transaction with other writes. The connection is left for
    /// the next one.
    Savepoint(Arc<ReturnedConnection<D>>),
    /// The same for a write of one statement, which the database undoes by itself if it fails.
    SharedStatement(Arc<ReturnedConnection<D>>),
}

impl<D: Dialect> TransactionScope<D> {
    /// Where a connection that belongs to a transaction with other writes is left.
    fn returned(&self) -> Option<&ReturnedConnection<D>> {
        match self {
            Self::Statement | Self::Transaction => None,
            Self::Savepoint(returned) | Self::SharedStatement(returned) => Some(returned),
        }
    }
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
        Ok(Self {
            connection: Some(connection),
            prefix,
            scope: TransactionScope::Statement,
            _turn: None,
        })
    }

    /// For a single statement that writes, in its `turn` if the database has one writer at a time.
    pub(in crate::store) async fn write(
        pool: &Pool<D::Database>,
        prefix: &'s Prefix,
        turn: Option<OwnedMutexGuard<()>>,
    ) -> Result<Self, StoreError> {
        let mut work = Self::read(pool, prefix).await?;
        work._turn = turn;
        Ok(work)
    }

    /// For statements that take effect together. Those about all sessions of one subject run one after
    /// another.
    pub(in crate::store) async fn begin(
        pool: &Pool<D::Database>,
        prefix: &'s Prefix,
        turn: Option<OwnedMutexGuard<()>>,
        alone_with: Option<&Subject>,
    ) -> Result<Self, StoreError> {
        let mut work = Self::write(pool, prefix, turn).await?;
        work.script(D::begin(prefix, alone_with)).await?;
        work.scope = TransactionScope::Transaction;
        Ok(work)
    }

    /// For one write in a transaction with other writes.
    pub(in crate::store) async fn shared(
        lent: LentConnection<D>,
        prefix: &'s Prefix,
        is_one_statement: bool,
    ) -> Result<Self, StoreError> {
        let LentConnection { connection, returned } = lent;
        let scope = TransactionScope::SharedStatement(Arc::clone(&returned));
        let mut work = Self { connection: Some(connection), prefix, scope, _turn: None };
        if !is_one_statement {
            work.script(SqlStr::from_static("SAVEPOINT one_write")).await?;
            work.scope = TransactionScope::Savepoint(returned);
        }
        Ok(work)
    }

    /// Lends the connection of an open transaction to one write.
    pub(in crate::store) fn lend(
        &mut self,
        returned: Arc<ReturnedConnection<D>>,
    ) -> Result<LentConnection<D>, StoreError> {
        let connection = self.connection.take().ok_or_else(closed)?;
        Ok(LentConnection { connection, returned })
    }

    /// Takes the connection back, and undoes a write that has not finished.
    pub(in crate::store) async fn take_back(
        &mut self,
        returned: &ReturnedConnection<D>,
    ) -> Result<(), StoreError> {
        let Some((connection, state)) = returned.take() else {
            return Err(StoreError::unavailable("a write with this one closed the connection"));
        };
        self.connection = Some(connection);
        match state {
            WriteState::Finished => Ok(()),
            WriteState::Abandoned => self.script(SqlStr::from_static(UNDO_WRITE)).await,
            WriteState::StatementFailed => self.script(SqlStr::from_static(CHECK_OPEN)).await,
        }
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
        match self.scope {
            TransactionScope::Statement | TransactionScope::SharedStatement(_) => {}
            TransactionScope::Transaction => self.script(SqlStr::from_static("COMMIT")).await?,
            TransactionScope::Savepoint(_) => {
                self.script(SqlStr::from_static("RELEASE one_write")).await?
            }
        }
        self.release();
        Ok(())
    }

    /// Rolls back the transaction.
    pub(in crate::store) async fn rollback(mut self) -> Result<(), StoreError> {
        let undo = if matches!(self.scope, TransactionScope::Savepoint(_)) {
            UNDO_WRITE
        } else {
            "ROLLBACK"
        };
        self.script(SqlStr::from_static(undo)).await?;
        self.release();
        Ok(())
    }

    fn release(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if let Some(returned) = self.scope.returned() {
            returned.leave(connection, WriteState::Finished);
        }
    }

    fn fail(&mut self, error: sqlx::Error) -> StoreError {
        // One write of several is undone by itself, unless the database undid the whole transaction:
        // then the savepoint no longer exists, which is found when the connection is taken back.
        let code = error.as_database_error().and_then(|error| error.code());
        let is_statement_error = code.is_some_and(|code| D::is_statement_error(&code));
        let error = fail::<D>(error);
        // After a conflict the connection is usable, once the rest is undone.
        let is_usable = matches!(error, StoreError::Conflict)
            || (is_statement_error && self.scope.returned().is_some());
        if !is_usable {
            self.close();
        }
        error
    }

    fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            close(connection);
        }
    }
}

/// Closes a connection, so that the database undoes what was not committed.
pub(in crate::store) fn close<D: sqlx::Database>(mut connection: PoolConnection<D>) {
    if Handle::try_current().is_ok() {
        connection.close_on_drop();
    } else {
        // Without a runtime the connection cannot be closed gracefully.
        drop(connection.leak());
    }
}

impl<D: Dialect> Drop for Transaction<'_, D> {
    fn drop(&mut self) {
        let state = match self.scope {
            TransactionScope::SharedStatement(_) => WriteState::StatementFailed,
            _ => WriteState::Abandoned,
        };
        if let Some(returned) = self.scope.returned()
            && let Some(connection) = self.connection.take()
        {
            returned.leave(connection, state);
        }
        self.close();
    }
}

const UNDO_WRITE: &str = "ROLLBACK TO one_write; RELEASE one_write";

/// An error if the transaction is no longer open.
const CHECK_OPEN: &str = "RELEASE writes; SAVEPOINT writes";

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(in crate::store) fn fail<D: Dialect>(error: sqlx::Error) -> StoreError {
    store_error(&error, D::classify)
}

fn closed() -> StoreError {
    StoreError::unavailable("the connection is closed")
}
