//! Headers of any content, correctly signed.

use super::*;

/// RFC 8725 §3.11: a token that was made for something else is no session's.
#[test]
fn a_token_of_another_purpose_is_no_session() {
    let (probe, mint) = (probe(), TokenForge::new("k1"));
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
        let mut header = mint.header();
        header["typ"] = typ;
        let token = mint.sign(header.to_string(), claims().to_string());
        assert_eq!(token_error(&present(&probe, &token)), TokenError::Type, "{header}");
    }
    let mut header = mint.header();
    header.as_object_mut().unwrap().remove("typ");
    let token = mint.sign(header.to_string(), claims().to_string());
    assert_eq!(token_error(&present(&probe, &token)), TokenError::Type);
    for typ in [json!(null), json!(1), json!(["session+jwt"]), json!({}), json!(true)] {
        header["typ"] = typ;
        let token = mint.sign(header.to_string(), claims().to_string());
        assert_eq!(token_error(&present(&probe, &token)), TokenError::Header, "{header}");
    }
}

/// RFC 7515 §4.1.11, RFC 8725 §3.10: what is not understood is refused, what points elsewhere is
/// not followed.
#[test]
fn a_header_has_three_members() {
    let (probe, mint) = (probe(), TokenForge::new("k1"));
    let refused = |header: &str| {
        let token = mint.sign(header, claims().to_string());
        assert_eq!(token_error(&present(&probe, &token)), TokenError::Header, "{header}");
    };
    let ours = mint.header().to_string();
    let inside = &ours[1..ours.len() - 1];
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
        refused(&format!("{{{inside},{member}}}"));
        refused(&format!("{{{member},{inside}}}"));
    }
    for header in [
        "",
        "{}",
        "null",
        "[]",
        "\"\"",
        &format!("[{ours}]"),
        &format!("{ours}{ours}"),
        &format!("{ours},"),
        &format!("\u{feff}{ours}"),
        &format!("{ours}\0"),
        &ours[..ours.len() - 1],
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
        refused(header);
    }
    let token = mint.sign([ours.as_bytes(), b"\xff"].concat(), claims().to_string());
    assert_eq!(token_error(&present(&probe, &token)), TokenError::Header);
}

/// RFC 8725 §3.1: the key has an algorithm, the token has a claim to one.
#[test]
fn the_algorithm_is_the_keys() {
    let (probe, mint) = (probe(), TokenForge::new("k1"));
    for alg in [
        "none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS384", "HS512", "RS256", "ES256",
        "EdDSA", "PS256", "dir", "A256KW", "HS256\0",
    ] {
        let mut header = mint.header();
        header["alg"] = json!(alg);
        let token = mint.sign(header.to_string(), claims().to_string());
        assert_eq!(token_error(&present(&probe, &token)), TokenError::Algorithm, "{alg}");
        let unsigned = &token[..=token.rfind('.').unwrap()];
        present(&probe, unsigned).assert_signed_out();
    }
    let token = mint.session(&claims());
    let unsigned = &token[..=token.rfind('.').unwrap()];
    assert_eq!(token_error(&present(&probe, unsigned)), TokenError::Signature);
    // A tag that is cut short is no tag.
    let tag = mint.signature(&token.as_bytes()[..token.rfind('.').unwrap()]);
    for length in [0, 1, 10, 16, 31] {
        let cut = format!("{unsigned}{}", encode(&tag[..length]));
        assert_eq!(token_error(&present(&probe, &cut)), TokenError::Signature, "{length}");
    }
}

/// CVE-2015-9235: a public key is public, so it must not be anybody's HMAC secret.
#[test]
fn a_public_key_is_no_secret() {
    let pem = include_str!("../../vectors/keys/ed25519.pem");
    let key = SigningKey::from_pem("k1", Algorithm::EdDsa, pem).unwrap();
    let probe = Probe::new(SessionEngine::<User>::builder(KeyRing::new(key)));
    let mint = TokenForge::ed25519("k1", pem);
    let good = mint.session(&claims());
    assert!(present(&probe, &good).session.is_some());
    let public = include_str!("../../vectors/keys/ed25519.pub.pem");
    let forger = TokenForge::with_secret("k1", public.as_bytes());
    assert_eq!(token_error(&present(&probe, &forger.session(&claims()))), TokenError::Algorithm);
    let posing = forger.sign(mint.header().to_string(), claims().to_string());
    assert_eq!(token_error(&present(&probe, &posing)), TokenError::Signature);
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
    for (place, byte) in scalar.iter_mut().enumerate() {
        let add = order.get(place).copied().unwrap_or(if place == 31 { 0x10 } else { 0 });
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}

/// RFC 8725 §3.10: a `kid` is looked for in the ring, and nowhere else.
#[test]
fn a_kid_names_a_key_of_the_ring() {
    let (probe, mint) = (probe(), TokenForge::new("k1"));
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
        let mut header = mint.header();
        header["kid"] = json!(kid);
        let token = mint.sign(header.to_string(), claims().to_string());
        assert_eq!(token_error(&present(&probe, &token)), TokenError::UnknownKey, "{kid:?}");
    }
    let mut header = mint.header();
    header["kid"] = json!("k".repeat(2_000));
    let token = mint.sign(header.to_string(), claims().to_string());
    assert_eq!(token_error(&present(&probe, &token)), TokenError::Header, "too long for ours");
}
