//! Bearer tokens of pending and impersonated sessions, and their factor ages.

use serde_json::json;
use tower_auth_session::{
    bearer::BearerTokenError,
    engine::{Actor, Factor, SessionTask},
};

use super::*;

/// A browser in which `sign_in` happened when the clock started.
fn browser(probe: &Probe<User>, sign_in: SignIn<User>) -> Browser {
    Browser::signed_in(&probe.layer, sign_in)
}

#[test]
fn pending_session_cannot_get_a_bearer_token() {
    let probe = probe();
    let sign_in = SignIn::new(subject("ada"), user("Ada")).with_tasks([SessionTask::SECOND_FACTOR]);
    let browser = browser(&probe, sign_in);
    let response = probe.send_endpoint(from(&browser, post("/session/token", "")));
    assert_eq!(response.status, 403);
    assert!(response.text().contains("\"pending\""), "{}", response.text());
    probe.run_handler(from(&browser, get("/")), |jar, _| {
        let pending = jar.pending().unwrap();
        assert_eq!(pending.bearer_token(), Err(BearerTokenError::Pending));
    });
}

/// An impersonated session stays one when a bearer token authenticates it.
#[test]
fn bearer_token_of_an_impersonated_session_names_the_actor() {
    let probe = probe();
    let actor = Actor::new(subject("grace"));
    let sign_in = SignIn::new(subject("ada"), user("Ada")).impersonated_by(actor.clone());
    let token = token_of(&probe, &browser(&probe, sign_in));
    let claims = payload(&token);
    assert_eq!((&claims["sub"], &claims["act"]), (&"ada".into(), &json!({ "sub": "grace" })));
    assert_eq!(claims["fva"], json!([-1, -1]), "ada has verified no factor");
    let session = probe.send(with_bearer(&token, get("/"))).session.unwrap();
    assert_eq!(session.identity().actor(), Some(&actor));
}

/// `fva` counts in minutes only. A request with a bearer token cannot mark a factor as verified.
#[test]
fn bearer_token_keeps_factor_ages_to_the_second() {
    let probe = probe();
    let mut browser = ada(&probe);
    probe.clock.advance(seconds(65));
    let result = probe.run_handler(from(&browser, get("/")), |jar, _| {
        jar.mark_verified(Factor::Second).unwrap();
    });
    browser.store(&result.response.headers);
    probe.clock.advance(seconds(8));
    let token = token_of(&probe, &browser);
    assert_eq!(payload(&token)["fva"], json!([1, 0]));
    let result = probe.run_handler(with_bearer(&token, get("/")), |jar, _| {
        assert!(jar.mark_verified(Factor::Second).is_err());
    });
    let now = tower_auth_session::time::Timestamp::from_unix_seconds(START + 73);
    let ages = result.session.unwrap().identity().factor_ages(now);
    assert_eq!((ages.first, ages.second), (Some(seconds(73)), Some(seconds(8))));
    assert_eq!(result.response.set_cookies(), [""; 0]);
}
