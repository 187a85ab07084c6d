//! [`SigningKey`] and [`VerifyingKey`]: a key with its name and algorithm.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    algorithm::Algorithm,
    backend as crypto,
    backend::{SignError, SignatureVerifier, Signer},
    jwk,
    key_id::KeyId,
    material::{PrivateKeyMaterial, PublicKeyMaterial},
    pem, public_jwk,
    sealing::SealingKey,
};
use crate::error::ConfigError;

/// A key that signs tokens, under a `kid` and for one algorithm.
///
/// Clones share the key. Private bytes are zeroized when the last clone is dropped, and are never
/// shown by `Debug`.
///
/// ```
/// use tower_auth_session::{Algorithm, SigningKey};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = "NRZ8LtH5oSyV2Kz0vB7mC1xQ4wE9uT6gJ3dF5hA8kP0iO2rYbX";
/// // A secret of the service, from `openssl rand -base64 48`:
/// let key = SigningKey::hs256("2026-11", secret)?;
/// assert_eq!((key.kid(), key.algorithm()), ("2026-11", Algorithm::Hs256));
/// assert!(SigningKey::hs256("k", "changeme").is_err(), "too short, and a placeholder");
/// # assert!(SigningKey::hs384("k", secret).is_ok() && SigningKey::hs512("k", "x").is_err());
///
/// // A key pair, which other services verify with the public half:
/// let pair = SigningKey::generate("2026-12", Algorithm::EdDsa)?;
/// let saved = pair.to_private_jwk().expect("a key that was generated can be saved");
/// let loaded = SigningKey::from_jwk(&saved)?;
/// assert_eq!(loaded.verifying_key().thumbprint(), pair.verifying_key().thumbprint());
/// # fn from_file() -> Result<SigningKey, Box<dyn std::error::Error>> {
///
/// let pem = std::fs::read("/run/secrets/session.pem")?; // openssl genpkey -algorithm ed25519
/// # Ok(
/// SigningKey::from_pem("2026-12", Algorithm::EdDsa, pem)?
/// # ) }
/// # let _ = from_file;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SigningKey {
    signer: Arc<Signer>,
    verifying: VerifyingKey,
}

/// A key that verifies tokens, under a `kid` and for one algorithm (RFC 8725 §3.1).
///
/// Clones share the key. For HMAC it is also the signing secret.
///
/// ```
/// use tower_auth_session::{Algorithm, KeyRing, SigningKey, keys::VerifyingKey};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let signing = SigningKey::generate("2026-12", Algorithm::EdDsa)?;
/// let key = signing.verifying_key();
/// assert_eq!((key.kid(), key.algorithm()), ("2026-12", Algorithm::EdDsa));
/// assert_eq!(key.thumbprint().map(|it| it.len()), Some(43)); // RFC 7638
///
/// // What another service needs, as a JSON Web Key:
/// let jwk = key.public_jwk().expect("an asymmetric key has a public half");
/// let ring = KeyRing::verify_only().with_key(VerifyingKey::from_jwk(&jwk)?);
/// assert_eq!(ring.kids(), ["2026-12"]);
///
/// // A shared secret can sign too, so it has no public half:
/// # let secret = "NRZ8LtH5oSyV2Kz0vB7mC1xQ4wE9uT6gJ3dF5hA8kP0iO2rYbX";
/// assert!(VerifyingKey::hs256("k", secret)?.public_jwk().is_none());
/// # assert!(VerifyingKey::from_pem("k", Algorithm::EdDsa, "").is_err());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct VerifyingKey(Arc<KeyInner>);

struct KeyInner {
    kid: Box<str>,
    algorithm: Algorithm,
    verifier: SignatureVerifier,
    /// The encoded headers of tokens that this key signs, by type: session and bearer tokens.
    heads: [OnceLock<(Box<str>, Box<str>)>; 2],
    /// `None` for HMAC, so that no secret can be published by mistake.
    public: Option<PublicKeyMaterial>,
    /// Empty as long as this process has seen only the public part.
    sealing: OnceLock<SealingKey>,
}

impl SigningKey {
    /// An HMAC key of at least 32 random bytes (RFC 7518 §3.2).
    ///
    /// `kid` is 1 to 64 visible ASCII characters, different for every key; an HMAC key has no
    /// [thumbprint](KeyId::THUMBPRINT).
    ///
    /// # Errors
    ///
    /// When `kid` is invalid, or the secret is too short or a placeholder.
    pub fn hs256(kid: impl Into<KeyId>, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::hmac(kid.into(), Algorithm::Hs256, secret.as_ref())
    }

