//! The values that the layer adds to request extensions: [`Session`] and [`SessionStatus`].

use std::{any::Any, fmt, future::Future, sync::Arc};

use super::{
    routes::Paths,
    state::{RequestState, SessionHandle, TouchError},
};
use crate::{
    engine::{
        bearer::{
            CredentialKind,
            token::{BearerToken, BearerTokenError, BearerTokenOptions},
        },
        session::{
            actor::Actor,
            data::SessionData,
            device_key::DeviceProof,
            id::{SessionId, Subject},
            identity::{SessionIdentity, SessionStatusKind},
        },
    },
    time::Timestamp,
};

/// One verified session with the application's claims, read-only. Clones are cheap and share the
/// claims.
///
/// It is a snapshot of the session when the request came in, renewal included. `Debug` shows no
/// claims.
///
/// It is only created from a verified token (ASVS 9.1.1): there is no constructor, and it
/// implements neither `Default` nor `Deserialize`.
///
/// ```compile_fail,E0277
/// let forged: tower_auth_session::Session = serde_json::from_str("{}").unwrap();
/// ```
///
/// ```
/// # use tower_auth_session::{*, time::Timestamp};
/// use tower_auth_session::{Session, bearer::CredentialKind};
///
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// struct User { name: String }
///
/// fn describe(session: &Session<User>) -> String {
///     if let Some(actor) = session.actor() {
///         println!("{} acts for this user", actor.subject());
///     }
///     if session.credential() == CredentialKind::BearerToken {
///         println!("a script");
///     }
///     let idle = session.expires_at().saturating_since(session.last_active_at());
///     format!(
///         "{} ({}), signed in at {}, ends after {} s without activity",
///         session.claims().name,
///         session.subject(),
///         session.signed_in_at(),
///         idle.as_secs(),
///     )
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = KeyRing::new(SigningKey::generate("k1", Algorithm::Hs256)?);
/// # let engine = SessionEngine::<User>::builder(keys).build()?;
/// # let jar = engine.open(&http::Request::new(()), Timestamp::from_unix_seconds(1_800_000_000));
/// # jar.sign_in(SignIn::new(Subject::new("ada")?, User { name: "Ada".into() }))?;
/// # let session = jar.session().unwrap();
/// # assert_eq!(describe(&session), "Ada (ada), signed in at 2027-01-15T08:00:00Z, ends after 604800 s without activity");
/// # assert_eq!(session.id(), session.identity().id());
/// # Ok(()) }
/// ```
///
/// In a handler that calls another service, and in one that streams:
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::{
///     Session,
///     bearer::{BearerTokenError, BearerTokenOptions},
/// };
///
/// fn authorization(session: &Session) -> Result<String, BearerTokenError> {
///     let options = BearerTokenOptions::new().lifetime(Duration::from_secs(30));
///     let _for_another_audience = session.bearer_token_with(&options);
///     Ok(format!("Bearer {}", session.bearer_token()?.as_str()))
/// }
///
/// async fn stream(session: Session) {
///     tokio::select! {
///         () = session.ended() => {} // signed out, revoked or expired: close the stream
///         () = tokio::time::sleep(Duration::from_secs(30)) => {
///             // The user did something: the session is active.
///             let _ = session.touch().await;
///         }
///     }
/// }
/// ```
pub struct Session<C = ()> {
    data: SessionData<C>,
    record: Arc<RequestState>,
}

impl<C> Session<C> {
    pub(crate) const fn new(data: SessionData<C>, record: Arc<RequestState>) -> Self {
        Self { data, record }
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.identity().id()
    }

    /// The signed-in user.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        self.identity().subject()
    }

    /// The application's claims.
    #[must_use]
    pub fn claims(&self) -> &C {
        self.record.mark_read();
        self.data.claims()
    }

    /// When the subject signed in (`auth_time`).
    #[must_use]
    pub fn signed_in_at(&self) -> Timestamp {
        self.identity().signed_in_at()
    }

    /// When activity was last recorded. The last activity can be later, by the renewal age at most.
    #[must_use]
    pub fn last_active_at(&self) -> Timestamp {
        self.identity().last_active_at()
    }

    /// When the session expires without further activity.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.identity().expires_at()
    }

    /// The actor of an impersonated session; see
    /// [`SignIn::impersonated_by`](crate::SignIn::impersonated_by).
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.identity().actor()
    }

    /// The proof that the request comes from the device that the session is bound to; `None` if it is
    /// not bound.
    ///
    /// ```
    /// use tower_auth_session::{Session, time::Timestamp};
    ///
    /// /// Whether the device confirmed this session within the last minute.
    /// fn is_confirmed(session: &Session, now: Timestamp) -> bool {
    ///     session.device_proof().is_some_and(|proof| {
    ///         now.as_unix_seconds() < proof.proven_at.as_unix_seconds() + 60
    ///     })
    /// }
    /// ```
    #[must_use]
    pub fn device_proof(&self) -> Option<DeviceProof> {
        self.identity().device_proof()
    }

    /// Waits until the session has ended: signed out in this process or, with a store and
    /// [`SessionLayer::background`](crate::SessionLayer::background), in any, or expired. For
    /// streams and WebSockets, which are admitted once and served for a long time:
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
    /// An open connection is not activity: other requests or [`touch`](Self::touch) keep the session alive.
    ///
    /// * When the presented token expires, the newer tokens of the session decide, and the store is queried.
    ///   If the query fails, the session is treated as ended.
    /// * In a device-bound session, the future also resolves when the proof of the device has expired and
    ///   this process has not received a newer one. The client connects again with a new proof.
    /// * A bearer token is not renewed: if one presented the session, the future resolves when the token
    ///   expires.
    /// * Without a [`SessionLayer`](crate::SessionLayer) the future never resolves.
    ///
    /// # Panics
    ///
    /// If it is polled outside of a tokio runtime with timers.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static + use<C> {
        let session = self.identity().clone();
        ended(self.record.watch(), session, self.record.credential)
    }

    /// The kind of credential that the request presented.
    #[must_use]
    pub fn credential(&self) -> CredentialKind {
        self.record.mark_read();
        self.record.credential
    }

    /// Issues a bearer token of this session, as configured, for a script, another service or a
    /// gRPC client to send as `Authorization: Bearer`. It lasts a minute, or as set in
    /// [`BearerTokens`](crate::bearer::BearerTokens), and never longer than the session.
    ///
    /// For a user who signs in with this request, call it after
    /// [`SessionJar::commit`](crate::SessionJar::commit).
    ///
    /// # Errors
    ///
    /// If the session has ended or was presented by a bearer token, the token cannot be issued, or there is
    /// no [`SessionLayer`](crate::SessionLayer). With a store, also if the request came in more than
    /// [`renew_after`](crate::SessionLifetime::renew_after) ago.
    pub fn bearer_token(&self) -> Result<BearerToken, BearerTokenError>
    where
        C: Send + Sync + 'static,
    {
        self.bearer_token_with(&BearerTokenOptions::new())
    }

    /// Like [`bearer_token`](Self::bearer_token), for another audience or lifetime.
    ///
    /// # Errors
    ///
    /// As [`bearer_token`](Self::bearer_token), and if `options` exceed what is configured.
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
        watch.bearer_token(self.identity(), &**self.data.claims(), options, self.record.now)
    }

    /// Records activity without a request, such as a message on a WebSocket. The store is queried
    /// at most once in each `renew_after`, however often this is called.
    ///
    /// No response carries a new cookie, so the browser's cookie expires at the same time as before. The
    /// response to a later request renews it with the recorded activity; a background poll is sufficient.
    /// Let the page of a long stream send a request from time to time.
    ///
    /// # Errors
    ///
    /// If there is no store, the session was presented by a bearer token, the store is unavailable,
    /// or the session has ended, which [`ended`](Self::ended) then reports too.
    pub fn touch(&self) -> impl Future<Output = Result<(), TouchError>> + Send + 'static + use<C> {
        let session = self.identity().clone();
        touch(self.record.watch(), session, self.record.credential)
    }

    /// The session without the claims.
    #[must_use]
    pub fn identity(&self) -> &SessionIdentity {
        self.record.mark_read();
        self.data.identity()
    }

    /// The state of the request that acts as this session.
    pub(crate) const fn state(&self) -> &Arc<RequestState> {
        &self.record
    }

    /// The session's data. Does not mark the session as read: for the layer's own use.
    pub(crate) const fn data(&self) -> &SessionData<C> {
        &self.data
    }
}

