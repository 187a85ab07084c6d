//! Creating, reading and renewing one session.

use std::net::IpAddr;

use super::fixture::{Fixture, LIFETIME, is_conflict, new_id, new_subject};
use crate::{
    engine::session::{
        device::Device,
        id::{SessionId, Subject},
    },
    store::{
        error::StoreError,
        record::{SessionKey, SessionRecord},
        types::{CreateOutcome, RenewOutcome, RenewRequest, SubjectLimit, SubjectLimitPolicy},
    },
};

pub(super) async fn check(stores: &Fixture) {
    created_session_is_loaded_and_listed_unchanged(stores).await;
    id_is_used_for_one_session_only(stores).await;
    session_replaces_only_an_active_one_of_its_subject(stores).await;
    unknown_session_is_not_found(stores).await;
    renewal_never_moves_times_back(stores).await;
    session_expires_at_its_expiry(stores).await;
    key_with_another_subject_is_rejected(stores).await;
}

async fn created_session_is_loaded_and_listed_unchanged(stores: &Fixture) {
    for device in [
        Device::default(),
        Device::new(Some("Firefox on Linux"), Some(IpAddr::from([192, 0, 2, 7]))),
        Device::new(Some("\"'\\ {x} % ☃ \u{1f980}"), Some("2001:db8::7".parse().expect("address"))),
    ] {
        let ada = new_subject("ada");
        let mut session = stores.session(&ada, 0);
        session.device = device;
        stores.store.create(&session, None).await.expect("create");
        for store in [&stores.store, &stores.other_node] {
            let keys = [SessionKey::new(new_id(), ada.clone()), session.key()];
            let found = store.load(&keys, stores.at(0)).await.expect("load");
            assert_eq!(
                found,
                [None, Some(session.clone())],
                "loaded as created, in the order of the keys"
            );
            let page = store.list(&ada, stores.at(0), None, 10).await.expect("list");
            assert_eq!(page.sessions, [session.clone()], "listed as created");
        }
    }
    let none = stores.store.load(&[], stores.at(0)).await.expect("load");
    assert_eq!(none, [], "no key, no session");
}

async fn id_is_used_for_one_session_only(stores: &Fixture) {
    let ada = new_subject("ada");
    let first = stores.sign_in(&ada, 0).await;
    let mut second = stores.session(&ada, 5);
    second.id = first.id;
    let taken = stores.other_node.create(&second, None).await;
    assert!(is_conflict(&taken), "an id is never used for a second session: {taken:?}");
    let mut others = stores.session(&new_subject("bob"), 5);
    others.id = first.id;
    let taken = stores.other_node.create(&others, None).await;
    // A store that finds sessions by subject does not find the other one, which is acceptable as ids are
    // random.
    let is_separate = matches!(taken, Ok(CreateOutcome::Created { .. }));
    assert!(is_conflict(&taken) || is_separate, "nor for one of another subject: {taken:?}");
    let found = stores.store.load(&[first.key()], stores.at(5)).await.expect("load");
    assert_eq!(found, [Some(first)], "a rejected create changes nothing");
}

async fn unknown_session_is_not_found(stores: &Fixture) {
    let key = SessionKey::new(new_id(), new_subject("unknown"));
    assert_eq!(stores.renew(&key, 0).await, RenewOutcome::NotFound);
    let page = stores.store.list(&key.subject, stores.at(0), None, 10).await.expect("list");
    assert!(page.sessions.is_empty() && page.next.is_none(), "a renewal creates no session");
}

async fn renewal_never_moves_times_back(stores: &Fixture) {
    let session = stores.sign_in(&new_subject("ada"), 0).await;
    let renew = async |now, active, until| {
        let renewal = RenewRequest::new(stores.at(now), stores.at(active), stores.at(until));
        match stores.other_node.renew(&session.key(), renewal).await.expect("renew") {
            RenewOutcome::Active(record) => (record.last_active_at, record.expires_at),
            other => panic!("an active session is renewed: {other:?}"),
        }
    };
    assert_eq!(renew(100, 100, 1_100).await, (stores.at(100), stores.at(1_100)));
    assert_eq!(
        renew(100, 90, 1_090).await,
        (stores.at(100), stores.at(1_100)),
        "a late renewal moves no time back"
    );
    assert_eq!(renew(200, 100, 1_100).await, (stores.at(100), stores.at(1_100)), "no activity");
    let found = stores.store.load(&[session.key()], stores.at(1_099)).await.expect("load");
    let found = found.into_iter().next().flatten().expect("a renewed session");
    assert_eq!(found.signed_in_at, session.signed_in_at);
    assert_eq!(found.last_active_at, stores.at(100));
}

