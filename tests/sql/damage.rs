//! Damaged records: they are reported as corrupt and kept unchanged.

use std::time::Duration;

use tower_auth_session::{
    engine::OsRandom,
    store::{
        CreateOutcome, FeedStart, LineageId, LineageRequest, OnCopy, RenewOutcome, RenewRequest,
        Revocation, RevokeScope, SessionKind, SessionRecord, SessionStore, StoreError,
        SubjectLimit, SubjectLimitPolicy,
    },
};

use super::{at, read, renew, revoke, session, sign_in};

/// A database that runs statements and returns the first column of the rows as text.
pub(crate) trait Sql {
    async fn run(&self, statement: String) -> Vec<String>;
}

/// Damages to the row of a session, as assignments.
const DAMAGES: &[&str] = &[
    "status = 3",
    "status = 0",
    "signed_in_at = -1",
    "last_active_at = -1",
    "expires_at = -5",
    "expires_at = 253402300800",
    "lineage_rotated_at = -1",
    "bound_at = -1",
    "bound_at = 1000",
    "bound_key = 'AAAA', bound_at = 1000",
    "device_ip = 'here'",
];

pub(crate) async fn check(store: &dyn SessionStore, sql: &impl Sql) {
    for damage in DAMAGES {
        check_unreadable_row(store, sql, damage).await;
    }
    check_another_subject(store, sql).await;
    check_unreadable_feed_entry(store, sql).await;
}

async fn check_unreadable_row(store: &dyn SessionStore, sql: &impl Sql, damage: &str) {
    let session = sign_in(store).await;
    let id = session.id;
    sql.run(format!("UPDATE auth_sessions SET {damage} WHERE id = '{id}'")).await;
    let row = format!(
        "SELECT id || '/' || status || '/' || signed_in_at || '/' || last_active_at || '/' || \
         CASE WHEN device_ip IS NULL THEN expires_at ELSE 0 END FROM auth_sessions WHERE id = '{id}'"
    );
    let before = sql.run(row.clone()).await;
    let keys = [session.key()];
    let corrupt = |error: Option<StoreError>, operation: &str| {
        assert!(matches!(error, Some(StoreError::Corrupt(_))), "{operation}, {damage}: {error:?}");
    };
    corrupt(store.load(&keys, at(1_500)).await.err(), "load");
    if !damage.starts_with("device_ip") {
        corrupt(renew(store, &session).await.err(), "renew");
    }
    corrupt(store.list(&session.subject, at(1_500), None, 9).await.err(), "list");
    let created = store.create(&session, None).await;
    assert!(matches!(created, Err(StoreError::Conflict)), "{damage}: {created:?}");
    let limit = SubjectLimit::new(1, SubjectLimitPolicy::EndOldest);
    let mut next = super::session();
    next.subject = session.subject.clone();
    corrupt(store.create(&next, Some(limit)).await.err(), "create with a limit");
    assert_eq!(sql.run(row).await, before, "{damage}");
}

async fn check_another_subject(store: &dyn SessionStore, sql: &impl Sql) {
    let session = sign_in(store).await;
    for subject in ["another user", ""] {
        let id = session.id;
        sql.run(format!("UPDATE auth_sessions SET subject = '{subject}' WHERE id = '{id}'")).await;
        let renewed = renew(store, &session).await;
        assert!(matches!(renewed, Err(StoreError::Corrupt(_))), "{renewed:?}");
        let ended = store.revoke(&session.key(), super::Revoke::new(at(1_500), at(2_500))).await;
        assert!(matches!(ended, Err(StoreError::Corrupt(_))), "{ended:?}");
    }
    // A row with an unknown status is not revoked with the others, and cannot be renewed.
    let other = sign_in(store).await;
    sql.run(format!("UPDATE auth_sessions SET status = 7 WHERE id = '{}'", other.id)).await;
    let scope = RevokeScope::subject(other.subject.clone(), at(1_500), None);
    assert_eq!(store.revoke_many(&scope).await.unwrap(), 0);
    assert!(matches!(renew(store, &other).await, Err(StoreError::Corrupt(_))));
    while store.delete_expired(at(1_000_000), 100).await.unwrap() == 100 {}
    assert!(matches!(renew(store, &other).await, Err(StoreError::Corrupt(_))), "not deleted");
    sql.run("DELETE FROM auth_sessions WHERE status = 7 OR subject = ''".into()).await;
}

async fn check_unreadable_feed_entry(store: &dyn SessionStore, sql: &impl Sql) {
    let start = read(store, FeedStart::At(at(1_500))).await.position;
    let (one, two) = (sign_in(store).await, sign_in(store).await);
    revoke(store, &one).await;
    revoke(store, &two).await;
    sql.run(format!("UPDATE auth_revocations SET kind = 9 WHERE session_id = '{}'", one.id)).await;
    let page = read(store, FeedStart::After(start)).await;
    assert!(page.has_gap, "an unreadable entry is a gap");
    assert_eq!(page.revocations, [Revocation::Session(two.id)], "the other entry is delivered");
    let page = read(store, FeedStart::After(page.position)).await;
    assert!(!page.has_gap && page.revocations.is_empty());
    sql.run("DELETE FROM auth_revocations WHERE kind = 9".into()).await;
}

