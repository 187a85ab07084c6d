//! [`JarDriver`]: the I/O that a [`SessionJar`] needs, for code that runs the engine without the layer.
//!
//! The engine does no I/O. Methods named `*_request` return what to query a store or a claims source for,
//! and methods named `handle_*` take the result. The layer makes the same calls. The
//! [module of stores](crate::store) states what each operation of a store guarantees.
//!
//! | when | calls |
//! |---|---|
//! | before the handler | [`renewal_request`](JarDriver::renewal_request), [`claims_request`](JarDriver::claims_request) |
//! | before the browser's other accounts are shown | [`accounts_to_verify`](JarDriver::accounts_to_verify) |
//! | after the handler | [`take_revocations`](JarDriver::take_revocations), then the requests above again, [`create_request`](JarDriver::create_request), [`sessions_beyond_limits`](JarDriver::sessions_beyond_limits) |
//! | after the response is closed | [`take_abandoned_sign_ins`](JarDriver::take_abandoned_sign_ins) |

use super::{SessionJar, claims::UpdateClaimsError};
use crate::engine::session::{
    id::{SessionId, Subject},
    identity::SessionIdentity,
    renewal::RenewalDecision,
};

/// Runs the I/O of one [`SessionJar`]. Made by [`SessionJar::driver`].
///
/// ```
/// # use tower_auth_session::*;
/// use tower_auth_session::{
///     SessionId, SessionJar,
///     engine::{ConfirmedSession, RenewalDecision, driver::PendingRevocation},
///     error::UpdateClaimsError,
///     time::Timestamp,
/// };
///
/// /// Before the handler: renews the session if its token is due.
/// fn before(jar: &SessionJar, is_active: impl Fn(SessionId) -> bool, now: Timestamp) {
///     let driver = jar.driver();
///     if let Some(session) = driver.renewal_request() {
///         let decision = if is_active(session.id()) {
///             RenewalDecision::Active(ConfirmedSession::new(now, now))
///         } else {
///             RenewalDecision::Revoked
///         };
///         driver.handle_renewal(session.id(), decision);
///     }
///     for account in driver.accounts_to_verify() {
///         if !is_active(account.id()) {
///             driver.mark_revoked(account.id());
///         }
///     }
/// }
///
/// /// After the handler: what the store must record before the response is sent.
/// fn after(jar: &SessionJar) -> Result<Vec<String>, UpdateClaimsError> {
///     let driver = jar.driver();
///     let mut writes = Vec::new();
///     for revocation in driver.take_revocations() {
///         writes.push(match revocation {
///             PendingRevocation::Session(session) => format!("revoke {}", session.id()),
///             PendingRevocation::Subject(subject) => format!("revoke all sessions of {subject}"),
///         });
///     }
///     if let Some(session) = driver.claims_request() {
///         // Query your users for the claims of `session.subject()`. Here they are `()`.
///         driver.handle_claims(session.id(), ())?;
///     }
///     if let Some(session) = driver.create_request() {
///         writes.push(format!("create {}, replacing {:?}", session.id(), driver.replaces()));
///         driver.handle_created(&session);
///     }
///     for session in [driver.revoked_by_sign_in(), driver.sessions_beyond_limits()].concat() {
///         writes.push(format!("revoke {}", session.id()));
///     }
///     Ok(writes)
/// }
///
/// /// After the response is closed: sign-ins that the store has recorded and that no browser received.
/// fn closed(jar: &SessionJar) -> Vec<String> {
///     let sessions = jar.driver().take_abandoned_sign_ins().into_iter();
///     sessions.map(|session| format!("revoke {}", session.id())).collect()
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = KeyRing::new(SigningKey::generate("k1", Algorithm::Hs256)?);
/// # let engine = SessionEngine::<()>::builder(keys).build()?;
/// # let now = Timestamp::from_unix_seconds(1_800_000_000);
/// # let jar = engine.open(&http::Request::new(()), now);
/// # before(&jar, |_| true, now);
/// # jar.sign_in(SignIn::new(Subject::new("ada")?, ()))?;
/// # let writes = after(&jar)?;
/// # assert!(matches!(&*writes, [create] if create.starts_with("create ")), "{writes:?}");
/// # jar.sign_out();
/// # assert_eq!(closed(&jar).len(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct JarDriver<'j, C>(&'j SessionJar<C>);

/// A revocation that a request caused and that a store must record.
///
/// ```
/// use tower_auth_session::engine::driver::PendingRevocation;
///
/// fn statement(revocation: &PendingRevocation) -> &'static str {
///     match revocation {
///         PendingRevocation::Session(_) => "UPDATE sessions SET ended_at = now() WHERE id = $1",
///         PendingRevocation::Subject(_) => "UPDATE sessions SET ended_at = now() WHERE subject = $1",
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver that ignores a revocation leaves it undone")]
pub enum PendingRevocation {
    /// One session.
    Session(SessionIdentity),
    /// All sessions of a subject, in every browser.
    Subject(Subject),
}

