//! Our Set-Cookie beside the application's own, on responses of every status.

use http::{HeaderValue, StatusCode, header::SET_COOKIE};
use tower_auth_session::{SessionEvent, SessionJar, SignIn};

use crate::support::{
    COOKIE, User, engine_builder, get, probe::Probe, probe::with_cookies, seconds, subject, user,
};

/// What a handler does to its session, and what that sends: nothing, a token, a removal.
type Verb = (&'static str, fn(&SessionJar<User>), Option<bool>);

const VERBS: [Verb; 6] = [
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

/// A service, and the cookie of Ada, signed in there.
fn signed_in() -> (Probe<User>, String) {
    let probe = Probe::new(engine_builder().0);
    let result = probe.run_handler(get("/"), |jar, _| {
        jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
    });
    let cookie = format!("{COOKIE}={}", result.token());
    (probe, cookie)
}

fn is_ours(set: &str) -> bool {
    set.split('=').next().unwrap().trim() == COOKIE
}

#[test]
fn the_applications_cookies_stay_as_they_are() {
    let foreign: [&[&str]; 5] = [
        &[],
        &["a=1"],
        &["a=1; Path=/", "b=2; HttpOnly", "a=3; Path=/x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
        &["session=1", "__Host-session2=2", "__host-session=3", "x=__Host-session=4"],
        &["nameless", "=x", "", "a=\u{20ac}"],
    ];
    for (what, verb, sends) in VERBS {
        for cookies in foreign {
            let (probe, cookie) = signed_in();
            let values: Vec<_> = cookies
                .iter()
                .map(|value| HeaderValue::from_bytes(value.as_bytes()).unwrap())
                .collect();
            let inner = values.clone();
            let result = probe.run_handler(with_cookies(&[&cookie]), move |jar, response| {
                verb(jar);
                for value in &inner {
                    response.headers_mut().append(SET_COOKIE, value.clone());
                }
            });
            let all: Vec<_> = result.response.headers.get_all(SET_COOKIE).iter().cloned().collect();
            let (before, ours) = all.split_at(values.len());
            assert_eq!(before, values, "{what}");
            assert_eq!(ours.len(), usize::from(sends.is_some()), "{what}: {ours:?}");
            if let Some(set) = sends {
                let text = ours[0].to_str().unwrap();
                assert!(is_ours(text) && text.ends_with("Max-Age=0") != set, "{what}: {text}");
            }
        }
    }
}

/// RFC 6265bis §4.1.1: two cookies of one name must not be sent. Ours is the later word.
#[test]
fn of_two_cookies_of_our_name_ours_is_sent() {
    for (what, verb, sends) in VERBS {
        for theirs in [
            "__Host-session=theirs",
            "__Host-session=theirs; Path=/x; Domain=example.com",
            " __Host-session\t=theirs",
            "__Host-session=",
        ] {
            let (probe, cookie) = signed_in();
            let result = probe.run_handler(with_cookies(&[&cookie]), move |jar, response| {
                for set in ["a=1", theirs, "b=2", theirs, "c=3"] {
                    response.headers_mut().append(SET_COOKIE, HeaderValue::from_static(set));
                }
                verb(jar);
            });
            let set = result.response.set_cookies();
            let others: Vec<_> = set.iter().filter(|set| !is_ours(set)).copied().collect();
            assert_eq!(others, ["a=1", "b=2", "c=3"], "{what}: order and number stay");
            let ours: Vec<_> = set.iter().filter(|set| is_ours(set)).collect();
            if sends.is_some() {
                assert_eq!(ours.len(), 1, "{what}: {set:?}");
                assert!(!ours[0].contains("theirs") && ours[0].contains("Secure"), "{ours:?}");
            } else {
                assert_eq!(ours.len(), 2, "what is not ours to say is not touched");
            }
        }
    }
}

/// RFC 6265bis §5.3: browsers may ignore cookies of 1xx, and a 304 is about a stored response.
#[test]
fn statuses() {
    for status in [101, 103, 200, 204, 206, 301, 303, 304, 307, 401, 403, 404, 410, 429, 500, 503] {
        for (what, verb, sends) in VERBS {
            let (probe, cookie) = signed_in();
            let result = probe.run_handler(with_cookies(&[&cookie]), move |jar, response| {
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                verb(jar);
            });
            let carries = sends.is_some() && status >= 200 && status != 304;
            let set = result.response.set_cookies().len();
            // A sign-in whose cookie cannot be sent would be a lie: the response is replaced.
            let is_sign_in = what == "signs in";
            let expected = if is_sign_in && !carries { 500 } else { status };
            assert_eq!(
                (result.response.status.as_u16(), set),
                (expected, usize::from(carries)),
                "{what}"
            );
            let no_store = result.response.header("cache-control") == "private, no-store";
            assert_eq!(no_store, carries, "{status} {what}");
            if is_sign_in && !carries {
                continue;
            }
            let withheld = result
                .events
                .iter()
                .any(|event| matches!(event, SessionEvent::CookieWithheld { .. }));
            assert_eq!(withheld, sends == Some(true) && !carries, "{status} {what}");
        }
        // A renewal that could not go out goes out with the next response that can carry it.
        let (probe, cookie) = signed_in();
        probe.clock.advance(seconds(10));
        let result = probe.run_handler(with_cookies(&[&cookie]), move |_, response| {
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
        });
        let carries = status >= 200 && status != 304;
        assert_eq!(result.response.set_cookies().len(), usize::from(carries), "{status}");
        assert!(result.session.is_some());
        let next = probe.cookies(&[&cookie]);
        assert_eq!(next.response.set_cookies().len(), 1, "{status}");

        // So does a removal, and the session is dead in any case.
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