/// Old entries of the feed are deleted, and a reader that has not read them gets a gap.
pub(crate) async fn check_trimmed_feed(store: &dyn SessionStore) {
    let start = read(store, FeedStart::At(at(0))).await.position;
    let (one, two) = (session(), session());
    revoke(store, &one).await;
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

/// After a revocation of all sessions, only later sign-ins can be created.
pub(crate) async fn check_revocation_of_all(store: &dyn SessionStore) {
    let (before, mut after) = (sign_in(store).await, session());
    store.revoke_many(&RevokeScope::all(at(1_400), at(1_401))).await.unwrap();
    assert_eq!(renew(store, &before).await.unwrap(), RenewOutcome::Revoked);
    let page = store.list(&before.subject, at(1_500), None, 9).await.unwrap();
    assert_eq!(page.sessions, []);
    let late = store.create(&after, None).await.unwrap();
    assert_eq!(late, CreateOutcome::SubjectRevoked);
    let created = store.create(&before, None).await;
    assert!(matches!(created, Err(StoreError::Conflict)), "{created:?}");
    after.signed_in_at = at(1_401);
    assert!(matches!(store.create(&after, None).await, Ok(CreateOutcome::Created { .. })));
}

/// The future of an operation may be dropped at any await point.
pub(crate) async fn check_dropped_operation(store: &dyn SessionStore) {
    for polls in 0..40 {
        let session = sign_in(store).await;
        let scope = RevokeScope::subject(session.subject.clone(), at(1_001), None);
        let mut ending = store.revoke_many(&scope);
        for _ in 0..polls {
            let poll = futures::poll!(&mut ending);
            if poll.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(ending);
        // The next operation is not part of the dropped transaction.
        let other = sign_in(store).await;
        assert!(matches!(renew(store, &other).await, Ok(RenewOutcome::Active(_))));
        let is_revoked = matches!(renew(store, &session).await, Ok(RenewOutcome::Revoked));
        let page = read(store, FeedStart::At(at(1_001))).await;
        let is_in_feed = page.revocations.contains(&Revocation::subject(
            session.subject.clone(),
            at(1_001),
            None,
        ));
        assert_eq!(is_revoked, is_in_feed, "after {polls} polls");
    }
}

/// A page of the feed is bounded, however many entries there are.
pub(crate) async fn check_pages(store: &dyn SessionStore) {
    let mut from = FeedStart::After(read(store, FeedStart::At(at(0))).await.position);
    let sessions: Vec<_> = (0..1_500).map(|_| session()).collect();
    for session in &sessions {
        revoke(store, session).await;
    }
    let mut delivered = Vec::new();
    loop {
        let page = read(store, from).await;
        assert!(!page.has_gap && page.revocations.len() <= 1_000);
        if page.revocations.is_empty() {
            break;
        }
        delivered.extend(page.revocations);
        from = FeedStart::After(page.position);
    }
    let expected: Vec<_> = sessions.iter().map(|it| Revocation::Session(it.id)).collect();
    assert_eq!(delivered, expected, "each once");
}

/// Tables that were created by hand with the first version of the schema.
pub(crate) async fn check_version_1(store: &dyn SessionStore, migrate: impl AsyncFn()) {
    let create = async |kind| {
        let mut session = session();
        session.kind = kind;
        let created = store.create(&session, None).await.unwrap();
        assert_eq!(created, CreateOutcome::Created { ended: Vec::new() });
        session
    };
    let kind = async |session: &SessionRecord| {
        let found = store.load(&[session.key()], at(1_500)).await.unwrap();
        found[0].as_ref().unwrap().kind
    };
    let before = create(SessionKind::Pending).await;
    assert_eq!(kind(&before).await, SessionKind::Complete, "not recorded");
    renew(store, &before).await.unwrap();
    let lineage = async |session: &SessionRecord| {
        let next = LineageId::generate(&OsRandom::default()).unwrap();
        let request = LineageRequest::new(None, next, Duration::from_secs(30), OnCopy::Alarm);
        let renewal = RenewRequest::new(at(1_500), at(1_500), at(2_500)).with_lineage(request);
        let renewed = store.renew(&session.key(), renewal).await.unwrap();
        let RenewOutcome::Active(record) = renewed else { panic!("{renewed:?}") };
        record.lineage.is_some()
    };
    assert!(!lineage(&before).await, "not recorded");
    migrate().await;
    let after = create(SessionKind::Pending).await;
    assert_eq!(kind(&after).await, SessionKind::Pending);
    assert_eq!(kind(&before).await, SessionKind::Complete);
    assert!(lineage(&before).await && lineage(&after).await);
}
