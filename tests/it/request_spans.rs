//! The span of each request.
#![cfg(feature = "tracing")]

use tower_auth_session::SignIn;

use crate::support::{
    COOKIE, User, engine_builder, get,
    log::{Line, Log},
    post,
    probe::Probe,
    subject, user,
};

/// The values of the only span since the last call, and the lines in it.
fn span(log: &Log) -> (Line, Vec<Line>) {
    let (mut span, mut lines) = (None, Vec::new());
    for line in log.take() {
        if line.message == "session_request" {
            assert!(span.is_none(), "one span for each request");
            assert_eq!(line.target, "tower_auth_session");
            assert_eq!(line.level, Some(tracing::Level::DEBUG));
            span = Some(line);
        } else if line.level.is_none() {
            // Values that are recorded later.
            span.as_mut().unwrap().values.extend(line.values);
        } else {
            lines.push(line);
        }
    }
    (span.unwrap(), lines)
}

fn values(span: &Line) -> [&str; 2] {
    [span.value("status"), span.value("outcome")]
}

#[test]
fn span_has_the_status_before_and_after_and_a_hash_of_the_session() {
    let log = Log::start();
    let probe: Probe<User> = Probe::new(engine_builder().0);
    log.take();

    probe.send(get("/"));
    let (anonymous, _) = span(&log);
    assert_eq!(values(&anonymous), ["signed_out", "signed_out"]);
    assert_eq!((anonymous.value("session"), anonymous.value("subject")), ("", ""));

    let token = probe
        .run_handler(get("/sign-in"), |jar, _| {
            jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
        })
        .token();
    let (sign_in, lines) = span(&log);
    assert_eq!(values(&sign_in), ["signed_out", "signed_in"]);
    let logged = lines.iter().find(|line| line.message == "signed in").unwrap();

    probe.cookie(COOKIE, &token);
    let (known, _) = span(&log);
    assert_eq!(values(&known), ["signed_in", "signed_in"]);
    assert_eq!(known.value("session"), logged.value("session"));
    assert_eq!(known.value("subject"), "", "not without permission");
    // Reading the status for the span is not reading the session.
    let response = probe.cookie(COOKIE, &token).response;
    assert_eq!(response.header("vary"), "Cookie");
    span(&log);

    let mut sign_out = post("/sign-out", "");
    sign_out.headers_mut().insert("cookie", format!("{COOKIE}={token}").parse().unwrap());
    assert_eq!(probe.send_endpoint(sign_out).status, 303);
    assert_eq!(values(&span(&log).0), ["signed_in", "signed_out"]);
    probe.cookie(COOKIE, &token);
    assert_eq!(values(&span(&log).0), ["signed_out", "signed_out"]);
}

#[test]
fn span_has_a_hash_of_the_subject_if_allowed() {
    let log = Log::start();
    let mut hashes = Vec::new();
    for name in ["ada", "ada", "grace"] {
        let probe: Probe<User> = Probe::new(engine_builder().0.log_subject_hashes(true));
        let token = probe
            .run_handler(get("/"), |jar, _| {
                jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
            })
            .token();
        log.take();
        probe.cookie(COOKIE, &token);
        let (span, _) = span(&log);
        let hash = span.value("subject").to_owned();
        assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
        assert_ne!(hash, span.value("session"));
        hashes.push(hash);
    }
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hashes[2]);
}
