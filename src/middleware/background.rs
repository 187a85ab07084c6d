//! What goes on beside requests, where there is a store: following what other nodes end, telling the
//! store what it does not know yet, and clearing away what is over.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use super::{
    context::{LayerContext, StoreAccess},
    layer::SessionLayer,
    store_client::{RetryPolicy, outbox::QueuedRevocation},
};
use crate::{
    engine::event::SessionEvent,
    store::{
        error::StoreError,
        feed::{FeedPage, FeedStart, Revocation},
        types::{Revoke, RevokeScope},
    },
    time::Timestamp,
};

/// How long one look at the feed waits for news.
const WAIT: Duration = Duration::from_secs(20);
/// How long nothing is tried after a failure, and how often ends are told again.
const PAUSE: Duration = Duration::from_secs(1);
const CLEAN_UP_EVERY: Duration = Duration::from_secs(60);
const CLEAN_UP_DEADLINE: Duration = Duration::from_secs(30);
/// How many pages of the feed are read after a revocation of many sessions.
const MAX_OWN_PAGES: usize = 20;
/// How many records one call deletes: no call takes long.
const CLEAN_UP_LIMIT: usize = 1_000;

impl<C: Send + Sync + 'static> SessionLayer<C> {
    /// What a layer with a store does beside requests; without one it is done at once. Spawn it
    /// once a process, on the runtime of the service:
    ///
    /// ```
    /// # use tower_auth_session::SessionLayer;
    /// # async fn run(layer: SessionLayer) {
    /// let background = tokio::spawn(layer.background());
    /// // serve …
    /// background.abort();
    /// # }
    /// ```
    ///
    /// It follows the store's revocation feed, so that what ends on another node is over here at
    /// once; tells the store of sign-outs that it could not be told of; and deletes what has run
    /// out. It survives failures of the store, and never ends while there is one. Without it another
    /// node's sign-out is known here when the token is next renewed (`renew_after + clock_skew`, and
    /// the grace of an outage), a sign-out during an outage is known to this process only, and
    /// the store grows.
    ///
    /// From this call until it has read what ended before, every token is confirmed by the store:
    /// a process that starts serves nobody who signed out while it did not run.
    pub fn background(&self) -> impl Future<Output = ()> + Send + 'static + use<C> {
        let context = Arc::clone(self.context());
        context.engine.set_catching_up(context.store.is_some());
        async move {
            let fetches =
                context.fetcher.is_some() && context.engine.remote_issuers().next().is_some();
            if context.fetcher.is_none() {
                // Before a request finds it out.
                context
                    .engine
                    .remote_issuers()
                    .for_each(|issuer| context.report_no_fetcher(issuer));
            }
            let Some(store) = context.store.clone() else {
                if fetches {
                    context.refresh_keys().await;
                }
                return;
            };
            let mut refresh = pin!(context.refresh_keys());
            let mut follow = pin!(context.follow(&store));
            let mut tell = pin!(context.flush_outbox(&store));
            let mut clean = pin!(context.clean_up(&store));
            poll_fn(|cx| {
                // None of them ends.
                let _ = follow.as_mut().poll(cx);
                let _ = tell.as_mut().poll(cx);
                let _ = clean.as_mut().poll(cx);
                if fetches {
                    let _ = refresh.as_mut().poll(cx);
                }
                Poll::<()>::Pending
            })
            .await;
        }
    }
}

