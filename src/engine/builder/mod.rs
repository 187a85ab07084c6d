//! [`SessionEngineBuilder`]: the settings of an engine and their validation.

mod combinations;
mod copied_cookies;
mod device_bound;

use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, Once},
};

use serde::Serialize;

use self::combinations::{Combinations, Findings};
use super::{
    bearer::{BearerTokens, verify::local_verifier},
    cookie::config::CookieConfig,
    device_bound::DeviceBoundSettings,
    event::SessionEvent,
    flow::finished::FinishedFlows,
    issuer::{TrustedIssuer, resolve_all, verifier::ExternalVerifier},
    keys::key_ring::{KeyRing, no_back_end},
    logging::warnings::{self, LoggedWarnings},
    multi_session::{AccountLimitPolicy, MultiSession},
    redirect::{
        csrf::OriginPolicy, origin::Origin, settings::RedirectUrls, target::RedirectPolicy,
    },
    request::{
        head::RequestHead,
        routes::{Endpoint, Endpoints, Paths},
    },
    revocation::{
        bound_sessions::BoundSessions, feed_state::FeedState, latest_tokens::LatestTokens,
        lineages::Lineages, list::RevocationList, waiters::WaiterRegistry,
    },
    session::{expiry::LifetimeOverride, lifetime::SessionLifetime},
    session_engine::{
        ActivityFn, Codec, CopiedCookiesSettings, EngineInner, EventFn, LabelFn, SessionEngine,
    },
    token::{
        cache::VerifiedTokenCache,
        claims::{
            Claims,
            decode::{decode, decode_bearer},
            encode::{encode, encode_bearer},
            round_trip::check_round_trip,
        },
    },
};
use crate::{
    config::{PageTexts, PageTheme, SessionOptions, page_theme::PageDesign},
    error::{ConfigError, ConfigProblem},
    random::{OsRandom, RandomSource},
    time::Timestamp,
};

/// The default capacity of the revocation list: about 15 MB.
const DEFAULT_ENDED_CAPACITY: usize = 100_000;
/// The default capacity of the verified-token cache: about 8 MB, more with large claims.
const DEFAULT_VERIFIED_CAPACITY: usize = 10_000;
/// The cache allocates all entries with the first token.
const MAX_VERIFIED_CAPACITY: usize = 10_000_000;
/// How many renewals a process remembers at most.
const RENEWED_CAPACITY: usize = 10_000;

