//! [`SessionIdentity`]: a session without the application's claims, and the kinds of session
//! status.

use std::{fmt, sync::Arc};

use super::{
    actor::Actor,
    attributes::SessionAttributes,
    device_key::{BoundDevice, DeviceKey, DeviceProof},
    expiry::{LifetimeOverride, SessionTimes},
    factor::{Factor, FactorAges},
    id::{SessionId, Subject},
    lifetime::SessionLifetime,
    lineage::LineageId,
    task::SessionTask,
};
use crate::{engine::redirect::csrf::CrossOriginReason, time::Timestamp};

/// The subject, times and attributes of a session, without the application's claims: for guards,
/// logs and interceptors that need no type parameter.
///
/// ```
/// # use tower_auth_session::{*, engine::{Actor, SessionTask}};
/// use tower_auth_session::{engine::SessionIdentity, time::Timestamp};
///
/// fn audit(session: &SessionIdentity, now: Timestamp) -> String {
///     let actor = session.actor().map_or("-", |actor| actor.subject().as_str());
///     let issuer = session.external().map_or("this service", |external| external.issuer());
///     format!(
///         "{} of {} by {actor} from {issuer}: pending={} tasks={} signed in {} s ago, active {} s ago, \
///          token {} s old, {} s left, factors {:?}",
///         session.id(),
///         session.subject(),
///         session.is_pending(),
///         session.tasks().len(),
///         now.saturating_since(session.signed_in_at()).as_secs(),
///         now.saturating_since(session.last_active_at()).as_secs(),
///         now.saturating_since(session.issued_at()).as_secs(),
///         session.expires_at().saturating_since(now).as_secs(),
///         session.factor_ages(now),
///     )
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = KeyRing::new(SigningKey::generate("k1", Algorithm::Hs256)?);
/// # let engine = SessionEngine::<()>::builder(keys).build()?;
/// # let now = Timestamp::from_unix_seconds(1_800_000_000);
/// # let jar = engine.open(&http::Request::new(()), now);
/// # let support = Actor::new(Subject::new("support-7")?);
/// # let ada = SignIn::new(Subject::new("ada")?, ()).impersonated_by(support).with_tasks([SessionTask::SECOND_FACTOR]);
/// # jar.sign_in(ada)?;
/// # let line = audit(jar.pending().unwrap().identity(), now);
/// # assert!(line.contains(" of ada by support-7 from this service: pending=true tasks=1 "), "{line}");
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SessionIdentity(Arc<Parts>);

/// Shared, because each request clones it several times.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    id: SessionId,
    subject: Subject,
    dates: SessionTimes,
    terms: SessionFlags,
    /// `None` for a plain session.
    standing: Option<Arc<SessionAttributes>>,
    /// The id of the token, by which copies are detected.
    lineage: Option<LineageId>,
    external: Option<ExternalSession>,
}

impl Parts {
    fn with_attributes(mut self, standing: Option<Arc<SessionAttributes>>) -> Self {
        self.terms.pending = standing.as_ref().is_some_and(|it| it.tasks.is_some());
        self.terms.impersonated = standing.as_ref().is_some_and(|it| it.actor.is_some());
        self.standing = standing;
        self
    }
}

/// A session of another issuer, as identified by that issuer.
///
/// ```
/// use tower_auth_session::Session;
///
/// /// The user in a service that accepts sessions of several issuers, where subjects may be equal.
/// fn user(session: &Session) -> String {
///     match session.identity().external() {
///         Some(external) => format!("{} at {} ({})", session.subject(), external.issuer(), external.id()),
///         None => session.subject().to_string(),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalSession {
    issuer: Arc<str>,
    id: Box<str>,
}

impl ExternalSession {
    pub(crate) const fn new(issuer: Arc<str>, id: Box<str>) -> Self {
        Self { issuer, id }
    }

    /// The `iss` of its tokens. Equal subjects of two issuers are different users.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `sid` of its tokens.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The options of a sign-in, which its tokens keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionFlags {
    pub(crate) lifetime: LifetimeOverride,
    pub(crate) persistent: bool,
    /// Tasks are open.
    pub(crate) pending: bool,
    /// Another user acts.
    pub(crate) impersonated: bool,
    /// Whether its token names the engine that it belongs to; older versions issue tokens without.
    pub(crate) bound_to_engine: bool,
}

