//! [`RequestState`]: the session state of one request.

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

use http::{HeaderMap, HeaderValue, uri::PathAndQuery};

use crate::{
    config::page_theme::PageDesign,
    engine::{
        bearer::{
            CredentialKind,
            token::{BearerToken, BearerTokenError, BearerTokenOptions},
        },
        logging::warnings::LoggedWarnings,
        redirect::settings::ResolvedRedirects,
        request::routes::Paths,
        session::{
            id::SessionId,
            identity::{SessionIdentity, SessionStatusKind},
        },
    },
    time::Timestamp,
};

/// The session state of one request, shared by everything that the layer hands out for it. `A` is
/// its context: the request's jar, in the same allocation, or [`UpdatedState`].
pub(crate) struct RequestState<A: ?Sized = dyn RequestContext> {
    pub(crate) kind: SessionStatusKind,
    /// The kind of credential that the request presents.
    pub(crate) credential: CredentialKind,
    /// Whether a bearer token would have been accepted.
    pub(crate) accepts_bearer: bool,
    /// The path as received, before a router strips what it matched.
    pub(crate) path: Option<PathAndQuery>,
    /// When the request came in.
    pub(crate) now: Timestamp,
    session_read: AtomicBool,
    guarded: AtomicBool,
    /// Whether the session has been revoked since.
    revoked: AtomicBool,
    pub(crate) context: A,
}

/// What a request's state has access to.
pub(crate) trait RequestContext: Send + Sync {
    /// The session that the request acts as.
    fn identity(&self) -> Option<&SessionIdentity>;
    fn redirects(&self) -> &Arc<ResolvedRedirects>;
    fn page_design(&self) -> &Arc<PageDesign>;
    /// Access to the session after its request, if there is a layer.
    fn watch(&self) -> Option<Arc<dyn SessionHandle>>;
    /// Whether the request has a cookie of the layer, valid or not; `true` if that is not known.
    fn has_own_cookie(&self, _: &HeaderMap) -> bool {
        true
    }
    /// The warnings that the engine has logged.
    fn logged_warnings(&self) -> Option<&LoggedWarnings> {
        None
    }
    /// The endpoints of the layer.
    fn paths(&self) -> Option<&Paths> {
        None
    }
    /// The state after the changes of the request, if this is the initial one and there are any. A
    /// sign-in counts once its claims are known.
    fn updated(&self) -> Option<Arc<RequestState>> {
        None
    }
    /// The `Set-Cookie` that removes the proof cookie of `session`, or of the session that the request
    /// would act as, if the request has one.
    fn proof_removal(&self, _: Option<SessionId>, _: &HeaderMap) -> Option<HeaderValue> {
        None
    }
    /// The initial state of the request, if this is an updated one.
    fn first(&self) -> Option<Arc<RequestState>> {
        None
    }
}

/// Operations on a session that outlive its request.
pub(crate) trait SessionHandle: Send + Sync {
    /// Waits until the session has ended. A session presented by a bearer token ends at the token's
    /// `exp` at the latest.
    fn ended(
        self: Arc<Self>,
        session: SessionIdentity,
        credential: CredentialKind,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Issues a bearer token of the session. `claims` are of the engine's type; the request came in
    /// at `opened`.
    fn bearer_token(
        &self,
        session: &SessionIdentity,
        claims: &(dyn Any + Send + Sync),
        options: &BearerTokenOptions,
        opened: Timestamp,
    ) -> Result<BearerToken, BearerTokenError>;

    /// Records activity.
    fn touch(
        self: Arc<Self>,
        session: SessionIdentity,
    ) -> Pin<Box<dyn Future<Output = Result<(), TouchError>> + Send>>;
}

/// The context of a state that replaces the initial one.
pub(crate) struct UpdatedState {
    identity: Option<SessionIdentity>,
    /// Weak: the initial state owns the jar, which owns this state.
    first: Weak<RequestState>,
    redirects: Arc<ResolvedRedirects>,
    page_design: Arc<PageDesign>,
    watch: Option<Arc<dyn SessionHandle>>,
}

impl RequestContext for UpdatedState {
    fn identity(&self) -> Option<&SessionIdentity> {
        self.identity.as_ref()
    }

    fn redirects(&self) -> &Arc<ResolvedRedirects> {
        &self.redirects
    }

    fn page_design(&self) -> &Arc<PageDesign> {
        &self.page_design
    }

    fn watch(&self) -> Option<Arc<dyn SessionHandle>> {
        self.watch.clone()
    }

    fn proof_removal(
        &self,
        session: Option<SessionId>,
        headers: &HeaderMap,
    ) -> Option<HeaderValue> {
        self.first()?.context.proof_removal(session, headers)
    }

