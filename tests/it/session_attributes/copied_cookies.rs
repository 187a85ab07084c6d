//! Copied cookies without a store: one process compares the tokens that it issued.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tower_auth_session::{
    SessionLifetime, SignIn, config::CopiedCookies, engine::Factor, event::SessionEvent,
};

use super::{Jar, Site};
use crate::support::{Browser, seconds, subject, user};

/// A site whose browser renewed twice since the copy of its cookie was made.
async fn copied(reaction: CopiedCookies) -> (Site, Browser) {
    let mut site = Site::new(|builder| {
        let lifetime = SessionLifetime::new().renew_after(seconds(60));
        builder.lifetime(lifetime).copied_cookies(reaction)
    });
    site.run_handler(|jar| {
        jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
    })
    .await;
    let copy = site.browser.clone();
    for _ in 0..2 {
        site.clock.advance(seconds(60));
        assert_eq!(site.get("/").await.set_cookies().len(), 1);
    }
    site.events.take();
    (site, copy)
}

fn copies(site: &Site) -> usize {
    let is_copy = |event: &SessionEvent| matches!(event, SessionEvent::CopiedCookie { .. });
    site.events.take().into_iter().filter(is_copy).count()
}

#[tokio::test]
async fn copy_is_detected_without_a_store() {
    for (reaction, expected_copies) in [
        (CopiedCookies::Off, 0),
        (CopiedCookies::Report, 1),
        (CopiedCookies::StepUp, 1),
        (CopiedCookies::End, 1),
    ] {
        let (mut site, copy) = copied(reaction).await;
        let browser = std::mem::replace(&mut site.browser, copy);
        site.get("/").await;
        assert_eq!(copies(&site), expected_copies, "{reaction}");
        let is_ended = reaction == CopiedCookies::End;
        assert_eq!(site.browser.cookie_header().is_none(), is_ended, "{reaction}");
        site.browser = browser;
        site.run_handler(move |jar| assert_ne!(jar.session().is_some(), is_ended)).await;
        assert_eq!(copies(&site), 0, "{reaction}");
    }
}

#[tokio::test]
async fn step_up_asks_both_clients_for_a_factor() {
    let (mut site, copy) = copied(CopiedCookies::StepUp).await;
    site.run_handler(|jar| jar.mark_verified(Factor::First).unwrap()).await;
    assert_eq!(site.get("/fresh").await.status, 200);
    let browser = std::mem::replace(&mut site.browser, copy);
    assert_eq!(site.get("/fresh").await.status, 401);
    let copy = std::mem::replace(&mut site.browser, browser);
    site.clock.advance(seconds(60));
    let is_distrusted = |jar: &Jar| {
        let session = jar.session().unwrap();
        let ages = session.identity().factor_ages(session.last_active_at());
        assert!(ages.first > Some(seconds(1_000_000_000)), "{ages:?}");
    };
    site.run_handler(is_distrusted).await;
    site.run_handler(|jar| jar.mark_verified(Factor::First).unwrap()).await;
    assert_eq!(site.get("/fresh").await.status, 200);
    site.browser = copy;
    site.run_handler(|jar| assert!(jar.session().is_none())).await;
}

#[tokio::test]
async fn copies_are_not_looked_for_without_a_store_by_default() {
    let mut site = Site::new(|builder| builder);
    site.run_handler(|jar| {
        jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
    })
    .await;
    let token = site.browser.cookies.values().next().unwrap();
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    assert!(!payload.contains("jti"), "{payload}");
}
