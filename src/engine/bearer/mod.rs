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
///             .lifetime(Duration::from_secs(60))
///             .max_lifetime(Duration::from_secs(10 * 60))
///             .audiences(["https://reports.example.com"])
///             .authorized_party("https://app.example.com")
///             .authorized_parties(["https://app.example.com"])
///             .accept(true),
///     )
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct BearerTokens {
    lifetime: Option<Duration>,
    max_lifetime: Option<Duration>,
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
    pub const fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = Some(max_lifetime);
        self
    }

    /// The `azp` of every token: the party that it is issued to. Other services use it to
    /// distinguish the tokens of one application from those of another. The default is the engine's
    /// [`origin`](crate::engine::SessionEngineBuilder::origin); it is never taken from a request
    /// header such as `Origin`.
    pub fn authorized_party(mut self, authorized_party: impl Into<String>) -> Self {
        self.authorized_party = Some(authorized_party.into());
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
    pub fn authorized_parties<I>(mut self, authorized_parties: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.authorized_parties = Some(authorized_parties.into_iter().map(Into::into).collect());
        self
    }

    /// Validates the settings together with the engine's, and adds what is invalid to `problems`.
    pub(crate) fn resolve(
        &self,
        issuer: Option<&str>,
        own_origin: Option<&Origin>,
        problems: &mut Vec<ConfigProblem>,
    ) -> BearerPolicy {
        let lifetime = self.lifetime.unwrap_or(Self::DEFAULT_LIFETIME);
        let max_lifetime = self.max_lifetime.unwrap_or(lifetime);
        let mut invalid = |field, value: String, remedy| {
            problems.push(ConfigProblem::new(field, value, remedy));
        };
        if lifetime < Duration::from_secs(1) {
            invalid("bearer_tokens.lifetime", format!("{lifetime:?}"), "at least one second");
        }
        if max_lifetime > Self::MAX_LIFETIME {
            let field = match self.max_lifetime {
                Some(_) => "bearer_tokens.max_lifetime",
                None => "bearer_tokens.lifetime",
            };
            invalid(
                field,
                format!("{max_lifetime:?}"),
                "at most one day: services that verify only the signature do not learn of sign-outs",
            );
        } else if max_lifetime < lifetime {
            let remedy = "at least bearer_tokens.lifetime";
            invalid("bearer_tokens.max_lifetime", format!("{max_lifetime:?}"), remedy);
        }
        for (field, values) in [
            ("bearer_tokens.audiences", self.audiences.as_slice()),
            ("bearer_tokens.authorized_parties", self.authorized_parties.as_deref().unwrap_or(&[])),
            ("bearer_tokens.authorized_party", self.authorized_party.as_slice()),
        ] {
            if values.iter().any(String::is_empty) {
                invalid(field, String::new(), "remove it, or set a value");
            }
        }
        let own_origin = own_origin.map(Origin::as_str);
        let authorized_party: Option<Box<str>> =
            self.authorized_party.as_deref().or(own_origin).map(Into::into);
        let authorized_parties = match &self.authorized_parties {
            Some(authorized_parties) => authorized_parties
                .iter()
                .map(|authorized_party| authorized_party.as_str().into())
                .collect(),
            None => authorized_party.iter().cloned().collect(),
        };
        BearerPolicy {
            lifetime,
            max_lifetime,
            issuer: issuer.or(own_origin).map(Into::into),
            authorized_party,
            audiences: self.audiences.iter().map(|audience| audience.as_str().into()).collect(),
            accept: self.accept,
            authorized_parties,
        }
    }
}

/// The validated settings.
#[derive(Debug, Clone)]
pub(crate) struct BearerPolicy {
    pub(crate) lifetime: Duration,
    pub(crate) max_lifetime: Duration,
    /// `iss`: the configured issuer, otherwise the engine's origin.
    pub(crate) issuer: Option<Box<str>>,
    /// `azp`.
    pub(crate) authorized_party: Option<Box<str>>,
    pub(crate) audiences: Box<[Box<str>]>,
    pub(crate) accept: bool,
    /// The accepted values of `azp`; empty accepts any.
    pub(crate) authorized_parties: Box<[Box<str>]>,
}

impl BearerPolicy {
    /// Settings that work, but rarely as intended.
    pub(crate) fn warnings(&self) -> Vec<ConfigProblem> {
        let accepts_own = self.authorized_parties.is_empty()
            || self
                .authorized_party
                .as_ref()
                .is_some_and(|own| self.authorized_parties.contains(own));
        if !self.accept || accepts_own {
            return Vec::new();
        }
        let own = self.authorized_party.as_deref().unwrap_or("none");
        let remedy = "the bearer tokens that this engine issues are rejected here: add its \
                      authorized_party, by default its origin";
        let value = format!("{} without {own}", self.authorized_parties.join(", "));
        vec![ConfigProblem::new("bearer_tokens.authorized_parties", value, remedy)]
    }
}

/// How a request authenticates.
///
/// ```
/// use tower_auth_session::{SessionStatus, bearer::CredentialKind};
///
/// /// Whether a form of another site may have caused the request.
/// fn needs_csrf_check(status: &SessionStatus) -> bool {
///     status.credential() == CredentialKind::Cookie
/// }
/// ```
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
