//! Revocations.

use std::time::Duration;

use super::fixture::{Fixture, LIFETIME, is_conflict, new_id, new_subject};
use crate::{
    store::{
        SessionStore,
        feed::{FeedStart, Revocation},
        record::{SessionKey, SessionRecord},
        types::{CreateOutcome, RenewOutcome, RenewRequest, RevokeScope},
    },
    time::{Clock as _, SystemClock, Timestamp},
};

pub(super) async fn check(stores: &Fixture) {
    revoked_session_is_revoked_on_every_node(stores).await;
    revocation_before_the_create_prevents_it(stores).await;
    revocation_of_a_subject_keeps_the_exception(stores).await;
    revocation_before_an_instant_keeps_later_sessions(stores).await;
    create_of_an_earlier_sign_in_is_rejected_after_the_revocation(stores).await;
    delete_expired_keeps_active_sessions_and_revocations(stores).await;
    revocation_of_all_covers_every_subject_of_one_tenant(stores).await;
}

async fn revoked_session_is_revoked_on_every_node(stores: &Fixture) {
    let ada = new_subject("ada");
    let (session, other) = (stores.sign_in(&ada, 0).await, stores.sign_in(&ada, 0).await);
    stores.other_node.revoke(&session.key(), stores.revocation(10)).await.expect("revoke");
    assert_eq!(stores.renew(&session.key(), 10).await, RenewOutcome::Revoked);
    let keys = [session.key(), other.key()];
    let found = stores.store.load(&keys, stores.at(10)).await.expect("load");
    assert_eq!(found, [None, Some(other.clone())]);
    let page = stores.store.list(&ada, stores.at(10), None, 10).await.expect("list");
    assert_eq!(page.sessions, [other]);
    stores.revoke(&session.key(), 20).await;
    let again = stores.store.create(&session, None).await;
    assert!(is_conflict(&again), "the id of a revoked session is never reused: {again:?}");
    assert_eq!(stores.renew(&session.key(), 20).await, RenewOutcome::Revoked);
}

async fn revocation_before_the_create_prevents_it(stores: &Fixture) {
    // The response of a sign-in was lost, so it is revoked, and its write arrives last.
    let session = stores.session(&new_subject("ada"), 0);
    stores.revoke(&session.key(), 1).await;
    let late = stores.store.create(&session, None).await;
    assert!(is_conflict(&late), "a revoked session is not created: {late:?}");
    assert!(!stores.is_active(&session, 1).await);
}

async fn revocation_of_a_subject_keeps_the_exception(stores: &Fixture) {
    let (ada, bob) = (new_subject("ada"), new_subject("bob"));
    let mut sessions = Vec::new();
    for at in [0, 5, 10] {
        sessions.push(stores.sign_in(&ada, at).await);
    }
    let kept = stores.sign_in(&ada, 7).await;
    let other = stores.sign_in(&bob, 0).await;
    assert_eq!(
        stores.revoke_all(&ada, 10, Some(kept.id)).await,
        3,
        "sessions of the same second are revoked too"
    );
    for session in &sessions {
        assert_eq!(stores.renew(&session.key(), 11).await, RenewOutcome::Revoked);
    }
    assert!(stores.is_active(&kept, 11).await && stores.is_active(&other, 11).await);
    assert_eq!(stores.revoke_all(&ada, 12, None).await, 1);
    assert!(!stores.is_active(&kept, 13).await, "the exception applies to one call");
    assert_eq!(stores.revoke_all(&ada, 12, None).await, 0);
    let after = stores.sign_in(&ada, 12).await;
    assert!(stores.is_active(&after, 13).await, "a later sign-in is active");
    // An exception for an unknown session has no effect.
    assert_eq!(stores.revoke_all(&ada, 14, Some(new_id())).await, 1);
}

async fn revocation_before_an_instant_keeps_later_sessions(stores: &Fixture) {
    let ada = new_subject("ada");
    let (old, new) = (stores.sign_in(&ada, 10).await, stores.sign_in(&ada, 20).await);
    let scope = RevokeScope::subject_before(ada.clone(), stores.at(30), stores.at(20));
    assert_eq!(stores.other_node.revoke_many(&scope).await.expect("revoke_many"), 1);
    assert!(!stores.is_active(&old, 31).await && stores.is_active(&new, 31).await);
}

