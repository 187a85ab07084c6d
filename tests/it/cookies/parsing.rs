//! The rules of reading as properties.

use proptest::prelude::*;
use serde_json::json;
use tower_auth_session::{CookieConfig, SessionEvent, engine::RejectReason};

use super::verdict;
use crate::support::{
    COOKIE, SID_A, SID_B, START, User, engine_builder,
    probe::Probe,
    token_forge::{TokenForge, claims},
    user,
};

/// What a browser may have been given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Planted {
    /// Ada's token, a newer one, and one of the same second with other claims.
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

impl Planted {
    fn value(self) -> String {
        let mint = TokenForge::new("k1");
        let with = |changes: &[(&str, serde_json::Value)]| {
            let mut claims = claims();
            claims["exp"] = json!(START + 50);
            for (name, value) in changes {
                claims[*name] = value.clone();
            }
            claims
        };
        match self {
            Self::A => mint.session(&with(&[])),
            Self::NewerA => mint.session(&with(&[("iat", json!(START + 1))])),
            Self::OtherA => mint.session(&with(&[("name", json!("Eve"))])),
            Self::B => mint.session(&with(&[("sid", json!(SID_B))])),
            Self::Expired => mint.session(&with(&[("exp", json!(START))])),
            Self::UnknownKey => TokenForge::new("k2").session(&with(&[])),
            Self::Future => mint.session(&with(&[("iat", json!(START + 40))])),
            Self::BadSignature(n) => TokenForge::with_secret("k1", &[n; 40]).session(&with(&[])),
            Self::Malformed => "not.a-token".to_owned(),
        }
    }
}

fn planted() -> impl Strategy<Value = Planted> {
    prop_oneof![
        Just(Planted::A),
        Just(Planted::A),
        Just(Planted::NewerA),
        Just(Planted::OtherA),
        Just(Planted::B),
        Just(Planted::Expired),
        Just(Planted::UnknownKey),
        Just(Planted::Future),
        (0..2_u8).prop_map(Planted::BadSignature),
        Just(Planted::Malformed),
    ]
}

fn probe() -> Probe<User> {
    Probe::new(engine_builder().0)
}