/// Collects the settings of a [`SessionEngine`]. Nothing is checked before
/// [`build`](SessionEngineBuilder::build), which reports everything that is wrong at once.
///
/// ```
/// use std::time::Duration;
/// use serde::{Deserialize, Serialize};
/// use tower_auth_session::{
///     Algorithm, KeyRing, SessionEngine, SessionLifetime, SessionOptions, SigningKey,
///     bearer::BearerTokens,
///     engine::OsRandom,
///     config::{
///         AccountLimitPolicy, CookieConfig, CopiedCookies, DeviceBound, Endpoint, Endpoints, PageTexts,
///         PageTheme, RedirectUrls,
///     },
///     event::SessionEvent,
///     time::Timestamp,
/// };
///
/// #[derive(Serialize, Deserialize)]
/// struct User { name: String, email: String }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = KeyRing::new(SigningKey::generate("2026-11", Algorithm::EdDsa)?);
/// # let options = SessionOptions::default();
/// let engine = SessionEngine::<User>::builder(keys)
///     // What every application sets:
///     .origin("https://app.example.com")
///     .redirect_urls(RedirectUrls::new().sign_in_url("/sign-in"))
///     .lifetime(SessionLifetime::new().inactivity_timeout(Duration::from_secs(3600)))
///     // Requests of pages and scripts:
///     .cookie(CookieConfig::new("app"))
///     .endpoints(Endpoints::new().path(Endpoint::SignOut, "/bye"))
///     .page_texts(PageTexts::german())
///     .page_theme(PageTheme::new().site_name("Beispiel"))
///     .trusted_origins(["https://www.example.com"])
///     .allowed_redirect_origins(["https://docs.example.com"])
///     .activity_filter(|request| request.uri.path() != "/poll")
///     // Several accounts in one browser:
///     .multi_session(true)
///     .max_sessions_per_browser(3)
///     .account_limit_policy(AccountLimitPolicy::Refuse)
///     .cookie_budget(6 * 1024)
///     .account_label(|user: &User| (user.name.clone(), Some(user.email.clone())))
///     .session_query_param("account")
///     // Tokens:
///     .issuer("https://app.example.com")
///     .audience("app")
///     .reject_unbound_tokens(true)
///     .bearer_tokens(BearerTokens::new().accept(true).authorized_parties(["https://app.example.com"]))
///     // Abuse and its traces:
///     .copied_cookies(CopiedCookies::StepUp)
///     .copied_cookies_grace(Duration::from_secs(20))
///     .require_token_ids(true)
///     .device_bound(DeviceBound::Preferred)
///     .bound_for(Duration::from_secs(300))
///     .binding_tolerance(Duration::from_secs(30))
///     .nested_impersonation(false)
///     .revoke_signed_in_before(Timestamp::from_unix_seconds(1_790_000_000))
///     .on_event(|event| {
///         if let SessionEvent::SignedIn { session, .. } = event {
///             println!("{} signed in", session.subject());
///         }
///     })
///     .log_subject_hashes(true)
///     // Memory of a process:
///     .revocation_capacity(400_000)
///     .verified_token_cache(50_000)
///     .random(OsRandom::default())
///     // Settings of the operator override those above:
///     .options(options)
///     .build()?;
/// # let _ = engine;
/// # Ok(()) }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct SessionEngineBuilder<C> {
    keys: KeyRing,
    lifetime: SessionLifetime,
    cookie: CookieConfig,
    issuer: Option<String>,
    audience: Option<String>,
    reject_unbound_tokens: bool,
    copied_cookies: CopiedCookiesSettings,
    device_bound: DeviceBoundSettings,
    redirects: RedirectUrls,
    page_texts: PageTexts,
    page_theme: PageTheme,
    origin: Option<String>,
    trusted_origins: Vec<String>,
    allowed_redirect_origins: Vec<String>,
    multi_session: bool,
    max_sessions_per_browser: usize,
    account_limit_policy: AccountLimitPolicy,
    cookie_budget: usize,
    session_query_param: Option<String>,
    verifies: Option<Vec<TrustedIssuer>>,
    bearer: BearerTokens,
    account_label: Option<Arc<LabelFn<C>>>,
    endpoints: Endpoints,
    revocation_capacity: usize,
    verified_capacity: usize,
    nested_impersonation: bool,
    log_subjects: bool,
    not_before: Timestamp,
    random: Arc<dyn RandomSource>,
    activity: Option<Arc<ActivityFn>>,
    on_event: Option<Arc<EventFn>>,
    claims: PhantomData<fn() -> C>,
}

impl<C> SessionEngineBuilder<C> {
    pub(super) fn new(keys: KeyRing) -> Self {
        Self {
            keys,
            lifetime: SessionLifetime::new(),
            cookie: CookieConfig::default(),
            issuer: None,
            audience: None,
            reject_unbound_tokens: false,
            copied_cookies: CopiedCookiesSettings::DEFAULT,
            device_bound: DeviceBoundSettings::DEFAULT,
            redirects: RedirectUrls::new(),
            page_texts: PageTexts::default(),
            page_theme: PageTheme::default(),
            origin: None,
            trusted_origins: Vec::new(),
            allowed_redirect_origins: Vec::new(),
            multi_session: false,
            max_sessions_per_browser: MultiSession::DEFAULT_MAX,
            account_limit_policy: AccountLimitPolicy::default(),
            cookie_budget: MultiSession::DEFAULT_COOKIE_BUDGET,
            session_query_param: None,
            verifies: None,
            bearer: BearerTokens::new(),
            account_label: None,
            endpoints: Endpoints::new(),
            revocation_capacity: DEFAULT_ENDED_CAPACITY,
            verified_capacity: DEFAULT_VERIFIED_CAPACITY,
            nested_impersonation: false,
            log_subjects: false,
            not_before: Timestamp::EPOCH,
            random: Arc::new(OsRandom),
            activity: None,
            on_event: None,
            claims: PhantomData,
        }
    }

    pub(super) fn verifying(issuers: Vec<TrustedIssuer>) -> Self {
        Self { verifies: Some(issuers), ..Self::new(KeyRing::verify_only()) }
    }

