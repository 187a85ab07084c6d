//! The endpoints that browsers call by themselves, row by row of their tables.

use http::{Request, StatusCode};
use http_body_util::Full;
use tower_auth_session::{
    SignIn,
    config::{DeviceBound, Endpoint, Endpoints},
    engine::SessionStatusKind,
    event::DeviceProofError,
};

use super::{BOUND_FOR, REFRESH, REGISTER, Site, altered, builder, device, http, payload};
use crate::support::{COOKIE, ORIGIN, START, engine_builder, subject, user};

#[test]
fn sign_in_offers_to_bind_the_session_and_a_renewal_does_not() {
    let mut site = Site::new(builder(DeviceBound::Preferred));
    assert_eq!(site.run(|_| {}).header("secure-session-registration"), "");
    let response = site.sign_in("ada");
    let offer = response.header("secure-session-registration");
    let sid = payload(&site.browser.cookies[COOKIE])["sid"].as_str().unwrap().to_owned();
    let expected = format!("(ES256);path=\"{REGISTER}?session_id={sid}\";challenge=\"");
    assert!(offer.starts_with(&expected), "{offer}");
    site.advance(11);
    let renewed = site.run(|_| {});
    assert_eq!(renewed.set_cookies().len(), 1);
    assert_eq!(renewed.header("secure-session-registration"), "");
    let mut site = Site::new(builder(DeviceBound::Off));
    assert_eq!(site.sign_in("ada").header("secure-session-registration"), "");
}

#[test]
fn registration_binds_the_session_and_names_the_cookie_to_renew() {
    let mut site = Site::new(builder(DeviceBound::Preferred));
    let response = site.sign_in("ada");
    let response = site.register(&response);
    assert_eq!(response.status, StatusCode::OK);
    let id = site.id();
    let json: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "session_identifier": id,
            "refresh_url": REFRESH,
            "scope": {
                "origin": ORIGIN,
                "include_site": false,
                "scope_specification": [
                    { "type": "exclude", "domain": "*", "path": "/.well-known" }
                ],
            },
            "credentials": [{
                "type": "cookie",
                "name": site.proof_name(),
                "attributes": "HttpOnly; SameSite=Lax; Secure; Path=/",
            }],
        })
    );
    let cookies = response.set_cookies();
    let proof = cookies.iter().find(|set| set.starts_with(&site.proof_name())).unwrap();
    let (_, attributes) = proof.split_once("; ").unwrap();
    let max_age = BOUND_FOR - BOUND_FOR / 10;
    assert_eq!(attributes, format!("HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age={max_age}"));
    let claims = payload(&site.browser.cookies[&site.proof_name()]);
    let thumbprint = site.device.key().unwrap().thumbprint();
    assert_eq!(
        claims,
        serde_json::json!({
            "azp": "session", "sid": id, "jkt": thumbprint, "iat": START, "exp": START + BOUND_FOR,
        })
    );
    let session = payload(&site.browser.cookies[COOKIE]);
    assert_eq!(session["cnf"]["jwk"]["kty"], "EC", "{session}");
    for (name, value) in [
        ("content-type", "application/json"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(response.header(name), value);
    }
    assert!(response.header("cache-control").contains("no-store"));
    // A challenge in this response would have expired when the browser signs it.
    assert_eq!(response.header("secure-session-challenge"), "");
    assert_eq!(site.probe.events.take_names(), ["SignedIn", "DeviceBound", "Renewed"]);
    assert_eq!(site.status(), SessionStatusKind::SignedIn);
}

#[test]
fn registration_can_be_repeated_with_the_same_key_only() {
    let mut site = Site::new(builder(DeviceBound::Preferred));
    let offer = site.sign_in("ada");
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    site.probe.events.take();
    let owner = std::mem::replace(&mut site.device, device());
    let before = site.browser.clone();
    let response = site.register(&offer);
    assert_eq!((response.status, response.set_cookies()), (StatusCode::CONFLICT, Vec::new()));
    assert_eq!(site.refusals(), [DeviceProofError::OtherKey]);
    // Nor with a token from before the binding.
    site.browser.cookies.clear();
    site.browser.store(&offer.headers);
    let response = site.register(&offer);
    assert_eq!((response.status, response.set_cookies()), (StatusCode::CONFLICT, Vec::new()));
    (site.browser, site.device) = (before, owner);
    assert_eq!(site.status(), SessionStatusKind::SignedIn);
}

