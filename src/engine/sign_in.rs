//! [`SignIn`]: a user whom the application has authenticated, and the errors of a sign-in.

use std::fmt;

use super::{
    redirect::csrf::CrossOriginReason,
    session::{
        actor::Actor,
        device::Device,
        expiry::LifetimeOverride,
        factor::Factor,
        id::{SessionId, Subject},
        task::SessionTask,
    },
    token::claims::ClaimsError,
};

/// A user whom the application has authenticated. `Debug` shows no claims.
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::{
///     SignIn, Subject,
///     config::LifetimeOverride,
///     engine::{Actor, Device, Factor, SessionTask},
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// const HOUR: Duration = Duration::from_secs(3600);
/// let ada = Subject::new("user-1815")?;
///
/// // The form had the box "remember me" checked, or not:
/// let remembered = SignIn::new(ada.clone(), ()).lifetime(LifetimeOverride::both(30 * 24 * HOUR));
/// let once = SignIn::new(ada.clone(), ()).lifetime(LifetimeOverride::both(HOUR)).persistent(false);
///
/// // A password was verified, a code is required next:
/// let with_code = SignIn::new(ada.clone(), ())
///     .with_verified_factor(Factor::First)
///     .with_tasks([SessionTask::SECOND_FACTOR])
///     .device(Device::new(Some("Ada's laptop"), None));
///
/// // An employee acts for the user:
/// let support = SignIn::new(ada.clone(), ()).impersonated_by(Actor::new(Subject::new("support-7")?));
///
/// // An identity provider posts its assertion from its own site (SAML), and a claims source has the claims:
/// let from_provider = SignIn::<()>::from_claims_source(ada).allow_cross_origin();
/// # let _ = (remembered, once, with_code, support, from_provider);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "a sign-in does nothing until it is given to `SessionJar::sign_in`"]
pub struct SignIn<C = ()> {
    pub(crate) subject: Subject,
    pub(crate) claims: Option<C>,
    pub(crate) lifetime: LifetimeOverride,
    pub(crate) persistent: bool,
    pub(crate) allow_cross_origin: bool,
    pub(crate) device: Option<Device>,
    pub(crate) tasks: Option<Box<[SessionTask]>>,
    pub(crate) actor: Option<Actor>,
    pub(crate) verified: [Option<Factor>; 2],
}

impl<C> SignIn<C> {
    /// Signs in `subject` with `claims` in the token. A claims source, if there is one, is queried
    /// as well, and its claims replace these.
    ///
    /// Tokens are signed, not encrypted: the holder of the cookie can read the claims (ASVS
    /// 14.3.3).
    pub const fn new(subject: Subject, claims: C) -> Self {
        Self::with(subject, Some(claims))
    }

    /// Signs in `subject` with the claims that the claims source provides.
    pub const fn from_claims_source(subject: Subject) -> Self {
        Self::with(subject, None)
    }

    const fn with(subject: Subject, claims: Option<C>) -> Self {
        Self {
            subject,
            claims,
            lifetime: LifetimeOverride::new(),
            persistent: true,
            allow_cross_origin: false,
            device: None,
            tasks: None,
            actor: None,
            verified: [None; 2],
        }
    }

    /// This session's own lifetime ("remember me").
    pub fn lifetime(mut self, lifetime: LifetimeOverride) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Whether the cookie outlives the browser's session. With `false` it has no `Max-Age`, and the
    /// browser decides when to remove it: one that restores its tabs keeps the cookie over restarts,
    /// and a mobile browser for weeks. To forget a user safely, set a shorter
    /// [`lifetime`](Self::lifetime) too; the limits of the session apply in any case.
    pub fn persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// The device, for lists of devices. Only a store keeps it. By default its label is derived
    /// from the `User-Agent` (feature `user-agent`), and it has no address, because only the
    /// application knows which address is the client's.
    pub fn device(mut self, device: Device) -> Self {
        self.device = Some(device);
        self
    }

    /// Starts a *pending* session with open `tasks`, each listed once. Guards and extractors treat
    /// it as signed out unless they state otherwise, and it lasts no longer than
    /// [`pending_lifetime`](crate::SessionLifetime::pending_lifetime); continue with
    /// [`complete_task`](crate::SessionJar::complete_task). Without tasks it is an ordinary
    /// sign-in.
    ///
    /// Claims and the replacement of other sessions are not affected.
    pub fn with_tasks(mut self, tasks: impl IntoIterator<Item = SessionTask>) -> Self {
        let mut listed: Vec<SessionTask> = Vec::new();
        for task in tasks {
            if !listed.contains(&task) {
                listed.push(task);
            }
        }
        self.tasks = (!listed.is_empty()).then(|| listed.into());
        self
    }

    /// `actor` impersonates the subject, for example for support (RFC 8693 §4.1). The session lasts
    /// no longer than [`impersonation_lifetime`](crate::SessionLifetime::impersonation_lifetime),
    /// whatever its own [`lifetime`](Self::lifetime), and no factor of the subject counts as
    /// verified. Next to a session of the subject in the same browser it is a separate account.
    ///
    /// The application decides whether the actor may impersonate. Nested impersonation is refused,
    /// unless [`nested_impersonation`](crate::engine::SessionEngineBuilder::nested_impersonation)
    /// allows it.
    pub fn impersonated_by(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Records that `factor` has just been verified. The first factor is recorded by itself, unless
    /// the session is impersonated; a second one is not.
    pub const fn with_verified_factor(mut self, factor: Factor) -> Self {
        match factor {
            Factor::First => self.verified[0] = Some(factor),
            Factor::Second => self.verified[1] = Some(factor),
        }
        self
    }

    /// Accepts the sign-in although the request came from a foreign origin, as with the POST
    /// binding of SAML. Use it only if something else, such as `RelayState`, ties the request to
    /// this browser: otherwise any site can sign its visitors in as another user.
    pub fn allow_cross_origin(mut self) -> Self {
        self.allow_cross_origin = true;
        self
    }
}

impl<C> fmt::Debug for SignIn<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn")
            .field("subject", &self.subject)
            .field("lifetime", &self.lifetime)
            .field("persistent", &self.persistent)
            .field("allow_cross_origin", &self.allow_cross_origin)
            .field("tasks", &self.tasks)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}

/// The result of a sign-in.
///
/// ```
/// use tower_auth_session::{SessionJar, SignIn, error::SignInError};
///
/// fn sign_in(jar: &SessionJar, user: SignIn) -> Result<String, SignInError> {
///     let outcome = jar.sign_in(user)?;
///     Ok(match outcome.evicted.len() {
///         0 => format!("signed in, session {}", outcome.session_id),
///         n => format!("signed in; {n} accounts of this browser were signed out to make room"),
///     })
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignInOutcome {
    /// The new session.
    pub session_id: SessionId,
    /// The session of this browser that is replaced when the response is written.
    pub replaced: Option<SessionId>,
    /// The sessions of other accounts that are evicted by the limits of a browser.
    pub evicted: Vec<SessionId>,
}

/// The reason why a sign-in was refused. Nothing has changed.
///
/// ```
/// use tower_auth_session::{SessionJar, SignIn, error::SignInError};
///
/// fn sign_in(jar: &SessionJar, user: SignIn) -> Result<(), String> {
///     match jar.sign_in(user) {
///         Ok(_) => Ok(()),
///         Err(SignInError::TooManyAccounts { .. }) => Err("Sign out of one account first.".to_owned()),
///         // In a handler, `?` answers as each client expects.
///         Err(error) => Err(error.to_string()),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The engine [verifies only](crate::SessionEngine::verify_only): users sign in at one
    /// of its issuers.
    #[error("this engine only verifies tokens and issues none")]
    VerifiesOnly,
    /// The request was made by a page of another site.
    #[error("the request comes from another site: {0}")]
    CrossOrigin(CrossOriginReason),
    /// The request presents a bearer token, for which no cookie is ever written.
    #[error("the request presents a bearer token: sign in without one")]
    BearerToken,
    /// The lifetime is below a second, or its inactivity timeout above its maximum.
    #[error(
        "lifetime override out of range: at least one second, and the inactivity timeout at most the maximum lifetime"
    )]
    Lifetime,
    /// The claims cannot be encoded in a token.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// The token does not fit in a cookie: browsers drop longer ones.
    #[error(
        "the token would be {size} bytes, a cookie holds {limit}: the claims are {claims} bytes of it, \
         keep less in them"
    )]
    TooLarge {
        /// Length of the token in bytes.
        size: usize,
        /// The maximum length of a token in this cookie, growth at renewal included.
        limit: usize,
        /// Length of the whole payload, as JSON, in bytes.
        claims: usize,
    },
    /// The browser holds the maximum number of accounts, and none is evicted.
    #[error("{max} accounts are signed in from this browser: sign out of one first")]
    TooManyAccounts {
        /// The maximum.
        max: usize,
    },
    /// The cookies of all accounts exceed the budget: servers refuse requests whose headers are too
    /// long.
    #[error("the cookies of all accounts would be {bytes} bytes, the budget is {budget}")]
    CookieBudget {
        /// The bytes that the cookies would take, names and separators included.
        bytes: usize,
        /// The budget.
        budget: usize,
    },
    /// The current session is impersonated, and nested impersonation is not allowed.
    #[error("the session is impersonated: nested impersonation is not allowed")]
    NestedImpersonation,
    /// The key ring has no signing key, or the cryptographic back end failed.
    #[error("the token could not be signed")]
    Signing,
    /// The random source failed, so no session id could be created.
    #[error("no session id: the random source failed")]
    Random,
    /// The response has already been sent.
    #[error("the response has been sent: sign in while the request is handled")]
    Closed,
}

