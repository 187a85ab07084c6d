//! What happens at the same time.

use std::sync::Arc;

use super::fixture::{Fixture, LIFE, somebody};
use crate::store::types::{
    CreateOutcome, RenewOutcome, RenewRequest, RevokeScope, SubjectLimit, SubjectLimitPolicy,
};

pub(super) async fn check(stores: &Fixture) {
    one_of_many_creates(stores).await;
    a_limit_holds_in_a_crowd(stores).await;
    renewals_at_once(stores).await;
    nobody_outlives_the_end_of_all(stores).await;
}

async fn one_of_many_creates(stores: &Fixture) {
    let session = stores.session(&somebody("ada"), 0);
    let tries = (0..8).map(|n| {
        let store = Arc::clone(if n % 2 == 0 { &stores.store } else { &stores.elsewhere });
        let session = session.clone();
        tokio::spawn(async move { store.create(&session, None).await.is_ok() })
    });
    let mut kept = 0;
    for one in tries.collect::<Vec<_>>() {
        kept += u32::from(one.await.expect("create"));
    }
    assert_eq!(kept, 1, "one id, one session");
}

async fn a_limit_holds_in_a_crowd(stores: &Fixture) {
    let ada = somebody("ada");
    let limit = Some(SubjectLimit::new(3, SubjectLimitPolicy::Refuse));
    let tries = (0..12).map(|n| {
        let store = Arc::clone(if n % 2 == 0 { &stores.store } else { &stores.elsewhere });
        let session = stores.session(&ada, 0);
        tokio::spawn(async move { store.create(&session, limit).await.expect("create") })
    });
    let mut kept = 0;
    for one in tries.collect::<Vec<_>>() {
        kept += u32::from(matches!(one.await.expect("create"), CreateOutcome::Created { .. }));
    }
    assert_eq!(kept, 3, "counting and inserting are one step");
}

async fn renewals_at_once(stores: &Fixture) {
    let session = stores.sign_in(&somebody("ada"), 0).await;
    let tries = (1..=16).map(|n| {
        let store = Arc::clone(if n % 2 == 0 { &stores.store } else { &stores.elsewhere });
        let (key, at) = (session.key(), stores.at(n));
        let renewal = RenewRequest::new(at, at, stores.at(n + LIFE));
        tokio::spawn(async move { store.renew(&key, renewal).await.expect("renew") })
    });
    for one in tries.collect::<Vec<_>>() {
        let renewed = one.await.expect("renew");
        assert!(matches!(renewed, RenewOutcome::Active(_)), "nobody loses: {renewed:?}");
    }
    let found = stores.store.load(&[session.key()], stores.at(16)).await.expect("load");
    let found = found.into_iter().next().flatten().expect("it lives");
    assert_eq!(found.last_active_at, stores.at(16), "the latest activity counts");
    assert_eq!(found.expires_at, stores.at(16 + LIFE));
}

async fn nobody_outlives_the_end_of_all(stores: &Fixture) {
    for _ in 0..8 {
        let ada = somebody("ada");
        let sessions: Vec<_> = (0..6).map(|_| stores.session(&ada, 9)).collect();
        let creating = sessions.iter().cloned().enumerate().map(|(n, session)| {
            let store = Arc::clone(if n % 2 == 0 { &stores.store } else { &stores.elsewhere });
            tokio::spawn(async move { store.create(&session, None).await.map(drop) })
        });
        let creating: Vec<_> = creating.collect();
        let store = Arc::clone(&stores.elsewhere);
        let ends = RevokeScope::subject(ada.clone(), stores.at(10), None);
        let ending = tokio::spawn(async move { store.revoke_many(&ends).await.map(drop) });
        for one in creating {
            one.await.expect("create").expect("create");
        }
        ending.await.expect("end_all").expect("end_all");
        for session in &sessions {
            let renewed = stores.renew(&session.key(), 11).await;
            let over = matches!(renewed, RenewOutcome::Revoked | RenewOutcome::NotFound);
            assert!(over, "signed in before all were ended, whichever was faster: {renewed:?}");
        }
    }
}
