//! Creates and updates the tables, when the application requests it.

use super::{
    dialect::Dialect, error::no_tables, queries::VERSION, row::BindValue, transaction::Transaction,
};
use crate::store::error::StoreError;

/// Runs the files that have not been run yet, all of them or none. Each sets the version that it
/// creates. A store of a newer version is not changed: versions only add.
pub(in crate::store) async fn migrate<D: Dialect>(
    mut work: Transaction<'_, D>,
    table: &str,
    script: impl Fn(&'static str) -> sqlx::SqlStr,
) -> Result<(), StoreError> {
    let mut version = 0;
    if work.row(D::HAS_TABLE, &[BindValue::Text(table)]).await?.is_some() {
        let row = work.row(VERSION, &[]).await?;
        version = row.ok_or_else(no_tables)?.int()?;
    }
    for file in D::MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or_default()) {
        work.script(script(file)).await?;
    }
    work.commit().await
}
