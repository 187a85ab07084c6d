//! `vectors/cookie_cases.json`, and the boundaries of each of its rules.

use serde::Deserialize;
use serde_json::json;
use tower_auth_session::SessionLifetime;

use super::worst_event;
use crate::support::{
    COOKIE, SID_A, SID_B, START, User, engine_builder,
    probe::Probe,
    seconds,
    token_forge::{TokenForge, claims, encode},
};

#[derive(Deserialize)]
struct File {
    cookie_name: String,
    max_candidates: usize,
    max_cookie_bytes: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    cookie_headers_latin1: Vec<String>,
    expect: String,
    event: String,
    why: String,
}

/// A service whose clock is at 300 and where no renewal is due.
fn probe() -> Probe<User> {
    let day = seconds(24 * 3600);
    let lifetime = SessionLifetime::new()
        .inactivity_timeout(day * 7)
        .maximum_lifetime(day * 7)
        .renew_after(day);
    let probe = Probe::new(engine_builder().0.lifetime(lifetime));
    probe.clock.set(tower_auth_session::time::Timestamp::from_unix_seconds(300));
    probe
}

/// The token for a placeholder in braces.
fn token(name: &str) -> String {
    let session = |sid: &str, iat: u64, exp: u64| {
        let mut claims = claims();
        claims["sid"] = json!(sid);
        claims["auth_time"] = json!(100);
        claims["iat"] = json!(iat);
        claims["exp"] = json!(exp);
        claims
    };
    let forge = TokenForge::new("k1");
    match name {
        "A" => forge.session(&session(SID_A, 100, START)),
        "A2" => forge.session(&session(SID_A, 200, START)),
        "B" => forge.session(&session(SID_B, 100, START)),
        "E" => forge.session(&session(SID_A, 100, 299)),
        "O" => {
            let header = forge.header().to_string().replace("session+jwt", "JWT");
            forge.sign(header, session(SID_A, 100, START).to_string())
        }
        bad if bad.starts_with('X') => {
            let good = token("A");
            let signed = &good[..good.rfind('.').unwrap()];
            format!("{signed}.{}", encode(format!("{bad:032}")))
        }
        other => panic!("{other}"),
    }
}

fn substituted(text: &str) -> Vec<u8> {
    let mut rest = text;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap();
        out += before;
        out += &token(name);
        rest = after;
    }
    out += rest;
    out.chars().map(|c| u8::try_from(u32::from(c)).expect("latin-1")).collect()
}

/// Sends the lines and checks the session, the event, that only an expired session's cookie is removed,
/// and that the next request with a valid cookie is signed in.
#[track_caller]
fn check(probe: &Probe<User>, lines: &[Vec<u8>], expect: &str, event: &str, why: &str) {
    let result = probe.cookies(lines);
    let who = match result.sid().as_deref() {
        Some(SID_A) => "A",
        Some(SID_B) => "B",
        None => "anonymous",
        Some(other) => panic!("{other}"),
    };
    assert_eq!((who, worst_event(&result.events)), (expect, event), "{why}: {:?}", result.events);
    let set = result.response.set_cookies();
    if event == "expired" {
        assert_eq!(set.len(), 1, "{why}");
        assert!(
            set[0].starts_with("__Host-session=; ") && set[0].ends_with("Max-Age=0"),
            "{set:?}"
        );
    } else {
        assert_eq!(set, [""; 0], "{why}");
    }
    let after = probe.cookie(COOKIE, &token("A"));
    assert_eq!(after.sid().as_deref(), Some(SID_A), "{why}: locked out");
}

#[test]
fn cookie_vectors_give_the_expected_sessions_and_events() {
    let file: File = serde_json::from_str(include_str!("../../vectors/cookie_cases.json")).unwrap();
    assert_eq!((file.cookie_name.as_str(), file.cases.len()), (COOKIE, 32));
    assert_eq!((file.max_candidates, file.max_cookie_bytes), (4, 32 * 1024));
    let probe = probe();
    for case in &file.cases {
        let lines: Vec<_> =
            case.cookie_headers_latin1.iter().map(|line| substituted(line)).collect();
        check(&probe, &lines, &case.expect, &case.event, &case.why);
    }
}

