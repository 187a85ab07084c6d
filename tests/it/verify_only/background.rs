//! `background()` of a verify-only service, and the end of its sessions.

use std::time::Duration;

#[cfg(feature = "memory")]
use tower_auth_session::{
    KeyRing,
    store::{MemoryStore, RevokeScope, SessionStore as _},
};
use tower_auth_session::{SessionLayer, time::Clock, verify_only::TrustedIssuer};

#[cfg(feature = "memory")]
use super::issuer::public;
use super::{
    issuer::{ISSUER, Site, good, known},
    jwks_refresh::JwksEndpoint,
};
use crate::support::User;

#[tokio::test(start_paused = true)]
async fn background_refreshes_keys_before_requests_need_them() {
    let endpoint = JwksEndpoint::with(&["k1"]);
    let mut site = Site::trusting([TrustedIssuer::new(ISSUER)]);
    site.layer = site.layer.jwks_fetcher(endpoint.clone());
    let background = tokio::spawn(site.layer.background());
    step(&site, 1).await;
    assert_eq!(endpoint.fetches(), 1, "at once");
    let wall = Clock::now(&site.clock).timestamp();
    step(&site, 299).await;
    assert_eq!(endpoint.fetches(), 0);
    step(&site, 3).await;
    assert_eq!(endpoint.fetches(), 1, "every five minutes");
    endpoint.respond_with(None);
    step(&site, 300).await;
    step(&site, 20).await;
    assert!((2..=6).contains(&endpoint.fetches()), "retried soon, but not at once");
    site.clock.set(wall);
    assert_eq!(site.bearer(&good()).await, "Ada");
    background.abort();
}

async fn step(site: &Site, seconds: u64) {
    for _ in 0..seconds {
        site.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A verify-only service cannot renew a session.
#[tokio::test(start_paused = true)]
async fn external_session_ends_with_its_token() {
    let site = Site::trusting([known().cookie("__session")]);
    assert_eq!(site.bearer(&good()).await, "Ada");
    let session = site.result.lock().unwrap().take().unwrap();
    let ended = tokio::spawn(session.ended());
    step(&site, 58).await;
    assert!(!ended.is_finished());
    site.clock.advance(Duration::from_secs(2));
    tokio::time::timeout(Duration::from_secs(31), ended).await.unwrap().unwrap();
}

/// A session that this process revokes is rejected by this process at once.
#[tokio::test]
async fn external_session_can_be_revoked_in_this_process() {
    let site = Site::trusting([known()]);
    site.bearer(&good()).await;
    let session = site.result.lock().unwrap().take().unwrap();
    let ended = tokio::spawn(session.ended());
    let layer: &SessionLayer<User> = &site.layer;
    let now = Clock::now(&site.clock);
    layer.engine().revoke_session(session.identity(), now);
    ended.await.unwrap();
    assert_eq!(site.bearer(&good()).await, "SignedOut");
    assert!(site.reason().contains("revoked"), "{}", site.reason());
}

/// A subject of the same name in the store of this service is another user.
#[cfg(feature = "memory")]
#[tokio::test(start_paused = true)]
async fn revocation_of_a_subject_in_the_store_does_not_concern_other_issuers() {
    let store = MemoryStore::new();
    let keys = KeyRing::verify_only().with_key(public("k1"));
    let own = TrustedIssuer::new("https://own.example.com").keys(keys).shares_store();
    let mut site = Site::trusting([known(), own]);
    site.layer = site.layer.store(store.clone());
    let background = tokio::spawn(site.layer.background());
    step(&site, 1).await;
    assert_eq!(site.bearer(&good()).await, "Ada");
    let session = site.result.lock().unwrap().take().unwrap();
    let subject = session.identity().subject().clone();
    let now = Clock::now(&site.clock);
    let scope = RevokeScope::subject(subject.clone(), now.timestamp(), None);
    store.revoke_many(&scope).await.unwrap();
    step(&site, 3).await;
    assert_eq!(site.bearer(&good()).await, "Ada");
    // The operator's own call covers every issuer, as its documentation states.
    site.layer.engine().revoke_subject_before(subject, now.timestamp(), now);
    assert_eq!(site.bearer(&good()).await, "SignedOut");
    background.abort();
}
