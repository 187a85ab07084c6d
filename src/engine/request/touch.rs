//! [`TouchError`].

/// Why [`Session::touch`](crate::engine::Session::touch) recorded nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TouchError {
    /// There is no store that activity could be recorded in.
    #[error("activity without a request needs a session store: set one on the layer")]
    NoStore,
    /// The session came by a bearer token, which keeps nobody signed in.
    #[error("a bearer token keeps nobody signed in: touch the session by its cookie")]
    BearerToken,
    /// The session is over.
    #[error("the session is over")]
    Over,
    /// The store cannot be asked now. The session goes on as it is.
    #[error("the session store is unavailable")]
    Unavailable,
}
