//! The sans-I/O engine: from request headers to a [`SessionJar`](crate::SessionJar), and from the jar
//! to `Set-Cookie`. It does no I/O, reads no clock, draws no randomness and has no `async`: all of these
//! come in as values. Code that runs it without Tower calls [`SessionEngine::open`],
//! [`SessionJar::driver`](crate::SessionJar::driver) and [`SessionEngine::close`] with `http` types.
//!
//! ```text
//! request + now ──open──► SessionJar ──► handler (reads sessions, signs in and out)
//!                                               │
//! response ◄── Set-Cookie ◄──close(jar, now)────┘
//! ```
//!
//! Folders are ordered: data below, operations above (`tests/it/architecture.rs`). Open `open` for how a
//! request's session is found, `jar` for what handlers change, `flow`
//! for what an application keeps in the browser before the sign-in, `close` for the cookies of the response,
//! `validate.rs` for when a token is accepted, `revoke.rs` for revocations in this process.

pub(crate) mod bearer;
pub(crate) mod builder;
pub(crate) mod close;
pub(crate) mod cookie;
pub(crate) mod device_bound;
pub(crate) mod encoding;
pub(crate) mod event;
pub(crate) mod flow;
pub(crate) mod issue;
pub(crate) mod issue_bearer;
pub(crate) mod issuer;
pub(crate) mod jar;
pub(crate) mod keys;
pub(crate) mod logging;
pub(crate) mod multi_session;
pub(crate) mod open;
pub(crate) mod prove;
pub(crate) mod redirect;
pub(crate) mod request;
pub(crate) mod revocation;
pub(crate) mod revoke;
pub(crate) mod session;
pub(crate) mod session_engine;
pub(crate) mod sign_in;
pub(crate) mod token;
pub(crate) mod validate;

pub use self::{
    builder::SessionEngineBuilder,
    jar::{accounts::AccountSummary, driver, tasks::TaskOutcome},
    request::head::{RequestHead, SESSION_ACTIVITY_HEADER, SESSION_ID_HEADER},
    session::{
        actor::Actor,
        device::Device,
        device_key::{DeviceKey, DeviceProof, InvalidDeviceKey},
        factor::{Factor, FactorAges, FreshnessRequirement},
        identity::{SessionIdentity, SessionStatusKind},
        renewal::{ConfirmedSession, RenewalDecision},
        task::SessionTask,
    },
    sign_in::SignInOutcome,
};
use self::{issuer::TrustedIssuer, keys::key_ring::KeyRing, session_engine::SessionEngine};
pub use crate::random::{OsRandom, RandomSource};

impl<C> SessionEngine<C> {
    /// An engine that signs and verifies with `keys`.
    pub fn builder(keys: KeyRing) -> SessionEngineBuilder<C> {
        SessionEngineBuilder::new(keys)
    }

    /// An engine that issues no sessions and accepts the tokens of `issuers`. It sets no cookie, and its
    /// layer serves no endpoint: users sign in elsewhere. Of the builder's settings only the clock
    /// skew, the origins, the redirect URLs and the event listener apply to it.
    ///
    /// ```
    /// use tower_auth_session::{Algorithm, SessionEngine, verify_only::TrustedIssuer};
    ///
    /// # fn main() -> Result<(), tower_auth_session::ConfigError> {
    /// let issuer = TrustedIssuer::new("https://accounts.example.com").algorithms([Algorithm::EdDsa]);
    /// let engine = SessionEngine::<()>::verify_only([issuer]).build()?;
    /// # let _ = engine;
    /// # Ok(()) }
    /// ```
    pub fn verify_only(
        issuers: impl IntoIterator<Item = TrustedIssuer>,
    ) -> SessionEngineBuilder<C> {
        SessionEngineBuilder::verifying(issuers.into_iter().collect())
    }
}