    /// How long sessions last and when their tokens are renewed.
    pub fn lifetime(mut self, lifetime: SessionLifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The paths that the layer answers itself.
    pub fn endpoints(mut self, endpoints: Endpoints) -> Self {
        self.endpoints = endpoints;
        self
    }

    /// The name and scope of the session cookie.
    pub fn cookie(mut self, cookie: CookieConfig) -> Self {
        self.cookie = cookie;
        self
    }

    /// The `iss` of every token: written, and required (RFC 7519 §4.1.1).
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// The `aud` of every token: written, and required (RFC 7519 §4.1.3). Services that share keys
    /// but not sessions need one each.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Rejects tokens that do not name the engine they belong to; off by default.
    ///
    /// Every token names its engine by the name of the [`cookie`](Self::cookie) without prefix, and
    /// other engines reject it even if they share keys, `iss` and `aud`. Tokens that older versions of
    /// this crate issued have no such name. They are accepted, so that an upgrade signs no one out,
    /// and get one at their next renewal. Switch this on when all nodes run a version that writes the
    /// name and the maximum lifetime of a session has passed, or at once to sign out all sessions that
    /// were not renewed since the upgrade.
    pub const fn reject_unbound_tokens(mut self, reject: bool) -> Self {
        self.reject_unbound_tokens = reject;
        self
    }

    /// The URLs of the sign-in page and of redirects after a sign-out.
    pub fn redirect_urls(mut self, redirects: RedirectUrls) -> Self {
        self.redirects = redirects;
        self
    }

    /// The words of the pages that the layer serves: the account chooser, and the pages that state why a
    /// request was refused. English by default.
    pub fn page_texts(mut self, texts: PageTexts) -> Self {
        self.page_texts = texts;
        self
    }

    /// The name of the site and the colors of the pages that the layer serves.
    pub fn page_theme(mut self, theme: PageTheme) -> Self {
        self.page_theme = theme;
        self
    }

    /// The random source of session ids; the operating system by default.
    pub fn random(mut self, random: impl RandomSource) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Decides which requests are user activity. Return `false` for polls and other background
    /// requests, which then do not prolong the session. The header `session-activity` and
    /// speculative requests (`Sec-Purpose`) are handled before the filter.
    pub fn activity_filter(
        mut self,
        is_activity: impl Fn(RequestHead<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.activity = Some(Arc::new(is_activity));
        self
    }

    /// A listener for events, called synchronously on the thread of the request: hand slow work to
    /// another task.
    pub fn on_event(mut self, listener: impl Fn(&SessionEvent) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(listener));
        self
    }

    /// Validates all settings and builds the engine.
    ///
    /// # Errors
    ///
    /// All invalid settings at once, each with its value and a remedy.
    pub fn build(self) -> Result<SessionEngine<C>, ConfigError>
    where
        C: Claims,
    {
        let mut problems = match &self.verifies {
            None => self.keys.problems(),
            Some(_) => no_back_end().into_iter().collect(),
        };
        let verifier = self.verifies.map(|issuers| ExternalVerifier {
            issuers: resolve_all(issuers, &mut problems),
            decode: decode_bearer::<C>,
        });
        let limits = self.lifetime.resolve(&mut problems);
        let cookie = self.cookie.resolve(&mut problems);
        let mut redirects = self.redirects.resolve(&mut problems);
        let plain_http = !self.cookie.is_secure();
        let own = Origin::from_setting("origin", self.origin.as_deref(), plain_http, &mut problems);
        redirects.set_origin(own.clone());
        redirects.set_base_path(self.endpoints.base(&mut problems), self.endpoints.chooser());
        let mut paths = self.endpoints.resolve(self.multi_session, &redirects, &mut problems);
        if verifier.is_some() {
            // A verify-only engine has no endpoints.
            paths = Paths::default();
        }
        redirects.set_serves_chooser(paths.of(Endpoint::Chooser).is_some());
        let mut origins = |field: &'static str, origins: &[String]| -> Vec<Origin> {
            origins
                .iter()
                .filter_map(|origin| {
                    Origin::from_setting(field, Some(origin), plain_http, &mut problems)
                })
                .collect()
        };
        let trusted = origins("trusted_origins", &self.trusted_origins);
        let allowed = origins("allowed_redirect_origins", &self.allowed_redirect_origins);

        for (field, value) in [("issuer", &self.issuer), ("audience", &self.audience)] {
            if value.as_deref() == Some("") {
                problems.push(ConfigProblem::new(field, "", "remove it, or set a value"));
            }
        }
        let multi_session = MultiSession {
            max: self.max_sessions_per_browser,
            policy: self.account_limit_policy,
            cookie_budget: self.cookie_budget,
            session_query_param: self.session_query_param.map(Into::into),
        };
        multi_session.check(&mut problems);
        let bearer = self.bearer.resolve(self.issuer.as_deref(), own.as_ref(), &mut problems);
        let mut warnings = bearer.warnings();
        if verifier.is_some() {
            let issuer = (self.issuer.as_deref(), self.audience.as_deref());
            check_verify_only(issuer, self.reject_unbound_tokens, bearer.accept, &mut problems);
        } else {
            let combinations = Combinations {
                cookie: &self.cookie,
                redirects: &redirects,
                pages: &self.redirects.pages(),
                paths: &paths,
                own: own.as_ref(),
                trusted: &trusted,
                multi_session: self.multi_session,
                device_bound: self.device_bound.binds(),
                session_query_param: multi_session.session_query_param.as_deref(),
            };
            let mut found: Findings = combinations.check();
            let accounts = if self.multi_session { multi_session.max } else { 1 };
            self.device_bound.check(own.as_ref(), &self.cookie, &paths, accounts, &mut found);
            problems.extend(found.problems);
            warnings.extend(found.warnings);
        }
        if self.revocation_capacity == 0 {
            let remedy = "at least 1: a sign-out must be recorded";
            problems.push(ConfigProblem::new("revocation_capacity", "0", remedy));
        }
        self.page_theme.check(&mut problems);
        self.copied_cookies.check(&mut problems);
        let tokens = self.verified_capacity;
        if tokens > MAX_VERIFIED_CAPACITY {
            let remedy = "at most 10000000: each entry takes memory";
            problems.push(ConfigProblem::new("verified_token_cache", tokens.to_string(), remedy));
        }
        ConfigError::check(problems)?;
        warnings.iter().for_each(warnings::setting);
        let audience = self.audience.as_deref();
        let binding = (&*cookie.base_name, self.reject_unbound_tokens);
        let issuers =
            local_verifier(self.keys.clone(), audience, binding, &bearer, limits.clock_skew);

        let revocations = RevocationList::new(self.revocation_capacity, self.issuer.as_deref());
        revocations.revoke_all_before(self.not_before);
        Ok(SessionEngine::new(EngineInner {
            keys: self.keys,
            default_limits: limits.of_session(LifetimeOverride::new()),
            limits,
            cookie,
            nested_impersonation: self.nested_impersonation,
            log_subjects: self.log_subjects,
            issuer: self.issuer.map(Into::into),
            audience: self.audience.map(Into::into),
            reject_unbound_tokens: self.reject_unbound_tokens,
            copied_cookies: self.copied_cookies,
            device_bound: self.device_bound,
            bound_sessions: BoundSessions::new(self.revocation_capacity),
            lineages: Lineages::new(RENEWED_CAPACITY),
            redirects: Arc::new(redirects),
            page_design: Arc::new(PageDesign::new(self.page_texts, self.page_theme)),
            redirect_policy: RedirectPolicy::new(own.clone(), allowed),
            origins: OriginPolicy::new(own, trusted),
            paths,
            verifier,
            bearer,
            issuers,
            multi_session: self.multi_session.then_some(multi_session),
            account_label: self.account_label,
            activity: self.activity,
            on_event: self.on_event,
            not_before: self.not_before,
            nesting_checked: Once::new(),
            logged: LoggedWarnings::default(),
            revocations,
            waiters: WaiterRegistry::default(),
            feed_state: FeedState::default(),
            latest_tokens: LatestTokens::new(RENEWED_CAPACITY),
            finished_flows: FinishedFlows::default(),
            verified_tokens: VerifiedTokenCache::seeded(self.verified_capacity, &*self.random),
            bound_tokens: VerifiedTokenCache::seeded(self.verified_capacity, &*self.random),
            random: self.random,
            codec: Codec {
                encode: encode::<C>,
                check: check_round_trip::<C>,
                decode: decode::<C>,
                encode_bearer: encode_bearer::<C>,
                text: text_claim::<C>,
            },
        }))
    }
}

