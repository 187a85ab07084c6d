//! The background task of a layer with a store: it follows the revocation feed, sends deferred
//! revocations, and deletes expired records.

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
    engine::{event::SessionEvent, revocation::list::SubjectScope},
    store::{
        error::StoreError,
        feed::{FeedPage, FeedStart, Revocation},
        types::{Revoke, RevokeScope},
    },
    time::Timestamp,
};

/// How long one read of the feed waits for new entries.
const WAIT: Duration = Duration::from_secs(20);
/// How long to pause after a failure, and how often deferred revocations are sent again.
const PAUSE: Duration = Duration::from_secs(1);
const CLEAN_UP_EVERY: Duration = Duration::from_secs(60);
const CLEAN_UP_DEADLINE: Duration = Duration::from_secs(30);
/// How many pages of the feed are read after a revocation of many sessions.
const MAX_OWN_PAGES: usize = 20;
/// How many records one call deletes, so that no call takes long.
const CLEAN_UP_LIMIT: usize = 1_000;

impl<C: Send + Sync + 'static> SessionLayer<C> {
    /// The background task of a layer with a store; without a store it completes at once. Spawn it once
    /// in each process, on the runtime of the service:
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
    /// The task
    ///
    /// * follows the store's revocation feed, so that this process rejects a session at once after another
    ///   process has revoked it. Without the task, it accepts the session until its token is due for renewal
    ///   (`renew_after + clock_skew`, and the grace of an outage);
    /// * sends revocations that could not reach the store. Without the task, only this process applies a
    ///   sign-out that happened during an outage;
    /// * deletes expired records. Without the task, the store grows.
    ///
    /// It continues after failures of the store, and does not complete while there is a store.
    ///
    /// From this call until the earlier revocations have been read, the store confirms every token: a
    /// process that starts accepts no session that was revoked while it did not run.
    pub fn background(&self) -> impl Future<Output = ()> + Send + 'static + use<C> {
        let context = Arc::clone(self.context());
        context.engine.feed_state().set_catching_up(context.store.is_some());
        context.engine.feed_state().set_followed();
        async move {
            let fetches =
                context.fetcher.is_some() && context.engine.remote_issuers().next().is_some();
            if context.fetcher.is_none() {
                // Report it before the first request needs it.
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
            let mut flush = pin!(context.flush_outbox(&store));
            let mut clean = pin!(context.clean_up(&store));
            poll_fn(|cx| {
                // None of these futures completes.
                let _ = follow.as_mut().poll(cx);
                let _ = flush.as_mut().poll(cx);
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
                    self.engine.feed_state().mark_read(self.clock.now());
                    if is_all {
                        self.engine.feed_state().set_catching_up(false);
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

    /// Applies the revocations of the sessions of `scope` that signed in within the current second. The store
    /// has just recorded each of them separately.
    pub(super) async fn apply_own_revocations(&self, store: &StoreAccess, scope: &RevokeScope) {
        let (RevokeScope::Subject { now, .. } | RevokeScope::All { now, .. }) = scope;
        let mut from = FeedStart::At(*now);
        for _ in 0..MAX_OWN_PAGES {
            let page = self
                .call(store, "revocations", RetryPolicy::Once, |store| {
                    store.poll_revocations(&from, Duration::ZERO)
                })
                .await;
            let Ok(mut page) = page else { return };
            if page.revocations.is_empty() {
                return;
            }
            from = FeedStart::After(page.position.clone());
            // The task that follows the feed handles gaps before this second.
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
                        SubjectScope::in_store(&subject),
                        signed_in_before,
                        except,
                        retention,
                        now,
                    );
                }
                Revocation::All { signed_in_before } => {
                    self.engine.revoke_all_before(signed_in_before);
                }
            }
        }
    }

    async fn flush_outbox(&self, store: &StoreAccess) {
        let mut last = None;
        loop {
            tokio::time::sleep(PAUSE).await;
            // Continue where the last pass stopped: a revocation that fails must not block the others.
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

    /// Handles the revocation of a record that the store cannot read. It stays queued until the last token
    /// of the session has expired, because the record may become readable.
    fn drop_unreadable(&self, store: &StoreAccess, number: u64, end: &QueuedRevocation) {
        let now = self.clock.now().timestamp();
        if let QueuedRevocation::Session(key, ending) = end
            && now >= ending.remember_until
        {
            store.outbox.remove(number);
            self.engine.emit(&SessionEvent::RevocationDropped { session_id: key.id });
        }
    }

    /// Sends the revocation with the current time, so that processes that read the feed from a later instant
    /// than the sign-out do not miss it.
    async fn send_revocation(
        &self,
        store: &StoreAccess,
        end: &QueuedRevocation,
    ) -> Result<(), StoreError> {
        let sent_at = self.clock.now().timestamp();
        match end {
            QueuedRevocation::Session(key, ending) => {
                let ending = Revoke::new(sent_at, ending.remember_until);
                self.call(store, "end", RetryPolicy::Never, |store| store.revoke(key, ending)).await
            }
            QueuedRevocation::All(ends) => {
                let mut ends = ends.clone();
                let (RevokeScope::Subject { now, .. } | RevokeScope::All { now, .. }) = &mut ends;
                *now = sent_at;
                let ends = &ends;
                let ended = self
                    .call(store, "end_all", RetryPolicy::Never, |store| store.revoke_many(ends))
                    .await;
                ended.map(drop)
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
                    // A store whose futures are always ready must not keep the other futures from being polled.
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
