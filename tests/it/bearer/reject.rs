//! Bearer tokens with a valid signature that are rejected for their claims, and the challenges of the
//! guard.

use std::convert::Infallible;

use http::Response;
use serde_json::json;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::{
    RequireSessionLayer,
    error::TokenError,
    event::{CredentialError, SessionEvent},
};

use super::*;
use crate::support::{SID_A, TestResponse, probe::now_or_never};

fn claims_with(name: &str, value: impl Into<Option<Value>>) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    match value.into() {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    claims
}

#[track_caller]
fn reason(probe: &Probe<User>, token: &str) -> Option<CredentialError> {
    let result = probe.send(with_bearer(token, get("/")));
    match &*result.events {
        [] => {
            assert_eq!(result.sid().as_deref(), Some(SID_A));
            None
        }
        [SessionEvent::CredentialRejected { reason, .. }] => {
            result.assert_signed_out();
            Some(*reason)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn bearer_token_with_an_invalid_claim_is_rejected() {
    use TokenError as T;
    let probe = probe();
    for (name, value, expected) in [
        ("sub", json!("ada"), None),
        ("iss", json!("https://evil.example"), Some(T::WrongRecipient)),
        ("iss", Value::Null, Some(T::InvalidClaim("iss"))),
        ("aud", json!(AUDIENCE), Some(T::WrongRecipient)),
        ("aud", json!([]), Some(T::WrongRecipient)),
        ("azp", json!("https://app.example.com/"), Some(T::WrongRecipient)),
        ("azp", json!(7), Some(T::InvalidClaim("azp"))),
        ("sub", json!(""), Some(T::InvalidClaim("sub"))),
        ("sid", json!("sess_1"), Some(T::InvalidClaim("sid"))),
        ("sid", json!(7), Some(T::InvalidClaim("sid"))),
        ("auth_time", json!(START + 1), Some(T::InvalidClaim("auth_time"))),
        ("iat", json!(START + 5), None),
        ("iat", json!(START + 6), Some(T::NotYetValid)),
        ("iat", json!(1.5), Some(T::InvalidClaim("iat"))),
        ("nbf", json!(START + 5), None),
        ("nbf", json!(START + 6), Some(T::NotYetValid)),
        ("exp", json!(START + 1), None),
        ("exp", json!(START), Some(T::Expired)),
        ("exp", json!(START + 600), None),
        ("exp", json!(START + 601), Some(T::Expired)),
        ("exp", json!("x"), Some(T::InvalidClaim("exp"))),
        ("exp", json!(START - 1), Some(T::InvalidClaim("exp"))),
        ("sts", json!("pending"), Some(T::InvalidClaim("sts"))),
        ("sts", json!(["active"]), Some(T::InvalidClaim("sts"))),
        ("fva", json!([1, 2, 3]), Some(T::InvalidClaim("fva"))),
        ("fva", json!([5, 5]), None),
        ("jti", json!(1), Some(T::InvalidClaim("jti"))),
        ("jti", json!("session.0123"), None),
        ("jti", json!("visitor.0123"), Some(T::WrongRecipient)),
        ("jti", json!(".0123"), Some(T::WrongRecipient)),
        ("act", json!({ "sub": "eve" }), None),
        ("act", json!("eve"), Some(T::InvalidClaim("act"))),
        ("pending_tasks", json!(["second_factor"]), Some(T::InvalidClaim("pending_tasks"))),
        ("cnf", json!({ "jkt": "x" }), Some(T::InvalidClaim("cnf"))),
        ("name", json!(7), Some(T::ClaimsDoNotDecode)),
        ("more", json!(7), None),
    ] {
        let found = reason(&probe, &forge(&claims_with(name, value.clone())));
        assert_eq!(found, expected.map(CredentialError::Token), "{name} = {value}");
    }
    for (name, expected) in [
        ("iss", Some(T::WrongRecipient)),
        ("azp", Some(T::WrongRecipient)),
        ("sub", Some(T::InvalidClaim("sub"))),
        ("sid", Some(T::InvalidClaim("sid"))),
        ("auth_time", Some(T::InvalidClaim("auth_time"))),
        ("iat", Some(T::InvalidClaim("iat"))),
        ("exp", Some(T::InvalidClaim("exp"))),
        ("sts", Some(T::InvalidClaim("sts"))),
        ("nbf", None),
        ("jti", None),
        ("fva", None),
        ("v", None),
    ] {
        let found = reason(&probe, &forge(&claims_with(name, None)));
        assert_eq!(found, expected.map(CredentialError::Token), "without {name}");
    }
    let duplicate_sub = claims().to_string().replacen('{', "{\"sub\":\"eve\",", 1);
    let header = json!({ "alg": "HS256", "typ": "JWT", "kid": "k1" }).to_string();
    let token = TokenForge::new("k1").sign(&header, duplicate_sub);
    assert_eq!(reason(&probe, &token), Some(CredentialError::Token(T::Payload)));
    let mut long = claims();
    long["more"] = "x".repeat(8_000).into();
    assert_eq!(reason(&probe, &forge(&long)), Some(CredentialError::Token(T::TooLong)));
    for typ in ["jwt", "at+jwt", "session+jwt", ""] {
        let header = json!({ "alg": "HS256", "typ": typ, "kid": "k1" }).to_string();
        let token = TokenForge::new("k1").sign(&header, claims().to_string());
        assert_eq!(reason(&probe, &token), Some(CredentialError::Token(T::Type)), "{typ}");
    }
}

#[test]
fn bearer_token_for_another_audience_or_party_is_rejected() {
    let service = |tokens: BearerTokens| {
        Probe::new(engine_builder().0.audience(AUDIENCE).bearer_tokens(tokens))
    };
    let probe = service(tokens());
    for (aud, good) in [
        (json!(AUDIENCE), true),
        (json!(["https://a.example", AUDIENCE]), true),
        (json!("https://a.example"), false),
        (json!([]), false),
    ] {
        let reason = reason(&probe, &forge(&claims_with("aud", aud.clone())));
        assert_eq!(reason.is_none(), good, "{aud}");
    }
    assert!(reason(&probe, &forge(&claims())).is_some(), "without an audience");

    let probe = probe_with(tokens().authorized_parties(["mobile", "https://b.example.com"]));
    for (azp, good) in
        [("mobile", true), ("https://b.example.com", true), (ORIGIN, false), ("", false)]
    {
        let reason = reason(&probe, &forge(&claims_with("azp", json!(azp))));
        assert_eq!(reason.is_none(), good, "{azp}");
    }
}

/// RFC 6750 §3: the credentials that would be accepted, and the error in the one that was sent.
#[test]
fn guard_challenges_requests_without_a_valid_bearer_token() {
    let probe = probe();
    let browser = ada(&probe);
    let token = token_of(&probe, &browser);
    let send = |request: Request<Full<Bytes>>, guard: RequireSessionLayer| {
        let inner = guard.layer(service_fn(|_: Request<Full<Bytes>>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        }));
        let response = now_or_never(probe.layer.layer(inner).oneshot(request)).unwrap();
        let response = now_or_never(TestResponse::of(response));
        (response.status.as_u16(), response.header("www-authenticate").to_owned())
    };
    let guard = RequireSessionLayer::new;
    let invalid = (401, "Bearer error=\"invalid_token\"".to_owned());
    assert_eq!(send(get("/"), guard()), (401, "Cookie, Bearer".to_owned()));
    assert_eq!(send(with_bearer("invalid", get("/")), guard()), invalid);
    let mut page = with_bearer("invalid", get("/"));
    page.headers_mut().insert(header::ACCEPT, "text/html".parse().unwrap());
    assert_eq!(send(page, guard()), invalid, "no redirect to the sign-in page");
    assert_eq!(send(with_bearer(&token, get("/")), guard()).0, 200);
    probe.clock.advance(seconds(30));
    let fresh = guard().first_factor_within(seconds(10));
    let expected = (401, "Bearer error=\"insufficient_user_authentication\"".to_owned());
    assert_eq!(send(with_bearer(&token, get("/")), fresh), expected);
    probe.clock.advance(seconds(30));
    assert_eq!(send(with_bearer(&token, get("/")), guard()), invalid, "expired");
    let response = probe.send_endpoint(with_bearer(&token, post("/session/token", "")));
    assert_eq!(response.header("www-authenticate"), invalid.1);
}
