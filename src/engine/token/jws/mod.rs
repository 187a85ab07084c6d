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

/// The longest header in bytes of JSON. Ours have at most 150: a `kid` has 64.
const HEADER_LENGTH: usize = 512;
/// The longest signature in bytes, RSA's with a key of 4096 bits, and a few that base64 wants.
const SIGNATURE_LENGTH: usize = 512 + 4;
/// Room for the payload of the longest token that fits a cookie.
pub(crate) const PAYLOAD_LENGTH: usize = max_decoded_len(4 * 1024);

/// Room for the payload of a token of `length` bytes at the most, and a few that base64 wants.
pub(crate) const fn max_decoded_len(length: usize) -> usize {
    length / 4 * 3 + 4
}

/// `payload`, signed: a token of type `typ`.
pub(crate) fn sign(key: &SigningKey, typ: &str, payload: &[u8]) -> Result<String, SignError> {
    let key_of_head = key.verifying();
    let written = || head(key_of_head, typ);
    let head = match key_of_head.head(typ, written) {
        Some(head) => Cow::Borrowed(head),
        None => Cow::Owned(written().ok_or(SignError::Failed)?),
    };
    let signed = head.len() + 1 + encoded_length(payload)?;
    // What most signatures take, so that most tokens are written in one piece.
    let mut token = Vec::with_capacity(signed + 1 + 86);
    token.extend_from_slice(head.as_bytes());
    push_part(&mut token, payload)?;
    let signature = key.sign(&token)?;
    push_part(&mut token, &signature)?;
    String::from_utf8(token).map_err(|_| SignError::Failed)
}

/// The header of tokens of type `typ` that `key` verifies, encoded.
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

/// What a token says, and the key that vouches for it: whoever remembers the one asks the other
/// whether it is still believed.
pub(crate) struct VerifiedJws<'b> {
    pub(crate) payload: &'b [u8],
    pub(crate) belief: Arc<TrustedKey>,
}

/// The payload of `token`, in `buffer`, which must be as long as the token at the most. Nothing of
/// a token is handed out, and nothing allocated for it, before its signature verifies (ASVS 9.1.1),
/// and a key is none that was retired by `now`.
///
/// `typ` is `None` for the vectors of Wycheproof only: they have none.
pub(crate) fn verify<'b>(
    ring: &KeyRing,
    token: &[u8],
    typ: Option<&str>,
    max_length: usize,
    now: Timestamp,
    buffer: &'b mut [u8],
) -> Result<VerifiedJws<'b>, TokenError> {
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
    let payload = decode(part(first + 1, second)?, buffer)?;
    let signature = decode(part(second + 1, token.len())?, &mut signature)?;

    // Whatever is decided of this token is decided by the keys of one moment.
    let keys = ring.current();
    let belief = match typ.and_then(|typ| key_of_head(&keys, header, typ, now)) {
        Some(belief) => belief,
        None => read_header(&keys, header, typ, now)?,
    };
    if !belief.key().verify(signed, signature) {
        return Err(TokenError::Signature);
    }
    Ok(VerifiedJws { payload, belief: Arc::clone(belief) })
}

/// The key whose tokens all have this very header: there is one text of one meaning, which need not
/// be read each time.
fn key_of_head<'k>(
    keys: &'k KeySet,
    header: &[u8],
    typ: &str,
    now: Timestamp,
) -> Option<&'k Arc<TrustedKey>> {
    let is_of = |key: &VerifyingKey| {
        key.head(typ, || head(key, typ)).is_some_and(|head| head.as_bytes() == header)
    };
    keys.keys().iter().find(|belief| is_of(belief.key())).filter(|it| it.is_trusted(now))
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
    let belief = keys.verifying(header.kid.as_bytes(), now).ok_or(TokenError::UnknownKey)?;
    if header.alg != belief.key().algorithm().name() {
        return Err(TokenError::Algorithm);
    }
    Ok(belief)
}

fn decode<'b>(part: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8], TokenError> {
    let length = URL_SAFE_NO_PAD.decode_slice(part, buffer).map_err(|_| TokenError::Malformed)?;
    buffer.get(..length).ok_or(TokenError::Malformed)
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
                while let Some((JsonStr(name), JsonStr(value))) = map.next_entry()? {
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
struct JsonStr<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests;
