//! `POST /session/bound/register` and `POST /session/bound/refresh`, which browsers call by themselves
//! (Device Bound Session Credentials).
//!
//! | request to register | response |
//! |---|---|
//! | a new key that signed this service's challenge | 200, the instructions, the bound session token and the proof |
//! | the same key again | the same |
//! | bindings are off, or the bound token does not fit | 200 `{"continue":false}` |
//! | no session | 401 |
//! | a malformed signature, another algorithm, a key that is not a public one of P-256, another URL | 400 |
//! | a signature of another key | 401 |
//! | another challenge, or one that has expired | 403 |
//! | the session is bound to another key | 409 |
//! | the store is unavailable: the session stays unbound | 503 |
//!
//! | request to refresh | response |
//! |---|---|
//! | no signature, an unknown challenge, or one that has expired | 403 with a new challenge, which the browser signs at once |
//! | a challenge signed by the session's device | 204 with the proof |
//! | no such session, or one that has ended or is not bound | 401: the browser ends its own |
//! | a signature of another key | 401 |
//! | a malformed signature or session id | 400 |
//! | the store is unavailable | 503: the browser tries again later |
//!
//! A refused request changes nothing and removes nothing: a thief with the cookies could send it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::{
    request::bad_request,
    response::{EndpointResult, json, no_content},
};
use crate::{
    engine::{
        device_bound::{headers, instructions::Declined},
        event::SessionEvent,
        jar::SessionJar,
        session::{device_key::DeviceProofError, id::SessionId, identity::SessionStatusKind},
    },
    rejection::{RejectionReason, problem::Problem},
};

/// The signed challenge of a request.
pub(super) type SignedChallenge = Result<Option<Box<str>>, DeviceProofError>;

pub(super) fn signed_challenge(fields: &HeaderMap) -> SignedChallenge {
    headers::single(fields, &headers::RESPONSE).map(|signed| signed.map(Box::from))
}

/// Binds the session to the key that signed the challenge.
pub(super) fn register<C: Send + Sync + 'static>(
    jar: &SessionJar<C>,
    signed: SignedChallenge,
) -> Result<EndpointResult, Problem> {
    let engine = jar.engine();
    if !jar.can_bind_devices() {
        return Ok(EndpointResult::DeviceDeclined);
    }
    let session = jar.device_session().filter(|session| !session.is_pending());
    let session = session.ok_or(Problem::SIGNED_OUT)?;
    let id = session.id();
    let key = signed
        .and_then(|signed| signed.ok_or(DeviceProofError::Missing))
        .and_then(|signed| engine.registered_key(id, &signed, jar.received_at()))
        .and_then(|key| match session.device_key() {
            Some(bound) if bound != key => Err(DeviceProofError::OtherKey),
            _ => jar.register_device(key),
        });
    match key {
        Ok(()) => Ok(EndpointResult::DeviceRegistered(id)),
        Err(DeviceProofError::TooLarge) => {
            report(jar, id, DeviceProofError::TooLarge);
            Ok(EndpointResult::DeviceDeclined)
        }
        Err(reason) => Err(refuse(jar, id, reason)),
    }
}

/// Renews the proof of the session that the request names.
pub(super) fn refresh<C: Send + Sync + 'static>(
    jar: &SessionJar<C>,
    signed: SignedChallenge,
) -> Result<EndpointResult, Problem> {
    if !jar.names_session() {
        return Err(bad_request("bad_session_id", "The request names no session."));
    }
    let session = jar.device_session().ok_or(Problem::SIGNED_OUT)?;
    let (id, key) = (session.id(), session.device_key().ok_or(Problem::SIGNED_OUT)?);
    let Some(signed) = signed.map_err(|reason| refuse(jar, id, reason))? else {
        return Ok(EndpointResult::DeviceChallenge(id));
    };
    match jar.engine().check_refresh(id, &key, &signed, jar.received_at()) {
        Ok(()) => {
            jar.renew_proof(id);
            Ok(EndpointResult::DeviceProven)
        }
        // Browsers send their latest signature again until they receive another challenge.
        Err(DeviceProofError::StaleChallenge) => Ok(EndpointResult::DeviceChallenge(id)),
        Err(reason @ DeviceProofError::UnknownChallenge) => {
            report(jar, id, reason);
            Ok(EndpointResult::DeviceChallenge(id))
        }
        Err(reason) => Err(refuse(jar, id, reason)),
    }
}

