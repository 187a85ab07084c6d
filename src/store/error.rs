//! [`StoreError`].

use std::error::Error;

/// Why an operation of a store failed. None of these means that a session was revoked.
///
/// ```
/// use tower_auth_session::{Session, SessionManager, store::StoreError};
///
/// async fn sign_out_elsewhere(manager: &SessionManager, me: &Session) -> String {
///     match manager.revoke_others(me.identity()).await {
///         Ok(count) => format!("Signed out on {count} other devices."),
///         Err(StoreError::Unavailable(_)) => "This takes effect as soon as possible.".to_owned(),
///         Err(error) => error.to_string(),
///     }
/// }
///
/// // In an implementation of a store:
/// let error = StoreError::unavailable("no route to host");
/// assert!(matches!(error, StoreError::Unavailable(_)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached, is full, read-only or too slow. Whether a write took place may be
    /// unknown. The operation can be retried later.
    #[error("the session store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// There is a record that cannot be read: it is of a newer version, damaged, or of another subject.
    /// A retry does not help. Nothing is overwritten.
    #[error("a session record cannot be read: {0}")]
    Corrupt(&'static str),
    /// There is or was a session of this id.
    #[error("the session id is in use")]
    Conflict,
}

impl StoreError {
    /// [`Unavailable`](Self::Unavailable) with its cause, which is logged and not passed on.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into())
    }
}
