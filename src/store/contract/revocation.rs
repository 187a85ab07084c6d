//! Ending sessions.

use std::time::Duration;

use super::fixture::{Fixture, LIFE, is_conflict, new_id, somebody};
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
    ended_is_over_everywhere(stores).await;
    an_end_may_come_before_its_session(stores).await;
    all_but_one(stores).await;
    before_an_instant(stores).await;
    a_sign_in_on_its_way_does_not_slip_through(stores).await;
    deleting_takes_what_is_over_only(stores).await;
    everybody(stores).await;
}

async fn ended_is_over_everywhere(stores: &Fixture) {
    let ada = somebody("ada");
    let (session, other) = (stores.sign_in(&ada, 0).await, stores.sign_in(&ada, 0).await);
    stores.elsewhere.revoke(&session.key(), stores.ending(10)).await.expect("end");
    assert_eq!(stores.renew(&session.key(), 10).await, RenewOutcome::Revoked);
    let keys = [session.key(), other.key()];
    let found = stores.store.load(&keys, stores.at(10)).await.expect("load");
    assert_eq!(found, [None, Some(other.clone())]);
    let page = stores.store.list(&ada, stores.at(10), None, 10).await.expect("list");
    assert_eq!(page.sessions, [other]);
    stores.end(&session.key(), 20).await;
    let again = stores.store.create(&session, None).await;
    assert!(is_conflict(&again), "an ended id is not given again: {again:?}");
    assert_eq!(stores.renew(&session.key(), 20).await, RenewOutcome::Revoked);
}

async fn an_end_may_come_before_its_session(stores: &Fixture) {
    // A sign-in whose answer was lost: it is ended, and its write arrives last.
    let session = stores.session(&somebody("ada"), 0);
    stores.end(&session.key(), 1).await;
    let late = stores.store.create(&session, None).await;
    assert!(is_conflict(&late), "what has ended is not created any more: {late:?}");
    assert!(!stores.lives(&session, 1).await);
}

async fn all_but_one(stores: &Fixture) {
    let (ada, bob) = (somebody("ada"), somebody("bob"));
    let mut sessions = Vec::new();
    for at in [0, 5, 10] {
        sessions.push(stores.sign_in(&ada, at).await);
    }
    let stays = stores.sign_in(&ada, 7).await;
    let other = stores.sign_in(&bob, 0).await;
    assert_eq!(stores.end_all(&ada, 10, Some(stays.id)).await, 3, "those of the same second too");
    for session in &sessions {
        assert_eq!(stores.renew(&session.key(), 11).await, RenewOutcome::Revoked);
    }
    assert!(stores.lives(&stays, 11).await && stores.lives(&other, 11).await);
    assert_eq!(stores.end_all(&ada, 12, None).await, 1);
    assert!(!stores.lives(&stays, 13).await, "an exception counts once");
    assert_eq!(stores.end_all(&ada, 12, None).await, 0);
    let after = stores.sign_in(&ada, 12).await;
    assert!(stores.lives(&after, 13).await, "who signs in afterwards is signed in");
    // Somebody else's session is no exception, and needs none.
    assert_eq!(stores.end_all(&ada, 14, Some(new_id())).await, 1);
}

async fn before_an_instant(stores: &Fixture) {
    let ada = somebody("ada");
    let (old, new) = (stores.sign_in(&ada, 10).await, stores.sign_in(&ada, 20).await);
    let ends = RevokeScope::subject_before(ada.clone(), stores.at(30), stores.at(20));
    assert_eq!(stores.elsewhere.revoke_many(&ends).await.expect("end_all"), 1);
    assert!(!stores.lives(&old, 31).await && stores.lives(&new, 31).await);
}

async fn a_sign_in_on_its_way_does_not_slip_through(stores: &Fixture) {
    let ada = somebody("ada");
    let (late, later) = (stores.session(&ada, 9), stores.session(&ada, 10));
    assert_eq!(stores.end_all(&ada, 10, None).await, 0);
    let created = stores.elsewhere.create(&late, None).await.expect("create");
    assert_eq!(created, CreateOutcome::SubjectRevoked, "signed in before all were ended");
    assert!(!stores.lives(&late, 10).await);
    let created = stores.elsewhere.create(&later, None).await.expect("create");
    assert_eq!(created, CreateOutcome::Created { ended: Vec::new() });
}

