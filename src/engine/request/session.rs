//! What the layer puts into request extensions: [`Session`] and [`SessionStatus`].

use std::{any::Any, fmt, future::Future, sync::Arc};

use super::state::{RequestState, TouchError};
use crate::{
    engine::{
        bearer::{
            CredentialKind,
            token::{BearerToken, BearerTokenError, BearerTokenOptions},
        },
        session::{
            actor::Actor,
            id::{SessionId, Subject},
            identity::{SessionIdentity, SessionStatusKind},
        },
    },
    time::Timestamp,
};

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
    facts: SessionData<C>,
    record: Arc<RequestState>,
}

/// A session as one token has it, and its claims.
pub(crate) struct SessionData<C> {
    identity: SessionIdentity,
    claims: Arc<C>,
}

impl<C> SessionData<C> {
    pub(crate) const fn new(identity: SessionIdentity, claims: Arc<C>) -> Self {
        Self { identity, claims }
    }

    pub(crate) const fn identity_untracked(&self) -> &SessionIdentity {
        &self.identity
    }

    pub(crate) fn shared_claims(&self) -> Arc<C> {
        Arc::clone(&self.claims)
    }
}

impl<C> Clone for SessionData<C> {
    fn clone(&self) -> Self {
        Self { identity: self.identity.clone(), claims: Arc::clone(&self.claims) }
    }
}

impl<C> Session<C> {
    pub(crate) const fn new(facts: SessionData<C>, record: Arc<RequestState>) -> Self {
        Self { facts, record }
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
        self.record.mark_read();
        &self.facts.claims
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

    /// Who acts, where that is not the subject: see [`SignIn::impersonated_by`](crate::SignIn::impersonated_by).
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.identity().actor()
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
    /// Being open is no activity: it is other requests that keep the session alive, or
    /// [`touch`](Self::touch). At the end of the token that was presented, newer tokens count, and the
    /// store is asked; if that fails the session is taken for over. A bearer token is not renewed: what
    /// came by one is over when it is. Without a [`SessionLayer`](crate::SessionLayer) nobody knows, and
    /// it waits for ever.
    ///
    /// # Panics
    ///
    /// When it is polled outside of a tokio runtime with timers.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static + use<C> {
        let watched = self.record.watch();
        let session = self.identity().clone();
        let credential = self.record.credential;
        async move {
            match watched {
                Some(watch) => watch.ended(session, credential).await,
                None => std::future::pending().await,
            }
        }
    }

    /// What the request showed to be this session's.
    #[must_use]
    pub fn credential(&self) -> CredentialKind {
        self.record.mark_read();
        self.record.credential
    }

    /// A bearer token of this session, as configured: for a script, another service or a gRPC client
    /// to send as `Authorization: Bearer`. It lasts a minute, or what
    /// [`BearerTokens`](crate::bearer::BearerTokens) says, and never longer than the session.
    ///
    /// Of somebody who signs in with this very request it is to be asked after
    /// [`SessionJar::commit`](crate::SessionJar::commit).
    ///
    /// # Errors
    ///
    /// When the session is over or came by a bearer token itself, the request came in more than
    /// [`renew_after`](crate::SessionLifetime::renew_after) ago where a store decides, the token cannot
    /// be made, or there is no [`SessionLayer`](crate::SessionLayer).
    pub fn bearer_token(&self) -> Result<BearerToken, BearerTokenError>
    where
        C: Send + Sync + 'static,
    {
        self.bearer_token_with(&BearerTokenOptions::new())
    }

    /// The same for another audience or another time.
    ///
    /// # Errors
    ///
    /// As [`bearer_token`](Self::bearer_token), and when `options` go beyond what is configured.
    pub fn bearer_token_with(
        &self,
        options: &BearerTokenOptions,
    ) -> Result<BearerToken, BearerTokenError>
    where
        C: Send + Sync + 'static,
    {
        if self.credential() == CredentialKind::BearerToken {
            return Err(BearerTokenError::NotACookieSession);
        }
        let watch = self.record.watch().ok_or(BearerTokenError::NoSessionLayer)?;
        watch.bearer_token(self.identity(), &*self.facts.claims, options, self.record.now)
    }

