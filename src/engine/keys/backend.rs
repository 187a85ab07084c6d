//! The only module that calls jsonwebtoken's cryptography.
//!
//! It calls the factories of the back end that this crate's features select. jsonwebtoken's
//! process-wide provider is not used: it belongs to the application, and panics on first use if
//! none or both back ends are compiled in and none was installed, which any crate of the tree can
//! cause.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
};

use jsonwebtoken::{
    DecodingKey, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier},
    jwk::{EllipticCurve, ThumbprintHash},
};
use zeroize::Zeroizing;

use super::{
    algorithm::{Algorithm, Family},
    material::{PrivateKeyMaterial, PublicKeyMaterial},
    pkcs,
    sealing::SealingKey,
};

#[cfg(feature = "aws-lc-rs")]
static PROVIDER: Option<&CryptoProvider> = Some(&jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER);
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
static PROVIDER: Option<&CryptoProvider> =
    Some(&jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER);
#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
static PROVIDER: Option<&CryptoProvider> = None;

/// Whether a back end is compiled in. Without one, keys load but nothing can be signed or verified.
pub(crate) fn is_available() -> bool {
    PROVIDER.is_some()
}

/// The SHA-256 of `data`; `None` without a back end.
pub(crate) fn sha256(data: &[u8]) -> Option<Vec<u8>> {
    (PROVIDER?.key_utils.compute_digest)(data, ThumbprintHash::SHA256).ok()
}

/// HMAC-SHA-256 with a `key` that is not empty; `None` without a back end.
pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let key = EncodingKey::from_secret(key).ok()?;
    let signer = (PROVIDER?.signer_factory)(&jsonwebtoken::Algorithm::HS256, &key).ok()?;
    let code = Zeroizing::new(signer.try_sign(message).ok()?);
    Some(Zeroizing::new(code.as_slice().try_into().ok()?))
}

/// Why signing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignError {
    #[error("no cryptographic back end: enable the feature `aws-lc-rs` or `rust-crypto`")]
    NoBackEnd,
    #[error("the signing key failed")]
    Failed,
}

/// A private key in the back end's form.
pub(crate) struct Signer {
    algorithm: Algorithm,
    /// `None` for an empty HMAC secret, which the back end rejects.
    key: Option<EncodingKey>,
    /// Key of this thread's prepared signers. No two signers that exist at the same time share one.
    identity: Arc<()>,
}

impl Signer {
    /// `part` must match the algorithm's kind.
    pub(crate) fn new(algorithm: Algorithm, part: &PrivateKeyMaterial) -> Self {
        let bytes = pkcs::encode(part, algorithm);
        let key = match algorithm.family() {
            Family::Hmac { .. } => EncodingKey::from_secret(&bytes).ok(),
            Family::Ed25519 => Some(EncodingKey::from_ed_der(&bytes)),
            Family::Ec(_) => Some(EncodingKey::from_ec_der(&bytes)),
            Family::Rsa => Some(EncodingKey::from_rsa_der(&bytes)),
        };
        Self { algorithm, key, identity: Arc::new(()) }
    }

    /// The sealing key that belongs to the private part. `None` without a back end.
    pub(crate) fn sealing_key(&self) -> Option<SealingKey> {
        SealingKey::derive(self.key.as_ref()?.as_bytes())
    }

    /// The private part, as [`pkcs::encode`] wrote it.
    pub(crate) fn private_part(&self) -> Option<PrivateKeyMaterial> {
        let bytes = self.key.as_ref()?.as_bytes();
        match self.algorithm.family() {
            Family::Hmac { .. } => Some(PrivateKeyMaterial::Hmac(bytes.to_vec().into())),
            Family::Rsa => pkcs::rsa_private_key(bytes).ok(),
            Family::Ed25519 | Family::Ec(_) => {
                pkcs::private_key(bytes, self.algorithm).ok().map(|(private, _)| private)
            }
        }
    }

