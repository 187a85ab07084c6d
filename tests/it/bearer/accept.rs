//! Requests with a valid bearer token: which session they get, and what they may change.

use http::HeaderValue;
use tower_auth_session::{
    bearer::CredentialKind, engine::SessionStatusKind, error::SignInError, event::SessionEvent,
};

use super::*;

#[test]
fn bearer_token_authenticates_as_its_session_for_any_scheme_case() {
    let probe = probe();
    let browser = ada(&probe);
    let token = token_of(&probe, &browser);
    let cookie = probe.cookie(COOKIE, &browser.cookies[COOKIE]);
    for scheme in ["Bearer ", "bearer ", "BEARER   "] {
        let mut request = get("/");
        let value = HeaderValue::try_from(format!("{scheme}{token}")).unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, value);
        let result = probe.send(request);
        let session = result.session.unwrap();
        assert_eq!(Some(session.id().to_string()), cookie.sid());
        assert_eq!((session.subject().as_str(), &*session.claims().name), ("ada", "Ada"));
        assert_eq!(session.signed_in_at().as_unix_seconds(), START);
        assert_eq!(session.expires_at().as_unix_seconds(), START + 60);
        assert_eq!(session.credential(), CredentialKind::BearerToken);
        assert_eq!(result.events, []);
        assert_eq!(result.response.header("vary"), "Cookie, Authorization");
    }
    assert_eq!(cookie.session.unwrap().credential(), CredentialKind::Cookie);
}

/// The bearer token takes precedence: cookies of the same request are neither read nor renewed nor
/// removed.
#[test]
fn cookies_beside_a_bearer_token_are_neither_read_nor_changed() {
    let probe = probe();
    let ada = ada(&probe);
    let token = token_of(&probe, &ada);
    probe.clock.advance(seconds(20));
    let grace = Browser::signed_in(&probe.layer, SignIn::new(subject("grace"), user("Grace")));
    for browser in [&ada, &grace] {
        let result = probe.send(with_bearer(&token, from(browser, get("/"))));
        assert_eq!(result.session.unwrap().subject().as_str(), "ada");
        assert_eq!((result.response.set_cookies(), result.events), (vec![], vec![]));
    }
    // Both have expired by now; an expired cookie would be removed if it were read.
    probe.clock.advance(seconds(80));
    let result = probe.send(with_bearer(&token, from(&ada, get("/"))));
    result.assert_signed_out();
}

/// A client with an invalid token gets an error; its cookie is no fallback.
#[test]
fn invalid_bearer_token_is_signed_out_despite_a_valid_cookie() {
    let probe = probe();
    let browser = ada(&probe);
    let result = probe.send(with_bearer("nonsense", from(&browser, get("/"))));
    result.assert_signed_out();
    for value in ["Bearer", "Bearer a b", "Bearer a,b"] {
        let mut request = from(&browser, get("/"));
        request.headers_mut().insert(header::AUTHORIZATION, value.parse().unwrap());
        probe.send(request).assert_signed_out();
    }
    // Two `Authorization` headers are rejected even if they are equal.
    let token = token_of(&probe, &browser);
    let mut request = with_bearer(&token, from(&browser, get("/")));
    let again = request.headers()[header::AUTHORIZATION].clone();
    request.headers_mut().append(header::AUTHORIZATION, again);
    probe.send(request).assert_signed_out();
    // The application handles other schemes.
    let mut request = from(&browser, get("/"));
    request.headers_mut().insert(header::AUTHORIZATION, "Basic YTpi".parse().unwrap());
    assert!(probe.send(request).session.is_some());
}