async fn session_expires_at_its_expiry(stores: &Fixture) {
    let ada = new_subject("ada");
    let session = stores.sign_in(&ada, 0).await;
    assert_eq!(
        stores.renew(&session.key(), LIFETIME).await,
        RenewOutcome::Expired,
        "expired at its expiry"
    );
    let found = stores.store.load(&[session.key()], stores.at(LIFETIME)).await.expect("load");
    assert_eq!(found, [None]);
    let page = stores.store.list(&ada, stores.at(LIFETIME), None, 10).await.expect("list");
    assert!(page.sessions.is_empty(), "an expired session is not listed");
    let renewed = stores.renew(&session.key(), LIFETIME).await;
    assert_eq!(renewed, RenewOutcome::Expired, "the renewal before had no effect");
}

async fn key_with_another_subject_is_rejected(stores: &Fixture) {
    let session = stores.sign_in(&new_subject("ada"), 0).await;
    let wrong = SessionKey::new(session.id, new_subject("eve"));
    let renewal = RenewRequest::new(stores.at(1), stores.at(1), stores.at(1 + LIFETIME));
    let renewed = stores.store.renew(&wrong, renewal).await;
    // A store that finds sessions by subject does not find the other one.
    let rejected = matches!(renewed, Err(StoreError::Corrupt(_)) | Ok(RenewOutcome::NotFound));
    assert!(rejected, "a session is renewed only with its own subject: {renewed:?}");
    let found = stores.store.load(&[session.key()], stores.at(1)).await.expect("load");
    assert_eq!(found, [Some(session)], "the session is unchanged");
}

async fn session_replaces_only_an_active_one_of_its_subject(stores: &Fixture) {
    let (ada, eve) = (new_subject("ada"), new_subject("eve"));
    let create = async |of: &Subject, at: u64, replaced: SessionId, limit: Option<SubjectLimit>| {
        let mut session = stores.session(of, at);
        session.replaces = Some(replaced);
        (stores.other_node.create(&session, limit).await, session)
    };
    let mut pending = stores.session(&ada, 0);
    pending.device = Device::new(Some("Kiosk 7"), Some(IpAddr::from([192, 0, 2, 7])));
    stores.store.create(&pending, None).await.expect("create");
    let refuse = Some(SubjectLimit::new(1, SubjectLimitPolicy::Refuse));
    let (created, session) = create(&ada, 5, pending.id, refuse).await;
    let kept = CreateOutcome::Created { ended: Vec::new() };
    assert_eq!(
        created.expect("create"),
        kept,
        "the replaced session does not count towards the limit"
    );
    let keys = [session.key(), pending.key()];
    let found = stores.store.load(&keys, stores.at(5)).await.expect("load");
    let device = pending.device.clone();
    let expected = SessionRecord { device, replaces: None, ..session.clone() };
    assert_eq!(
        found,
        [Some(expected), Some(pending.clone())],
        "on the same device, and both are active"
    );

    let (created, _) = create(&ada, LIFETIME, pending.id, None).await;
    assert_eq!(
        created.expect("create"),
        CreateOutcome::ReplacedSessionGone,
        "the replaced session has expired"
    );
    let (created, others) = create(&eve, 5, pending.id, None).await;
    let rejected =
        matches!(created, Ok(CreateOutcome::ReplacedSessionGone) | Err(StoreError::Corrupt(_)));
    assert!(rejected, "a session of another subject is not replaced: {created:?}");
    let found = stores.store.load(&[others.key()], stores.at(5)).await.expect("load");
    assert_eq!(found, [None]);
    stores.revoke(&pending.key(), 6).await;
    let other = stores.sign_in(&ada, 6).await;
    stores.revoke_all(&ada, 7, None).await;
    for (replaced, state) in [
        (pending.id, "revoked by its id"),
        (other.id, "revoked with all sessions of its subject"),
        (new_id(), "unknown"),
    ] {
        let (created, rejected) = create(&ada, 8, replaced, None).await;
        assert_eq!(created.expect("create"), CreateOutcome::ReplacedSessionGone, "{state}");
        let found = stores.store.load(&[rejected.key()], stores.at(8)).await.expect("load");
        assert_eq!(found, [None], "a rejected create stores nothing: {state}");
    }
}