/// Reports settings that have no effect on an engine that accepts only the tokens of other issuers,
/// although they seem to restrict these.
fn check_verify_only(
    (issuer, audience): (Option<&str>, Option<&str>),
    reject_unbound_tokens: bool,
    accepts_bearer: bool,
    problems: &mut Vec<ConfigProblem>,
) {
    let mut refuse = |field, value: &str, remedy| {
        problems.push(ConfigProblem::new(field, value, remedy));
    };
    if let Some(issuer) = issuer {
        let remedy =
            "remove it: a verify-only engine accepts the issuers that TrustedIssuer::new names";
        refuse("issuer", issuer, remedy);
    }
    if let Some(audience) = audience {
        let remedy =
            "set TrustedIssuer::audience instead: this setting is for tokens that an engine issues";
        refuse("audience", audience, remedy);
    }
    if reject_unbound_tokens {
        let remedy = "remove it: the tokens of other issuers name no engine";
        refuse("reject_unbound_tokens", "true", remedy);
    }
    if accepts_bearer {
        let remedy =
            "remove it: a verify-only engine accepts the bearer tokens of its issuers without it";
        refuse("bearer_tokens.accept", "true", remedy);
    }
}

/// Sets `setting` to the `option`, if it is given.
fn replace<T>(setting: &mut impl From<T>, option: Option<T>) {
    if let Some(value) = option {
        *setting = value.into();
    }
}