impl<C> Clone for Session<C> {
    fn clone(&self) -> Self {
        Self { data: self.data.clone(), record: Arc::clone(&self.record) }
    }
}

impl<C> fmt::Debug for Session<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("identity", self.data.identity()).finish_non_exhaustive()
    }
}

/// The session status of a request. The layer adds it to the extensions of every request.
///
/// It also gives access to the request's [`jar`](Self::jar):
///
/// ```
/// # use tower_auth_session::{SessionJar, SessionStatus};
/// # struct User;
/// fn jar_of<B>(request: &http::Request<B>) -> Option<SessionJar<User>> {
///     request.extensions().get::<SessionStatus>()?.jar()
/// }
/// ```
///
/// For code that needs no claims, such as a log or an interceptor:
///
/// ```
/// use tower_auth_session::{SessionStatus, bearer::CredentialKind, engine::SessionStatusKind};
///
/// fn line(status: &SessionStatus) -> String {
///     let user = match status.identity() {
///         Some(session) if status.is_signed_in() => session.subject().to_string(),
///         _ => "anonymous".to_owned(),
///     };
///     let by_script = status.credential() == CredentialKind::BearerToken;
///     let is_pending = status.pending().is_some();
///     let is_down = status.kind() == SessionStatusKind::Unavailable;
///     format!("{user} script={by_script} pending={is_pending} unavailable={is_down}")
/// }
///
/// /// Where several layers wrap a service.
/// fn is_admin(status: &SessionStatus) -> bool {
///     status.layer("admins").is_some_and(|status| status.is_signed_in())
/// }
/// # use tower_auth_session::{*, time::Timestamp};
/// # let keys = KeyRing::new(SigningKey::generate("k1", Algorithm::Hs256).unwrap());
/// # let engine = SessionEngine::<()>::builder(keys).build().unwrap();
/// # let jar = engine.open(&http::Request::new(()), Timestamp::from_unix_seconds(1_800_000_000));
/// # assert_eq!(line(&jar.status()), "anonymous script=false pending=false unavailable=false");
/// # assert!(!is_admin(&jar.status()));
/// ```
#[derive(Clone)]
pub struct SessionStatus {
    /// The request's initial state, with the jar around it.
    request: Arc<dyn AnyRequest>,
    /// The request's state after a change.
    updated: Option<Arc<RequestState>>,
    /// The name of the layer that this status is from.
    layer_name: Option<&'static str>,
    /// The status of the next outer layer, if layers are nested.
    outer: Option<Arc<Self>>,
}

