//! `iss`, `aud`, `sub`, `sid` and the claims that restrict a session.

use super::*;

/// Missing claims, wrong types and values, and the valid ones (RFC 8725 §3.8, §3.9).
#[test]
fn token_with_another_issuer_audience_subject_or_id_is_rejected() {
    let (builder, _) = engine_builder();
    let probe = Probe::new(builder.issuer("us").audience("app"));
    let forge = TokenForge::new("k1");
    let mut valid = claims();
    valid["iss"] = json!("us");
    valid["aud"] = json!("app");
    assert!(present(&probe, &forge.session(&valid)).session.is_some());
    let wrong_type = [json!(5), json!({}), json!(null), json!(true), json!(-1.5)];
    for (name, missing, values) in [
        (
            "iss",
            TokenError::WrongRecipient,
            vec![json!("them"), json!(""), json!("US"), json!("us "), json!("us\0")],
        ),
        (
            "aud",
            TokenError::WrongRecipient,
            vec![json!("them"), json!(""), json!("app2"), json!([]), json!(["them", "App"])],
        ),
        ("sub", TokenError::InvalidClaim("sub"), vec![]),
        ("sid", TokenError::InvalidClaim("sid"), vec![]),
    ] {
        let error = |value: Option<Value>| {
            let mut changed = valid.clone();
            match value {
                Some(value) => changed[name] = value,
                None => drop(changed.as_object_mut().unwrap().remove(name)),
            }
            token_error(&present(&probe, &forge.session(&changed)))
        };
        assert_eq!(error(None), missing, "{name} missing");
        for value in values {
            assert_eq!(error(Some(value.clone())), TokenError::WrongRecipient, "{name} {value}");
        }
        for value in &wrong_type {
            let expected = TokenError::InvalidClaim(match name {
                "iss" => "iss",
                "aud" => "aud",
                "sub" => "sub",
                _ => "sid",
            });
            assert_eq!(error(Some(value.clone())), expected, "{name} {value}");
        }
    }
    let with = |name: &str, value: Value| {
        let mut changed = valid.clone();
        changed[name] = value;
        present(&probe, &forge.session(&changed))
    };
    assert_eq!(token_error(&with("iss", json!(["us"]))), TokenError::InvalidClaim("iss"));
    assert_eq!(token_error(&with("aud", json!(["app", 5]))), TokenError::InvalidClaim("aud"));
    assert_eq!(token_error(&with("aud", json!([["app"]]))), TokenError::InvalidClaim("aud"));
    assert!(with("aud", json!(["them", "app"])).session.is_some(), "RFC 7519 §4.1.3");
    for sub in ["", "a\0", "a\nb", "\u{7f}", "\u{85}", &"x".repeat(256)] {
        assert_eq!(
            token_error(&with("sub", json!(sub))),
            TokenError::InvalidClaim("sub"),
            "{sub:?}"
        );
    }
    assert!(with("sub", json!("x".repeat(255))).session.is_some());
    for sid in [
        "",
        "A",
        &SID_A[1..],
        &format!("{SID_A}A"),
        &SID_B.replace('Q', "R"),
        &SID_A.replace("AAA", "A+A"),
        &SID_A.replace("AAA", "A=A"),
        &SID_A.replace("AAA", "A A"),
    ] {
        assert_eq!(
            token_error(&with("sid", json!(sid))),
            TokenError::InvalidClaim("sid"),
            "{sid:?}"
        );
    }
}

/// A service without a configured issuer or audience rejects tokens that have one.
#[test]
fn token_with_an_unconfigured_issuer_or_audience_is_rejected() {
    let (probe, forge) = (probe(), TokenForge::new("k1"));
    let audience = claims_with("aud", json!("app"));
    assert_eq!(
        token_error(&present(&probe, &forge.session(&audience))),
        TokenError::WrongRecipient
    );
    let issuer = claims_with("iss", json!("us"));
    assert_eq!(token_error(&present(&probe, &forge.session(&issuer))), TokenError::WrongRecipient);
}

/// `sts`, `act` and `cnf` limit what a session may do.
#[test]
fn restricting_claims_are_never_ignored() {
    let pending = TokenForge::new("k1").session(&claims_with("sts", json!("pending")));
    assert!(present(&probe(), &pending).session.is_none(), "pending");
    let acted = TokenForge::new("k1").session(&claims_with("act", json!({"sub": "eve"})));
    let session = present(&probe(), &acted).session.unwrap();
    assert_eq!(session.actor().unwrap().subject().as_str(), "eve");
    for name in ["sts", "act", "cnf"] {
        for value in [json!("Pending"), json!({"x": "eve"}), json!(null)] {
            let token = TokenForge::new("k1").session(&claims_with(name, value));
            let name = RESERVED_CLAIMS.iter().find(|known| **known == name).unwrap();
            assert_eq!(token_error(&present(&probe(), &token)), TokenError::InvalidClaim(name));
        }
    }
}

#[test]
fn engine_writes_the_configured_issuer_and_audience() {
    let probe = Probe::new(engine_builder().0.issuer("us").audience("app"));
    let token = sign_in(&probe, "ada", user("Ada")).token();
    let payload = payload(&token);
    assert_eq!((&payload["iss"], &payload["aud"]), (&json!("us"), &json!("app")));
    assert!(present(&probe, &token).session.is_some());
    for other in [
        engine_builder().0,
        engine_builder().0.issuer("us"),
        engine_builder().0.audience("app").issuer("them"),
        engine_builder().0.audience("ap").issuer("us"),
    ] {
        let probe = Probe::new(other);
        assert_eq!(token_error(&present(&probe, &token)), TokenError::WrongRecipient);
    }
}
