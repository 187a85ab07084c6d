//! [`BrowserProof`]: a challenge signed by a browser.
//!
//! 1. It is a JWT of at most [`MAX_LENGTH`] bytes: three parts of canonical base64url; header and payload
//!    are JSON objects without duplicate members.
//! 2. The header has the members `alg`, `typ` and `jwk` and no others. `alg` is ES256 and `typ` is
//!    `dbsc+jwt`. `jwk` is a public key of P-256 on the curve, without private members; a refresh may
//!    leave it out.
//! 3. The payload has the challenge in `jti`. `aud`, where it is present, is the URL of the endpoint without
//!    its query. `authorization` is never requested, so a payload that has it is refused.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use crate::engine::{
    encoding::json::JsonObject,
    keys::{algorithm::Algorithm, jwk::Jwk, key::VerifyingKey},
    session::device_key::{DeviceKey, DeviceProofError},
};

/// The maximum length of a signed challenge. The longest challenge takes half of it.
const MAX_LENGTH: usize = 4 * 1024;

/// JOSE `typ` of signed challenges.
pub(crate) const BROWSER_PROOF_TYPE: &str = "dbsc+jwt";

/// A parsed signed challenge. Its signature is not verified.
pub(crate) struct BrowserProof<'t> {
    signed: &'t [u8],
    signature: Vec<u8>,
    key: Option<DeviceKey>,
    challenge: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofHeader {
    alg: String,
    typ: String,
    #[serde(default)]
    jwk: Option<Jwk>,
}

impl<'t> BrowserProof<'t> {
    /// Parses `text`, which a browser sent to `url`.
    pub(crate) fn read(text: &'t str, url: &str) -> Result<Self, DeviceProofError> {
        if text.len() > MAX_LENGTH {
            return Err(DeviceProofError::Malformed);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(DeviceProofError::Malformed);
        };
        let signed = text.get(..header.len() + 1 + payload.len());
        let signed = signed.ok_or(DeviceProofError::Malformed)?.as_bytes();
        let header: ProofHeader = object(&decode(header)?)?;
        if header.alg != Algorithm::Es256.name() {
            return Err(DeviceProofError::Algorithm);
        }
        if header.typ != BROWSER_PROOF_TYPE {
            return Err(DeviceProofError::Malformed);
        }
        let key = header.jwk.as_ref().map(public_key).transpose()?;
        let payload: JsonObject = object(&decode(payload)?)?;
        if payload.has_duplicates() {
            return Err(DeviceProofError::Malformed);
        }
        if payload.get("aud").is_some_and(|audience| audience != url) {
            return Err(DeviceProofError::Audience);
        }
        if payload.get("authorization").is_some() {
            return Err(DeviceProofError::Authorization);
        }
        let challenge = payload.get("jti").and_then(Value::as_str);
        let challenge = challenge.ok_or(DeviceProofError::Malformed)?.to_owned();
        Ok(Self { signed, signature: decode(signature)?, key, challenge })
    }

    /// The challenge, if the signature is one of the key in the header.
    pub(crate) fn with_own_key(&self) -> Result<(DeviceKey, &str), DeviceProofError> {
        let key = self.key.ok_or(DeviceProofError::InvalidKey)?;
        self.with_key(&key).map(|challenge| (key, challenge))
    }

    /// The challenge, if the signature is one of `key`.
    pub(crate) fn with_key(&self, key: &DeviceKey) -> Result<&str, DeviceProofError> {
        let is_other = self.key.is_some_and(|stated| stated != *key);
        if is_other || !key.verify(self.signed, &self.signature) {
            return Err(DeviceProofError::Signature);
        }
        Ok(&self.challenge)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, DeviceProofError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| DeviceProofError::Malformed)
}

/// An object: the derived implementation would accept an array of members for it.
fn object<T: for<'de> Deserialize<'de>>(json: &[u8]) -> Result<T, DeviceProofError> {
    let is_object = json.trim_ascii_start().starts_with(b"{");
    let parsed = is_object.then(|| serde_json::from_slice(json).ok()).flatten();
    parsed.ok_or(DeviceProofError::Malformed)
}