/// The initial state of a request and its jar, whatever the type of its claims.
pub(crate) trait AnyRequest: Any + Send + Sync {
    fn state(&self) -> &RequestState;
    fn shared_state(self: Arc<Self>) -> Arc<RequestState>;
    /// See `SessionEngine::address`.
    fn engine(&self) -> usize;
    /// The name of the claims' type, for logs.
    fn claims_type(&self) -> &'static str;
}

/// Why a look-up found no layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayerLookupError {
    Missing,
    /// Several layers with different engines match.
    Ambiguous,
}

async fn ended(
    watch: Option<Arc<dyn SessionHandle>>,
    session: SessionIdentity,
    credential: CredentialKind,
) {
    match watch {
        Some(watch) => watch.ended(session, credential).await,
        None => std::future::pending().await,
    }
}

async fn touch(
    watch: Option<Arc<dyn SessionHandle>>,
    session: SessionIdentity,
    credential: CredentialKind,
) -> Result<(), TouchError> {
    match watch {
        _ if credential == CredentialKind::BearerToken => Err(TouchError::BearerToken),
        Some(watch) => watch.touch(session).await,
        None => Err(TouchError::NoStore),
    }
}

impl SessionStatus {
    pub(crate) fn new(request: Arc<dyn AnyRequest>, updated: Option<Arc<RequestState>>) -> Self {
        Self { request, updated, layer_name: None, outer: None }
    }

    /// Names the layer that this status is from.
    pub(crate) const fn set_layer_name(&mut self, name: Option<&'static str>) {
        self.layer_name = name;
    }

    pub(crate) fn set_outer(&mut self, outer: Self) {
        self.outer = Some(Arc::new(outer));
    }

    /// The endpoints of the layer.
    pub(crate) fn paths(&self) -> Option<&Paths> {
        self.request.state().context.paths()
    }

    pub(crate) const fn request(&self) -> &Arc<dyn AnyRequest> {
        &self.request
    }

    /// Identifies the engine of the layer.
    pub(crate) fn engine(&self) -> usize {
        self.request.engine()
    }

