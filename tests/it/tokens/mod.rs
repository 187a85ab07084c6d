//! Invalid tokens: forged, damaged, of another type, or not valid at this time.
//!
//! Each is presented as a cookie to a service. None is accepted, none causes a panic, and none changes
//! the browser's cookies, except that an expired session cookie is removed.

mod custom_claims;
mod engine_binding;
mod error_opacity;
mod format;
mod header;
mod keys;
mod lifetimes;
mod registered;
mod tampering;

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tower_auth_session::{
    Algorithm, KeyRing, SessionEngine, SessionLifetime, SignIn, SigningKey,
    claims::{ClaimsError, RESERVED_CLAIMS},
    config::LifetimeOverride,
    error::{SignInError, TokenError, UpdateClaimsError},
    event::{CredentialError, ExpiryReason, SessionEvent},
    time::Clock,
};

use crate::support::{
    COOKIE, ORIGIN, SID_A, SID_B, START, User, engine_builder, get, key,
    probe::{Probe, ProbeResult, with_cookies},
    seconds, subject,
    token_forge::{TokenForge, claims, claims_with, encode, payload},
    user,
};

fn probe() -> Probe<User> {
    Probe::new(engine_builder().0)
}

/// Presents `token`.
fn present(probe: &Probe<User>, token: &str) -> ProbeResult<User> {
    probe.cookie(COOKIE, token)
}

/// The reason of the rejection, after asserting that there was one and no cookie was set.
#[track_caller]
fn rejection_reason<C>(result: &ProbeResult<C>) -> CredentialError {
    result.assert_signed_out();
    match result.events.as_slice() {
        [SessionEvent::CredentialRejected { reason, .. }] => *reason,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn token_error<C>(result: &ProbeResult<C>) -> TokenError {
    match rejection_reason(result) {
        CredentialError::Token(error) => error,
        other => panic!("{other:?}"),
    }
}

/// Signs in through the service.
fn sign_in<C>(probe: &Probe<C>, name: &str, claims: C) -> ProbeResult<C>
where
    C: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    let name = subject(name);
    let result = probe.run_handler(get("/"), move |jar, _| {
        jar.sign_in(SignIn::new(name.clone(), claims.clone())).unwrap();
    });
    assert_eq!(result.response.set_cookies().len(), 1, "{:?}", result.events);
    result
}
