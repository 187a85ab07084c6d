//! [`SessionEngine`]: the settings and the state that opening and closing use.

use std::{
    fmt,
    sync::{Arc, Once},
    time::Duration,
};

use super::{
    bearer::{BearerPolicy, verify::BearerVerifier},
    cookie::set_cookie::{CookieSlot, SessionCookie},
    device_bound::DeviceBoundSettings,
    event::SessionEvent,
    flow::finished::FinishedFlows,
    issuer::verifier::ExternalVerifier,
    keys::{key_ring::KeyRing, public_jwks::PublicKeys},
    logging::warnings::{self, LoggedWarnings, PageWarning, PageWarningKind},
    multi_session::MultiSession,
    redirect::{
        csrf::{CrossOriginReason, OriginPolicy},
        origin::Origin,
        settings::ResolvedRedirects,
        target::{RedirectError, RedirectPolicy, RedirectTarget},
    },
    request::{head::RequestHead, routes::Paths},
    revocation::{
        bound_sessions::BoundSessions, feed_state::FeedState, latest_tokens::LatestTokens,
        lineages::Lineages, list::RevocationList, waiters::WaiterRegistry,
    },
    session::{
        expiry::{LifetimeOverride, LifetimePolicy, SessionLimits},
        id::SessionId,
        identity::{SessionFlags, SessionIdentity},
        lineage::{Lineage, LineageId, LineagePolicy, LineageRequest, OnCopy},
    },
    sign_in::SignInError,
    token::{
        cache::{BoundToken, CachedToken, VerifiedTokenCache},
        claims::{ClaimsError, Decoded, Registered, bearer::BearerClaims},
    },
};
use crate::{
    config::{CopiedCookies, page_theme::PageDesign},
    error::TokenError,
    random::RandomSource,
    time::{ClockReading, Timestamp},
};

/// The validated configuration, and what this process remembers of revoked and renewed sessions.
/// Clones share both.
///
/// `C` is the application's claims.
///
/// ```
/// use http::{Request, Response};
/// use tower_auth_session::{
///     Algorithm, KeyRing, SessionEngine, SignIn, SigningKey, Subject, bearer::BearerTokenOptions,
///     time::Timestamp,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = KeyRing::new(SigningKey::generate("2026-11", Algorithm::Hs256)?);
/// let engine = SessionEngine::<()>::builder(keys).origin("https://app.example.com").build()?;
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
///
/// // A framework calls these two around the application:
/// let request = Request::post("/sign-in").header("origin", "https://app.example.com").body(())?;
/// let jar = engine.open(&request, now);
/// let outcome = jar.sign_in(SignIn::new(Subject::new("ada")?, ()))?;
/// let mut response = Response::new(());
/// engine.close(&jar, &mut response, now)?;
/// assert!(response.headers().contains_key("set-cookie"));
///
/// // A way back, from a form or from a request:
/// assert_eq!(engine.redirect_target("/cart").map(|it| it.to_string()).as_deref(), Some("/cart"));
/// assert!(engine.redirect_target("https://other.example").is_none());
/// assert!(engine.endpoint_paths().any(|path| path == "/sign-out"));
///
/// # let cookie = response.headers()["set-cookie"].to_str()?.split(';').next().unwrap().to_owned();
/// # let request = Request::get("/").header("cookie", cookie).body(())?;
/// # let jar = engine.open(&request, now);
/// // The next request of the browser:
/// let session = jar.session().expect("signed in");
/// assert_eq!(session.id(), outcome.session_id);
/// let token = engine.bearer_token(&session, &BearerTokenOptions::new(), now)?;
/// assert_eq!(token.expires_at().as_unix_seconds(), 1_800_000_060);
///
/// // Revocation in this process. `SessionManager` revokes in the store too.
/// engine.revoke_session(session.identity(), now);
/// engine.revoke_subject_before(Subject::new("ada")?, now, now);
/// engine.revoke_all_before(now);
/// assert!(engine.open(&request, now).session().is_none());
/// # Ok(()) }
/// ```
#[expect(clippy::redundant_allocation, reason = "the outer counts holders, see `copy`")]
pub struct SessionEngine<C = ()>(pub(super) Arc<Arc<EngineInner<C>>>);