/// The reason why the changes of a request could not be committed. The cookies are unchanged.
///
/// The layer commits after the handler. A handler that calls [`commit`](crate::SessionJar::commit) itself can
/// answer a failure:
///
/// ```
/// use tower_auth_session::{SessionJar, SignIn, error::CommitError};
///
/// async fn sign_in(jar: SessionJar, user: SignIn) -> Result<&'static str, CommitError> {
///     jar.sign_in(user)?;
///     match jar.commit().await {
///         Err(CommitError::TooManySessions) => Ok("Sign out on another device first."),
///         result => result.map(|()| "welcome"),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The claims source failed or timed out, and the sign-in has no claims of its own.
    #[error("no claims for the sign-in: the claims source failed")]
    ClaimsSource,
    /// The sign-in was created with `from_claims_source`, and there is no claims source.
    #[error("no claims for the sign-in: set a claims source, or sign in with claims")]
    NoClaims,
    /// The response cannot carry the cookie of a sign-in or a flow: it is marked for shared caches or
    /// informational (1xx), or the session expired before it was written.
    #[error("the response cannot carry the cookie of the sign-in or the flow")]
    CookieNotAllowed,
    /// The claims of the claims source do not fit.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// The store is unavailable. Sessions that the request signed out are revoked in this process
    /// and their cookies removed; the store receives the revocations when it is available again.
    #[error("the session store is unavailable")]
    StoreUnavailable,
    /// The subject has the maximum number of sessions, and none is revoked for a new one.
    #[error("the subject has the maximum number of sessions: sign out of one first")]
    TooManySessions,
    /// All sessions of the subject were revoked during the sign-in.
    #[error("all sessions of the subject were revoked during the sign-in: sign in again")]
    RevokedDuringSignIn,
}
