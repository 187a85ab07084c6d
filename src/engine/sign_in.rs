//! [`SignIn`]: what an application says when it has authenticated somebody, and what can be wrong
//! with it.

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

/// Somebody whom the application has authenticated. `Debug` shows no claims.
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
    /// `subject`, with `claims` in the token. A claims source, where there is one, is asked as well
    /// and its answer replaces them.
    ///
    /// Tokens are signed, not encrypted: whoever holds the cookie can read the claims (ASVS 14.3.3).
    pub const fn new(subject: Subject, claims: C) -> Self {
        Self::with(subject, Some(claims))
    }

    /// `subject`, with the claims that the claims source gives.
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

    /// Whether the cookie outlives the browser's session. With `false` it has no Max-Age and goes
    /// when the browser is closed; the limits of the session hold all the same.
    pub fn persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// What it is signed in from, for lists of devices. Only a store keeps it. By default it is called
    /// after the `User-Agent` (feature `user-agent`), and has no address: which one is the client's
    /// only the application knows.
    pub fn device(mut self, device: Device) -> Self {
        self.device = Some(device);
        self
    }

    /// Not signed in yet: `tasks` are left to do, of which each is listed once. The session is *pending*,
    /// which is signed out for every guard and extractor that does not say otherwise, and for no longer
    /// than [`pending_lifetime`](crate::SessionLifetime::pending_lifetime);
    /// [`complete_task`](crate::SessionJar::complete_task) goes on from there. With no tasks it is a
    /// sign-in like any other.
    ///
    /// Whose claims are asked for, and which other sessions of this browser end, does not depend on it.
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

    /// The subject is somebody whom `actor` impersonates: support, for one (RFC 8693 §4.1). The session
    /// lasts no longer than
    /// [`impersonation_lifetime`](crate::SessionLifetime::impersonation_lifetime), whatever its own
    /// [`lifetime`](Self::lifetime), and no factor of the subject counts as verified in it. Beside a
    /// session of the subject's own in the same browser it is an account of its own.
    ///
    /// Whether the actor may do that is the application's question. That they who impersonate somebody
    /// do not impersonate again is asked here, unless
    /// [`nested_impersonation`](crate::engine::SessionEngineBuilder::nested_impersonation) allows it.
    pub fn impersonated_by(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// `factor` has been verified just now. Of the first one that goes without saying, unless somebody
    /// is impersonated; of a second one it does not.
    pub const fn with_verified_factor(mut self, factor: Factor) -> Self {
        match factor {
            Factor::First => self.verified[0] = Some(factor),
            Factor::Second => self.verified[1] = Some(factor),
        }
        self
    }

    /// Accepts the sign-in although the request came from a foreign origin, as the POST binding of
    /// SAML does. Only where something else, such as `RelayState`, ties the request to this
    /// browser: otherwise any site can sign its visitors in as somebody else.
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

/// What a sign-in did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignInOutcome {
    /// The new session.
    pub session_id: SessionId,
    /// The session of this browser that ends when the response goes out.
    pub replaced: Option<SessionId>,
    /// The sessions of other accounts that end with it, because a browser holds only so many.
    pub evicted: Vec<SessionId>,
}

/// Why a sign-in was refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The engine [verifies only](crate::SessionEngine::verify_only): whoever signs in does so at one of its
    /// issuers.
    #[error("this engine verifies the tokens of others and issues none")]
    VerifiesOnly,
    /// The request was made by a page of another site, which wants its visitor signed in as somebody
    /// else.
    #[error("the request comes from another site: {0}")]
    CrossOrigin(CrossOriginReason),
    /// The request is made with a bearer token, for which no cookie is ever written.
    #[error("the request is made with a bearer token: sign in without one")]
    BearerToken,
    /// The lifetime is below a second, or its inactivity timeout above its maximum.
    #[error("a sign-in's own timeouts are at least a second, inactivity not above maximum")]
    Lifetime,
    /// The claims cannot stand in a token.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// The token would not fit a cookie: browsers drop what is longer.
    #[error(
        "the token would be {size} bytes, a cookie holds {limit}: the claims are {claims} bytes of it, \
         keep less in them"
    )]
    TooLarge {
        /// Length of the token in bytes.
        size: usize,
        /// The longest token that a browser keeps under the cookie's name, whatever its renewals
        /// add.
        limit: usize,
        /// Length of the whole payload, as JSON, in bytes.
        claims: usize,
    },
    /// The browser holds as many accounts as it may, and none is signed out to make room.
    #[error("{max} accounts are signed in from this browser: sign out of one first")]
    TooManyAccounts {
        /// The most there may be.
        max: usize,
    },
    /// The cookies of all accounts would not get through: servers refuse requests whose headers are
    /// too long.
    #[error("the cookies of all accounts would be {bytes} bytes, the budget is {budget}")]
    CookieBudget {
        /// What the cookies would come to, names and separators included.
        bytes: usize,
        /// The most they may.
        budget: usize,
    },
    /// Who impersonates somebody would impersonate somebody else.
    #[error("the session is impersonated: its actor cannot impersonate again")]
    NestedImpersonation,
    /// The ring has no signing key, or the back end failed.
    #[error("the token could not be signed")]
    Signing,
    /// The random source failed: no id, no session.
    #[error("no session id: the random source failed")]
    Random,
    /// The response is already on its way.
    #[error("the response has been sent: sign in while the request is handled")]
    Closed,
}

/// Why the changes of a request could not be made. The cookies are as they were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The claims source failed or was too slow, and the sign-in brought no claims of its own.
    #[error("no claims for the sign-in: the claims source failed")]
    ClaimsSource,
    /// The sign-in was made `from_claims_source`, and there is none.
    #[error("no claims for the sign-in: set a claims source, or sign in with claims")]
    NoClaims,
    /// The response cannot carry the cookie of a sign-in: it is marked for shared caches, or one
    /// that browsers take no cookies from (1xx, 304), or the session is over before it goes out.
    #[error("the response cannot carry the cookie of the sign-in")]
    CookieNotAllowed,
    /// The claims that the source gave do not fit.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// The store could not be asked, or told. What the request signed out is over in this process
    /// and its cookies go; the store is told as soon as it can be.
    #[error("the session store is unavailable")]
    StoreUnavailable,
    /// The subject has as many sessions as it may, and none is ended to make room.
    #[error("the subject has as many sessions as it may: sign out of one first")]
    TooManySessions,
    /// All sessions of the subject were ended while it signed in.
    #[error("all sessions of the subject were ended meanwhile: sign in again")]
    RevokedDuringSignIn,
}
