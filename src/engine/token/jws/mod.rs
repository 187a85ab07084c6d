//! Signing and verifying tokens: JWS compact serialisation (RFC 7515 §7.1), restricted to what this
//! crate issues.
//!
//! 1. A token longer than the maximum is rejected before it is parsed.
//! 2. It has three parts of canonical base64url without padding, so a token has only one spelling.
//! 3. Its header is a JSON object of exactly `alg`, `kid` and `typ`, each a string and without
//!    duplicates. `crit`, `b64`, `zip`, `jwk`, `jku`, `x5c` and `x5u` are therefore rejected, as
//!    RFC 7515 §4.1.11 and RFC 8725 §3.10 require, and nothing is ever fetched.
//! 4. `typ` is the expected one, byte for byte (RFC 8725 §3.11).
//! 5. `kid` names a key of the ring that is not retired. No other key is tried.
//! 6. `alg` is that key's only algorithm, byte for byte (RFC 8725 §3.1): `none` is not an
//!    algorithm, and a public key is not an HMAC secret.
//! 7. The signature is that key's.

use std::{borrow::Cow, fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use memchr::memchr_iter;
use serde::{
    Deserialize, Serialize,
    de::{Deserializer, Error as _, MapAccess, Visitor},
};

use crate::{
    engine::keys::{
        backend::SignError,
        key::{SigningKey, VerifyingKey},
        key_ring::KeyRing,
        key_set::{KeySet, TrustedKey},
    },
    error::TokenError,
    time::Timestamp,
};

/// Maximum length of a header in bytes of JSON. Issued ones have at most 150: a `kid` has up to 64.
const HEADER_LENGTH: usize = 512;
/// Maximum length of a signature in bytes: RSA with 4096 bits, plus what the base64 decoder needs.
const SIGNATURE_LENGTH: usize = 512 + 4;
/// Signs `payload` as a token of type `typ`.
pub(crate) fn sign(key: &SigningKey, typ: &str, payload: &[u8]) -> Result<String, SignError> {
    let key_of_head = key.verifying();
    let written = || head(key_of_head, typ);
    let head = match key_of_head.head(typ, written) {
        Some(head) => Cow::Borrowed(head),
        None => Cow::Owned(written().ok_or(SignError::Failed)?),
    };
    let signed = head.len() + 1 + encoded_length(payload)?;
    // The length of most signatures, so that most tokens need one allocation.
    let mut token = Vec::with_capacity(signed + 1 + 86);
    token.extend_from_slice(head.as_bytes());
    push_part(&mut token, payload)?;
    let signature = key.sign(&token)?;
    push_part(&mut token, &signature)?;
    String::from_utf8(token).map_err(|_| SignError::Failed)
}

/// The encoded header of tokens of type `typ` that `key` verifies.
fn head(key: &VerifyingKey, typ: &str) -> Option<String> {
    let header =
        Header { alg: key.algorithm().name().into(), typ: Some(typ.into()), kid: key.kid().into() };
    Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).ok()?))
}

fn encoded_length(part: &[u8]) -> Result<usize, SignError> {
    base64::encoded_len(part.len(), false).ok_or(SignError::Failed)
}

/// Appends a dot and `part`.
fn push_part(token: &mut Vec<u8>, part: &[u8]) -> Result<(), SignError> {
    token.push(b'.');
    let start = token.len();
    token.resize(start + encoded_length(part)?, 0);
    let room = token.get_mut(start..).ok_or(SignError::Failed)?;
    URL_SAFE_NO_PAD.encode_slice(part, room).map_err(|_| SignError::Failed)?;
    Ok(())
}

/// The payload of a verified token, and the key that verified it. A cached result stays usable only
/// as long as the key is trusted.
pub(crate) struct VerifiedJws<'t> {
    encoded_payload: &'t [u8],
    pub(crate) key: Arc<TrustedKey>,
}

impl VerifiedJws<'_> {
    pub(crate) fn payload(&self) -> Result<Vec<u8>, TokenError> {
        // A buffer of the maximum length would cost more, because it is filled with zeros for each token.
        URL_SAFE_NO_PAD.decode(self.encoded_payload).map_err(|_| TokenError::Malformed)
    }
}

