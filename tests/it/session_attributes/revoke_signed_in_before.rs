//! Instants before which no session counts.

use tower_auth_session::{SeededRandom, SessionOptions, SignIn, Timestamp};

use super::{Jar, Site};
use crate::support::{START, seconds, subject, user};

fn at(second: u64) -> Timestamp {
    Timestamp::from_unix_seconds(START + second)
}

fn sign_in(name: &'static str) -> impl Fn(&Jar) + Send + Sync + 'static {
    move |jar| drop(jar.sign_in(SignIn::new(subject(name), user(name))).unwrap())
}

/// A session of second 0, renewed at second 20, seen at second 25.
async fn old(site: &mut Site) {
    site.run_handler(sign_in("ada")).await;
    site.clock.advance(seconds(20));
    assert_eq!(site.who().await, "ada");
    site.clock.advance(seconds(5));
}

#[tokio::test]
async fn everybody_s_is_a_setting_that_survives_restarts() {
    for (not_before, expected) in [(0, "ada"), (1, "SignedOut"), (10, "SignedOut")] {
        let mut site = Site::new(|builder| builder);
        old(&mut site).await;
        // The process that starts next has the setting.
        let restarted = Site::new(|builder| {
            // It must not make the ids of the process before.
            let builder = builder.random(SeededRandom::new(2));
            builder.options(SessionOptions::default().not_before(at(not_before)))
        });
        restarted.clock.advance(seconds(25));
        let mut site = Site { browser: site.browser, ..restarted };
        assert_eq!(site.who().await, expected, "{not_before}: a renewal makes nobody younger");
        assert_eq!(site.browser.has_no_session(), expected == "SignedOut");
        site.run_handler(sign_in("ada")).await;
        assert_eq!(site.who().await, "ada", "who signs in since then stays");
    }
}

#[tokio::test]
async fn a_running_process_is_told_of_one_or_of_all() {
    let mut site = Site::new(|builder| builder);
    old(&mut site).await;
    let engine = site.layer.engine().clone();
    engine.end_before(subject("bob"), at(10), at(25));
    engine.end_before(subject("ada"), at(0), at(25));
    assert_eq!(site.who().await, "ada", "nobody else, and nobody later");
    engine.end_before(subject("ada"), at(10), at(25));
    assert_eq!(site.who().await, "SignedOut");
    site.run_handler(sign_in("ada")).await;
    engine.end_everybody_before(at(25));
    assert_eq!(site.who().await, "ada");
    engine.end_everybody_before(at(26));
    engine.end_everybody_before(at(1));
    assert_eq!(site.who().await, "SignedOut", "nothing takes it back");
}
