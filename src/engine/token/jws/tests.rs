use serde_json::json;

use crate::engine::{
    keys::{
        algorithm::Algorithm, backend as crypto, backend::Signer, material::PrivateKeyMaterial,
    },
    token::jws::*,
};

const TYP: &str = "session+jwt";
const MAX: usize = 4096;
const NOW: Timestamp = Timestamp::EPOCH;
const PAYLOAD: &[u8] = br#"{"sub":"ada"}"#;

fn hmac() -> SigningKey {
    SigningKey::hs256("k", "hTz9v2Qp0sXa7LmR4kJc8WfY1bNg6UeD").unwrap()
}

fn outcome(ring: &KeyRing, token: impl AsRef<[u8]>) -> Result<Vec<u8>, TokenError> {
    opened(ring, token.as_ref(), MAX)
}

fn opened(ring: &KeyRing, token: &[u8], most: usize) -> Result<Vec<u8>, TokenError> {
    let verified = verify(ring, token, Some(TYP), most, NOW)?;
    verified.payload()
}

/// A token with exactly this header, correctly signed.
fn with_header(key: &SigningKey, header: &str) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(PAYLOAD));
    format!("{signed}.{}", encode(&key.sign(signed.as_bytes()).unwrap()))
}

#[test]
fn signed_token_verifies_and_header_names_algorithm_and_kid() {
    for algorithm in Algorithm::ALL {
        let text = include_str!("../../../../tests/vectors/keys/rsa2048.pem");
        let key = match algorithm.name() {
            name if name.starts_with(['R', 'P']) => SigningKey::from_pem("k", algorithm, text),
            _ => SigningKey::generate("k", algorithm),
        };
        let key = key.unwrap();
        let ring = KeyRing::new(key.clone());
        for payload in [&b""[..], b"{}", PAYLOAD, &[0xff; 300]] {
            let token = sign(&key, TYP, payload).unwrap();
            let opened = outcome(&ring, &token).unwrap();
            assert_eq!(opened, payload, "{algorithm}");
            let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
            let expected = format!(r#"{{"alg":"{algorithm}","typ":"session+jwt","kid":"k"}}"#);
            assert_eq!(str::from_utf8(&header).unwrap(), expected);
            // Reading this crate's own headers copies nothing.
            let read: Header<'_> = serde_json::from_slice(&header).unwrap();
            assert!(matches!(read.kid, Cow::Borrowed(_)) && matches!(read.alg, Cow::Borrowed(_)));
        }
    }
}

#[test]
fn token_with_any_visible_kid_verifies() {
    let kid: String = ('!'..='~').filter(|c| !c.is_ascii_alphanumeric()).collect();
    let key = SigningKey::hs256(kid, "hTz9v2Qp0sXa7LmR4kJc8WfY1bNg6UeD").unwrap();
    let token = sign(&key, TYP, PAYLOAD).unwrap();
    assert_eq!(outcome(&KeyRing::new(key), token).unwrap(), PAYLOAD);
}

#[test]
fn token_with_one_changed_bit_is_rejected() {
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256] {
        let key = SigningKey::generate("k", algorithm).unwrap();
        let ring = KeyRing::new(key.clone());
        let token = sign(&key, TYP, PAYLOAD).unwrap().into_bytes();
        for place in 0..token.len() {
            for bit in 0..8 {
                let mut token = token.clone();
                token[place] ^= 1 << bit;
                assert!(outcome(&ring, token).is_err(), "{algorithm} {place} {bit}");
            }
            assert!(outcome(&ring, &token[..place]).is_err());
        }
    }
}