impl SessionIdentity {
    pub(crate) fn new(
        id: SessionId,
        subject: Subject,
        dates: SessionTimes,
        terms: SessionFlags,
        standing: Option<Arc<SessionAttributes>>,
    ) -> Self {
        let (lineage, external) = (None, None);
        let facts = Parts { id, subject, dates, terms, standing: None, lineage, external };
        Self(Arc::new(facts.with_attributes(standing)))
    }

    /// A session of a trusted issuer. Only the expiry of its token is known.
    pub(crate) fn from_issuer(
        id: SessionId,
        subject: Subject,
        dates: SessionTimes,
        external: ExternalSession,
    ) -> Self {
        let longest = SessionLifetime::MAX_OVERRIDE;
        let terms = SessionFlags {
            lifetime: LifetimeOverride::both(longest),
            persistent: true,
            pending: false,
            impersonated: false,
            bound_to_engine: true,
        };
        let (lineage, external) = (None, Some(external));
        Self(Arc::new(Parts { id, subject, dates, terms, standing: None, lineage, external }))
    }

    /// The same session with other attributes, and the flags that follow from them.
    pub(crate) fn with_attributes(&self, standing: Option<Arc<SessionAttributes>>) -> Self {
        Self(Arc::new(Parts::clone(&self.0).with_attributes(standing)))
    }

    /// The same session with other times.
    pub(crate) fn with_times(&self, dates: SessionTimes) -> Self {
        Self(Arc::new(Parts { dates, ..Parts::clone(&self.0) }))
    }

    /// The same session with another id of its token.
    pub(crate) fn with_lineage(mut self, lineage: Option<LineageId>) -> Self {
        if self.0.lineage != lineage {
            Arc::make_mut(&mut self.0).lineage = lineage;
        }
        self
    }

    /// The session's id. If another issuer's `sid` is not such an id, it is derived from issuer and
    /// `sid`, always with the same result.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// The signed-in user.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }

    /// When the subject signed in (`auth_time`).
    #[must_use]
    pub fn signed_in_at(&self) -> Timestamp {
        self.0.dates.signed_in_at
    }