    /// Records that the session is in use, although no request says so: somebody wrote a message on
    /// a WebSocket. The store is asked at most once for each `renew_after`, whoever calls this how
    /// often.
    ///
    /// There is no response that could carry a cookie. The one in the browser still ends when it
    /// would have ended, unless a request comes before: any will do, a background poll too, and its
    /// cookie has the activity. So let the page of a long stream send one now and then.
    ///
    /// # Errors
    ///
    /// When there is no store, the session came by a bearer token, the store cannot be asked, or it
    /// says that the session is over, which [`ended`](Self::ended) then says too.
    pub fn touch(&self) -> impl Future<Output = Result<(), TouchError>> + Send + 'static + use<C> {
        let watched = self.record.watch();
        let session = self.identity().clone();
        let credential = self.record.credential;
        async move {
            match watched {
                _ if credential == CredentialKind::BearerToken => Err(TouchError::BearerToken),
                Some(watch) => watch.touch(session).await,
                None => Err(TouchError::NoStore),
            }
        }
    }

    /// The same without the claims.
    #[must_use]
    pub fn identity(&self) -> &SessionIdentity {
        self.record.mark_read();
        &self.facts.identity
    }

    /// What is behind it, without counting as consulted: for what the layer does on its own account.
    pub(crate) const fn facts(&self) -> &SessionData<C> {
        &self.facts
    }
}

impl<C> Clone for Session<C> {
    fn clone(&self) -> Self {
        Self { facts: self.facts.clone(), record: Arc::clone(&self.record) }
    }
}

impl<C> fmt::Debug for Session<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("identity", &self.facts.identity).finish_non_exhaustive()
    }
}

/// What the layer found out about a request, always in its extensions: where it is absent, the layer
/// is.
///
/// It is the one thing that a request without a session pays for, and so the way to its
/// [`jar`](Self::jar) too:
///
/// ```
/// # use tower_auth_session::{SessionJar, SessionStatus};
/// # struct User;
/// fn jar_of<B>(request: &http::Request<B>) -> Option<SessionJar<User>> {
///     request.extensions().get::<SessionStatus>()?.jar()
/// }
/// ```
#[derive(Clone)]
pub struct SessionStatus {
    record: Arc<RequestState>,
    /// The `RequestState` with the jar around it.
    jar: Arc<dyn Any + Send + Sync>,
    /// That of the next layer further out, where layers are nested.
    outer: Option<Arc<Self>>,
}

impl SessionStatus {
    pub(crate) const fn new(record: Arc<RequestState>, jar: Arc<dyn Any + Send + Sync>) -> Self {
        Self { record, jar, outer: None }
    }

    pub(crate) fn within(&mut self, outer: Self) {
        self.outer = Some(Arc::new(outer));
    }

    /// What [`jar`](Self::jar) looks through: the jar, and the status of the next layer further out.
    pub(crate) fn parts(&self) -> (&Arc<dyn Any + Send + Sync>, Option<&Self>) {
        (&self.jar, self.outer.as_deref())
    }

    /// Which of the cases it is.
    #[must_use]
    pub fn kind(&self) -> SessionStatusKind {
        self.record.mark_read();
        self.record.status()
    }

    /// Whose session it is, while signed in.
    #[must_use]
    pub fn identity(&self) -> Option<&SessionIdentity> {
        self.record.mark_read();
        self.record
            .identity
            .as_ref()
            .filter(|_| self.record.status() == SessionStatusKind::SignedIn)
    }

    /// What the request showed to be somebody's.
    #[must_use]
    pub fn credential(&self) -> CredentialKind {
        self.record.mark_read();
        self.record.credential
    }

    /// Whose session it is while tasks are left to do, and [which](SessionIdentity::tasks). Whoever
    /// holds it has not proved enough yet to be signed in.
    #[must_use]
    pub fn pending(&self) -> Option<&SessionIdentity> {
        self.record.mark_read();
        self.record.identity.as_ref().filter(|_| self.record.status() == SessionStatusKind::Pending)
    }

    /// Whether somebody is signed in.
    #[must_use]
    pub fn is_signed_in(&self) -> bool {
        self.kind() == SessionStatusKind::SignedIn
    }

    pub(crate) fn record(&self) -> &Arc<RequestState> {
        &self.record
    }
}

impl fmt::Debug for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStatus")
            .field("kind", &self.record.kind)
            .field("identity", &self.record.identity)
            .finish_non_exhaustive()
    }
}