async fn create_of_an_earlier_sign_in_is_rejected_after_the_revocation(stores: &Fixture) {
    let ada = new_subject("ada");
    let (earlier, later) = (stores.session(&ada, 9), stores.session(&ada, 10));
    assert_eq!(stores.revoke_all(&ada, 10, None).await, 0);
    let created = stores.other_node.create(&earlier, None).await.expect("create");
    assert_eq!(created, CreateOutcome::SubjectRevoked, "signed in before the revocation");
    assert!(!stores.is_active(&earlier, 10).await);
    let created = stores.other_node.create(&later, None).await.expect("create");
    assert_eq!(created, CreateOutcome::Created { ended: Vec::new() });
}

async fn delete_expired_keeps_active_sessions_and_revocations(stores: &Fixture) {
    let ada = new_subject("ada");
    let (short, long) = (stores.sign_in(&ada, 0).await, stores.sign_in(&ada, 100).await);
    let revoked = stores.sign_in(&ada, 100).await;
    stores.revoke(&revoked.key(), 100).await;
    let never_created = stores.session(&ada, 100);
    stores.revoke(&never_created.key(), 100).await;
    // This may delete other records of the suite as well.
    while stores.store.delete_expired(stores.at(LIFETIME), 10).await.expect("delete") == 10 {}
    assert_eq!(
        stores.renew(&long.key(), LIFETIME).await,
        RenewOutcome::Active({
            let mut renewed = long.clone();
            renewed.last_active_at = stores.at(LIFETIME);
            renewed.expires_at = stores.at(2 * LIFETIME);
            renewed
        })
    );
    assert!(
        !stores.is_active(&short, LIFETIME).await && !stores.is_active(&revoked, LIFETIME).await
    );
    for session in [&revoked, &never_created] {
        let again = stores.store.create(session, None).await;
        assert!(is_conflict(&again), "a revocation is kept while a token may be valid: {again:?}");
    }
    let key = SessionKey::new(new_id(), ada);
    assert_eq!(stores.renew(&key, LIFETIME).await, RenewOutcome::NotFound);
}

/// Uses the other tenant, and a time that no earlier run has used, because a revocation of all is never
/// undone.
async fn revocation_of_all_covers_every_subject_of_one_tenant(stores: &Fixture) {
    let store = &*stores.other_tenant;
    let first_tenant = stores.sign_in(&new_subject("ada"), 0).await;
    let ada = new_subject("ada");
    let (mut before, mut tries) = (SystemClock::new().now().timestamp(), 0);
    let old = loop {
        let old = SessionRecord::new(new_id(), ada.clone(), before, later(before, LIFETIME));
        match store.create(&old, None).await.expect("create") {
            CreateOutcome::Created { .. } => break old,
            // The run before used this second.
            created => {
                assert_eq!(created, CreateOutcome::SubjectRevoked);
                assert!(
                    tries < 100,
                    "no sign-in is possible: an earlier run revoked all in the future"
                );
                (before, tries) = (later(before, 1), tries + 1);
            }
        }
    };
    let end = later(before, 1);
    let (new, late) = (
        SessionRecord::new(new_id(), new_subject("bob"), end, later(end, LIFETIME)),
        SessionRecord::new(new_id(), new_subject("bob"), before, later(before, LIFETIME)),
    );
    store.create(&new, None).await.expect("create");
    store.revoke_many(&RevokeScope::all(end, end)).await.expect("revoke_many");
    let renewed = async |store: &dyn SessionStore, session: &SessionRecord, at: Timestamp| {
        let renewal = RenewRequest::new(at, at, later(at, LIFETIME));
        store.renew(&session.key(), renewal).await.expect("renew")
    };
    assert_eq!(renewed(store, &old, end).await, RenewOutcome::Revoked);
    assert_eq!(store.load(&[old.key()], end).await.expect("load"), [None]);
    let page = store.list(&ada, end, None, 10).await.expect("list");
    assert_eq!(page.sessions, [], "no revoked session is listed");
    assert_eq!(store.create(&late, None).await.expect("create"), CreateOutcome::SubjectRevoked);
    assert!(
        matches!(renewed(store, &new, end).await, RenewOutcome::Active(_)),
        "signed in afterwards"
    );
    let mut from = FeedStart::At(end);
    let is_in_feed = loop {
        let page = store.poll_revocations(&from, Duration::ZERO).await.expect("feed");
        if page.revocations.is_empty() || page.revocations.contains(&Revocation::all(end)) {
            break !page.revocations.is_empty();
        }
        from = FeedStart::After(page.position);
    };
    assert!(is_in_feed, "the feed contains the revocation");
    assert!(stores.is_active(&first_tenant, 1).await, "sessions of another tenant are kept");
}

fn later(at: Timestamp, seconds: u64) -> Timestamp {
    at.saturating_add(Duration::from_secs(seconds))
}
