//! Tokens with any content and a valid signature, so that a rejection is due to the content.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, crypto::CryptoProvider};
use serde_json::{Value, json};

use super::{SID_A, START, secret};

#[cfg(feature = "aws-lc-rs")]
static PROVIDER: &CryptoProvider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
static PROVIDER: &CryptoProvider = &jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;

/// A key that signs anything.
pub(crate) struct TokenForge {
    kid: String,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl TokenForge {
    /// Signs as [`super::key`] does.
    pub(crate) fn new(kid: &str) -> Self {
        Self::with_secret(kid, secret(kid).as_bytes())
    }

    /// Signs with any secret, also a weak one.
    pub(crate) fn with_secret(kid: &str, secret: &[u8]) -> Self {
        let key = EncodingKey::from_secret(secret).unwrap();
        Self { kid: kid.to_owned(), algorithm: Algorithm::HS256, key }
    }

    /// Signs with the Ed25519 key of a PKCS#8 PEM file.
    pub(crate) fn ed25519(kid: &str, pem: &str) -> Self {
        let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let key = EncodingKey::from_ed_der(&STANDARD.decode(text).unwrap());
        Self { kid: kid.to_owned(), algorithm: Algorithm::EdDSA, key }
    }

    /// Signs as RS256 with the RSA key of a PKCS#1 PEM file.
    pub(crate) fn rs256(kid: &str, pem: &str) -> Self {
        let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let key = EncodingKey::from_rsa_der(&STANDARD.decode(text).unwrap());
        Self { kid: kid.to_owned(), algorithm: Algorithm::RS256, key }
    }

    /// The header of a session token.
    pub(crate) fn header(&self) -> Value {
        let alg = if self.algorithm == Algorithm::EdDSA { "EdDSA" } else { "HS256" };
        json!({ "alg": alg, "typ": "session+jwt", "kid": self.kid })
    }

    /// A session token with this payload.
    pub(crate) fn token(&self, payload: impl AsRef<[u8]>) -> String {
        self.sign(self.header().to_string(), payload)
    }

    /// A session token with these claims.
    pub(crate) fn session(&self, claims: &Value) -> String {
        self.token(claims.to_string())
    }

    /// A token with any header and payload.
    pub(crate) fn sign(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        self.sign_text(&format!("{}.{}", encode(header), encode(payload)))
    }

    /// Signs any text of the form `header.payload`, also one that is not base64url.
    pub(crate) fn sign_text(&self, signed: &str) -> String {
        format!("{signed}.{}", encode(self.signature(signed.as_bytes())))
    }

    pub(crate) fn signature(&self, message: &[u8]) -> Vec<u8> {
        let signer = (PROVIDER.signer_factory)(&self.algorithm, &self.key).unwrap();
        signer.try_sign(message).unwrap()
    }
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The payload of a token, unverified.
pub(crate) fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The claims of a session that Ada started at [`START`].
pub(crate) fn claims() -> Value {
    json!({
        "sub": "ada", "sid": SID_A, "auth_time": START, "iat": START, "exp": START + 100,
        "name": "Ada",
    })
}

/// [`claims`] with one member changed, or removed if `value` is `None`.
pub(crate) fn claims_with(name: &str, value: impl Into<Option<Value>>) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    match value.into() {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    claims
}