    /// The public part, computed by the back end; `Ok(None)` without a back end, or if there is
    /// nothing to compute.
    pub(crate) fn public_part(&self) -> Result<Option<PublicKeyMaterial>, SignError> {
        let Some(provider) = PROVIDER else { return Ok(None) };
        let key = self.key.as_ref().ok_or(SignError::Failed)?;
        let (utils, file) = (&provider.key_utils, key.as_bytes());
        let compute = || match self.algorithm.family() {
            Family::Hmac { .. } => Ok(None),
            Family::Ed25519 => {
                (utils.ed_pub_components_from_private_key)(file, &EllipticCurve::Ed25519)
                    .map(|point| Some(PublicKeyMaterial::Ed25519(point)))
            }
            Family::Ec(_) => {
                (utils.ec_pub_components_from_private_key)(file, to_jsonwebtoken(self.algorithm))
                    .map(|(_, x, y)| {
                        Some(PublicKeyMaterial::Ec([&[4], x.as_slice(), y.as_slice()].concat()))
                    })
            }
            Family::Rsa => (utils.rsa_pub_components_from_private_key)(file)
                .map(|(n, e)| Some(PublicKeyMaterial::Rsa { n, e })),
        };
        match without_panic(compute) {
            Some(Ok(part)) => Ok(part),
            _ => Err(SignError::Failed),
        }
    }

    /// The signature of `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let provider = PROVIDER.ok_or(SignError::NoBackEnd)?;
        let key = self.key.as_ref().ok_or(SignError::Failed)?;
        let build = || (provider.signer_factory)(&to_jsonwebtoken(self.algorithm), key).ok();
        // Thread-local storage is gone while the thread ends.
        let signed = SIGNERS.try_with(|list| {
            prepared(list, &self.identity, build, |signer, _| signer.try_sign(message).ok())?
        });
        signed.ok().flatten().ok_or(SignError::Failed)
    }
}

/// A public key, or an HMAC secret, in the back end's form.
pub(crate) struct SignatureVerifier {
    algorithm: Algorithm,
    /// `None` for an empty HMAC secret, which the back end rejects.
    key: Option<DecodingKey>,
    /// As in [`Signer`].
    identity: Arc<()>,
}

impl SignatureVerifier {
    /// `part` must match the algorithm's kind and length: one back end panics on a short Ed25519
    /// key.
    pub(crate) fn new(algorithm: Algorithm, part: &PublicKeyMaterial) -> Self {
        let key = match part {
            PublicKeyMaterial::Hmac(secret) => DecodingKey::from_secret(secret).ok(),
            PublicKeyMaterial::Ed25519(point) => Some(DecodingKey::from_ed_der(point)),
            PublicKeyMaterial::Ec(point) => Some(DecodingKey::from_ec_der(point)),
            PublicKeyMaterial::Rsa { n, e } => Some(DecodingKey::from_rsa_raw_components(n, e)),
        };
        Self { algorithm, key, identity: Arc::new(()) }
    }

    /// Whether `signature` is this key's for `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        #[cfg(test)]
        VERIFICATIONS.set(VERIFICATIONS.get() + 1);
        let (Some(provider), Some(key)) = (PROVIDER, &self.key) else { return false };
        let build = || (provider.verifier_factory)(&to_jsonwebtoken(self.algorithm), key).ok();
        let verified = VERIFIERS.try_with(|list| {
            prepared(list, &self.identity, build, |verifier, buffer| {
                buffer.clear();
                buffer.extend_from_slice(signature);
                verifier.verify(message, buffer).is_ok()
            })
        });
        verified == Ok(Some(true))
    }

    /// Whether the back end accepts the key: for example, an EC point must be on its curve. True
    /// without a back end.
    pub(crate) fn is_valid(&self) -> bool {
        let Some(key) = &self.key else { return false };
        let Some(provider) = PROVIDER else { return true };
        without_panic(|| {
            (provider.verifier_factory)(&to_jsonwebtoken(self.algorithm), key).is_ok()
                && is_parsed(self.algorithm, key)
        })
        .unwrap_or(false)
    }
}

/// The verifiers of aws-lc-rs parse keys only when they verify, and then report an invalid key as
/// an invalid signature.
#[cfg(feature = "aws-lc-rs")]
fn is_parsed(algorithm: Algorithm, key: &DecodingKey) -> bool {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
        VerificationAlgorithm,
    };
    let algorithm: &'static dyn VerificationAlgorithm = match algorithm {
        Algorithm::EdDsa => &ED25519,
        Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
        _ => return true,
    };
    key.try_get_as_bytes().is_ok_and(|bytes| ParsedPublicKey::new(algorithm, bytes).is_ok())
}

#[cfg(not(feature = "aws-lc-rs"))]
fn is_parsed(_: Algorithm, _: &DecodingKey) -> bool {
    true
}

