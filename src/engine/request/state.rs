//! [`RequestState`]: what is known about one request.

use std::{
    any::Any,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use http::uri::PathAndQuery;

use crate::{
    engine::{
        bearer::{
            CredentialKind,
            token::{BearerToken, BearerTokenError, BearerTokenOptions},
        },
        redirect::settings::ResolvedRedirects,
        session::identity::{SessionIdentity, SessionStatusKind},
    },
    time::Timestamp,
};

/// What is known about one request, shared by everything that the layer hands out for it. `A` is
/// what lies around it: the request's jar, in the same allocation, or [`UpdatedState`].
pub(crate) struct RequestState<A: ?Sized = dyn RequestContext> {
    pub(crate) kind: SessionStatusKind,
    pub(crate) identity: Option<SessionIdentity>,
    /// What the request is to be judged by.
    pub(crate) credential: CredentialKind,
    /// Whether it could have been a bearer token.
    pub(crate) accepts_bearer: bool,
    /// As the client wrote it, before a router strips what it matched.
    pub(crate) path: Option<PathAndQuery>,
    /// When the request came in.
    pub(crate) now: Timestamp,
    session_read: AtomicBool,
    guarded: AtomicBool,
    /// The session has been signed out since.
    revoked: AtomicBool,
    pub(crate) context: A,
}

/// What a record has access to.
pub(crate) trait RequestContext: Send + Sync {
    fn redirects(&self) -> &Arc<ResolvedRedirects>;
    /// Who tells when a session is over.
    fn watch(&self) -> Option<Arc<dyn SessionHandle>>;
    /// The first record of the request, where this is a later one.
    fn first(&self) -> Option<Arc<RequestState>> {
        None
    }
}

/// What a session can learn and tell when its request was opened, or is long over.
pub(crate) trait SessionHandle: Send + Sync {
    /// Waits until it is over. What came by a bearer token is over at its `exp`, whatever becomes of
    /// the session.
    fn ended(
        self: Arc<Self>,
        session: SessionIdentity,
        credential: CredentialKind,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// A bearer token of it, whose claims are of the engine's type, and whose request came in at
    /// `opened`.
    fn bearer_token(
        &self,
        session: &SessionIdentity,
        claims: &(dyn Any + Send + Sync),
        options: &BearerTokenOptions,
        opened: Timestamp,
    ) -> Result<BearerToken, BearerTokenError>;

    /// Records that it is in use.
    fn touch(
        self: Arc<Self>,
        session: SessionIdentity,
    ) -> Pin<Box<dyn Future<Output = Result<(), TouchError>> + Send>>;
}

/// RequestContext a record that takes the place of the first one.
pub(crate) struct UpdatedState {
    /// Weak: the first record holds the jar, and the jar holds this one.
    first: Weak<RequestState>,
    redirects: Arc<ResolvedRedirects>,
    watch: Option<Arc<dyn SessionHandle>>,
}

impl RequestContext for UpdatedState {
    fn redirects(&self) -> &Arc<ResolvedRedirects> {
        &self.redirects
    }

    fn watch(&self) -> Option<Arc<dyn SessionHandle>> {
        self.watch.clone()
    }

    fn first(&self) -> Option<Arc<RequestState>> {
        self.first.upgrade()
    }
}

impl<A> RequestState<A> {
    /// Of a request for `path` at `now`, judged by `credential`, and whether it could have brought a
    /// bearer token.
    #[inline(always)]
    pub(crate) const fn new(
        kind: SessionStatusKind,
        identity: Option<SessionIdentity>,
        (credential, accepts_bearer): (CredentialKind, bool),
        path: Option<PathAndQuery>,
        now: Timestamp,
        context: A,
    ) -> Self {
        Self {
            kind,
            identity,
            credential,
            accepts_bearer,
            path,
            now,
            session_read: AtomicBool::new(false),
            guarded: AtomicBool::new(false),
            revoked: AtomicBool::new(false),
            context,
        }
    }
}

impl RequestState {
    /// The same request, of which something else is known by now.
    pub(crate) fn updated(
        self: &Arc<Self>,
        kind: SessionStatusKind,
        identity: Option<SessionIdentity>,
    ) -> Arc<Self> {
        let first = Arc::downgrade(&self.context.first().unwrap_or_else(|| Arc::clone(self)));
        let redirects = Arc::clone(self.redirects());
        let context = UpdatedState { first, redirects, watch: self.watch() };
        let (credential, path) = ((self.credential, self.accepts_bearer), self.path.clone());
        Arc::new(RequestState::new(kind, identity, credential, path, self.now, context))
    }

    pub(crate) fn redirects(&self) -> &Arc<ResolvedRedirects> {
        self.context.redirects()
    }

    /// Who can tell when a session is over.
    pub(crate) fn watch(&self) -> Option<Arc<dyn SessionHandle>> {
        self.context.watch()
    }
}

impl<A: ?Sized + RequestContext> RequestState<A> {
    /// The answer depends on the session from here on: it needs `Vary: Cookie`.
    pub(crate) fn mark_read(&self) {
        self.session_read.store(true, Ordering::Relaxed);
        if let Some(first) = self.context.first() {
            first.session_read.store(true, Ordering::Relaxed);
        }
    }

    /// The answer is for this session's eyes only unless it says otherwise.
    pub(crate) fn mark_guarded(&self) {
        self.mark_read();
        self.guarded.store(true, Ordering::Relaxed);
        if let Some(first) = self.context.first() {
            first.guarded.store(true, Ordering::Relaxed);
        }
    }
}

impl<A: ?Sized> RequestState<A> {
    /// Whether the request acts as a session, whatever is left to do for it.
    pub(crate) const fn has_session(&self) -> bool {
        self.kind.has_session()
    }

    /// What the request is now, sign-outs since included.
    pub(crate) fn status(&self) -> SessionStatusKind {
        if self.has_session() && self.revoked.load(Ordering::Relaxed) {
            SessionStatusKind::SignedOut
        } else {
            self.kind
        }
    }

    /// The session that the request acts as is over.
    pub(crate) fn mark_revoked(&self) {
        self.revoked.store(true, Ordering::Relaxed);
    }

    /// Asked of the first record of a request, which knows of all others.
    pub(crate) fn was_read(&self) -> bool {
        self.session_read.load(Ordering::Relaxed)
    }

    /// See [`was_read`](Self::was_read).
    pub(crate) fn was_guarded(&self) -> bool {
        self.guarded.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
impl UpdatedState {
    /// RequestContext a record of a request without a jar.
    pub(crate) fn alone(redirects: Arc<ResolvedRedirects>) -> Self {
        Self { first: Weak::<RequestState<Self>>::new(), redirects, watch: None }
    }
}

impl<A: ?Sized> fmt::Debug for RequestState<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestState")
            .field("kind", &self.kind)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// Why [`Session::touch`](crate::Session::touch) recorded nothing.
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
    SessionEnded,
    /// The store cannot be asked now. The session goes on as it is.
    #[error("the session store is unavailable")]
    Unavailable,
}
