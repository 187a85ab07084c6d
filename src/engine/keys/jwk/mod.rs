//! Parsing JSON Web Keys and sets of them (RFC 7517). All members that state the use of a key must
//! agree.
//!
//! 1. No member appears twice (RFC 8259 §4). A key without a `kid` is named by its thumbprint; a
//!    symmetric key needs a `kid`.
//! 2. `kty`, `crv` and `alg` name one algorithm. `alg` may be absent only if `crv` determines it.
//! 3. `use` is `sig`, and `key_ops` contains `verify` (or `sign`, for a signing key) and no value
//!    but these two; both may be absent.
//! 4. Numbers and points are canonical base64url of the exact length (RFC 7518 §2, §6).
//! 5. A key for verification has no private members, unless it is symmetric.
//!
//! Members that no RFC defines for these keys are ignored, as RFC 7517 §4 requires. A certificate
//! in `x5c` or `x5u` is not used as a key, and nothing is ever fetched.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    algorithm::{Algorithm, Curve, Family},
    key_id::KeyId,
    material::{PrivateKeyMaterial, PublicKeyMaterial, RsaPrivate, Secret},
};
use crate::{
    engine::encoding::json::{JsonObject, UpTo},
    error::{ConfigError, ConfigProblem},
};

/// A parsed key; length and strength are not validated yet.
pub(crate) struct ParsedKey<T> {
    pub(crate) kid: KeyId,
    pub(crate) algorithm: Algorithm,
    pub(crate) part: T,
}

/// Parses a signing key: private or symmetric.
pub(crate) fn private_key(json: &str) -> Result<PrivateJwk, ConfigError> {
    Jwk::parse(json)?.signing()
}

/// Parses a verifying key: public or symmetric.
pub(crate) fn public_key(json: &str) -> Result<ParsedKey<PublicKeyMaterial>, ConfigError> {
    Jwk::parse(json)?.verifying()
}

/// The keys of a set, each with its own problems.
pub(crate) fn public_keys(
    json: &str,
) -> Result<Vec<Result<ParsedKey<PublicKeyMaterial>, ConfigError>>, ConfigError> {
    first_public_keys::<{ usize::MAX }>(json, None)
}

/// The first `MAX` keys of a set. An RSA key without `alg` is used for `rsa`.
pub(crate) fn first_public_keys<const MAX: usize>(
    json: &str,
    rsa: Option<Algorithm>,
) -> Result<Vec<Result<ParsedKey<PublicKeyMaterial>, ConfigError>>, ConfigError> {
    #[derive(Deserialize)]
    struct JwkSet<const MAX: usize> {
        keys: UpTo<MAX>,
    }
    // The derived implementation would accept an array of fields for an object.
    let set: Option<JwkSet<MAX>> =
        json.trim_start().starts_with('{').then(|| serde_json::from_str(json).ok()).flatten();
    let Some(set) = set else {
        return Err(ConfigError::one(
            "jwks",
            "not a JWK set",
            "a set is a JSON object with one `keys`, an array of objects (RFC 7517 §5)",
        ));
    };
    Ok(set.keys.0.into_iter().map(|members| Jwk(members).verifying_for(rsa)).collect())
}

/// A key as written in a file.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Jwk(JsonObject);

/// The parts of a signing key.
pub(crate) type PrivateJwk = ParsedKey<(PrivateKeyMaterial, Option<PublicKeyMaterial>)>;

impl Jwk {
    fn parse(json: &str) -> Result<Self, ConfigError> {
        serde_json::from_str(json).map(Self).map_err(|_| {
            ConfigError::one("jwk", "not a JSON object", "a JWK is a JSON object (RFC 7517 §4)")
        })
    }