proptest! {
    /// A model of four lines against the service: the cookies of a request are a set, and neither
    /// their order nor their lines mean anything (RFC 6265bis §4.2.2).
    #[test]
    fn cookies_are_a_set(
        cookies in prop::collection::vec(planted(), 0..7),
        foreign in prop::collection::vec("[^;=\x00-\x1f\x7f]{0,6}=[^;\x00-\x1f\x7f]{0,9}", 0..3),
        breaks in prop::collection::vec(any::<bool>(), 10),
        rotation in 0..7_usize,
    ) {
        let mut set = cookies.clone();
        set.sort_unstable();
        set.dedup();
        let candidates = set.iter().filter(|one| **one != Planted::Malformed).count();
        let has = |one| candidates <= 4 && set.contains(&one);
        let a = has(Planted::A) || has(Planted::NewerA) || has(Planted::OtherA);
        let expected = match (a, has(Planted::B)) {
            (true, false) => Some(SID_A),
            (false, true) => Some(SID_B),
            _ => None,
        };
        // Nothing but what is over may go.
        let all_over = candidates == 1 && has(Planted::Expired);

        let mut pairs: Vec<_> =
            cookies.iter().map(|one| format!("{COOKIE}={}", one.value())).collect();
        pairs.extend(foreign);
        let middle = rotation.min(pairs.len());
        let answers = [0, middle].map(|middle| {
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
        prop_assert_eq!(&answers[0], &answers[1], "order matters");
        prop_assert_eq!(answers[0].0.as_deref(), expected);
        prop_assert_eq!(answers[0].2, usize::from(all_over));
    }

    #[test]
    fn any_lines_are_read_without_a_panic(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5),
    ) {
        let lines: Vec<_> = lines
            .into_iter()
            .filter(|line| http::HeaderValue::from_bytes(line).is_ok())
            .collect();
        probe().cookies(&lines).assert_signed_out();
    }

    /// Whatever else a request carries, the cookie that was set is the cookie that is read.
    #[test]
    fn foreign_bytes_change_nothing(
        before in prop::collection::vec(32..127_u8, 0..60),
        after in prop::collection::vec(128..=255_u8, 0..60),
        turned in any::<bool>(),
    ) {
        let (before, after) = if turned { (after, before) } else { (before, after) };
        let line = [
            &before,
            format!("; {COOKIE}={}; ", Planted::A.value()).as_bytes(),
            &after,
        ]
        .concat();
        let result = probe().cookies(&[line]);
        prop_assert_eq!(result.sid(), Some(SID_A.to_owned()));
        prop_assert_eq!(verdict(&result.events), "-");
    }
}

/// Of two tokens of one session the newer counts, and of one second always the same.
#[test]
fn the_newest_token_counts() {
    use Planted::{A, NewerA, OtherA};
    let name = |order: &[Planted]| {
        let pairs: Vec<_> = order.iter().map(|one| format!("{COOKIE}={}", one.value())).collect();
        let session = probe().cookies(&[pairs.join("; ")]).session.unwrap();
        (session.claims().clone(), session.identity().issued_at().as_unix_seconds())
    };
    assert_eq!(name(&[A, NewerA]), (user("Ada"), START + 1));
    assert_eq!(name(&[NewerA, OtherA]), (user("Ada"), START + 1));
    assert_eq!(name(&[OtherA, NewerA, A]), (user("Ada"), START + 1));
    assert_eq!(name(&[A, OtherA]), name(&[OtherA, A]), "order matters");
}

/// A node that is behind in a rotation, or whose clock is, must not take from the browser what
/// another node accepts: an expired token beside it, however it came there, changes nothing in that.
#[test]
fn what_may_be_alive_elsewhere_is_not_removed() {
    for other in [Planted::UnknownKey, Planted::Future, Planted::BadSignature(1)] {
        for order in [[other, Planted::Expired], [Planted::Expired, other]] {
            let pairs = order.map(|one| format!("{COOKIE}={}", one.value()));
            let result = probe().cookies(&[pairs.join("; ")]);
            result.assert_signed_out();
            assert!(
                result.events.iter().any(|event| matches!(event, SessionEvent::Expired { .. }))
            );
        }
    }
    // What is no token can be alive nowhere.
    let pairs =
        [Planted::Expired, Planted::Malformed].map(|one| format!("{COOKIE}={}", one.value()));
    assert_eq!(probe().cookies(&[pairs.join("; ")]).response.set_cookies().len(), 1);
}

/// Each cookie has one name, prefix included, and no other is read.
#[test]
fn only_the_configured_name_is_read() {
    use tower_auth_session::engine::CookiePrefix;
    let configs = [
        (CookieConfig::default(), "__Host-session"),
        (CookieConfig::new("sid"), "__Host-sid"),
        (CookieConfig::default().domain("example.com"), "__Secure-session"),
        (CookieConfig::default().path("/app"), "__Secure-session"),
        (CookieConfig::default().prefix(CookiePrefix::None), "session"),
        (CookieConfig::default().insecure_for_development(), "session"),
        (CookieConfig::new("s!#$%&'*+-^_`|~"), "__Host-s!#$%&'*+-^_`|~"),
    ];
    let token = Planted::A.value();
    for (config, own) in &configs {
        let probe = Probe::new(engine_builder().0.cookie(config.clone()));
        assert!(probe.cookie(own, &token).session.is_some(), "{own}");
        for (_, other) in configs.iter().filter(|(_, other)| other != own) {
            let result = probe.cookie(other, &token);
            result.assert_signed_out();
            assert!(result.events.is_empty(), "{own} {other}");
        }
        // A longer name leaves less room for the value.
        let limit = 4096 - own.len();
        let shaped = |length: usize| format!("{}.b.c", "a".repeat(length - 4));
        for (length, read) in [(limit, true), (limit + 1, false)] {
            let result = probe.cookie(own, &shaped(length));
            result.assert_signed_out();
            let [SessionEvent::Rejected { reason, .. }] = result.events[..] else { panic!() };
            assert_eq!(reason != RejectReason::Malformed, read, "{own} {length}");
        }
    }
}

/// The claims are read from the cookie and from nowhere else (ASVS 7.2.1).
#[test]
fn a_token_anywhere_else_is_no_session() {
    let token = Planted::A.value();
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
