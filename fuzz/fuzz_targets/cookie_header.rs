//! Any `Cookie` fields: a session comes of the untouched valid token under its very name, and of
//! nothing else, and a flow of its untouched value. Within the budget of cookies nothing is written. A byte
//! 1 stands for the token, 2 for the value of the flow and 3 for the name of its cookie; a line feed starts
//! another field.
#![no_main]

use http::{HeaderValue, Request, Response, header};
use libfuzzer_sys::fuzz_target;
use tower_auth_session::error::FinishFlowError;
use tower_auth_session_fuzz::{COOKIE, ENGINE, FLOW, NOW, SIGNED_IN};

/// The default of `cookie_budget`: beyond it, cookies that cannot be verified are removed.
const BUDGET: usize = 7_000;

fuzz_target!(|data: &[u8]| {
    let (id, token) = &*SIGNED_IN;
    let (flow_id, flow) = &*FLOW;
    let flow_name = format!("{COOKIE}.flow.{flow_id}");
    let mut flows: Vec<Vec<u8>> = Vec::new();
    let mut request = Request::new(());
    let mut values: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    for line in data.split(|byte| *byte == b'\n') {
        let mut field = Vec::new();
        for byte in line {
            match byte {
                1 => field.extend_from_slice(token.as_bytes()),
                2 => field.extend_from_slice(flow.as_bytes()),
                3 => field.extend_from_slice(flow_name.as_bytes()),
                byte => field.push(*byte),
            }
        }
        let Ok(value) = HeaderValue::from_bytes(&field) else { return };
        bytes += value.len();
        request.headers_mut().append(header::COOKIE, value);
        for pair in field.split(|byte| *byte == b';') {
            let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
            let value = || trim(&pair[equals + 1..]).to_vec();
            match trim(&pair[..equals]) {
                name if name == COOKIE.as_bytes() => values.push(value()),
                name if name == flow_name.as_bytes() => flows.push(value()),
                _ => {}
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
    // It is found, and stays for the next run, because its data has another type.
    let is_found = match jar.finish_flow::<bool>(flow_id) {
        Err(FinishFlowError::OtherType) => true,
        Err(FinishFlowError::Unknown) => false,
        other => panic!("{other:?}"),
    };
    assert!(!is_found || flows.iter().any(|value| value == flow.as_bytes()), "a flow of nothing");
    let only_the_flow = !flows.is_empty() && flows.iter().all(|value| value == flow.as_bytes());
    if only_the_flow && data.len() < 64 {
        assert!(is_found, "other cookies hide the flow");
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
