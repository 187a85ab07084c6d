use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::engine::keys::{
    jwk::*,
    key::{SigningKey, VerifyingKey},
};

/// RFC 7515 §A.3.
fn p256() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
    })
}

/// RFC 8037 §A.1.
fn ed25519() -> Value {
    json!({
        "kty": "OKP", "crv": "Ed25519", "kid": "k",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
    })
}

fn oct() -> Value {
    json!({ "kty": "oct", "alg": "HS256", "kid": "k", "k": "aFR6OXYyUXAwc1hhN0xtUjRrSmM4V2ZZMWJOZzZVZUQ" })
}

fn rsa() -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/wycheproof");
    let file: Value =
        serde_json::from_slice(&fs::read(folder.join("json_web_key_test.json")).unwrap()).unwrap();
    file["testGroups"][3]["private"]["keys"][0].clone()
}

/// `key` with members changed, or removed by `null`.
fn with(mut key: Value, changes: &Value) -> Value {
    let members = key.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap().clone() {
        members.insert(name, value);
    }
    members.retain(|_, value| !value.is_null());
    key
}

fn public(key: Value) -> Value {
    let none = json!({ "d": null, "p": null, "q": null, "dp": null, "dq": null, "qi": null });
    with(key, &none)
}

fn signs(key: &Value) -> Result<SigningKey, ConfigError> {
    SigningKey::from_jwk(&key.to_string())
}

fn verifies(key: &Value) -> Result<VerifyingKey, ConfigError> {
    VerifyingKey::from_jwk(&key.to_string())
}

#[test]
fn jwk_from_the_rfcs_loads_with_matching_halves() {
    for (key, algorithm) in [
        (p256(), Algorithm::Es256),
        (with(p256(), &json!({ "alg": null })), Algorithm::Es256),
        (ed25519(), Algorithm::EdDsa),
        (
            with(ed25519(), &json!({ "alg": "EdDSA", "use": "sig", "key_ops": ["sign"] })),
            Algorithm::EdDsa,
        ),
        (oct(), Algorithm::Hs256),
        (with(oct(), &json!({ "key_ops": ["verify", "sign"], "ext": true })), Algorithm::Hs256),
        (rsa(), Algorithm::Rs256),
        (with(rsa(), &json!({ "alg": "PS512" })), Algorithm::Ps512),
    ] {
        let signing = signs(&key).unwrap();
        let operations = if key["kty"] == "oct" { &key["key_ops"] } else { &Value::Null };
        let verifying =
            verifies(&with(public(key.clone()), &json!({ "key_ops": operations }))).unwrap();
        assert_eq!((signing.algorithm(), verifying.algorithm()), (algorithm, algorithm));
        assert!(verifying.verify(b"message", &signing.sign(b"message").unwrap()), "{key}");
    }
}

#[test]
fn jwk_with_conflicting_members_is_rejected() {
    let zero = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (key, field) in [
        (with(p256(), &json!({ "kty": null })), "kty"),
        (with(p256(), &json!({ "kty": "RSA" })), "kty"),
        (with(p256(), &json!({ "kty": "ec" })), "kty"),
        (with(p256(), &json!({ "crv": null })), "kty"),
        (with(p256(), &json!({ "crv": "P-384" })), "alg"),
        (with(p256(), &json!({ "crv": "secp256k1" })), "kty"),
        (with(p256(), &json!({ "crv": 256 })), "kty"),
        (with(p256(), &json!({ "alg": "ES384" })), "alg"),
        (with(p256(), &json!({ "alg": "HS256" })), "alg"),
        (with(p256(), &json!({ "alg": "none" })), "alg"),
        (with(p256(), &json!({ "alg": ["ES256"] })), "alg"),
        (with(p256(), &json!({ "use": "enc" })), "use"),
        (with(p256(), &json!({ "use": ["sig"] })), "use"),
        (with(p256(), &json!({ "key_ops": [] })), "key_ops"),
        (with(p256(), &json!({ "key_ops": ["encrypt"] })), "key_ops"),
        (with(p256(), &json!({ "key_ops": ["sign", "verify", "deriveKey"] })), "key_ops"),
        (with(p256(), &json!({ "key_ops": ["sign", "sign"] })), "key_ops"),
        (with(p256(), &json!({ "key_ops": ["sign, verify"] })), "key_ops"),
        (with(p256(), &json!({ "key_ops": "sign" })), "key_ops"),
        (with(oct(), &json!({ "kid": null })), "kid"),
        (with(p256(), &json!({ "kid": "" })), "kid"),
        (with(p256(), &json!({ "kid": 7 })), "kid"),
        (with(p256(), &json!({ "k": zero })), "k"),
        (with(p256(), &json!({ "p": "AQ" })), "p"),
        (with(p256(), &json!({ "x": null })), "jwk"),
        (with(p256(), &json!({ "x": "AQ" })), "jwk"),
        (with(p256(), &json!({ "d": "AQ" })), "private key"),
        (with(p256(), &json!({ "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI=" })), "jwk"),
        (with(p256(), &json!({ "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LJ" })), "jwk"),
        (with(p256(), &json!({ "d": "jpsQnnGQmL+YBIffH1136cspYG6+0iY7X1fCE9+E9LI" })), "jwk"),
        (with(ed25519(), &json!({ "kty": "EC" })), "kty"),
        (with(ed25519(), &json!({ "crv": "X25519" })), "kty"),
        (with(ed25519(), &json!({ "alg": "ES256" })), "alg"),
        (with(ed25519(), &json!({ "d": "AQ" })), "private key"),
        (with(oct(), &json!({ "alg": null })), "alg"),
        (with(oct(), &json!({ "alg": "A256GCM" })), "alg"),
        (with(oct(), &json!({ "alg": "HS512" })), "secret"),
        (with(oct(), &json!({ "crv": "P-256" })), "kty"),
        (with(oct(), &json!({ "d": "AQ" })), "d"),
        (with(oct(), &json!({ "k": "" })), "secret"),
        (with(oct(), &json!({ "k": zero })), "secret"),
        (with(rsa(), &json!({ "alg": null })), "alg"),
        (with(rsa(), &json!({ "alg": "ES256" })), "alg"),
        (with(rsa(), &json!({ "oth": [] })), "oth"),
        (with(rsa(), &json!({ "q": null })), "jwk"),
        (with(rsa(), &json!({ "e": "AAEAAQ" })), "jwk"),
        (with(rsa(), &json!({ "e": "Aw" })), "RSA public exponent"),
    ] {
        let error = signs(&key).unwrap_err();
        assert_eq!(error.problems()[0].field(), field, "{error} in {key}");
    }
    let several =
        signs(&json!({ "kty": "EC", "crv": "P-256", "alg": "RS256", "use": "enc", "kid": "" }));
    assert_eq!(several.unwrap_err().problems().len(), 3);
}