impl<C> SessionJar<C> {
    /// The operations for code that runs the engine without [`SessionLayer`](crate::SessionLayer).
    /// Handlers do not need them.
    ///
    /// ```
    /// use tower_auth_session::SessionJar;
    ///
    /// /// Whether the store must be queried before the request is handled.
    /// fn needs_store(jar: &SessionJar) -> bool {
    ///     jar.driver().renewal_request().is_some()
    /// }
    /// ```
    #[must_use]
    pub const fn driver(&self) -> JarDriver<'_, C> {
        JarDriver(self)
    }
}

impl<C: Send + Sync + 'static> JarDriver<'_, C> {
    /// The session that a store should renew now, with the times that its next token will have: its
    /// token is due, or the response carries a new token for another reason. `None` once
    /// [`handle_renewal`](Self::handle_renewal) was called for it.
    ///
    /// Without a store, do not call it: tokens are then renewed if their signature is valid. With a store,
    /// call it before the request is handled and again before the response is closed.
    #[must_use]
    pub fn renewal_request(&self) -> Option<SessionIdentity> {
        self.0.renewal_request()
    }

    /// Applies the store's response to [`renewal_request`](Self::renewal_request) for the session
    /// `id`.
    ///
    /// If the store has revoked the session, this process rejects it from now on, and the response removes
    /// its cookie. If the store could not check it, the session keeps its cookie, and the status of the
    /// request is [`Unavailable`](crate::engine::SessionStatusKind::Unavailable).
    pub fn handle_renewal(&self, id: SessionId, decision: RenewalDecision) {
        self.0.handle_renewal(id, decision);
    }

    /// The session whose claims a claims source should supply now: its user signs in, its token is
    /// renewed, or its claims cannot be decoded. `None` once [`handle_claims`](Self::handle_claims) was
    /// called for it.
    #[must_use]
    pub fn claims_request(&self) -> Option<SessionIdentity> {
        self.0.claims_request()
    }

    /// Applies the claims for `session`. They are discarded if
    /// [`claims_request`](Self::claims_request) no longer returns this session.
    ///
    /// # Errors
    ///
    /// When the claims cannot be encoded into a token or do not fit a cookie. The session keeps its
    /// old claims, if it has any.
    pub fn handle_claims(&self, session: SessionId, claims: C) -> Result<(), UpdateClaimsError> {
        self.0.handle_claims(session, claims)
    }

    /// The session of a sign-in. A store must record it before its cookie is sent.
    #[must_use]
    pub fn create_request(&self) -> Option<SessionIdentity> {
        self.0.create_request()
    }

    /// The pending session that the sign-in of [`create_request`](Self::create_request) completes. In one
    /// step, the store checks that this session is still active and creates the new one.
    #[must_use]
    pub fn replaces(&self) -> Option<SessionId> {
        self.0.replaces()
    }

    /// Call this after the store has recorded the sign-in of `session`. If the handler withdraws the sign-in
    /// later, it is one of the [abandoned sign-ins](Self::take_abandoned_sign_ins).
    pub fn handle_created(&self, session: &SessionIdentity) {
        self.0.handle_created(session);
    }

    /// The revocations of this request that the store has not recorded yet. A second call returns nothing.
    #[must_use]
    pub fn take_revocations(&self) -> Vec<PendingRevocation> {
        self.0.take_revocations()
    }

    /// The sign-ins that the store has recorded, but whose cookies no response will carry, because they
    /// were withdrawn or refused. Revoke them in the store; the response need not wait for it. A second
    /// call returns nothing.
    #[must_use]
    pub fn take_abandoned_sign_ins(&self) -> Vec<SessionIdentity> {
        self.0.take_abandoned_sign_ins()
    }

    /// The sessions that the sign-in revokes when its response is closed: those that it replaces, and those
    /// that a limit evicts.
    #[must_use]
    pub fn revoked_by_sign_in(&self) -> Vec<SessionIdentity> {
        self.0.revoked_by_sign_in()
    }

    /// The sessions that exceed the limits of the browser. Revoke them in the store before the response is
    /// closed. Closing it revokes them in this process and removes their cookies.
    #[must_use]
    pub fn sessions_beyond_limits(&self) -> Vec<SessionIdentity> {
        let beyond = self.0.sessions_beyond_limits().into_iter();
        beyond.map(|beyond| beyond.session.identity).collect()
    }

    /// The browser's other accounts whose tokens are due: look them up in the store before a page
    /// lists them.
    #[must_use]
    pub fn accounts_to_verify(&self) -> Vec<SessionIdentity> {
        self.0.accounts_to_verify()
    }

    /// Call this if the store has revoked the session `id` of this browser. This process rejects the session
    /// from now on, and the response removes its cookie.
    pub fn mark_revoked(&self, id: SessionId) {
        self.0.mark_revoked(id);
    }
}
