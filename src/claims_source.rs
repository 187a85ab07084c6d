//! [`ClaimsSource`]: where the application's claims come from, asked again at every renewal.

use std::{error::Error, future::Future, pin::Pin};

use crate::engine::session::identity::SessionIdentity;

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
    /// The claims that are asked for.
    fn claims<'a>(&'a self, request: ClaimsRequest<'a, C>) -> ClaimsFuture<'a, C>;
}

/// What a [`ClaimsSource`] is asked.
#[derive(Debug)]
#[non_exhaustive]
pub struct ClaimsRequest<'a, C> {
    /// Whose claims.
    pub session: &'a SessionIdentity,
    /// The claims that the session has now, or that the sign-in brought: what was known only then,
    /// such as how somebody signed in, can be carried on from here.
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
