//! [`JarDriver`]: the I/O that a [`SessionJar`] needs, for code that runs the engine without the layer.
//!
//! The engine does no I/O. A query for a store or a claims source is a value that the driver
//! returns (`*_request`), and the result is handed back (`handle_*`). The layer makes the same calls;
//! the [module of stores](crate::store) says what each operation promises.
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
/// # use tower_auth_session::{*, time::Timestamp};
/// use tower_auth_session::{
///     SessionJar,
///     engine::{ConfirmedSession, RenewalDecision, driver::PendingRevocation},
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
/// fn after(jar: &SessionJar) -> Vec<String> {
///     let driver = jar.driver();
///     let mut writes = Vec::new();
///     for revocation in driver.take_revocations() {
///         writes.push(match revocation {
///             PendingRevocation::Session(session) => format!("revoke {}", session.id()),
///             PendingRevocation::Subject(subject) => format!("revoke all sessions of {subject}"),
///         });
///     }
///     if let Some(session) = driver.claims_request() {
///         writes.push(format!("query the claims of {}", session.subject()));
///     }
///     if let Some(session) = driver.create_request() {
///         writes.push(format!("create {}, replacing {:?}", session.id(), driver.replaces()));
///         driver.handle_created(&session);
///     }
///     for session in [driver.revoked_by_sign_in(), driver.sessions_beyond_limits()].concat() {
///         writes.push(format!("revoke {}", session.id()));
///     }
///     writes
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = KeyRing::new(SigningKey::generate("k1", Algorithm::Hs256)?);
/// # let engine = SessionEngine::<()>::builder(keys).build()?;
/// # let now = Timestamp::from_unix_seconds(1_800_000_000);
/// # let jar = engine.open(&http::Request::new(()), now);
/// # before(&jar, |_| true, now);
/// # jar.sign_in(SignIn::new(Subject::new("ada")?, ()))?;
/// # let _ = after(&jar);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct JarDriver<'j, C>(&'j SessionJar<C>);

/// A revocation of a request, which a store must record.
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
    #[must_use]
    pub const fn driver(&self) -> JarDriver<'_, C> {
        JarDriver(self)
    }
}

impl<C: Send + Sync + 'static> JarDriver<'_, C> {
    /// The session that a store should renew now, as it will be in its next token: its token is due,
    /// or goes out for another reason. `None` once [`handle_renewal`](Self::handle_renewal) was called
    /// for it.
    ///
    /// Without a store, skip it: tokens are then renewed on their signature alone. With one, call it
    /// before the request is handled and again before the response is closed.
    #[must_use]
    pub fn renewal_request(&self) -> Option<SessionIdentity> {
        self.0.renewal_request()
    }

    /// Applies the store's response to [`renewal_request`](Self::renewal_request) for the session
    /// `id`.
    ///
    /// A revoked session is revoked in this process from now on, and its cookie is removed. A session
    /// that the store could not check keeps its cookie: the request is served as
    /// [`Unavailable`](crate::engine::SessionStatusKind::Unavailable).
    pub fn handle_renewal(&self, id: SessionId, decision: RenewalDecision) {
        self.0.handle_renewal(id, decision);
    }

    /// The session whose claims a claims source should supply now: one that signs in, whose token is
    /// renewed, or whose claims do not decode. `None` once [`handle_claims`](Self::handle_claims) was
    /// called for it.
    #[must_use]
    pub fn claims_request(&self) -> Option<SessionIdentity> {
        self.0.claims_request()
    }

    /// Applies the claims for `session`. Claims for a session that is not requested any more are
    /// dropped.
    ///
    /// # Errors
    ///
    /// When the claims cannot be encoded into a token or do not fit a cookie. The session keeps its
    /// old claims, if it has any.
    pub fn handle_claims(&self, session: SessionId, claims: C) -> Result<(), UpdateClaimsError> {
        self.0.handle_claims(session, claims)
    }

    /// The sign-in that a store should keep before its cookie is sent.
    #[must_use]
    pub fn create_request(&self) -> Option<SessionIdentity> {
        self.0.create_request()
    }

    /// The pending session that the sign-in of [`create_request`](Self::create_request) activates. The
    /// store creates the new session only if this one is still active, in the same step.
    #[must_use]
    pub fn replaces(&self) -> Option<SessionId> {
        self.0.replaces()
    }

    /// Records that the store keeps the sign-in of `session`. If the handler withdraws the sign-in
    /// later, it is among the [abandoned sign-ins](Self::take_abandoned_sign_ins).
    pub fn handle_created(&self, session: &SessionIdentity) {
        self.0.handle_created(session);
    }

    /// The revocations of this request that the store has not recorded yet. A second call returns nothing.
    #[must_use]
    pub fn take_revocations(&self) -> Vec<PendingRevocation> {
        self.0.take_revocations()
    }

    /// The sign-ins that a store keeps and that no response will carry, because they were withdrawn
    /// or refused. Revoke them in the store; the response need not wait for it. A second call returns
    /// nothing.
    #[must_use]
    pub fn take_abandoned_sign_ins(&self) -> Vec<SessionIdentity> {
        self.0.take_abandoned_sign_ins()
    }

    /// The sessions that are revoked when the sign-in is sent: replaced, or evicted by a limit.
    #[must_use]
    pub fn revoked_by_sign_in(&self) -> Vec<SessionIdentity> {
        self.0.revoked_by_sign_in()
    }

    /// The sessions that exceed the limits of the browser: revoke them in the store before the response
    /// is closed, which revokes them in this process and removes their cookies.
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

    /// Applies the store's response that the session `id` of this browser is revoked: it is revoked in
    /// this process from now on, and its cookie is removed.
    pub fn mark_revoked(&self, id: SessionId) {
        self.0.mark_revoked(id);
    }
}