    /// An HMAC key of at least 48 random bytes; otherwise as [`SigningKey::hs256`].
    ///
    /// # Errors
    ///
    /// As [`SigningKey::hs256`].
    pub fn hs384(kid: impl Into<KeyId>, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::hmac(kid.into(), Algorithm::Hs384, secret.as_ref())
    }

    /// An HMAC key of at least 64 random bytes; otherwise as [`SigningKey::hs256`].
    ///
    /// # Errors
    ///
    /// As [`SigningKey::hs256`].
    pub fn hs512(kid: impl Into<KeyId>, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::hmac(kid.into(), Algorithm::Hs512, secret.as_ref())
    }

    /// The private key of a PEM file: `PRIVATE KEY` (PKCS#8) for Ed25519, P-256, P-384 and RSA, or
    /// `RSA PRIVATE KEY` (PKCS#1). RSA keys have 2048 to 4096 bits. `kid` is a name or
    /// [`KeyId::THUMBPRINT`].
    ///
    /// # Errors
    ///
    /// When `kid` is invalid, or the file does not contain exactly one key for `algorithm`.
    pub fn from_pem(
        kid: impl Into<KeyId>,
        algorithm: Algorithm,
        pem: impl AsRef<[u8]>,
    ) -> Result<Self, ConfigError> {
        let (private, public) = pem::private_key(pem.as_ref(), algorithm)?;
        Self::from_parts(kid.into(), algorithm, &private, public.as_ref())
    }

    /// A private or symmetric JSON Web Key (RFC 7517). It needs `alg` unless `crv` determines it. A
    /// key without `kid` is named by its [thumbprint](KeyId::THUMBPRINT); a symmetric key needs a
    /// `kid`.
    ///
    /// # Errors
    ///
    /// When members are missing, duplicate or contradictory.
    pub fn from_jwk(json: &str) -> Result<Self, ConfigError> {
        Self::from_read(jwk::private_key(json)?)
    }

    pub(crate) fn from_read(key: jwk::PrivateJwk) -> Result<Self, ConfigError> {
        let (private, public) = key.part;
        Self::from_parts(key.kid, key.algorithm, &private, public.as_ref())
    }

    /// The key as a private JSON Web Key (RFC 7517), to be stored with the service's secrets: what
    /// [`from_jwk`](Self::from_jwk) and the `keys` of a [`KeyFile`](crate::keys::KeyFile) take. The
    /// text is zeroized on drop. `None` without a cryptographic back end.
    ///
    /// ```
    /// # use tower_auth_session::{Algorithm, SigningKey};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let key = SigningKey::generate("2026-11", Algorithm::EdDsa)?;
    /// let saved = key.to_private_jwk().expect("a back end");
    /// let loaded = SigningKey::from_jwk(&saved)?;
    /// assert_eq!(loaded.verifying_key().thumbprint(), key.verifying_key().thumbprint());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn to_private_jwk(&self) -> Option<Zeroizing<String>> {
        let private = self.signer.private_part()?;
        public_jwk::private(self.kid(), self.algorithm(), self.verifying.public(), &private)
    }

    /// The key that verifies this key's signatures.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        self.verifying.clone()
    }

    /// The key's name in the header of every token.
    #[must_use]
    pub fn kid(&self) -> &str {
        self.verifying.kid()
    }

    /// The key's only algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.verifying.algorithm()
    }

    fn hmac(kid: KeyId, algorithm: Algorithm, secret: &[u8]) -> Result<Self, ConfigError> {
        let private = PrivateKeyMaterial::Hmac(Zeroizing::new(secret.to_vec()));
        Self::from_parts(kid, algorithm, &private, None)
    }

    /// A key whose stated `public` part must be the private part's: otherwise its tokens would not
    /// verify elsewhere.
    pub(crate) fn from_parts(
        kid: KeyId,
        algorithm: Algorithm,
        private: &PrivateKeyMaterial,
        public: Option<&PublicKeyMaterial>,
    ) -> Result<Self, ConfigError> {
        ConfigError::check(
            kid.problem(algorithm).into_iter().chain(private.problem(algorithm)).collect(),
        )?;
        let broken = |value| {
            ConfigError::one("private key", value, "export it again, or generate a new one")
        };
        let signer = Signer::new(algorithm, private);
        let computed =
            signer.public_part().map_err(|_| broken("rejected by the cryptographic back end"))?;
        let embedded = private.embedded_public_key();
        let mut public_parts = [computed.as_ref(), public, embedded.as_ref()].into_iter().flatten();
        let first = public_parts.next().cloned();
        if public_parts.any(|part| Some(part) != first.as_ref()) {
            return Err(broken("its public part belongs to another key"));
        }
        let verifying = match first {
            Some(part) => VerifyingKey::from_part(kid, algorithm, &part)?,
            // Without a back end it cannot be computed: nothing verifies, and every ring reports
            // that.
            None => {
                let nothing = PublicKeyMaterial::Ed25519(Vec::new());
                VerifyingKey::assemble(kid.resolve(algorithm, &nothing)?, algorithm, &nothing)
            }
        };
        if let Some(sealing) = signer.sealing_key() {
            let _ = verifying.0.sealing.set(sealing);
        }
        Ok(Self { signer: Arc::new(signer), verifying })
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.signer.sign(message)
    }

    pub(crate) const fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Whether this key verifies its own signatures, and only those.
    pub(crate) fn self_test(&self) -> bool {
        self.is_verified_by(&self.verifying)
    }

    /// Whether `verifying` verifies this key's signatures, and only those.
    pub(crate) fn is_verified_by(&self, verifying: &VerifyingKey) -> bool {
        let (probe, other) = (b"tower-auth-session self-test", b"tower-auth-session self-tesT");
        verifying.algorithm() == self.algorithm()
            && crypto::without_panic(|| {
                let signature = self.sign(probe)?;
                Ok(verifying.verify(probe, &signature) && !verifying.verify(other, &signature))
            }) == Some(Ok::<_, SignError>(true))
    }
}

