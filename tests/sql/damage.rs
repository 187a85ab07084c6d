//! Records that somebody damaged by hand: they are corrupt, and stay as they are.

use std::time::Duration;

use tower_auth_session::store::{
    CreateOutcome, FeedStart, Revocation, RevokeScope, SessionStore, StoreError, SubjectLimit,
    SubjectLimitPolicy,
};

use super::{at, end, read, renew, session, sign_in};

/// A database that takes statements and gives the first column of the rows as text.
pub(crate) trait Sql {
    async fn run(&self, statement: String) -> Vec<String>;
}

/// What is wrong with the row of a session, as an assignment.
const DAMAGES: &[&str] = &[
    "status = 3",
    "status = 0",
    "signed_in_at = -1",
    "last_active_at = -1",
    "expires_at = -5",
    "expires_at = 253402300800",
    "device_ip = 'here'",
];

pub(crate) async fn check(store: &dyn SessionStore, sql: &impl Sql) {
    for damage in DAMAGES {
        what_cannot_be_read_is_corrupt(store, sql, damage).await;
    }
    another_subject_is_corrupt(store, sql).await;
    the_feed_has_a_gap(store, sql).await;
}

async fn what_cannot_be_read_is_corrupt(store: &dyn SessionStore, sql: &impl Sql, damage: &str) {
    let session = sign_in(store).await;
    let id = session.id;
    sql.run(format!("UPDATE auth_sessions SET {damage} WHERE id = '{id}'")).await;
    let row = format!(
        "SELECT id || '/' || status || '/' || signed_in_at || '/' || last_active_at || '/' || \
         CASE WHEN device_ip IS NULL THEN expires_at ELSE 0 END FROM auth_sessions WHERE id = '{id}'"
    );
    let before = sql.run(row.clone()).await;
    let keys = [session.key()];
    let corrupt = |error: Option<StoreError>, what: &str| {
        assert!(matches!(error, Some(StoreError::Corrupt(_))), "{what}, {damage}: {error:?}");
    };
    corrupt(store.load(&keys, at(1_500)).await.err(), "load");
    if !damage.starts_with("device_ip") {
        corrupt(renew(store, &session).await.err(), "renew");
    }
    corrupt(store.list(&session.subject, at(1_500), None, 9).await.err(), "list");
    let taken = store.create(&session, None).await;
    assert!(matches!(taken, Err(StoreError::Conflict)), "{damage}: {taken:?}");
    let limit = SubjectLimit::new(1, SubjectLimitPolicy::EndOldest);
    let mut next = super::session();
    next.subject = session.subject.clone();
    corrupt(store.create(&next, Some(limit)).await.err(), "create with a limit");
    assert_eq!(sql.run(row).await, before, "{damage}");
}

async fn another_subject_is_corrupt(store: &dyn SessionStore, sql: &impl Sql) {
    let session = sign_in(store).await;
    for subject in ["somebody else", ""] {
        let id = session.id;
        sql.run(format!("UPDATE auth_sessions SET subject = '{subject}' WHERE id = '{id}'")).await;
        let renewed = renew(store, &session).await;
        assert!(matches!(renewed, Err(StoreError::Corrupt(_))), "{renewed:?}");
        let ended = store.revoke(&session.key(), super::Revoke::new(at(1_500), at(2_500))).await;
        assert!(matches!(ended, Err(StoreError::Corrupt(_))), "{ended:?}");
    }
    // What has no status that is known is ended neither, and cannot be renewed by that.
    let other = sign_in(store).await;
    sql.run(format!("UPDATE auth_sessions SET status = 7 WHERE id = '{}'", other.id)).await;
    let ends = RevokeScope::subject(other.subject.clone(), at(1_500), None);
    assert_eq!(store.revoke_many(&ends).await.unwrap(), 0);
    assert!(matches!(renew(store, &other).await, Err(StoreError::Corrupt(_))));
    while store.delete_expired(at(1_000_000), 100).await.unwrap() == 100 {}
    assert!(matches!(renew(store, &other).await, Err(StoreError::Corrupt(_))), "not deleted");
    sql.run("DELETE FROM auth_sessions WHERE status = 7 OR subject = ''".into()).await;
}

