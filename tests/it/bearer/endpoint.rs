//! Issuing bearer tokens: `POST /session/token` and `Session::bearer_token`.

use std::sync::{Arc, Mutex};

use tower_auth_session::{
    bearer::{BearerTokenError, BearerTokenOptions},
    config::{Endpoint, Endpoints},
    engine::SessionEngineBuilder,
    event::SessionEvent,
    testing,
    time::Timestamp,
};

use super::*;
use crate::support::{SID_A, layer_on};

#[test]
fn bearer_token_has_the_documented_claims() {
    let probe = probe();
    let browser = ada(&probe);
    probe.clock.advance(seconds(5));
    let response = probe.send_endpoint(from(&browser, post("/session/token", "")));
    assert_eq!(response.header("cache-control"), "no-store");
    assert_eq!(response.header("content-type"), "application/json");
    assert_eq!(response.set_cookies(), [""; 0], "the cookie's token is fresh");
    let body: Value = serde_json::from_str(response.text()).unwrap();
    assert_eq!(body["expires_at"], START + 65);
    assert_eq!(body.as_object().unwrap().len(), 2);

    let claims = payload(body["token"].as_str().unwrap());
    let session = payload(&browser.cookies[COOKIE]);
    let mut members: Vec<&str> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    let expected = "auth_time azp exp fva iat iss jti name nbf sid sts sub v";
    assert_eq!(members.join(" "), expected);
    assert_eq!((&claims["iss"], &claims["azp"]), (&ORIGIN.into(), &ORIGIN.into()));
    assert_eq!((&claims["sub"], &claims["sid"]), (&session["sub"], &session["sid"]));
    assert_eq!((&claims["iat"], &claims["exp"]), (&(START + 5).into(), &(START + 65).into()));
    assert_eq!((&claims["nbf"], &claims["auth_time"]), (&START.into(), &START.into()));
    assert_eq!((&claims["sts"], &claims["v"]), (&"active".into(), &2.into()));
    assert_eq!((&claims["fva"], &claims["name"]), (&serde_json::json!([0, -1]), &"Ada".into()));
    let again = payload(&token_of(&probe, &browser));
    assert_ne!(again["jti"], claims["jti"]);
    assert!(claims["jti"].as_str().unwrap().starts_with("session."), "{claims}");
}

/// The `Origin` of a request does not decide for which client a token is issued.
#[test]
fn azp_comes_from_the_configuration_and_not_from_the_request() {
    const OTHER: &str = "https://other.example.com";
    for (tokens, azp) in
        [(BearerTokens::new(), ORIGIN), (BearerTokens::new().authorized_party("mobile"), "mobile")]
    {
        let builder = engine_builder().0.trusted_origins([OTHER]);
        let probe = Probe::new(builder.bearer_tokens(tokens));
        let mut request = from(&ada(&probe), post("/session/token", ""));
        request.headers_mut().insert(header::ORIGIN, OTHER.parse().unwrap());
        let response = probe.send_endpoint(request);
        let body: Value = serde_json::from_str(response.text()).unwrap();
        assert_eq!(payload(body["token"].as_str().unwrap())["azp"], azp);
    }
}

