//! What the layer puts into request extensions: [`Session`], [`SessionIdentity`], [`SessionStatus`].

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use http::Uri;

use super::{
    cross_origin::CrossOrigin,
    id::{SessionId, Subject},
    limits::{Dates, LifetimeOverride},
    redirect::ResolvedRedirects,
};
use crate::time::Timestamp;

/// One verified session with the application's claims, read-only. Clones are cheap and share the
/// claims.
///
/// It is a snapshot of the moment the request came in, renewal included. `Debug` shows no claims.
///
/// Only a verified token makes one (ASVS 9.1.1): there is no constructor, and it is not `Default` nor
/// `Deserialize`.
///
/// ```compile_fail,E0277
/// let forged: tower_auth_session::Session = serde_json::from_str("{}").unwrap();
/// ```
pub struct Session<C = ()> {
    identity: SessionIdentity,
    claims: Arc<C>,
    record: Arc<RequestRecord>,
}

impl<C> Session<C> {
    pub(crate) fn new(
        identity: SessionIdentity,
        claims: Arc<C>,
        record: Arc<RequestRecord>,
    ) -> Self {
        Self { identity, claims, record }
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.identity().id()
    }

    /// Who is signed in.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        self.identity().subject()
    }

    /// The application's claims.
    #[must_use]
    pub fn claims(&self) -> &C {
        self.record.consult();
        &self.claims
    }

    /// When the subject signed in (`auth_time`).
    #[must_use]
    pub fn signed_in_at(&self) -> Timestamp {
        self.identity().signed_in_at()
    }

    /// When activity was last recorded: at most the renewal age before the last activity.
    #[must_use]
    pub fn last_active_at(&self) -> Timestamp {
        self.identity().last_active_at()
    }

    /// When the session ends unless there is activity before.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.identity().expires_at()
    }

    /// Waits until the session is over: signed out here or, with a store and
    /// [`SessionLayer::background`](crate::SessionLayer::background), anywhere, or out of time. For
    /// streams and WebSockets, which are let in once and served for long:
    ///
    /// ```
    /// # use tower_auth_session::Session;
    /// # async fn next_message() -> Option<String> { None }
    /// # async fn send(_: String) {}
    /// async fn serve(session: Session) {
    ///     let mut ended = std::pin::pin!(session.ended());
    ///     loop {
    ///         tokio::select! {
    ///             () = &mut ended => break,
    ///             Some(message) = next_message() => send(message).await,
    ///             else => break,
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// Being open is no activity: it is other requests that keep the session alive. At the end of
    /// the token that was presented, newer tokens count, and the store is asked; if that fails the
    /// session is taken for over. Without a [`SessionLayer`](crate::SessionLayer) nobody knows, and
    /// it waits for ever.
    ///
    /// # Panics
    ///
    /// When it is polled outside of a tokio runtime with timers.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static + use<C> {
        let watched = self.record.watch.get().cloned();
        let session = self.identity().clone();
        async move {
            match watched {
                Some(watch) => watch.0.ended(session).await,
                None => std::future::pending().await,
            }
        }
    }

    /// The same without the claims.
    #[must_use]
    pub fn identity(&self) -> &SessionIdentity {
        self.record.consult();
        &self.identity
    }

    /// The identity, without counting as consulted: for what the layer does on its own account.
    pub(crate) const fn peek(&self) -> &SessionIdentity {
        &self.identity
    }

    pub(crate) fn shared_claims(&self) -> Arc<C> {
        Arc::clone(&self.claims)
    }
}

impl<C> Clone for Session<C> {
    fn clone(&self) -> Self {
        Self {
            identity: self.identity.clone(),
            claims: Arc::clone(&self.claims),
            record: Arc::clone(&self.record),
        }
    }
}

impl<C> fmt::Debug for Session<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Whose session it is and from when to when, without the application's claims: for guards, logs
/// and interceptors that need no type parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionIdentity {
    id: SessionId,
    subject: Subject,
    dates: Dates,
    terms: Terms,
}

/// What a sign-in asked for, which its tokens carry on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) lifetime: LifetimeOverride,
    pub(crate) persistent: bool,
}

impl SessionIdentity {
    pub(crate) const fn new(id: SessionId, subject: Subject, dates: Dates, terms: Terms) -> Self {
        Self { id, subject, dates, terms }
    }

    /// The same session with other dates.
    pub(crate) fn dated(&self, dates: Dates) -> Self {
        Self { dates, ..self.clone() }
    }

    /// The session's id.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Who is signed in.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// When the subject signed in (`auth_time`).
    #[must_use]
    pub const fn signed_in_at(&self) -> Timestamp {
        self.dates.signed_in_at
    }

    /// When the token was signed (`iat`).
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        self.dates.issued_at
    }

    /// When activity was last recorded: at most the renewal age before the last activity.
    #[must_use]
    pub const fn last_active_at(&self) -> Timestamp {
        self.dates.last_active_at
    }

    /// When the session ends unless there is activity before.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.dates.expires_at
    }

    pub(crate) const fn dates(&self) -> Dates {
        self.dates
    }

    pub(crate) const fn terms(&self) -> Terms {
        self.terms
    }
}

