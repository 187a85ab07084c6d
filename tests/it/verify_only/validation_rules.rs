//! Every rule about a session token of somebody else's, as a row: what the hosted service's own tests
//! ask of such tokens, and what was left to ask.

use serde_json::{Value, json};
use tower_auth_session::{Algorithm, KeyRing, TrustedIssuer, VerifyingKey};

use super::issuer::{
    ISSUER, PAGE, RSA_PRIVATE, RSA_PUBLIC, Site, claims, good, header, known, mint, public, token,
    with,
};
use crate::support::{START, secret, token_forge::TokenForge};

const ADA: &str = "Ada";
const OUT: &str = "SignedOut";

async fn check(site: &Site, what: &str, token: &str, expected: &str) {
    assert_eq!(site.bearer(token).await, expected, "{what}: {}", site.reason());
}

#[tokio::test]
async fn the_form_of_a_token() {
    let site = Site::trusting([known()]);
    check(&site, "good", &good(), ADA).await;
    let parts: Vec<_> = good().split('.').map(str::to_owned).collect();
    let [head, payload, signature] = parts.as_slice() else { unreachable!() };
    for (what, token) in [
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
        ("an array", mint("k1").sign(header("k1").to_string(), "[1]")),
    ] {
        check(&site, what, &token, OUT).await;
    }
    let twice = format!(r#"{{"exp":9999999999,{}"#, &claims().to_string()[1..]);
    check(&site, "two exp", &mint("k1").sign(header("k1").to_string(), twice), OUT).await;
    let twice = r#"{"alg":"EdDSA","kid":"k1","kid":"k1"}"#;
    check(&site, "two kid", &mint("k1").sign(twice, claims().to_string()), OUT).await;
    let deep = with(claims(), "deep", serde_json::from_str(&nested(100)).unwrap());
    check(&site, "deep enough", &token(&header("k1"), &deep), ADA).await;
    let deep = claims().to_string().replacen('{', &format!(r#"{{"deep":{},"#, nested(200)), 1);
    check(&site, "too deep", &mint("k1").sign(header("k1").to_string(), deep), OUT).await;
}

fn nested(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

#[tokio::test]
async fn the_header() {
    let site = Site::trusting([known()]);
    let evil = json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" });
    for (name, value, expected) in [
        ("typ", Value::Null, ADA),
        ("typ", json!("JWT"), ADA),
        ("typ", json!(""), OUT),
        ("typ", json!("jwt"), OUT),
        ("typ", json!("Aloha"), OUT),
        ("typ", json!("at+jwt"), OUT),
        ("typ", json!("application/at+jwt"), OUT),
        ("typ", json!("session+jwt"), OUT),
        ("typ", json!(["JWT"]), OUT),
        ("alg", Value::Null, OUT),
        ("alg", json!(""), OUT),
        ("alg", json!("none"), OUT),
        ("alg", json!("Aloha"), OUT),
        ("alg", json!("eddsa"), OUT),
        ("alg", json!("RS256"), OUT),
        ("alg", json!("HS256"), OUT),
        ("kid", Value::Null, OUT),
        ("kid", json!("k2"), OUT),
        ("kid", json!(1), OUT),
        ("kid", json!("../../etc/passwd"), OUT),
        ("crit", json!(["exp"]), OUT),
        ("crit", json!([]), OUT),
        ("b64", json!(false), OUT),
        ("zip", json!("DEF"), OUT),
        ("enc", json!("A128GCM"), OUT),
        // They mean nothing, wherever they lead.
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
    let strict = Site::trusting([known().categories([session, "cl_I7d4PD111III"])]);
    for (category, expected) in [
        (Value::Null, ADA),
        (json!(session), ADA),
        (json!("cl_I7d4PD111III"), ADA),
        (json!("cl_B7d4PD222AAA"), OUT),
        (json!("cl_B7d4PD333AAA"), OUT),
        (json!(1), OUT),
    ] {
        let header = with(header("k1"), "cat", category.clone());
        check(&strict, &category.to_string(), &token(&header, &claims()), expected).await;
    }
}

#[tokio::test]
async fn the_claims() {
    let site = Site::trusting([known()]);
    for (name, value, expected) in [
        ("iss", Value::Null, OUT),
        ("iss", json!("https://accounts.example.com/"), OUT),
        ("iss", json!("https://evil.example"), OUT),
        ("iss", json!(1), OUT),
        ("sub", Value::Null, OUT),
        ("sub", json!(""), OUT),
        ("sub", json!(1), OUT),
        ("sid", Value::Null, OUT),
        ("sid", json!(""), OUT),
        ("sid", json!(1), OUT),
        ("sid", json!("s".repeat(256)), OUT),
        ("sid", json!("a\nb"), OUT),
        ("jti", Value::Null, ADA),
        ("v", Value::Null, ADA),
        ("fva", Value::Null, ADA),
        ("azp", Value::Null, ADA),
        ("azp", json!(1), OUT),
        ("sts", Value::Null, ADA),
        ("sts", json!("pending"), "Pending"),
        ("sts", json!("revoked"), OUT),
        ("cnf", json!({ "jkt": "0" }), OUT),
        ("act", json!({ "sub": "user_2", "sid": "sess_2", "iss": "https://dash.example" }), ADA),
        ("act", json!("user_2"), OUT),
        ("o", json!({ "id": "org_1" }), ADA),
        ("org_id", json!("org_1"), ADA),
        // The application's own.
        ("name", Value::Null, OUT),
        ("name", json!(1), OUT),
        // For somebody.
        ("aud", json!("https://app.example.com"), OUT),
        ("aud", json!([]), OUT),
        ("aud", json!(false), OUT),
    ] {
        let token = token(&header("k1"), &with(claims(), name, value.clone()));
        check(&site, &format!("{name} {value}"), &token, expected).await;
    }
    assert_eq!(
        site.guarded(&token(&header("k1"), &with(claims(), "sts", json!("pending")))).await,
        403
    );
    let people = Site::trusting([known().refuse_subjects("mch_")]);
    check(&people, "a person", &good(), ADA).await;
    let machine = with(claims(), "sub", json!("mch_1"));
    check(&people, "a machine", &token(&header("k1"), &machine), OUT).await;
}

#[tokio::test]
async fn audiences_and_parties() {
    let site = Site::trusting([known().audience("a").audience("b")]);
    for (aud, expected) in [
        (json!("a"), ADA),
        (json!("b"), ADA),
        (json!(["x", "b"]), ADA),
        (Value::Null, OUT),
        (json!(""), OUT),
        (json!([]), OUT),
        (json!("ab"), OUT),
        (json!("A"), OUT),
        (json!(["x", "y"]), OUT),
        (json!(["a", 1]), OUT),
        (json!({ "a": 1 }), OUT),
    ] {
        let token = token(&header("k1"), &with(claims(), "aud", aud.clone()));
        check(&site, &format!("aud {aud}"), &token, expected).await;
    }
    let parties = [PAGE, "https://other.example.com"];
    let strict = || known().authorized_parties(parties);
    let (strict, lax) = (Site::trusting([strict()]), Site::trusting([strict().allow_absent_azp()]));
    for (azp, expected, where_absent_may_be) in [
        (json!(PAGE), ADA, ADA),
        (json!("https://other.example.com"), ADA, ADA),
        (Value::Null, OUT, ADA),
        (json!(""), OUT, OUT),
        (json!("https://evil.example.com"), OUT, OUT),
        (json!("https://app.example.com/"), OUT, OUT),
        (json!("https://app.example.co"), OUT, OUT),
    ] {
        let token = token(&header("k1"), &with(claims(), "azp", azp.clone()));
        check(&strict, &format!("azp {azp}"), &token, expected).await;
        check(&lax, &format!("azp {azp}, absent allowed"), &token, where_absent_may_be).await;
    }
}

/// The leeway is 5 s, and the end is inclusive.
#[tokio::test]
async fn times() {
    let site = Site::trusting([known()]);
    for (name, value, expected) in [
        ("exp", json!(START + 1), ADA),
        ("exp", json!(START), ADA),
        ("exp", json!(START - 4), OUT),
        ("exp", Value::Null, OUT),
        ("exp", json!((START + 60).to_string()), OUT),
        ("exp", json!(1e300), OUT),
        ("exp", json!(u64::MAX), OUT),
        ("nbf", Value::Null, ADA),
        ("nbf", json!(START), ADA),
        ("nbf", json!(START + 5), ADA),
        ("nbf", json!(START + 6), OUT),
        ("nbf", json!("0"), OUT),
        ("iat", json!(START + 5), ADA),
        ("iat", json!(START + 6), OUT),
        ("iat", json!("0"), OUT),
    ] {
        let token = token(&header("k1"), &with(claims(), name, value.clone()));
        check(&site, &format!("{name} {value}"), &token, expected).await;
    }
    let token = good();
    site.clock.advance(std::time::Duration::from_secs(64));
    check(&site, "within the leeway", &token, ADA).await;
    site.clock.advance(std::time::Duration::from_secs(1));
    check(&site, "over", &token, OUT).await;
    // The signature is what is looked at first: nothing is said of a token that nobody signed.
    let forged = format!("{}A", &token[..token.len() - 2]);
    check(&site, "over and forged", &forged, OUT).await;
    assert!(!site.reason().contains("over"), "{}", site.reason());
}

#[tokio::test]
async fn keys_and_algorithms() {
    let rsa = |kid| VerifyingKey::from_pem(kid, Algorithm::Rs256, RSA_PUBLIC).unwrap();
    let signed = |header: &Value| {
        TokenForge::rs256("k1", RSA_PRIVATE).sign(header.to_string(), claims().to_string())
    };
    let plain = json!({ "alg": "RS256", "typ": "JWT", "kid": "ins_1" });
    let issuer = || TrustedIssuer::new(ISSUER).algorithms([Algorithm::Rs256]);

    // A PEM file has no name: any will do, and none.
    let by_pem = Site::trusting([issuer().key(rsa("local"))]);
    let token = signed(&plain);
    // These are refused before the signature is looked at, which takes its time without AWS-LC.
    let headed = |header: Value| {
        let head = TokenForge::new("k1").sign(header.to_string(), "{}");
        let (head, rest) = (head.split_once('.').unwrap().0, token.split_once('.').unwrap().1);
        format!("{head}.{rest}")
    };
    check(&by_pem, "RS256", &token, ADA).await;
    check(&by_pem, "no kid", &signed(&with(plain.clone(), "kid", Value::Null)), ADA).await;
    check(&by_pem, "RS384", &headed(with(plain.clone(), "alg", json!("RS384"))), OUT).await;
    check(&by_pem, "PS256", &headed(with(plain.clone(), "alg", json!("PS256"))), OUT).await;
    check(&by_pem, "another key", &good(), OUT).await;
    // The public key as a secret.
    let confused = TokenForge::with_secret("ins_1", RSA_PUBLIC.as_bytes());
    for alg in ["HS256", "RS256", "none"] {
        let header = with(plain.clone(), "alg", json!(alg)).to_string();
        check(&by_pem, alg, &confused.sign(header, claims().to_string()), OUT).await;
    }
    let by_name = Site::trusting([issuer().keys(KeyRing::verify_only().accept(rsa("ins_1")))]);
    check(&by_name, "its name", &token, ADA).await;
    check(&by_name, "another", &headed(with(plain.clone(), "kid", json!("ins_2"))), OUT).await;
    let pinned = issuer().key(public("k1"));
    check(&Site::trusting([pinned]), "not pinned", &good(), OUT).await;
    // A secret that is shared, for services of one house.
    let shared = KeyRing::verify_only().accept(VerifyingKey::hs256("k1", secret("k1")).unwrap());
    let shared = TrustedIssuer::new(ISSUER).keys(shared);
    let header = json!({ "alg": "HS256", "kid": "k1" }).to_string();
    let token = TokenForge::new("k1").sign(header, claims().to_string());
    let house = Site::trusting([shared.clone().algorithms([Algorithm::Hs256])]);
    check(&house, "HS256", &token, ADA).await;
    check(&Site::trusting([shared]), "HS256, not named", &token, OUT).await;
}

/// One issuer's key is no good for what another one says, and what is asked of the one is not asked of
/// the other.
#[tokio::test]
async fn several_issuers() {
    let rsa = VerifyingKey::from_pem("k1", Algorithm::Rs256, RSA_PUBLIC).unwrap();
    let other = "https://other.example";
    let site = Site::trusting([
        known().authorized_parties([PAGE]),
        TrustedIssuer::new(other).key(rsa).audience("a"),
    ]);
    let theirs = with(with(claims(), "iss", json!(other)), "aud", json!("a"));
    let theirs = with(theirs, "azp", Value::Null);
    let header_of = |alg| json!({ "alg": alg, "kid": "k1" });
    let by_rsa = |claims: &Value| {
        TokenForge::rs256("k1", RSA_PRIVATE)
            .sign(header_of("RS256").to_string(), claims.to_string())
    };
    check(&site, "one", &good(), ADA).await;
    let one = site.result.lock().unwrap().take().unwrap();
    check(&site, "the other", &by_rsa(&theirs), ADA).await;
    let another = site.result.lock().unwrap().take().unwrap();
    check(&site, "one's name, the other's key", &by_rsa(&claims()), OUT).await;
    check(&site, "the other's name, one's key", &token(&header("k1"), &theirs), OUT).await;

    let external = |session: &tower_auth_session::Session<_>| {
        let external = session.identity().external().unwrap().clone();
        (external.issuer().to_owned(), external.id().to_owned())
    };
    assert_eq!(external(&one), (ISSUER.to_owned(), "sess_1".to_owned()));
    assert_eq!(external(&another), (other.to_owned(), "sess_1".to_owned()));
    assert_ne!(one.id(), another.id(), "one name, two sessions");
    site.bearer(&good()).await;
    assert_eq!(
        site.result.lock().unwrap().take().unwrap().id(),
        one.id(),
        "and always the same id"
    );
}

#[tokio::test]
async fn what_a_session_says() {
    let site = Site::trusting([known()]);
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
        assert_eq!(session.id().to_string() == own, name == "sid", "an id of this crate stays");
    }
}