impl VerifyingKey {
    /// An HMAC key of at least 32 random bytes; `kid` as in [`SigningKey::hs256`].
    ///
    /// # Errors
    ///
    /// As [`SigningKey::hs256`].
    pub fn hs256(kid: impl Into<KeyId>, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::hmac(kid.into(), Algorithm::Hs256, secret.as_ref())
    }

    /// An HMAC key of at least 48 random bytes; `kid` as in [`SigningKey::hs256`].
    ///
    /// ```
    /// use tower_auth_session::{ConfigError, keys::VerifyingKey};
    ///
    /// fn key(secret: &[u8]) -> Result<VerifyingKey, ConfigError> {
    ///     VerifyingKey::hs384("2026-11", secret)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`SigningKey::hs256`].
    pub fn hs384(kid: impl Into<KeyId>, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::hmac(kid.into(), Algorithm::Hs384, secret.as_ref())
    }

    /// An HMAC key of at least 64 random bytes; `kid` as in [`SigningKey::hs256`].
    ///
    /// ```
    /// use tower_auth_session::{ConfigError, keys::VerifyingKey};
    ///
    /// fn key(secret: &[u8]) -> Result<VerifyingKey, ConfigError> {
    ///     VerifyingKey::hs512("2026-11", secret)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`SigningKey::hs256`].
    pub fn hs512(kid: impl Into<KeyId>, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::hmac(kid.into(), Algorithm::Hs512, secret.as_ref())
    }

    /// The public key of a PEM file: `PUBLIC KEY` for Ed25519, P-256, P-384 and RSA, or `RSA PUBLIC
    /// KEY` (PKCS#1). `kid` is a name or [`KeyId::THUMBPRINT`].
    ///
    /// # Errors
    ///
    /// When `kid` is invalid, or the file does not contain exactly one key for `algorithm`.
    pub fn from_pem(
        kid: impl Into<KeyId>,
        algorithm: Algorithm,
        pem: impl AsRef<[u8]>,
    ) -> Result<Self, ConfigError> {
        Self::from_part(kid.into(), algorithm, &pem::public_key(pem.as_ref(), algorithm)?)
    }

    /// A public or symmetric JSON Web Key (RFC 7517). It needs `alg` unless `crv` determines it. A
    /// key without `kid` is named by its [thumbprint](KeyId::THUMBPRINT); a symmetric key needs a
    /// `kid`.
    ///
    /// # Errors
    ///
    /// When members are missing, duplicate or contradictory, or the key is a private one.
    pub fn from_jwk(json: &str) -> Result<Self, ConfigError> {
        Self::from_read(jwk::public_key(json)?)
    }

