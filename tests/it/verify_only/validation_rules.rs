//! The validation rules for tokens of an external issuer, one per row.

use serde_json::{Value, json};
use tower_auth_session::{Algorithm, KeyRing, keys::VerifyingKey, verify_only::TrustedIssuer};

use super::issuer::{
    ISSUER, PAGE, RSA_PRIVATE, RSA_PUBLIC, Site, claims, forge, good, header, known, public, token,
    with,
};
use crate::support::{START, secret, token_forge::TokenForge};

const ADA: &str = "Ada";
const SIGNED_OUT: &str = "SignedOut";

async fn check(site: &Site, case: &str, token: &str, expected: &str) {
    assert_eq!(site.bearer(token).await, expected, "{case}: {}", site.reason());
}

#[tokio::test]
async fn external_token_with_an_invalid_format_is_rejected() {
    let site = Site::trusting([known()]);
    check(&site, "good", &good(), ADA).await;
    let parts: Vec<_> = good().split('.').map(str::to_owned).collect();
    let [head, payload, signature] = parts.as_slice() else { unreachable!() };
    for (case, token) in [
        ("a word", "whatever".to_owned()),
        ("null", "null".to_owned()),
        ("a number", "42".to_owned()),
        ("two parts", format!("{head}.{payload}")),
        ("five parts", format!("{head}.a.{payload}.b.{signature}")),
        ("no base64url", "aaa.bbb.ccc".to_owned()),
        ("no JSON", "YWJj.YWJj.YWJj".to_owned()),
        ("no signature", format!("{head}.{payload}.")),
        ("padded", format!("{head}.{payload}.{signature}==")),
        ("another last bit", format!("{head}.{payload}.{}B", &signature[..signature.len() - 1])),
        ("another payload", format!("{head}.{payload}A.{signature}")),
        ("longer than 8 KiB", format!("{head}.{}.{signature}", "A".repeat(8 * 1024))),
        ("twice", token(&header("k1"), &claims()).replace('.', ".A.")),
        ("an array", forge("k1").sign(header("k1").to_string(), "[1]")),
    ] {
        check(&site, case, &token, SIGNED_OUT).await;
    }
    let twice = format!(r#"{{"exp":9999999999,{}"#, &claims().to_string()[1..]);
    check(&site, "two exp", &forge("k1").sign(header("k1").to_string(), twice), SIGNED_OUT).await;
    let twice = r#"{"alg":"EdDSA","kid":"k1","kid":"k1"}"#;
    check(&site, "two kid", &forge("k1").sign(twice, claims().to_string()), SIGNED_OUT).await;
    let deep = with(claims(), "deep", serde_json::from_str(&nested(100)).unwrap());
    check(&site, "deep enough", &token(&header("k1"), &deep), ADA).await;
    let deep = claims().to_string().replacen('{', &format!(r#"{{"deep":{},"#, nested(200)), 1);
    check(&site, "too deep", &forge("k1").sign(header("k1").to_string(), deep), SIGNED_OUT).await;
}

fn nested(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

#[tokio::test]
async fn external_token_with_an_invalid_header_is_rejected() {
    let site = Site::trusting([known()]);
    let evil = json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" });
    for (name, value, expected) in [
        ("typ", Value::Null, ADA),
        ("typ", json!("JWT"), ADA),
        ("typ", json!(""), SIGNED_OUT),
        ("typ", json!("jwt"), SIGNED_OUT),
        ("typ", json!("Aloha"), SIGNED_OUT),
        ("typ", json!("at+jwt"), SIGNED_OUT),
        ("typ", json!("application/at+jwt"), SIGNED_OUT),
        ("typ", json!("session+jwt"), SIGNED_OUT),
        ("typ", json!(["JWT"]), SIGNED_OUT),
        ("alg", Value::Null, SIGNED_OUT),
        ("alg", json!(""), SIGNED_OUT),
        ("alg", json!("none"), SIGNED_OUT),
        ("alg", json!("Aloha"), SIGNED_OUT),
        ("alg", json!("eddsa"), SIGNED_OUT),
        ("alg", json!("RS256"), SIGNED_OUT),
        ("alg", json!("HS256"), SIGNED_OUT),
        ("kid", Value::Null, SIGNED_OUT),
        ("kid", json!("k2"), SIGNED_OUT),
        ("kid", json!(1), SIGNED_OUT),
        ("kid", json!("../../etc/passwd"), SIGNED_OUT),
        ("crit", json!(["exp"]), SIGNED_OUT),
        ("crit", json!([]), SIGNED_OUT),
        ("b64", json!(false), SIGNED_OUT),
        ("zip", json!("DEF"), SIGNED_OUT),
        ("enc", json!("A128GCM"), SIGNED_OUT),
        // Ignored, and URLs in them are not fetched.
        ("oiat", json!(START), ADA),
        ("cat", json!("cl_B7d4PD333AAA"), ADA),
        ("jku", json!("https://evil.example/jwks.json"), ADA),
        ("x5u", json!("https://evil.example/x5u"), ADA),
        ("x5t", json!("AAAA"), ADA),
        ("jwk", evil, ADA),
    ] {
        let header = with(header("k1"), name, value.clone());
        check(&site, &format!("{name} {value}"), &token(&header, &claims()), expected).await;
    }
    let session = "cl_B7d4PD111AAA";
    let strict = Site::trusting([known().token_categories([session, "cl_I7d4PD111III"])]);
    for (category, expected) in [
        (Value::Null, ADA),
        (json!(session), ADA),
        (json!("cl_I7d4PD111III"), ADA),
        (json!("cl_B7d4PD222AAA"), SIGNED_OUT),
        (json!("cl_B7d4PD333AAA"), SIGNED_OUT),
        (json!(1), SIGNED_OUT),
    ] {
        let header = with(header("k1"), "cat", category.clone());
        check(&strict, &category.to_string(), &token(&header, &claims()), expected).await;
    }
}

#[tokio::test]
async fn external_token_with_an_invalid_claim_is_rejected() {
    let site = Site::trusting([known()]);
    for (name, value, expected) in [
        ("iss", Value::Null, SIGNED_OUT),
        ("iss", json!("https://accounts.example.com/"), SIGNED_OUT),
        ("iss", json!("https://evil.example"), SIGNED_OUT),
        ("iss", json!(1), SIGNED_OUT),
        ("sub", Value::Null, SIGNED_OUT),
        ("sub", json!(""), SIGNED_OUT),
        ("sub", json!(1), SIGNED_OUT),
        ("sid", Value::Null, SIGNED_OUT),
        ("sid", json!(""), SIGNED_OUT),
        ("sid", json!(1), SIGNED_OUT),
        ("sid", json!("s".repeat(256)), SIGNED_OUT),
        ("sid", json!("a\nb"), SIGNED_OUT),
        ("jti", Value::Null, ADA),
        ("v", Value::Null, ADA),
        ("fva", Value::Null, ADA),
        ("azp", Value::Null, ADA),
        ("azp", json!(1), SIGNED_OUT),
        ("sts", Value::Null, ADA),
        ("sts", json!("pending"), "Pending"),
        ("sts", json!("revoked"), SIGNED_OUT),
        ("cnf", json!({ "jkt": "0" }), SIGNED_OUT),
        ("act", json!({ "sub": "user_2", "sid": "sess_2", "iss": "https://dash.example" }), ADA),
        ("act", json!("user_2"), SIGNED_OUT),
        ("o", json!({ "id": "org_1" }), ADA),
        ("org_id", json!("org_1"), ADA),
        // The application's claim.
        ("name", Value::Null, SIGNED_OUT),
        ("name", json!(1), SIGNED_OUT),
        // For another audience.
        ("aud", json!("https://app.example.com"), SIGNED_OUT),
        ("aud", json!([]), SIGNED_OUT),
        ("aud", json!(false), SIGNED_OUT),
    ] {
        let token = token(&header("k1"), &with(claims(), name, value.clone()));
        check(&site, &format!("{name} {value}"), &token, expected).await;
    }
    assert_eq!(
        site.guarded(&token(&header("k1"), &with(claims(), "sts", json!("pending")))).await,
        403
    );
    let users_only = Site::trusting([known().reject_subject_prefix("mch_")]);
    check(&users_only, "a user", &good(), ADA).await;
    let machine = with(claims(), "sub", json!("mch_1"));
    check(&users_only, "a machine", &token(&header("k1"), &machine), SIGNED_OUT).await;
}

#[tokio::test]
async fn external_token_for_another_audience_or_party_is_rejected() {
    let site = Site::trusting([known().audience("a").audience("b")]);
    for (aud, expected) in [
        (json!("a"), ADA),
        (json!("b"), ADA),
        (json!(["x", "b"]), ADA),
        (Value::Null, SIGNED_OUT),
        (json!(""), SIGNED_OUT),
        (json!([]), SIGNED_OUT),
        (json!("ab"), SIGNED_OUT),
        (json!("A"), SIGNED_OUT),
        (json!(["x", "y"]), SIGNED_OUT),
        (json!(["a", 1]), SIGNED_OUT),
        (json!({ "a": 1 }), SIGNED_OUT),
    ] {
        let token = token(&header("k1"), &with(claims(), "aud", aud.clone()));
        check(&site, &format!("aud {aud}"), &token, expected).await;
    }
    let parties = [PAGE, "https://other.example.com"];
    let strict = || known().authorized_parties(parties);
    let (strict, absent_allowed) =
        (Site::trusting([strict()]), Site::trusting([strict().allow_absent_azp()]));
    for (azp, expected, expected_if_absent_allowed) in [
        (json!(PAGE), ADA, ADA),
        (json!("https://other.example.com"), ADA, ADA),
        (Value::Null, SIGNED_OUT, ADA),
        (json!(""), SIGNED_OUT, SIGNED_OUT),
        (json!("https://evil.example.com"), SIGNED_OUT, SIGNED_OUT),
        (json!("https://app.example.com/"), SIGNED_OUT, SIGNED_OUT),
        (json!("https://app.example.co"), SIGNED_OUT, SIGNED_OUT),
    ] {
        let token = token(&header("k1"), &with(claims(), "azp", azp.clone()));
        check(&strict, &format!("azp {azp}"), &token, expected).await;
        check(
            &absent_allowed,
            &format!("azp {azp}, absent allowed"),
            &token,
            expected_if_absent_allowed,
        )
        .await;
    }
}

/// The tolerance is 5 s, inclusive for `nbf` and `iat` and exclusive for `exp`.
#[tokio::test]
async fn external_token_outside_its_validity_is_rejected() {
    let site = Site::trusting([known()]);
    for (name, value, expected) in [
        ("exp", json!(START + 1), ADA),
        ("exp", json!(START), ADA),
        ("exp", json!(START - 4), SIGNED_OUT),
        ("exp", Value::Null, SIGNED_OUT),
        ("exp", json!((START + 60).to_string()), SIGNED_OUT),
        ("exp", json!(1e300), SIGNED_OUT),
        ("exp", json!(u64::MAX), SIGNED_OUT),
        ("nbf", Value::Null, ADA),
        ("nbf", json!(START), ADA),
        ("nbf", json!(START + 5), ADA),
        ("nbf", json!(START + 6), SIGNED_OUT),
        ("nbf", json!("0"), SIGNED_OUT),
        ("iat", json!(START + 5), ADA),
        ("iat", json!(START + 6), SIGNED_OUT),
        ("iat", json!("0"), SIGNED_OUT),
    ] {
        let token = token(&header("k1"), &with(claims(), name, value.clone()));
        check(&site, &format!("{name} {value}"), &token, expected).await;
    }
    let token = good();
    site.clock.advance(std::time::Duration::from_secs(64));
    check(&site, "within the tolerance", &token, ADA).await;
    site.clock.advance(std::time::Duration::from_secs(1));
    check(&site, "expired", &token, SIGNED_OUT).await;
    // The signature is verified first: a forged token is not reported as expired.
    let forged = format!("{}A", &token[..token.len() - 2]);
    check(&site, "expired and forged", &forged, SIGNED_OUT).await;
    assert!(!site.reason().contains("expired"), "{}", site.reason());
}

#[tokio::test]
async fn external_token_with_another_key_or_algorithm_is_rejected() {
    let rsa = |kid| VerifyingKey::from_pem(kid, Algorithm::Rs256, RSA_PUBLIC).unwrap();
    let signed = |header: &Value| {
        TokenForge::rs256("k1", RSA_PRIVATE).sign(header.to_string(), claims().to_string())
    };
    let plain = json!({ "alg": "RS256", "typ": "JWT", "kid": "ins_1" });
    let issuer = || TrustedIssuer::new(ISSUER).algorithms([Algorithm::Rs256]);

    // A key from a PEM file has no `kid`: the token may have any or none.
    let by_pem = Site::trusting([issuer().key(rsa("local"))]);
    let token = signed(&plain);
    // These are rejected before the signature is verified, so they need no slow RSA signature.
    let headed = |header: Value| {
        let head = TokenForge::new("k1").sign(header.to_string(), "{}");
        let (head, rest) = (head.split_once('.').unwrap().0, token.split_once('.').unwrap().1);
        format!("{head}.{rest}")
    };
    check(&by_pem, "RS256", &token, ADA).await;
    check(&by_pem, "no kid", &signed(&with(plain.clone(), "kid", Value::Null)), ADA).await;
    check(&by_pem, "RS384", &headed(with(plain.clone(), "alg", json!("RS384"))), SIGNED_OUT).await;
    check(&by_pem, "PS256", &headed(with(plain.clone(), "alg", json!("PS256"))), SIGNED_OUT).await;
    check(&by_pem, "another key", &good(), SIGNED_OUT).await;
    // The public key as an HMAC secret.
    let confused = TokenForge::with_secret("ins_1", RSA_PUBLIC.as_bytes());
    for alg in ["HS256", "RS256", "none"] {
        let header = with(plain.clone(), "alg", json!(alg)).to_string();
        check(&by_pem, alg, &confused.sign(header, claims().to_string()), SIGNED_OUT).await;
    }
    let by_name = Site::trusting([issuer().keys(KeyRing::verify_only().with_key(rsa("ins_1")))]);
    check(&by_name, "its kid", &token, ADA).await;
    check(&by_name, "another kid", &headed(with(plain.clone(), "kid", json!("ins_2"))), SIGNED_OUT)
        .await;
    let pinned = issuer().key(public("k1"));
    check(&Site::trusting([pinned]), "not pinned", &good(), SIGNED_OUT).await;
    // A shared secret, for services of one operator.
    let shared = KeyRing::verify_only().with_key(VerifyingKey::hs256("k1", secret("k1")).unwrap());
    let shared = TrustedIssuer::new(ISSUER).keys(shared);
    let header = json!({ "alg": "HS256", "kid": "k1" }).to_string();
    let token = TokenForge::new("k1").sign(header, claims().to_string());
    let house = Site::trusting([shared.clone().algorithms([Algorithm::Hs256])]);
    check(&house, "HS256", &token, ADA).await;
    check(&Site::trusting([shared]), "HS256, not named", &token, SIGNED_OUT).await;
}

/// Each issuer's keys and rules apply to its own tokens only.
#[tokio::test]
async fn each_of_several_issuers_has_its_own_keys_and_rules() {
    let rsa = VerifyingKey::from_pem("k1", Algorithm::Rs256, RSA_PUBLIC).unwrap();
    let other = "https://other.example";
    let site = Site::trusting([
        known().authorized_parties([PAGE]),
        TrustedIssuer::new(other).key(rsa).audience("a"),
    ]);
    let other_claims = with(with(claims(), "iss", json!(other)), "aud", json!("a"));
    let other_claims = with(other_claims, "azp", Value::Null);
    let header_of = |alg| json!({ "alg": alg, "kid": "k1" });
    let by_rsa = |claims: &Value| {
        TokenForge::rs256("k1", RSA_PRIVATE)
            .sign(header_of("RS256").to_string(), claims.to_string())
    };
    check(&site, "one", &good(), ADA).await;
    let one = site.result.lock().unwrap().take().unwrap();
    check(&site, "the other", &by_rsa(&other_claims), ADA).await;
    let another = site.result.lock().unwrap().take().unwrap();
    check(&site, "first issuer, second issuer's key", &by_rsa(&claims()), SIGNED_OUT).await;
    check(
        &site,
        "second issuer, first issuer's key",
        &token(&header("k1"), &other_claims),
        SIGNED_OUT,
    )
    .await;

    let external = |session: &tower_auth_session::Session<_>| {
        let external = session.identity().external().unwrap().clone();
        (external.issuer().to_owned(), external.id().to_owned())
    };
    assert_eq!(external(&one), (ISSUER.to_owned(), "sess_1".to_owned()));
    assert_eq!(external(&another), (other.to_owned(), "sess_1".to_owned()));
    assert_ne!(one.id(), another.id(), "one id, two sessions");
    site.bearer(&good()).await;
    assert_eq!(site.result.lock().unwrap().take().unwrap().id(), one.id(), "the id is stable");
}

#[tokio::test]
async fn external_session_has_dates_and_factors_from_its_claims() {
    let site = Site::trusting([known().shares_store()]);
    let own = crate::support::SID_A;
    for (name, value, signed_in_at) in [
        ("fva", json!([3, -1]), START - 4 * 60),
        ("fva", json!([3, 1]), START - 4 * 60),
        ("fva", json!([-1, -1]), 0),
        ("fva", Value::Null, 0),
        ("auth_time", json!(START - 1_000), START - 1_000),
        ("sid", json!(own), START - 60),
    ] {
        site.bearer(&token(&header("k1"), &with(claims(), name, value))).await;
        let session = site.result.lock().unwrap().take().unwrap();
        assert_eq!(session.signed_in_at().as_unix_seconds(), signed_in_at, "{name}");
        assert_eq!(session.expires_at().as_unix_seconds(), START + 60);
        assert_eq!(session.subject().as_str(), "user_1");
        let ages = session.identity().factor_ages(session.identity().issued_at());
        let second = (signed_in_at == START - 4 * 60).then_some(2 * 60);
        assert!(ages.second.is_none_or(|age| Some(age.as_secs()) == second), "{name}: {ages:?}");
        assert_eq!(
            session.id().to_string() == own,
            name == "sid",
            "an id in this crate's format is kept"
        );
    }
}
