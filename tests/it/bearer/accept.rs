//! What a bearer token opens, and what it leaves alone.

use http::HeaderValue;
use tower_auth_session::{Credential, SessionEvent, SessionStatusKind, SignInError};

use super::*;

#[test]
fn it_is_the_session_and_nothing_more() {
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
        assert_eq!(session.credential(), Credential::BearerToken);
        assert_eq!(result.events, []);
        assert_eq!(result.response.header("vary"), "Cookie, Authorization");
    }
    assert_eq!(cookie.session.unwrap().credential(), Credential::Cookie);
}

/// Cookies that come along are another credential's: none is read, renewed or removed.
#[test]
fn cookies_are_left_alone() {
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
    // Out of time by now; and so is the cookie, which would be removed if it were looked at.
    probe.clock.advance(seconds(80));
    let result = probe.send(with_bearer(&token, from(&ada, get("/"))));
    result.assert_signed_out();
}

/// Whoever sends a bad token is told so, and not served as whoever has a cookie.
#[test]
fn a_bad_token_is_nobody_beside_a_good_cookie() {
    let probe = probe();
    let browser = ada(&probe);
    let result = probe.send(with_bearer("nonsense", from(&browser, get("/"))));
    result.assert_signed_out();
    for value in ["Bearer", "Bearer a b", "Bearer a,b"] {
        let mut request = from(&browser, get("/"));
        request.headers_mut().insert(header::AUTHORIZATION, value.parse().unwrap());
        probe.send(request).assert_signed_out();
    }
    // Twice the same is not once.
    let token = token_of(&probe, &browser);
    let mut request = with_bearer(&token, from(&browser, get("/")));
    let again = request.headers()[header::AUTHORIZATION].clone();
    request.headers_mut().append(header::AUTHORIZATION, again);
    probe.send(request).assert_signed_out();
    // Other schemes are the application's.
    let mut request = from(&browser, get("/"));
    request.headers_mut().insert(header::AUTHORIZATION, "Basic YTpi".parse().unwrap());
    assert!(probe.send(request).session.is_some());
}

#[test]
fn off_by_default_and_nowhere_else() {
    let off = probe_with(BearerTokens::new());
    let browser = ada(&off);
    let token = token_of(&off, &browser);
    off.send(with_bearer(&token, get("/"))).assert_signed_out();
    // The scheme is the application's then.
    let result = off.send(with_bearer("anything", from(&browser, get("/"))));
    assert_eq!(result.session.unwrap().credential(), Credential::Cookie);
    assert_eq!(result.response.header("vary"), "Cookie");

    let on = probe();
    let token = token_of(&on, &ada(&on));
    on.send(get(&format!("/?access_token={token}"))).assert_signed_out();
    let mut form = post("/", "");
    *form.body_mut() = format!("access_token={token}").into();
    on.send(form).assert_signed_out();
}

/// What a request may change by a bearer token: that its session ends.
#[test]
fn verbs() {
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
        assert_eq!(jar.status().credential(), Credential::BearerToken);
    });
    assert_eq!((result.response.set_cookies(), result.events), (vec![], vec![]));

    let result = probe.run_handler(with_bearer(&token, from(&browser, get("/"))), |jar, _| {
        assert_eq!(jar.sign_out().unwrap().subject().as_str(), "ada");
        assert_eq!(jar.status().kind(), SessionStatusKind::SignedOut);
    });
    assert_eq!(result.response.set_cookies(), [""; 0]);
    assert!(matches!(*result.events, [SessionEvent::SignedOut { .. }]));
    // The session is over, by its token and by its cookie, which goes now.
    probe.send(with_bearer(&token, get("/"))).assert_signed_out();
    let result = probe.send(from(&browser, get("/")));
    assert!(result.session.is_none());
    assert!(result.response.set_cookies()[0].contains("Max-Age=0"));
}

/// Nobody can be tricked into sending a bearer token, so that its requests may come from anywhere.
#[test]
fn endpoints_by_bearer_from_anywhere() {
    let probe = probe();
    let browser = ada(&probe);
    let token = token_of(&probe, &browser);
    let foreign = |mut request: Request<Full<Bytes>>| {
        request.headers_mut().insert(header::ORIGIN, "https://spa.example".parse().unwrap());
        request.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
        request
    };
    let list = probe.send_endpoint(with_bearer(&token, get("/session")));
    let list: Value = serde_json::from_str(list.text()).unwrap();
    assert_eq!(list["sessions"][0]["subject"], "ada");
    assert_eq!(list["active"], list["sessions"][0]["session_id"]);
    // A junk token opens nothing with the cookie that comes along.
    let junk = with_bearer("junk", foreign(from(&browser, post("/sign-out", ""))));
    let response = probe.send_endpoint(junk);
    assert_eq!(response.set_cookies(), [""; 0]);
    assert!(probe.send(from(&browser, get("/"))).session.is_some());

    let response = probe.send_endpoint(with_bearer(&token, foreign(post("/sign-out", ""))));
    assert_eq!((response.status.as_u16(), response.set_cookies()), (303, vec![]));
    assert!(probe.send(from(&browser, get("/"))).session.is_none());
}

#[test]
fn it_dies_with_its_session() {
    let probe = probe();
    let browser = ada(&probe);
    let token = token_of(&probe, &browser);
    probe.run_handler(from(&browser, get("/")), |jar, _| {
        jar.sign_out();
    });
    let result = probe.send(with_bearer(&token, get("/")));
    result.assert_signed_out();
    assert_eq!(format!("{:?}", result.events), "[Rejected { reason: Ended }]");
}
