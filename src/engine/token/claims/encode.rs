//! [`encode()`]: registered and application claims as one JSON object.

use serde::Serialize;

use super::{
    Audience, ClaimsError, PENDING, Registered,
    bearer::BearerClaims,
    custom_ser::{ClaimsWriter, write},
};
use crate::{
    engine::session::{
        actor::Actor,
        device_key::Confirmation,
        factor::FactorTimes,
        id::{SessionId, Subject},
        lineage::LineageId,
        task::SessionTask,
    },
    time::Timestamp,
};

/// Encodes the payload of a token.
///
/// `custom` is a struct, a map with string keys, or an enum variant with content (one member named
/// after the variant); `None`, `()` and a unit struct have no members.
///
/// Only names at the top level are reserved: nested names can be anything.
///
/// # Errors
///
/// When `custom` is anything else, has a name of
/// [`RESERVED_CLAIMS`](crate::engine::token::claims::RESERVED_CLAIMS) or a duplicate name, or fails
/// to serialize.
pub(crate) fn encode<C: Serialize>(
    registered: &Registered,
    custom: &C,
) -> Result<Vec<u8>, ClaimsError> {
    encode_beside(&RegisteredClaimsSer::from(registered), custom)
}

/// Encodes the payload of a bearer token, by the same rules.
///
/// # Errors
///
/// As [`encode()`].
pub(crate) fn encode_bearer<C: Serialize>(
    claims: &BearerClaims,
    custom: &C,
) -> Result<Vec<u8>, ClaimsError> {
    encode_beside(claims, custom)
}

fn encode_beside<C: Serialize>(ours: &impl Serialize, custom: &C) -> Result<Vec<u8>, ClaimsError> {
    let mut out = Vec::with_capacity(512);
    write(&mut out, ours)?;
    // The application's members go before the closing brace.
    out.pop();
    ClaimsWriter::write(&mut out, custom)?;
    out.push(b'}');
    Ok(out)
}

/// The order of the registered claims, and when each is omitted.
#[derive(Serialize)]
struct RegisteredClaimsSer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a Audience>,
    #[serde(skip_serializing_if = "Option::is_none")]
    azp: Option<&'a str>,
    sub: &'a Subject,
    sid: SessionId,
    auth_time: Timestamp,
    iat: Timestamp,
    exp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_active_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inactivity_timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum_lifetime: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    persistent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sts: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_tasks: Option<&'a [SessionTask]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'a Actor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    factors_at: Option<FactorTimes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

impl<'a> From<&'a Registered> for RegisteredClaimsSer<'a> {
    fn from(claims: &'a Registered) -> Self {
        let attributes = claims.attributes.as_deref();
        let pending_tasks = attributes.and_then(|attributes| attributes.tasks.as_deref());
        let factors_at = attributes.map(|attributes| attributes.factors);
        Self {
            iss: claims.iss.as_deref(),
            aud: claims.aud.as_ref(),
            azp: claims.azp.as_deref(),
            sub: &claims.sub,
            sid: claims.sid,
            auth_time: claims.auth_time,
            iat: claims.iat,
            exp: claims.exp,
            last_active_at: (claims.last_active_at != claims.iat).then_some(claims.last_active_at),
            nbf: claims.nbf,
            inactivity_timeout: claims.inactivity_timeout,
            maximum_lifetime: claims.maximum_lifetime,
            persistent: (!claims.persistent).then_some(false),
            jti: claims.jti.as_ref().map(LineageId::as_str),
            sts: pending_tasks.map(|_| PENDING),
            pending_tasks,
            act: attributes.and_then(|attributes| attributes.actor.as_ref()),
            factors_at: factors_at.filter(|factors| !factors.is_empty()),
            cnf: attributes.and_then(|it| it.device).map(|device| Confirmation(device.key)),
        }
    }
}
