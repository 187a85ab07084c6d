//! The code of `docs/migration.md` and `docs/coming-from-clerk.md`, compiled, and used by the tests: each
//! module is printed there.

pub mod from_axum_login;
pub mod from_axum_session;
pub mod from_hosted;
pub mod from_jwt_cookie;

use serde::{Deserialize, Serialize};

/// The claims of the application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The name that pages show.
    pub name: String,
}
