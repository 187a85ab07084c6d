//! Any token. Bytes without a line feed are the token; with one they are header and payload, which
//! are then signed with the right key: what only a good signature gets to must not panic either,
//! and keeps the rules.
#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, Request, Response, header};
use jsonwebtoken::{Algorithm, EncodingKey, crypto::aws_lc::DEFAULT_PROVIDER};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_auth_session_fuzz::{COOKIE, ENGINE, KID, NOW, SECRET, SIGNED_IN};

fuzz_target!(|data: &[u8]| {
    let (token, payload) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (signed(&data[..at], &data[at + 1..]), Some((&data[..at], &data[at + 1..]))),
        None => (data.to_vec(), None),
    };
    let cookie = [COOKIE.as_bytes(), b"=", &token].concat();
    let Ok(cookie) = HeaderValue::from_bytes(&cookie) else { return };
    let mut request = Request::new(());
    request.headers_mut().insert(header::COOKIE, cookie);

    let jar = ENGINE.open(&request, NOW);
    let Some(session) = jar.session() else { return };
    assert!(NOW < session.expires_at(), "a session that is over");
    match payload {
        None => assert_eq!(token, SIGNED_IN.1.as_bytes(), "a session that nobody signed"),
        Some((header, payload)) => {
            let header: Value = serde_json::from_slice(header).expect("a JSON header");
            let expected = serde_json::json!({"alg": "HS256", "kid": KID, "typ": "session+jwt"});
            assert_eq!(header, expected);
            let payload: Value = serde_json::from_slice(payload).expect("a JSON payload");
            assert_eq!(payload["sid"], session.id().to_string());
            assert_eq!(payload["sub"], session.subject().as_str());
            let exp = payload["exp"].as_u64().expect("a whole number");
            assert!(session.expires_at().as_unix_seconds() <= exp, "longer than its token");
            assert!(session.claims().keys().all(|name| !["sub", "sid", "exp"].contains(&&**name)));
        }
    }

    // What is written in answer is read again as the same session.
    jar.renew_now();
    let mut response = Response::new(());
    ENGINE.close(&jar, &mut response, NOW).expect("nobody signs in");
    if let Some(set) = response.headers().get(header::SET_COOKIE) {
        let pair = set.as_bytes().split(|byte| *byte == b';').next().expect("a pair");
        let mut request = Request::new(());
        let pair = HeaderValue::from_bytes(pair).expect("a header");
        request.headers_mut().insert(header::COOKIE, pair);
        let again = ENGINE.open(&request, NOW).session().expect("the renewed session");
        assert_eq!(again.id(), session.id());
        assert_eq!(again.claims(), session.claims());
    }
});

fn signed(header: &[u8], payload: &[u8]) -> Vec<u8> {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = EncodingKey::from_secret(SECRET).expect("a secret");
    let signer = (DEFAULT_PROVIDER.signer_factory)(&Algorithm::HS256, &key).expect("a signer");
    let signature = signer.try_sign(message.as_bytes()).expect("a signature");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)).into_bytes()
}
