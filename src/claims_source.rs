//! [`ClaimsSource`]: where the application's claims come from, asked again at every renewal.

use std::{error::Error, future::Future, pin::Pin};

use crate::engine::SessionIdentity;

/// What a [`ClaimsSource`] answers with when it has no claims. It is logged and goes no further.
pub type ClaimsSourceError = Box<dyn Error + Send + Sync>;

/// The future of [`ClaimsSource::claims`].
pub type ClaimsFuture<'a, C> =
    Pin<Box<dyn Future<Output = Result<C, ClaimsSourceError>> + Send + 'a>>;

/// Gives the claims of a session as they are now.
///
/// It is asked at sign-in and whenever a token is renewed, so a changed role reaches the token
/// within `renew_after`. While it fails or is too slow the old claims stay. Closures from a
/// [`SessionIdentity`] to a future are sources.
pub trait ClaimsSource<C>: Send + Sync + 'static {
    /// The claims of `session`.
    fn claims<'a>(&'a self, session: &'a SessionIdentity) -> ClaimsFuture<'a, C>;
}

impl<C, F, Fut, E> ClaimsSource<C> for F
where
    F: Fn(SessionIdentity) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<C, E>> + Send + 'static,
    E: Into<ClaimsSourceError>,
{
    fn claims<'a>(&'a self, session: &'a SessionIdentity) -> ClaimsFuture<'a, C> {
        let claims = self(session.clone());
        Box::pin(async move { claims.await.map_err(Into::into) })
    }
}
