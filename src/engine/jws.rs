//! The gate in front of every token: JWS compact serialisation (RFC 7515 §7.1), and no more of it
//! than our own tokens use.
//!
//! 1. A token longer than the cap is refused before anything is done with it.
//! 2. It has three parts of canonical base64url without padding: no other text is the same token.
//! 3. Its header is a JSON object of exactly `alg`, `kid` and `typ`, each a string and none twice.
//!    So `crit`, `b64`, `zip`, `jwk`, `jku`, `x5c` and `x5u` are refused, as RFC 7515 §4.1.11 and RFC
//!    8725 §3.10 ask, and nothing is ever fetched.
//! 4. `typ` is the one of this purpose, byte for byte (RFC 8725 §3.11).
//! 5. `kid` names a key of the ring that is not retired. No other key is tried.
//! 6. `alg` is that key's one algorithm, byte for byte (RFC 8725 §3.1): so `none` is no algorithm,
//!    and a public key is no HMAC secret.
//! 7. The signature is that key's.

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Serialize,
    de::{Deserializer, Error as _, MapAccess, Visitor},
};

use crate::{
    engine::{crypto::SignError, keys::SigningKey, ring::KeyRing},
    error::TokenError,
    time::Timestamp,
};

/// The longest header in bytes of JSON. Ours have at most 150: a `kid` has 64.
const HEADER_LENGTH: usize = 512;

/// `payload`, signed: a token of type `typ`.
pub(crate) fn sign(key: &SigningKey, typ: &str, payload: &[u8]) -> Result<String, SignError> {
    let header =
        Header { alg: key.algorithm().name().into(), typ: Some(typ.into()), kid: key.kid().into() };
    let header = serde_json::to_vec(&header).map_err(|_| SignError::Failed)?;
    // The longest signature is RSA's: 512 bytes.
    let mut token = String::with_capacity((header.len() + payload.len()).div_ceil(3) * 4 + 700);
    URL_SAFE_NO_PAD.encode_string(header, &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// The payload of `token`. Nothing of a token is handed out before its
/// signature verifies (ASVS 9.1.1), and a key is none that was retired by `now`.
///
/// `typ` is `None` for the vectors of Wycheproof only: they have none.
pub(crate) fn verify(
    ring: &KeyRing,
    token: &[u8],
    typ: Option<&str>,
    max_length: usize,
    now: Timestamp,
) -> Result<Vec<u8>, TokenError> {
    if token.len() > max_length {
        return Err(TokenError::TooLong);
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::Malformed);
    };
    let signed = token.get(..header.len() + 1 + payload.len()).ok_or(TokenError::Malformed)?;
    let mut buffer = [0; HEADER_LENGTH];
    let header = decode_header(header, &mut buffer)?;
    let payload = decode(payload)?;
    let signature = decode(signature)?;

    let header: Header<'_> = serde_json::from_slice(header).map_err(|_| TokenError::Header)?;
    if typ.is_some() && header.typ.as_deref() != typ {
        return Err(TokenError::Type);
    }
    let keys = ring.current();
    let key = keys.verifying(header.kid.as_bytes(), now).ok_or(TokenError::UnknownKey)?.key();
    if header.alg != key.algorithm().name() {
        return Err(TokenError::Algorithm);
    }
    if !key.verify(signed, &signature) {
        return Err(TokenError::Signature);
    }
    Ok(payload)
}

fn decode(part: &[u8]) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

fn decode_header<'b>(
    part: &[u8],
    buffer: &'b mut [u8; HEADER_LENGTH],
) -> Result<&'b [u8], TokenError> {
    // 4 characters are 3 bytes; a header of other members is not ours, whatever they are.
    if part.len() > HEADER_LENGTH / 3 * 4 {
        return Err(TokenError::Header);
    }
    let length = URL_SAFE_NO_PAD.decode_slice(part, buffer).map_err(|_| TokenError::Malformed)?;
    buffer.get(..length).ok_or(TokenError::Malformed)
}

/// The members in the order in which they are written.
#[derive(Serialize)]
struct Header<'a> {
    alg: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<Cow<'a, str>>,
    kid: Cow<'a, str>,
}

/// Not derived: the derived reader takes an array for an object, and `null` for a missing `typ`.
impl<'de: 'a, 'a> Deserialize<'de> for Header<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Header<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header<'de>, A::Error> {
                let (mut alg, mut typ, mut kid) = (None, None, None);
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    let member = match &*name {
                        "alg" => &mut alg,
                        "typ" => &mut typ,
                        "kid" => &mut kid,
                        _ => return Err(A::Error::custom("a member that is not ours")),
                    };
                    if member.replace(value).is_some() {
                        return Err(A::Error::custom("a member stands twice"));
                    }
                }
                let missing = || A::Error::custom("a member is missing");
                Ok(Header { alg: alg.ok_or_else(missing)?, typ, kid: kid.ok_or_else(missing)? })
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests;
