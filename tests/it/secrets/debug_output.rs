//! `Debug` and `Display` of public types with keys, tokens, cookies or claims print no secrets.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::header::SET_COOKIE;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower::{Layer as _, Service as _, service_fn};
use tower_auth_session::{
    Algorithm, ConfigError, KeyRing, RequireSessionLayer, SessionEngine, SessionId, SessionLayer,
    SignIn, SigningKey, Subject,
    error::{CommitError, TokenError},
    keys::VerifyingKey,
    testing::cookie_of,
};

use super::Needles;
use crate::support::{
    COOKIE, START, User, engine_builder, get, key,
    probe::{Probe, with_cookies},
    secret, subject,
    token_forge::{TokenForge, claims, claims_with},
    user,
};

const CANARY: &str = "canary-in-the-claims";

#[track_caller]
fn assert_debug_hides<T: Debug>(needles: &Needles, name: &str, value: &T) {
    needles.assert_absent(name, &format!("{value:?}"));
    needles.assert_absent(name, &format!("{value:#?}"));
}

#[track_caller]
fn assert_error_hides<E: std::error::Error>(needles: &Needles, name: &str, error: &E) {
    assert_debug_hides(needles, name, error);
    needles.assert_absent(name, &error.to_string());
    let mut source = error.source();
    while let Some(error) = source {
        needles.assert_absent(name, &format!("{error} {error:?}"));
        source = error.source();
    }
}

#[test]
fn debug_output_of_keys_and_engines_hides_key_material() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/keys/");
    let mut keys = vec![(SigningKey::hs256("k", secret("x")).unwrap(), secret("x").into_bytes())];
    for (file, algorithm) in [
        ("ed25519.pem", Algorithm::EdDsa),
        ("p256.pem", Algorithm::Es256),
        ("p384.pem", Algorithm::Es384),
        ("rsa2048.pem", Algorithm::Rs256),
    ] {
        let pem = std::fs::read_to_string(format!("{folder}{file}")).unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(body).unwrap();
        keys.push((
            SigningKey::from_pem("k", algorithm, pem).unwrap(),
            der[der.len() - 48..].to_vec(),
        ));
    }
    for (key, bytes) in keys {
        let needles = Needles::default().secret(&bytes[..32]).secret(&bytes);
        assert_debug_hides(&needles, "SigningKey", &key);
        assert_debug_hides(&needles, "VerifyingKey", &key.verifying_key());
        assert_debug_hides(&needles, "Result", &Ok::<_, ConfigError>(key.clone()));
        let ring = KeyRing::new(key.clone());
        assert_debug_hides(&needles, "KeyRing", &ring);
        assert_debug_hides(
            &needles,
            "KeyRing",
            &KeyRing::verify_only().with_key(key.verifying_key()),
        );
        let builder = SessionEngine::<User>::builder(ring);
        assert_debug_hides(&needles, "SessionEngineBuilder", &builder);
        let engine = builder.build().unwrap();
        assert_debug_hides(&needles, "SessionEngine", &engine);
        let layer = SessionLayer::new(engine);
        assert_debug_hides(&needles, "SessionLayer", &layer);
        assert_debug_hides(
            &needles,
            "SessionService",
            &layer.layer(RequireSessionLayer::new().layer(())),
        );
    }
}