#[test]
fn registration_without_a_right_to_it_changes_nothing() {
    let mut site = Site::new(builder(DeviceBound::Preferred));
    let offer = site.sign_in("ada");
    let request = || site.device.register::<_, Full<_>>(&http(&offer)).unwrap();
    let header = |name: &'static str, value: &str| {
        let mut request = request();
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let proof = "secure-session-response";
    let signed = request().headers()[proof].to_str().unwrap().to_owned();
    let without = |name: &str| {
        let mut request = request();
        request.headers_mut().remove(name);
        request
    };
    let mut twice = request();
    twice.headers_mut().append(proof, signed.parse().unwrap());
    let mut unnamed = request();
    *unnamed.uri_mut() = REGISTER.parse().unwrap();
    let mut other_site = header("origin", "https://evil.example");
    other_site.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
    let mut read = request();
    *read.method_mut() = http::Method::GET;
    for (what, request, expected) in [
        ("no signature", without(proof), 400),
        ("no JWT", header(proof, "x"), 400),
        ("altered", header(proof, &altered(&signed)), 401),
        ("signed twice", twice, 400),
        ("no session named", unnamed, 401),
        ("another site", other_site, 403),
        ("GET", read, 405),
    ] {
        let response = site.send(request);
        assert_eq!(response.status.as_u16(), expected, "{what}");
        assert_eq!(response.set_cookies(), Vec::<&str>::new(), "{what}");
    }
    // The session is still unbound, and can be bound.
    assert_eq!(site.status(), SessionStatusKind::SignedIn);
    for _ in 0..6 {
        site.advance(51);
        assert_eq!(site.status(), SessionStatusKind::SignedIn);
    }
    assert_eq!(site.register(&offer).status, StatusCode::FORBIDDEN, "an old challenge");
    let mut stranger = Site::new(builder(DeviceBound::Preferred));
    assert_eq!(stranger.register(&offer).status, StatusCode::UNAUTHORIZED, "no cookie");
    stranger.sign_in("eve");
    let other = stranger.sign_in("bob");
    assert_eq!(stranger.register(&offer).status, StatusCode::UNAUTHORIZED, "another session");
    assert_eq!(stranger.register(&other).status, StatusCode::OK);
}

#[test]
fn pending_session_is_bound_when_it_is_activated() {
    use tower_auth_session::engine::SessionTask;
    let mut site = Site::new(builder(DeviceBound::Preferred));
    let pending = site.run(|jar| {
        let sign_in = SignIn::new(subject("ada"), user("Ada"));
        jar.sign_in(sign_in.with_tasks([SessionTask::SECOND_FACTOR])).unwrap();
    });
    assert_eq!(pending.header("secure-session-registration"), "");
    let activated = site.run(|jar| {
        let _ = jar.complete_task(&SessionTask::SECOND_FACTOR).unwrap();
    });
    assert_eq!(site.register(&activated).status, StatusCode::OK);
    assert_eq!(site.status(), SessionStatusKind::SignedIn);
}

#[test]
fn registration_is_declined_where_the_bound_token_does_not_fit() {
    let mut site = Site::new(builder(DeviceBound::Preferred));
    let offer = site.run(|jar| {
        let name = "x".repeat(2_750);
        jar.sign_in(SignIn::new(subject("ada"), user(&name))).unwrap();
    });
    let response = site.register(&offer);
    assert_eq!((response.status, response.text()), (StatusCode::OK, "{\"continue\":false}"));
    assert_eq!(response.set_cookies(), Vec::<&str>::new());
    assert_eq!(site.refusals(), [DeviceProofError::TooLarge]);
    site.advance(30);
    assert_eq!(site.status(), SessionStatusKind::SignedIn, "the session stays unbound");
}

#[test]
fn application_offers_to_bind_an_older_session() {
    let mut site = Site::new(builder(DeviceBound::Preferred));
    site.sign_in("ada");
    site.advance(3);
    let offer = site.run(|jar| jar.bind_device());
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    assert_eq!(site.run(|jar| jar.bind_device()).header("secure-session-registration"), "");
    site.browser = Default::default();
    assert_eq!(site.run(|jar| jar.bind_device()).header("secure-session-registration"), "");
}

#[test]
fn refresh_challenges_the_device_and_renews_the_proof() {
    let mut site = Site::bound();
    let id = site.id();
    for audience in [false, true] {
        if audience {
            let device = std::mem::replace(&mut site.device, device());
            site.device = device.with_audience();
        }
        site.advance(BOUND_FOR);
        // The browser has no challenge: it has just bound the session, or was restarted.
        site.device.restart();
        let before = site.browser.clone();
        let response = site.request_refresh();
        assert_eq!(response.status, StatusCode::FORBIDDEN);
        assert!(response.header("secure-session-challenge").ends_with(&format!(";id=\"{id}\"")));
        assert_eq!(response.set_cookies(), Vec::<&str>::new());
        assert_eq!(site.browser.cookies, before.cookies);
        site.probe.events.take();
        let response = site.request_refresh();
        assert_eq!((response.status, response.text()), (StatusCode::NO_CONTENT, ""));
        assert_eq!(response.header("secure-session-challenge"), "");
        assert_ne!(site.browser.cookies[&site.proof_name()], before.cookies[&site.proof_name()]);
        assert!(response.header("cache-control").contains("no-store"));
        assert_eq!(site.status(), SessionStatusKind::SignedIn);
        assert_eq!(site.refusals(), []);
    }
}

