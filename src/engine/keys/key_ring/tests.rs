use serde_json::{Value, json};

use crate::{
    engine::keys::{algorithm::Algorithm, key_ring::*},
    time::Timestamp,
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const SECRET: &str = "hTz9v2Qp0sXa7LmR4kJc8WfY1bNg6UeD";

fn hmac(kid: &str) -> SigningKey {
    SigningKey::hs256(kid, SECRET).unwrap()
}

/// The Ed25519 key of RFC 8037 §A.2.
fn ed25519(kid: &str) -> Value {
    json!({
        "kty": "OKP", "crv": "Ed25519", "kid": kid,
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    })
}

fn oct(kid: &str) -> Value {
    json!({ "kty": "oct", "alg": "HS256", "kid": kid, "k": "aFR6OXYyUXAwc1hhN0xtUjRrSmM4V2ZZMWJOZzZVZUQ" })
}

fn fields(problems: &[ConfigProblem]) -> Vec<&str> {
    problems.iter().map(ConfigProblem::field).collect()
}

#[test]
fn key_ring_finds_a_key_only_by_its_exact_kid() {
    let old = hmac("old");
    let ring = KeyRing::new(hmac("new")).with_key(old.verifying_key());
    let keys = ring.current();
    assert_eq!(keys.signing().unwrap().kid(), "new");
    assert_eq!(keys.verifying(b"old", NOW).unwrap().key().kid(), "old");
    assert_eq!(ring.kids(), ["new", "old"]);
    for bad in [&b""[..], b"ol", b"older", b"OLD", b"old\0", &[0xff; 64]] {
        assert!(keys.verifying(bad, NOW).is_none());
    }
    // Clones share one ring.
    let more = ring.clone().with_key(hmac("more").verifying_key());
    assert_eq!(ring.kids(), more.kids());
}

#[test]
fn key_ring_problems_are_reported_by_the_ring() {
    let twice = KeyRing::new(hmac("k")).with_key(hmac("k").verifying_key());
    let problems = twice.problems();
    assert_eq!(fields(&problems)[0], "kid");
    let problems = KeyRing::verify_only().problems();
    assert_eq!(fields(&problems)[0], "keys");
    let one_missing_back_end = usize::from(!crypto::is_available());
    // Keys may have different algorithms in one ring, as in a migration.
    let ed25519 = SigningKey::generate("new", Algorithm::EdDsa).unwrap();
    let ring = KeyRing::new(ed25519).with_key(hmac("old").verifying_key());
    assert_eq!(ring.problems().len(), one_missing_back_end);
    assert_eq!(twice.problems().len(), 1 + one_missing_back_end);
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
#[test]
fn key_ring_without_crypto_backend_reports_one_problem() {
    let p256 = include_str!("../../../../tests/vectors/keys/p256.pem");
    let ed25519 = include_str!("../../../../tests/vectors/keys/ed25519.pem");
    for key in [
        SigningKey::from_pem("k", Algorithm::Es256, p256).unwrap(),
        SigningKey::from_pem("k", Algorithm::EdDsa, ed25519).unwrap(),
        SigningKey::generate("k", Algorithm::Es384).unwrap(),
        hmac("k"),
    ] {
        assert_eq!(key.sign(b"message"), Err(crypto::SignError::NoBackEnd));
        assert!(!key.verifying_key().verify(b"message", &[0; 64]));
        let problems = KeyRing::new(key).problems();
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert!(problem.remedy().contains("`aws-lc-rs` or `rust-crypto`"));
    }
}

/// One back end panics on such a key when it verifies. No loader accepts it.
#[test]
fn key_that_panics_in_self_test_is_reported_as_problem() {
    use crate::engine::keys::material::PublicKeyMaterial;
    let key =
        VerifyingKey::assemble("k".into(), Algorithm::EdDsa, &PublicKeyMaterial::Ed25519(vec![1]));
    let panics = !key.self_test();
    let ring = KeyRing::verify_only().with_key(key);
    assert_eq!(ring.problems().is_empty(), !panics && crypto::is_available());
}

#[test]
fn jwk_set_mixing_public_and_secret_keys_is_rejected() {
    let ring = |keys: Value| KeyRing::from_jwks(&json!({ "keys": keys, "more": 1 }).to_string());
    assert!(ring(json!([ed25519("a"), ed25519("b")])).unwrap().kids() == ["a", "b"]);
    assert!(ring(json!([oct("a"), oct("b")])).unwrap().current().signing().is_none());
    for (keys, expected) in [
        (json!([]), vec!["keys"]),
        (json!([oct("a"), ed25519("b")]), vec!["keys"]),
        (json!([ed25519("a"), ed25519("a")]), vec!["kid"]),
        (
            json!([{}, oct(""), ed25519("a"), ed25519("a"), oct("b")]),
            vec!["keys[0].kty", "keys[1].kid", "kid", "keys"],
        ),
    ] {
        assert_eq!(fields(ring(keys.clone()).unwrap_err().problems()), expected, "{keys}");
    }
    for bad in [
        "",
        "null",
        "[]",
        "[[]]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[1]}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[]} x"#,
        "\u{feff}{\"keys\":[]}",
    ] {
        assert!(KeyRing::from_jwks(bad).is_err(), "{bad}");
    }
}