async fn the_feed_has_a_gap(store: &dyn SessionStore, sql: &impl Sql) {
    let start = read(store, FeedStart::At(at(1_500))).await.position;
    let (one, two) = (sign_in(store).await, sign_in(store).await);
    end(store, &one).await;
    end(store, &two).await;
    sql.run(format!("UPDATE auth_revocations SET kind = 9 WHERE session_id = '{}'", one.id)).await;
    let page = read(store, FeedStart::After(start)).await;
    assert!(page.has_gap, "an entry that cannot be read is lost");
    assert_eq!(page.revocations, [Revocation::Session(two.id)], "the others are not");
    let page = read(store, FeedStart::After(page.position)).await;
    assert!(!page.has_gap && page.revocations.is_empty());
    sql.run("DELETE FROM auth_revocations WHERE kind = 9".into()).await;
}

/// What the feed need not tell any more is deleted, and whoever has not read it learns of that.
pub(crate) async fn a_trimmed_feed_is_a_gap(store: &dyn SessionStore) {
    let start = read(store, FeedStart::At(at(0))).await.position;
    let (one, two) = (session(), session());
    end(store, &one).await;
    let after_one = read(store, FeedStart::After(start.clone())).await.position;
    let ending = super::Revoke::new(at(9_000), at(9_500));
    store.revoke(&two.key(), ending).await.unwrap();
    store.delete_expired(at(9_000), 10).await.unwrap();
    for (from, is_gap) in [
        (FeedStart::After(start), true),
        (FeedStart::At(at(1_500)), true),
        (FeedStart::At(at(1_501)), false),
        (FeedStart::After(after_one), false),
    ] {
        let page = store.poll_revocations(&from, Duration::ZERO).await.unwrap();
        assert_eq!(page.has_gap, is_gap, "{from:?}");
        assert_eq!(page.revocations, [Revocation::Session(two.id)], "{from:?}");
    }
}

/// A session that is created is `Kept`, and `TooOld` or taken after everybody was ended.
pub(crate) async fn everybody_ends(store: &dyn SessionStore) {
    let (before, mut after) = (sign_in(store).await, session());
    store.revoke_many(&RevokeScope::all(at(1_400), at(1_401))).await.unwrap();
    assert_eq!(renew(store, &before).await.unwrap(), super::RenewOutcome::Revoked);
    let page = store.list(&before.subject, at(1_500), None, 9).await.unwrap();
    assert_eq!(page.sessions, []);
    let late = store.create(&after, None).await.unwrap();
    assert_eq!(late, CreateOutcome::SubjectRevoked);
    let taken = store.create(&before, None).await;
    assert!(matches!(taken, Err(StoreError::Conflict)), "{taken:?}");
    after.signed_in_at = at(1_401);
    assert!(matches!(store.create(&after, None).await, Ok(CreateOutcome::Created { .. })));
}

/// The future of an operation may be dropped wherever it is.
pub(crate) async fn dropped_half_way_is_whole_or_nothing(store: &dyn SessionStore) {
    for polls in 0..40 {
        let session = sign_in(store).await;
        let ends = RevokeScope::subject(session.subject.clone(), at(1_001), None);
        let mut ending = store.revoke_many(&ends);
        for _ in 0..polls {
            let poll = futures::poll!(&mut ending);
            if poll.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(ending);
        // Whoever comes next is not in that transaction.
        let other = sign_in(store).await;
        assert!(matches!(renew(store, &other).await, Ok(super::RenewOutcome::Active(_))));
        let is_over = matches!(renew(store, &session).await, Ok(super::RenewOutcome::Revoked));
        let page = read(store, FeedStart::At(at(1_001))).await;
        let is_told = page.revocations.contains(&Revocation::subject(
            session.subject.clone(),
            at(1_001),
            None,
        ));
        assert_eq!(is_over, is_told, "after {polls} polls");
    }
}
