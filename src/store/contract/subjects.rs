//! Lists, limits and tenants, and subjects with special characters.

use super::fixture::{Fixture, new_subject};
use crate::{
    engine::session::id::Subject,
    store::{
        record::{SessionKind, SessionRecord},
        types::{CreateOutcome, RenewOutcome, RevokeScope, SubjectLimit, SubjectLimitPolicy},
    },
};

pub(super) async fn check(stores: &Fixture) {
    list_returns_every_session_once_on_pages_of_any_size(stores).await;
    limit_can_revoke_the_oldest_session(stores).await;
    limit_can_reject_a_new_session(stores).await;
    pending_sessions_take_only_places_of_pending_ones(stores).await;
    tenants_share_no_sessions(stores).await;
    subject_of_any_characters_is_stored_unchanged(stores).await;
}

async fn list_returns_every_session_once_on_pages_of_any_size(stores: &Fixture) {
    let ada = new_subject("ada");
    let mut sessions = Vec::new();
    for at in [5, 3, 3, 3, 9, 1, 7] {
        sessions.push(stores.sign_in(&ada, at).await);
    }
    let ended = stores.sign_in(&ada, 4).await;
    stores.revoke(&ended.key(), 10).await;
    sessions.sort_by_key(|session| std::cmp::Reverse((session.signed_in_at, session.id)));
    for limit in [1, 2, 3, 7, 8] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let now = stores.at(10);
            let page = stores.other_node.list(&ada, now, after, limit).await.expect("list");
            assert!(page.sessions.len() <= limit, "a page has a limit");
            found.extend(page.sessions);
            after = page.next;
            if after.is_none() {
                break;
            }
            assert!(found.len() < 100, "the last page has no cursor");
        }
        assert_eq!(found, sessions, "each session once, the newest first, {limit} a page");
    }
}

async fn limit_can_revoke_the_oldest_session(stores: &Fixture) {
    let ada = new_subject("ada");
    let limit = Some(SubjectLimit::new(2, SubjectLimitPolicy::EndOldest));
    let (first, second) = (stores.sign_in(&ada, 1).await, stores.sign_in(&ada, 2).await);
    let third = stores.session(&ada, 3);
    let created = stores.other_node.create(&third, limit).await.expect("create");
    assert_eq!(created, CreateOutcome::Created { ended: vec![first.id] });
    assert_eq!(stores.renew(&first.key(), 4).await, RenewOutcome::Revoked);
    assert!(stores.is_active(&second, 4).await && stores.is_active(&third, 4).await);
    // An expired session does not count towards the limit.
    let fourth = stores.session(&ada, 5_000);
    let created = stores.store.create(&fourth, limit).await.expect("create");
    assert_eq!(created, CreateOutcome::Created { ended: Vec::new() });
    let one = Some(SubjectLimit::new(1, SubjectLimitPolicy::EndOldest));
    let fifth = stores.session(&ada, 5_001);
    let created = stores.store.create(&fifth, one).await.expect("create");
    assert_eq!(
        created,
        CreateOutcome::Created { ended: vec![fourth.id] },
        "a lower limit revokes the oldest"
    );
}

async fn limit_can_reject_a_new_session(stores: &Fixture) {
    let ada = new_subject("ada");
    let limit = Some(SubjectLimit::new(1, SubjectLimitPolicy::Refuse));
    let first = stores.sign_in(&ada, 1).await;
    let second = stores.session(&ada, 2);
    let created = stores.other_node.create(&second, limit).await.expect("create");
    assert_eq!(created, CreateOutcome::LimitReached);
    assert_eq!(
        stores.renew(&second.key(), 3).await,
        RenewOutcome::NotFound,
        "a rejected session is not stored"
    );
    assert!(stores.is_active(&first, 3).await);
    stores.revoke(&first.key(), 3).await;
    let created = stores.other_node.create(&second, limit).await.expect("create");
    assert_eq!(created, CreateOutcome::Created { ended: Vec::new() });
}

