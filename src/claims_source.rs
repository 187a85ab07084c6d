//! [`ClaimsSource`]: supplies the application's claims at sign-in and at every renewal.

use std::{error::Error, future::Future, pin::Pin};

use crate::engine::session::identity::SessionIdentity;

/// The error of a [`ClaimsSource`]. It is logged and not sent to the client.
pub type ClaimsSourceError = Box<dyn Error + Send + Sync>;

/// The future of [`ClaimsSource::claims`].
pub type ClaimsFuture<'a, C> =
    Pin<Box<dyn Future<Output = Result<C, ClaimsSourceError>> + Send + 'a>>;

/// Supplies the current claims of a session.
///
/// It is queried at sign-in and whenever a token is renewed, so that a changed role reaches the token
/// within `renew_after`. If it fails or is too slow, the old claims stay. Closures from a
/// [`SessionIdentity`] to a future are sources.
pub trait ClaimsSource<C>: Send + Sync + 'static {
    /// The current claims of the session in `request`.
    fn claims<'a>(&'a self, request: ClaimsRequest<'a, C>) -> ClaimsFuture<'a, C>;
}

/// The session whose claims a [`ClaimsSource`] supplies.
#[derive(Debug)]
#[non_exhaustive]
pub struct ClaimsRequest<'a, C> {
    /// The session.
    pub session: &'a SessionIdentity,
    /// The claims that the session has now, or that the sign-in brought. Data that was known only at
    /// the sign-in, such as its method, can be copied from here.
    pub current: Option<&'a C>,
}

impl<C, F, Fut, E> ClaimsSource<C> for F
where
    F: Fn(SessionIdentity) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<C, E>> + Send + 'static,
    E: Into<ClaimsSourceError>,
{
    fn claims<'a>(&'a self, request: ClaimsRequest<'a, C>) -> ClaimsFuture<'a, C> {
        let claims = self(request.session.clone());
        Box::pin(async move { claims.await.map_err(Into::into) })
    }
}
