//! `exp`, `iat`, `nbf` and the dates of the session.

use super::*;

/// RFC 7519 §4.1.4: a token has expired "on or after" its expiration time.
#[test]
fn session_expires_exactly_at_exp() {
    let token = TokenForge::new("k1").session(&claims());
    for (after, is_valid) in [(0, true), (99, true), (100, false), (101, false), (10_000, false)] {
        let probe = probe();
        probe.clock.advance(seconds(after));
        let result = present(&probe, &token);
        assert_eq!(result.session.is_some(), is_valid, "{after}");
        if !is_valid {
            let set = result.response.set_cookies();
            assert_eq!(set.len(), 1);
            assert!(set[0].starts_with("__Host-session=; ") && set[0].contains("Max-Age=0"));
        }
    }
}

/// RFC 7519 §2 defines NumericDate; only integers are accepted.
#[test]
fn date_claim_that_is_not_an_integer_is_rejected() {
    let (probe, forge) = (probe(), TokenForge::new("k1"));
    for name in ["exp", "iat", "nbf", "auth_time", "last_active_at"] {
        for value in [
            "null",
            "true",
            "\"\"",
            "[]",
            "{}",
            "-1",
            "-0",
            "1.5",
            "1e3",
            "1E3",
            "1e300",
            "1e-300",
            "1e999",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999999",
            "253402300800",
            "[1800000000]",
            "\"1800000000\"",
            "1800000000.0",
            "1800000000.6",
            "1.8e9",
            "{\"$numberLong\":\"1\"}",
        ] {
            let mut token_claims = claims();
            token_claims.as_object_mut().unwrap().remove(name);
            let payload = format!("{{\"{name}\":{value},{}", &token_claims.to_string()[1..]);
            let error = token_error(&present(&probe, &forge.token(&payload)));
            let expected = if value == "1e999" || value == "-0" && error == TokenError::Payload {
                // Not a number for the JSON parser.
                assert!(matches!(error, TokenError::Payload | TokenError::InvalidClaim(_)));
                continue;
            } else {
                TokenError::InvalidClaim(name)
            };
            assert_eq!(error, expected, "{payload}");
        }
    }
    for name in ["exp", "iat", "auth_time"] {
        let error = token_error(&present(&probe, &forge.session(&claims_with(name, None))));
        assert_eq!(error, TokenError::InvalidClaim(name), "missing");
    }
}

/// The tolerance for clocks that differ is 5 s (`clock_skew`).
#[test]
fn token_beyond_the_clock_skew_is_not_yet_valid() {
    let (probe, forge) = (probe(), TokenForge::new("k1"));
    for name in ["nbf", "iat"] {
        for (ahead, good) in [(0, true), (4, true), (5, true), (6, false), (10_000_000, false)] {
            let mut token_claims = claims_with(name, json!(START + ahead));
            token_claims["exp"] = json!(START + 20_000_000);
            let result = present(&probe, &forge.session(&token_claims));
            assert_eq!(result.session.is_some(), good, "{name} {ahead}");
            assert_eq!(result.response.set_cookies(), [""; 0]);
            if !good {
                assert_eq!(token_error(&result), TokenError::NotYetValid);
            }
        }
    }
    // An `nbf` of 0 is accepted, and the subtraction does not underflow.
    let token_claims = claims_with("nbf", json!(0));
    assert!(present(&probe, &forge.session(&token_claims)).session.is_some());
}

#[test]
fn token_with_contradictory_dates_is_rejected() {
    let (probe, forge) = (probe(), TokenForge::new("k1"));
    for (name, value, expected) in [
        ("auth_time", START + 1, "auth_time"),
        ("iat", START - 1, "auth_time"),
        ("last_active_at", START + 1, "last_active_at"),
        ("last_active_at", START - 1, "last_active_at"),
        ("exp", START - 1, "exp"),
        ("exp", 0, "exp"),
    ] {
        let result = present(&probe, &forge.session(&claims_with(name, json!(value))));
        assert_eq!(token_error(&result), TokenError::InvalidClaim(expected), "{name} {value}");
    }
}

