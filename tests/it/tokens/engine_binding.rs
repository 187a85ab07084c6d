//! Engines that share keys do not accept each other's tokens.

use tower_auth_session::{bearer::BearerTokens, config::CookieConfig};

use super::*;

/// An engine whose cookie is `__Host-` and `name`, with the keys of all others.
fn engine(name: &str, reject_unbound: bool) -> Probe<User> {
    Probe::new(
        engine_builder()
            .0
            .cookie(CookieConfig::new(name))
            .bearer_tokens(BearerTokens::new().accept(true))
            .reject_unbound_tokens(reject_unbound),
    )
}

fn present_to(probe: &Probe<User>, name: &str, token: &str) -> ProbeResult<User> {
    probe.cookie(&format!("__Host-{name}"), token)
}

#[test]
fn token_is_rejected_under_the_cookie_name_of_another_engine() {
    let (visitors, users) = (engine("visitor", false), engine("session", false));
    let token = sign_in(&visitors, "guest", user("Guest")).token();
    assert_eq!(payload(&token)["azp"], "visitor");
    assert!(present_to(&visitors, "visitor", &token).session.is_some());
    assert_eq!(token_error(&present_to(&users, "session", &token)), TokenError::WrongRecipient);
    // Renewed tokens are bound too.
    visitors.clock.advance(seconds(60));
    let renewed = present_to(&visitors, "visitor", &token).token();
    users.clock.advance(seconds(60));
    assert_eq!(token_error(&present_to(&users, "session", &renewed)), TokenError::WrongRecipient);
}

#[test]
fn number_of_accounts_does_not_change_the_binding() {
    let token = sign_in(&engine("session", true), "ada", user("Ada")).token();
    let several = Probe::new(engine_builder().0.reject_unbound_tokens(true).multi_session(true));
    assert!(present_to(&several, "session", &token).session.is_some());
}

#[test]
fn token_of_an_older_version_is_accepted_and_bound_at_its_renewal() {
    let claims = claims();
    assert!(claims.get("azp").is_none());
    let token = TokenForge::new("k1").session(&claims);
    let lenient = engine("session", false);
    assert!(present_to(&lenient, "session", &token).session.is_some());
    lenient.clock.advance(seconds(60));
    let renewed = present_to(&lenient, "session", &token).token();
    assert_eq!(payload(&renewed)["azp"], "session");

    let strict = engine("session", true);
    assert_eq!(
        token_error(&present_to(&strict, "session", &token)),
        TokenError::InvalidClaim("azp")
    );
    strict.clock.advance(seconds(60));
    assert!(present_to(&strict, "session", &renewed).session.is_some());
}

#[test]
fn token_of_an_older_version_that_fills_its_cookie_is_still_renewed() {
    let longest = 4096 - COOKIE.len();
    let token = |padding: usize| {
        let name = "n".repeat(padding);
        TokenForge::new("k1").session(&claims_with("name", Value::from(name)))
    };
    let padding = (0..4_000).rev().find(|padding| token(*padding).len() <= longest).unwrap();
    let full = token(padding);
    assert!(full.len() > longest - 4);
    let probe = engine("session", false);
    probe.clock.advance(seconds(60));
    let renewed = present_to(&probe, "session", &full).token();
    assert!(payload(&renewed).get("azp").is_none());
}

#[test]
fn bearer_token_is_rejected_by_another_engine() {
    let bearer = |claims: &Value| {
        let header = json!({ "alg": "HS256", "typ": "JWT", "kid": "k1" });
        TokenForge::new("k1").sign(header.to_string(), claims.to_string())
    };
    let accepts = |probe: &Probe<User>, token: &str| {
        let mut request = get("/");
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        probe.send(request).session.is_some()
    };
    let mut old = json!({
        "iss": ORIGIN, "azp": ORIGIN, "sub": "ada", "sid": SID_A, "auth_time": START,
        "iat": START, "exp": START + 60, "jti": SID_B, "sts": "active", "name": "Ada",
    });
    let engines = || [engine("visitor", false), engine("session", false), engine("session", true)];
    let accepted = |token: &str| engines().map(|probe| accepts(&probe, token));
    assert_eq!(accepted(&bearer(&old)), [true, true, false], "without a name");
    old["jti"] = format!("session.{SID_B}").into();
    assert_eq!(accepted(&bearer(&old)), [false, true, true]);
}

/// A full token with a binding is never renewed into one without.
#[test]
fn renewal_never_removes_the_binding() {
    let probe = engine("session", false);
    let longest = 4096 - COOKIE.len();
    for spare in [0, 10, 20, 30] {
        let token = |padding: usize| {
            let mut claims = claims_with("name", Value::from("n".repeat(padding)));
            claims["azp"] = "session".into();
            TokenForge::new("k1").session(&claims)
        };
        let fits = |padding: &usize| token(*padding).len() <= longest - spare;
        let full = token((0..4_000).rev().find(fits).unwrap());
        probe.clock.advance(seconds(61));
        let mut request = with_cookies(&[format!("{COOKIE}={full}")]);
        request.headers_mut().insert("session-activity", "none".parse().unwrap());
        let result = probe.send(request);
        for set_cookie in result.response.set_cookies() {
            let renewed = set_cookie.split(['=', ';']).nth(1).unwrap();
            if renewed.is_empty() {
                continue;
            }
            assert_eq!(payload(renewed)["azp"], "session", "{spare}");
        }
    }
}
