//! [`TrustedIssuer`]: somebody else whose tokens are believed here, and how far.
//!
//! 1. `iss` is the issuer's, byte for byte; it chooses whose keys are tried, and no others are
//!    (RFC 8725 §3.8).
//! 2. `aud` names one of the audiences that are accepted; without any, a token that is for an audience
//!    is not for us (RFC 7519 §4.1.3).
//! 3. `azp` is one of the authorized parties, where these are named; a token without it is refused
//!    then, unless that is allowed in so many words.
//! 4. The algorithm is the key's and one of those that are pinned (RFC 8725 §3.1).
//! 5. `exp` and `sid` are required. `exp`, `nbf` and `iat` are compared with `clock_skew` of leeway.

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

/// An issuer of session tokens other than this service, and what is asked of its tokens.
///
/// Its keys come from its published set, `/.well-known/jwks.json` under the issuer's URL, unless
/// [`jwks_url`](Self::jwks_url), [`keys`](Self::keys) or [`key`](Self::key) says otherwise. Tokens
/// come in `Authorization: Bearer`, and in cookies that are named by [`cookie`](Self::cookie).
///
/// ```
/// use tower_auth_session::{Algorithm, SessionEngine, TrustedIssuer};
///
/// # fn main() -> Result<(), tower_auth_session::ConfigError> {
/// let accounts = TrustedIssuer::new("https://accounts.example.com")
///     .algorithms([Algorithm::EdDsa])
///     .authorized_parties(["https://app.example.com"]);
/// let engine = SessionEngine::<()>::verifier([accounts]).build()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "an issuer is trusted by the engine that it is given to"]
pub struct TrustedIssuer {
    name: String,
    source: KeySource,
    rules: ValidationRules,
    terms: RefreshPolicy,
}

#[derive(Debug, Clone)]
enum KeySource {
    WellKnown,
    Url(String),
    Ring(KeyRing),
    One(VerifyingKey),
}

/// What is asked of the tokens of one issuer.
#[derive(Debug, Clone)]
pub(crate) struct ValidationRules {
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) audiences: Vec<String>,
    pub(crate) parties: Vec<String>,
    pub(crate) absent_party: bool,
    pub(crate) cookies: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) refused_subjects: Vec<String>,
}