/// A rejected key is often a real key that was truncated, swapped or put in the wrong place.
#[test]
fn errors_about_keys_hide_key_material() {
    let bytes = *b"hTz9v2Qp0sXa7LmR4kJc8WfY1bNg6UeD";
    let needles = Needles::default().secret(&bytes).secret(&bytes[..20]).text("6UeD");
    let text = str::from_utf8(&bytes).unwrap();
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{encoded}\n-----END PRIVATE KEY-----\n");
    let mut errors: Vec<ConfigError> = [
        SigningKey::hs256("k", &bytes[..31]),
        SigningKey::hs384("k", bytes),
        SigningKey::hs512("k", bytes),
        // The two arguments swapped.
        SigningKey::hs256(text, "k1"),
        SigningKey::hs256(format!("{text} "), text),
        SigningKey::hs256(text.repeat(3), text),
        SigningKey::from_pem("k", Algorithm::EdDsa, text),
        SigningKey::from_pem("k", Algorithm::EdDsa, &pem),
        SigningKey::from_pem("k", Algorithm::Es256, &pem),
        SigningKey::from_pem("k", Algorithm::Hs256, &pem),
        SigningKey::from_pem("k", Algorithm::Rs256, pem.replace("PRIVATE KEY", "RSA PRIVATE KEY")),
        SigningKey::from_pem("k", Algorithm::Rs256, pem.replace("PRIVATE KEY", text)),
        SigningKey::from_pem("k", Algorithm::EdDsa, pem.replace('\n', "\\n")),
        SigningKey::from_jwk(text),
    ]
    .into_iter()
    .map(Result::unwrap_err)
    .collect();
    for jwk in [
        json!({"kty": "oct", "kid": "k", "k": encoded}),
        json!({"kty": "oct", "alg": "HS512", "kid": "k", "k": encoded}),
        json!({"kty": "oct", "alg": "HS256", "kid": "k", "k": text.replace('T', "!")}),
        json!({"kty": "oct", "alg": "HS256", "k": encoded}),
        json!({"kty": "oct", "alg": "HS256", "kid": "k", "k": encoded, "use": "enc"}),
        json!({"kty": "oct", "alg": "HS256", "kid": "k", "k": [encoded]}),
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "d": encoded, "x": encoded}),
        json!({"kty": "EC", "crv": "P-256", "kid": "k", "d": encoded, "x": encoded, "y": encoded}),
        json!({"kty": "EC", "crv": "P-384", "kid": "k", "d": encoded}),
    ] {
        errors.push(SigningKey::from_jwk(&jwk.to_string()).unwrap_err());
        errors.extend(VerifyingKey::from_jwk(&jwk.to_string()).err());
        errors.extend(KeyRing::from_jwks(&json!({"keys": [jwk, jwk]}).to_string()).err());
    }
    errors.extend(KeyRing::from_jwks(&pem).err());
    errors.extend(KeyRing::from_jwks(&format!("{{\"keys\":[\"{text}\"]}}")).err());
    let key = SigningKey::hs256("k", bytes).unwrap();
    let twice = KeyRing::new(key.clone()).with_key(key.verifying_key());
    errors.push(SessionEngine::<()>::builder(twice).build().unwrap_err());
    assert!(errors.len() > 35);
    for error in &errors {
        assert_error_hides(&needles, "ConfigError", error);
        for problem in error.problems() {
            needles.assert_absent("value", problem.value());
            needles.assert_absent("remedy", problem.remedy());
        }
    }
}

/// Every public type that a request and its response involve.
#[test]
fn debug_output_of_requests_and_responses_hides_tokens_and_claims() {
    let ada = || SignIn::new(subject("ada"), user(CANARY));
    let probe = Probe::new(engine_builder().0);
    let first = probe.run_handler(get("/"), move |jar, _| drop(jar.sign_in(ada())));
    let token = first.token();
    let needles = Needles::default().secret(secret("k1").as_bytes()).token(&token).text(CANARY);
    // Events identify the session and contain nothing else.
    assert_debug_hides(&needles, "SessionEvent", &first.events);
    assert_debug_hides(&needles, "Set-Cookie", &first.response.headers);
    let cookie = first.response.headers.get(SET_COOKIE).unwrap();
    // Sensitive values are also left out of HPACK's tables (RFC 7541 §7.1.3).
    assert!(cookie.is_sensitive());

    let request_with_cookie = || with_cookies(&[format!("{COOKIE}={token}")]);
    assert_debug_hides(&needles, "SignIn", &ada());
    assert_debug_hides(&needles, "SignIn", &SignIn::<User>::from_claims_source(subject("ada")));
    let engine = probe.layer.engine().clone();
    let at = tower_auth_session::time::Timestamp::from_unix_seconds(START);
    let test_cookie = cookie_of(&engine, ada(), at).unwrap();
    assert_debug_hides(&needles, "cookie_of", &test_cookie);

    let jar = engine.open(&request_with_cookie(), at);
    assert_debug_hides(&needles, "SessionJar", &jar);
    assert_debug_hides(&needles, "Session", &jar.session().unwrap());
    assert_debug_hides(&needles, "SessionIdentity", jar.session().unwrap().identity());
    assert_debug_hides(&needles, "SessionStatus", &jar.status());
    jar.renew_now();
    assert_debug_hides(&needles, "SessionJar", &jar);
    let outcome = jar.sign_in(ada()).unwrap();
    assert_debug_hides(&needles, "SignInOutcome", &outcome);
    assert_debug_hides(&needles, "SessionJar", &jar);
    assert_debug_hides(&needles, "Session", &jar.session());
    let mut response = http::Response::new(());
    engine.close(&jar, &mut response, at).unwrap();
    assert_debug_hides(&needles, "SessionJar", &jar);
    assert_debug_hides(&needles, "Response", &response);
    assert_debug_hides(&needles, "sign_out", &jar.sign_out());

    let mut service = probe.layer.layer(service_fn(
        |request: http::Request<http_body_util::Full<bytes::Bytes>>| {
            let response = http::Response::new(request.into_body());
            async move { Ok::<_, std::convert::Infallible>(response) }
        },
    ));
    assert_debug_hides(&needles, "ResponseFuture", &service.call(request_with_cookie()));
    let mut guarded = RequireSessionLayer::new().claims(|_: &User| true).layer(service);
    assert_debug_hides(&needles, "RequireSession", &guarded.call(request_with_cookie()));
}