    /// When the token was signed (`iat`).
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        self.0.dates.issued_at
    }

    /// When activity was last recorded: at most the renewal age before the last activity.
    #[must_use]
    pub fn last_active_at(&self) -> Timestamp {
        self.0.dates.last_active_at
    }

    /// When the session expires without further activity.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.0.dates.expires_at
    }

    /// The issuer and its own id of the session, for an engine that [verifies
    /// only](crate::SessionEngine::verify_only).
    #[must_use]
    pub fn external(&self) -> Option<&ExternalSession> {
        self.0.external.as_ref()
    }

    /// Whether a store of this crate may contain the session: not if its issuer uses another session
    /// id format. A subject of the same name in the store is then another user.
    pub(crate) fn may_be_in_store(&self) -> bool {
        self.external().is_none_or(|external| external.id() == self.id().as_str())
    }

    /// Whether the session is pending.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.0.terms.pending
    }

    /// The open tasks; empty if the session is not pending.
    #[must_use]
    pub fn tasks(&self) -> &[SessionTask] {
        self.0.standing.as_ref().and_then(|it| it.tasks.as_deref()).unwrap_or_default()
    }

    /// The actor of an impersonated session (RFC 8693 §4.1).
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.0.standing.as_ref()?.actor.as_ref()
    }

    /// The actor, the actor before it, and so on.
    pub(crate) fn actors(&self) -> impl Iterator<Item = &Actor> {
        std::iter::successors(self.actor(), |actor| actor.prior())
    }

    /// The time since each factor was verified, at `now`.
    ///
    /// Unless recorded otherwise, the first factor was verified at the sign-in, and the second one
    /// never. In an impersonated session neither was, until the application records it.
    #[must_use]
    pub fn factor_ages(&self, now: Timestamp) -> FactorAges {
        FactorAges::new(self.verified_at(Factor::First), self.verified_at(Factor::Second), now)
    }

    /// When `factor` was last verified.
    pub(crate) fn verified_at(&self, factor: Factor) -> Option<Timestamp> {
        let said = self.0.standing.as_ref().and_then(|it| it.factors.get(factor));
        let by_signing_in = factor == Factor::First && !self.0.terms.impersonated;
        said.or_else(|| by_signing_in.then_some(self.0.dates.signed_in_at))
    }

    /// Whether the two sessions are the same account of a browser: same subject and, if
    /// impersonated, same actor.
    pub(crate) fn is_same_account(&self, other: &Self) -> bool {
        let actor = |session: &Self| session.actor().map(|actor| actor.subject().clone());
        self.0.subject == other.0.subject
            && self.0.terms.impersonated == other.0.terms.impersonated
            && (!self.0.terms.impersonated || actor(self) == actor(other))
    }

    /// The status of a request that acts as it.
    pub(crate) fn kind(&self) -> SessionStatusKind {
        if self.0.terms.pending { SessionStatusKind::Pending } else { SessionStatusKind::SignedIn }
    }

    pub(crate) fn standing(&self) -> Option<&Arc<SessionAttributes>> {
        self.0.standing.as_ref()
    }

    /// Whether a copy of the session's cookie was detected, and the user was not verified since.
    pub(crate) fn is_distrusted(&self) -> bool {
        self.0.standing.as_ref().is_some_and(|it| it.factors.is_distrusted())
    }

    /// The proof that the request comes from the device that the session is bound to; `None` if it is
    /// not bound.
    ///
    /// ```
    /// use tower_auth_session::engine::SessionIdentity;
    ///
    /// fn is_bound(session: &SessionIdentity) -> bool {
    ///     session.device_proof().is_some()
    /// }
    /// ```
    #[must_use]
    pub fn device_proof(&self) -> Option<DeviceProof> {
        self.device()?.valid_proof()
    }

    /// The device that the session is bound to.
    pub(crate) fn device(&self) -> Option<&BoundDevice> {
        self.0.standing.as_ref()?.device.as_ref()
    }

    /// The key that the session's tokens name.
    pub(crate) fn device_key(&self) -> Option<DeviceKey> {
        self.device().map(|device| device.key)
    }

    /// The same session, bound to `device`, or unbound.
    pub(crate) fn with_device(&self, device: Option<BoundDevice>) -> Self {
        let attributes = self.standing().map(|it| SessionAttributes::clone(it));
        let attributes = SessionAttributes { device, ..attributes.unwrap_or_default() };
        self.with_attributes(attributes.shared())
    }

    pub(crate) fn lineage(&self) -> Option<LineageId> {
        self.0.lineage
    }

    pub(crate) fn dates(&self) -> SessionTimes {
        self.0.dates
    }

    pub(crate) fn terms(&self) -> SessionFlags {
        self.0.terms
    }
}

impl fmt::Debug for SessionIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { id, subject, dates, terms, standing, lineage, external } = &*self.0;
        f.debug_struct("SessionIdentity")
            .field("id", id)
            .field("subject", subject)
            .field("dates", dates)
            .field("terms", terms)
            .field("standing", standing)
            .field("lineage", lineage)
            .field("external", external)
            .finish()
    }
}

/// The kinds of [`SessionStatus`](crate::SessionStatus).
///
/// ```
/// use tower_auth_session::{SessionStatus, engine::SessionStatusKind};
///
/// fn banner(status: &SessionStatus) -> &'static str {
///     match status.kind() {
///         SessionStatusKind::Pending => "One more step: enter the code.",
///         SessionStatusKind::AccountSelectionRequired => "Choose an account.",
///         SessionStatusKind::Unavailable => "Signing in does not work at the moment.",
///         _ => "",
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionStatusKind {
    /// Signed in.
    SignedIn,
    /// No user is signed in.
    SignedOut,
    /// No account is active, but others are signed in from this browser.
    AccountSelectionRequired,
    /// Signed in, but a task such as a second factor is open.
    Pending,
    /// The request names a session that is not signed in here.
    SessionMismatch,
    /// The session cannot be checked now.
    Unavailable,
    /// The session is bound to a device, and the request has no proof that it comes from there: served
    /// as signed out, and nothing is removed.
    Unproven,
    /// Sessions must be bound to a device, and this one is not, because the browser cannot do it: served
    /// as signed out.
    NotDeviceBound,
    /// A WebSocket handshake from a foreign origin: served as signed out.
    CrossOrigin(CrossOriginReason),
    /// Several layers with different engines wrap the service. Select one with
    /// [`SessionStatus::layer`](crate::SessionStatus::layer).
    Ambiguous,
}

impl SessionStatusKind {
    /// Whether the request acts as a session, pending ones included.
    pub(crate) const fn has_session(self) -> bool {
        matches!(self, Self::SignedIn | Self::Pending)
    }
}