impl TrustedIssuer {
    /// The issuer whose tokens have `issuer` as their `iss`, byte for byte: mind a slash at its end.
    pub fn new(issuer: impl Into<String>) -> Self {
        let asymmetric = Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric());
        let rules = ValidationRules {
            algorithms: asymmetric.collect(),
            audiences: Vec::new(),
            parties: Vec::new(),
            absent_party: false,
            cookies: Vec::new(),
            categories: Vec::new(),
            refused_subjects: Vec::new(),
        };
        Self {
            name: issuer.into(),
            source: KeySource::WellKnown,
            rules,
            terms: RefreshPolicy::default(),
        }
    }

    /// Where its key set is published (RFC 7517 §5): an `https` URL, or `http` on a loopback host.
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.source = KeySource::Url(url.into());
        self
    }

    /// Its keys, found by the `kid` of a token: from a file, [`KeyRing::from_jwks`], or of a fleet that
    /// shares them. Clones share changes, so they can be rotated. Nothing is fetched.
    pub fn keys(mut self, keys: KeyRing) -> Self {
        self.source = KeySource::Ring(keys);
        self
    }

    /// Its one key, whatever the `kid` of a token: a PEM file that somebody handed over
    /// ([`VerifyingKey::from_pem`]). Nothing is fetched.
    pub fn key(mut self, key: VerifyingKey) -> Self {
        self.source = KeySource::One(key);
        self
    }

    /// The only algorithms that are believed. All that are not symmetric by default; of a key set that
    /// is fetched no symmetric key is ever taken.
    ///
    /// An RSA key without `alg` is taken for the one RSA algorithm among these, and is passed over if
    /// there are several.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.rules.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Accepts tokens for `audience`, and refuses those without `aud`. Without any, those with `aud`
    /// are refused (RFC 7519 §4.1.3).
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.audiences.push(audience.into());
        self
    }

    /// The origins that may use tokens of this issuer here, by `azp`: without them a token that was
    /// made for the page next door is good for this one too. Tokens without `azp` are refused.
    pub fn authorized_parties<I>(mut self, parties: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.rules.parties.extend(parties.into_iter().map(Into::into));
        self
    }

    /// Accepts tokens without `azp` although authorized parties are named: for issuers that leave it
    /// out now and then. Any page of any subdomain may be behind one of these.
    pub const fn allow_absent_azp(mut self) -> Self {
        self.rules.absent_party = true;
        self
    }

    /// Reads tokens from the cookie `name` too, after `Authorization` and after the cookies that were
    /// named before it. Nothing is ever written to it, and no other issuer's tokens are read from it.
    pub fn cookie(mut self, name: impl Into<String>) -> Self {
        self.rules.cookies.push(name.into());
        self
    }

    /// The kinds of token that are session tokens, by the member `cat` of their header. One without it
    /// is. By default it means nothing.
    pub fn token_categories<I>(mut self, categories: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.rules.categories.extend(categories.into_iter().map(Into::into));
        self
    }

    /// Refuses subjects that start with `prefix`: those of machines, where the issuer names both.
    pub fn reject_subject_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.rules.refused_subjects.push(prefix.into());
        self
    }

    /// How often the key set is fetched again, every 5 minutes by default: a key that the issuer
    /// withdraws is believed for so long.
    pub const fn refresh_interval(mut self, period: Duration) -> Self {
        self.terms.refresh = period;
        self
    }

    /// How long after a fetch a token of an unknown key may cause another one, 30 seconds by default:
    /// whoever makes keys up causes no more of them.
    pub const fn min_refetch_interval(mut self, pause: Duration) -> Self {
        self.terms.refetch = pause;
        self
    }

    /// How long the last key set is believed while no other can be fetched, 24 hours by default.
    pub const fn max_stale(mut self, period: Duration) -> Self {
        self.terms.keep = period;
        self
    }

    pub(crate) fn resolve(self, problems: &mut Vec<ConfigProblem>) -> Issuer {
        let Self { name, source, rules, terms } = self;
        let mut problem = |field, value: &str, remedy| {
            problems.push(ConfigProblem::new(field, value, remedy));
        };
        if name.is_empty() || name.len() > MAX_ISSUER || name.chars().any(char::is_control) {
            problem("trusted_issuer", &name, "write the `iss` of its tokens");
        }
        if rules.algorithms.is_empty() {
            problem("trusted_issuer.algorithms", "none", "name one at least");
        }
        if rules.absent_party && rules.parties.is_empty() {
            let remedy = "name the authorized parties, or leave `allow_absent_azp` out";
            problem("trusted_issuer.authorized_parties", "none", remedy);
        }
        let lists = [
            ("trusted_issuer.audience", &rules.audiences),
            ("trusted_issuer.authorized_parties", &rules.parties),
            ("trusted_issuer.categories", &rules.categories),
            ("trusted_issuer.refuse_subjects", &rules.refused_subjects),
        ];
        for (field, texts) in lists {
            if texts.iter().any(String::is_empty) {
                problem(field, "", "leave it out, or give it a value");
            }
        }
        for cookie in rules.cookies.iter().filter(|cookie| !cookies::is_name(cookie)) {
            problem("trusted_issuer.cookie", cookie, "a name of the token characters of RFC 9110");
        }
        let at = match &source {
            KeySource::WellKnown => Some(format!("{}{WELL_KNOWN}", name.trim_end_matches('/'))),
            KeySource::Url(url) => Some(url.clone()),
            KeySource::Ring(_) | KeySource::One(_) => None,
        };
        if let Some(url) = &at {
            let symmetric = rules.algorithms.iter().find(|algorithm| algorithm.is_symmetric());
            if let Some(algorithm) = symmetric {
                let remedy = "a published secret is none: give such a key with `keys`";
                problem("trusted_issuer.algorithms", algorithm.name(), remedy);
            }
            terms.check(&mut problem);
            check_url(url, &mut problem);
        }
        let keys = match source {
            KeySource::Ring(ring) => {
                problems.extend(ring.problems());
                IssuerKeys::Ring(ring)
            }
            KeySource::One(key) => {
                let ring = KeyRing::verify_only().with_key(key);
                problems.extend(ring.problems());
                IssuerKeys::One(ring)
            }
            KeySource::WellKnown | KeySource::Url(_) => {
                IssuerKeys::Remote(RemoteKeys::new(at.unwrap_or_default(), terms))
            }
        };
        Issuer { name: name.into(), keys, rules }
    }
}

/// The one form of an URL that needs no interpretation: an origin, and a path of visible ASCII.
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
        let remedy = "write https and a host in lower case; http is for loopback hosts only";
        problem("trusted_issuer.jwks_url", url, remedy);
    }
    if path.contains('#') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        problem("trusted_issuer.jwks_url", url, "write the path without fragment and spaces");
    }
}

/// Longer than any `iss` there is.
const MAX_ISSUER: usize = 255;
const WELL_KNOWN: &str = "/.well-known/jwks.json";

/// A trusted issuer, checked.
pub(crate) struct Issuer {
    pub(crate) name: Arc<str>,
    pub(crate) keys: IssuerKeys,
    pub(crate) rules: ValidationRules,
}

/// Where the keys of an issuer are.
pub(crate) enum IssuerKeys {
    Ring(KeyRing),
    /// Of one key, that is found under any name.
    One(KeyRing),
    Remote(RemoteKeys),
}

impl Issuer {
    /// The key set, where it has to be fetched.
    pub(crate) const fn remote(&self) -> Option<&RemoteKeys> {
        if let IssuerKeys::Remote(keys) = &self.keys { Some(keys) } else { None }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("name", &self.name).field("rules", &self.rules).finish()
    }
}

/// All of `issuers`, checked together.
pub(crate) fn resolve_all(
    issuers: Vec<TrustedIssuer>,
    problems: &mut Vec<ConfigProblem>,
) -> Vec<Arc<Issuer>> {
    let mut resolved: Vec<Arc<Issuer>> = Vec::new();
    for issuer in issuers {
        let issuer = issuer.resolve(problems);
        if resolved.iter().any(|other| other.name == issuer.name) {
            let remedy = "two of the trusted issuers have it: say all of it in one";
            problems.push(ConfigProblem::new("trusted_issuer", &*issuer.name, remedy));
        }
        resolved.push(Arc::new(issuer));
    }
    resolved
}
