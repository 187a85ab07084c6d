//! [`Dialect`]: what SQLite and PostgreSQL say differently.

use std::{future::Future, pin::Pin, time::Duration};

use sqlx::{
    Arguments as _, Database, Decode, Encode, Executor, IntoArguments, Pool, Row as _, SqlStr,
    Type, TypeInfo as _, ValueRef as _,
};
use tokio::sync::OwnedMutexGuard;

use super::{
    error::ErrorClass,
    prefix::Prefix,
    row::{BindValue, Cell, Row},
};
use crate::engine::session::id::Subject;

pub(in crate::store) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
pub(in crate::store) type SqlConnection<D> = <<D as Dialect>::Database as Database>::Connection;

/// What a store needs of a database. Statements are written for the prefix `auth_` and numbered
/// parameters.
pub(in crate::store) trait Dialect: Send + Sync + Sized + 'static {
    type Database: Database;
    /// What the handles of one store share, beside their pool.
    type Shared: std::fmt::Debug + Default + Send + Sync + 'static;
    /// Hears of revocations.
    type Listener: Send;

    /// The files under `migrations/`, the first version first.
    const MIGRATIONS: &'static [&'static str];
    /// `$1`: a table. A row if there is one.
    const HAS_TABLE: &'static str;
    /// `$1`: ids, as JSON.
    const LOAD: &'static str;
    /// `$1`: the id, `$2`: the subject, `$3`: now, `$4`: until when to remember. The first gives a row
    /// unless the record is unreadable or somebody else's.
    const END: &'static [&'static str];
    /// `$1`: now, `$2`: the most. A row for each that went.
    const DELETE: &'static str;
    /// `$1`: told at or after, `$2`: of this transaction or later, `$3`: after this position; any of
    /// them is enough.
    const READ_FEED: &'static str;

    /// For another store in the same database.
    fn sibling(shared: &Self::Shared) -> Self::Shared;

    fn classify(code: &str, message: &str) -> ErrorClass;

    fn fetch<'a>(
        connection: &'a mut SqlConnection<Self>,
        statement: SqlStr,
        values: &'a [BindValue<'a>],
    ) -> Boxed<'a, Result<Vec<Row>, sqlx::Error>>;

    /// Several statements without values.
    fn script(
        connection: &mut SqlConnection<Self>,
        statements: SqlStr,
    ) -> Boxed<'_, Result<(), sqlx::Error>>;

    /// Opens a transaction that reads what was committed before each statement and, for a subject, has
    /// what concerns all of its sessions to itself.
    fn begin(prefix: &Prefix, alone_with: Option<&Subject>) -> SqlStr;

    /// This process's turn to write, where a database has one writer at a time.
    fn write_lock(shared: &Self::Shared) -> Boxed<'_, Option<OwnedMutexGuard<()>>>;

    /// Wakes who waits in this process.
    fn notify(shared: &Self::Shared);

    /// An ear that misses nothing that is told from here on.
    fn listen<'a>(
        pool: &'a Pool<Self::Database>,
        prefix: &'a Prefix,
        shared: &'a Self::Shared,
    ) -> Boxed<'a, Self::Listener>;

    /// Waits for something to be told, and no longer than `most` or than it is wise to rely on that.
    fn wait(ear: &mut Self::Listener, most: Duration) -> Boxed<'_, ()>;
}

/// The methods of a [`Dialect`] that sqlx has in one text and two types.
macro_rules! by_sqlx {
    () => {
        fn fetch<'a>(
            connection: &'a mut $crate::store::sql::dialect::SqlConnection<Self>,
            statement: SqlStr,
            values: &'a [$crate::store::sql::row::BindValue<'a>],
        ) -> Boxed<'a, Result<Vec<$crate::store::sql::row::Row>, sqlx::Error>> {
            Box::pin($crate::store::sql::dialect::fetch::<Self>(connection, statement, values))
        }

        fn script(
            connection: &mut $crate::store::sql::dialect::SqlConnection<Self>,
            statements: SqlStr,
        ) -> Boxed<'_, Result<(), sqlx::Error>> {
            Box::pin(async move { sqlx::raw_sql(statements).execute(connection).await.map(drop) })
        }
    };
}

pub(in crate::store) use by_sqlx;

/// The rows of one statement.
pub(in crate::store) async fn fetch<D>(
    connection: &mut D::Connection,
    statement: SqlStr,
    values: &[BindValue<'_>],
) -> Result<Vec<Row>, sqlx::Error>
where
    D: Database,
    D::Arguments: IntoArguments<D>,
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    for<'v> i64: Encode<'v, D> + Decode<'v, D> + Type<D>,
    for<'v> Option<&'v str>: Encode<'v, D> + Type<D>,
    for<'v> String: Decode<'v, D> + Type<D>,
    usize: sqlx::ColumnIndex<D::Row>,
{
    let mut arguments = D::Arguments::default();
    for value in values {
        let added = match *value {
            BindValue::Int(int) => arguments.add(int),
            BindValue::Text(text) => arguments.add(Some(text)),
            BindValue::NoText => arguments.add(None::<&str>),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    let rows = sqlx::query_with(statement, arguments).fetch_all(connection).await?;
    let row = |row: &D::Row| Row::new((0..row.len()).map(|at| cell::<D>(row, at)).collect());
    Ok(rows.iter().map(row).collect())
}

fn cell<D>(row: &D::Row, at: usize) -> Cell
where
    D: Database,
    for<'v> i64: Decode<'v, D> + Type<D>,
    for<'v> String: Decode<'v, D> + Type<D>,
    usize: sqlx::ColumnIndex<D::Row>,
{
    let Ok(value) = row.try_get_raw(at) else { return Cell::Strange };
    if value.is_null() {
        return Cell::Null;
    }
    let read = match value.type_info().name() {
        "INTEGER" | "INT8" => i64::decode(value).map(Cell::Int),
        "TEXT" => String::decode(value).map(Cell::Text),
        _ => return Cell::Strange,
    };
    read.unwrap_or(Cell::Strange)
}
