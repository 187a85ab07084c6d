//! `exp`, `iat`, `nbf` and the session's own dates.

use super::*;

/// RFC 7519 §4.1.4: "on or after" the expiration time a token is over.
#[test]
fn a_session_ends_with_its_last_second() {
    let token = TokenForge::new("k1").session(&claims());
    for (after, alive) in [(0, true), (99, true), (100, false), (101, false), (10_000, false)] {
        let probe = probe();
        probe.clock.advance(seconds(after));
        let result = present(&probe, &token);
        assert_eq!(result.session.is_some(), alive, "{after}");
        if !alive {
            let set = result.response.set_cookies();
            assert_eq!(set.len(), 1);
            assert!(set[0].starts_with("__Host-session=; ") && set[0].contains("Max-Age=0"));
        }
    }
}

/// RFC 7519 §2: a NumericDate; of the forms that JSON allows for one, ours are integers.
#[test]
fn dates_are_integers() {
    let (probe, mint) = (probe(), TokenForge::new("k1"));
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
            let mut ours = claims();
            ours.as_object_mut().unwrap().remove(name);
            let payload = format!("{{\"{name}\":{value},{}", &ours.to_string()[1..]);
            let error = token_error(&present(&probe, &mint.token(&payload)));
            let expected = if value == "1e999" || value == "-0" && error == TokenError::Payload {
                // No number at all to this reader of JSON.
                assert!(matches!(error, TokenError::Payload | TokenError::InvalidClaim(_)));
                continue;
            } else {
                TokenError::InvalidClaim(name)
            };
            assert_eq!(error, expected, "{payload}");
        }
    }
    for name in ["exp", "iat", "auth_time"] {
        let error = token_error(&present(&probe, &mint.session(&claims_with(name, None))));
        assert_eq!(error, TokenError::InvalidClaim(name), "missing");
    }
}

/// The clocks of two nodes differ by 5 s at most (`clock_skew`).
#[test]
fn a_token_is_at_most_a_little_from_the_future() {
    let (probe, mint) = (probe(), TokenForge::new("k1"));
    for name in ["nbf", "iat"] {
        for (ahead, good) in [(0, true), (4, true), (5, true), (6, false), (10_000_000, false)] {
            let mut ours = claims_with(name, json!(START + ahead));
            ours["exp"] = json!(START + 20_000_000);
            let result = present(&probe, &mint.session(&ours));
            assert_eq!(result.session.is_some(), good, "{name} {ahead}");
            assert_eq!(result.response.set_cookies(), [""; 0]);
            if !good {
                assert_eq!(token_error(&result), TokenError::NotYetValid);
            }
        }
    }
    // Long ago is no reason to refuse, nor to fall below zero.
    let ours = claims_with("nbf", json!(0));
    assert!(present(&probe, &mint.session(&ours)).session.is_some());
}

#[test]
fn dates_that_contradict_each_other_are_no_session() {
    let (probe, mint) = (probe(), TokenForge::new("k1"));
    for (name, value, expected) in [
        ("auth_time", START + 1, "auth_time"),
        ("iat", START - 1, "auth_time"),
        ("last_active_at", START + 1, "last_active_at"),
        ("last_active_at", START - 1, "last_active_at"),
        ("exp", START - 1, "exp"),
        ("exp", 0, "exp"),
    ] {
        let result = present(&probe, &mint.session(&claims_with(name, json!(value))));
        assert_eq!(token_error(&result), TokenError::InvalidClaim(expected), "{name} {value}");
    }
}

/// A lifetime that was longer yesterday, or in the hands of whoever had the key: the end is cut to
/// what is configured.
#[test]
fn no_token_outlives_the_configuration() {
    let mint = TokenForge::new("k1");
    let ten_years = 10 * 365 * 24 * 3600;
    for (changes, end) in [
        (vec![("exp", START + ten_years)], 100),
        (vec![("exp", 253_402_300_799)], 100),
        // Active today, signed in long ago.
        (vec![("exp", START + ten_years), ("auth_time", START - 950)], 50),
        (vec![("exp", START + ten_years), ("auth_time", START - 1_000)], 0),
        (vec![("exp", START + ten_years), ("auth_time", 0)], 0),
        // Issued today to somebody who was active long ago.
        (
            vec![
                ("exp", START + ten_years),
                ("auth_time", START - 100),
                ("last_active_at", START - 60),
            ],
            40,
        ),
    ] {
        let mut ours = claims();
        for (name, value) in changes {
            ours[name] = json!(value);
        }
        let token = mint.session(&ours);
        if end > 0 {
            let session = present(&probe(), &token).session.unwrap();
            assert!(session.expires_at().as_unix_seconds() >= START + end, "renewed or not");
            let probe = probe();
            probe.clock.advance(seconds(end - 1));
            assert!(present(&probe, &token).session.is_some(), "{ours}");
        }
        let probe = probe();
        probe.clock.advance(seconds(end));
        let result = present(&probe, &token);
        assert!(result.session.is_none(), "{ours}");
        assert!(matches!(result.events[..], [SessionEvent::Expired { .. }]), "{:?}", result.events);
    }
}

/// What a sign-in may ask for itself is capped by 400 days, whatever its token says.
#[test]
fn a_lifetime_of_its_own_has_a_ceiling() {
    let day = 24 * 3600;
    let mut ours = claims();
    for name in ["inactivity_timeout", "maximum_lifetime"] {
        ours[name] = json!(u64::MAX);
    }
    ours["exp"] = json!(253_402_300_799_u64);
    let token = TokenForge::new("k1").session(&ours);
    for (days, alive) in [(399, true), (400, false)] {
        let probe = probe();
        probe.clock.advance(seconds(days * day));
        assert_eq!(present(&probe, &token).session.is_some(), alive, "{days}");
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
fn what_ended_a_session_is_told() {
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

/// `end_session` is given no more than whose session it is. A copy of its cookie stays dead for as
/// long as the session could have lasted, however long it asked for when it was signed in.
#[test]
fn an_ended_session_of_its_own_lifetime_stays_ended() {
    let day = 24 * 3600;
    let probe = Probe::new(SessionEngine::<User>::builder(KeyRing::new(key("k1"))));
    let long = LifetimeOverride::both(seconds(30 * day));
    let result = probe.run_handler(get("/"), move |jar, _| {
        jar.sign_in(SignIn::new(subject("ada"), user("Ada")).lifetime(long)).unwrap();
    });
    let copy = result.token();
    let session = present(&probe, &copy).session.unwrap();
    let engine = probe.layer.engine();
    engine.end_session(session.identity(), Clock::now(&probe.clock));
    for _ in 0..3 {
        probe.clock.advance(seconds(9 * day));
        // Whatever else ends makes room of what is no longer needed.
        let other = sign_in(&probe, "bob", user("Bob")).token();
        let other = present(&probe, &other).session.unwrap();
        engine.end_session(other.identity(), Clock::now(&probe.clock));
        assert!(present(&probe, &copy).session.is_none(), "back from the dead");
    }
}
