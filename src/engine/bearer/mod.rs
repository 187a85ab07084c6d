//! Bearer tokens: short-lived JWTs issued from a session for scripts, other services and gRPC
//! clients (RFC 6750), and their settings.
//!
//! 1. Bearer tokens and session tokens are never accepted as each other: the JOSE `typ` is `JWT`
//!    for one and `session+jwt` for the other (RFC 8725 §3.11).
//! 2. A bearer token is issued only from a valid session that came by its cookie. It lasts 60
//!    seconds by default and never longer than the session.
//! 3. It is accepted only in `Authorization`, and only if `accept` is on. It takes precedence over
//!    the request's cookies, which are neither read nor written.

pub(crate) mod header;
pub(crate) mod token;
pub(crate) mod verify;

use std::{fmt, time::Duration};

use super::redirect::origin::Origin;
use crate::error::ConfigProblem;

/// JOSE `typ` of a bearer token, the value that other libraries expect (RFC 7519 §5.1).
pub(crate) const BEARER_TYPE: &str = "JWT";

/// Maximum length of a bearer token in bytes: the usual limit of servers for one header line.
pub(crate) const MAX_BEARER_LENGTH: usize = 8 * 1024;

/// Which claims bearer tokens get and which tokens are accepted.
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::{Algorithm, KeyRing, SessionEngine, SigningKey, bearer::BearerTokens};
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
    /// Default lifetime of a token.
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);

    /// Maximum that [`max_lifetime`](Self::max_lifetime) can be set to: one day. A service that
    /// verifies only the signature accepts a token until it expires, even after a sign-out.
    pub const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

    /// Tokens with a lifetime of 60 seconds, issued but not accepted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lifetime of a token if the request for it names none: 60 seconds by default, in whole
    /// seconds. A token never outlives its session.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Maximum lifetime that can be requested, and that is accepted; by default the value of
    /// [`lifetime`](Self::lifetime). At most [`MAX_LIFETIME`](Self::MAX_LIFETIME).
    pub const fn max_lifetime(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    /// The `azp` of every token: the party that it is issued to. Other services use it to
    /// distinguish the tokens of one application from those of another. The default is the engine's
    /// [`origin`](crate::engine::SessionEngineBuilder::origin); it is never taken from a request
    /// header such as `Origin`.
    pub fn authorized_party(mut self, party: impl Into<String>) -> Self {
        self.authorized_party = Some(party.into());
        self
    }

    /// The audiences that can be requested for a token (`aud`, RFC 7519 §4.1.3). A token without a
    /// requested audience gets the engine's
    /// [`audience`](crate::engine::SessionEngineBuilder::audience), if there is one.
    pub fn audiences<I>(mut self, audiences: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.audiences = audiences.into_iter().map(Into::into).collect();
        self
    }

    /// Whether requests can authenticate with `Authorization: Bearer`; off by default.
    ///
    /// The layer then owns the `Bearer` scheme: a request with an unknown bearer token is signed
    /// out even if its cookies are valid.
    pub const fn accept(mut self, accept: bool) -> Self {
        self.accept = accept;
        self
    }

    /// The accepted values of `azp`, if there are more than this application's: every application
    /// that signs with these keys and whose users may act here.
    pub fn authorized_parties<I>(mut self, parties: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.authorized_parties = Some(parties.into_iter().map(Into::into).collect());
        self
    }

    /// Validates the settings together with the engine's, and adds what is invalid to `problems`.
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

/// The validated settings.
#[derive(Debug, Clone)]
pub(crate) struct BearerPolicy {
    pub(crate) lifetime: Duration,
    pub(crate) longest: Duration,
    /// `iss`: the configured issuer, otherwise the engine's origin.
    pub(crate) issuer: Option<Box<str>>,
    /// `azp`.
    pub(crate) party: Option<Box<str>>,
    pub(crate) audiences: Box<[Box<str>]>,
    pub(crate) accept: bool,
    /// The accepted values of `azp`; empty accepts any.
    pub(crate) parties: Box<[Box<str>]>,
}

/// How a request authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum CredentialKind {
    /// With its cookies, or not at all.
    #[default]
    Cookie,
    /// With a token in `Authorization`, valid or not. No page of another site can make a browser
    /// send one, so these requests need no check of their origin.
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