    /// As [`private_key`].
    pub(crate) fn signing(&self) -> Result<PrivateJwk, ConfigError> {
        self.read("sign", None, |algorithm| {
            let private = match algorithm.family() {
                Family::Hmac { .. } => {
                    return Some((PrivateKeyMaterial::Hmac(self.bytes("k")?), None));
                }
                Family::Ed25519 => PrivateKeyMaterial::Ed25519(self.bytes("d")?),
                Family::Ec(_) => PrivateKeyMaterial::Ec(self.bytes("d")?),
                Family::Rsa => PrivateKeyMaterial::Rsa(RsaPrivate {
                    n: self.number("n")?.to_vec(),
                    e: self.number("e")?.to_vec(),
                    rest: [
                        self.number("d")?,
                        self.number("p")?,
                        self.number("q")?,
                        self.number("dp")?,
                        self.number("dq")?,
                        self.number("qi")?,
                    ],
                }),
            };
            Some((private, Some(self.public_part(algorithm)?)))
        })
    }

    /// As [`public_key`].
    pub(crate) fn verifying(&self) -> Result<ParsedKey<PublicKeyMaterial>, ConfigError> {
        self.verifying_for(None)
    }

    fn verifying_for(
        &self,
        rsa: Option<Algorithm>,
    ) -> Result<ParsedKey<PublicKeyMaterial>, ConfigError> {
        self.read("verify", rsa, |algorithm| self.public_part(algorithm))
    }

    /// Validates the common members, and parses the rest with `read`.
    fn read<T>(
        &self,
        operation: &str,
        rsa: Option<Algorithm>,
        read: impl Fn(Algorithm) -> Option<T>,
    ) -> Result<ParsedKey<T>, ConfigError> {
        let mut problems = Vec::new();
        if self.0.has_duplicates() {
            problems.push(problem("jwk", "a duplicate member", "keep one of them"));
        }
        let algorithm = self.algorithm(rsa).map_err(|problem| problems.push(problem)).ok();
        self.check_use(operation, &mut problems);
        let kid = self.text("kid").map_or(KeyId::THUMBPRINT, KeyId::from);
        if self.0.get("kid").is_some() && self.text("kid").is_none_or(str::is_empty) {
            problems.push(problem("kid", "not a string", "name the key, or remove `kid`"));
        }
        if let Some(algorithm) = algorithm {
            if self.0.get("kid").is_none() {
                problems.extend(kid.problem(algorithm));
            }
            self.check_members(algorithm, operation, &mut problems);
        }
        ConfigError::check(problems)?;
        algorithm
            .and_then(|algorithm| Some(ParsedKey { kid, algorithm, part: read(algorithm)? }))
            .ok_or_else(|| {
                ConfigError::one(
                    "jwk",
                    "a damaged key",
                    "write all members of its kind in base64url, without padding and \
                     leading zeros (RFC 7518 §6)",
                )
            })
    }

    fn algorithm(&self, rsa: Option<Algorithm>) -> Result<Algorithm, ConfigProblem> {
        let named = match self.0.get("alg") {
            None => None,
            Some(Value::String(name)) => Some(name.parse::<Algorithm>().map_err(|_| {
                problem("alg", name.as_str(), "use a supported signature algorithm")
            })?),
            Some(_) => {
                return Err(problem("alg", "not a string", "write the name of an algorithm"));
            }
        };
        let kind = (self.text("kty").unwrap_or("missing"), self.text("crv"));
        let implied = match kind {
            ("EC", Some("P-256")) => Some(Algorithm::Es256),
            ("EC", Some("P-384")) => Some(Algorithm::Es384),
            ("OKP", Some("Ed25519")) => Some(Algorithm::EdDsa),
            ("RSA", None) => rsa.filter(|_| named.is_none()),
            ("oct", None) => None,
            (kty, crv) => {
                let value = format!("{kty} {}", crv.unwrap_or_default());
                return Err(problem(
                    "kty",
                    value.trim_end(),
                    "use RSA, oct, EC with crv P-256 or P-384, or OKP with crv Ed25519",
                ));
            }
        };
        let algorithm = named.or(implied).ok_or_else(|| {
            problem("alg", "missing", "add it: an RSA or symmetric key does not determine it")
        })?;
        let kty = match algorithm.family() {
            Family::Hmac { .. } => "oct",
            Family::Ed25519 => "OKP",
            Family::Ec(_) => "EC",
            Family::Rsa => "RSA",
        };
        if kty != kind.0 || implied.is_some_and(|implied| implied != algorithm) {
            return Err(problem("alg", algorithm.name(), "it does not match `kty` and `crv`"));
        }
        Ok(algorithm)
    }

