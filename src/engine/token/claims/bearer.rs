//! [`BearerClaims`]: what a bearer token says of a session, beside the application's claims.

use serde::Serialize;

use super::Audience;
use crate::{
    engine::session::{actor::Actor, factor::FactorTimes, id::Subject},
    time::Timestamp,
};

/// The claims of a bearer token, in the order in which they are written.
///
/// Other issuers' tokens are read into it too: what not everybody says is an `Option`, and `sid` is
/// any text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct BearerClaims {
    /// RFC 7519 §4.1.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iss: Option<Box<str>>,
    /// RFC 7519 §4.1.3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aud: Option<Audience>,
    /// Whom the token was made for (OpenID Connect Core §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) azp: Option<Box<str>>,
    pub(crate) sub: Subject,
    pub(crate) sid: Box<str>,
    /// When the subject signed in, to the second, which `fva` is not (RFC 9068 §2.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_time: Option<Timestamp>,
    pub(crate) iat: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nbf: Option<Timestamp>,
    pub(crate) exp: Timestamp,
    /// RFC 7519 §4.1.7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jti: Option<Box<str>>,
    /// `active`, or what else the session is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sts: Option<Box<str>>,
    /// How many minutes ago the first and the second factor were given, -1 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fva: Option<[i64; 2]>,
    /// The same as instants, as far as they are not `auth_time`: exactly, for ourselves.
    #[serde(skip_serializing_if = "is_unknown")]
    pub(crate) factors_at: FactorTimes,
    /// Who acts, where that is not the subject (RFC 8693 §4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) act: Option<Actor>,
    /// Which shape of token this is: [`BearerClaims::VERSION`]. Nobody's is asked for it.
    pub(crate) v: u8,
}

impl BearerClaims {
    pub(crate) const VERSION: u8 = 2;
}

fn is_unknown(factors: &FactorTimes) -> bool {
    factors.is_empty()
}
