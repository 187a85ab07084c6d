//! Bearer tokens: short-lived JWTs of a session for scripts, other services and gRPC clients (RFC
//! 6750), and the settings about them.
//!
//! 1. A bearer token is none of the cookie's: its JOSE `typ` is `JWT`, the cookie's is `session+jwt`,
//!    and neither is ever accepted as the other (RFC 8725 §3.11).
//! 2. It is made from a session that lives, lasts 60 seconds unless told otherwise, never longer than
//!    the session, and makes no other token.
//! 3. It is accepted in `Authorization` alone, and only where that is switched on. It goes before the
//!    cookies of its request, which are not looked at; no cookie is ever written for it.

pub(crate) mod header;
pub(crate) mod token;
pub(crate) mod verify;

use std::{fmt, time::Duration};

use super::redirect::origin::Origin;
use crate::error::ConfigProblem;

/// JOSE `typ` of a bearer token, as other libraries expect it (RFC 7519 §5.1).
pub(crate) const BEARER_TYPE: &str = "JWT";

/// The longest bearer token that is looked at, in bytes: one line of headers.
pub(crate) const MAX_BEARER_LENGTH: usize = 8 * 1024;

/// What bearer tokens say and which are accepted.
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::{Algorithm, BearerTokens, KeyRing, SessionEngine, SigningKey};
///
/// # fn main() -> Result<(), tower_auth_session::ConfigError> {
/// let keys = KeyRing::new(SigningKey::generate("2026-11", Algorithm::EdDsa)?);
/// let engine = SessionEngine::<()>::builder(keys)
///     .origin("https://app.example.com")
///     .bearer_tokens(
///         BearerTokens::new()
///             .longest_lifetime(Duration::from_secs(10 * 60))
///             .audiences(["https://reports.example.com"])
///             .accept(true),
///     )
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct BearerTokens {
    lifetime: Option<Duration>,
    longest: Option<Duration>,
    authorized_party: Option<String>,
    audiences: Vec<String>,
    accept: bool,
    authorized_parties: Option<Vec<String>>,
}

impl BearerTokens {
    /// How long a token lasts unless told otherwise.
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);

    /// The longest that any token can be allowed to last: one day. Nobody who verifies a token by its
    /// signature alone hears of a sign-out before its end.
    pub const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

    /// Tokens of 60 seconds for nobody in particular, made but not accepted.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a token lasts where nothing else is asked for, 60 seconds by default; in whole
    /// seconds. It never outlives its session.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// The longest lifetime that may be asked for, and that is accepted; by default what
    /// [`lifetime`](Self::lifetime) is. At most [`MAX_LIFETIME`](Self::MAX_LIFETIME).
    pub const fn max_lifetime(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    /// The `azp` of every token: the party that it is made for, by which others tell tokens of one
    /// application from those of another. The engine's
    /// [`origin`](crate::engine::SessionEngineBuilder::origin) by default, and nothing of any request, such as
    /// its `Origin`.
    pub fn authorized_party(mut self, party: impl Into<String>) -> Self {
        self.authorized_party = Some(party.into());
        self
    }

    /// The audiences that a token may be asked for (`aud`, RFC 7519 §4.1.3). Where none is asked for
    /// it is the engine's own [`audience`](crate::engine::SessionEngineBuilder::audience), if it has one.
    pub fn audiences<I>(mut self, audiences: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.audiences = audiences.into_iter().map(Into::into).collect();
        self
    }

    /// Whether requests may sign in by `Authorization: Bearer`; off by default.
    ///
    /// That scheme is then the layer's: what comes by it and is no token of ours is signed out,
    /// whatever its cookies say.
    pub const fn accept(mut self, accept: bool) -> Self {
        self.accept = accept;
        self
    }

    /// The `azp` of tokens that are accepted, where that is not only our own: those of every
    /// application that signs with these keys and whose users may act here.
    pub fn authorized_parties<I>(mut self, parties: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.authorized_parties = Some(parties.into_iter().map(Into::into).collect());
        self
    }

    /// Checks the settings beside the engine's; what is wrong goes to `problems`.
    pub(crate) fn resolve(
        &self,
        issuer: Option<&str>,
        own: Option<&Origin>,
        problems: &mut Vec<ConfigProblem>,
    ) -> BearerPolicy {
        let lifetime = self.lifetime.unwrap_or(Self::DEFAULT_LIFETIME);
        let longest = self.longest.unwrap_or(lifetime);
        let mut refuse = |field, value: String, remedy| {
            problems.push(ConfigProblem::new(field, value, remedy));
        };
        if lifetime < Duration::from_secs(1) {
            refuse("bearer_tokens.lifetime", format!("{lifetime:?}"), "at least one second");
        }
        if longest > Self::MAX_LIFETIME {
            let field = match self.longest {
                Some(_) => "bearer_tokens.longest_lifetime",
                None => "bearer_tokens.lifetime",
            };
            refuse(field, format!("{longest:?}"), "at most one day: sign-outs are not heard of");
        } else if longest < lifetime {
            let remedy = "not below bearer_tokens.lifetime, which is always allowed";
            refuse("bearer_tokens.longest_lifetime", format!("{longest:?}"), remedy);
        }
        for (field, names) in [
            ("bearer_tokens.audiences", self.audiences.as_slice()),
            ("bearer_tokens.authorized_parties", self.authorized_parties.as_deref().unwrap_or(&[])),
            ("bearer_tokens.authorized_party", self.authorized_party.as_slice()),
        ] {
            if names.iter().any(String::is_empty) {
                refuse(field, String::new(), "leave it out, or give it a value");
            }
        }
        let own = own.map(Origin::as_str);
        let party: Option<Box<str>> = self.authorized_party.as_deref().or(own).map(Into::into);
        let parties = match &self.authorized_parties {
            Some(parties) => parties.iter().map(|party| party.as_str().into()).collect(),
            None => party.iter().cloned().collect(),
        };
        BearerPolicy {
            lifetime,
            longest,
            issuer: issuer.or(own).map(Into::into),
            party,
            audiences: self.audiences.iter().map(|audience| audience.as_str().into()).collect(),
            accept: self.accept,
            parties,
        }
    }
}

/// The settings, checked.
#[derive(Debug, Clone)]
pub(crate) struct BearerPolicy {
    pub(crate) lifetime: Duration,
    pub(crate) longest: Duration,
    /// `iss`: the configured issuer, else the own origin.
    pub(crate) issuer: Option<Box<str>>,
    /// `azp`.
    pub(crate) party: Option<Box<str>>,
    pub(crate) audiences: Box<[Box<str>]>,
    pub(crate) accept: bool,
    /// The `azp` that are accepted; none is asked for where this is empty.
    pub(crate) parties: Box<[Box<str>]>,
}

/// What a request shows to be somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum CredentialKind {
    /// Its cookies, if anything.
    #[default]
    Cookie,
    /// A bearer token in `Authorization`, good or bad. No page of another site can make a browser
    /// send it, so that nothing has to be known of where the request came from.
    BearerToken,
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cookie => "cookie",
            Self::BearerToken => "bearer token",
        })
    }
}