/// Each row: the `Cookie` lines, the session, and the event.
#[test]
fn cookie_parsing_examples_give_the_expected_sessions_and_events() {
    let probe = probe();
    let lines = |text: &str| -> Vec<Vec<u8>> { text.split('\n').map(substituted).collect() };
    for (text, expect, event) in [
        // The cookie name is read only before the first `=` of a pair.
        ("x=__Host-session={A}", "anonymous", "-"),
        ("x={A}; y=__Host-session", "anonymous", "-"),
        ("x=\"; __Host-session={A}; \"", "A", "-"),
        ("x=\"; __Host-session={A}\"", "anonymous", "malformed"),
        ("x=%3B%20__Host-session={A}", "anonymous", "-"),
        ("x __Host-session={A}", "anonymous", "-"),
        ("x,__Host-session={A}", "anonymous", "-"),
        ("__Host-session", "anonymous", "-"),
        ("__Host-session; {A}", "anonymous", "-"),
        ("__Host-session:{A}", "anonymous", "-"),
        ("Cookie: __Host-session={A}", "anonymous", "-"),
        ("{A}", "anonymous", "-"),
        ("={A}", "anonymous", "-"),
        ("", "anonymous", "-"),
        (";", "anonymous", "-"),
        (";;; ;\t;=;==; = ;", "anonymous", "-"),
        (";;__Host-session={A};;", "A", "-"),
        // Names are compared byte by byte.
        ("__host-session={A}", "anonymous", "-"),
        ("__Host-Session={A}", "anonymous", "-"),
        ("__Host-session%00={A}", "anonymous", "-"),
        ("__Host-sessio%6e={A}", "anonymous", "-"),
        ("__Host-session+={A}", "anonymous", "-"),
        ("__Host-session.={A}", "anonymous", "-"),
        // A cookie from the time when multi-session was enabled.
        ("__Host-session.AAAAAAAAAAAAAAAAAAAAAA={A}", "A", "-"),
        ("__Host-session.AAAAAAAAAAAAAAAAAAAAAA={B}", "anonymous", "invalid"),
        ("__Host-session[]={A}", "anonymous", "-"),
        ("__Secure-session={A}", "anonymous", "-"),
        ("___Host-session={A}", "anonymous", "-"),
        ("\u{ad}__Host-session={A}", "anonymous", "-"),
        ("\u{ef}\u{bb}\u{bf}__Host-session={A}", "anonymous", "-"),
        ("\u{e3}\u{80}\u{80}__Host-session={A}", "anonymous", "-"),
        ("\u{85}__Host-session={A}", "anonymous", "-"),
        ("__Host-session\u{a0}={A}", "anonymous", "-"),
        ("\u{c3}__Host-session={A}", "anonymous", "-"),
        // SP and HTAB around names and values are ignored.
        (" \t __Host-session \t =\t {A} \t", "A", "-"),
        ("a=b;\t__Host-session={A}\t;c", "A", "-"),
        // Values are not decoded, unquoted, truncated or joined.
        ("__Host-session=", "anonymous", "malformed"),
        ("__Host-session= ", "anonymous", "malformed"),
        ("__Host-session=\"\"", "anonymous", "malformed"),
        ("__Host-session=.", "anonymous", "malformed"),
        ("__Host-session=..", "anonymous", "invalid"),
        ("__Host-session=...", "anonymous", "malformed"),
        ("__Host-session=a.b", "anonymous", "malformed"),
        ("__Host-session=a.b.c", "anonymous", "invalid"),
        ("__Host-session='{A}'", "anonymous", "malformed"),
        ("__Host-session=\"{A}", "anonymous", "malformed"),
        ("__Host-session={A}\"", "anonymous", "malformed"),
        ("__Host-session={A}%00", "anonymous", "malformed"),
        ("__Host-session={A}%3D", "anonymous", "malformed"),
        ("__Host-session={A} {A}", "anonymous", "malformed"),
        ("__Host-session={A}\t{A}", "anonymous", "malformed"),
        ("__Host-session={A}+", "anonymous", "malformed"),
        ("__Host-session={A}~", "anonymous", "malformed"),
        ("__Host-session={A}:", "anonymous", "malformed"),
        ("__Host-session={A}/", "anonymous", "malformed"),
        ("__Host-session={A}\u{e9}", "anonymous", "malformed"),
        ("__Host-session={A},{A}", "anonymous", "malformed"),
        ("__Host-session={A}|__Host-session={A}", "anonymous", "malformed"),
        ("__Host-session=s:{A}", "anonymous", "malformed"),
        ("__Host-session={A}A", "anonymous", "invalid"),
        ("__Host-session={A}.", "anonymous", "malformed"),
        ("__Host-session=j:[]", "anonymous", "malformed"),
        // The syntax of RFC 2109 and 2965 is not supported.
        ("$Version=\"1\"; __Host-session=\"{A}\"; $Path=\"/\"", "anonymous", "malformed"),
        ("$Version=1, __Host-session={A}", "anonymous", "-"),
        ("$Version=1; a=\"b\\\"; __Host-session={A}; c=\\\"\"", "A", "-"),
        ("$__Host-session={A}", "anonymous", "-"),
        // Non-ASCII bytes of other cookies do not hide the session cookie.
        ("\u{ff}\u{fe}=\u{80}; __Host-session={A}; \u{ff}", "A", "-"),
        ("a; b; c; __Host-session={A}; d", "A", "-"),
        // Several lines are read as one.
        ("__Host-session={A}\n__Host-session={A}", "A", "-"),
        ("__Host-session=\n__Host-session={A}", "A", "malformed"),
        ("__Host-session\n={A}", "anonymous", "-"),
        ("x=1\ny=2\n\n__Host-session={A}\nz=3", "A", "-"),
        ("__Host-session={A}\n__Host-session={B}", "anonymous", "conflict"),
        ("__Host-session={A}\n__Host-session={A2}", "A", "duplicate"),
        // Invalid values beside a session neither hide nor remove it.
        ("__Host-session={A}; __Host-session=aaaa", "A", "malformed"),
        ("__Host-session=aaaa; __Host-session={A}", "A", "malformed"),
        ("__Host-session={X}; __Host-session={A}", "A", "duplicate"),
        ("__Host-session={O}; __Host-session={A}", "A", "duplicate"),
        ("__Host-session={A}; __Host-session={O}", "A", "duplicate"),
        ("__Host-session={E}; __Host-session={A}", "A", "duplicate"),
        ("__Host-session={A}; __Host-session={E}", "A", "duplicate"),
        ("__Host-session={E}; __Host-session={B}", "B", "duplicate"),
        (
            "__Host-session={A}; __Host-session={X}; __Host-session={E}; __Host-session={O}",
            "A",
            "duplicate",
        ),
        ("__Host-session={A}; __Host-session={X}; __Host-session={B}", "anonymous", "conflict"),
        ("__Host-session={A2}; __Host-session={B}; __Host-session={A}", "anonymous", "conflict"),
        // Up to four different values are verified; equal values count once.
        (
            "__Host-session={X}; __Host-session={X1}; __Host-session={X2}; __Host-session={A}",
            "A",
            "duplicate",
        ),
        (
            "__Host-session={A}; __Host-session={X}; __Host-session={X1}; __Host-session={X2}; __Host-session={X3}",
            "anonymous",
            "too_many",
        ),
        (
            "__Host-session={X}; __Host-session={X1}\n__Host-session={X2}\n__Host-session={A}\n__Host-session={A2}",
            "anonymous",
            "too_many",
        ),
        (
            "__Host-session={X}; __Host-session={X}; __Host-session={X1}; __Host-session={X2}; __Host-session={X2}; __Host-session={A}; __Host-session={A}",
            "A",
            "duplicate",
        ),
        (
            "__Host-session=a; __Host-session=b; __Host-session=c; __Host-session=d; __Host-session=e; __Host-session={A}",
            "A",
            "malformed",
        ),
        ("__Host-session={X}", "anonymous", "invalid"),
        ("__Host-session={X}; __Host-session={X1}", "anonymous", "invalid"),
        ("__Host-session={O}", "anonymous", "invalid"),
        ("__Host-session={E}; __Host-session={E}", "anonymous", "expired"),
    ] {
        check(&probe, &lines(text), expect, event, text);
    }
    for byte in (0..=255_u8).filter(|byte| byte.is_ascii_control() && *byte != b'\t') {
        assert!(
            http::HeaderValue::from_bytes(&[b'a', byte]).is_err(),
            "rejected by the http crate"
        );
    }
}