#[test]
fn token_header_with_other_members_is_rejected() {
    let key = hmac();
    let ring = KeyRing::new(key.clone());
    let refused = |header: &str, error| {
        assert_eq!(outcome(&ring, with_header(&key, header)), Err(error), "{header}");
    };
    assert!(
        outcome(&ring, with_header(&key, r#"{"alg":"HS256","typ":"session+jwt","kid":"k"}"#))
            .is_ok()
    );
    assert!(
        outcome(
            &ring,
            with_header(&key, r#" { "k\u0069d":"\u006b" , "typ":"session+jwt","alg":"HS256" }"#)
        )
        .is_ok()
    );
    for member in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""zip":"DEF""#,
        r#""enc":"A128GCM""#,
        r#""cty":"JWT""#,
        r#""jku":"https://evil.example/""#,
        r#""jwk":{"kty":"oct","k":"AA"}"#,
        r#""x5u":"https://evil.example/""#,
        r#""x5c":[]"#,
        r#""x5t":"AA""#,
        r#""x5t#S256":"AA""#,
        r#""nonce":"AA""#,
        r#""Alg":"HS256""#,
        r#""":"""#,
        r#""alg":"HS256""#,
        r#""alg":"none""#,
        r#""kid":"k""#,
        r#""typ":"session+jwt""#,
        r#""\u0061lg":"HS256""#,
        r#""k\u0069d":"other""#,
    ] {
        refused(
            &format!(r#"{{"alg":"HS256","typ":"session+jwt","kid":"k",{member}}}"#),
            TokenError::Header,
        );
        refused(
            &format!(r#"{{{member},"alg":"HS256","typ":"session+jwt","kid":"k"}}"#),
            TokenError::Header,
        );
    }
    for header in [
        "",
        "{}",
        "[]",
        "null",
        r#"["HS256","session+jwt","k"]"#,
        r#"{"alg":"HS256","typ":"session+jwt"}"#,
        r#"{"typ":"session+jwt","kid":"k"}"#,
        r#"{"alg":null,"typ":"session+jwt","kid":"k"}"#,
        r#"{"alg":"HS256","typ":null,"kid":"k"}"#,
        r#"{"alg":"HS256","typ":["session+jwt"],"kid":"k"}"#,
        r#"{"alg":"HS256","typ":"session+jwt","kid":7}"#,
        r#"{"alg":["HS256"],"typ":"session+jwt","kid":"k"}"#,
        r#"{"alg":"HS256","typ":"session+jwt","kid":"k"}}"#,
        r#"{"alg":"HS256","typ":"session+jwt","kid":"k",}"#,
        "\u{feff}{\"alg\":\"HS256\",\"typ\":\"session+jwt\",\"kid\":\"k\"}",
        &"[".repeat(300),
        &format!(r#"{{"alg":"HS256","typ":"session+jwt","kid":"k"{}}}"#, " ".repeat(HEADER_LENGTH)),
    ] {
        refused(header, TokenError::Header);
    }
    for typ in [
        "",
        "JWT",
        "at+jwt",
        "Session+jwt",
        "session+JWT",
        "session+jwt ",
        "application/session+jwt",
    ] {
        refused(&json!({ "alg": "HS256", "typ": typ, "kid": "k" }).to_string(), TokenError::Type);
    }
    refused(r#"{"alg":"HS256","kid":"k"}"#, TokenError::Type);
    for alg in ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS384", "EdDSA", "RS256"] {
        refused(&json!({ "alg": alg, "typ": TYP, "kid": "k" }).to_string(), TokenError::Algorithm);
    }
    let before = crypto::verifications();
    for kid in [
        "",
        "K",
        "k ",
        " k",
        "kk",
        "../../etc/passwd",
        "' OR 1=1--",
        "k\0",
        "\0",
        "ä",
        "https://evil.example/jwks",
        &"k".repeat(400),
    ] {
        refused(
            &json!({ "alg": "HS256", "typ": TYP, "kid": kid }).to_string(),
            TokenError::UnknownKey,
        );
    }
    refused(
        &json!({ "alg": "HS256", "typ": TYP, "kid": "k".repeat(10_000) }).to_string(),
        TokenError::TooLong,
    );
    assert_eq!(crypto::verifications(), before, "no key is tried for a kid that is not its own");
}

/// RFC 8725 §2.1: a public key must never work as a secret.
#[test]
fn token_signed_with_public_key_as_secret_is_rejected() {
    let file = include_str!("../../../../tests/vectors/keys/p256.pub.pem");
    let public = VerifyingKey::from_pem("k", Algorithm::Es256, file).unwrap();
    let ring = KeyRing::verify_only().with_key(public);
    let body: String = file.lines().filter(|line| !line.starts_with("---")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let point = der[der.len() - 65..].to_vec();
    for secret in [file.as_bytes(), file.trim_end().as_bytes(), &der, &point, &point[1..]] {
        let confused =
            Signer::new(Algorithm::Hs256, &PrivateKeyMaterial::Hmac(secret.to_vec().into()));
        for alg in ["HS256", "ES256"] {
            let header = json!({ "alg": alg, "typ": TYP, "kid": "k" }).to_string();
            let signed =
                format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(PAYLOAD));
            let mac = URL_SAFE_NO_PAD.encode(confused.sign(signed.as_bytes()).unwrap());
            let expected =
                if alg == "HS256" { TokenError::Algorithm } else { TokenError::Signature };
            assert_eq!(outcome(&ring, format!("{signed}.{mac}")), Err(expected));
        }
    }
}

#[test]
fn token_in_other_than_compact_form_is_rejected() {
    let key = hmac();
    let ring = KeyRing::new(key.clone());
    let token = sign(&key, TYP, PAYLOAD).unwrap();
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let members = json!({ "protected": header, "payload": payload, "signature": signature });
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        format!("{header}.{payload}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{header}.{payload}.{signature}.{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{header}.{payload}."),
        format!(".{payload}.{signature}"),
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("Bearer {token}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}==.{signature}"),
        token.replace('.', "%2E"),
        token.replace('.', "\u{ff0e}"),
        members.to_string(),
        json!({ "payload": payload, "signatures": [members] }).to_string(),
    ] {
        assert!(outcome(&ring, &bad).is_err(), "{bad}");
    }
    // 32 bytes are 43 characters, of which the last holds four bits: the two unused bits must be
    // zero.
    let last = signature.bytes().last().unwrap();
    for other in b'0'..=b'z' {
        let other = char::from(other);
        let bad = format!("{}{other}", &token[..token.len() - 1]);
        assert_eq!(outcome(&ring, bad).is_ok(), u32::from(last) == u32::from(other));
    }
}

#[test]
fn too_long_token_is_rejected_without_verification() {
    let key = hmac();
    let ring = KeyRing::new(key.clone());
    let before = crypto::verifications();
    for length in [MAX + 1, 1_000_000, 8_000_000] {
        let token = vec![b'a'; length];
        assert_eq!(outcome(&ring, token), Err(TokenError::TooLong));
        let token = sign(&key, TYP, &vec![b'a'; length]).unwrap();
        assert_eq!(outcome(&ring, token), Err(TokenError::TooLong));
    }
    assert_eq!(crypto::verifications(), before);
    let token = sign(&key, TYP, PAYLOAD).unwrap();
    let fits = |most| opened(&ring, token.as_bytes(), most).is_ok();
    assert!(fits(token.len()) && !fits(token.len() - 1));
    assert_eq!(crypto::verifications(), before + 1);
}

#[test]
fn token_of_another_key_with_same_kid_is_rejected() {
    let (one, two) =
        (SigningKey::generate("k", Algorithm::Es256), SigningKey::generate("k", Algorithm::Es256));
    let token = sign(&one.unwrap(), TYP, PAYLOAD).unwrap();
    assert_eq!(outcome(&KeyRing::new(two.unwrap()), token), Err(TokenError::Signature));
}

proptest::proptest! {
    #[test]
    fn token_of_any_bytes_is_rejected_without_panic(bytes: Vec<u8>, header: String, kid in "[ -~]{0,70}") {
        let ring = KeyRing::new(hmac());
        let token = |header: &str| {
            let [header, part] = [header.as_bytes(), &bytes].map(|part| URL_SAFE_NO_PAD.encode(part));
            format!("{header}.{part}.{part}")
        };
        let plausible = json!({ "alg": "HS256", "typ": TYP, "kid": kid }).to_string();
        for token in [bytes.clone(), token(&header).into(), token(&plausible).into()] {
            let refused = outcome(&ring, token).is_err();
            proptest::prop_assert!(refused);
        }
    }
}
