//! Public keys written as JSON Web Keys (RFC 7517), and their thumbprints (RFC 7638).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::{
    algorithm::{Algorithm, Curve, Family},
    backend as crypto,
    material::{PrivateKeyMaterial, PublicKeyMaterial},
};

/// The members of a JSON Web Key, in the order in which they are written.
struct JwkWriter<'a>(Vec<(&'static str, Member<'a>)>);

enum Member<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// A key with the members that state its use; `None` for a symmetric one.
pub(crate) fn published<'a>(
    kid: &'a str,
    algorithm: Algorithm,
    part: &'a PublicKeyMaterial,
) -> Option<impl Serialize + use<'a>> {
    let mut members = required(algorithm, part)?;
    members.0.extend([
        ("alg", Member::Text(algorithm.name())),
        ("kid", Member::Text(kid)),
        ("use", Member::Text("sig")),
    ]);
    Some(members)
}

/// A signing key with its private members, as text.
pub(crate) fn private(
    kid: &str,
    algorithm: Algorithm,
    public: Option<&PublicKeyMaterial>,
    private: &PrivateKeyMaterial,
) -> Option<Zeroizing<String>> {
    use Member::{Bytes, Text};
    let mut members = match private {
        PrivateKeyMaterial::Hmac(secret) => {
            JwkWriter(vec![("kty", Text("oct")), ("k", Bytes(secret))])
        }
        _ => required(algorithm, public?)?,
    };
    match private {
        PrivateKeyMaterial::Hmac(_) => {}
        PrivateKeyMaterial::Ed25519(d) | PrivateKeyMaterial::Ec(d) => {
            members.0.push(("d", Bytes(d)));
        }
        PrivateKeyMaterial::Rsa(key) => {
            let names = ["d", "p", "q", "dp", "dq", "qi"];
            members.0.extend(names.into_iter().zip(key.rest.iter().map(|number| Bytes(number))));
        }
    }
    members.0.extend([("alg", Text(algorithm.name())), ("kid", Text(kid)), ("use", Text("sig"))]);
    serde_json::to_string(&members).ok().map(Zeroizing::new)
}

/// The thumbprint with SHA-256; `None` for a secret, and without a back end.
pub(crate) fn thumbprint(algorithm: Algorithm, part: &PublicKeyMaterial) -> Option<String> {
    // RFC 7638 §3.3: the required members alone, in lexicographic order, without white space.
    let text = serde_json::to_vec(&required(algorithm, part)?).ok()?;
    crypto::sha256(&text).map(|digest| URL_SAFE_NO_PAD.encode(digest))
}

/// The required members of a key of this kind, in lexicographic order (RFC 7638 §3.2; RFC 8037 §2).
fn required(algorithm: Algorithm, part: &PublicKeyMaterial) -> Option<JwkWriter<'_>> {
    use Member::{Bytes, Text};
    Some(JwkWriter(match part {
        PublicKeyMaterial::Hmac(_) => return None,
        PublicKeyMaterial::Ed25519(point) => {
            vec![("crv", Text("Ed25519")), ("kty", Text("OKP")), ("x", Bytes(point))]
        }
        PublicKeyMaterial::Ec(point) => {
            let Family::Ec(curve) = algorithm.family() else { return None };
            let name = match curve {
                Curve::P256 => "P-256",
                Curve::P384 => "P-384",
            };
            let (x, y) = point.get(1..)?.split_at_checked(curve.length())?;
            vec![("crv", Text(name)), ("kty", Text("EC")), ("x", Bytes(x)), ("y", Bytes(y))]
        }
        PublicKeyMaterial::Rsa { n, e } => {
            vec![("e", Bytes(e)), ("kty", Text("RSA")), ("n", Bytes(n))]
        }
    }))
}

impl Serialize for JwkWriter<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, member)| (name, member)))
    }
}

impl Serialize for Member<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes)),
        }
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests {
    use serde_json::{Value, json};

    use crate::engine::keys::key::{SigningKey, VerifyingKey};
    use crate::engine::keys::public_jwk::*;

    fn from_jwk(jwk: &Value) -> VerifyingKey {
        VerifyingKey::from_jwk(&jwk.to_string()).unwrap()
    }

    #[test]
    fn jwk_thumbprint_matches_the_rfc_vectors() {
        // RFC 7638 §3.1.
        let rsa = json!({
            "kty": "RSA", "alg": "RS256", "e": "AQAB",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR\
                  1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4Qy\
                  Q5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD\
                  08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU\
                  8awapJzKnqDKgw",
        });
        assert_eq!(from_jwk(&rsa).kid(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        // RFC 8037 §A.3.
        let ed25519 = json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        });
        let thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(from_jwk(&ed25519).kid(), thumbprint);
        // A chosen name does not change the thumbprint.
        let mut named = ed25519;
        named["kid"] = "2026-11".into();
        let named = from_jwk(&named);
        assert_eq!((named.kid(), named.thumbprint().as_deref()), ("2026-11", Some(thumbprint)));
    }

    #[test]
    fn saved_key_signs_after_it_is_loaded() {
        let rsa = include_str!("../../../tests/vectors/keys/rsa2048.pem");
        for algorithm in Algorithm::ALL {
            let key = match algorithm.family() {
                Family::Rsa => SigningKey::from_pem("k", algorithm, rsa),
                _ => SigningKey::generate("k", algorithm),
            };
            let key = key.unwrap();
            let loaded = SigningKey::from_jwk(&key.to_private_jwk().unwrap()).unwrap();
            assert_eq!((loaded.kid(), loaded.algorithm()), ("k", algorithm));
            assert!(loaded.is_verified_by(key.verifying()), "{algorithm}");
            assert!(key.is_verified_by(loaded.verifying()), "{algorithm}");
        }
    }

    /// A published key is read back as the same key, by a reader that rejects private members.
    #[test]
    fn published_jwk_parses_as_the_same_public_key() {
        let rsa = include_str!("../../../tests/vectors/keys/rsa2048.pem");
        for algorithm in Algorithm::ALL {
            let key = match algorithm.family() {
                Family::Rsa => SigningKey::from_pem("k", algorithm, rsa),
                _ => SigningKey::generate("k", algorithm),
            };
            let key = key.unwrap().verifying_key();
            let Some(jwk) = key.public_jwk() else {
                assert!(algorithm.is_symmetric());
                continue;
            };
            assert!(!algorithm.is_symmetric());
            let read = VerifyingKey::from_jwk(&jwk).unwrap();
            assert!(read.is(&key), "{jwk}");
            let value: Value = serde_json::from_str(&jwk).unwrap();
            assert_eq!(value["use"], "sig");
            assert_eq!(value["alg"], algorithm.name());
        }
    }
}