    /// The name of the type of the layer's claims, for logs.
    pub(crate) fn claims_type(&self) -> &'static str {
        self.request.claims_type()
    }

    /// This status, and those of the outer layers.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |status| status.outer.as_deref())
    }

    /// Whether layers of different engines wrap the service, so that a look-up must name one.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.outer.is_some() && self.chain().any(|status| status.engine() != self.engine())
    }

    /// The status of the layer that [`SessionLayer::name`](crate::SessionLayer::name) named `name`, where
    /// several layers wrap a service. It is never
    /// [`Ambiguous`](SessionStatusKind::Ambiguous). `None` if there is no such layer.
    #[must_use]
    pub fn layer(&self, name: &str) -> Option<Self> {
        let status = self.chain().find(|status| status.layer_name == Some(name))?;
        Some(Self { outer: None, ..status.clone() })
    }

    /// The kind of status.
    #[must_use]
    pub fn kind(&self) -> SessionStatusKind {
        if self.is_ambiguous() {
            return SessionStatusKind::Ambiguous;
        }
        self.record().mark_read();
        self.record().status()
    }

    /// The session, if the request is signed in.
    #[must_use]
    pub fn identity(&self) -> Option<&SessionIdentity> {
        self.record().mark_read();
        self.record().identity().filter(|_| self.kind() == SessionStatusKind::SignedIn)
    }

    /// The kind of credential that the request presented.
    #[must_use]
    pub fn credential(&self) -> CredentialKind {
        self.record().mark_read();
        self.record().credential
    }

    /// The session while it is pending, with its [open tasks](SessionIdentity::tasks). Its holder
    /// has not been fully authenticated.
    #[must_use]
    pub fn pending(&self) -> Option<&SessionIdentity> {
        self.record().mark_read();
        self.record().identity().filter(|_| self.kind() == SessionStatusKind::Pending)
    }

    /// Whether a user is signed in.
    #[must_use]
    pub fn is_signed_in(&self) -> bool {
        self.kind() == SessionStatusKind::SignedIn
    }

    /// Resolves when the session of the request has ended, like
    /// [`Session::ended`](crate::Session::ended), for code that does not know the type of the claims.
    /// Without a session it resolves at once.
    ///
    /// ```
    /// use tower_auth_session::SessionStatus;
    /// # async fn copy_to_client() {}
    ///
    /// /// Ends a tunnel with the session that opened it.
    /// async fn tunnel(status: SessionStatus) {
    ///     tokio::select! {
    ///         () = status.ended() => {}
    ///         () = copy_to_client() => {}
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// If it is polled outside of a tokio runtime with timers.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let session = self.identity().cloned();
        let (watch, credential) = (self.record().watch(), self.record().credential);
        async move {
            if let Some(session) = session {
                ended(watch, session, credential).await;
            }
        }
    }

    /// Records activity of the session of the request, like
    /// [`Session::touch`](crate::Session::touch), for code that does not know the type of the claims.
    ///
    /// ```
    /// use tower_auth_session::{SessionStatus, error::TouchError};
    ///
    /// /// Whether a stream stays open after a message of its user.
    /// async fn stays_open(status: &SessionStatus) -> bool {
    ///     status.touch().await != Err(TouchError::SessionEnded)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Session::touch`](crate::Session::touch); without a session,
    /// [`SessionEnded`](TouchError::SessionEnded).
    pub fn touch(&self) -> impl Future<Output = Result<(), TouchError>> + Send + 'static + use<> {
        let session = self.identity().cloned();
        let (watch, credential) = (self.record().watch(), self.record().credential);
        async move {
            let session = session.ok_or(TouchError::SessionEnded)?;
            touch(watch, session, credential).await
        }
    }

    /// The request's state.
    pub(crate) fn record(&self) -> &RequestState {
        match &self.updated {
            Some(updated) => updated,
            None => self.request.state(),
        }
    }

    /// The state of the request, including the changes made so far.
    pub(crate) fn current_record(&self) -> Arc<RequestState> {
        let updated = self.updated.clone().or_else(|| self.request.state().context.updated());
        updated.unwrap_or_else(|| Arc::clone(&self.request).shared_state())
    }
}

impl fmt::Debug for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStatus")
            .field("kind", &self.record().kind)
            .field("identity", &self.record().identity())
            .finish_non_exhaustive()
    }
}