/// Browsers store up to 4096 bytes of name and value (RFC 6265bis §5.6).
#[test]
fn cookie_longer_than_4096_bytes_is_malformed() {
    let probe = probe();
    let limit = 4096 - COOKIE.len();
    let padded = |length: usize| {
        let mut claims = claims();
        claims["auth_time"] = json!(100);
        claims["iat"] = json!(100);
        let base = TokenForge::new("k1").session(&claims).len();
        (0..)
            .map(|more| {
                claims["name"] = json!("x".repeat((length - base) * 3 / 4 - 8 + more));
                TokenForge::new("k1").session(&claims)
            })
            .find(|token| token.len() >= length)
            .unwrap()
    };
    let line = |value: &str| vec![format!("{COOKIE}={value}").into_bytes()];
    let full = padded(limit);
    assert_eq!(full.len(), limit);
    check(&probe, &line(&full), "A", "-", "4096");
    assert_eq!(padded(limit + 1).len(), limit + 1);
    check(&probe, &line(&padded(limit + 1)), "anonymous", "malformed", "4097");
    check(&probe, &line(&format!("\t{full} ")), "A", "-", "surrounding white space is not counted");
    let long = format!("{COOKIE}={full}; {COOKIE}={}", padded(limit + 1));
    check(&probe, &[long.into_bytes()], "A", "malformed", "both");
}

