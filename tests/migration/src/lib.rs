//! The code of `docs/migration.md` and `docs/coming-from-clerk.md`, compiled, and used by the tests: each
//! module but `users` is printed there.

pub mod after_axum_login;
pub mod axum_login_claims;
pub mod from_axum_login;
pub mod from_axum_session;
pub mod from_hosted;
pub mod from_jwt_cookie;
pub mod users;

use serde::{Deserialize, Serialize};

/// The claims of the applications, except of the one with axum-login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The name that pages show.
    pub name: String,
}