pub(super) struct EngineInner<C> {
    pub(super) keys: KeyRing,
    pub(super) limits: LifetimePolicy,
    /// The limits of a session without a lifetime override.
    pub(super) default_limits: SessionLimits,
    pub(super) cookie: SessionCookie,
    pub(super) nested_impersonation: bool,
    pub(super) log_subjects: bool,
    pub(super) issuer: Option<Box<str>>,
    pub(super) audience: Option<Box<str>>,
    pub(super) copied_cookies: CopiedCookiesSettings,
    pub(super) device_bound: DeviceBoundSettings,
    /// The sessions that this process knows to be bound to a device.
    pub(super) bound_sessions: BoundSessions,
    /// Lineages of this process's sessions, without a store.
    pub(super) lineages: Lineages,
    /// Whether tokens that name no engine are rejected.
    pub(super) reject_unbound_tokens: bool,
    pub(super) redirects: Arc<ResolvedRedirects>,
    pub(super) page_design: Arc<PageDesign>,
    pub(super) redirect_policy: RedirectPolicy,
    pub(super) origins: OriginPolicy,
    pub(super) paths: Paths,
    /// `None` if a browser has one account.
    pub(super) multi_session: Option<MultiSession>,
    /// The trusted issuers of a verify-only engine.
    pub(super) verifier: Option<ExternalVerifier<C>>,
    pub(super) bearer: BearerPolicy,
    /// The verifiers of bearer tokens; empty if bearer tokens are off.
    pub(super) issuers: Box<[Arc<dyn BearerVerifier<C>>]>,
    pub(super) account_label: Option<Arc<LabelFn<C>>>,
    pub(super) random: Arc<dyn RandomSource>,
    pub(super) activity: Option<Arc<ActivityFn>>,
    pub(super) on_event: Option<Arc<EventFn>>,
    pub(super) not_before: Timestamp,
    /// Whether the endpoints were compared with those of an outer layer.
    pub(super) nesting_checked: Once,
    pub(super) logged: LoggedWarnings,
    pub(super) revocations: RevocationList,
    pub(super) waiters: WaiterRegistry,
    pub(super) feed_state: FeedState,
    pub(super) latest_tokens: LatestTokens,
    /// Flows that were finished in this process.
    pub(super) finished_flows: FinishedFlows,
    pub(super) verified_tokens: VerifiedTokenCache<CachedToken<C>>,
    /// Verified tokens of device-bound sessions, each with its proof. Apart from the others, so that a
    /// request with an unbound token does no work for them.
    pub(super) bound_tokens: VerifiedTokenCache<BoundToken<C>>,
    pub(super) codec: Codec<C>,
}

/// What happens to copied cookies.
#[derive(Debug, Clone, Copy)]
pub(super) struct CopiedCookiesSettings {
    /// `None` for the default, which depends on whether there is a store.
    pub(super) reaction: Option<CopiedCookies>,
    pub(super) grace: Duration,
    pub(super) requires_id: bool,
}

