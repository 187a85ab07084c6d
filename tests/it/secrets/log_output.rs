//! Log lines of valid and hostile requests, from sign-in to sign-out, contain no secrets.
#![cfg(feature = "tracing")]

use super::Needles;
use crate::support::{
    COOKIE, Events, ORIGIN, User, engine_builder, get, key,
    log::Log,
    post,
    probe::{Probe, with_cookies},
    seconds, secret, subject,
    token_forge::{TokenForge, claims, claims_with, encode},
    user,
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower_auth_session::{
    KeyRing, SessionEngine, SessionLayer, SignIn, SigningKey, engine::SessionIdentity,
};

const CANARY: &str = "canary-in-the-claims";
const EVIL: &str = "evil\r\n\u{1b}[31mline{}%s";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Other {
    other: String,
}

/// Hostile requests, none of which has a valid session.
fn hostile(token: &str) -> Vec<Request<Full<Bytes>>> {
    let (forge, other_key) = (TokenForge::new("k1"), TokenForge::with_secret("k1", &[9; 40]));
    let mut header = forge.header();
    header["kid"] = json!(EVIL);
    let mut cookies = vec![
        forge.sign(header.to_string(), claims().to_string()),
        other_key.session(&claims_with("sub", json!(EVIL))),
        forge.session(&claims_with("sub", json!(EVIL))),
        forge.session(&claims_with("aud", json!([EVIL]))),
        forge.session(&claims_with("name", json!([EVIL]))),
        forge.session(&claims_with("sts", json!(EVIL))),
        forge.token(EVIL),
        encode(EVIL),
        format!("{}.{}.{}", encode(EVIL), encode(EVIL), encode(EVIL)),
        "evil{}{:?}%0d%0a%1b[31m".to_owned(),
        "evil\u{9b}31m\u{2028}".to_owned(),
        format!("{token}.evil"),
        "evil".repeat(2_000),
    ];
    for field in ["alg", "typ"] {
        let mut header = forge.header();
        header[field] = json!(EVIL);
        cookies.push(forge.sign(header.to_string(), claims().to_string()));
    }
    let mut requests: Vec<_> =
        cookies.iter().map(|value| with_cookies(&[format!("{COOKIE}={value}")])).collect();
    let many: Vec<_> = cookies.iter().map(|value| format!("{COOKIE}={value}")).collect();
    requests.push(with_cookies(&[many.join("; ")]));
    requests.push(with_cookies(&["evil=evil; ".repeat(4_000)]));
    for (name, value) in
        [("origin", "https://evil.example"), ("referer", "https://evil.example/evil")]
    {
        for path in ["/sign-out", "/", "/sign-out?redirect_url=https://evil.example/"] {
            let mut request = post(path, "session_id=evil&scope=evil&redirect_url=//evil.example");
            request.headers_mut().remove("origin");
            request.headers_mut().insert(name, value.parse().unwrap());
            requests.push(request);
        }
    }
    for body in ["redirect_url=%0d%0aevil%1b[31m", "scope=evil", "session_id=%ff&evil", "{evil"] {
        requests.push(post("/sign-out", body));
    }
    requests
}

#[test]
fn log_of_a_session_contains_no_secrets_or_hostile_text() {
    let log = Log::start();
    let mut needles = Needles::default()
        .secret(secret("k1").as_bytes())
        .text(CANARY)
        .text("evil")
        .text("[31m")
        .text(&encode("evil"));
    let mut lines = Vec::new();

    let probe = Probe::new(engine_builder().0);
    let signed_in = probe.run_handler(get("/"), |jar, _| {
        jar.sign_in(SignIn::new(subject("ada"), user(CANARY))).unwrap();
    });
    let (first, logged) = log.session(&["signed in", "session cookie written"]);
    lines.extend(logged);
    let mut token = signed_in.token();
    needles = needles.token(&token);
    let sid = probe.cookie(COOKIE, &token).sid().unwrap();
    needles = needles.text(&sid).text(&sid[..11]);

    // The hash identifies the session in all log lines, and no other session has it.
    for _ in 0..3 {
        probe.clock.advance(seconds(10));
        token = probe.cookie(COOKIE, &token).token();
        needles = needles.token(&token);
        let (session, logged) = log.session(&["session renewed", "session cookie written"]);
        assert_eq!(session, first);
        lines.extend(logged);
    }
    let request_with_cookie = |token: &str| with_cookies(&[format!("{COOKIE}={token}")]);
    let update = probe.run_handler(request_with_cookie(&token), |jar, _| {
        jar.update_claims(user(&CANARY.repeat(2))).unwrap();
        assert!(jar.update_claims(user(&CANARY.repeat(400))).is_err());
        assert!(jar.sign_in(SignIn::new(subject("eve"), user(&CANARY.repeat(400)))).is_err());
    });
    needles = needles.token(&update.token());
    lines.extend(log.take());

    for request in hostile(&token) {
        assert!(probe.send(request).session.is_none());
    }
    let logged = log.take();
    assert!(logged.len() >= 20, "each rejection is logged: {logged:#?}");
    lines.extend(logged);
    let mut websocket = request_with_cookie(&token);
    websocket.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    websocket.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    assert!(probe.send(websocket).session.is_none());
    lines.extend(log.take());

    // Another node with other claims, and a claims source that fails.
    let other =
        SessionEngine::<Other>::builder(KeyRing::new(key("k1"))).origin(ORIGIN).build().unwrap();
    let source = |_: SessionIdentity| async { Err::<Other, _>("the database is away") };
    let layer = SessionLayer::new(other).claims_source(source);
    let other = Probe::on(layer, Events::default());
    other.clock.advance(seconds(30));
    assert!(other.cookie(COOKIE, &token).session.is_none());
    let (session, logged) =
        log.session(&["the claims of the session cannot be decoded", "claims source failed"]);
    assert_eq!(session, first, "the same hash in every engine of this process");
    lines.extend(logged);
    let refused = other.run_handler(get("/"), |jar, _| {
        jar.sign_in(SignIn::from_claims_source(subject("ada"))).unwrap();
    });
    assert_eq!(refused.response.status, 503);
    let only_verifies = KeyRing::verify_only().with_key(key("k1").verifying_key());
    let reader = Probe::new(SessionEngine::<User>::builder(only_verifies).origin(ORIGIN));
    reader.clock.advance(seconds(95));
    assert!(reader.cookie(COOKIE, &token).session.is_some());
    lines.extend(log.take());

    let public = probe.run_handler(request_with_cookie(&token), |jar, response| {
        jar.renew_now();
        response.headers_mut().insert("cache-control", "public".parse().unwrap());
    });
    assert_eq!(public.response.set_cookies(), [""; 0]);
    lines.extend(log.take());

    probe.run_handler(request_with_cookie(&token), |jar, _| drop(jar.sign_out().unwrap()));
    let (session, logged) = log.session(&["signed out"]);
    assert_eq!(session, first);
    lines.extend(logged);
    assert!(probe.cookie(COOKIE, &token).session.is_none());
    lines.extend(log.take());
    let again = probe.run_handler(get("/"), |jar, _| {
        jar.sign_in(SignIn::new(subject("ada"), user(CANARY))).unwrap();
    });
    needles = needles.token(&again.token());
    let (session, logged) = log.session(&["signed in"]);
    assert_ne!(session, first);
    lines.extend(logged);
    probe.clock.advance(seconds(100));
    probe.cookie(COOKIE, &again.token());
    let (expired, logged) = log.session(&["session expired"]);
    assert_eq!(expired, session);
    lines.extend(logged);
    // A rejected key.
    let _ = SigningKey::hs256("evil", "short");
    lines.extend(log.take());

    // Origins of pages are logged in canonical form only.
    lines.retain(|line| {
        let is_origin = line.value("warning") == "refused_origin";
        assert!(!is_origin || line.value("page") == "https://evil.example", "{line:?}");
        !is_origin
    });
    for line in &lines {
        let text = format!("{}{}", line.message, line.fields);
        needles.assert_absent("the log", &text);
        assert!(!text.contains(char::is_control), "{text:?}");
        if let Some(session) = &line.session {
            assert!(session.len() == 16 && session.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }
    assert!(lines.len() > 40, "{lines:#?}");
}