/// A token can have a longer lifetime from an older configuration or from an attacker with the key. The
/// configured limits apply to it.
#[test]
fn token_expires_by_the_configured_limits() {
    let forge = TokenForge::new("k1");
    let ten_years = 10 * 365 * 24 * 3600;
    for (changes, end) in [
        (vec![("exp", START + ten_years)], 100),
        (vec![("exp", 253_402_300_799)], 100),
        // Active recently, signed in long ago.
        (vec![("exp", START + ten_years), ("auth_time", START - 950)], 50),
        (vec![("exp", START + ten_years), ("auth_time", START - 1_000)], 0),
        (vec![("exp", START + ten_years), ("auth_time", 0)], 0),
        // Issued recently, active long ago.
        (
            vec![
                ("exp", START + ten_years),
                ("auth_time", START - 100),
                ("last_active_at", START - 60),
            ],
            40,
        ),
    ] {
        let mut token_claims = claims();
        for (name, value) in changes {
            token_claims[name] = json!(value);
        }
        let token = forge.session(&token_claims);
        if end > 0 {
            let session = present(&probe(), &token).session.unwrap();
            assert!(session.expires_at().as_unix_seconds() >= START + end, "renewed or not");
            let probe = probe();
            probe.clock.advance(seconds(end - 1));
            assert!(present(&probe, &token).session.is_some(), "{token_claims}");
        }
        let probe = probe();
        probe.clock.advance(seconds(end));
        let result = present(&probe, &token);
        assert!(result.session.is_none(), "{token_claims}");
        assert!(matches!(result.events[..], [SessionEvent::Expired { .. }]), "{:?}", result.events);
    }
}

/// The lifetime override of a session is limited to 400 days, whatever its token contains.
#[test]
fn lifetime_override_in_a_token_is_capped_at_400_days() {
    let day = 24 * 3600;
    let mut token_claims = claims();
    for name in ["inactivity_timeout", "maximum_lifetime"] {
        token_claims[name] = json!(u64::MAX);
    }
    token_claims["exp"] = json!(253_402_300_799_u64);
    let token = TokenForge::new("k1").session(&token_claims);
    for (days, is_valid) in [(399, true), (400, false)] {
        let probe = probe();
        probe.clock.advance(seconds(days * day));
        assert_eq!(present(&probe, &token).session.is_some(), is_valid, "{days}");
    }
    for name in ["inactivity_timeout", "maximum_lifetime"] {
        for value in [json!(0), json!(-1), json!(1.5), json!("1"), json!(null), json!([1])] {
            let result =
                present(&probe(), &TokenForge::new("k1").session(&claims_with(name, value)));
            assert_eq!(token_error(&result), TokenError::InvalidClaim(name));
        }
    }
}

#[test]
fn expiry_is_reported_with_its_reason() {
    let lifetime = |inactivity, maximum| {
        let lifetime = SessionLifetime::new()
            .inactivity_timeout(seconds(inactivity))
            .maximum_lifetime(seconds(maximum));
        Probe::new(engine_builder().0.lifetime(lifetime))
    };
    for (probe, expected) in [
        (lifetime(50, 80), ExpiryReason::Inactivity),
        (lifetime(80, 80), ExpiryReason::MaximumLifetime),
    ] {
        let token = TokenForge::new("k1").session(&claims());
        probe.clock.advance(seconds(80));
        let result = present(&probe, &token);
        let [SessionEvent::Expired { by, session, .. }] = result.events.as_slice() else {
            panic!("{:?}", result.events)
        };
        assert_eq!((*by, session.id().as_str()), (expected, SID_A));
    }
}

/// The engine revokes a session by its identity alone. Copies of its cookie are rejected for as long as
/// the session could have lasted, including its lifetime override.
#[test]
fn revoked_session_with_a_lifetime_override_stays_revoked() {
    let day = 24 * 3600;
    let probe = Probe::new(SessionEngine::<User>::builder(KeyRing::new(key("k1"))));
    let month = LifetimeOverride::both(seconds(30 * day));
    let result = probe.run_handler(get("/"), move |jar, _| {
        jar.sign_in(SignIn::new(subject("ada"), user("Ada")).lifetime(month)).unwrap();
    });
    let copy = result.token();
    let session = present(&probe, &copy).session.unwrap();
    let engine = probe.layer.engine();
    engine.revoke_session(session.identity(), Clock::now(&probe.clock));
    for _ in 0..3 {
        probe.clock.advance(seconds(9 * day));
        // Another revocation sweeps the revocation list.
        let other = sign_in(&probe, "bob", user("Bob")).token();
        let other = present(&probe, &other).session.unwrap();
        engine.revoke_session(other.identity(), Clock::now(&probe.clock));
        assert!(present(&probe, &copy).session.is_none(), "the copy is accepted again");
    }
}