impl<C: Send + Sync + 'static> LayerContext<C> {
    async fn follow(&self, store: &StoreAccess) {
        let now = self.clock.now().timestamp().as_unix_seconds();
        let since = now.saturating_sub(self.max_staleness().as_secs());
        let mut from = FeedStart::At(Timestamp::from_unix_seconds(since));
        let (mut is_lost, mut wait) = (false, Duration::ZERO);
        loop {
            let page = store.client.store().poll_revocations(&from, wait);
            match super::timeout::within(WAIT * 2, page).await {
                Some(Ok(page)) => {
                    is_lost = false;
                    from = FeedStart::After(page.position.clone());
                    let is_gap = page.has_gap;
                    let is_all = page.revocations.is_empty() || is_gap;
                    self.apply_page(page);
                    self.engine.mark_feed_read(self.clock.now());
                    if is_all {
                        self.engine.set_catching_up(false);
                        wait = WAIT;
                    }
                    if is_gap {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                failed => {
                    if let Some(Err(error)) = &failed {
                        crate::engine::logging::store_failed("revocations", error);
                    }
                    if !std::mem::replace(&mut is_lost, true) {
                        self.engine.emit(&SessionEvent::RevocationFeedLost);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Applies the revocations of single sessions that the store recorded for `scope` just now: those
    /// that signed in within this very second.
    pub(super) async fn apply_own_revocations(&self, store: &StoreAccess, scope: &RevokeScope) {
        let (RevokeScope::Subject { now, .. } | RevokeScope::All { now, .. }) = scope;
        let mut from = FeedStart::At(*now);
        for _ in 0..MAX_OWN_PAGES {
            let page = store
                .client
                .call(
                    "revocations",
                    RetryPolicy::Once,
                    self.policy.deadline,
                    &*self.clock,
                    |store| store.poll_revocations(&from, Duration::ZERO),
                )
                .await;
            let Ok(mut page) = page else { return };
            if page.revocations.is_empty() {
                return;
            }
            from = FeedStart::After(page.position.clone());
            // Gaps before this second concern the task that follows the feed.
            page.has_gap = false;
            self.apply_page(page);
        }
    }

    fn apply_page(&self, page: FeedPage) {
        let now = self.clock.now();
        let retention = self.max_staleness();
        if page.has_gap {
            self.engine.rely_on_store(now);
            self.engine.emit(&SessionEvent::RevocationFeedLost);
        }
        for revocation in page.revocations {
            match revocation {
                Revocation::Session(id) => self.engine.apply_revocation(id, retention, now),
                Revocation::Subject { subject, signed_in_before, except } => {
                    let retention = self.subject_retention();
                    self.engine.apply_subject_revocation(
                        subject,
                        signed_in_before,
                        except,
                        retention,
                        now,
                    );
                }
                Revocation::All { signed_in_before } => {
                    self.engine.apply_revocation_of_all(signed_in_before);
                }
            }
        }
    }

    async fn flush_outbox(&self, store: &StoreAccess) {
        let mut last = None;
        loop {
            tokio::time::sleep(PAUSE).await;
            // From where it stopped: one that cannot be told holds up no other.
            let mut next = store.outbox.after(last).or_else(|| store.outbox.after(None));
            while let Some((number, end)) = next {
                last = Some(number);
                match self.send_revocation(store, &end).await {
                    Ok(()) => {
                        store.outbox.remove(number);
                        match &end {
                            QueuedRevocation::Session(key, _) => {
                                self.shorten_revocation(store, key.id);
                            }
                            QueuedRevocation::All(ends) => self.shorten_revocation_of_many(ends),
                        }
                    }
                    Err(StoreError::Unavailable(_)) => break,
                    Err(_) => self.drop_unreadable(store, number, &end),
                }
                next = store.outbox.after(last);
            }
        }
    }

    /// An end that the store cannot read: another version of it may, until there is nothing left to
    /// end.
    fn drop_unreadable(&self, store: &StoreAccess, number: u64, end: &QueuedRevocation) {
        let now = self.clock.now().timestamp();
        if let QueuedRevocation::Session(key, ending) = end
            && now >= ending.remember_until
        {
            store.outbox.remove(number);
            self.engine.emit(&SessionEvent::RevocationDropped { session_id: key.id });
        }
    }

    /// Tells it now: who reads the feed from some moment on must not miss it.
    async fn send_revocation(
        &self,
        store: &StoreAccess,
        end: &QueuedRevocation,
    ) -> Result<(), StoreError> {
        let (client, deadline, clock) = (&store.client, self.policy.deadline, &*self.clock);
        let told_at = clock.now().timestamp();
        match end {
            QueuedRevocation::Session(key, ending) => {
                let ending = Revoke::new(told_at, ending.remember_until);
                let call = client.call("end", RetryPolicy::Never, deadline, clock, |store| {
                    store.revoke(key, ending)
                });
                call.await
            }
            QueuedRevocation::All(ends) => {
                let mut ends = ends.clone();
                let (RevokeScope::Subject { now, .. } | RevokeScope::All { now, .. }) = &mut ends;
                *now = told_at;
                let ends = &ends;
                let call = client.call("end_all", RetryPolicy::Never, deadline, clock, |store| {
                    store.revoke_many(ends)
                });
                call.await.map(drop)
            }
        }
    }

    async fn clean_up(&self, store: &StoreAccess) {
        loop {
            tokio::time::sleep(CLEAN_UP_EVERY).await;
            loop {
                let now = self.clock.now().timestamp();
                let deleted = store.client.store().delete_expired(now, CLEAN_UP_LIMIT);
                match super::timeout::within(CLEAN_UP_DEADLINE, deleted).await {
                    // A store that never waits must not keep others from being polled.
                    Some(Ok(deleted)) if deleted >= CLEAN_UP_LIMIT as u64 => {
                        tokio::task::yield_now().await;
                    }
                    Some(Err(error)) => {
                        crate::engine::logging::store_failed("delete_expired", &error);
                        break;
                    }
                    Some(Ok(_)) | None => break,
                }
            }
        }
    }
}
