//! [`BearerClaims`]: the registered claims of a bearer token.

use serde::Serialize;

use super::Audience;
use crate::{
    engine::session::{actor::Actor, factor::FactorTimes, id::Subject},
    time::Timestamp,
};

/// The registered claims of a bearer token, in the order in which they are written.
///
/// Other issuers' tokens are decoded into it too: claims that not all issuers write are an
/// `Option`, and `sid` is any text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct BearerClaims {
    /// RFC 7519 §4.1.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iss: Option<Box<str>>,
    /// RFC 7519 §4.1.3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aud: Option<Audience>,
    /// The party that the token was issued to (OpenID Connect Core §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) azp: Option<Box<str>>,
    pub(crate) sub: Subject,
    pub(crate) sid: Box<str>,
    /// When the subject signed in, in seconds; `fva` is in minutes (RFC 9068 §2.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_time: Option<Timestamp>,
    pub(crate) iat: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nbf: Option<Timestamp>,
    pub(crate) exp: Timestamp,
    /// RFC 7519 §4.1.7: the name of the engine that issued it, a dot and a random part. `azp` is not
    /// free for the name here, and versions of this crate that do not know it ignore `jti`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jti: Option<Box<str>>,
    /// The status of the session: `active` in issued tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sts: Option<Box<str>>,
    /// How many minutes ago the first and the second factor were verified, -1 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fva: Option<[i64; 2]>,
    /// The same as exact instants, unless they equal `auth_time`, for this crate.
    #[serde(skip_serializing_if = "is_unknown")]
    pub(crate) factors_at: FactorTimes,
    /// The actor of an impersonated session (RFC 8693 §4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) act: Option<Actor>,
    /// Version of the token format, [`BearerClaims::VERSION`]. It is not checked.
    pub(crate) v: u8,
}

impl BearerClaims {
    pub(crate) const VERSION: u8 = 2;

    /// The engine that issued the token, if `jti` names one. Cookie names have no dot.
    pub(crate) fn engine_name(&self) -> Option<&str> {
        self.jti.as_deref()?.split_once('.').map(|(name, _)| name)
    }
}

fn is_unknown(factors: &FactorTimes) -> bool {
    factors.is_empty()
}