/// Browsers send their latest signature again until they receive another challenge.
#[test]
fn refresh_with_an_old_challenge_is_challenged_again() {
    let mut site = Site::bound();
    site.refresh();
    let old: Request<Full<_>> = site.device.refresh(&site.id()).unwrap();
    assert!(old.headers().contains_key("secure-session-response"));
    for _ in 0..6 {
        site.advance(59);
        assert_eq!(site.refresh().status, StatusCode::NO_CONTENT);
        site.run(|_| {});
    }
    site.probe.events.take();
    let response = site.send(old);
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    assert_ne!(response.header("secure-session-challenge"), "");
    assert_eq!(site.refusals(), [], "no attack");
    assert_eq!(site.refresh().status, StatusCode::NO_CONTENT);
}

#[test]
fn refresh_of_an_ended_or_unknown_session_ends_the_one_of_the_browser() {
    let mut site = Site::bound();
    let copy = site.browser.clone();
    site.run(|jar| {
        jar.sign_out().unwrap();
    });
    assert_eq!(site.browser.cookies.len(), 0, "the proof is removed with the session");
    assert_eq!(site.refresh().status, StatusCode::UNAUTHORIZED, "no cookie");
    site.browser = copy;
    assert_eq!(site.refresh().status, StatusCode::UNAUTHORIZED, "a copied cookie");
    let mut site = Site::bound();
    site.advance(101);
    assert_eq!(site.refresh().status, StatusCode::UNAUTHORIZED, "expired");
    let mut site = Site::new(builder(DeviceBound::Preferred));
    site.sign_in("ada");
    let sid = payload(&site.browser.cookies[COOKIE])["sid"].as_str().unwrap().to_owned();
    for (header, expected) in [(Some(&*sid), 401), (Some("x"), 400), (None, 400)] {
        let mut request = Request::post(REFRESH).header("origin", ORIGIN);
        if let Some(id) = header {
            request = request.header("sec-secure-session-id", id);
        }
        let response = site.send(request.body(Full::default()).unwrap());
        assert_eq!(response.status.as_u16(), expected, "an unbound session, {header:?}");
        assert_eq!(response.set_cookies(), Vec::<&str>::new());
    }
    assert_eq!(site.status(), SessionStatusKind::SignedIn);
}

#[test]
fn refresh_with_another_key_renews_nothing() {
    let mut site = Site::bound();
    site.refresh();
    site.advance(BOUND_FOR);
    let owner = site.device.refresh::<Full<_>>(&site.id()).unwrap();
    // A thief has the cookies, and a challenge, and a key of their own.
    let mut thief = Site::bound();
    thief.refresh();
    let id = thief.id();
    let signed: Request<Full<bytes::Bytes>> = thief.device.refresh(&id).unwrap();
    let mut forged: Request<Full<bytes::Bytes>> = site.device.refresh(&site.id()).unwrap();
    let field = "secure-session-response";
    forged.headers_mut().insert(field, signed.headers()[field].clone());
    site.probe.events.take();
    let response = site.send(forged);
    assert_eq!((response.status, response.set_cookies()), (StatusCode::UNAUTHORIZED, Vec::new()));
    assert_eq!(site.refusals(), [DeviceProofError::Signature]);
    for bad in ["x", "", "a.b.c"] {
        let mut request: Request<Full<bytes::Bytes>> = site.device.refresh(&site.id()).unwrap();
        request.headers_mut().insert(field, bad.parse().unwrap());
        assert_eq!(site.send(request).status, StatusCode::BAD_REQUEST, "{bad}");
    }
    assert_eq!(site.send(owner).status, StatusCode::NO_CONTENT);
}

#[test]
fn refresh_is_no_activity() {
    let mut site = Site::bound();
    for second in [50, 49] {
        site.advance(second);
        assert_eq!(site.refresh().status, StatusCode::NO_CONTENT);
    }
    site.advance(1);
    assert_eq!(
        site.refresh().status,
        StatusCode::UNAUTHORIZED,
        "expired after 100 s of inactivity"
    );
    let mut site = Site::bound();
    site.advance(50);
    site.refresh();
    assert_eq!(site.status(), SessionStatusKind::SignedIn);
    site.advance(60);
    site.refresh();
    assert_eq!(site.status(), SessionStatusKind::SignedIn, "active 60 s ago");
}

#[test]
fn endpoints_for_devices_can_be_moved_and_need_to_exist() {
    let endpoints = Endpoints::new()
        .path(Endpoint::DeviceRegistration, "/device/new")
        .path(Endpoint::DeviceRefresh, "/device")
        .base_path("/app");
    let mut site = Site::new(builder(DeviceBound::Preferred).endpoints(endpoints));
    let offer = site.sign_in("ada");
    let offer = offer.header("secure-session-registration");
    assert!(offer.contains(";path=\"/app/device/new?session_id="), "{offer}");
    let disabled = Endpoints::new().disable(Endpoint::DeviceRefresh);
    let error = builder(DeviceBound::Preferred).endpoints(disabled.clone()).build().unwrap_err();
    assert_eq!(error.problems()[0].field(), "endpoints.device_refresh");
    assert!(engine_builder().0.endpoints(disabled).build().is_ok());
}
