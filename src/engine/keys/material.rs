//! Key material, independent of file formats, and its validation.

use zeroize::Zeroizing;

use super::{
    algorithm::{Algorithm, Family},
    weak,
};
use crate::error::ConfigProblem;

/// Bytes that are zeroized on drop.
pub(crate) type Secret = Zeroizing<Vec<u8>>;

/// The private part of a key.
pub(crate) enum PrivateKeyMaterial {
    Hmac(Secret),
    /// The seed (RFC 8032 §5.1.5).
    Ed25519(Secret),
    /// The scalar, with the length of a coordinate.
    Ec(Secret),
    /// In the order of PKCS#1 (RFC 8017 §A.1.2).
    Rsa(RsaPrivate),
}

/// Big-endian numbers without leading zeros.
pub(crate) struct RsaPrivate {
    pub(crate) n: Vec<u8>,
    pub(crate) e: Vec<u8>,
    /// `d`, `p`, `q`, `dp`, `dq`, `qi`.
    pub(crate) rest: [Secret; 6],
}

/// The public part of a key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum PublicKeyMaterial {
    /// The secret that also signs.
    Hmac(Secret),
    Ed25519(Vec<u8>),
    /// The uncompressed point: `04`, x, y (SEC 1 §2.3.3).
    Ec(Vec<u8>),
    /// Big-endian numbers without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl PrivateKeyMaterial {
    /// The public part that the private part contains, if any.
    pub(crate) fn embedded_public_key(&self) -> Option<PublicKeyMaterial> {
        match self {
            Self::Hmac(secret) => Some(PublicKeyMaterial::Hmac(secret.clone())),
            Self::Rsa(key) => Some(PublicKeyMaterial::Rsa { n: key.n.clone(), e: key.e.clone() }),
            Self::Ed25519(_) | Self::Ec(_) => None,
        }
    }

    /// Why this key cannot be used for `algorithm`.
    pub(crate) fn problem(&self, algorithm: Algorithm) -> Option<ConfigProblem> {
        match (self, algorithm.family()) {
            (Self::Ed25519(seed), Family::Ed25519) => length("private key", seed, 32),
            (Self::Ec(scalar), Family::Ec(curve)) => length("private key", scalar, curve.length()),
            (Self::Hmac(_) | Self::Rsa(_), _) => self.embedded_public_key()?.problem(algorithm),
            _ => Some(other_kind(algorithm)),
        }
    }
}

impl PublicKeyMaterial {
    /// Why this key cannot be used for `algorithm`: lengths (RFC 7518 §3.2, §3.3, §6.2; RFC 8037
    /// §2; ASVS 11.2.3), and known weaknesses.
    pub(crate) fn problem(&self, algorithm: Algorithm) -> Option<ConfigProblem> {
        match (self, algorithm.family()) {
            (Self::Hmac(secret), Family::Hmac { length }) => hmac(secret, algorithm, length),
            (Self::Ed25519(point), Family::Ed25519) => {
                length("public key", point, 32).or_else(|| {
                    weak::is_small_order(point).then(|| {
                        ConfigProblem::new("public key", "a point of small order", GENERATE_NEW)
                    })
                })
            }
            (Self::Ec(point), Family::Ec(curve)) => {
                length("public key", point, 1 + 2 * curve.length()).or_else(|| {
                    (point.first() != Some(&4))
                        .then(|| ConfigProblem::new("public key", "not a point", GENERATE_NEW))
                })
            }
            (Self::Rsa { n, e }, Family::Rsa) => rsa(n, e),
            _ => Some(other_kind(algorithm)),
        }
    }
}

const GENERATE_NEW: &str = "this key is insecure: generate a new one";

fn hmac(secret: &[u8], algorithm: Algorithm, minimum: usize) -> Option<ConfigProblem> {
    if secret.len() < minimum {
        return Some(ConfigProblem::new(
            "secret",
            format!("{} bytes", secret.len()),
            format!(
                "{algorithm} needs {minimum} random bytes or more, the same in every process and after \
                 every restart: `openssl rand -base64 48` prints some"
            ),
        ));
    }
    if secret.starts_with(b"-----BEGIN ") {
        return Some(ConfigProblem::new(
            "secret",
            "a PEM file",
            "an HMAC secret is random bytes: load a PEM file with from_pem and its own algorithm",
        ));
    }
    weak::is_placeholder(secret)
        .then(|| ConfigProblem::new("secret", "a placeholder that can be guessed", GENERATE_NEW))
}

fn rsa(n: &[u8], e: &[u8]) -> Option<ConfigProblem> {
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !(2048..=4096).contains(&bits) {
        return Some(ConfigProblem::new(
            "RSA modulus",
            format!("{bits} bits"),
            "use 2048 to 4096 bits",
        ));
    }
    if e != [1, 0, 1] {
        return Some(ConfigProblem::new(
            "RSA public exponent",
            format!("{} bytes", e.len()),
            "only 65537 is accepted",
        ));
    }
    let even = n.last().is_none_or(|last| last % 2 == 0);
    (even || weak::is_roca(n))
        .then(|| ConfigProblem::new("RSA modulus", "known to be factorable", GENERATE_NEW))
}

fn length(field: &'static str, bytes: &[u8], length: usize) -> Option<ConfigProblem> {
    (bytes.len() != length).then(|| {
        ConfigProblem::new(
            field,
            format!("{} bytes", bytes.len()),
            format!("use exactly {length} bytes for this algorithm"),
        )
    })
}

fn other_kind(algorithm: Algorithm) -> ConfigProblem {
    ConfigProblem::new("algorithm", algorithm.name(), "this key is for another kind of algorithm")
}