/// At most 32 KiB of `Cookie` lines are read, whatever they contain.
#[test]
fn cookie_headers_above_32_kib_are_rejected() {
    let probe = probe();
    let cookie = format!("{COOKIE}={}", token("A"));
    for total in [32_768, 32_769] {
        let (expect, event) = if total == 32_768 { ("A", "-") } else { ("anonymous", "limit") };
        let fill = |length: usize| [b"x=", vec![b'y'; length - 2].as_slice()].concat();
        let rest = total - cookie.len();
        // The other bytes are in the same line or in other lines, before, after, or around the cookie.
        let [before, after] = [true, false].map(|first| {
            let filling = String::from_utf8(fill(rest - 2)).unwrap();
            let line =
                if first { format!("{filling}; {cookie}") } else { format!("{cookie}; {filling}") };
            vec![line.into_bytes()]
        });
        let own = cookie.clone().into_bytes();
        let mut many: Vec<_> = (0..100).map(|_| fill(rest / 200)).collect();
        let left = rest - many.iter().map(Vec::len).sum::<usize>();
        many.push(own.clone());
        many.push(fill(left));
        for lines in [
            before,
            after,
            vec![own.clone(), fill(rest)],
            vec![fill(rest), own.clone()],
            vec![fill(rest / 2), own.clone(), fill(rest - rest / 2)],
            many,
        ] {
            assert_eq!(lines.iter().map(Vec::len).sum::<usize>(), total);
            check(&probe, &lines, expect, event, &format!("{total} in {} lines", lines.len()));
        }
    }
    // As many cookies as fit into 32 KiB.
    let crowd = "a=;".repeat(10_000);
    check(&probe, &[format!("{crowd}{cookie}").into_bytes()], "A", "-", "10,000 cookies");
    let ours = format!("{COOKIE}=;").repeat(1_500);
    check(
        &probe,
        &[format!("{ours}{cookie}").into_bytes()],
        "A",
        "malformed",
        "1,500 empty session cookies",
    );
}
