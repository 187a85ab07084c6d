//! Lists, limits, tenants, and names that are hard to write down.

use super::fixture::{Fixture, somebody};
use crate::{
    engine::session::id::Subject,
    store::types::{CreateOutcome, RenewOutcome, RevokeScope, SubjectLimit, SubjectLimitPolicy},
};

pub(super) async fn check(stores: &Fixture) {
    pages(stores).await;
    the_oldest_makes_room(stores).await;
    too_many_are_refused(stores).await;
    tenants_are_apart(stores).await;
    any_subject_will_do(stores).await;
}

async fn pages(stores: &Fixture) {
    let ada = somebody("ada");
    let mut sessions = Vec::new();
    for at in [5, 3, 3, 3, 9, 1, 7] {
        sessions.push(stores.sign_in(&ada, at).await);
    }
    let ended = stores.sign_in(&ada, 4).await;
    stores.end(&ended.key(), 10).await;
    sessions.sort_by_key(|session| std::cmp::Reverse((session.signed_in_at, session.id)));
    for limit in [1, 2, 3, 7, 8] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let now = stores.at(10);
            let page = stores.elsewhere.list(&ada, now, after, limit).await.expect("list");
            assert!(page.sessions.len() <= limit, "a page has a limit");
            found.extend(page.sessions);
            after = page.next;
            if after.is_none() {
                break;
            }
            assert!(found.len() < 100, "pages come to an end");
        }
        assert_eq!(found, sessions, "each once, the newest first, {limit} a page");
    }
}

async fn the_oldest_makes_room(stores: &Fixture) {
    let ada = somebody("ada");
    let limit = Some(SubjectLimit::new(2, SubjectLimitPolicy::EndOldest));
    let (first, second) = (stores.sign_in(&ada, 1).await, stores.sign_in(&ada, 2).await);
    let third = stores.session(&ada, 3);
    let created = stores.elsewhere.create(&third, limit).await.expect("create");
    assert_eq!(created, CreateOutcome::Created { ended: vec![first.id] });
    assert_eq!(stores.renew(&first.key(), 4).await, RenewOutcome::Revoked);
    assert!(stores.lives(&second, 4).await && stores.lives(&third, 4).await);
    // What has run out, long after, takes no room.
    let fourth = stores.session(&ada, 5_000);
    let created = stores.store.create(&fourth, limit).await.expect("create");
    assert_eq!(created, CreateOutcome::Created { ended: Vec::new() });
    let one = Some(SubjectLimit::new(1, SubjectLimitPolicy::EndOldest));
    let fifth = stores.session(&ada, 5_001);
    let created = stores.store.create(&fifth, one).await.expect("create");
    assert_eq!(
        created,
        CreateOutcome::Created { ended: vec![fourth.id] },
        "a limit that was lowered"
    );
}

async fn too_many_are_refused(stores: &Fixture) {
    let ada = somebody("ada");
    let limit = Some(SubjectLimit::new(1, SubjectLimitPolicy::Refuse));
    let first = stores.sign_in(&ada, 1).await;
    let second = stores.session(&ada, 2);
    let created = stores.elsewhere.create(&second, limit).await.expect("create");
    assert_eq!(created, CreateOutcome::LimitReached);
    assert_eq!(stores.renew(&second.key(), 3).await, RenewOutcome::NotFound, "nothing was kept");
    assert!(stores.lives(&first, 3).await);
    stores.end(&first.key(), 3).await;
    let created = stores.elsewhere.create(&second, limit).await.expect("create");
    assert_eq!(created, CreateOutcome::Created { ended: Vec::new() });
}

async fn tenants_are_apart(stores: &Fixture) {
    let ada = somebody("ada");
    let here = stores.sign_in(&ada, 0).await;
    let there = &stores.other_tenant;
    let found = there.load(&[here.key()], stores.at(1)).await.expect("load");
    assert_eq!(found, [None], "a tenant sees its own sessions only");
    there.revoke(&here.key(), stores.ending(1)).await.expect("end");
    let ends = RevokeScope::subject(ada.clone(), stores.at(9), None);
    assert_eq!(there.revoke_many(&ends).await.expect("end_all"), 0);
    assert!(stores.lives(&here, 9).await, "and ends nobody else's");
}

async fn any_subject_will_do(stores: &Fixture) {
    let longest = "x".repeat(Subject::MAX_LENGTH - 23);
    for text in [
        "'; DROP TABLE sessions; --",
        "\"quoted\" \\ and `ticked`",
        "{hash}tag}{",
        "100% *?[a-z]* _",
        "a:b:c|d,e",
        " leading and trailing ",
        "\u{202e}right to left \u{1f468}\u{200d}\u{1f469}",
        "null",
        "\u{fffd}",
        &longest,
    ] {
        let subject = somebody(text);
        let session = stores.sign_in(&subject, 0).await;
        assert!(stores.lives(&session, 1).await, "{text:?}");
        let page = stores.store.list(&subject, stores.at(1), None, 9).await.expect("list");
        assert_eq!(page.sessions.len(), 1, "{text:?}");
        assert_eq!(page.sessions[0].subject, subject, "{text:?} comes back as it was");
        assert_eq!(stores.end_all(&subject, 2, None).await, 1, "{text:?}");
        assert_eq!(stores.renew(&session.key(), 2).await, RenewOutcome::Revoked, "{text:?}");
    }
    // Subjects that a sloppy comparison takes for one.
    let (lower, upper) = (somebody("case"), somebody("CASE"));
    let same = Subject::new(lower.as_str().to_uppercase()).expect("a subject");
    let padded = Subject::new(format!("{lower} ")).expect("a subject");
    let session = stores.sign_in(&lower, 0).await;
    for other in [upper, same, padded] {
        assert_eq!(stores.end_all(&other, 5, None).await, 0, "{other} is not {lower}");
    }
    assert!(stores.lives(&session, 6).await);
}