    fn first(&self) -> Option<Arc<RequestState>> {
        self.first.upgrade()
    }
}

impl<A> RequestState<A> {
    /// The state of a request for `path` at `now` that presents `credential`. The flag next to it
    /// states whether a bearer token would have been accepted.
    #[inline(always)]
    pub(crate) const fn new(
        kind: SessionStatusKind,
        (credential, accepts_bearer): (CredentialKind, bool),
        path: Option<PathAndQuery>,
        now: Timestamp,
        context: A,
    ) -> Self {
        Self {
            kind,
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
    /// The state of the same request with another kind and identity.
    pub(crate) fn updated(
        self: &Arc<Self>,
        kind: SessionStatusKind,
        identity: Option<SessionIdentity>,
    ) -> Arc<Self> {
        let first = Arc::downgrade(&self.context.first().unwrap_or_else(|| Arc::clone(self)));
        let redirects = Arc::clone(self.redirects());
        let page_design = Arc::clone(self.context.page_design());
        let context = UpdatedState { identity, first, redirects, page_design, watch: self.watch() };
        let (credential, path) = ((self.credential, self.accepts_bearer), self.path.clone());
        Arc::new(RequestState::new(kind, credential, path, self.now, context))
    }

    /// The session that the request acts as.
    pub(crate) fn identity(&self) -> Option<&SessionIdentity> {
        self.context.identity()
    }

    pub(crate) fn redirects(&self) -> &Arc<ResolvedRedirects> {
        self.context.redirects()
    }

    pub(crate) fn page_design(&self) -> &Arc<PageDesign> {
        self.context.page_design()
    }

    /// Access to the session after its request.
    pub(crate) fn watch(&self) -> Option<Arc<dyn SessionHandle>> {
        self.context.watch()
    }
}

impl<A: ?Sized + RequestContext> RequestState<A> {
    /// Records that the response depends on the session: it needs `Vary: Cookie`.
    pub(crate) fn mark_read(&self) {
        self.session_read.store(true, Ordering::Relaxed);
        if let Some(first) = self.context.first() {
            first.session_read.store(true, Ordering::Relaxed);
        }
    }

    /// Records that a guard let the request pass: the response is `no-store` by default.
    pub(crate) fn mark_guarded(&self) {
        self.mark_read();
        self.guarded.store(true, Ordering::Relaxed);
        if let Some(first) = self.context.first() {
            first.guarded.store(true, Ordering::Relaxed);
        }
    }
}

impl<A: ?Sized> RequestState<A> {
    /// Whether the request acts as a session, pending ones included.
    pub(crate) const fn has_session(&self) -> bool {
        self.kind.has_session()
    }

    /// The current status, including sign-outs since the request came in.
    pub(crate) fn status(&self) -> SessionStatusKind {
        if self.has_session() && self.revoked.load(Ordering::Relaxed) {
            SessionStatusKind::SignedOut
        } else {
            self.kind
        }
    }

    /// Records that the session was revoked.
    pub(crate) fn mark_revoked(&self) {
        self.revoked.store(true, Ordering::Relaxed);
    }

    /// Whether the session was read. Call it on the initial state: reads of the later states are recorded
    /// there.
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
    /// The context of a request without a jar.
    pub(crate) fn alone(redirects: Arc<ResolvedRedirects>) -> Self {
        let page_design = Arc::default();
        let first = Weak::<RequestState<Self>>::new();
        Self { identity: None, first, redirects, page_design, watch: None }
    }
}

impl<A: ?Sized> fmt::Debug for RequestState<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestState").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Why [`Session::touch`](crate::Session::touch) recorded nothing.
///
/// ```
/// use tower_auth_session::{Session, error::TouchError};
///
/// /// For each message of a WebSocket that the user has typed. Returns whether the socket stays open.
/// async fn on_message(session: &Session) -> bool {
///     match session.touch().await {
///         Ok(()) => true,
///         Err(TouchError::SessionEnded) => false,
///         // The activity counts again when the store is back.
///         Err(error) => {
///             eprintln!("{error}");
///             true
///         }
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TouchError {
    /// There is no store to record the activity.
    #[error("activity without a request needs a session store: set one on the layer")]
    NoStore,
    /// The session was presented by a bearer token, which does not prolong a session.
    #[error("a bearer token does not prolong a session: touch it in a request with its cookie")]
    BearerToken,
    /// The session has ended.
    #[error("the session has ended")]
    SessionEnded,
    /// The store is unavailable. The session is unchanged.
    #[error("the session store is unavailable")]
    Unavailable,
}