fn report<C>(jar: &SessionJar<C>, session_id: SessionId, reason: DeviceProofError)
where
    C: Send + Sync + 'static,
{
    jar.engine().emit(&SessionEvent::DeviceProofRefused { session_id, reason });
}

fn refuse<C>(jar: &SessionJar<C>, id: SessionId, reason: DeviceProofError) -> Problem
where
    C: Send + Sync + 'static,
{
    report(jar, id, reason);
    let (status, code, detail) = match reason {
        DeviceProofError::Signature => (
            StatusCode::UNAUTHORIZED,
            "wrong_device",
            "The signature is not one of the device's key.",
        ),
        DeviceProofError::UnknownChallenge | DeviceProofError::StaleChallenge => {
            (StatusCode::FORBIDDEN, "bad_challenge", "The challenge is unknown or has expired.")
        }
        DeviceProofError::OtherKey => {
            (StatusCode::CONFLICT, "bound_elsewhere", "The session is bound to another key.")
        }
        _ => (StatusCode::BAD_REQUEST, "bad_device_proof", "The signed challenge is not valid."),
    };
    Problem { status, code, detail }
}

/// The instructions for a session that was bound by this request.
pub(super) fn registered<C: Send + Sync + 'static>(
    jar: &SessionJar<C>,
    id: SessionId,
) -> Result<Response<Bytes>, Problem> {
    ensure_active(jar)?;
    let session = jar.device_session().ok_or(Problem::SIGNED_OUT)?;
    let instructions = jar.engine().device_instructions(id).ok_or(Problem::INTERNAL)?;
    jar.engine().emit(&SessionEvent::DeviceBound { session });
    let mut response = json(&());
    *response.body_mut() = instructions.into();
    Ok(with_isolation(response))
}

/// The response that declines to bind a session.
pub(super) fn declined() -> Response<Bytes> {
    with_isolation(json(&Declined::ANSWER))
}

/// The response with a renewed proof, whose cookie is added when the jar is closed. It has no challenge for
/// the next renewal: that challenge would have expired by then, the browser would sign it and then a second
/// one, and browsers limit how often they sign.
pub(super) fn proven<C: Send + Sync + 'static>(
    jar: &SessionJar<C>,
) -> Result<Response<Bytes>, Problem> {
    ensure_active(jar)?;
    Ok(with_isolation(no_content()))
}

/// The challenge that the browser signs at once.
pub(super) fn challenge<C: Send + Sync + 'static>(
    jar: &SessionJar<C>,
    id: SessionId,
) -> Result<Response<Bytes>, Problem> {
    ensure_active(jar)?;
    let detail = "Sign the challenge.";
    let problem = Problem { status: StatusCode::FORBIDDEN, code: "device_challenge", detail };
    let mut response = with_isolation(problem.response());
    if let Some(challenge) = jar.engine().refresh_challenge(id, jar.received_at()) {
        response.headers_mut().insert(headers::CHALLENGE, challenge);
    }
    Ok(response)
}

/// The session may have ended while the store was queried.
fn ensure_active<C: Send + Sync + 'static>(jar: &SessionJar<C>) -> Result<(), Problem> {
    match jar.status_untracked() {
        SessionStatusKind::SignedIn => Ok(()),
        SessionStatusKind::Unavailable => Err(RejectionReason::Unavailable.problem()),
        _ => Err(Problem::SIGNED_OUT),
    }
}

/// Other sites must not learn from the response whether a user is signed in.
fn with_isolation(mut response: Response<Bytes>) -> Response<Bytes> {
    const ISOLATION: [(&str, &str); 2] =
        [("cross-origin-resource-policy", "same-origin"), ("x-frame-options", "DENY")];
    for (name, value) in ISOLATION {
        let name = HeaderName::from_static(name);
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