/// What the layer found out about a request, always in its extensions: where it is absent, the layer
/// is.
#[derive(Clone)]
pub struct SessionStatus(Arc<RequestRecord>);

/// The kinds of [`SessionStatus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionStatusKind {
    /// Signed in.
    SignedIn,
    /// Nobody is signed in.
    SignedOut,
    /// No account is active, but others are signed in from this browser.
    Choose,
    /// Signed in, but a task such as a second factor is left to do.
    Pending,
    /// The request names a session that is not signed in here.
    Mismatch,
    /// Whether the session has ended cannot be found out now.
    Unavailable,
    /// A WebSocket handshake from a foreign origin: served as signed out.
    CrossOrigin(CrossOrigin),
}

impl SessionStatus {
    pub(crate) const fn new(record: Arc<RequestRecord>) -> Self {
        Self(record)
    }

    /// Which of the cases it is.
    #[must_use]
    pub fn kind(&self) -> SessionStatusKind {
        self.0.consult();
        self.0.kind_now()
    }

    /// Whose session it is, while signed in.
    #[must_use]
    pub fn identity(&self) -> Option<&SessionIdentity> {
        self.0.consult();
        self.0.identity.as_ref().filter(|_| self.0.kind_now() == SessionStatusKind::SignedIn)
    }

    /// Whether somebody is signed in.
    #[must_use]
    pub fn is_signed_in(&self) -> bool {
        self.kind() == SessionStatusKind::SignedIn
    }

    pub(crate) fn record(&self) -> &Arc<RequestRecord> {
        &self.0
    }
}

impl fmt::Debug for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStatus")
            .field("kind", &self.0.kind)
            .field("identity", &self.0.identity)
            .finish_non_exhaustive()
    }
}

/// What is known about one request, shared by everything that the layer hands out for it.
#[derive(Debug)]
pub(crate) struct RequestRecord {
    pub(crate) kind: SessionStatusKind,
    pub(crate) identity: Option<SessionIdentity>,
    /// As the client wrote it, before a router strips what it matched.
    pub(crate) uri: Uri,
    /// When the request came in.
    pub(crate) now: Timestamp,
    pub(crate) redirects: Arc<ResolvedRedirects>,
    usage: Arc<Usage>,
    watch: OnceLock<Watched>,
    /// The session has been signed out since.
    ended: AtomicBool,
}

/// Tells when a session is over.
pub(crate) trait Watch: Send + Sync {
    fn ended(self: Arc<Self>, session: SessionIdentity)
    -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

#[derive(Clone)]
struct Watched(Arc<dyn Watch>);

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

/// What became of the knowledge.
#[derive(Debug, Default)]
struct Usage {
    consulted: AtomicBool,
    guarded: AtomicBool,
}

impl RequestRecord {
    pub(crate) fn new(
        kind: SessionStatusKind,
        identity: Option<SessionIdentity>,
        uri: Uri,
        now: Timestamp,
        redirects: Arc<ResolvedRedirects>,
    ) -> Self {
        Self {
            kind,
            identity,
            uri,
            now,
            redirects,
            usage: Arc::default(),
            watch: OnceLock::new(),
            ended: AtomicBool::new(false),
        }
    }

    /// The same request, acting as `session` from here on.
    pub(crate) fn signed_in(&self, session: SessionIdentity) -> Self {
        self.turned(SessionStatusKind::SignedIn, Some(session))
    }

    /// The same request, of which something else is known by now.
    pub(crate) fn turned(
        &self,
        kind: SessionStatusKind,
        identity: Option<SessionIdentity>,
    ) -> Self {
        Self {
            kind,
            identity,
            uri: self.uri.clone(),
            now: self.now,
            redirects: Arc::clone(&self.redirects),
            usage: Arc::clone(&self.usage),
            watch: self.watch.clone(),
            ended: AtomicBool::new(false),
        }
    }

    /// Who can tell when a session is over.
    pub(crate) fn watched_by(&self, watch: Arc<dyn Watch>) {
        // The layer says so once.
        let _ = self.watch.set(Watched(watch));
    }

    /// What the request is now, sign-outs since included.
    pub(crate) fn kind_now(&self) -> SessionStatusKind {
        if self.kind == SessionStatusKind::SignedIn && self.ended.load(Ordering::Relaxed) {
            SessionStatusKind::SignedOut
        } else {
            self.kind
        }
    }

    /// The session that the request acts as is over.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// The answer depends on the session from here on: it needs `Vary: Cookie`.
    pub(crate) fn consult(&self) {
        self.usage.consulted.store(true, Ordering::Relaxed);
    }

    /// The answer is for this session's eyes only unless it says otherwise.
    pub(crate) fn guard(&self) {
        self.consult();
        self.usage.guarded.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_consulted(&self) -> bool {
        self.usage.consulted.load(Ordering::Relaxed)
    }

    pub(crate) fn was_guarded(&self) -> bool {
        self.usage.guarded.load(Ordering::Relaxed)
    }
}
