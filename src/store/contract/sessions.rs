//! Creating, reading and renewing one session.

use std::net::IpAddr;

use super::fixture::{Fixture, LIFE, is_conflict, new_id, somebody};
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
    what_is_created_is_read(stores).await;
    ids_are_taken_once(stores).await;
    one_stands_in_the_place_of_one_that_lives(stores).await;
    unknown_is_unknown(stores).await;
    renewing_only_adds(stores).await;
    time_runs_out(stores).await;
    a_key_of_somebody_else_is_corrupt(stores).await;
}

async fn what_is_created_is_read(stores: &Fixture) {
    for device in [
        Device::default(),
        Device::new(Some("Firefox on Linux"), Some(IpAddr::from([192, 0, 2, 7]))),
        Device::new(Some("\"'\\ {x} % ☃ \u{1f980}"), Some("2001:db8::7".parse().expect("address"))),
    ] {
        let ada = somebody("ada");
        let mut session = stores.session(&ada, 0);
        session.device = device;
        stores.store.create(&session, None).await.expect("create");
        for store in [&stores.store, &stores.elsewhere] {
            let keys = [SessionKey::new(new_id(), ada.clone()), session.key()];
            let found = store.load(&keys, stores.at(0)).await.expect("load");
            assert_eq!(found, [None, Some(session.clone())], "read as created, in the order asked");
            let page = store.list(&ada, stores.at(0), None, 10).await.expect("list");
            assert_eq!(page.sessions, [session.clone()], "listed as created");
        }
    }
    let none = stores.store.load(&[], stores.at(0)).await.expect("load");
    assert_eq!(none, [], "nothing asked, nothing found");
}

async fn ids_are_taken_once(stores: &Fixture) {
    let ada = somebody("ada");
    let first = stores.sign_in(&ada, 0).await;
    let mut second = stores.session(&ada, 5);
    second.id = first.id;
    let taken = stores.elsewhere.create(&second, None).await;
    assert!(is_conflict(&taken), "an id is never given to a second session: {taken:?}");
    let mut others = stores.session(&somebody("bob"), 5);
    others.id = first.id;
    let taken = stores.elsewhere.create(&others, None).await;
    // Fixture that find a session by its subject do not see the other one; ids are random.
    let is_apart = matches!(taken, Ok(CreateOutcome::Created { .. }));
    assert!(is_conflict(&taken) || is_apart, "nor to somebody else's: {taken:?}");
    let found = stores.store.load(&[first.key()], stores.at(5)).await.expect("load");
    assert_eq!(found, [Some(first)], "a refused create changes nothing");
}

async fn unknown_is_unknown(stores: &Fixture) {
    let key = SessionKey::new(new_id(), somebody("nobody"));
    assert_eq!(stores.renew(&key, 0).await, RenewOutcome::NotFound);
    let page = stores.store.list(&key.subject, stores.at(0), None, 10).await.expect("list");
    assert!(page.sessions.is_empty() && page.next.is_none(), "renewing creates nothing");
}

async fn renewing_only_adds(stores: &Fixture) {
    let session = stores.sign_in(&somebody("ada"), 0).await;
    let renew = async |now, active, until| {
        let renewal = RenewRequest::new(stores.at(now), stores.at(active), stores.at(until));
        match stores.elsewhere.renew(&session.key(), renewal).await.expect("renew") {
            RenewOutcome::Active(record) => (record.last_active_at, record.expires_at),
            other => panic!("a session that lives is renewed: {other:?}"),
        }
    };
    assert_eq!(renew(100, 100, 1_100).await, (stores.at(100), stores.at(1_100)));
    assert_eq!(
        renew(100, 90, 1_090).await,
        (stores.at(100), stores.at(1_100)),
        "a late renewal takes nothing back"
    );
    assert_eq!(renew(200, 100, 1_100).await, (stores.at(100), stores.at(1_100)), "no activity");
    let found = stores.store.load(&[session.key()], stores.at(1_099)).await.expect("load");
    let found = found.into_iter().next().flatten().expect("lives on by its renewal");
    assert_eq!(found.signed_in_at, session.signed_in_at);
    assert_eq!(found.last_active_at, stores.at(100));
}