    /// Whether the members contain a secret.
    pub(crate) fn is_private(&self) -> bool {
        self.0.get("d").is_some() || self.0.get("k").is_some()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(crate) fn has_duplicates(&self) -> bool {
        self.0.has_duplicates()
    }

    fn check_use(&self, operation: &str, problems: &mut Vec<ConfigProblem>) {
        if self.0.get("use").is_some() && self.text("use") != Some("sig") {
            problems.push(problem(
                "use",
                self.text("use").unwrap_or("not a string"),
                "only keys for signatures are accepted: `sig`, or no `use`",
            ));
        }
        let fits = match self.0.get("key_ops") {
            None => true,
            Some(Value::Array(operations)) => {
                operations.iter().all(|one| one == "sign" || one == "verify")
                    && operations.iter().filter(|one| **one == operation).count() == 1
                    && operations.len() <= 2
            }
            Some(_) => false,
        };
        if !fits {
            problems.push(problem(
                "key_ops",
                "other operations",
                format!("list `{operation}` once, and only `sign` and `verify`"),
            ));
        }
    }

    /// Reports members of other kinds of key, and private members of a key that should be public.
    fn check_members(
        &self,
        algorithm: Algorithm,
        operation: &str,
        problems: &mut Vec<ConfigProblem>,
    ) {
        let private: &[&str] = match algorithm.family() {
            Family::Hmac { .. } => &["k"],
            Family::Ed25519 | Family::Ec(_) => &["d"],
            Family::Rsa => &["d", "p", "q", "dp", "dq", "qi"],
        };
        let allowed = operation == "sign" || algorithm.is_symmetric();
        for name in ["k", "d", "p", "q", "dp", "dq", "qi", "oth"] {
            if self.0.get(name).is_some() && !(allowed && private.contains(&name)) {
                problems.push(problem(
                    name,
                    "a private member",
                    "remove it: keep only the public members, and replace the key if it was \
                     published",
                ));
            }
        }
    }

    fn public_part(&self, algorithm: Algorithm) -> Option<PublicKeyMaterial> {
        Some(match algorithm.family() {
            Family::Hmac { .. } => PublicKeyMaterial::Hmac(self.bytes("k")?),
            Family::Ed25519 => PublicKeyMaterial::Ed25519(self.bytes("x")?.to_vec()),
            Family::Ec(curve) => {
                let (x, y) = (self.coordinate("x", curve)?, self.coordinate("y", curve)?);
                PublicKeyMaterial::Ec([&[4], x.as_slice(), y.as_slice()].concat())
            }
            Family::Rsa => PublicKeyMaterial::Rsa {
                n: self.number("n")?.to_vec(),
                e: self.number("e")?.to_vec(),
            },
        })
    }

    fn coordinate(&self, name: &str, curve: Curve) -> Option<Secret> {
        self.bytes(name).filter(|bytes| bytes.len() == curve.length())
    }

    /// A `Base64urlUInt`: the minimum number of bytes (RFC 7518 §2).
    fn number(&self, name: &str) -> Option<Secret> {
        self.bytes(name).filter(|bytes| bytes.first().is_some_and(|first| *first != 0))
    }

    fn bytes(&self, name: &str) -> Option<Secret> {
        URL_SAFE_NO_PAD.decode(self.text(name)?).ok().map(Zeroizing::new)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }
}

fn problem(
    field: &'static str,
    value: impl Into<String>,
    remedy: impl Into<String>,
) -> ConfigProblem {
    ConfigProblem::new(field, value, remedy)
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests;
