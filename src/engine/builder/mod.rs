//! [`SessionEngineBuilder`]: the settings, and the one place that checks them.

pub(crate) mod bearer;
pub(crate) mod endpoints;
pub(crate) mod memory;
pub(crate) mod options;
pub(crate) mod origins;
pub(crate) mod several;
pub(crate) mod standing;

use std::{fmt, marker::PhantomData, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    bearer::{BearerTokens, verify::own_issuer},
    cookie::config::CookieConfig,
    event::SessionEvent,
    issuer::{TrustedIssuer, resolve_all, verifier::Verifier},
    keys::key_ring::{KeyRing, no_back_end},
    multi_session::{AccountLimitPolicy, Several},
    redirect::{
        csrf::OriginPolicy, origin::Origin, settings::SignOutRedirects, target::RedirectPolicy,
    },
    request::{
        head::RequestHead,
        routes::{PathSettings, Paths},
    },
    revocation::{feed_state::Heard, latest_tokens::RenewedMap, list::EndedSet, waiters::Bell},
    session::{expiry::LifetimeOverride, lifetime::SessionLifetime},
    session_engine::{ActivityFn, Codec, EventFn, Inner, LabelFn, SessionEngine},
    token::{
        cache::VerifiedTokens,
        claims::{
            decode::{decode, decode_bearer},
            encode::{encode, encode_bearer},
            round_trip::check_round_trip,
        },
    },
};
use crate::{
    error::{ConfigError, ConfigProblem},
    random::{OsRandom, RandomSource},
    time::Timestamp,
};

/// How many ended sessions a process remembers unless told otherwise: about 15 MB.
const DEFAULT_ENDED_CAPACITY: usize = 100_000;
/// How many verified tokens a process remembers unless told otherwise: about 10 MB, more with large
/// claims.
const DEFAULT_VERIFIED_CAPACITY: usize = 10_000;
/// The places are taken at once, with the first token.
const MAX_VERIFIED_CAPACITY: usize = 10_000_000;
/// How many renewals a process remembers.
const RENEWED_CAPACITY: usize = 10_000;

/// Collects the settings of a [`SessionEngine`]. Nothing is checked before
/// [`build`](SessionEngineBuilder::build), which reports everything that is wrong at once.
#[must_use = "a builder does nothing until `build`"]
pub struct SessionEngineBuilder<C> {
    keys: KeyRing,
    lifetime: SessionLifetime,
    cookie: CookieConfig,
    issuer: Option<String>,
    audience: Option<String>,
    redirects: SignOutRedirects,
    origin: Option<String>,
    trusted_origins: Vec<String>,
    allowed_redirect_origins: Vec<String>,
    multi_session: bool,
    max_sessions_per_browser: usize,
    account_limit_policy: AccountLimitPolicy,
    cookie_budget: usize,
    named_by_query: Option<String>,
    verifies: Option<Vec<TrustedIssuer>>,
    bearer: BearerTokens,
    account_label: Option<Arc<LabelFn<C>>>,
    paths: PathSettings,
    ended_capacity: usize,
    verified_capacity: usize,
    nested_impersonation: bool,
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
            redirects: SignOutRedirects::new(),
            origin: None,
            trusted_origins: Vec::new(),
            allowed_redirect_origins: Vec::new(),
            multi_session: false,
            max_sessions_per_browser: Several::DEFAULT_MAX,
            account_limit_policy: AccountLimitPolicy::default(),
            cookie_budget: Several::DEFAULT_COOKIE_BUDGET,
            named_by_query: None,
            verifies: None,
            bearer: BearerTokens::new(),
            account_label: None,
            paths: PathSettings::default(),
            ended_capacity: DEFAULT_ENDED_CAPACITY,
            verified_capacity: DEFAULT_VERIFIED_CAPACITY,
            nested_impersonation: false,
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

    /// How the session cookie is named and scoped.
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

    /// Where signing in is, and where signing out leads.
    pub fn sign_out_redirects(mut self, redirects: SignOutRedirects) -> Self {
        self.redirects = redirects;
        self
    }

