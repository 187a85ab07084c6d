//! [`Algorithm`]: the supported signature algorithms.

use std::{fmt, str::FromStr};

use crate::error::ConfigError;

/// A signature algorithm of RFC 7518 §3.1 or RFC 8037 §3.1.
///
/// It is a property of a key, fixed when the key is loaded (RFC 8725 §3.1). The header of a token
/// is only compared with it.
///
/// ```
/// use tower_auth_session::Algorithm;
///
/// assert_eq!(Algorithm::EdDsa.name(), "EdDSA");
/// assert!(Algorithm::Hs256.is_symmetric());
/// assert_eq!("ES256".parse(), Ok(Algorithm::Es256));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256, a secret of 32 bytes or more.
    Hs256,
    /// HMAC with SHA-384, a secret of 48 bytes or more.
    Hs384,
    /// HMAC with SHA-512, a secret of 64 bytes or more.
    Hs512,
    /// Ed25519.
    EdDsa,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256, a modulus of 2048 to 4096 bits.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384, a modulus of 2048 to 4096 bits.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512, a modulus of 2048 to 4096 bits.
    Rs512,
    /// RSASSA-PSS with SHA-256, a modulus of 2048 to 4096 bits.
    Ps256,
    /// RSASSA-PSS with SHA-384, a modulus of 2048 to 4096 bits.
    Ps384,
    /// RSASSA-PSS with SHA-512, a modulus of 2048 to 4096 bits.
    Ps512,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 12] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::EdDsa,
        Self::Es256,
        Self::Es384,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
    ];

    /// The name in JOSE headers and keys, such as `HS256` or `EdDSA`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
        }
    }

    /// Whether one secret both signs and verifies, so that every verifier can also sign.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self.family(), Family::Hmac { .. })
    }

    pub(crate) const fn is_rsa(self) -> bool {
        matches!(self.family(), Family::Rsa)
    }

    pub(crate) const fn family(self) -> Family {
        match self {
            Self::Hs256 => Family::Hmac { length: 32 },
            Self::Hs384 => Family::Hmac { length: 48 },
            Self::Hs512 => Family::Hmac { length: 64 },
            Self::EdDsa => Family::Ed25519,
            Self::Es256 => Family::Ec(Curve::P256),
            Self::Es384 => Family::Ec(Curve::P384),
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                Family::Rsa
            }
        }
    }
}

impl FromStr for Algorithm {
    type Err = ConfigError;

    /// Accepts the exact JOSE names: they are case-sensitive (RFC 7515 §4.1.1).
    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            ConfigError::one("algorithm", name, format!("use one of {names}"))
        })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The kind of key that an algorithm needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// A secret of at least `length` bytes, the length of the hash (RFC 7518 §3.2).
    Hmac {
        length: usize,
    },
    Ed25519,
    Ec(Curve),
    Rsa,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
}

impl Curve {
    /// Length of one coordinate, and of the private scalar, in bytes (RFC 7518 §6.2).
    pub(crate) const fn length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::keys::algorithm::*;

    #[test]
    fn algorithm_name_parses_only_in_exact_form() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            assert!(algorithm.name().to_lowercase().parse::<Algorithm>().is_err());
        }
        for bad in ["", "none", "None", "ES512", "ES256K", "Ed25519", "HS256 ", "A256GCM"] {
            assert!(bad.parse::<Algorithm>().is_err(), "{bad}");
        }
    }
}
