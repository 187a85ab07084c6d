//! The rules for reading cookies, as properties.

use proptest::prelude::*;
use serde_json::json;
use tower_auth_session::{
    config::CookieConfig,
    event::{CredentialError, SessionEvent},
};

use super::worst_event;
use crate::support::{
    COOKIE, SID_A, SID_B, START, User, engine_builder,
    probe::Probe,
    token_forge::{TokenForge, claims},
    user,
};

/// A cookie value that a browser may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum CookieValue {
    /// A token of Ada, a newer one, and one of the same second with other claims.
    A,
    NewerA,
    OtherA,
    B,
    Expired,
    UnknownKey,
    Future,
    BadSignature(u8),
    Malformed,
}

impl CookieValue {
    fn value(self) -> String {
        let forge = TokenForge::new("k1");
        let with = |changes: &[(&str, serde_json::Value)]| {
            let mut claims = claims();
            claims["exp"] = json!(START + 50);
            for (name, value) in changes {
                claims[*name] = value.clone();
            }
            claims
        };
        match self {
            Self::A => forge.session(&with(&[])),
            Self::NewerA => forge.session(&with(&[("iat", json!(START + 1))])),
            Self::OtherA => forge.session(&with(&[("name", json!("Eve"))])),
            Self::B => forge.session(&with(&[("sid", json!(SID_B))])),
            Self::Expired => forge.session(&with(&[("exp", json!(START))])),
            Self::UnknownKey => TokenForge::new("k2").session(&with(&[])),
            Self::Future => forge.session(&with(&[("iat", json!(START + 40))])),
            Self::BadSignature(n) => TokenForge::with_secret("k1", &[n; 40]).session(&with(&[])),
            Self::Malformed => "not.a-token".to_owned(),
        }
    }
}

fn cookie_value() -> impl Strategy<Value = CookieValue> {
    prop_oneof![
        Just(CookieValue::A),
        Just(CookieValue::A),
        Just(CookieValue::NewerA),
        Just(CookieValue::OtherA),
        Just(CookieValue::B),
        Just(CookieValue::Expired),
        Just(CookieValue::UnknownKey),
        Just(CookieValue::Future),
        (0..2_u8).prop_map(CookieValue::BadSignature),
        Just(CookieValue::Malformed),
    ]
}

fn probe() -> Probe<User> {
    Probe::new(engine_builder().0)
}

proptest! {
    /// Compares the service with a small model: the cookies of a request are a set, so neither their
    /// order nor their distribution over lines matters (RFC 6265bis §4.2.2).
    #[test]
    fn cookie_order_and_lines_do_not_change_the_session(
        cookies in prop::collection::vec(cookie_value(), 0..7),
        other_cookies in prop::collection::vec("[^;=\x00-\x1f\x7f]{0,6}=[^;\x00-\x1f\x7f]{0,9}", 0..3),
        breaks in prop::collection::vec(any::<bool>(), 10),
        rotation in 0..7_usize,
    ) {
        let mut set = cookies.clone();
        set.sort_unstable();
        set.dedup();
        let candidates = set.iter().filter(|one| **one != CookieValue::Malformed).count();
        let has = |one| candidates <= 4 && set.contains(&one);
        let a = has(CookieValue::A) || has(CookieValue::NewerA) || has(CookieValue::OtherA);
        let expected = match (a, has(CookieValue::B)) {
            (true, false) => Some(SID_A),
            (false, true) => Some(SID_B),
            _ => None,
        };
        // Only an expired cookie may be removed.
        let only_expired = candidates == 1 && has(CookieValue::Expired);

        let mut pairs: Vec<_> =
            cookies.iter().map(|one| format!("{COOKIE}={}", one.value())).collect();
        pairs.extend(other_cookies);
        let middle = rotation.min(pairs.len());
        let results = [0, middle].map(|middle| {
            pairs.rotate_left(middle);
            pairs.reverse();
            let mut lines: Vec<String> = Vec::new();
            for (place, pair) in pairs.iter().enumerate() {
                match lines.last_mut() {
                    Some(line) if breaks.get(place) != Some(&true) => {
                        line.push_str("; ");
                        line.push_str(pair);
                    }
                    _ => lines.push(pair.clone()),
                }
            }
            let result = probe().cookies(&lines);
            let name = result.session.as_ref().map(|session| session.claims().name.clone());
            (result.sid(), name, result.response.set_cookies().len())
        });
        prop_assert_eq!(&results[0], &results[1], "order matters");
        prop_assert_eq!(results[0].0.as_deref(), expected);
        prop_assert_eq!(results[0].2, usize::from(only_expired));
    }

    #[test]
    fn arbitrary_cookie_lines_never_panic_or_sign_in(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5),
    ) {
        let lines: Vec<_> = lines
            .into_iter()
            .filter(|line| http::HeaderValue::from_bytes(line).is_ok())
            .collect();
        probe().cookies(&lines).assert_signed_out();
    }

    /// The session cookie is found whatever other bytes the request contains.
    #[test]
    fn session_cookie_is_read_between_arbitrary_bytes(
        before in prop::collection::vec(32..127_u8, 0..60),
        after in prop::collection::vec(128..=255_u8, 0..60),
        swapped in any::<bool>(),
    ) {
        let (before, after) = if swapped { (after, before) } else { (before, after) };
        let line = [
            &before,
            format!("; {COOKIE}={}; ", CookieValue::A.value()).as_bytes(),
            &after,
        ]
        .concat();
        let result = probe().cookies(&[line]);
        prop_assert_eq!(result.sid(), Some(SID_A.to_owned()));
        prop_assert_eq!(worst_event(&result.events), "-");
    }
}