pub(super) type ActivityFn = dyn Fn(RequestHead<'_>) -> bool + Send + Sync;
pub(super) type LabelFn<C> = dyn Fn(&C) -> (String, Option<String>) + Send + Sync;
pub(super) type EventFn = dyn Fn(&SessionEvent) + Send + Sync;

/// Functions that encode and decode `C`, captured when the engine is built, so that later code does
/// not need serde's bounds.
pub(super) struct Codec<C> {
    pub(super) encode: fn(&Registered, &C) -> Result<Vec<u8>, ClaimsError>,
    pub(super) check: fn(&[u8]) -> Result<(), ClaimsError>,
    pub(super) decode: fn(&[u8]) -> Result<Decoded<C>, TokenError>,
    pub(super) encode_bearer: fn(&BearerClaims, &C) -> Result<Vec<u8>, ClaimsError>,
    /// A text claim of this name.
    pub(super) text: fn(&C, &str) -> Option<String>,
}

impl<C> SessionEngine<C> {
    /// Revokes `session` in this process: its tokens are rejected from now on, copies included. The
    /// browser's cookie is removed when it is next presented.
    ///
    /// Without a store, other processes do not learn of it.
    pub fn revoke_session(&self, session: &SessionIdentity, now: impl Into<ClockReading>) {
        self.end(session, now.into());
        self.emit(&SessionEvent::SignedOut { session: session.clone() });
    }

    /// Validates `input`, a `redirect_url` that a client sent, decoded once. It must be an absolute
    /// path of this site, or a URL of the configured origin or of an allowed one.
    ///
    /// Returns `None` for an empty text and for a rejected one, which is reported as
    /// [`SessionEvent::RedirectRefused`]: use a default then. This is the rule of the sign-out
    /// endpoint, for sign-in handlers (CWE-601, ASVS 3.7.2).
    ///
    /// ```
    /// # use tower_auth_session::*;
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
            Err(RedirectError::Empty) => None,
            Err(reason) => {
                self.emit(&SessionEvent::RedirectRefused { reason });
                None
            }
        }
    }

    /// The page that a request asked for, as a redirect target: for handlers that send the user to
    /// sign in and back. `uri` is the request's own URI, as this service received it, in axum
    /// `OriginalUri`; the [base path](crate::config::Endpoints::base_path) is added.
    ///
    /// Characters that browsers send although RFC 3986 does not allow them are percent-encoded, and
    /// query parameters with encoded control characters are left out. The result follows the rules of
    /// [`redirect_target`](Self::redirect_target), so the sign-in page accepts it as a parameter. `None`
    /// for a path such as `//host`, which a reader could take for another site, and for a URL that
    /// exceeds [`RedirectTarget::MAX_LENGTH`]. Text from a parameter, a header or a body is validated
    /// with [`redirect_target`](Self::redirect_target) instead.
    ///
    /// ```
    /// # use tower_auth_session::{Algorithm, KeyRing, SessionEngine, SigningKey};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let keys = KeyRing::new(SigningKey::generate("test", Algorithm::Hs256)?);
    /// let engine = SessionEngine::<()>::builder(keys).origin("https://app.example.com").build()?;
    /// let page = |uri: &'static str| engine.return_target(&http::Uri::from_static(uri));
    /// assert_eq!(page("/me?tab=a|b").unwrap().as_str(), "/me?tab=a%7Cb");
    /// assert_eq!(page("/a?text=x%0Ay&tab=b").unwrap().as_str(), "/a?tab=b");
    /// assert_eq!(page("//evil.example"), None);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn return_target(&self, uri: &http::Uri) -> Option<RedirectTarget> {
        self.0.redirects.requested_page(uri.path_and_query()?.as_str())
    }

    /// The paths of the layer's own endpoints, all different.
    pub fn endpoint_paths(&self) -> impl Iterator<Item = &str> {
        self.0.paths.all()
    }

    /// The public keys at `now`, and how long they may be cached; `None` if there are none.
    pub(crate) fn public_keys(&self, now: Timestamp) -> Option<(PublicKeys, Duration)> {
        self.0.keys.public_keys(now).map(|keys| (keys, self.0.paths.jwks_max_age))
    }

    pub(crate) fn logged_warnings(&self) -> &LoggedWarnings {
        &self.0.logged
    }

    pub(crate) fn logs_subjects(&self) -> bool {
        self.0.log_subjects
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.0.paths
    }

    /// Logs the endpoints that a layer further out, whose endpoints are `outer`, answers too.
    pub(crate) fn check_outer_endpoints(&self, outer: &Paths) {
        self.0.nesting_checked.call_once(|| {
            let both = self.0.paths.all().filter(|path| outer.find(path).is_some());
            both.for_each(warnings::endpoint_behind_another);
        });
    }

    /// Logs what the page that made a request reveals about the settings.
    pub(crate) fn log_page_warning(&self, warning: &PageWarning) {
        let PageWarning { origin, kind } = warning;
        match kind {
            PageWarningKind::OtherOrigin => {
                let own = self.0.origins.own.as_ref().map(Origin::as_str);
                warnings::refused_origin(origin, own);
            }
            PageWarningKind::SecureCookieOverHttp => warnings::secure_cookie_over_http(origin),
            PageWarningKind::InsecureCookieOverHttps => {
                warnings::insecure_cookie_over_https(origin);
            }
        }
    }

    pub(crate) fn multi_session(&self) -> Option<&MultiSession> {
        self.0.multi_session.as_ref()
    }

    /// The bytes of the cookie budget that a token of this length can take, with name, separators
    /// and growth at renewal.
    pub(crate) fn cookie_size(&self, token: usize) -> usize {
        self.0.cookie.name().len()
            + ".=; ".len()
            + SessionId::LENGTH
            + token
            + SessionCookie::MAX_RENEWAL_GROWTH
    }

    /// About the bytes of the cookie budget that the proof of a session takes.
    pub(crate) fn proof_size(&self, id: SessionId) -> usize {
        const TOKEN: usize = 400;
        self.0.cookie.name_of(CookieSlot::Proof(id)).len() + "=; ".len() + TOKEN
    }

    pub(crate) fn session_cookie(&self) -> &SessionCookie {
        &self.0.cookie
    }

    pub(crate) fn active_cookie_size(&self) -> usize {
        self.0.cookie.name_of(CookieSlot::Active).len() + "=; ".len() + SessionId::LENGTH
    }

    /// The display name of an account, and a text that distinguishes it from others.
    pub(super) fn describe(
        &self,
        session: &SessionIdentity,
        claims: Option<&C>,
    ) -> (String, Option<String>) {
        if let (Some(label), Some(claims)) = (&self.0.account_label, claims) {
            let (label, detail) = label(claims);
            let is_blank = label.trim().is_empty();
            return (if is_blank { session.subject().to_string() } else { label }, detail);
        }
        let text = |name| claims.and_then(|claims| (self.0.codec.text)(claims, name));
        let (label, detail) = (text("name"), text("email"));
        match (label, detail) {
            (Some(label), detail) => (label, detail),
            (None, Some(email)) => (email, None),
            (None, None) => (session.subject().to_string(), None),
        }
    }

    pub(crate) fn redirects(&self) -> &ResolvedRedirects {
        &self.0.redirects
    }

    pub(crate) fn shared_redirects(&self) -> &Arc<ResolvedRedirects> {
        &self.0.redirects
    }

    pub(crate) fn page_design(&self) -> &Arc<PageDesign> {
        &self.0.page_design
    }

    /// Whether a request that changes state was made by a page of this origin or of a trusted one
    /// (RFC 6265bis §8.8.2, ASVS 3.5.1).
    pub(crate) fn check_origin(
        &self,
        head: RequestHead<'_>,
        carries_cookie: bool,
    ) -> Result<(), CrossOriginReason> {
        self.0.origins.verdict(head.uri, head.headers, carries_cookie)
    }

    /// Whether an origin is configured.
    pub(crate) fn knows_its_origin(&self) -> bool {
        self.0.origins.own.is_some()
    }

    pub(crate) fn emit(&self, event: &SessionEvent) {
        let report = |event: &SessionEvent| {
            super::logging::event(event);
            if let Some(on_event) = &self.0.on_event {
                on_event(event);
            }
        };
        report(event);
        if let Some(event) = event.of_impersonation() {
            report(&event);
        }
    }

    pub(super) fn new_id(&self) -> Result<SessionId, SignInError> {
        SessionId::generate(&*self.0.random).map_err(|_| SignInError::Random)
    }

    /// What happens when a copied cookie is presented. With a store, copies are reported by default.
    pub(crate) fn copied_cookies(&self) -> CopiedCookies {
        let default = || match self.0.feed_state.has_store() {
            true => CopiedCookies::Report,
            false => CopiedCookies::Off,
        };
        self.0.copied_cookies.reaction.unwrap_or_else(default)
    }

    /// `renew_after`, if copies are looked for and browsers may not have written the previous token to
    /// the disk by then. A browser that crashed then presents a token that counts as a copy.
    pub(crate) fn renewal_of_unsaved_cookies(&self) -> Option<Duration> {
        const SAVE_INTERVAL: Duration = Duration::from_secs(30);
        let renew_after = self.0.limits.renew_after;
        (self.lineage_policy().is_some() && renew_after < SAVE_INTERVAL).then_some(renew_after)
    }

    /// How tokens are compared; `None` if copies are not looked for.
    pub(crate) fn lineage_policy(&self) -> Option<LineagePolicy> {
        let on_copy = match self.copied_cookies() {
            CopiedCookies::Off => return None,
            _ if self.verifies_only() => return None,
            CopiedCookies::Report => OnCopy::Adopt,
            CopiedCookies::StepUp => OnCopy::Alarm,
            CopiedCookies::End => OnCopy::Keep,
        };
        let CopiedCookiesSettings { grace, requires_id, .. } = self.0.copied_cookies;
        Some(LineagePolicy { grace, on_copy, requires_id, clock_skew: self.clock_skew() })
    }

    /// Renews the lineage of the session `id` in the memory of this process.
    pub(crate) fn renew_lineage(
        &self,
        id: SessionId,
        request: &LineageRequest,
        now: Timestamp,
    ) -> Option<Lineage> {
        self.0.lineages.renew(id, request, now)
    }

    /// The id of a new token; `None` if there is no randomness.
    pub(crate) fn new_lineage_id(&self) -> Option<LineageId> {
        LineageId::generate(&*self.0.random).ok()
    }

    pub(super) fn random(&self) -> &dyn RandomSource {
        &*self.0.random
    }

    pub(super) fn keys(&self) -> &KeyRing {
        &self.0.keys
    }

    pub(super) fn limits(&self, terms: SessionFlags) -> SessionLimits {
        let SessionFlags { lifetime, pending, impersonated, .. } = terms;
        if lifetime == LifetimeOverride::new() && !pending && !impersonated {
            return self.0.default_limits;
        }
        let limits = self.0.limits.of_session(lifetime);
        let limits = if pending { limits.capped(self.0.limits.pending) } else { limits };
        if impersonated { limits.capped(self.0.limits.impersonation) } else { limits }
    }

    /// `session` as the token renewed by a request at `now` states it.
    pub(crate) fn renewed(
        &self,
        session: &SessionIdentity,
        activity: bool,
        now: Timestamp,
    ) -> SessionIdentity {
        session.with_times(self.limits(session.terms()).renew(session.dates(), activity, now))
    }

    /// Whether a cookie that carried a token of `id` may hold a valid token by now: a newer one of
    /// the session, unless it is revoked, or one of the session that replaced it.
    pub(super) fn may_hold_live_token(&self, id: SessionId, now: Timestamp) -> bool {
        if self.0.revocations.contains(id) {
            self.0.latest_tokens.is_superseded(id, now)
        } else {
            self.0.latest_tokens.has_unexpired(id, now)
        }
    }

    /// The latest expiry of any token of `session`, on any node, if it is revoked now.
    pub(crate) fn alive_until(&self, session: &SessionIdentity, now: ClockReading) -> Timestamp {
        self.limits(session.terms()).alive_until(session.dates(), now.timestamp())
    }

    pub(crate) fn clock_skew(&self) -> Duration {
        self.0.limits.clock_skew
    }
}

impl<C> SessionEngine<C> {
    pub(super) fn new(inner: EngineInner<C>) -> Self {
        Self(Arc::new(Arc::new(inner)))
    }

    /// Identifies the engine: equal for all its clones.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&*self.0).addr()
    }

    /// A clone with its own reference count, which avoids contention between processors.
    pub(crate) fn clone_with_own_count(&self) -> Self {
        Self(Arc::new(Arc::clone(&self.0)))
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
