//! [`TrustedIssuer`]: another issuer whose tokens are accepted, and under which rules.
//!
//! 1. `iss` equals the issuer's name, byte for byte. It selects the keys that are tried, and no
//!    other keys are (RFC 8725 §3.8).
//! 2. `aud` names one of the accepted audiences; if none is configured, a token with `aud` is
//!    rejected (RFC 7519 §4.1.3).
//! 3. `azp` is one of the authorized parties, if any are configured. A token without `azp` is then
//!    rejected unless `allow_absent_azp` is set.
//! 4. The algorithm is the key's, and one of those that are pinned (RFC 8725 §3.1).
//! 5. `exp` and `sid` are required. `exp`, `nbf` and `iat` are compared with `clock_skew` of
//!    leeway.

pub(crate) mod claims;
pub(crate) mod cookies;
pub(crate) mod jwks_cache;
pub(crate) mod jws;
pub(crate) mod verifier;

use std::{fmt, sync::Arc, time::Duration};

use self::jwks_cache::{RefreshPolicy, RemoteKeys};
use super::{
    keys::{algorithm::Algorithm, key::VerifyingKey, key_ring::KeyRing},
    redirect::origin::{Origin, split_origin},
};
use crate::error::ConfigProblem;

/// Another issuer of session tokens, and the rules for its tokens.
///
/// Its keys come from its published set, `/.well-known/jwks.json` under the issuer's URL, unless
/// [`jwks_url`](Self::jwks_url), [`keys`](Self::keys) or [`key`](Self::key) is set. Tokens are read
/// from `Authorization: Bearer` and from the cookies that [`cookie`](Self::cookie) names.
///
/// ```
/// use tower_auth_session::{Algorithm, SessionEngine, verify_only::TrustedIssuer};
///
/// # fn main() -> Result<(), tower_auth_session::ConfigError> {
/// let accounts = TrustedIssuer::new("https://accounts.example.com")
///     .algorithms([Algorithm::EdDsa])
///     .authorized_parties(["https://app.example.com"]);
/// let engine = SessionEngine::<()>::verify_only([accounts]).build()?;
/// # Ok(()) }
/// ```
///
/// The keys can also be configured, and more rules limit what is accepted:
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::{Algorithm, KeyRing, SessionEngine, SigningKey, verify_only::TrustedIssuer};
///
/// # fn main() -> Result<(), tower_auth_session::ConfigError> {
/// # let jwks = KeyRing::new(SigningKey::generate("k", Algorithm::EdDsa)?)
/// #     .public_jwks(tower_auth_session::time::Timestamp::from_unix_seconds(1_800_000_000));
/// # let public_key = SigningKey::generate("k", Algorithm::EdDsa)?.verifying_key();
/// // A hosted service, whose key set is fetched:
/// let hosted = TrustedIssuer::new("https://clerk.example.com")
///     .jwks_url("https://clerk.example.com/.well-known/jwks.json")
///     .refresh_interval(Duration::from_secs(600))
///     .min_refetch_interval(Duration::from_secs(10))
///     .max_stale(Duration::from_secs(24 * 3600))
///     .authorized_parties(["https://app.example.com"])
///     .allow_absent_azp()
///     .token_categories(["cl_B7d4PD111AAA"])
///     .reject_subject_prefix("mch_")
///     .cookie("__session");
/// // Another service that uses this crate, and its store:
/// let accounts = TrustedIssuer::new("https://accounts.example.com")
///     .keys(KeyRing::from_jwks(&jwks)?)
///     .audience("reports")
///     .shares_store();
/// // One key, from a file:
/// let batch = TrustedIssuer::new("https://batch.example.com").key(public_key);
/// let engine = SessionEngine::<()>::verify_only([hosted, accounts, batch]).build()?;
/// # let _ = engine;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "an issuer is trusted by the engine that it is given to"]
pub struct TrustedIssuer {
    name: String,
    source: KeySource,
    rules: ValidationRules,
    refresh_policy: RefreshPolicy,
}

#[derive(Debug, Clone)]
enum KeySource {
    WellKnown,
    Url(String),
    Ring(KeyRing),
    Single(VerifyingKey),
}

/// The validation rules for the tokens of one issuer.
#[derive(Debug, Clone)]
pub(crate) struct ValidationRules {
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) audiences: Vec<String>,
    pub(crate) authorized_parties: Vec<String>,
    pub(crate) allow_absent_azp: bool,
    pub(crate) cookies: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) rejected_subject_prefixes: Vec<String>,
    pub(crate) shares_store: bool,
}