#[test]
fn token_request_accepts_only_allowed_lifetimes_and_audiences() {
    let probe = probe();
    let browser = ada(&probe);
    let json = |body: &'static str| {
        let mut request = post("/session/token", body);
        let json = "application/json".parse().unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        request
    };
    let request_token = |request| {
        let response = probe.send_endpoint(from(&browser, request));
        let body: Value = serde_json::from_str(response.text()).unwrap();
        (response.status.as_u16(), body)
    };
    for (form, lifetime, aud) in [
        ("lifetime=1", 1, Value::Null),
        // The session expires 100 seconds after its start.
        ("lifetime=600", 100, Value::Null),
        ("audience=https%3A%2F%2Freports.example.com&lifetime=30", 30, AUDIENCE.into()),
    ] {
        let (status, body) = request_token(post("/session/token", form));
        let claims = payload(body["token"].as_str().unwrap());
        assert_eq!((status, &claims["exp"]), (200, &(START + lifetime).into()), "{form}");
        assert_eq!(claims.get("aud").unwrap_or(&Value::Null), &aud, "{form}");
    }
    assert_eq!(request_token(json(r#"{"lifetime": 30}"#)).1["expires_at"], START + 30);
    assert_eq!(request_token(json(r#"{"lifetime": "30"}"#)).1["expires_at"], START + 30);
    for (form, status, code) in [
        ("lifetime=601", 422, "lifetime_not_allowed"),
        ("lifetime=0", 422, "lifetime_not_allowed"),
        ("lifetime=18446744073709551615", 422, "lifetime_not_allowed"),
        ("lifetime=18446744073709551616", 400, "bad_lifetime"),
        ("lifetime=-1", 400, "bad_lifetime"),
        ("lifetime=1.5", 400, "bad_lifetime"),
        ("lifetime=", 400, "bad_lifetime"),
        ("lifetime=1&lifetime=1", 400, "bad_lifetime"),
        ("audience=https://reports.example.com/", 422, "audience_not_allowed"),
        ("audience=", 422, "audience_not_allowed"),
        ("audience=a&audience=b", 400, "bad_audience"),
        ("session_id=x", 400, "bad_session_id"),
        ("session_id=AAAAAAAAAAAAAAAAAAAAAA", 409, "session_mismatch"),
    ] {
        let (found, body) = request_token(post("/session/token", form));
        assert_eq!((found, &body["code"]), (status, &code.into()), "{form}");
    }
    assert_eq!(request_token(json(r#"{"lifetime": 1.5}"#)).0, 400);
    assert_eq!(request_token(json(r#"{"lifetime": [30]}"#)).0, 400);
}

#[test]
fn token_request_without_a_same_site_cookie_session_is_refused() {
    let probe = probe();
    let browser = ada(&probe);
    let status = |request| probe.send_endpoint(request).status.as_u16();
    assert_eq!(status(post("/session/token", "")), 401);
    let mut cross_site = from(&browser, post("/session/token", ""));
    cross_site.headers_mut().insert(header::ORIGIN, "https://evil.example".parse().unwrap());
    assert_eq!(status(cross_site), 403);
    let mut without_origin = from(&browser, post("/session/token", ""));
    without_origin.headers_mut().remove(header::ORIGIN);
    assert_eq!(status(without_origin), 403);
    let response = probe.send_endpoint(from(&browser, get("/session/token")));
    assert_eq!((response.status.as_u16(), response.header("allow")), (405, "POST"));
    // A bearer token cannot obtain another one, or a leaked token could be prolonged for ever.
    let token = token_of(&probe, &browser);
    let response = probe.send_endpoint(with_bearer(&token, post("/session/token", "")));
    assert_eq!(response.status, 403);
    assert!(response.text().contains("from_bearer_token"));
    // The session has expired.
    probe.clock.advance(seconds(100));
    assert_eq!(status(from(&browser, post("/session/token", ""))), 401);
}

/// An audit log gets an event for each token, without the token itself.
#[test]
fn issued_bearer_token_is_reported_without_the_token() {
    let probe = probe();
    let browser = ada(&probe);
    probe.events.take();
    let token = token_of(&probe, &browser);
    let reported = probe.events.take();
    let [SessionEvent::BearerTokenIssued { session, expires_at, .. }] = &reported[..] else {
        panic!("{reported:?}")
    };
    assert_eq!((session.subject().as_str(), expires_at.as_unix_seconds()), ("ada", START + 60));
    assert!(!format!("{reported:?}").contains(&token));
}

/// `session-activity: none` declares a request that is not user activity.
#[test]
fn token_request_counts_as_activity_unless_it_declares_otherwise() {
    for (activity, last_active_at) in [(None, START + 20), (Some("none"), START)] {
        let probe = probe();
        let browser = ada(&probe);
        probe.clock.advance(seconds(20));
        let mut request = from(&browser, post("/session/token", ""));
        if let Some(activity) = activity {
            request.headers_mut().insert("session-activity", activity.parse().unwrap());
        }
        let response = probe.send_endpoint(request);
        assert_eq!(response.status, 200);
        let [cookie] = *response.set_cookies() else { panic!("{:?}", response.headers) };
        let renewed = payload(cookie.split(['=', ';']).nth(1).unwrap());
        let last_active = renewed.get("last_active_at").unwrap_or_else(|| &renewed["iat"]);
        assert_eq!(*last_active, last_active_at);
    }
}

#[test]
fn token_endpoint_path_can_be_moved_or_disabled() {
    let paths = |builder: SessionEngineBuilder<User>| {
        let (layer, _) = layer_on(builder);
        // The others have tests of their own.
        let others = ["/.well-known/", "/session/bound/"];
        let is_of_the_session = |path: &&str| !others.iter().any(|other| path.starts_with(other));
        layer
            .engine()
            .endpoint_paths()
            .filter(is_of_the_session)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let builder = || engine_builder().0;
    assert_eq!(paths(builder()), ["/sign-out", "/session", "/session/token", "/session/touch"]);
    assert_eq!(
        paths(builder().endpoints(Endpoints::new().path(Endpoint::Token, "/t"))),
        ["/sign-out", "/session", "/t", "/session/touch"]
    );
    assert_eq!(
        paths(builder().endpoints(Endpoints::new().disable(Endpoint::Token))),
        ["/sign-out", "/session", "/session/touch"]
    );
}

#[test]
fn token_request_issues_for_the_session_in_the_session_id_header() {
    let builder = engine_builder().0.multi_session(true).bearer_tokens(tokens());
    let probe = Probe::new(builder);
    let mut browser = Browser::default();
    let ids = ["ada", "grace"].map(|name| {
        let mut request = get("/");
        if let Some(cookies) = browser.cookie_header() {
            request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
        }
        let result = probe.run_handler(request, move |jar, _| {
            jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
        });
        browser.store(&result.response.headers);
        probe.send(from(&browser, get("/"))).sid().unwrap()
    });
    let request_token = |id: &str| {
        let mut request = from(&browser, post("/session/token", ""));
        request.headers_mut().insert("session-id", id.parse().unwrap());
        probe.send_endpoint(request)
    };
    for (id, name) in ids.iter().zip(["ada", "grace"]) {
        let body: Value = serde_json::from_str(request_token(id).text()).unwrap();
        let token = body["token"].as_str().unwrap();
        assert_eq!(payload(token)["sub"], name);
        // The token authenticates as that session only.
        let mut request = with_bearer(token, get("/"));
        request.headers_mut().insert("session-id", id.parse().unwrap());
        assert_eq!(probe.send(request).sid().as_ref(), Some(id));
        let mut other = with_bearer(token, get("/"));
        other.headers_mut().insert("session-id", SID_A.parse().unwrap());
        assert!(probe.send(other).session.is_none());
    }
    assert_eq!(request_token(SID_A).status, 409);
}

/// The same by [`Session::bearer_token`] in a handler.
#[test]
fn session_in_a_handler_issues_bearer_tokens_within_the_limits() {
    let probe = probe();
    let issued = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&issued);
    let act = move |jar: &SessionJar<User>, _: &mut _| {
        let session = jar.session().unwrap();
        let long = BearerTokenOptions::new().lifetime(seconds(601));
        let other = BearerTokenOptions::new().audience("https://elsewhere.example.com");
        let mut issued = vec![
            session.bearer_token(),
            session.bearer_token_with(&long),
            session.bearer_token_with(&other),
        ];
        jar.sign_out();
        issued.push(session.bearer_token());
        *sink.lock().unwrap() = issued;
    };
    let browser = ada(&probe);
    let token = token_of(&probe, &browser);
    probe.run_handler(with_bearer(&token, get("/")), act.clone());
    let results = std::mem::take(&mut *issued.lock().unwrap());
    assert_eq!(results.len(), 4);
    assert!(results.iter().all(|issued| *issued == Err(BearerTokenError::NotACookieSession)));

    probe.run_handler(from(&ada(&probe), get("/")), act);
    let results = std::mem::take(&mut *issued.lock().unwrap());
    let token = results[0].as_ref().unwrap();
    assert_eq!(token.expires_at().as_unix_seconds(), START + 60);
    assert_eq!(results[1], Err(BearerTokenError::Lifetime { max_lifetime: seconds(600) }));
    assert_eq!(results[2], Err(BearerTokenError::Audience));
    assert_eq!(results[3], Err(BearerTokenError::SessionEnded));
}

/// An application without the layer asks the engine for tokens.
#[test]
fn engine_without_a_layer_issues_bearer_tokens() {
    let engine = engine_builder().0.build().unwrap();
    let start = Timestamp::from_unix_seconds(START);
    let sign_in = SignIn::new(subject("ada"), user("Ada"));
    let request = testing::signed_in(&engine, sign_in, start, get("/")).unwrap();
    let session = engine.open(&request, start).session().unwrap();
    assert_eq!(session.bearer_token(), Err(BearerTokenError::NoSessionLayer));
    let token = engine.bearer_token(&session, &BearerTokenOptions::new(), start).unwrap();
    assert_eq!(payload(token.as_str())["sub"], "ada");
}

#[test]
fn invalid_bearer_token_settings_are_build_errors() {
    for (tokens, field) in [
        (BearerTokens::new().lifetime(seconds(0)), "bearer_tokens.lifetime"),
        (BearerTokens::new().lifetime(seconds(86_401)), "bearer_tokens.lifetime"),
        (BearerTokens::new().max_lifetime(seconds(86_401)), "bearer_tokens.max_lifetime"),
        (BearerTokens::new().max_lifetime(seconds(59)), "bearer_tokens.max_lifetime"),
        (BearerTokens::new().audiences([""]), "bearer_tokens.audiences"),
        (BearerTokens::new().authorized_party(""), "bearer_tokens.authorized_party"),
        (BearerTokens::new().authorized_parties(["a", ""]), "bearer_tokens.authorized_parties"),
    ] {
        let error = engine_builder().0.bearer_tokens(tokens).build().unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
        assert_eq!(error.problems()[0].field(), field);
    }
}