    /// The key's name in the header of a token.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    /// The key's only algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// The encoded header of tokens of type `typ`, written by `write` once for each of two types.
    pub(crate) fn head(&self, typ: &str, write: impl FnOnce() -> Option<String>) -> Option<&str> {
        let mut write = Some(write);
        self.0.heads.iter().find_map(|slot| {
            let (known, head) = match slot.get() {
                Some(known) => known,
                None => {
                    let head = write.take().and_then(|write| write())?;
                    slot.get_or_init(|| (typ.into(), head.into()))
                }
            };
            (**known == *typ).then_some(&**head)
        })
    }

    fn hmac(kid: KeyId, algorithm: Algorithm, secret: &[u8]) -> Result<Self, ConfigError> {
        Self::from_part(kid, algorithm, &PublicKeyMaterial::Hmac(Zeroizing::new(secret.to_vec())))
    }

    pub(crate) fn from_read(key: jwk::ParsedKey<PublicKeyMaterial>) -> Result<Self, ConfigError> {
        Self::from_part(key.kid, key.algorithm, &key.part)
    }

    fn from_part(
        kid: KeyId,
        algorithm: Algorithm,
        part: &PublicKeyMaterial,
    ) -> Result<Self, ConfigError> {
        ConfigError::check(
            kid.problem(algorithm).into_iter().chain(part.problem(algorithm)).collect(),
        )?;
        let key = Self::assemble(kid.resolve(algorithm, part)?, algorithm, part);
        if let PublicKeyMaterial::Hmac(secret) = part
            && let Some(sealing) = SealingKey::derive(secret)
        {
            let _ = key.0.sealing.set(sealing);
        }
        if !key.0.verifier.is_valid() {
            return Err(ConfigError::one(
                "public key",
                "rejected by the cryptographic back end",
                "export it again: it is not a point of its curve",
            ));
        }
        Ok(key)
    }

    /// A key that was validated before.
    pub(crate) fn assemble(kid: String, algorithm: Algorithm, part: &PublicKeyMaterial) -> Self {
        let verifier = SignatureVerifier::new(algorithm, part);
        let public = (!algorithm.is_symmetric()).then(|| part.clone());
        let (heads, sealing) = Default::default();
        Self(Arc::new(KeyInner { kid: kid.into(), algorithm, verifier, heads, public, sealing }))
    }

    /// What belongs to the private part of this key, and opens what it sealed. `None` if this process
    /// has only the public part.
    pub(crate) fn sealing_key(&self) -> Option<&SealingKey> {
        self.0.sealing.get()
    }

    /// Learns the sealing key from `other`, the same key with its private part.
    pub(crate) fn learn_sealing_key(&self, other: &Self) {
        if let Some(sealing) = other.sealing_key() {
            let _ = self.0.sealing.set(sealing.clone());
        }
    }

    /// The SHA-256 thumbprint (RFC 7638 §3), the same on all hosts that have the key. `None` for an
    /// HMAC key, and without a cryptographic back end.
    #[must_use]
    pub fn thumbprint(&self) -> Option<String> {
        public_jwk::thumbprint(self.algorithm(), self.public()?)
    }

    /// The key as a JSON Web Key (RFC 7517): its public members, `alg`, `kid` and `use`. `None` for
    /// an HMAC key, which is never published.
    #[must_use]
    pub fn public_jwk(&self) -> Option<String> {
        serde_json::to_string(&self.published()?).ok()
    }

    /// The public key as a member of a set.
    pub(crate) fn published(&self) -> Option<impl Serialize> {
        public_jwk::published(self.kid(), self.algorithm(), self.public()?)
    }

    /// The public part; an HMAC key has none.
    pub(crate) fn public(&self) -> Option<&PublicKeyMaterial> {
        self.0.public.as_ref()
    }

    /// Whether `other` is the same key with the same name. HMAC keys are compared by identity.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.public().is_some()
                && self.public() == other.public()
                && self.algorithm() == other.algorithm()
                && self.kid() == other.kid())
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verifier.verify(message, signature)
    }

    /// Whether forged signatures are rejected, without a panic.
    pub(crate) fn self_test(&self) -> bool {
        [0, 1, 32, 48, 64, 96, 256, 512].into_iter().all(|length| {
            crypto::without_panic(|| self.verify(b"self-test", &vec![0x5a; length])) == Some(false)
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verifying.fmt_as("SigningKey", f)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as("VerifyingKey", f)
    }
}

impl VerifyingKey {
    fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("kid", &self.kid())
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests;
