//! [`Dialect`]: the differences between SQLite and PostgreSQL.

use std::{future::Future, pin::Pin, time::Duration};

use sqlx::{
    Arguments as _, Database, Decode, Encode, Executor, IntoArguments, Pool, Row as _, SqlStr,
    Type, TypeInfo as _, ValueRef as _,
};

use super::{
    error::ErrorClass,
    group_commit::GroupCommit,
    prefix::Prefix,
    row::{BindValue, Cell, Row},
};
use crate::engine::session::id::Subject;

pub(in crate::store) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
pub(in crate::store) type SqlConnection<D> = <<D as Dialect>::Database as Database>::Connection;

/// What a store needs from a database. Statements use the prefix `auth_` and numbered parameters.
pub(in crate::store) trait Dialect: Send + Sync + Sized + 'static {
    type Database: Database;
    /// The state that the handles of one store share, beside their pool.
    type Shared: std::fmt::Debug + Default + Send + Sync + 'static;
    /// Waits for notifications of revocations.
    type Listener: Send;

    /// The files under `migrations/`, the first version first.
    const MIGRATIONS: &'static [&'static str];
    /// `$1`: a table. Returns a row if it exists.
    const HAS_TABLE: &'static str;
    /// `$1`: ids, as an [`array`]. Without and with the kind of a session.
    const LOAD: [&'static str; 2];
    /// `$1`: the id, `$2`: the subject, `$3`: now, `$4`: until when to remember. The first returns a row
    /// unless the record is unreadable or of another subject.
    const END: &'static [&'static str];
    /// `$1`: now, `$2`: the maximum number. Returns a row for each deleted record.
    const DELETE: &'static str;
    /// `$1`: after this position, `$2`: missing positions, as an [`array`], `$3`: the maximum number of
    /// entries after the position.
    const READ_FEED: &'static str;
    /// How an [`array`] begins and ends.
    const ARRAY: [char; 2];

    /// For another store in the same database.
    fn sibling(shared: &Self::Shared) -> Self::Shared;

    fn classify(code: &str, message: &str) -> ErrorClass;

    /// Whether an error of this code concerns its statement alone, so that the transaction goes on.
    fn is_statement_error(_code: &str) -> bool {
        false
    }

    fn fetch<'a>(
        connection: &'a mut SqlConnection<Self>,
        statement: SqlStr,
        values: &'a [BindValue<'a>],
    ) -> Boxed<'a, Result<Vec<Row>, sqlx::Error>>;

    /// Runs several statements without values.
    fn script(
        connection: &mut SqlConnection<Self>,
        statements: SqlStr,
    ) -> Boxed<'_, Result<(), sqlx::Error>>;

    /// Opens a transaction in which each statement reads what was committed before it. For a subject,
    /// the transaction has exclusive access to operations on all of its sessions.
    fn begin(prefix: &Prefix, alone_with: Option<&Subject>) -> SqlStr;

    /// Where the database has one writer at a time: the writes of this process.
    fn group_commit(shared: &Self::Shared) -> Option<&GroupCommit<Self>>;

    /// Wakes the readers in this process, where the database does not.
    fn notify(shared: &Self::Shared);

    /// A listener that misses no notification from now on.
    fn listen<'a>(
        pool: &'a Pool<Self::Database>,
        prefix: &'a Prefix,
        shared: &'a Self::Shared,
    ) -> Boxed<'a, Self::Listener>;

    /// Waits for a notification, for at most `most` or the polling interval.
    fn wait(listener: &mut Self::Listener, most: Duration) -> Boxed<'_, ()>;
}

/// Several ids or numbers as one value. They need no escaping.
pub(in crate::store) fn array<D: Dialect>(items: impl Iterator<Item = impl AsRef<str>>) -> String {
    let [open, close] = D::ARRAY;
    let mut text = String::from(open);
    for item in items {
        if text.len() > 1 {
            text.push(',');
        }
        text.push('"');
        text.push_str(item.as_ref());
        text.push('"');
    }
    text.push(close);
    text
}

/// The methods of a [`Dialect`] whose text is the same for both sqlx types.
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
    let Ok(value) = row.try_get_raw(at) else { return Cell::Unsupported };
    if value.is_null() {
        return Cell::Null;
    }
    let read = match value.type_info().name() {
        "INTEGER" | "INT8" => i64::decode(value).map(Cell::Int),
        "TEXT" => String::decode(value).map(Cell::Text),
        _ => return Cell::Unsupported,
    };
    read.unwrap_or(Cell::Unsupported)
}