impl TrustedIssuer {
    /// The issuer whose tokens have `issuer` as `iss`, byte for byte: a trailing slash matters.
    pub fn new(issuer: impl Into<String>) -> Self {
        let asymmetric = Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric());
        let rules = ValidationRules {
            algorithms: asymmetric.collect(),
            audiences: Vec::new(),
            authorized_parties: Vec::new(),
            allow_absent_azp: false,
            cookies: Vec::new(),
            categories: Vec::new(),
            rejected_subject_prefixes: Vec::new(),
            shares_store: false,
        };
        Self {
            name: issuer.into(),
            source: KeySource::WellKnown,
            rules,
            refresh_policy: RefreshPolicy::default(),
        }
    }

    /// URL of its published key set (RFC 7517 §5): `https`, or `http` on a loopback host.
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.source = KeySource::Url(url.into());
        self
    }

    /// Its keys, selected by the `kid` of a token: for example from a file or
    /// [`KeyRing::from_jwks`]. Clones share changes, so the keys can be rotated. Nothing is
    /// fetched.
    pub fn keys(mut self, keys: KeyRing) -> Self {
        self.source = KeySource::Ring(keys);
        self
    }

    /// Its only key, whatever the `kid` of a token: for example from a PEM file
    /// ([`VerifyingKey::from_pem`]). Nothing is fetched.
    pub fn key(mut self, key: VerifyingKey) -> Self {
        self.source = KeySource::Single(key);
        self
    }

    /// The accepted algorithms; by default all asymmetric ones. Symmetric keys in a fetched set are
    /// always ignored.
    ///
    /// An RSA key without `alg` is used for the only RSA algorithm in this list, and ignored if the
    /// list has several.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.rules.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Accepts tokens for `audience`, and rejects tokens without `aud`. If no audience is
    /// configured, tokens with `aud` are rejected (RFC 7519 §4.1.3).
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.audiences.push(audience.into());
        self
    }

    /// The values of `azp` that are accepted: the origins for which the issuer issues tokens to be
    /// used here. Without this setting, a token that was issued for another application is accepted
    /// too. Tokens without `azp` are rejected.
    pub fn authorized_parties<I>(mut self, authorized_parties: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.rules.authorized_parties.extend(authorized_parties.into_iter().map(Into::into));
        self
    }

    /// Accepts tokens without `azp` although authorized parties are configured, for issuers that
    /// sometimes omit it. Such a token may have been issued for any application of that issuer.
    pub const fn allow_absent_azp(mut self) -> Self {
        self.rules.allow_absent_azp = true;
        self
    }

    /// Also reads tokens from the cookie `name`, after `Authorization` and the cookies named
    /// before. The cookie is never written, and tokens of other issuers are not read from it.
    pub fn cookie(mut self, name: impl Into<String>) -> Self {
        self.rules.cookies.push(name.into());
        self
    }

    /// The values of the header member `cat` that session tokens have. A token without `cat` is a
    /// session token. By default `cat` is ignored.
    pub fn token_categories<I>(mut self, categories: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.rules.categories.extend(categories.into_iter().map(Into::into));
        self
    }

    /// Rejects subjects that start with `prefix`, for issuers that also name machines.
    pub fn reject_subject_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.rules.rejected_subject_prefixes.push(prefix.into());
        self
    }

    /// States that the issuer keeps its sessions in the store that this service uses too, so that a
    /// sign-out at the issuer revokes the session here. The issuer uses this crate then, and its `sid`
    /// is the session's id as it is.
    ///
    /// The ids of all other issuers' sessions are derived from issuer and `sid`: an issuer chooses its
    /// `sid` freely, and could otherwise name a session of another issuer and end it by a sign-out.
    pub const fn shares_store(mut self) -> Self {
        self.rules.shares_store = true;
        self
    }

    /// How often the key set is fetched; every 5 minutes by default. A key that the issuer
    /// withdraws stays trusted for up to this long.
    pub const fn refresh_interval(mut self, period: Duration) -> Self {
        self.refresh_policy.refresh_interval = period;
        self
    }

    /// Minimum time between a fetch and another one for a token with an unknown key; 30 seconds by
    /// default. Tokens with invented keys cause no more fetches than that.
    pub const fn min_refetch_interval(mut self, pause: Duration) -> Self {
        self.refresh_policy.min_refetch_interval = pause;
        self
    }

    /// How long the last key set stays trusted while no other can be fetched; 24 hours by default.
    pub const fn max_stale(mut self, period: Duration) -> Self {
        self.refresh_policy.max_stale = period;
        self
    }

    pub(crate) fn resolve(self, problems: &mut Vec<ConfigProblem>) -> Issuer {
        let Self { name, source, rules, refresh_policy } = self;
        let mut problem = |field, value: &str, remedy| {
            problems.push(ConfigProblem::new(field, value, remedy));
        };
        if name.is_empty() || name.len() > MAX_ISSUER || name.chars().any(char::is_control) {
            problem("trusted_issuer", &name, "set the `iss` of its tokens");
        }
        if rules.algorithms.is_empty() {
            problem("trusted_issuer.algorithms", "none", "set at least one algorithm");
        }
        if rules.allow_absent_azp && rules.authorized_parties.is_empty() {
            let remedy = "set the authorized parties, or remove `allow_absent_azp`";
            problem("trusted_issuer.authorized_parties", "none", remedy);
        }
        let lists = [
            ("trusted_issuer.audience", &rules.audiences),
            ("trusted_issuer.authorized_parties", &rules.authorized_parties),
            ("trusted_issuer.token_categories", &rules.categories),
            ("trusted_issuer.reject_subject_prefix", &rules.rejected_subject_prefixes),
        ];
        for (field, texts) in lists {
            if texts.iter().any(String::is_empty) {
                problem(field, "", "remove it, or set a value");
            }
        }
        for cookie in rules.cookies.iter().filter(|cookie| !cookies::is_name(cookie)) {
            problem("trusted_issuer.cookie", cookie, "use only token characters of RFC 9110");
        }
        let jwks_url = match &source {
            KeySource::WellKnown => Some(format!("{}{WELL_KNOWN}", name.trim_end_matches('/'))),
            KeySource::Url(url) => Some(url.clone()),
            KeySource::Ring(_) | KeySource::Single(_) => None,
        };
        if let Some(url) = &jwks_url {
            let symmetric = rules.algorithms.iter().find(|algorithm| algorithm.is_symmetric());
            if let Some(algorithm) = symmetric {
                let remedy = "a published secret is not secret: pass such a key with `keys`";
                problem("trusted_issuer.algorithms", algorithm.name(), remedy);
            }
            refresh_policy.check(&mut problem);
            check_url(url, &mut problem);
        }
        let keys = match source {
            KeySource::Ring(ring) => {
                problems.extend(ring.problems());
                IssuerKeys::Ring(ring)
            }
            KeySource::Single(key) => {
                let ring = KeyRing::verify_only().with_key(key);
                problems.extend(ring.problems());
                IssuerKeys::Single(ring)
            }
            KeySource::WellKnown | KeySource::Url(_) => {
                IssuerKeys::Remote(RemoteKeys::new(jwks_url.unwrap_or_default(), refresh_policy))
            }
        };
        Issuer { name: name.into(), keys, rules }
    }
}

