//! The session's `Set-Cookie` beside the application's own, on responses of every status.

use http::{HeaderValue, StatusCode, header::SET_COOKIE};
use tower_auth_session::{SessionJar, SignIn, event::SessionEvent};

use crate::support::{
    COOKIE, User, engine_builder, get, probe::Probe, probe::with_cookies, seconds, subject, user,
};

/// What a handler does to its session, and the cookie of the response: none, a token (`true`) or a
/// removal (`false`).
type Action = (&'static str, fn(&SessionJar<User>), Option<bool>);

const ACTIONS: [Action; 6] = [
    ("nothing", |_| {}, None),
    ("reads", |jar| drop(jar.session()), None),
    (
        "signs in",
        |jar| assert!(jar.sign_in(SignIn::new(subject("bob"), user("Bob"))).is_ok()),
        Some(true),
    ),
    ("renews", |jar| jar.renew_now(), Some(true)),
    ("updates", |jar| jar.update_claims(user("Eve")).unwrap(), Some(true)),
    ("signs out", |jar| drop(jar.sign_out()), Some(false)),
];

/// A service, and the session cookie of Ada.
fn signed_in() -> (Probe<User>, String) {
    let probe = Probe::new(engine_builder().0);
    let result = probe.run_handler(get("/"), |jar, _| {
        jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
    });
    let cookie = format!("{COOKIE}={}", result.token());
    (probe, cookie)
}

fn is_session_cookie(set: &str) -> bool {
    set.split('=').next().unwrap().trim() == COOKIE
}

#[test]
fn application_cookies_are_unchanged_by_every_session_action() {
    let application_cookies: [&[&str]; 5] = [
        &[],
        &["a=1"],
        &["a=1; Path=/", "b=2; HttpOnly", "a=3; Path=/x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
        &["session=1", "__Host-session2=2", "__host-session=3", "x=__Host-session=4"],
        &["nameless", "=x", "", "a=\u{20ac}"],
    ];
    for (name, action, sends) in ACTIONS {
        for cookies in application_cookies {
            let (probe, cookie) = signed_in();
            let values: Vec<_> = cookies
                .iter()
                .map(|value| HeaderValue::from_bytes(value.as_bytes()).unwrap())
                .collect();
            let inner = values.clone();
            let result = probe.run_handler(with_cookies(&[&cookie]), move |jar, response| {
                action(jar);
                for value in &inner {
                    response.headers_mut().append(SET_COOKIE, value.clone());
                }
            });
            let all: Vec<_> = result.response.headers.get_all(SET_COOKIE).iter().cloned().collect();
            let (before, session_cookies) = all.split_at(values.len());
            assert_eq!(before, values, "{name}");
            assert_eq!(
                session_cookies.len(),
                usize::from(sends.is_some()),
                "{name}: {session_cookies:?}"
            );
            if let Some(set) = sends {
                let text = session_cookies[0].to_str().unwrap();
                assert!(
                    is_session_cookie(text) && text.ends_with("Max-Age=0") != set,
                    "{name}: {text}"
                );
            }
        }
    }
}

/// RFC 6265bis §4.1.1: a response must not set two cookies of one name. The session cookie replaces
/// the application's.
#[test]
fn session_cookie_replaces_an_application_cookie_of_the_same_name() {
    for (name, action, sends) in ACTIONS {
        for application_cookie in [
            "__Host-session=theirs",
            "__Host-session=theirs; Path=/x; Domain=example.com",
            " __Host-session\t=theirs",
            "__Host-session=",
        ] {
            let (probe, cookie) = signed_in();
            let result = probe.run_handler(with_cookies(&[&cookie]), move |jar, response| {
                for set in ["a=1", application_cookie, "b=2", application_cookie, "c=3"] {
                    response.headers_mut().append(SET_COOKIE, HeaderValue::from_static(set));
                }
                action(jar);
            });
            let set = result.response.set_cookies();
            let others: Vec<_> =
                set.iter().filter(|set| !is_session_cookie(set)).copied().collect();
            assert_eq!(others, ["a=1", "b=2", "c=3"], "{name}: order and number are kept");
            let session_cookies: Vec<_> = set.iter().filter(|set| is_session_cookie(set)).collect();
            if sends.is_some() {
                assert_eq!(session_cookies.len(), 1, "{name}: {set:?}");
                assert!(
                    !session_cookies[0].contains("theirs") && session_cookies[0].contains("Secure"),
                    "{session_cookies:?}"
                );
            } else {
                assert_eq!(session_cookies.len(), 2, "unchanged when no session cookie is set");
            }
        }
    }
}

/// RFC 6265bis §5.3: browsers may ignore the cookies of a 1xx response.
#[test]
fn session_cookie_is_sent_with_every_status_except_1xx() {
    for status in [101, 103, 200, 204, 206, 301, 303, 304, 307, 401, 403, 404, 410, 429, 500, 503] {
        for (name, action, sends) in ACTIONS {
            let (probe, cookie) = signed_in();
            let result = probe.run_handler(with_cookies(&[&cookie]), move |jar, response| {
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                action(jar);
            });
            let can_carry_cookie = sends.is_some() && status >= 200;
            let set = result.response.set_cookies().len();
            // A sign-in whose cookie cannot be sent has failed: the response is replaced.
            let is_sign_in = name == "signs in";
            let expected = if is_sign_in && !can_carry_cookie { 500 } else { status };
            assert_eq!(
                (result.response.status.as_u16(), set),
                (expected, usize::from(can_carry_cookie)),
                "{name}"
            );
            let no_store = result.response.header("cache-control") == "private, no-store";
            assert_eq!(no_store, can_carry_cookie, "{status} {name}");
            if is_sign_in && !can_carry_cookie {
                continue;
            }
            let withheld = result
                .events
                .iter()
                .any(|event| matches!(event, SessionEvent::CookieWithheld { .. }));
            assert_eq!(withheld, sends == Some(true) && !can_carry_cookie, "{status} {name}");
        }
        // A renewal that could not be sent is sent with the next response that can carry it.
        let (probe, cookie) = signed_in();
        probe.clock.advance(seconds(10));
        let result = probe.run_handler(with_cookies(&[&cookie]), move |_, response| {
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
        });
        let can_carry_cookie = status >= 200;
        assert_eq!(result.response.set_cookies().len(), usize::from(can_carry_cookie), "{status}");
        assert!(result.session.is_some());
        let next = probe.cookies(&[&cookie]);
        assert_eq!(next.response.set_cookies().len(), 1, "{status}");

        // The same holds for a removal; the session is revoked in any case.
        let (probe, cookie) = signed_in();
        probe.run_handler(with_cookies(&[&cookie]), move |jar, response| {
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            assert!(jar.sign_out().is_some());
        });
        let next = probe.cookies(&[&cookie]);
        assert!(next.session.is_none());
        assert!(next.response.set_cookies()[0].ends_with("Max-Age=0"), "{status}");
    }
}
