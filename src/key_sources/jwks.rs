//! [`JwksFetcher`]: how a trusted issuer's key set is fetched, and what fetches it unless the
//! application brings a client of its own.

use std::{error::Error, fmt, future::Future, pin::Pin};

use bytes::Bytes;

/// Fetches key sets. It is asked rarely, whatever the traffic: once a refresh period, and at most once
/// an interval for keys that nobody knows.
///
/// [`HttpJwksFetcher`](crate::HttpJwksFetcher) is one (feature `jwks-http`). One that wraps the application's
/// own HTTP client
///
/// * does `GET` and follows no redirect: whoever can redirect it chooses the keys;
/// * answers for status 200 only, whatever the content type;
/// * gives up after some seconds, and after 64 KiB: more is refused afterwards in any case.
///
/// ```
/// use tower_auth_session::{JwksFetcher, JwksFetchError, JwksFuture};
///
/// #[derive(Debug)]
/// struct FromFile;
///
/// impl JwksFetcher for FromFile {
///     fn fetch<'a>(&'a self, _url: &'a str) -> JwksFuture<'a> {
///         Box::pin(async {
///             let set = std::fs::read("/etc/keys/jwks.json").map_err(JwksFetchError::new)?;
///             Ok(set.into())
///         })
///     }
/// }
/// ```
pub trait JwksFetcher: fmt::Debug + Send + Sync + 'static {
    /// The body of what is at `url`, which is one that the application configured.
    fn fetch<'a>(&'a self, url: &'a str) -> JwksFuture<'a>;
}

/// What [`JwksFetcher::fetch`] gives.
pub type JwksFuture<'a> = Pin<Box<dyn Future<Output = Result<Bytes, JwksFetchError>> + Send + 'a>>;

/// Why a key set was not fetched: for logs.
#[derive(Debug, thiserror::Error)]
#[error("the key set was not fetched")]
pub struct JwksFetchError(#[source] Box<dyn Error + Send + Sync>);

impl JwksFetchError {
    /// With a cause: an error, or a text.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
