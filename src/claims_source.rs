//! [`ClaimsSource`]: supplies the application's claims, at sign-in and at every renewal.

use std::{error::Error, future::Future, pin::Pin};

use crate::engine::session::identity::SessionIdentity;

/// Why a [`ClaimsSource`] has no claims. It is logged and not passed on.
pub type ClaimsSourceError = Box<dyn Error + Send + Sync>;

/// The future of [`ClaimsSource::claims`].
pub type ClaimsFuture<'a, C> =
    Pin<Box<dyn Future<Output = Result<ClaimsLookup<C>, ClaimsSourceError>> + Send + 'a>>;

/// What a [`ClaimsSource`] has found.
///
/// ```
/// use tower_auth_session::claims::ClaimsLookup;
///
/// struct User { name: String }
///
/// fn lookup(row: Option<(String, bool)>) -> ClaimsLookup<User> {
///     match row {
///         Some((name, true)) => ClaimsLookup::Found(User { name }),
///         _ => ClaimsLookup::NoSuchUser, // deleted or disabled: the session is revoked
///     }
/// }
/// assert!(matches!(lookup(Some(("Ada".to_owned(), false))), ClaimsLookup::NoSuchUser));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimsLookup<C> {
    /// The claims of the user as they are now.
    Found(C),
    /// There is no such user, or the user is disabled. The session is revoked, in the store too, and
    /// [`UserNotFound`](crate::event::SessionEvent::UserNotFound) is emitted. At a sign-in it counts as
    /// a failure of the source instead, because a replica of a database may lag behind.
    NoSuchUser,
}

impl<C> From<C> for ClaimsLookup<C> {
    fn from(claims: C) -> Self {
        Self::Found(claims)
    }
}

/// `None` is [`NoSuchUser`](ClaimsLookup::NoSuchUser).
impl<C> From<Option<C>> for ClaimsLookup<C> {
    fn from(claims: Option<C>) -> Self {
        claims.map_or(Self::NoSuchUser, Self::Found)
    }
}

/// Supplies the claims of a session as they are now.
///
/// It is called at sign-in and whenever a token is renewed, so a changed role reaches the token, and a
/// deleted user is signed out, within `renew_after`. If it fails or takes too long, the old claims stay.
///
/// A closure from a [`SessionIdentity`] to a future is a source. Its result is the claims, an `Option` of
/// them (`None` if there is no such user) or a [`ClaimsLookup`]:
///
/// ```
/// # use tower_auth_session::{SessionLayer, engine::SessionIdentity};
/// # #[derive(Clone)] struct Users;
/// # impl Users { async fn role(&self, _: &str) -> Result<Option<String>, std::io::Error> { Ok(None) } }
/// # fn with_source(layer: SessionLayer<String>, users: Users) -> SessionLayer<String> {
/// layer.claims_source(move |session: SessionIdentity| {
///     let users = users.clone();
///     // `Ok(None)` if the user was deleted.
///     async move { users.role(session.subject().as_str()).await }
/// })
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of the claims `{C}`",
    note = "a closure takes a `SessionIdentity` and returns a `Send + 'static` future of a `Result`, \
            whose value is `{C}`, `Option<{C}>` or `ClaimsLookup<{C}>`"
)]
pub trait ClaimsSource<C>: Send + Sync + 'static {
    /// The claims for `request`.
    fn claims<'a>(&'a self, request: ClaimsRequest<'a, C>) -> ClaimsFuture<'a, C>;
}

/// The session that needs claims.
///
/// ```
/// use tower_auth_session::claims::{ClaimsFuture, ClaimsLookup, ClaimsRequest, ClaimsSource};
///
/// #[derive(Clone)]
/// struct User { name: String, method: String }
///
/// /// The name of the user now; how the user signed in is copied from the session.
/// struct Users;
///
/// impl ClaimsSource<User> for Users {
///     fn claims<'a>(&'a self, request: ClaimsRequest<'a, User>) -> ClaimsFuture<'a, User> {
///         Box::pin(async move {
///             let method = request.current.map_or("password", |user| &user.method).to_owned();
///             let name = format!("user {}", request.session.subject());
///             Ok(ClaimsLookup::Found(User { name, method }))
///         })
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ClaimsRequest<'a, C> {
    /// The session.
    pub session: &'a SessionIdentity,
    /// The claims that the session has now, or that the sign-in supplied. A source can copy from them
    /// what only the sign-in knew, such as the method of authentication.
    pub current: Option<&'a C>,
}

impl<C, F, Fut, A, E> ClaimsSource<C> for F
where
    F: Fn(SessionIdentity) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<A, E>> + Send + 'static,
    A: Into<ClaimsLookup<C>>,
    E: Into<ClaimsSourceError>,
{
    fn claims<'a>(&'a self, request: ClaimsRequest<'a, C>) -> ClaimsFuture<'a, C> {
        let claims = self(request.session.clone());
        Box::pin(async move { claims.await.map(Into::into).map_err(Into::into) })
    }
}
