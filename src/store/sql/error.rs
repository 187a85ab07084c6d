//! Maps errors of the database to [`StoreError`].

use sqlx::error::ErrorKind;

use crate::store::error::StoreError;

/// What a code and a message mean in a dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum ErrorClass {
    /// A table or a column is missing.
    NoTables,
    /// The file is not a database, or its contents are damaged.
    Damaged,
    Other,
}

/// The error without external input: the code and the database's own message.
pub(in crate::store) fn store_error(
    error: &sqlx::Error,
    means: fn(&str, &str) -> ErrorClass,
) -> StoreError {
    if let sqlx::Error::Configuration(_) = error {
        // Its message repeats parts of a URL, which contains a password.
        return StoreError::unavailable("the database URL is invalid");
    }
    let Some(fault) = error.as_database_error() else {
        return StoreError::unavailable(error.to_string());
    };
    if fault.kind() == ErrorKind::UniqueViolation {
        return StoreError::Conflict;
    }
    let (code, message) = (fault.code().unwrap_or_default(), fault.message());
    match means(&code, message) {
        ErrorClass::NoTables => no_tables(),
        ErrorClass::Damaged => StoreError::Corrupt("the database is damaged, or not a database"),
        ErrorClass::Other => StoreError::unavailable(format!("{message} ({code})")),
    }
}

pub(in crate::store) fn no_tables() -> StoreError {
    StoreError::unavailable(
        "the store's tables are missing or of an older version: call `migrate()` or run the files \
         under `migrations/`",
    )
}
