//! [`JwksFetcher`]: fetches the key sets of trusted issuers.

use std::{error::Error, fmt, future::Future, pin::Pin};

use bytes::Bytes;

/// Fetches key sets. It is called rarely, whatever the traffic: once per refresh interval, and at
/// most once per minimum refetch interval for unknown keys.
///
/// `HttpJwksFetcher` is an implementation (feature `jwks-http`). An
/// implementation with the application's HTTP client
///
/// * sends `GET` and follows no redirect, because the redirect target would choose the keys;
/// * returns the body only for status 200, whatever the content type;
/// * gives up after some seconds, and after 64 KiB: a longer body is rejected anyway.
///
/// ```
/// use tower_auth_session::verify_only::{JwksFetchError, JwksFetcher, JwksFuture};
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
    /// The body at `url`, which the application configured.
    fn fetch<'a>(&'a self, url: &'a str) -> JwksFuture<'a>;
}

/// The result of [`JwksFetcher::fetch`].
pub type JwksFuture<'a> = Pin<Box<dyn Future<Output = Result<Bytes, JwksFetchError>> + Send + 'a>>;

/// Why a key set could not be fetched, for logs.
///
/// ```
/// use tower_auth_session::verify_only::JwksFetchError;
///
/// // In an implementation of `JwksFetcher`:
/// let error = JwksFetchError::new("status 503");
/// assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "status 503");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the key set was not fetched")]
pub struct JwksFetchError(#[source] Box<dyn Error + Send + Sync>);

impl JwksFetchError {
    /// An error with a cause: another error, or a text.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