/// The key, if it is a public one of P-256 and on the curve.
fn public_key(jwk: &Jwk) -> Result<DeviceKey, DeviceProofError> {
    let key = jwk.verifying().and_then(VerifyingKey::from_read).ok();
    let key = key.filter(|key| key.algorithm() == Algorithm::Es256);
    let key = key.as_ref().and_then(VerifyingKey::public).and_then(DeviceKey::from_public);
    key.ok_or(DeviceProofError::InvalidKey)
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests {
    use serde_json::{Value, json};

    use super::DeviceProofError as E;
    use crate::engine::device_bound::browser_proof::*;
    use crate::engine::keys::key::SigningKey;

    const URL: &str = "https://app.example.com/session/bound/register";

    fn device() -> SigningKey {
        SigningKey::generate("device", Algorithm::Es256).unwrap()
    }

    fn jwk(key: &SigningKey) -> Value {
        let jwk: Value = serde_json::from_str(&key.verifying_key().public_jwk().unwrap()).unwrap();
        json!({ "crv": "P-256", "kty": "EC", "x": jwk["x"], "y": jwk["y"] })
    }

    fn signed(key: &SigningKey, header: &str, payload: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(header), part(payload));
        let signature = key.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn header(key: &SigningKey) -> Value {
        json!({ "alg": "ES256", "jwk": jwk(key), "typ": "dbsc+jwt" })
    }

    /// The result of a registration.
    fn register(text: &str) -> Result<String, E> {
        let proof = BrowserProof::read(text, URL)?;
        proof.with_own_key().map(|(_, challenge)| challenge.to_owned())
    }

    #[test]
    fn challenge_signed_by_a_browser_is_read() {
        let key = device();
        let header = header(&key).to_string();
        for payload in [
            json!({ "jti": "c" }),
            json!({ "jti": "c", "aud": URL }),
            json!({ "jti": "c", "iat": 1, "sub": "s", "other": { "a": [] } }),
        ] {
            let text = signed(&key, &header, &payload.to_string());
            assert_eq!(register(&text), Ok("c".to_owned()), "{payload}");
        }
        let bare = json!({ "alg": "ES256", "typ": "dbsc+jwt" }).to_string();
        let text = signed(&key, &bare, r#"{"jti":"c"}"#);
        let proof = BrowserProof::read(&text, URL).unwrap();
        let bound = DeviceKey::from_public(key.verifying_key().public().unwrap()).unwrap();
        assert_eq!(proof.with_key(&bound), Ok("c"));
        assert_eq!(proof.with_own_key(), Err(E::InvalidKey));
        let other = device();
        let other = DeviceKey::from_public(other.verifying_key().public().unwrap()).unwrap();
        assert_eq!(proof.with_key(&other), Err(E::Signature));
    }

    #[test]
    fn header_of_another_form_is_refused() {
        let key = device();
        let with = |name: &str, value: Value| {
            let mut changed = header(&key);
            changed[name] = value;
            changed.to_string()
        };
        let without = |name: &str| {
            let mut changed = header(&key);
            changed.as_object_mut().unwrap().remove(name);
            changed.to_string()
        };
        let jwk_with = |name: &str, value: Value| {
            let mut changed = header(&key);
            changed["jwk"][name] = value;
            changed.to_string()
        };
        let (x, whole) = (jwk(&key)["x"].clone(), header(&key).to_string());
        let rsa = json!({ "kty": "RSA", "e": "AQAB", "n": "AQAB" });
        let okp = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        for (header, expected) in [
            (with("alg", "none".into()), E::Algorithm),
            (with("alg", "HS256".into()), E::Algorithm),
            (with("alg", "RS256".into()), E::Algorithm),
            (with("alg", "es256".into()), E::Algorithm),
            (with("alg", Value::Null), E::Malformed),
            (without("alg"), E::Malformed),
            (with("typ", "JWT".into()), E::Malformed),
            (with("typ", "session+jwt".into()), E::Malformed),
            (without("typ"), E::Malformed),
            (with("kid", "k".into()), E::Malformed),
            (with("crit", json!(["b64"])), E::Malformed),
            (with("jku", "https://evil.example".into()), E::Malformed),
            (without("jwk"), E::InvalidKey),
            (with("jwk", Value::Null), E::InvalidKey),
            (with("jwk", "x".into()), E::Malformed),
            (with("jwk", rsa), E::InvalidKey),
            (with("jwk", okp), E::InvalidKey),
            (jwk_with("d", x.clone()), E::InvalidKey),
            (jwk_with("k", x.clone()), E::InvalidKey),
            (jwk_with("crv", "P-384".into()), E::InvalidKey),
            (jwk_with("kty", "RSA".into()), E::InvalidKey),
            (jwk_with("y", x), E::InvalidKey),
            (jwk_with("y", "AA".into()), E::InvalidKey),
            (jwk_with("use", "enc".into()), E::InvalidKey),
            (whole.replacen("{\"alg\"", "{\"alg\":\"ES256\",\"alg\"", 1), E::Malformed),
            (whole.replacen("\"crv\"", "\"crv\":\"P-256\",\"crv\"", 1), E::InvalidKey),
            (format!("[\"ES256\",\"dbsc+jwt\",{}]", jwk(&key)), E::Malformed),
            (String::new(), E::Malformed),
            ("{".to_owned(), E::Malformed),
        ] {
            let text = signed(&key, &header, r#"{"jti":"c"}"#);
            assert_eq!(register(&text), Err(expected), "{header}");
        }
    }

    #[test]
    fn payload_of_another_form_is_refused() {
        let key = device();
        let header = header(&key).to_string();
        for (payload, expected) in [
            (r#"{}"#.to_owned(), E::Malformed),
            (r#"{"jti":1}"#.to_owned(), E::Malformed),
            (r#"{"jti":"c","jti":"d"}"#.to_owned(), E::Malformed),
            (r#"["c"]"#.to_owned(), E::Malformed),
            (r#""c""#.to_owned(), E::Malformed),
            (format!(r#"{{"jti":"c","aud":"{URL}?session_id=x"}}"#), E::Audience),
            (r#"{"jti":"c","aud":"https://evil.example/"}"#.to_owned(), E::Audience),
            (format!(r#"{{"jti":"c","aud":["{URL}"]}}"#), E::Audience),
            (r#"{"jti":"c","aud":null}"#.to_owned(), E::Audience),
            (r#"{"jti":"c","authorization":"a"}"#.to_owned(), E::Authorization),
        ] {
            let text = signed(&key, &header, &payload);
            assert_eq!(register(&text), Err(expected), "{payload}");
        }
    }

    #[test]
    fn signature_of_another_form_or_key_is_refused() {
        let (key, other) = (device(), device());
        let header = header(&key).to_string();
        let good = signed(&key, &header, r#"{"jti":"c"}"#);
        let (body, signature) = good.rsplit_once('.').unwrap();
        let forged = signed(&other, &header, r#"{"jti":"c"}"#);
        for (text, expected) in [
            (forged, E::Signature),
            (format!("{body}."), E::Signature),
            (format!("{body}.{}", &signature[..84]), E::Signature),
            (format!("{body}.{signature}AAAA"), E::Signature),
            (format!("{body}.{}", "A".repeat(86)), E::Signature),
            (format!("{good}="), E::Malformed),
            (format!("{good}.x"), E::Malformed),
            (format!(" {good}"), E::Malformed),
            (body.to_owned(), E::Malformed),
            (String::new(), E::Malformed),
            ("..".to_owned(), E::Malformed),
            (format!("{body}.{}", "A".repeat(MAX_LENGTH)), E::Malformed),
        ] {
            assert_eq!(register(&text), Err(expected), "{text}");
        }
    }
}