/// Accepts only URLs that need no interpretation: an origin, and a path of visible ASCII.
fn check_url(url: &str, problem: &mut impl FnMut(&'static str, &str, &'static str)) {
    let Some((origin, path)) = split_origin(url) else {
        problem(
            "trusted_issuer.jwks_url",
            url,
            "start with https://, or http:// for a loopback host",
        );
        return;
    };
    if Origin::parse(origin).is_err() {
        let remedy = "use https and a lower-case host; http is allowed only for loopback hosts";
        problem("trusted_issuer.jwks_url", url, remedy);
    }
    if path.contains('#') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        problem("trusted_issuer.jwks_url", url, "remove fragment and spaces from the path");
    }
}

/// Maximum length of `iss`.
const MAX_ISSUER: usize = 255;
const WELL_KNOWN: &str = "/.well-known/jwks.json";

/// A validated trusted issuer.
pub(crate) struct Issuer {
    pub(crate) name: Arc<str>,
    pub(crate) keys: IssuerKeys,
    pub(crate) rules: ValidationRules,
}

/// The source of an issuer's keys.
pub(crate) enum IssuerKeys {
    Ring(KeyRing),
    /// A ring with one key, which is used for any `kid`.
    Single(KeyRing),
    Remote(RemoteKeys),
}

impl Issuer {
    /// The key set, if it must be fetched.
    pub(crate) const fn remote(&self) -> Option<&RemoteKeys> {
        if let IssuerKeys::Remote(keys) = &self.keys { Some(keys) } else { None }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("name", &self.name).field("rules", &self.rules).finish()
    }
}

/// Validates `issuers` together.
pub(crate) fn resolve_all(
    issuers: Vec<TrustedIssuer>,
    problems: &mut Vec<ConfigProblem>,
) -> Vec<Arc<Issuer>> {
    let mut resolved: Vec<Arc<Issuer>> = Vec::new();
    for issuer in issuers {
        let issuer = issuer.resolve(problems);
        if resolved.iter().any(|other| other.name == issuer.name) {
            let remedy = "two trusted issuers have this name: merge their settings into one";
            problems.push(ConfigProblem::new("trusted_issuer", &*issuer.name, remedy));
        }
        resolved.push(Arc::new(issuer));
    }
    resolved
}
