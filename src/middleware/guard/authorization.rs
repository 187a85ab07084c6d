//! Roles and permissions in claims, and the results of predicates.

use std::error::Error;

/// Claims that state the roles of their user, for
/// [`RequireSessionLayer::role`](crate::RequireSessionLayer::role).
///
/// ```
/// use tower_auth_session::{RequireSessionLayer, claims::Roles};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct User {
///     roles: Vec<String>,
/// }
///
/// impl Roles for User {
///     type Role = &'static str;
///
///     fn has_role(&self, role: &Self::Role) -> bool {
///         self.roles.iter().any(|own| own == role)
///     }
/// }
///
/// let admins = RequireSessionLayer::new().role::<User>("admin");
/// let staff = RequireSessionLayer::new().any_role::<User>(["admin", "support"]);
/// ```
///
/// With an enum of your own as `Role`, the compiler rejects roles that do not exist.
#[diagnostic::on_unimplemented(
    message = "the claims `{Self}` state no roles",
    note = "implement `tower_auth_session::claims::Roles` for `{Self}`, or use \
            `RequireSessionLayer::claims` with a predicate"
)]
pub trait Roles {
    /// A role: a text or an enum.
    type Role: Send + Sync + 'static;

    /// Whether the user has `role`.
    fn has_role(&self, role: &Self::Role) -> bool;
}

/// Claims that state the permissions of their user, for
/// [`RequireSessionLayer::permission`](crate::RequireSessionLayer::permission).
///
/// ```
/// use tower_auth_session::{RequireSessionLayer, claims::Permissions};
///
/// #[derive(Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
/// enum Permission {
///     ReadInvoices,
///     WriteInvoices,
/// }
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct User {
///     permissions: Vec<Permission>,
/// }
///
/// impl Permissions for User {
///     type Permission = Permission;
///
///     fn has_permission(&self, permission: &Permission) -> bool {
///         self.permissions.contains(permission)
///     }
/// }
///
/// let guard = RequireSessionLayer::new().permission::<User>(Permission::WriteInvoices);
/// ```
///
/// Permissions that change often, or that are too many for a cookie, are better looked up per request:
/// see [`authorize_async`](crate::RequireSessionLayer::authorize_async).
#[diagnostic::on_unimplemented(
    message = "the claims `{Self}` state no permissions",
    note = "implement `tower_auth_session::claims::Permissions` for `{Self}`, or use \
            `RequireSessionLayer::claims` with a predicate"
)]
pub trait Permissions {
    /// A permission: a text or an enum.
    type Permission: Send + Sync + 'static;

    /// Whether the user has `permission`.
    fn has_permission(&self, permission: &Self::Permission) -> bool;
}

/// Why a predicate could not decide. It is logged and not sent to the client.
pub type PredicateError = Box<dyn Error + Send + Sync>;

/// The result of an asynchronous predicate: `bool`, or `Result<bool, E>`. A request that is not allowed
/// is refused with 403, one that could not be decided with 503.
///
/// ```
/// use axum::http::request::Parts;
/// use tower_auth_session::{RequireSessionLayer, Session};
///
/// async fn is_member(project: &str, user: &str) -> Result<bool, std::io::Error> {
///     # let _ = (project, user);
///     Ok(true) // a query of your database
/// }
///
/// // An error is logged, and the response is 503.
/// let guard = RequireSessionLayer::new().authorize_async(|session: Session, head: Parts| {
///     let (path, user) = (head.uri.path().to_owned(), session.subject().to_string());
///     async move { is_member(&path, &user).await }
/// });
/// # let _ = guard;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the result of a predicate",
    note = "an asynchronous predicate returns `bool`, or `Result<bool, E>` with an error that converts \
            into `Box<dyn Error + Send + Sync>`"
)]
pub trait PredicateResult {
    /// Whether the request is allowed.
    ///
    /// # Errors
    ///
    /// If the predicate could not decide.
    fn into_result(self) -> Result<bool, PredicateError>;
}

impl PredicateResult for bool {
    fn into_result(self) -> Result<bool, PredicateError> {
        Ok(self)
    }
}

impl<E: Into<PredicateError>> PredicateResult for Result<bool, E> {
    fn into_result(self) -> Result<bool, PredicateError> {
        self.map_err(Into::into)
    }
}
