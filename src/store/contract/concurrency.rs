//! Calls at the same time.

use std::sync::Arc;

use super::fixture::{Fixture, LIFETIME, new_subject};
use crate::store::types::{
    CreateOutcome, RenewOutcome, RenewRequest, RevokeScope, SubjectLimit, SubjectLimitPolicy,
};

pub(super) async fn check(stores: &Fixture) {
    concurrent_creates_of_one_id_store_one_session(stores).await;
    concurrent_creates_respect_the_limit(stores).await;
    concurrent_renewals_keep_the_latest_activity(stores).await;
    concurrent_revocation_of_a_subject_covers_earlier_sign_ins(stores).await;
}

async fn concurrent_creates_of_one_id_store_one_session(stores: &Fixture) {
    let session = stores.session(&new_subject("ada"), 0);
    let calls = (0..8).map(|n| {
        let store = Arc::clone(if n % 2 == 0 { &stores.store } else { &stores.other_node });
        let session = session.clone();
        tokio::spawn(async move { store.create(&session, None).await.is_ok() })
    });
    let mut created = 0;
    for one in calls.collect::<Vec<_>>() {
        created += u32::from(one.await.expect("create"));
    }
    assert_eq!(created, 1, "one of the calls stores the session");
}

async fn concurrent_creates_respect_the_limit(stores: &Fixture) {
    let ada = new_subject("ada");
    let limit = Some(SubjectLimit::new(3, SubjectLimitPolicy::Refuse));
    let calls = (0..12).map(|n| {
        let store = Arc::clone(if n % 2 == 0 { &stores.store } else { &stores.other_node });
        let session = stores.session(&ada, 0);
        tokio::spawn(async move { store.create(&session, limit).await.expect("create") })
    });
    let mut created = 0;
    for one in calls.collect::<Vec<_>>() {
        created += u32::from(matches!(one.await.expect("create"), CreateOutcome::Created { .. }));
    }
    assert_eq!(created, 3, "the store counts and inserts in one step");
}

async fn concurrent_renewals_keep_the_latest_activity(stores: &Fixture) {
    let session = stores.sign_in(&new_subject("ada"), 0).await;
    let calls = (1..=16).map(|n| {
        let store = Arc::clone(if n % 2 == 0 { &stores.store } else { &stores.other_node });
        let (key, at) = (session.key(), stores.at(n));
        let renewal = RenewRequest::new(at, at, stores.at(n + LIFETIME));
        tokio::spawn(async move { store.renew(&key, renewal).await.expect("renew") })
    });
    for one in calls.collect::<Vec<_>>() {
        let renewed = one.await.expect("renew");
        assert!(matches!(renewed, RenewOutcome::Active(_)), "every renewal succeeds: {renewed:?}");
    }
    let found = stores.store.load(&[session.key()], stores.at(16)).await.expect("load");
    let found = found.into_iter().next().flatten().expect("an active session");
    assert_eq!(found.last_active_at, stores.at(16), "the latest activity is kept");
    assert_eq!(found.expires_at, stores.at(16 + LIFETIME));
}

async fn concurrent_revocation_of_a_subject_covers_earlier_sign_ins(stores: &Fixture) {
    for _ in 0..8 {
        let ada = new_subject("ada");
        let sessions: Vec<_> = (0..6).map(|_| stores.session(&ada, 9)).collect();
        let creating = sessions.iter().cloned().enumerate().map(|(n, session)| {
            let store = Arc::clone(if n % 2 == 0 { &stores.store } else { &stores.other_node });
            tokio::spawn(async move { store.create(&session, None).await.map(drop) })
        });
        let creating: Vec<_> = creating.collect();
        let store = Arc::clone(&stores.other_node);
        let scope = RevokeScope::subject(ada.clone(), stores.at(10), None);
        let revocation = tokio::spawn(async move { store.revoke_many(&scope).await.map(drop) });
        for one in creating {
            one.await.expect("create").expect("create");
        }
        revocation.await.expect("revoke_many").expect("revoke_many");
        for session in &sessions {
            let renewed = stores.renew(&session.key(), 11).await;
            let is_revoked = matches!(renewed, RenewOutcome::Revoked | RenewOutcome::NotFound);
            assert!(
                is_revoked,
                "a sign-in before the revocation is revoked in either order: {renewed:?}"
            );
        }
    }
}
