//! Any `Cookie` fields: a session comes of the untouched valid token under its very name, and of
//! nothing else. Within the budget of cookies nothing is written. A byte 1 stands for the token, a line
//! feed starts another field.
#![no_main]

use http::{HeaderValue, Request, Response, header};
use libfuzzer_sys::fuzz_target;
use tower_auth_session_fuzz::{COOKIE, ENGINE, NOW, SIGNED_IN};

/// The default of `cookie_budget`: beyond it, cookies that cannot be verified are removed.
const BUDGET: usize = 7_000;

fuzz_target!(|data: &[u8]| {
    let (id, token) = &*SIGNED_IN;
    let mut request = Request::new(());
    let mut values: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    for line in data.split(|byte| *byte == b'\n') {
        let mut field = Vec::new();
        for byte in line {
            match byte {
                1 => field.extend_from_slice(token.as_bytes()),
                byte => field.push(*byte),
            }
        }
        let Ok(value) = HeaderValue::from_bytes(&field) else { return };
        bytes += value.len();
        request.headers_mut().append(header::COOKIE, value);
        for pair in field.split(|byte| *byte == b';') {
            let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
            if trim(&pair[..equals]) == COOKIE.as_bytes() {
                values.push(trim(&pair[equals + 1..]).to_vec());
            }
        }
    }
    let jar = ENGINE.open(&request, NOW);
    let session = jar.session();
    if let Some(session) = &session {
        assert_eq!(session.id(), *id);
        assert!(values.iter().any(|value| value == token.as_bytes()), "a session of nothing");
    }
    let only_the_token = !values.is_empty() && values.iter().all(|value| value == token.as_bytes());
    if only_the_token && data.len() < 64 {
        assert!(session.is_some(), "other cookies hide the session");
    }
    let mut response = Response::new(());
    ENGINE.close(&jar, &mut response, NOW).expect("nobody signs in");
    let writes = response.headers().contains_key(header::SET_COOKIE);
    assert!(!writes || bytes > BUDGET, "nothing has to be written");
});

/// Space and tab, and nothing else that calls itself white (RFC 6265bis §5.7).
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