async fn pending_sessions_take_only_places_of_pending_ones(stores: &Fixture) {
    for policy in [SubjectLimitPolicy::EndOldest, SubjectLimitPolicy::Refuse] {
        let ada = new_subject("ada");
        let limit = Some(SubjectLimit::new(2, policy));
        let complete = [stores.sign_in(&ada, 1).await, stores.sign_in(&ada, 2).await];
        let mut pending = Vec::new();
        for n in 0..3 {
            let mut session = stores.session(&ada, 3 + n);
            session.kind = SessionKind::Pending;
            let created = stores.other_node.create(&session, limit).await.expect("create");
            let oldest = (n == 2).then(|| pending.first().map(|it: &SessionRecord| it.id));
            let ended = oldest.flatten().into_iter().collect();
            assert_eq!(created, CreateOutcome::Created { ended }, "{policy:?} {n}");
            pending.push(session);
        }
        for session in complete.iter().chain(&pending[1..]) {
            assert!(stores.is_active(session, 6).await, "{policy:?}");
        }
        let found = stores.store.load(&[pending[2].key()], stores.at(5)).await.expect("load");
        let kinds: Vec<_> = found.into_iter().flatten().map(|it| it.kind).collect();
        assert_eq!(kinds, [SessionKind::Pending], "the kind is read as it was created");
        // The activation of a pending session counts among the complete ones.
        let mut activated = stores.session(&ada, 7);
        activated.replaces = Some(pending[1].id);
        let created = stores.store.create(&activated, limit).await.expect("create");
        let expected = match policy {
            SubjectLimitPolicy::EndOldest => CreateOutcome::Created { ended: vec![complete[0].id] },
            SubjectLimitPolicy::Refuse => CreateOutcome::LimitReached,
        };
        assert_eq!(created, expected);
        assert!(stores.is_active(&pending[2], 8).await, "{policy:?}");
    }
}

async fn tenants_share_no_sessions(stores: &Fixture) {
    let ada = new_subject("ada");
    let session = stores.sign_in(&ada, 0).await;
    let other = &stores.other_tenant;
    let found = other.load(&[session.key()], stores.at(1)).await.expect("load");
    assert_eq!(found, [None], "a tenant loads its own sessions only");
    other.revoke(&session.key(), stores.revocation(1)).await.expect("revoke");
    let scope = RevokeScope::subject(ada.clone(), stores.at(9), None);
    assert_eq!(other.revoke_many(&scope).await.expect("revoke_many"), 0);
    assert!(stores.is_active(&session, 9).await, "and revokes its own sessions only");
}

async fn subject_of_any_characters_is_stored_unchanged(stores: &Fixture) {
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
        let subject = new_subject(text);
        let session = stores.sign_in(&subject, 0).await;
        assert!(stores.is_active(&session, 1).await, "{text:?}");
        let page = stores.store.list(&subject, stores.at(1), None, 9).await.expect("list");
        assert_eq!(page.sessions.len(), 1, "{text:?}");
        assert_eq!(page.sessions[0].subject, subject, "{text:?} is stored unchanged");
        assert_eq!(stores.revoke_all(&subject, 2, None).await, 1, "{text:?}");
        assert_eq!(stores.renew(&session.key(), 2).await, RenewOutcome::Revoked, "{text:?}");
    }
    // Subjects that differ only in case or in spaces are different.
    let (lower, upper) = (new_subject("case"), new_subject("CASE"));
    let same = Subject::new(lower.as_str().to_uppercase()).expect("a subject");
    let padded = Subject::new(format!("{lower} ")).expect("a subject");
    let session = stores.sign_in(&lower, 0).await;
    for other in [upper, same, padded] {
        assert_eq!(stores.revoke_all(&other, 5, None).await, 0, "{other} is not {lower}");
    }
    assert!(stores.is_active(&session, 6).await);
}