/// The result of `work`, or `None` if it panics: for keys that are being loaded, never for
/// requests.
pub(crate) fn without_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// A signer or verifier that this thread caches, because it is not `Send` and may cost more to
/// build than to use.
struct Prepared<T: ?Sized> {
    identity: Weak<()>,
    tool: Box<T>,
    /// The back end takes signatures as a vector.
    buffer: Vec<u8>,
}

/// How many signers and verifiers a thread caches, the most recently used last. A service signs
/// with one key, and verifies with few.
const MAX_PREPARED: usize = 4;

type SignerCache<T> = RefCell<Vec<Prepared<T>>>;

thread_local! {
    static SIGNERS: SignerCache<dyn JwtSigner> = const { RefCell::new(Vec::new()) };
    static VERIFIERS: SignerCache<dyn JwtVerifier> = const { RefCell::new(Vec::new()) };
}

/// Applies `work` to the tool of `identity`, which is built if this thread has none. `None` if it
/// cannot be built.
fn prepared<T: ?Sized, R>(
    cache: &SignerCache<T>,
    identity: &Arc<()>,
    build: impl FnOnce() -> Option<Box<T>>,
    work: impl FnOnce(&T, &mut Vec<u8>) -> R,
) -> Option<R> {
    let mut list = cache.try_borrow_mut().ok()?;
    let is_same =
        |prepared: &Prepared<T>| std::ptr::eq(prepared.identity.as_ptr(), Arc::as_ptr(identity));
    match list.iter().position(is_same) {
        Some(place) => list.get_mut(place..)?.rotate_left(1),
        None => {
            let tool = build()?;
            // Removes keys that were rotated away.
            list.retain(|prepared| prepared.identity.strong_count() > 0);
            if list.len() >= MAX_PREPARED {
                list.remove(0);
            }
            list.push(Prepared { identity: Arc::downgrade(identity), tool, buffer: Vec::new() });
        }
    }
    let Prepared { tool, buffer, .. } = list.last_mut()?;
    Some(work(tool, buffer))
}

#[cfg(test)]
thread_local! {
    static VERIFICATIONS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How many signatures this thread has verified.
#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
pub(crate) fn verifications() -> usize {
    VERIFICATIONS.get()
}

fn to_jsonwebtoken(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::Hs384 => jsonwebtoken::Algorithm::HS384,
        Algorithm::Hs512 => jsonwebtoken::Algorithm::HS512,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::Ps384 => jsonwebtoken::Algorithm::PS384,
        Algorithm::Ps512 => jsonwebtoken::Algorithm::PS512,
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests {
    use jsonwebtoken::crypto::KeyUtils;

    use crate::engine::keys::backend::*;
    use crate::engine::keys::{key::SigningKey, key_ring::KeyRing};

    /// An application may install any provider for the process, and other crates may enable both
    /// back ends: neither may affect this crate. The installed provider stays for all other tests
    /// of this binary.
    #[test]
    fn process_wide_crypto_provider_is_never_used() {
        static TRAP: CryptoProvider = CryptoProvider {
            signer_factory: |_, _| panic!("signed with the application's provider"),
            verifier_factory: |_, _| panic!("verified with the application's provider"),
            key_utils: KeyUtils::new_unimplemented(),
        };
        assert!(TRAP.install_default().is_ok(), "another test installed or used a provider");
        for algorithm in [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256, Algorithm::Es384] {
            let key = SigningKey::generate("k", algorithm).unwrap();
            assert!(key.self_test());
            assert_eq!(KeyRing::new(key).problems(), []);
        }
        let rsa = include_str!("../../../tests/vectors/keys/rsa2048.pem");
        let key = SigningKey::from_pem("k", Algorithm::Rs256, rsa).unwrap();
        assert!(key.self_test());
    }

    #[test]
    fn thread_cache_of_signers_is_bounded_and_drops_unused_keys() {
        let cached = || [SIGNERS.with_borrow(Vec::len), VERIFIERS.with_borrow(Vec::len)];
        let keys: Vec<_> = (0..6)
            .map(|kid: u8| SigningKey::generate(kid.to_string(), Algorithm::Hs256).unwrap())
            .collect();
        for _ in 0..3 {
            for key in &keys {
                // Each key must find its own signer, or the self-test fails.
                assert!(key.self_test());
            }
        }
        assert_eq!(cached(), [MAX_PREPARED; 2]);
        drop(keys);
        assert!(SigningKey::generate("last", Algorithm::EdDsa).unwrap().self_test());
        assert_eq!(cached(), [1, 1]);
    }
}
