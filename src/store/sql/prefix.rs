//! The prefix of the table names.

use std::{borrow::Cow, fmt};

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use crate::error::ConfigError;

/// A prefix of table names: letters, digits and `_` only, so that it can be part of a statement.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::store) struct Prefix(Cow<'static, str>);

impl Prefix {
    /// The prefix in the text of all statements.
    pub(in crate::store) const DEFAULT: Self = Self(Cow::Borrowed("auth_"));

    /// PostgreSQL silently truncates names to 63 bytes; the rest of a name has up to 24.
    const MAX_LENGTH: usize = 32;

    pub(in crate::store) fn new(text: &str) -> Result<Self, ConfigError> {
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let is_name =
            text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let is_reserved = text.starts_with("pg_") || text.starts_with("sqlite_");
        if !starts_well || !is_name || is_reserved || text.len() > Self::MAX_LENGTH {
            let remedy = "1 to 32 of a-z, 0-9 and _, no digit first, neither pg_ nor sqlite_";
            return Err(ConfigError::one("store.prefix", text, remedy));
        }
        Ok(Self(Cow::Owned(text.to_owned())))
    }

    pub(in crate::store) fn as_str(&self) -> &str {
        &self.0
    }

    /// The statement for the tables of this prefix.
    pub(in crate::store) fn apply(&self, statement: &'static str) -> SqlStr {
        if *self == Self::DEFAULT {
            return statement.into_sql_str();
        }
        // Safe: a validated name replaces another one.
        AssertSqlSafe(statement.replace(Self::DEFAULT.as_str(), self.as_str())).into_sql_str()
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use crate::store::sql::prefix::*;

    #[test]
    fn table_prefix_that_is_no_plain_name_is_rejected() {
        for good in ["auth_", "a", "_x1_", &"x".repeat(32)] {
            let statement = Prefix::new(good).unwrap().apply("SELECT 1 FROM auth_sessions");
            assert_eq!(statement.as_str(), format!("SELECT 1 FROM {good}sessions"));
        }
        let long = "x".repeat(33);
        for bad in ["", "1a", "A_", "a-b", "a b", "a;", "a\"", "ä", "a.b", "pg_a", "sqlite_", &long]
        {
            assert!(Prefix::new(bad).is_err(), "{bad:?}");
        }
    }
}