async fn time_runs_out(stores: &Fixture) {
    let ada = somebody("ada");
    let session = stores.sign_in(&ada, 0).await;
    assert_eq!(stores.renew(&session.key(), LIFE).await, RenewOutcome::Expired, "over at its end");
    let found = stores.store.load(&[session.key()], stores.at(LIFE)).await.expect("load");
    assert_eq!(found, [None]);
    let page = stores.store.list(&ada, stores.at(LIFE), None, 10).await.expect("list");
    assert!(page.sessions.is_empty(), "what has run out is not listed");
    let renewed = stores.renew(&session.key(), LIFE).await;
    assert_eq!(renewed, RenewOutcome::Expired, "asking did not prolong it");
}

async fn a_key_of_somebody_else_is_corrupt(stores: &Fixture) {
    let session = stores.sign_in(&somebody("ada"), 0).await;
    let wrong = SessionKey::new(session.id, somebody("eve"));
    let renewal = RenewRequest::new(stores.at(1), stores.at(1), stores.at(1 + LIFE));
    let renewed = stores.store.renew(&wrong, renewal).await;
    // Fixture that find a session by its subject do not see the other one.
    let refused = matches!(renewed, Err(StoreError::Corrupt(_)) | Ok(RenewOutcome::NotFound));
    assert!(refused, "a session answers to its own subject only: {renewed:?}");
    let found = stores.store.load(&[session.key()], stores.at(1)).await.expect("load");
    assert_eq!(found, [Some(session)], "and is as it was");
}

async fn one_stands_in_the_place_of_one_that_lives(stores: &Fixture) {
    let (ada, eve) = (somebody("ada"), somebody("eve"));
    let create = async |of: &Subject, at: u64, place: SessionId, limit: Option<SubjectLimit>| {
        let mut session = stores.session(of, at);
        session.replaces = Some(place);
        (stores.elsewhere.create(&session, limit).await, session)
    };
    let mut pending = stores.session(&ada, 0);
    pending.device = Device::new(Some("Kiosk 7"), Some(IpAddr::from([192, 0, 2, 7])));
    stores.store.create(&pending, None).await.expect("create");
    let refuse = Some(SubjectLimit::new(1, SubjectLimitPolicy::Refuse));
    let (created, session) = create(&ada, 5, pending.id, refuse).await;
    let kept = CreateOutcome::Created { ended: Vec::new() };
    assert_eq!(created.expect("create"), kept, "the one before is not counted");
    let keys = [session.key(), pending.key()];
    let found = stores.store.load(&keys, stores.at(5)).await.expect("load");
    let device = pending.device.clone();
    let expected = SessionRecord { device, replaces: None, ..session.clone() };
    assert_eq!(found, [Some(expected), Some(pending.clone())], "on the same device; both live");

    let (created, _) = create(&ada, LIFE, pending.id, None).await;
    assert_eq!(created.expect("create"), CreateOutcome::ReplacedSessionGone, "its time was over");
    let (created, others) = create(&eve, 5, pending.id, None).await;
    let refused =
        matches!(created, Ok(CreateOutcome::ReplacedSessionGone) | Err(StoreError::Corrupt(_)));
    assert!(refused, "somebody else's: {created:?}");
    let found = stores.store.load(&[others.key()], stores.at(5)).await.expect("load");
    assert_eq!(found, [None]);
    stores.end(&pending.key(), 6).await;
    let other = stores.sign_in(&ada, 6).await;
    stores.end_all(&ada, 7, None).await;
    for (place, why) in [
        (pending.id, "ended by its id"),
        (other.id, "ended with all of its subject"),
        (new_id(), "unknown"),
    ] {
        let (created, refused) = create(&ada, 8, place, None).await;
        assert_eq!(created.expect("create"), CreateOutcome::ReplacedSessionGone, "{why}");
        let found = stores.store.load(&[refused.key()], stores.at(8)).await.expect("load");
        assert_eq!(found, [None], "nothing has changed: {why}");
    }
}
