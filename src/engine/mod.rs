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

mod algorithm;
mod builder;
mod caching;
mod claims;
mod close;
mod cookie;
mod cookie_header;
mod cross_origin;
mod crypto;
mod der;
mod ended;
mod event;
mod id;
mod jar;
mod json;
mod jwk;
mod jws;
mod keys;
mod lifetime;
mod material;
mod mint;
mod open;
mod origin;
mod pem;
pub(crate) mod percent;
pub(crate) mod pkcs;
mod redirect;
mod renewed;
mod request;
mod ring;
mod session;
mod sign_in;
mod weak;
#[cfg(test)]
mod wycheproof;

use std::{fmt, sync::Arc, time::Duration};

pub use self::{
    algorithm::Algorithm,
    builder::SessionEngineBuilder,
    claims::{ClaimsError, RESERVED_CLAIMS},
    cookie::{CookieConfig, CookiePrefix, SameSite},
    cross_origin::CrossOrigin,
    event::{RejectReason, SessionEvent},
    id::{InvalidId, InvalidSubject, SessionId, Subject},
    jar::{SessionJar, UpdateClaimsError},
    keys::{SigningKey, VerifyingKey},
    lifetime::{ExpiredBy, LifetimeOverride, SessionLifetime},
    origin::Origin,
    redirect::{RedirectRefused, RedirectTarget, SignOutRedirects},
    request::{RequestHead, SESSION_ACTIVITY},
    ring::KeyRing,
    session::{Session, SessionIdentity, SessionStatus, SessionStatusKind},
    sign_in::{CommitError, SignIn, SignInError, SignInOutcome},
};
pub(crate) use self::{
    algorithm::Family,
    jar::Effects,
    material::{PrivatePart, Secret},
    redirect::{RedirectPolicy, ResolvedRedirects},
    session::RequestRecord,
};

use self::{
    claims::{Decoded, Registered},
    cookie::SessionCookie,
    cross_origin::OriginPolicy,
    ended::EndedSet,
    jar::Verified,
    lifetime::{Limits, SessionLimits},
    mint::Terms,
    renewed::RenewedMap,
};
use crate::{
    error::TokenError,
    random::RandomSource,
    time::{Now, Timestamp},
};

/// Everything that was configured, checked once, and what this process remembers of ended and
/// renewed sessions. Clones share both.
///
/// `C` is the application's claims.
pub struct SessionEngine<C = ()>(Arc<Inner<C>>);

struct Inner<C> {
    keys: KeyRing,
    limits: Limits,
    cookie: SessionCookie,
    issuer: Option<Box<str>>,
    audience: Option<Box<str>>,
    redirects: Arc<ResolvedRedirects>,
    redirect_policy: RedirectPolicy,
    origins: OriginPolicy,
    sign_out_path: Option<Box<str>>,
    random: Arc<dyn RandomSource>,
    activity: Option<Arc<ActivityFn>>,
    on_event: Option<Arc<EventFn>>,
    ended: EndedSet,
    renewed: RenewedMap,
    codec: Codec<C>,
}

