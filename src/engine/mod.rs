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

mod account;
mod actor;
mod algorithm;
mod bearer;
mod bell;
mod browser;
mod builder;
mod cache;
mod caching;
mod claims;
mod close;
mod cookie;
mod cookie_header;
mod cross_origin;
mod crypto;
mod der;
mod device;
mod ended;
mod event;
mod factor;
mod glance;
mod heard;
mod id;
mod identity;
mod issuer;
mod jar;
mod json;
mod jwk;
mod jws;
mod key_set;
mod keys;
mod kid;
mod knowledge;
mod lifetime;
mod limits;
mod material;
mod mint;
mod open;
mod origin;
pub(crate) mod paths;
mod pem;
pub(crate) mod percent;
pub(crate) mod pkcs;
mod public_jwk;
pub(crate) mod recent;
mod record;
mod redirect;
mod renewed;
mod request;
mod ring;
mod session;
mod set_cookie;
mod several;
mod sign_in;
mod standing;
mod state;
mod task;
mod touch;
mod verifier;
mod weak;
mod write;
#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod wycheproof;

pub use self::{
    actor::Actor,
    algorithm::Algorithm,
    bearer::{BearerToken, BearerTokenError, BearerTokenOptions, BearerTokens, Credential},
    builder::SessionEngineBuilder,
    claims::{ClaimsError, RESERVED_CLAIMS},
    cookie::{CookieConfig, CookiePrefix, SameSite},
    cross_origin::CrossOrigin,
    device::Device,
    event::{RejectReason, SessionEvent},
    factor::{Factor, FactorAges, Freshness},
    id::{InvalidId, InvalidSubject, SessionId, Subject},
    identity::{ExternalSession, SessionIdentity, SessionStatusKind},
    issuer::TrustedIssuer,
    jar::{
        AccountSummary, NoStore, NotSignedInHere, RenewalAnswer, SessionJar, TaskError,
        TaskOutcome, UpdateClaimsError,
    },
    keys::{SigningKey, VerifyingKey},
    kid::KeyId,
    lifetime::SessionLifetime,
    limits::{ExpiredBy, LifetimeOverride},
    origin::Origin,
    redirect::{RedirectRefused, RedirectTarget, SignOutRedirects},
    request::{RequestHead, SESSION_ACTIVITY, SESSION_ID},
    ring::KeyRing,
    session::{Session, SessionStatus},
    several::AccountLimitPolicy,
    sign_in::{CommitError, SignIn, SignInError, SignInOutcome},
    state::SessionEngine,
    task::{InvalidTask, SessionTask},
    touch::TouchError,
};
pub(crate) use self::{
    algorithm::Family,
    crypto::sha256,
    issuer::{Issuer, remote::RemoteKeys},
    jar::Effects,
    material::{PrivatePart, Secret},
    record::{RequestRecord, Watch},
    redirect::RedirectPolicy,
    ring::{PublicKeys, pem_files},
};
#[cfg(test)]
pub(crate) use self::{record::Turned, redirect::ResolvedRedirects};

impl<C> SessionEngine<C> {
    /// An engine that signs and verifies with `keys`.
    pub fn builder(keys: KeyRing) -> SessionEngineBuilder<C> {
        SessionEngineBuilder::new(keys)
    }

    /// An engine that issues nothing and believes the tokens of `issuers`: it writes no cookie, its
    /// layer answers no request itself, and whoever signs in does so elsewhere. Of the builder's
    /// settings the clock skew, the origins, the redirects and the listener mean something to it.
    pub fn verifier(issuers: impl IntoIterator<Item = TrustedIssuer>) -> SessionEngineBuilder<C> {
        SessionEngineBuilder::verifying(issuers.into_iter().collect())
    }
}