/// The text claim `name` of `claims`, if there is one.
fn text_claim<C: Serialize>(claims: &C, name: &str) -> Option<String> {
    let value = serde_json::to_value(claims).ok()?;
    value.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

impl<C> fmt::Debug for SessionEngineBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionEngineBuilder")
            .field("keys", &self.keys)
            .field("lifetime", &self.lifetime)
            .field("cookie", &self.cookie)
            .finish_non_exhaustive()
    }
}

impl<C> SessionEngineBuilder<C> {
    /// The settings of bearer tokens, and whether they are accepted. They are issued in any case,
    /// by [`Session::bearer_token`](crate::Session::bearer_token) and by `POST /session/token`,
    /// unless that path is disabled.
    pub fn bearer_tokens(mut self, bearer: BearerTokens) -> Self {
        self.bearer = bearer;
        self
    }
}

impl<C> SessionEngineBuilder<C> {
    /// The capacity of this process's revocation list, 100,000 sessions by default, about 150 bytes
    /// each. At the bound the entry that would expire first is dropped, with an event.
    pub const fn revocation_capacity(mut self, capacity: usize) -> Self {
        self.revocation_capacity = capacity;
        self
    }

    /// The capacity of the verified-token cache, 10,000 by default, about 1 kB each plus its
    /// claims, of which 100 bytes are allocated with the first token; 0 turns the cache off, and
    /// more than 10,000,000 is an error. A cached token's signature is not verified again and its
    /// claims are not decoded again: its requests share them. Revocation, expiry and key status are
    /// still checked on every request.
    ///
    /// One entry for each session that is in use at the same time in this process is the best size. With
    /// ten times more sessions than entries, requests of random sessions take about as long as without a
    /// cache, because most tokens are evicted before their next request.
    pub const fn verified_token_cache(mut self, capacity: usize) -> Self {
        self.verified_capacity = capacity;
        self
    }
}

impl<C> SessionEngineBuilder<C> {
    /// Settings from a file or the environment. They override earlier values; missing settings
    /// change nothing.
    pub fn options(mut self, options: SessionOptions) -> Self {
        // Destructured, so that a new setting cannot be forgotten here.
        let SessionOptions {
            inactivity_timeout,
            maximum_lifetime,
            renew_after,
            multi_session,
            sign_in_url,
            after_sign_out_url,
            after_multi_session_single_sign_out_url,
            origin,
            allowed_redirect_origins,
            tasks_url,
            reverify_url,
            not_before,
            copied_cookies,
            copied_cookies_grace,
            device_bound,
            bound_for,
            binding_tolerance,
        } = options;
        let (lifetime, urls) = (&mut self.lifetime, &mut self.redirects);
        replace(&mut lifetime.inactivity_timeout, inactivity_timeout);
        replace(&mut lifetime.maximum_lifetime, maximum_lifetime);
        replace(&mut lifetime.renew_after, renew_after);
        replace(&mut self.copied_cookies.reaction, copied_cookies);
        replace(&mut self.copied_cookies.grace, copied_cookies_grace);
        replace(&mut self.device_bound.mode, device_bound);
        replace(&mut self.device_bound.bound_for, bound_for);
        replace(&mut self.device_bound.tolerance, binding_tolerance);
        replace(&mut urls.sign_in_url, sign_in_url);
        replace(&mut urls.after_sign_out_url, after_sign_out_url);
        replace(
            &mut urls.after_multi_session_single_sign_out_url,
            after_multi_session_single_sign_out_url,
        );
        replace(&mut urls.tasks_url, tasks_url);
        replace(&mut urls.reverify_url, reverify_url);
        replace(&mut self.not_before, not_before);
        replace(&mut self.multi_session, multi_session);
        replace(&mut self.origin, origin);
        replace(&mut self.allowed_redirect_origins, allowed_redirect_origins);
        self
    }
}

