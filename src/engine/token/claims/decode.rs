//! [`decode()`]: registered and application claims in one pass over a payload.

use std::{fmt, marker::PhantomData};

use memchr::memchr2_iter;
use serde::{
    Deserializer,
    de::{DeserializeOwned, Error, MapAccess, Visitor},
};

use super::{
    Decoded, Registered, bearer::BearerClaims, custom_de::CustomClaimsDeserializer,
    de_error::ClaimsDeError, registered::RegisteredClaimsBuilder,
};
use crate::error::TokenError;

/// Maximum nesting of arrays and objects, the payload included: the limit of serde_json for values
/// that it reads. It skips values of any depth, so this module checks the limit.
const MAX_DEPTH: usize = 127;

/// Decodes the `payload` of a token.
///
/// The application's type receives the members that are not reserved. If they do not deserialize as
/// `C`, and for no other reason, [`Decoded::custom`] is `None`.
///
/// # Errors
///
/// [`TokenError::Payload`] if the payload is not exactly one JSON object in UTF-8 (RFC 8259 §8.1),
/// has duplicate members, or nests deeper than 127 levels. [`TokenError::InvalidClaim`] if a
/// registered claim is missing, has the wrong type, contradicts another one, or has an unsupported
/// value (an unknown `sts`, a `cnf` that is not a key of P-256). The order of the members makes no difference.
pub(crate) fn decode<C: DeserializeOwned>(payload: &[u8]) -> Result<Decoded<C>, TokenError> {
    let (registered, custom) = decode_with_reason(payload)?;
    Ok(Decoded { registered, custom: custom.ok() })
}

/// Decodes the `payload` of a bearer token, by the same rules.
///
/// # Errors
///
/// As [`decode()`]; `pending_tasks` and `cnf` are unsupported, and `sid` is any text.
pub(crate) fn decode_bearer<C: DeserializeOwned>(
    payload: &[u8],
) -> Result<(BearerClaims, Option<C>), TokenError> {
    let (claims, custom) = explain_as(
        payload,
        RegisteredClaimsBuilder::for_bearer,
        RegisteredClaimsBuilder::finish_bearer,
    )?;
    Ok((claims, custom.ok()))
}

/// [`decode()`] with the reason why there is no `C`.
pub(super) fn decode_with_reason<C: DeserializeOwned>(
    payload: &[u8],
) -> Result<(Registered, Result<C, ClaimsDeError>), TokenError> {
    explain_as(payload, RegisteredClaimsBuilder::default, RegisteredClaimsBuilder::finish)
}

/// `new_builder` and `finish` select the kind of token.
fn explain_as<C: DeserializeOwned, R>(
    payload: &[u8],
    new_builder: fn() -> RegisteredClaimsBuilder,
    finish: fn(RegisteredClaimsBuilder) -> Result<R, TokenError>,
) -> Result<(R, Result<C, ClaimsDeError>), TokenError> {
    // Checked for the whole payload: serde_json does not check strings that it skips.
    let text = str::from_utf8(payload).map_err(|_| TokenError::Payload)?;
    if nests_too_deep(text) {
        return Err(TokenError::Payload);
    }
    let mut registered = new_builder();
    match read(text, &mut registered) {
        Ok(custom) => Ok((finish(registered)?, Ok(custom))),
        Err(mismatch) => Ok((without_custom(text, new_builder, finish)?, Err(mismatch))),
    }
}

/// The result for a payload that could not be read as a `C`. Reads it again without the
/// application's type, and once more for each registered claim of the wrong type, because reading
/// stops there.
fn without_custom<R>(
    text: &str,
    new_builder: fn() -> RegisteredClaimsBuilder,
    finish: fn(RegisteredClaimsBuilder) -> Result<R, TokenError>,
) -> Result<R, TokenError> {
    let mut wrong = 0;
    loop {
        let mut registered = new_builder().ignoring(wrong);
        match (read::<()>(text, &mut registered), registered.failed) {
            (Ok(()), _) => return finish(registered),
            // If reading fails although the claim is skipped, its type is not the only fault.
            (Err(_), Some(claim)) if wrong & claim.bit() == 0 => wrong |= claim.bit(),
            (Err(_), _) => return Err(TokenError::Payload),
        }
    }
}

fn read<C: DeserializeOwned>(
    text: &str,
    registered: &mut RegisteredClaimsBuilder,
) -> Result<C, ClaimsDeError> {
    let mut mismatch = ClaimsDeError::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let payload = PayloadVisitor { registered, mismatch: &mut mismatch, custom: PhantomData };
    match deserializer.deserialize_map(payload).and_then(|c| deserializer.end().map(|()| c)) {
        Ok(custom) => Ok(custom),
        Err(_) => Err(mismatch),
    }
}

struct PayloadVisitor<'p, C> {
    registered: &'p mut RegisteredClaimsBuilder,
    mismatch: &'p mut ClaimsDeError,
    custom: PhantomData<C>,
}

impl<'de, C: DeserializeOwned> Visitor<'de> for PayloadVisitor<'_, C> {
    type Value = C;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<C, A::Error> {
        let mut rest = CustomClaimsDeserializer::new(access, self.registered);
        // `finish` reads the members that `C` did not read, and reports errors that `C` ignored.
        let custom = C::deserialize(&mut rest).and_then(|custom| rest.finish().map(|()| custom));
        custom.map_err(|mismatch| {
            *self.mismatch = mismatch;
            A::Error::custom("refused")
        })
    }
}

fn nests_too_deep(text: &str) -> bool {
    // Usually decided here, which is faster than tracking the depth.
    if memchr2_iter(b'{', b'[', text.as_bytes()).count() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}
