//! The revocation feed.

use std::time::Duration;

use super::fixture::{Fixture, LIFETIME, new_subject};
use crate::store::{
    SessionStore,
    feed::{FeedCursor, FeedPage, FeedStart, Revocation},
    types::{RevokeScope, SubjectLimit, SubjectLimitPolicy},
};

/// How long a read waits for a revocation of another node. Only a read without one waits so long.
const WAIT: Duration = Duration::from_secs(20);

pub(super) async fn check(stores: &Fixture) {
    feed_contains_every_revocation(stores).await;
    feed_can_be_read_from_an_instant_or_a_cursor(stores).await;
    waiting_read_returns_at_the_next_revocation(stores).await;
    unknown_cursor_is_a_gap(stores).await;
}

/// Reads until the feed has returned all of `wanted`, and returns the cursor after it.
async fn read_until(
    store: &dyn SessionStore,
    mut from: FeedStart,
    wanted: &[Revocation],
) -> FeedCursor {
    let mut missing: Vec<_> = wanted.to_vec();
    loop {
        let FeedPage { revocations, position, has_gap } =
            store.poll_revocations(&from, WAIT).await.expect("feed");
        assert!(!has_gap, "the feed lost no revocation");
        let is_end = revocations.is_empty();
        missing.retain(|wanted| !revocations.contains(wanted));
        if missing.is_empty() {
            return position;
        }
        assert!(!is_end, "the feed lacks {missing:?}");
        from = FeedStart::After(position);
    }
}

/// The cursor at the end of the feed.
async fn end_of_feed(store: &dyn SessionStore, stores: &Fixture) -> FeedCursor {
    let mut from = FeedStart::At(stores.at(0));
    loop {
        let page = store.poll_revocations(&from, Duration::ZERO).await.expect("feed");
        if page.revocations.is_empty() {
            return page.position;
        }
        from = FeedStart::After(page.position);
    }
}

async fn feed_contains_every_revocation(stores: &Fixture) {
    let (ada, bob) = (new_subject("ada"), new_subject("bob"));
    let start = end_of_feed(&*stores.other_node, stores).await;
    let one = stores.sign_in(&ada, 0).await;
    stores.revoke(&one.key(), 1).await;
    let (two, _three) = (stores.sign_in(&ada, 5).await, stores.sign_in(&ada, 2).await);
    stores.revoke_all(&ada, 5, None).await;
    let limit = Some(SubjectLimit::new(1, SubjectLimitPolicy::EndOldest));
    let oldest = stores.sign_in(&bob, 0).await;
    stores.store.create(&stores.session(&bob, 1), limit).await.expect("create");
    let before = RevokeScope::subject_before(bob.clone(), stores.at(9), stores.at(1));
    stores.store.revoke_many(&before).await.expect("revoke_many");
    let wanted = [
        Revocation::Session(one.id),
        Revocation::subject(ada, stores.at(5), None),
        // It signed in during that second, which the revocation of its subject does not cover.
        Revocation::Session(two.id),
        Revocation::Session(oldest.id),
        Revocation::subject(bob, stores.at(1), None),
    ];
    read_until(&*stores.other_node, FeedStart::After(start), &wanted).await;
}

async fn feed_can_be_read_from_an_instant_or_a_cursor(stores: &Fixture) {
    let ada = new_subject("ada");
    let (one, two) = (stores.sign_in(&ada, 0).await, stores.sign_in(&ada, 0).await);
    stores.revoke(&one.key(), 20).await;
    stores.revoke(&two.key(), 30).await;
    let wanted = [Revocation::Session(one.id), Revocation::Session(two.id)];
    let position = read_until(&*stores.other_node, FeedStart::At(stores.at(20)), &wanted).await;
    // Every node can read from a cursor.
    let after = FeedStart::After(position);
    let three = stores.sign_in(&ada, 0).await;
    stores.revoke(&three.key(), 31).await;
    read_until(&*stores.store, after, &[Revocation::Session(three.id)]).await;
    // Deleting expired sessions keeps the entries of the feed that a node may still need.
    stores.store.delete_expired(stores.at(100), 1).await.expect("delete");
    let wanted = [Revocation::Session(two.id)];
    read_until(&*stores.other_node, FeedStart::At(stores.at(25)), &wanted).await;
}

async fn waiting_read_returns_at_the_next_revocation(stores: &Fixture) {
    let session = stores.sign_in(&new_subject("ada"), 0).await;
    let from = FeedStart::After(end_of_feed(&*stores.other_node, stores).await);
    let other_node = std::sync::Arc::clone(&stores.other_node);
    let wanted = [Revocation::Session(session.id)];
    let reading = tokio::spawn(async move { read_until(&*other_node, from, &wanted).await });
    stores.revoke(&session.key(), 40).await;
    reading.await.expect("the waiting read returns the revocation");
}

async fn unknown_cursor_is_a_gap(stores: &Fixture) {
    for text in ["", "nonsense", "99999999999999999999999999", "9007199254740991", "1-2-3"] {
        let from = FeedStart::After(FeedCursor::new(text));
        let page = stores.store.poll_revocations(&from, Duration::ZERO).await.expect("feed");
        assert!(page.has_gap, "the cursor {text:?} is unknown, so entries may be missing");
        let next = FeedStart::After(page.position);
        let page = stores.store.poll_revocations(&next, Duration::ZERO).await.expect("feed");
        assert!(!page.has_gap, "a read after the gap has no gap");
    }
    let session = stores.sign_in(&new_subject("ada"), LIFETIME).await;
    stores.revoke(&session.key(), LIFETIME).await;
}
