//! Project Wycheproof's vectors, whole files, through the readers and verifiers that all tokens and
//! keys use. Each test counts what it ran, so that no vector is skipped silently.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::jws;
use crate::{
    engine::keys::{algorithm::Algorithm, jwk, key::VerifyingKey, key_ring::KeyRing, pem},
    time::Timestamp,
};

/// Expected differences from `json_web_signature_test.json`, with reasons. No other result may
/// differ.
const DEVIATIONS: [(u64, &str, bool, &str); 8] = [
    (346, "valid", false, "PS384 token, and the key says `alg: PS256`: one key, one algorithm"),
    (350, "valid", false, "PS384 token, and the key says `alg: PS256`: one key, one algorithm"),
    (347, "valid", false, "ES512, which jsonwebtoken does not have, and the key says `ES521`"),
    (351, "valid", false, "ES512, which jsonwebtoken does not have, and the key says `ES521`"),
    (372, "valid", false, "a `?` in the header: no base64url (RFC 7515 §2)"),
    (373, "valid", false, "a `?` in the payload: no base64url (RFC 7515 §2)"),
    (367, "invalid", true, "the corpus lost its padding: byte for byte the valid vector 357"),
    (370, "invalid", true, "the corpus lost its padding: byte for byte the valid vector 357"),
];

#[test]
fn wycheproof_json_web_signatures_match() {
    let file = File::read("json_web_signature_test.json");
    let mut met = 0;
    let mut valid_357 = String::new();
    let executed = file.run(|group, test| {
        let ring = ring(group);
        let token = text(test, "jws");
        let accepted = ring.is_some_and(|ring| accepts(&ring, token));
        let (id, result) = (test["tcId"].as_u64().unwrap(), text(test, "result"));
        if id == 357 {
            valid_357 = token.to_owned();
        }
        match DEVIATIONS.iter().find(|deviation| deviation.0 == id) {
            Some((_, says, ours, why)) => {
                assert_eq!((result, accepted), (*says, *ours), "{id}: {why}");
                assert!(!accepted || token == valid_357, "{id}");
                met += 1;
            }
            None => assert_eq!(accepted, result == "valid", "{id} {}", test["comment"]),
        }
    });
    assert_eq!((executed, met), (401, DEVIATIONS.len()));
}

#[test]
fn wycheproof_json_web_keys_match() {
    let executed = File::read("json_web_key_test.json").run(|group, test| {
        let accepted = ring(group).is_some_and(|ring| accepts(&ring, text(test, "jws")));
        assert_eq!(accepted, text(test, "result") == "valid", "{}", test["tcId"]);
    });
    assert_eq!(executed, 26);
}

#[test]
fn wycheproof_ed25519_signatures_match() {
    assert_eq!(signatures("ed25519_test.json", Algorithm::EdDsa), 151);
}

#[test]
fn wycheproof_ecdsa_p256_signatures_match() {
    assert_eq!(signatures("ecdsa_secp256r1_sha256_p1363_test.json", Algorithm::Es256), 262);
}

#[test]
fn wycheproof_ecdsa_p384_signatures_match() {
    assert_eq!(signatures("ecdsa_secp384r1_sha384_p1363_test.json", Algorithm::Es384), 280);
}

#[test]
fn wycheproof_rsa_pkcs1_signatures_match() {
    assert_eq!(signatures("rsa_signature_2048_sha256_test.json", Algorithm::Rs256), 259);
}

#[test]
fn wycheproof_rsa_pss_signatures_match() {
    assert_eq!(signatures("rsa_pss_2048_sha256_mgf1_32_test.json", Algorithm::Ps256), 108);
}