    /// Where session ids come from; the operating system by default.
    pub fn random(mut self, random: impl RandomSource) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Which requests are activity of a person: `false` for polls and other requests that nobody
    /// waits for, which then do not keep the session alive. A request that carries
    /// `session-activity: none` is none in any case.
    pub fn activity(
        mut self,
        is_activity: impl Fn(RequestHead<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.activity = Some(Arc::new(is_activity));
        self
    }

    /// Is told what happens to sessions, as it happens and on the thread where it does: hand over
    /// what takes long.
    pub fn on_event(mut self, listener: impl Fn(&SessionEvent) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(listener));
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// With every setting that is wrong, its value and what to write instead.
    pub fn build(self) -> Result<SessionEngine<C>, ConfigError>
    where
        C: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let mut problems = match &self.verifies {
            None => self.keys.problems(),
            Some(_) => no_back_end().into_iter().collect(),
        };
        let verifier = self.verifies.map(|issuers| Verifier {
            issuers: resolve_all(issuers, &mut problems),
            decode: decode_bearer::<C>,
        });
        let limits = self.lifetime.resolve(&mut problems);
        let cookie = self.cookie.resolve(&mut problems);
        let mut redirects = self.redirects.resolve(&mut problems);
        redirects.place(self.paths.base(&mut problems), self.paths.chooser());
        let mut paths = self.paths.resolve(self.multi_session, &redirects, &mut problems);
        if verifier.is_some() {
            // There is nothing to sign out of, and nobody to choose.
            paths = Paths::default();
        }
        let own = Origin::of_setting("origin", self.origin.as_deref(), &mut problems);
        redirects.known_as(own.clone());
        let mut origins = |field: &'static str, origins: &[String]| -> Vec<Origin> {
            origins
                .iter()
                .filter_map(|origin| Origin::of_setting(field, Some(origin), &mut problems))
                .collect()
        };
        let trusted = origins("trusted_origins", &self.trusted_origins);
        let allowed = origins("allowed_redirect_origins", &self.allowed_redirect_origins);

        for (field, value) in [("issuer", &self.issuer), ("audience", &self.audience)] {
            if value.as_deref() == Some("") {
                problems.push(ConfigProblem::new(field, "", "leave it out, or give it a value"));
            }
        }
        let several = Several {
            max: self.max_sessions_per_browser,
            policy: self.account_limit_policy,
            cookie_budget: self.cookie_budget,
            named_by_query: self.named_by_query.map(Into::into),
        };
        several.check(&mut problems);
        let bearer = self.bearer.resolve(self.issuer.as_deref(), own.as_ref(), &mut problems);
        if self.ended_capacity == 0 {
            let remedy = "at least 1: a sign-out must be remembered";
            problems.push(ConfigProblem::new("ended_capacity", "0", remedy));
        }
        let tokens = self.verified_capacity;
        if tokens > MAX_VERIFIED_CAPACITY {
            let remedy = "at most 10000000: each takes memory of its own";
            problems.push(ConfigProblem::new("verified_token_cache", tokens.to_string(), remedy));
        }
        ConfigError::check(problems)?;
        let audience = self.audience.as_deref();
        let issuers = own_issuer(self.keys.clone(), audience, &bearer, limits.clock_skew);

        let ended = EndedSet::new(self.ended_capacity);
        ended.insert_everybody(self.not_before);
        Ok(SessionEngine::new(Inner {
            keys: self.keys,
            usual: limits.of_session(LifetimeOverride::new()),
            limits,
            cookie,
            nested_impersonation: self.nested_impersonation,
            issuer: self.issuer.map(Into::into),
            audience: self.audience.map(Into::into),
            redirects: Arc::new(redirects),
            redirect_policy: RedirectPolicy::new(own.clone(), allowed),
            origins: OriginPolicy::new(own, trusted),
            paths,
            verifier,
            bearer,
            issuers,
            several: self.multi_session.then_some(several),
            account_label: self.account_label,
            activity: self.activity,
            on_event: self.on_event,
            ended,
            bell: Bell::default(),
            heard: Heard::default(),
            renewed: RenewedMap::new(RENEWED_CAPACITY),
            verified: VerifiedTokens::seeded(self.verified_capacity, &*self.random),
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

/// A text claim of this name, if `claims` has one.
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