#[test]
fn verifying_key_from_jwk_with_private_members_is_rejected() {
    for key in [p256(), ed25519(), rsa()] {
        let names = ["d", "p", "q", "dp", "dq", "qi"];
        let expected = names.iter().filter(|name| key.get(name).is_some()).count();
        assert_eq!(verifies(&key).unwrap_err().problems().len(), expected, "{key}");
        for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            let key = with(public(key.clone()), &json!({ name: "AQ" }));
            assert_eq!(verifies(&key).unwrap_err().problems()[0].field(), name, "{key}");
        }
    }
}

#[test]
fn jwk_key_ops_restrict_signing_and_verification() {
    let only = |operation: &str| json!({ "key_ops": [operation] });
    assert!(
        signs(&with(oct(), &only("sign"))).is_ok()
            && verifies(&with(oct(), &only("sign"))).is_err()
    );
    assert!(
        signs(&with(oct(), &only("verify"))).is_err()
            && verifies(&with(oct(), &only("verify"))).is_ok()
    );
}

#[test]
fn jwk_with_public_part_of_another_key_is_rejected() {
    let (x, other) = (json!({ "x": "fU0Of2FTpptiQrUiq77mhf2kQg-INLEIw72uNp71Sfo" }), "AQAC");
    assert!(verifies(&public(with(ed25519(), &x))).is_ok());
    assert_eq!(signs(&with(ed25519(), &x)).unwrap_err().problems()[0].field(), "private key");
    let n = rsa()["n"].as_str().unwrap().replace("kqGb", "kqGc");
    assert_eq!(
        signs(&with(rsa(), &json!({ "n": n }))).unwrap_err().problems()[0].field(),
        "private key"
    );
    assert!(signs(&with(rsa(), &json!({ "d": other }))).is_err());
    // x and y of the RFC's key with the sign of y changed: a point on the curve, but another key.
    let key = p256();
    let swapped = with(key.clone(), &json!({ "x": key["y"], "y": key["x"] }));
    assert!(signs(&swapped).is_err() && verifies(&public(swapped)).is_err());
}

#[test]
fn jwk_with_repeated_member_is_rejected() {
    let text = public(p256()).to_string();
    assert!(VerifyingKey::from_jwk(&text).is_ok());
    for twice in [
        r#","kid":"k"}"#,
        r#","kid":"other"}"#,
        r#","\u006bid":"k"}"#,
        r#","a":1,"a":1}"#,
        r#","alg":"ES256"}"#,
    ] {
        let text = format!("{}{twice}", text.strip_suffix('}').unwrap());
        let error = VerifyingKey::from_jwk(&text).unwrap_err();
        assert!(error.to_string().contains("a duplicate member"), "{error}");
    }
    for bad in ["", "null", "[]", "{", "{} {}", r#"["EC"]"#, "\u{feff}{}"] {
        assert!(VerifyingKey::from_jwk(bad).is_err() && SigningKey::from_jwk(bad).is_err());
    }
}