/// Verifies `token`. Nothing of a token is decoded but its header, returned or allocated before its
/// signature is verified (ASVS 9.1.1), and a key that is retired at `now` is not used.
///
/// `typ` is `None` only for the vectors of Wycheproof, which have none.
pub(crate) fn verify<'t>(
    ring: &KeyRing,
    token: &'t [u8],
    typ: Option<&str>,
    max_length: usize,
    now: Timestamp,
) -> Result<VerifiedJws<'t>, TokenError> {
    if token.len() > max_length {
        return Err(TokenError::TooLong);
    }
    let mut dots = memchr_iter(b'.', token);
    let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
        return Err(TokenError::Malformed);
    };
    let part = |from: usize, to: usize| token.get(from..to).ok_or(TokenError::Malformed);
    let (signed, header) = (part(0, second)?, part(0, first)?);
    let mut signature = [0; SIGNATURE_LENGTH];
    let encoded_payload = part(first + 1, second)?;
    let signature = decode(part(second + 1, token.len())?, &mut signature)?;

    // One snapshot of the keys decides everything about this token.
    let keys = ring.current();
    let key = match typ.and_then(|typ| key_of_head(&keys, header, typ, now)) {
        Some(key) => key,
        None => read_header(&keys, header, typ, now)?,
    };
    if !key.key().verify(signed, signature) {
        return Err(TokenError::Signature);
    }
    Ok(VerifiedJws { encoded_payload, key: Arc::clone(key) })
}

/// The name of the key in `ring` that the header of `token` names, whether or not that key signed it.
pub(crate) fn named_key(ring: &KeyRing, token: &[u8]) -> Option<String> {
    let end = token.iter().position(|byte| *byte == b'.')?;
    let mut buffer = [0; HEADER_LENGTH];
    let header = decode_header(token.get(..end)?, &mut buffer).ok()?;
    let header: Header<'_> = serde_json::from_slice(header).ok()?;
    ring.current().get(header.kid.as_bytes()).map(|key| key.key().kid().to_owned())
}

/// The key whose tokens have exactly this header. Equal headers mean the same, so most headers need
/// not be parsed.
fn key_of_head<'k>(
    keys: &'k KeySet,
    header: &[u8],
    typ: &str,
    now: Timestamp,
) -> Option<&'k Arc<TrustedKey>> {
    let is_of = |key: &VerifyingKey| {
        key.head(typ, || head(key, typ)).is_some_and(|head| head.as_bytes() == header)
    };
    keys.keys().iter().find(|key| is_of(key.key())).filter(|it| it.is_trusted(now))
}

fn read_header<'k>(
    keys: &'k KeySet,
    header: &[u8],
    typ: Option<&str>,
    now: Timestamp,
) -> Result<&'k Arc<TrustedKey>, TokenError> {
    let mut buffer = [0; HEADER_LENGTH];
    let header = decode_header(header, &mut buffer)?;
    let header: Header<'_> = serde_json::from_slice(header).map_err(|_| TokenError::Header)?;
    if typ.is_some() && header.typ.as_deref() != typ {
        return Err(TokenError::Type);
    }
    let key = keys.verifying(header.kid.as_bytes(), now).ok_or(TokenError::UnknownKey)?;
    if header.alg != key.key().algorithm().name() {
        return Err(TokenError::Algorithm);
    }
    Ok(key)
}

fn decode<'b>(part: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8], TokenError> {
    let length = URL_SAFE_NO_PAD.decode_slice(part, buffer).map_err(|_| TokenError::Malformed)?;
    buffer.get(..length).ok_or(TokenError::Malformed)
}

fn decode_header<'b>(
    part: &[u8],
    buffer: &'b mut [u8; HEADER_LENGTH],
) -> Result<&'b [u8], TokenError> {
    // 4 characters encode 3 bytes; this crate issues no longer header.
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

/// Not derived: the derived implementation accepts an array for an object, and `null` for a missing
/// `typ`.
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
                while let Some((JsonStr(name), JsonStr(value))) = map.next_entry()? {
                    let member = match &*name {
                        "alg" => &mut alg,
                        "typ" => &mut typ,
                        "kid" => &mut kid,
                        _ => return Err(A::Error::custom("an unknown member")),
                    };
                    if member.replace(value).is_some() {
                        return Err(A::Error::custom("a duplicate member"));
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
struct JsonStr<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests;
