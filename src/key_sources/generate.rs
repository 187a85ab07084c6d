//! [`SigningKey::generate`]: new keys. It is outside the engine because it reads randomness.

use zeroize::Zeroizing;

use crate::{
    engine::keys::{
        algorithm::{Algorithm, Family},
        key::SigningKey,
        key_id::KeyId,
        material::{PrivateKeyMaterial, Secret},
    },
    error::ConfigError,
    random::{OsRandom, RandomSource as _},
};

impl SigningKey {
    /// A new key from the operating system's randomness: 64 bytes for HMAC, 2048 bits for RSA.
    ///
    /// The key exists only in this process. To keep it, generate it once, store it with the
    /// service's secrets, and load it from there.
    ///
    /// # Errors
    ///
    /// When `kid` is invalid (see [`SigningKey::hs256`]), the random source fails, or an RSA key is
    /// requested without a cryptographic back end.
    pub fn generate(kid: impl Into<KeyId>, algorithm: Algorithm) -> Result<Self, ConfigError> {
        let kid = kid.into();
        let mut attempts = 0;
        loop {
            let private = match algorithm.family() {
                Family::Hmac { .. } => PrivateKeyMaterial::Hmac(random(64)?),
                Family::Ed25519 => PrivateKeyMaterial::Ed25519(random(32)?),
                Family::Ec(curve) => PrivateKeyMaterial::Ec(random(curve.length())?),
                Family::Rsa => rsa().ok_or_else(|| failed("an RSA key could not be generated"))?,
            };
            let key = Self::from_parts(kid.clone(), algorithm, &private, None);
            // FIPS 186-5 §A.2.2: a scalar of zero, or not below the order, is drawn again. For
            // P-256 the probability is one in 2³², so a second failure has another reason.
            attempts += 1;
            if key.is_ok() || attempts == 2 || !matches!(private, PrivateKeyMaterial::Ec(_)) {
                return key;
            }
        }
    }
}

fn random(length: usize) -> Result<Secret, ConfigError> {
    let mut bytes = Zeroizing::new(vec![0; length]);
    OsRandom.fill(&mut bytes).map_err(|_| failed("the random source failed"))?;
    Ok(bytes)
}

#[cfg(feature = "aws-lc-rs")]
fn rsa() -> Option<PrivateKeyMaterial> {
    use aws_lc_rs::{
        encoding::{AsDer as _, Pkcs8V1Der},
        rsa::{KeyPair, KeySize},
    };

    use crate::engine::keys::pkcs;

    let pair = KeyPair::generate(KeySize::Rsa2048).ok()?;
    let file: Pkcs8V1Der<'_> = pair.as_der().ok()?;
    pkcs::private_key(file.as_ref(), Algorithm::Rs256).ok().map(|(private, _)| private)
}

#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
fn rsa() -> Option<PrivateKeyMaterial> {
    use getrandom::SysRng;
    use rsa::{PrivateKey, pkcs1::EncodeRsaPrivateKey as _};

    use crate::engine::keys::pkcs;

    let file = PrivateKey::new(&mut SysRng, 2048).ok()?.to_pkcs1_der().ok()?;
    pkcs::rsa_private_key(file.as_bytes()).ok()
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
fn rsa() -> Option<PrivateKeyMaterial> {
    None
}

fn failed(value: &'static str) -> ConfigError {
    ConfigError::one("key", value, "check the platform's random source and the crate's features")
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests {
    use crate::engine::keys::key_ring::KeyRing;
    use crate::key_sources::generate::*;

    #[test]
    fn generated_key_signs_with_every_algorithm() {
        for algorithm in Algorithm::ALL {
            // One RSA key is enough: the others are generated in the same way, and take seconds.
            if algorithm.family() == Family::Rsa && algorithm != Algorithm::Ps256 {
                continue;
            }
            let key = SigningKey::generate("new", algorithm).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            if algorithm.family() != Family::Rsa {
                let other = SigningKey::generate("new", algorithm).unwrap();
                assert!(!other.verifying_key().verify(b"m", &key.sign(b"m").unwrap()));
            }
            assert_eq!(KeyRing::new(key).problems(), []);
        }
        assert!(SigningKey::generate("a b", Algorithm::Hs256).is_err());
    }
}