impl<C> SessionEngineBuilder<C> {
    /// The origin by which browsers reach the application: `https://app.example.com`. Without it,
    /// the origin of state-changing requests is compared with `Host`, and redirects stay on the
    /// origin of the request.
    ///
    /// Pages with forms must not have `Referrer-Policy: no-referrer`, with which browsers send
    /// `Origin: null`; `same-origin` is fine.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Other origins whose pages may sign users in and out.
    pub fn trusted_origins<I>(mut self, origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.trusted_origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Other origins that a `redirect_url` may have.
    pub fn allowed_redirect_origins<I>(mut self, origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.allowed_redirect_origins = origins.into_iter().map(Into::into).collect();
        self
    }
}

impl<C> SessionEngineBuilder<C> {
    /// Allows several accounts in one browser, each in a separate cookie; off by default. Turning
    /// it on or off signs no user out: see [the
    /// guide](crate::guide::several_accounts#turning-multi-session-on-or-off).
    pub const fn multi_session(mut self, multi_session: bool) -> Self {
        self.multi_session = multi_session;
        self
    }

    /// The maximum number of accounts in one browser, 5 by default, at most 20.
    pub const fn max_sessions_per_browser(mut self, max: usize) -> Self {
        self.max_sessions_per_browser = max;
        self
    }

    /// What happens when a browser exceeds the number of accounts or the cookie budget.
    pub const fn account_limit_policy(mut self, policy: AccountLimitPolicy) -> Self {
        self.account_limit_policy = policy;
        self
    }

    /// The maximum bytes of all session cookies in a request, names and separators included: 7,000
    /// by default, which fits in one header line of 8 KiB next to other cookies. Above the limit of
    /// the server, 16 KiB for all headers by hyper's defaults in HTTP/2, every request of the
    /// browser is answered 431, sign-out included. A request that shows more brings the browser back
    /// within the limits: see [the guide](crate::guide::several_accounts#signing-in).
    pub const fn cookie_budget(mut self, bytes: usize) -> Self {
        self.cookie_budget = bytes;
        self
    }

    /// The display name of an account in the chooser, and a text that distinguishes it: the claims
    /// `name` and `email` by default, otherwise the subject, which also replaces a blank name. Both
    /// are plain text, and escaped when shown.
    pub fn account_label(
        mut self,
        label: impl Fn(&C) -> (String, Option<String>) + Send + Sync + 'static,
    ) -> Self {
        self.account_label = Some(Arc::new(label));
        self
    }

    /// A query parameter that selects the session of a request, in addition to the header
    /// `session-id`: for links, `EventSource` and WebSockets that are bound to a tab. Off by
    /// default, because applications use such names themselves.
    pub fn session_query_param(mut self, parameter: impl Into<String>) -> Self {
        self.session_query_param = Some(parameter.into());
        self
    }
}

impl<C> SessionEngineBuilder<C> {
    /// Whether an [impersonated](crate::SignIn::impersonated_by) session may impersonate a further
    /// user, which is refused by default. The prior actor is then in
    /// [`Actor::prior`](crate::engine::Actor::prior).
    pub const fn nested_impersonation(mut self, allowed: bool) -> Self {
        self.nested_impersonation = allowed;
        self
    }

    /// Whether the span of a request has a hash of the session's subject, so that a user can be followed
    /// through the log of one process. The hash has a key of the process and cannot be reversed by
    /// readers of the log; off by default, because it links the sessions of a user (ASVS 16.2.5).
    pub const fn log_subject_hashes(mut self, allowed: bool) -> Self {
        self.log_subjects = allowed;
        self
    }

    /// Revokes all sessions that signed in before this instant (ASVS 7.4.5), on every node with the
    /// setting and after every restart: set it after a compromise, together with new keys. All
    /// their tokens are rejected, bearer tokens included. An instant in the future signs every user
    /// out until then.
    pub const fn revoke_signed_in_before(mut self, instant: Timestamp) -> Self {
        self.not_before = instant;
        self
    }
}