#[test]
fn bearer_tokens_are_ignored_by_default_and_outside_the_authorization_header() {
    let off = probe_with(BearerTokens::new());
    let browser = ada(&off);
    let token = token_of(&off, &browser);
    off.send(with_bearer(&token, get("/"))).assert_signed_out();
    // Without `accept`, the application handles the scheme.
    let result = off.send(with_bearer("anything", from(&browser, get("/"))));
    assert_eq!(result.session.unwrap().credential(), CredentialKind::Cookie);
    assert_eq!(result.response.header("vary"), "Cookie");

    let on = probe();
    let token = token_of(&on, &ada(&on));
    on.send(get(&format!("/?access_token={token}"))).assert_signed_out();
    let mut form = post("/", "");
    *form.body_mut() = format!("access_token={token}").into();
    on.send(form).assert_signed_out();
}

/// The only change that a request with a bearer token can make is to sign out.
#[test]
fn bearer_request_can_sign_out_and_change_nothing_else() {
    let probe = probe();
    let browser = ada(&probe);
    let token = token_of(&probe, &browser);
    let result = probe.run_handler(with_bearer(&token, get("/")), |jar, _| {
        let sign_in = SignIn::new(subject("grace"), user("Grace"));
        assert_eq!(jar.sign_in(sign_in).unwrap_err(), SignInError::BearerToken);
        let refused = jar.update_claims(user("Grace")).unwrap_err();
        assert!(refused.to_string().contains("bearer token"), "{refused}");
        jar.renew_now();
        assert_eq!(jar.accounts().len(), 1);
        assert_eq!(jar.status().credential(), CredentialKind::BearerToken);
    });
    assert_eq!((result.response.set_cookies(), result.events), (vec![], vec![]));

    let result = probe.run_handler(with_bearer(&token, from(&browser, get("/"))), |jar, _| {
        assert_eq!(jar.sign_out().unwrap().subject().as_str(), "ada");
        assert_eq!(jar.status().kind(), SessionStatusKind::SignedOut);
    });
    assert_eq!(result.response.set_cookies(), [""; 0]);
    assert!(matches!(*result.events, [SessionEvent::SignedOut { .. }]));
    // The session is revoked for its bearer token and its cookie; the cookie is removed now.
    probe.send(with_bearer(&token, get("/"))).assert_signed_out();
    let result = probe.send(from(&browser, get("/")));
    assert!(result.session.is_none());
    assert!(result.response.set_cookies()[0].contains("Max-Age=0"));
}

/// A browser never sends a bearer token by itself, so cross-site requests with one are no forgeries.
#[test]
fn endpoints_accept_cross_site_requests_with_a_bearer_token() {
    let probe = probe();
    let browser = ada(&probe);
    let token = token_of(&probe, &browser);
    let cross_site = |mut request: Request<Full<Bytes>>| {
        request.headers_mut().insert(header::ORIGIN, "https://spa.example".parse().unwrap());
        request.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
        request
    };
    let list = probe.send_endpoint(with_bearer(&token, get("/session")));
    let list: Value = serde_json::from_str(list.text()).unwrap();
    assert_eq!(list["sessions"][0]["subject"], "ada");
    assert_eq!(list["active"], list["sessions"][0]["session_id"]);
    // An invalid token does not fall back to the request's cookie.
    let invalid = with_bearer("junk", cross_site(from(&browser, post("/sign-out", ""))));
    let response = probe.send_endpoint(invalid);
    assert_eq!(response.set_cookies(), [""; 0]);
    assert!(probe.send(from(&browser, get("/"))).session.is_some());

    let response = probe.send_endpoint(with_bearer(&token, cross_site(post("/sign-out", ""))));
    assert_eq!((response.status.as_u16(), response.set_cookies()), (303, vec![]));
    assert!(probe.send(from(&browser, get("/"))).session.is_none());
}

#[test]
fn bearer_token_is_rejected_after_its_session_is_revoked() {
    let probe = probe();
    let browser = ada(&probe);
    let token = token_of(&probe, &browser);
    probe.run_handler(from(&browser, get("/")), |jar, _| {
        jar.sign_out();
    });
    let result = probe.send(with_bearer(&token, get("/")));
    result.assert_signed_out();
    assert_eq!(format!("{:?}", result.events), "[CredentialRejected { reason: Revoked }]");
}