/// The head of a request contains its cookies, and the activity filter may log it.
#[test]
fn debug_output_of_a_request_head_hides_credentials() {
    let heads = Arc::new(Mutex::new(String::new()));
    let sink = heads.clone();
    let probe = Probe::new(engine_builder().0.activity_filter(move |head| {
        assert!(head.headers.contains_key("cookie"));
        sink.lock().unwrap().push_str(&format!("{head:?} {head:#?}"));
        true
    }));
    let token = TokenForge::new("k1").session(&claims());
    let mut request = with_cookies(&[format!("{COOKIE}={token}")]);
    *request.uri_mut() = "/path?code=one-time-code".parse().unwrap();
    request.headers_mut().insert("authorization", "Bearer other-token".parse().unwrap());
    assert!(probe.send(request).session.is_some());
    let heads = heads.lock().unwrap();
    assert!(heads.contains("GET") && heads.contains("/path"), "{heads}");
    let needles = Needles::default().token(&token).text("other-token").text("one-time-code");
    needles.assert_absent("RequestHead", &heads);
}

#[test]
fn errors_about_claims_hide_their_values() {
    #[derive(Debug, Clone, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Odd {
        text: String,
        number: f64,
        #[serde(rename(serialize = "written"))]
        read: Option<String>,
        #[serde(flatten)]
        rest: std::collections::BTreeMap<String, String>,
    }
    let needles = Needles::default().text(CANARY).secret(secret("k1").as_bytes());
    let engine = SessionEngine::<Odd>::builder(KeyRing::new(key("k1"))).build().unwrap();
    let odd = |number, name: &str, size: usize| Odd {
        text: CANARY.repeat(size),
        number,
        read: Some(CANARY.to_owned()),
        rest: [(name.to_owned(), CANARY.to_owned())].into(),
    };
    let at = tower_auth_session::time::Timestamp::from_unix_seconds(START);
    for claims in [odd(f64::NAN, "x", 1), odd(1.0, "sub", 1), odd(1.0, "text", 1), odd(1.0, "x", 1)]
    {
        let jar = engine.open(&http::Request::new(()), at);
        let error = jar.sign_in(SignIn::new(subject("ada"), claims.clone())).unwrap_err();
        assert_error_hides(&needles, "SignInError", &error);
        assert_error_hides(&needles, "CommitError", &CommitError::SignIn(error));
        assert_error_hides(&needles, "UpdateClaimsError", &jar.update_claims(claims).unwrap_err());
    }
    let engine = SessionEngine::<User>::builder(KeyRing::new(key("k1"))).build().unwrap();
    let jar = engine.open(&http::Request::new(()), at);
    let long = SignIn::new(subject("ada"), user(&CANARY.repeat(300)));
    assert_error_hides(&needles, "SignInError", &jar.sign_in(long).unwrap_err());
    for text in [CANARY, &format!("{CANARY}\n"), &CANARY.repeat(20)] {
        assert_error_hides(&needles, "InvalidId", &text.parse::<SessionId>().unwrap_err());
        if let Err(error) = Subject::new(text) {
            assert_error_hides(&needles, "InvalidSubject", &error);
        }
    }
}

/// The content of a forged token is not printed.
#[test]
fn errors_about_tokens_hide_their_content() {
    let evil = "evil\r\n\u{1b}[31m{}";
    let needles = Needles::default().text("evil").text("[31m");
    let (probe, forge) = (Probe::new(engine_builder().0), TokenForge::new("k1"));
    let mut tokens = vec![forge.token(evil), forge.sign(evil, "{}"), "evil.evil.evil".to_owned()];
    for name in ["alg", "kid", "typ", "evil"] {
        let mut header = forge.header();
        header[name] = json!(evil);
        tokens.push(forge.sign(header.to_string(), claims().to_string()));
    }
    for name in ["sub", "sid", "exp", "iat", "iss", "aud", "sts", "act", "name", "evil"] {
        tokens.push(forge.session(&claims_with(name, json!([evil, {"evil": evil}]))));
        tokens.push(forge.session(&claims_with(name, json!(evil))));
        tokens.push(forge.token(format!("{{\"{name}\":\"evil\",{}", &claims().to_string()[1..])));
    }
    for token in tokens {
        let result = probe.cookie(COOKIE, &token);
        assert_debug_hides(&needles.and(&token), "SessionEvent", &result.events);
        for event in &result.events {
            if let tower_auth_session::event::SessionEvent::CredentialRejected { reason, .. } =
                event
            {
                needles.assert_absent("CredentialError", &reason.to_string());
            }
        }
    }
    for error in
        [TokenError::InvalidClaim("sub"), TokenError::ClaimsDoNotDecode, TokenError::UnknownKey]
    {
        assert_error_hides(&needles, "TokenError", &error);
    }
}
