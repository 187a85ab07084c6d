//! The pure engine: what a session is and what becomes of it, from request headers to `Set-Cookie`.
//!
//! No I/O, no `async`, no tower, no clock and no randomness but what is handed in: a framework author
//! calls [`SessionEngine::open`] and [`SessionEngine::close`] with nothing but `http` types, and
//! every rule can be tested as a function of its inputs.
//!
//! ```text
//! request + now ──open──► SessionJar ──► handler (reads sessions, calls the jar's verbs)
//!                                               │
//! response ◄── Set-Cookie ◄──close(jar, now)────┘
//! ```

pub(crate) mod bearer;
pub(crate) mod builder;
pub(crate) mod close;
pub(crate) mod cookie;
pub(crate) mod encoding;
pub(crate) mod event;
pub(crate) mod issue;
pub(crate) mod issue_bearer;
pub(crate) mod issuer;
pub(crate) mod jar;
pub(crate) mod keys;
pub(crate) mod logging;
pub(crate) mod multi_session;
pub(crate) mod open;
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
    jar::{accounts::AccountSummary, driver, store_sync::RenewalDecision, tasks::TaskOutcome},
    request::head::{RequestHead, SESSION_ACTIVITY_HEADER, SESSION_ID_HEADER},
    session::{
        actor::Actor,
        device::Device,
        factor::{Factor, FactorAges, FreshnessRequirement},
        identity::{SessionIdentity, SessionStatusKind},
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

    /// An engine that issues nothing and believes the tokens of `issuers`: it writes no cookie, its
    /// layer answers no request itself, and whoever signs in does so elsewhere. Of the builder's
    /// settings the clock skew, the origins, the redirects and the listener mean something to it.
    pub fn verify_only(
        issuers: impl IntoIterator<Item = TrustedIssuer>,
    ) -> SessionEngineBuilder<C> {
        SessionEngineBuilder::verifying(issuers.into_iter().collect())
    }
}