#[test]
fn wycheproof_hmac_tags_match() {
    for (name, algorithm, length) in [
        ("hmac_sha256_test.json", Algorithm::Hs256, 32),
        ("hmac_sha384_test.json", Algorithm::Hs384, 48),
        ("hmac_sha512_test.json", Algorithm::Hs512, 64),
    ] {
        let (mut half, mut short) = (0, 0);
        let executed = File::read(name).run(|_, test| {
            let (secret, tag) = (hex(test, "key"), hex(test, "tag"));
            let key = match algorithm {
                Algorithm::Hs256 => VerifyingKey::hs256("k", &secret),
                Algorithm::Hs384 => VerifyingKey::hs384("k", &secret),
                _ => VerifyingKey::hs512("k", &secret),
            };
            let valid = text(test, "result") == "valid";
            if secret.len() < length {
                // RFC 7518 §3.2: a key as long as the hash or longer.
                assert!(key.is_err(), "{}", test["tcId"]);
                short += 1;
                return;
            }
            // RFC 7518 §3.2 has no truncated tags; the corpus marks them valid.
            half += usize::from(valid && tag.len() == length / 2);
            let expected = valid && tag.len() == length;
            assert_eq!(key.unwrap().verify(&hex(test, "msg"), &tag), expected, "{}", test["tcId"]);
        });
        assert_eq!((executed, half, short), (174, 30, 6), "{name}");
    }
}

/// Runs the vectors of a file of public keys, and returns their number.
fn signatures(name: &str, algorithm: Algorithm) -> usize {
    File::read(name).run(|group, test| {
        let key = public_key(group, algorithm);
        assert_eq!(
            key.verify(&hex(test, "msg"), &hex(test, "sig")),
            // "acceptable" is a missing NULL in PKCS#1, which no back end accepts.
            text(test, "result") == "valid",
            "{name} {}",
            test["tcId"]
        );
    })
}

/// The key of a group. Some RSA keys have the exponent 3, which the loader rejects: their vectors
/// bypass that rule.
fn public_key(group: &Value, algorithm: Algorithm) -> VerifyingKey {
    let file = text(group, "publicKeyPem");
    VerifyingKey::from_pem("k", algorithm, file).unwrap_or_else(|error| {
        assert!(error.to_string().contains("only 65537 is accepted"), "{error}");
        let part = pem::public_key(file.as_bytes(), algorithm).unwrap();
        VerifyingKey::assemble("k".into(), algorithm, &part)
    })
}

struct File(Value);

impl File {
    fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/wycheproof");
        Self(serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap())
    }

    fn run(&self, mut test: impl FnMut(&Value, &Value)) -> usize {
        let mut executed = 0;
        for group in self.0["testGroups"].as_array().unwrap() {
            for one in group["tests"].as_array().unwrap() {
                test(group, one);
                executed += 1;
            }
        }
        assert_eq!(self.0["numberOfTests"], executed);
        executed
    }
}

/// The ring for a group's tokens; `None` if the loader rejects its keys.
fn ring(group: &Value) -> Option<KeyRing> {
    let keys = group.get("public").unwrap_or_else(|| &group["private"]);
    let set = if keys.get("keys").is_some() { keys.clone() } else { json!({ "keys": [keys] }) };
    let ring = KeyRing::from_jwks(&set.to_string());
    if group["comment"] != "base64" {
        return ring.ok();
    }
    // The secret of this group is 32 zero bytes, which the loader rejects. Its vectors test base64,
    // so they bypass that rule.
    assert!(ring.unwrap_err().to_string().contains("a placeholder"));
    let key = jwk::public_key(&keys.to_string()).unwrap();
    let kid = key.kid.resolve(key.algorithm, &key.part).unwrap();
    Some(KeyRing::verify_only().with_key(VerifyingKey::assemble(kid, key.algorithm, &key.part)))
}

fn accepts(ring: &KeyRing, token: &str) -> bool {
    jws::verify(ring, token.as_bytes(), None, 100_000, Timestamp::EPOCH)
        .is_ok_and(|verified| verified.payload().is_ok())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn hex(value: &Value, name: &str) -> Vec<u8> {
    let digits = text(value, name).as_bytes();
    let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}
