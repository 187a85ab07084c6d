//! Revocation of all sessions that signed in before an instant.

use tower_auth_session::{SessionOptions, SignIn, testing::SeededRandom, time::Timestamp};

use super::{Jar, Site};
use crate::support::{START, seconds, subject, user};

fn at(second: u64) -> Timestamp {
    Timestamp::from_unix_seconds(START + second)
}

fn sign_in(name: &'static str) -> impl Fn(&Jar) + Send + Sync + 'static {
    move |jar| drop(jar.sign_in(SignIn::new(subject(name), user(name))).unwrap())
}

/// A session that signed in at second 0 and was renewed at second 20; the clock is at second 25.
async fn sign_in_and_renew(site: &mut Site) {
    site.run_handler(sign_in("ada")).await;
    site.clock.advance(seconds(20));
    assert_eq!(site.current_user().await, "ada");
    site.clock.advance(seconds(5));
}

#[tokio::test]
async fn revocation_of_all_by_setting_survives_restarts() {
    for (not_before, expected) in [(0, "ada"), (1, "SignedOut"), (10, "SignedOut")] {
        let mut site = Site::new(|builder| builder);
        sign_in_and_renew(&mut site).await;
        // The restarted process has the setting.
        let restarted = Site::new(|builder| {
            // It must not generate the same ids as the process before.
            let builder = builder.random(SeededRandom::new(2));
            builder.options(SessionOptions::default().not_before(at(not_before)))
        });
        restarted.clock.advance(seconds(25));
        let mut site = Site { browser: site.browser, ..restarted };
        assert_eq!(
            site.current_user().await,
            expected,
            "{not_before}: a renewal does not exempt a session"
        );
        assert_eq!(site.browser.has_no_session(), expected == "SignedOut");
        site.run_handler(sign_in("ada")).await;
        assert_eq!(site.current_user().await, "ada", "later sign-ins are kept");
    }
}

#[tokio::test]
async fn revocation_in_a_running_process_applies_to_one_subject_or_all() {
    let mut site = Site::new(|builder| builder);
    sign_in_and_renew(&mut site).await;
    let engine = site.layer.engine().clone();
    engine.revoke_subject_before(subject("bob"), at(10), at(25));
    engine.revoke_subject_before(subject("ada"), at(0), at(25));
    assert_eq!(site.current_user().await, "ada", "other subjects and later sign-ins are kept");
    engine.revoke_subject_before(subject("ada"), at(10), at(25));
    assert_eq!(site.current_user().await, "SignedOut");
    site.run_handler(sign_in("ada")).await;
    engine.revoke_all_before(at(25));
    assert_eq!(site.current_user().await, "ada");
    engine.revoke_all_before(at(26));
    engine.revoke_all_before(at(1));
    assert_eq!(site.current_user().await, "SignedOut", "an earlier instant does not undo it");
}
