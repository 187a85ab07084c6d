//! Signed-in sessions for Tower services: one [`SessionLayer`] verifies the session cookie (a JWT)
//! on every request, slides the inactivity window, enforces a maximum lifetime and hands typed claims
//! to handlers, in Axum, Hyper and Tonic.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod claims_source;
mod endpoints;
pub mod engine;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod guard;
mod keygen;
mod limit;
mod logging;
mod middleware;
mod options;
mod random;
mod rejection;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod time;

#[doc(no_inline)]
pub use engine::{
    Algorithm, CommitError, CookieConfig, KeyRing, LifetimeOverride, Session, SessionEngine,
    SessionEvent, SessionId, SessionIdentity, SessionJar, SessionLifetime, SessionStatus,
    SessionStatusKind, SignIn, SignInError, SignInOutcome, SignOutRedirects, SigningKey, Subject,
    VerifyingKey,
};

pub use body::SessionBody;
pub use claims_source::{ClaimsFuture, ClaimsSource, ClaimsSourceError};
pub use error::{ConfigError, ConfigProblem, TokenError};
pub use guard::{RequireSession, RequireSessionFuture, RequireSessionLayer};
pub use limit::{InvalidLimit, Limit};
pub use middleware::{ResponseFuture, SessionLayer, SessionService};
pub use options::{EnvOptions, EnvWarning, SessionOptions};
pub use random::{OsRandom, RandomError, RandomSource};
pub use rejection::{Rejection, RejectionKind};
pub use time::{Clock, Now, SystemClock, Timestamp};
#[cfg(any(test, feature = "test-util"))]
pub use {random::SeededRandom, time::ManualClock};