async fn deleting_takes_what_is_over_only(stores: &Fixture) {
    let ada = somebody("ada");
    let (short, long) = (stores.sign_in(&ada, 0).await, stores.sign_in(&ada, 100).await);
    let ended = stores.sign_in(&ada, 100).await;
    stores.end(&ended.key(), 100).await;
    let gone = stores.session(&ada, 100);
    stores.end(&gone.key(), 100).await;
    // Other records of this suite may go as well.
    while stores.store.delete_expired(stores.at(LIFE), 10).await.expect("delete") == 10 {}
    assert_eq!(
        stores.renew(&long.key(), LIFE).await,
        RenewOutcome::Active({
            let mut renewed = long.clone();
            renewed.last_active_at = stores.at(LIFE);
            renewed.expires_at = stores.at(2 * LIFE);
            renewed
        })
    );
    assert!(!stores.lives(&short, LIFE).await && !stores.lives(&ended, LIFE).await);
    for session in [&ended, &gone] {
        let again = stores.store.create(session, None).await;
        assert!(is_conflict(&again), "remembered while a token may live: {again:?}");
    }
    let key = SessionKey::new(new_id(), ada);
    assert_eq!(stores.renew(&key, LIFE).await, RenewOutcome::NotFound);
}

/// Where nothing else of the suite is, and at a moment that no earlier run has come to: what is over
/// for everybody stays so.
async fn everybody(stores: &Fixture) {
    let store = &*stores.other_tenant;
    let here = stores.sign_in(&somebody("ada"), 0).await;
    let ada = somebody("ada");
    let (mut before, mut tries) = (SystemClock::new().now().timestamp(), 0);
    let old = loop {
        let old = SessionRecord::new(new_id(), ada.clone(), before, later(before, LIFE));
        match store.create(&old, None).await.expect("create") {
            CreateOutcome::Created { .. } => break old,
            // The run before was in this second.
            created => {
                assert_eq!(created, CreateOutcome::SubjectRevoked);
                assert!(tries < 100, "nobody signs in: everybody was ended in the future");
                (before, tries) = (later(before, 1), tries + 1);
            }
        }
    };
    let end = later(before, 1);
    let (new, late) = (
        SessionRecord::new(new_id(), somebody("bob"), end, later(end, LIFE)),
        SessionRecord::new(new_id(), somebody("bob"), before, later(before, LIFE)),
    );
    store.create(&new, None).await.expect("create");
    store.revoke_many(&RevokeScope::all(end, end)).await.expect("end_all");
    let renewed = async |store: &dyn SessionStore, session: &SessionRecord, at: Timestamp| {
        let renewal = RenewRequest::new(at, at, later(at, LIFE));
        store.renew(&session.key(), renewal).await.expect("renew")
    };
    assert_eq!(renewed(store, &old, end).await, RenewOutcome::Revoked);
    assert_eq!(store.load(&[old.key()], end).await.expect("load"), [None]);
    let page = store.list(&ada, end, None, 10).await.expect("list");
    assert_eq!(page.sessions, [], "nobody's session of before is listed");
    assert_eq!(store.create(&late, None).await.expect("create"), CreateOutcome::SubjectRevoked);
    assert!(matches!(renewed(store, &new, end).await, RenewOutcome::Active(_)), "signed in since");
    let mut from = FeedStart::At(end);
    let is_told = loop {
        let page = store.poll_revocations(&from, Duration::ZERO).await.expect("feed");
        if page.revocations.is_empty() || page.revocations.contains(&Revocation::all(end)) {
            break !page.revocations.is_empty();
        }
        from = FeedStart::After(page.position);
    };
    assert!(is_told, "every node hears of it");
    assert!(stores.lives(&here, 1).await, "another tenant's stay");
}

fn later(at: Timestamp, seconds: u64) -> Timestamp {
    at.saturating_add(Duration::from_secs(seconds))
}
