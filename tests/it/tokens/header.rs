//! Token headers with any content and a valid signature.

use super::*;

/// RFC 8725 §3.11: a token for another purpose is not a session token.
#[test]
fn token_with_another_typ_is_rejected() {
    let (probe, forge) = (probe(), TokenForge::new("k1"));
    for typ in [
        json!("JWT"),
        json!("jwt"),
        json!("at+jwt"),
        json!("application/session+jwt"),
        json!("application/at+jwt"),
        json!("refresh+jwt"),
        json!("csrf+jwt"),
        json!("flash+jwt"),
        json!("logout+jwt"),
        json!("dpop+jwt"),
        json!("Session+jwt"),
        json!("session+JWT"),
        json!("SESSION+JWT"),
        json!("session+jwt "),
        json!(" session+jwt"),
        json!("session+jwt\0"),
        json!("session jwt"),
        json!("session%2Bjwt"),
        json!("session+jws"),
        json!("session"),
        json!(""),
    ] {
        let mut header = forge.header();
        header["typ"] = typ;
        let token = forge.sign(header.to_string(), claims().to_string());
        assert_eq!(token_error(&present(&probe, &token)), TokenError::Type, "{header}");
    }
    let mut header = forge.header();
    header.as_object_mut().unwrap().remove("typ");
    let token = forge.sign(header.to_string(), claims().to_string());
    assert_eq!(token_error(&present(&probe, &token)), TokenError::Type);
    for typ in [json!(null), json!(1), json!(["session+jwt"]), json!({}), json!(true)] {
        header["typ"] = typ;
        let token = forge.sign(header.to_string(), claims().to_string());
        assert_eq!(token_error(&present(&probe, &token)), TokenError::Header, "{header}");
    }
}

/// RFC 7515 §4.1.11, RFC 8725 §3.10: unknown parameters are rejected and URLs are not fetched.
#[test]
fn header_with_other_members_than_alg_typ_kid_is_rejected() {
    let (probe, forge) = (probe(), TokenForge::new("k1"));
    let check_rejected = |header: &str| {
        let token = forge.sign(header, claims().to_string());
        assert_eq!(token_error(&present(&probe, &token)), TokenError::Header, "{header}");
    };
    let valid = forge.header().to_string();
    let inside = &valid[1..valid.len() - 1];
    for member in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""crit":null"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""zip":"DEF""#,
        r#""enc":"A256GCM""#,
        r#""cty":"JWT""#,
        r#""jwk":{"kty":"oct","alg":"HS256","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        r#""jku":"https://evil.example/keys""#,
        r#""x5u":"https://evil.example/cert""#,
        r#""x5c":["AAAA"]"#,
        r#""x5t":"AAAA""#,
        r#""x5t#S256":"AAAA""#,
        r#""iss":"us""#,
        r#""p2c":99999999"#,
        r#""apu":"AA""#,
        r#""epk":{}"#,
        r#""nonce":"n""#,
        r#""url":"u""#,
        r#""ALG":"HS256""#,
        r#""":"""#,
        r#""\u0000":"""#,
        r#""alg":"HS256""#,
        r#""alg":"none""#,
        r#""\u0061lg":"HS256""#,
        r#""kid":"k1""#,
        r#""kid":"k2""#,
        r#""typ":"session+jwt""#,
        r#""typ":"JWT""#,
    ] {
        check_rejected(&format!("{{{inside},{member}}}"));
        check_rejected(&format!("{{{member},{inside}}}"));
    }
    for header in [
        "",
        "{}",
        "null",
        "[]",
        "\"\"",
        &format!("[{valid}]"),
        &format!("{valid}{valid}"),
        &format!("{valid},"),
        &format!("\u{feff}{valid}"),
        &format!("{valid}\0"),
        &valid[..valid.len() - 1],
        r#"["HS256","session+jwt","k1"]"#,
        r#"{"alg":"HS256","typ":"session+jwt"}"#,
        r#"{"typ":"session+jwt","kid":"k1"}"#,
        r#"{"alg":null,"typ":"session+jwt","kid":"k1"}"#,
        r#"{"alg":"HS256","typ":"session+jwt","kid":null}"#,
        r#"{"alg":"HS256","typ":"session+jwt","kid":1}"#,
        r#"{"alg":["HS256"],"typ":"session+jwt","kid":"k1"}"#,
        r#"{"alg":"HS256","typ":"session+jwt","kid":"k1\ud800"}"#,
        r#"{'alg':'HS256','typ':'session+jwt','kid':'k1'}"#,
        r#"{"alg":"HS256","typ":"session+jwt","kid":"k1",}"#,
        r#"{"alg":"HS256","typ":"session+jwt","kid":"k1"}//"#,
    ] {
        check_rejected(header);
    }
    let token = forge.sign([valid.as_bytes(), b"\xff"].concat(), claims().to_string());
    assert_eq!(token_error(&present(&probe, &token)), TokenError::Header);
}