type ActivityFn = dyn Fn(RequestHead<'_>) -> bool + Send + Sync;
type EventFn = dyn Fn(&SessionEvent) + Send + Sync;

/// How `C` goes into a token and comes out again: captured when the engine is built, so that nothing
/// after it needs to name serde's traits.
struct Codec<C> {
    encode: fn(&Registered, &C) -> Result<Vec<u8>, ClaimsError>,
    check: fn(&[u8]) -> Result<(), ClaimsError>,
    decode: fn(&[u8]) -> Result<Decoded<C>, TokenError>,
}

impl<C> SessionEngine<C> {
    /// An engine that signs and verifies with `keys`.
    pub fn builder(keys: KeyRing) -> SessionEngineBuilder<C> {
        SessionEngineBuilder::new(keys)
    }

    /// Ends `session` in this process: its tokens are refused from now on, whoever holds a copy. The
    /// browser's cookie goes when it is next presented.
    ///
    /// Without a store other processes do not know of it.
    pub fn end_session(&self, session: &SessionIdentity, now: impl Into<Now>) {
        let terms = Terms { lifetime: LifetimeOverride::new(), persistent: true };
        self.end(&Verified { identity: session.clone(), terms, renew: false }, now.into());
    }

    /// Where `input` may lead: a `redirect_url` that a client sent, decoded once. It must be an
    /// absolute path of this site, or a URL of the configured origin or of an allowed one.
    ///
    /// `None` says that the caller's default takes its place: for an empty text, and for a refused
    /// one, which is told as [`SessionEvent::RedirectRefused`]. This is the rule of the sign-out
    /// endpoint, for sign-in handlers (CWE-601, ASVS 3.7.2).
    ///
    /// ```
    /// # use tower_auth_session::engine::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let keys = KeyRing::new(SigningKey::generate("test", Algorithm::Hs256)?);
    /// let engine = SessionEngine::<()>::builder(keys).origin("https://app.example.com").build()?;
    /// let target = |input| engine.redirect_target(input).map(|target| target.to_string());
    /// assert_eq!(target("/me?tab=2").as_deref(), Some("/me?tab=2"));
    /// assert_eq!(target("https://app.example.com/").as_deref(), Some("https://app.example.com/"));
    /// assert_eq!(target("https://evil.example/"), None);
    /// assert_eq!(target("//evil.example"), None);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn redirect_target(&self, input: &str) -> Option<RedirectTarget> {
        match self.0.redirect_policy.check(input) {
            Ok(target) => Some(target),
            Err(RedirectRefused::Empty) => None,
            Err(reason) => {
                self.tell(&SessionEvent::RedirectRefused { reason });
                None
            }
        }
    }

    pub(crate) fn sign_out_path(&self) -> Option<&str> {
        self.0.sign_out_path.as_deref()
    }

    pub(crate) fn redirects(&self) -> &ResolvedRedirects {
        &self.0.redirects
    }

    pub(crate) fn redirect_policy(&self) -> &RedirectPolicy {
        &self.0.redirect_policy
    }

    /// Whether a request that changes something was made by one of our own pages
    /// (RFC 6265bis §8.8.2, ASVS 3.5.1).
    pub(crate) fn check_origin(
        &self,
        head: RequestHead<'_>,
        carries_cookie: bool,
    ) -> Result<(), CrossOrigin> {
        self.0.origins.verdict(head.uri, head.headers, carries_cookie)
    }

    /// Whether the engine knows by which origin it is reached.
    pub(crate) fn knows_its_origin(&self) -> bool {
        self.0.origins.own.is_some()
    }

    pub(crate) fn tell(&self, event: &SessionEvent) {
        crate::logging::event(event);
        if let Some(on_event) = &self.0.on_event {
            on_event(event);
        }
    }

    fn new_id(&self) -> Result<SessionId, SignInError> {
        SessionId::generate(&*self.0.random).map_err(|_| SignInError::Random)
    }

    fn limits(&self, terms: &Terms) -> SessionLimits {
        self.0.limits.of_session(terms.lifetime)
    }

    /// `verified` as it stands in the token that a request at `now` renews.
    fn renewed(&self, verified: &Verified, activity: bool, now: Timestamp) -> Verified {
        let identity = &verified.identity;
        let dates = self.limits(&verified.terms).renew(identity.dates(), activity, now);
        Verified {
            identity: SessionIdentity::new(identity.id(), identity.subject().clone(), dates),
            terms: verified.terms,
            renew: true,
        }
    }

    fn end(&self, verified: &Verified, now: Now) {
        let identity = &verified.identity;
        let until =
            self.limits(&verified.terms).alive_until(identity.signed_in_at(), now.timestamp());
        if let Some(session_id) = self.0.ended.insert(identity.id(), until, now) {
            self.tell(&SessionEvent::EndedSetFull { session_id });
        }
    }

    fn clock_skew(&self) -> Duration {
        self.0.limits.clock_skew()
    }
}

impl<C> Clone for SessionEngine<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> fmt::Debug for SessionEngine<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionEngine")
            .field("keys", &self.0.keys)
            .field("limits", &self.0.limits)
            .field("cookie", &self.0.cookie)
            .finish_non_exhaustive()
    }
}
