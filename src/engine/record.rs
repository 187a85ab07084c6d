//! [`RequestRecord`]: what is known about one request.

use std::{
    any::Any,
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
    bearer::{BearerToken, BearerTokenError, BearerTokenOptions, Credential},
    identity::{SessionIdentity, SessionStatusKind},
    redirect::ResolvedRedirects,
    touch::TouchError,
};
use crate::time::Timestamp;

/// What is known about one request, shared by everything that the layer hands out for it.
#[derive(Debug)]
pub(crate) struct RequestRecord {
    pub(crate) kind: SessionStatusKind,
    pub(crate) identity: Option<SessionIdentity>,
    /// What the request is to be judged by.
    pub(crate) credential: Credential,
    /// Whether it could have been a bearer token.
    pub(crate) accepts_bearer: bool,
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

/// What a session can learn and tell when its request was opened, or is long over.
pub(crate) trait Watch: Send + Sync {
    /// Waits until it is over. What came by a bearer token is over at its `exp`, whatever becomes of
    /// the session.
    fn ended(
        self: Arc<Self>,
        session: SessionIdentity,
        credential: Credential,
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
            credential: Credential::Cookie,
            accepts_bearer: false,
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
        self.turned(session.kind(), Some(session))
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
            credential: self.credential,
            accepts_bearer: self.accepts_bearer,
            uri: self.uri.clone(),
            now: self.now,
            redirects: Arc::clone(&self.redirects),
            usage: Arc::clone(&self.usage),
            watch: self.watch.clone(),
            ended: AtomicBool::new(false),
        }
    }

    /// Who can tell when a session is over, if anybody.
    pub(crate) fn watch(&self) -> Option<Arc<dyn Watch>> {
        self.watch.get().map(|watched| Arc::clone(&watched.0))
    }

    /// Who can tell when a session is over.
    pub(crate) fn watched_by(&self, watch: Arc<dyn Watch>) {
        // The layer says so once.
        let _ = self.watch.set(Watched(watch));
    }

    /// Whether the request acts as a session, whatever is left to do for it.
    pub(crate) const fn has_session(&self) -> bool {
        matches!(self.kind, SessionStatusKind::SignedIn | SessionStatusKind::Pending)
    }

    /// What the request is now, sign-outs since included.
    pub(crate) fn kind_now(&self) -> SessionStatusKind {
        if self.has_session() && self.ended.load(Ordering::Relaxed) {
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
