//! The revocation feed.

use std::time::Duration;

use super::fixture::{Fixture, LIFE, somebody};
use crate::store::{
    SessionStore,
    feed::{FeedCursor, FeedPage, FeedStart, Revocation},
    types::{RevokeScope, SubjectLimit, SubjectLimitPolicy},
};

/// Long enough for a notice from another node; only a store that tells nothing waits so long.
const WAIT: Duration = Duration::from_secs(20);

pub(super) async fn check(stores: &Fixture) {
    every_end_is_told(stores).await;
    who_comes_later_catches_up(stores).await;
    a_waiting_node_hears_at_once(stores).await;
    a_place_that_is_none_is_a_gap(stores).await;
}

/// Reads on until everything in `wanted` was told, and gives back where.
async fn hear(store: &dyn SessionStore, mut from: FeedStart, wanted: &[Revocation]) -> FeedCursor {
    let mut left: Vec<_> = wanted.to_vec();
    loop {
        let FeedPage { revocations, position, has_gap } =
            store.poll_revocations(&from, WAIT).await.expect("feed");
        assert!(!has_gap, "nothing was lost");
        let is_over = revocations.is_empty();
        left.retain(|wanted| !revocations.contains(wanted));
        if left.is_empty() {
            return position;
        }
        assert!(!is_over, "never told: {left:?}");
        from = FeedStart::After(position);
    }
}

async fn now(store: &dyn SessionStore, stores: &Fixture) -> FeedCursor {
    let mut from = FeedStart::At(stores.at(0));
    loop {
        let page = store.poll_revocations(&from, Duration::ZERO).await.expect("feed");
        if page.revocations.is_empty() {
            return page.position;
        }
        from = FeedStart::After(page.position);
    }
}

async fn every_end_is_told(stores: &Fixture) {
    let (ada, bob) = (somebody("ada"), somebody("bob"));
    let start = now(&*stores.elsewhere, stores).await;
    let one = stores.sign_in(&ada, 0).await;
    stores.end(&one.key(), 1).await;
    let (two, _three) = (stores.sign_in(&ada, 5).await, stores.sign_in(&ada, 2).await);
    stores.end_all(&ada, 5, None).await;
    let limit = Some(SubjectLimit::new(1, SubjectLimitPolicy::EndOldest));
    let oldest = stores.sign_in(&bob, 0).await;
    stores.store.create(&stores.session(&bob, 1), limit).await.expect("create");
    let before = RevokeScope::subject_before(bob.clone(), stores.at(9), stores.at(1));
    stores.store.revoke_many(&before).await.expect("end_all");
    let wanted = [
        Revocation::Session(one.id),
        Revocation::subject(ada, stores.at(5), None),
        // It signed in at that very second, which the entry of its subject does not cover.
        Revocation::Session(two.id),
        Revocation::Session(oldest.id),
        Revocation::subject(bob, stores.at(1), None),
    ];
    hear(&*stores.elsewhere, FeedStart::After(start), &wanted).await;
}

async fn who_comes_later_catches_up(stores: &Fixture) {
    let ada = somebody("ada");
    let (one, two) = (stores.sign_in(&ada, 0).await, stores.sign_in(&ada, 0).await);
    stores.end(&one.key(), 20).await;
    stores.end(&two.key(), 30).await;
    let wanted = [Revocation::Session(one.id), Revocation::Session(two.id)];
    let position = hear(&*stores.elsewhere, FeedStart::At(stores.at(20)), &wanted).await;
    // A position is good for every node.
    let after = FeedStart::After(position);
    let three = stores.sign_in(&ada, 0).await;
    stores.end(&three.key(), 31).await;
    hear(&*stores.store, after, &[Revocation::Session(three.id)]).await;
    // Deleting what is over takes nothing from the feed that somebody may still need.
    stores.store.delete_expired(stores.at(100), 1).await.expect("delete");
    let wanted = [Revocation::Session(two.id)];
    hear(&*stores.elsewhere, FeedStart::At(stores.at(25)), &wanted).await;
}

async fn a_waiting_node_hears_at_once(stores: &Fixture) {
    let session = stores.sign_in(&somebody("ada"), 0).await;
    let from = FeedStart::After(now(&*stores.elsewhere, stores).await);
    let elsewhere = std::sync::Arc::clone(&stores.elsewhere);
    let wanted = [Revocation::Session(session.id)];
    let listening = tokio::spawn(async move { hear(&*elsewhere, from, &wanted).await });
    stores.end(&session.key(), 40).await;
    listening.await.expect("told while it waited");
}

async fn a_place_that_is_none_is_a_gap(stores: &Fixture) {
    for text in ["", "nonsense", "99999999999999999999999999", "9007199254740991", "1-2-3"] {
        let from = FeedStart::After(FeedCursor::new(text));
        let page = stores.store.poll_revocations(&from, Duration::ZERO).await.expect("feed");
        assert!(page.has_gap, "{text:?} is no place in the feed: who was there missed something");
        let next = FeedStart::After(page.position);
        let page = stores.store.poll_revocations(&next, Duration::ZERO).await.expect("feed");
        assert!(!page.has_gap, "after the gap it goes on");
    }
    let session = stores.sign_in(&somebody("ada"), LIFE).await;
    stores.end(&session.key(), LIFE).await;
}