/// RFC 8725 §3.1: the key decides the algorithm, and the token's must match.
#[test]
fn token_with_another_algorithm_than_its_key_is_rejected() {
    let (probe, forge) = (probe(), TokenForge::new("k1"));
    for alg in [
        "none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS384", "HS512", "RS256", "ES256",
        "EdDSA", "PS256", "dir", "A256KW", "HS256\0",
    ] {
        let mut header = forge.header();
        header["alg"] = json!(alg);
        let token = forge.sign(header.to_string(), claims().to_string());
        assert_eq!(token_error(&present(&probe, &token)), TokenError::Algorithm, "{alg}");
        let unsigned = &token[..=token.rfind('.').unwrap()];
        present(&probe, unsigned).assert_signed_out();
    }
    let token = forge.session(&claims());
    let unsigned = &token[..=token.rfind('.').unwrap()];
    assert_eq!(token_error(&present(&probe, unsigned)), TokenError::Signature);
    // A truncated tag is rejected.
    let tag = forge.signature(&token.as_bytes()[..token.rfind('.').unwrap()]);
    for length in [0, 1, 10, 16, 31] {
        let truncated = format!("{unsigned}{}", encode(&tag[..length]));
        assert_eq!(token_error(&present(&probe, &truncated)), TokenError::Signature, "{length}");
    }
}

/// CVE-2015-9235: a public key must not be accepted as an HMAC secret.
#[test]
fn hmac_with_the_public_key_is_rejected() {
    let pem = include_str!("../../vectors/keys/ed25519.pem");
    let key = SigningKey::from_pem("k1", Algorithm::EdDsa, pem).unwrap();
    let probe = Probe::new(SessionEngine::<User>::builder(KeyRing::new(key)));
    let forge = TokenForge::ed25519("k1", pem);
    let good = forge.session(&claims());
    assert!(present(&probe, &good).session.is_some());
    let public = include_str!("../../vectors/keys/ed25519.pub.pem");
    let forger = TokenForge::with_secret("k1", public.as_bytes());
    assert_eq!(token_error(&present(&probe, &forger.session(&claims()))), TokenError::Algorithm);
    let with_eddsa_header = forger.sign(forge.header().to_string(), claims().to_string());
    assert_eq!(token_error(&present(&probe, &with_eddsa_header)), TokenError::Signature);
    // Ed25519 signatures with s + L are other bytes for the same point (RFC 8032 §8.4).
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let mut signature = decode(signature);
    add_order(&mut signature[32..]);
    let again = format!("{signed}.{}", encode(signature));
    assert_eq!(token_error(&present(&probe, &again)), TokenError::Signature);
}

fn decode(text: &str) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Adds the order of the curve's group, little-endian.
fn add_order(scalar: &mut [u8]) {
    let order: [u8; 16] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14,
    ];
    let mut carry = 0;
    for (index, byte) in scalar.iter_mut().enumerate() {
        let add = order.get(index).copied().unwrap_or(if index == 31 { 0x10 } else { 0 });
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}

/// RFC 8725 §3.10: a `kid` is looked up in the key ring only.
#[test]
fn token_with_an_unknown_kid_is_rejected() {
    let (probe, forge) = (probe(), TokenForge::new("k1"));
    for kid in [
        "k2",
        "K1",
        "k1 ",
        " k1",
        "k",
        "k11",
        "",
        "k1\0",
        "../../x",
        "/dev/null",
        "' OR 1=1--",
        "http://evil.example",
        "k1,k2",
        "*",
        "\u{feff}k1",
    ] {
        let mut header = forge.header();
        header["kid"] = json!(kid);
        let token = forge.sign(header.to_string(), claims().to_string());
        assert_eq!(token_error(&present(&probe, &token)), TokenError::UnknownKey, "{kid:?}");
    }
    let mut header = forge.header();
    header["kid"] = json!("k".repeat(2_000));
    let token = forge.sign(header.to_string(), claims().to_string());
    assert_eq!(token_error(&present(&probe, &token)), TokenError::Header, "longer than any kid");
}
