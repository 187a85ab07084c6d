//! [`StoreError`].

use std::error::Error;

/// Why a store could not answer. None of these says that a session is over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached, is full, read-only or too slow. Whether a write happened may be
    /// unknown. Asking again later makes sense.
    #[error("the session store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// There is a record, but it cannot be read: of a newer version, damaged, or somebody else's.
    /// Asking again does not help; nothing is overwritten.
    #[error("a session record cannot be read: {0}")]
    Corrupt(&'static str),
    /// There is or was a session of this id.
    #[error("the session id is taken")]
    Conflict,
}

impl StoreError {
    /// An [`Unavailable`](Self::Unavailable) with its cause, which is logged and goes no further.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into())
    }
}