/// Of two tokens of one session the newer is used; of two from the same second, always the same one.
#[test]
fn newest_token_of_a_session_is_used() {
    use CookieValue::{A, NewerA, OtherA};
    let name = |order: &[CookieValue]| {
        let pairs: Vec<_> = order.iter().map(|one| format!("{COOKIE}={}", one.value())).collect();
        let session = probe().cookies(&[pairs.join("; ")]).session.unwrap();
        (session.claims().clone(), session.identity().issued_at().as_unix_seconds())
    };
    assert_eq!(name(&[A, NewerA]), (user("Ada"), START + 1));
    assert_eq!(name(&[NewerA, OtherA]), (user("Ada"), START + 1));
    assert_eq!(name(&[OtherA, NewerA, A]), (user("Ada"), START + 1));
    assert_eq!(name(&[A, OtherA]), name(&[OtherA, A]), "order matters");
}

/// A node that does not know the newest key, or whose clock is behind, must not remove a cookie that
/// another node accepts. An expired token beside it does not change that.
#[test]
fn cookie_that_another_node_may_accept_is_not_removed() {
    for other_name in [CookieValue::UnknownKey, CookieValue::Future, CookieValue::BadSignature(1)] {
        for order in [[other_name, CookieValue::Expired], [CookieValue::Expired, other_name]] {
            let pairs = order.map(|one| format!("{COOKIE}={}", one.value()));
            let result = probe().cookies(&[pairs.join("; ")]);
            result.assert_signed_out();
            assert!(
                result.events.iter().any(|event| matches!(event, SessionEvent::Expired { .. }))
            );
        }
    }
    // A value that is not a token is accepted by no node.
    let pairs = [CookieValue::Expired, CookieValue::Malformed]
        .map(|one| format!("{COOKIE}={}", one.value()));
    assert_eq!(probe().cookies(&[pairs.join("; ")]).response.set_cookies().len(), 1);
}

/// Only the exact cookie name, including its prefix, is read.
#[test]
fn only_the_configured_cookie_name_is_read() {
    use tower_auth_session::config::{CookiePrefix, Endpoints};
    let configs = [
        (CookieConfig::default(), "__Host-session"),
        (CookieConfig::new("sid"), "__Host-sid"),
        (CookieConfig::default().domain("example.com"), "__Secure-session"),
        (CookieConfig::default().path("/app"), "__Secure-session"),
        (CookieConfig::default().prefix(CookiePrefix::None), "session"),
        (CookieConfig::default().insecure_for_development(), "session"),
        (CookieConfig::new("s!#$%&'*+-^_`|~"), "__Host-s!#$%&'*+-^_`|~"),
    ];
    let token = CookieValue::A.value();
    for (config, name) in &configs {
        let endpoints = Endpoints::new().base_path("/app");
        let mut builder = engine_builder().0.cookie(config.clone()).endpoints(endpoints);
        if *config == CookieConfig::default().insecure_for_development() {
            builder = builder.origin("http://app.example.com");
        }
        let probe = Probe::new(builder);
        assert!(probe.cookie(name, &token).session.is_some(), "{name}");
        for (_, other_name) in configs.iter().filter(|(_, other_name)| other_name != name) {
            let result = probe.cookie(other_name, &token);
            result.assert_signed_out();
            assert!(result.events.is_empty(), "{name} {other_name}");
        }
        // A longer name leaves fewer bytes for the value.
        let limit = 4096 - name.len();
        let shaped = |length: usize| format!("{}.b.c", "a".repeat(length - 4));
        for (length, read) in [(limit, true), (limit + 1, false)] {
            let result = probe.cookie(name, &shaped(length));
            result.assert_signed_out();
            let [SessionEvent::CredentialRejected { reason, .. }] = result.events[..] else {
                panic!()
            };
            assert_eq!(reason != CredentialError::Malformed, read, "{name} {length}");
        }
    }
}

/// The session is read from the cookie only (ASVS 7.2.1).
#[test]
fn session_token_outside_the_cookie_is_ignored() {
    let token = CookieValue::A.value();
    let probe = probe();
    for (name, value) in [
        ("authorization", format!("Bearer {token}")),
        ("cookie2", format!("{COOKIE}={token}")),
        ("set-cookie", format!("{COOKIE}={token}")),
        ("x-session", token.clone()),
        (COOKIE, token.clone()),
    ] {
        let mut request = crate::support::get(&format!("/?session={token}&{COOKIE}={token}"));
        let name: http::HeaderName = name.to_ascii_lowercase().parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        let result = probe.send(request);
        result.assert_signed_out();
        assert!(result.events.is_empty());
    }
}
