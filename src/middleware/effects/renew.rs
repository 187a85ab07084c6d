//! Confirms that sessions are active: from a recent store response, else by querying the store.

use std::sync::Arc;

use crate::{
    engine::{
        event::SessionEvent,
        jar::{SessionJar, store_sync::RenewalDecision},
        logging,
        session::identity::SessionIdentity,
    },
    middleware::{
        context::{LayerContext, StoreAccess},
        store_client::{
            RetryPolicy,
            renewal_cache::{ConfirmedRenewal, RenewalResult},
        },
    },
    store::{
        error::StoreError,
        record::SessionKey,
        types::{RenewOutcome, RenewRequest},
    },
    time::Timestamp,
};

impl<C: Send + Sync + 'static> LayerContext<C> {
    /// Confirms that `session`, with the times of its next token, is active: from the renewal cache or by
    /// querying the store.
    pub(crate) async fn confirm_renewal(
        &self,
        store: &StoreAccess,
        session: &SessionIdentity,
        activity: bool,
        now: Timestamp,
    ) -> RenewalDecision {
        let is_fresh = |known: &ConfirmedRenewal| {
            let ConfirmedRenewal { asked_at, last_active_at } = *known;
            self.engine.is_fresh_at(session, asked_at, last_active_at, activity, now)
        };
        let active = |ConfirmedRenewal { asked_at, last_active_at }| RenewalDecision::Active {
            asked_at,
            last_active_at,
        };
        // A coalesced background request may have recorded no activity: then query once more.
        let mut known = None;
        for _ in 0..2 {
            // Read before the query: what is missed meanwhile discards its result.
            let generation = self.engine.generation();
            let remembered = store.renewal_cache.remembered(session.id(), generation);
            if let Some(known) = remembered.filter(is_fresh) {
                return active(known);
            }
            let ask = || self.renewal(store, session.clone());
            match store.renewal_cache.get_or_fetch(session.id(), generation, ask).await {
                RenewalResult::Active(news) if is_fresh(&news) => return active(news),
                RenewalResult::Active(news) => known = Some(news),
                RenewalResult::Revoked => return RenewalDecision::Revoked,
                RenewalResult::Unavailable => break,
            }
        }
        if let Some(known) = known {
            return active(known);
        }
        self.engine.emit(&SessionEvent::StoreUnavailable { operation: "renew" });
        RenewalDecision::Unavailable { grace: self.policy.grace }
    }

    /// Renews the session in the store, for all waiting requests.
    fn renewal(
        &self,
        store: &StoreAccess,
        session: SessionIdentity,
    ) -> impl Future<Output = RenewalResult> + Send + 'static + use<C> {
        let (store, clock, deadline) =
            (store.clone(), Arc::clone(&self.clock), self.policy.deadline);
        self.engine.check_background();
        async move {
            let key = SessionKey::from(&session);
            let (asked_at, last_active_at) = (session.issued_at(), session.last_active_at());
            let renewal = RenewRequest::new(asked_at, last_active_at, session.expires_at());
            let client = &store.client;
            let outcome = client
                .call("renew", RetryPolicy::Once, deadline, &*clock, |store| {
                    store.renew(&key, renewal)
                })
                .await;
            match outcome {
                Ok(RenewOutcome::Active(record)) if record.key() != key => {
                    report_corrupt("renew");
                    RenewalResult::Unavailable
                }
                Ok(RenewOutcome::Active(record)) => {
                    let last_active_at = record.last_active_at;
                    RenewalResult::Active(ConfirmedRenewal { asked_at, last_active_at })
                }
                Ok(RenewOutcome::Revoked | RenewOutcome::Expired | RenewOutcome::NotFound) => {
                    RenewalResult::Revoked
                }
                Err(_) => RenewalResult::Unavailable,
            }
        }
    }

    /// Checks the accounts of `jar` whose tokens are due for renewal, and marks revoked ones. If the
    /// store does not respond, nothing changes.
    pub(crate) async fn verify_accounts(self: Arc<Self>, jar: SessionJar<C>) {
        let Some(store) = &self.store else { return };
        let now = jar.received_at();
        let generation = self.engine.generation();
        let is_fresh = |session: &SessionIdentity| {
            store.renewal_cache.remembered(session.id(), generation).is_none_or(|known| {
                let ConfirmedRenewal { asked_at, last_active_at } = known;
                !self.engine.is_fresh_at(session, asked_at, last_active_at, false, now)
            })
        };
        let mut sessions = jar.accounts_to_verify();
        sessions.retain(is_fresh);
        if sessions.is_empty() {
            return;
        }
        let keys: Vec<_> = sessions.iter().map(SessionKey::from).collect();
        let client = &store.client;
        let found = client
            .call("load", RetryPolicy::Once, self.policy.deadline, &*self.clock, |store| {
                store.load(&keys, now)
            })
            .await;
        match found {
            Ok(found) if found.len() == keys.len() => {
                for (key, found) in keys.iter().zip(found) {
                    match found {
                        None => jar.mark_revoked(key.id),
                        Some(record) if record.key() != *key => report_corrupt("load"),
                        Some(record) => {
                            let last_active_at = record.last_active_at;
                            let confirmed = ConfirmedRenewal { asked_at: now, last_active_at };
                            store.renewal_cache.remember(key.id, confirmed, generation);
                        }
                    }
                }
            }
            _ => self.engine.emit(&SessionEvent::StoreUnavailable { operation: "load" }),
        }
    }
}

/// Reports a record of another session, which must be ignored.
pub(crate) fn report_corrupt(operation: &'static str) {
    logging::store_failed(operation, &StoreError::Corrupt("the record is of another session"));
}

impl<C: Send + Sync + 'static> LayerContext<C> {
    /// Confirms the session of a bearer token where the revocation list does not reach back to the
    /// token's issue. This is not a renewal: a bearer token does not extend its session.
    pub(crate) async fn check_bearer_session(&self, jar: &SessionJar<C>) {
        let (Some(store), Some(session)) = (&self.store, jar.bearer_to_confirm()) else { return };
        let (id, now) = (session.id(), jar.received_at());
        let generation = self.engine.generation();
        // While the feed is being read, an earlier confirmation does not count.
        let is_fresh = |known: ConfirmedRenewal| {
            self.engine.trusts(known.asked_at) && self.engine.is_fresh(known.asked_at, now)
        };
        let remembered = store.renewal_cache.remembered(id, generation);
        let active = if remembered.is_some_and(is_fresh) {
            Some(true)
        } else {
            match store
                .renewal_cache
                .get_or_fetch(id, generation, || self.load_session(store, &session, now))
                .await
            {
                RenewalResult::Active(_) => Some(true),
                RenewalResult::Revoked => Some(false),
                RenewalResult::Unavailable => {
                    self.engine.emit(&SessionEvent::StoreUnavailable { operation: "load" });
                    self.is_in_grace(&session, now).then_some(true)
                }
            }
        };
        jar.answer_bearer(id, active);
    }

    /// Whether a due token is accepted while the store is unavailable. A token from before a gap in the
    /// feed is not.
    fn is_in_grace(&self, session: &SessionIdentity, now: Timestamp) -> bool {
        let grace = self.policy.grace;
        self.engine.trusts(session.issued_at())
            && self.engine.is_fresh(session.issued_at().saturating_add(grace), now)
    }

    /// Loads the session from the store, for all waiting requests.
    fn load_session(
        &self,
        store: &StoreAccess,
        session: &SessionIdentity,
        now: Timestamp,
    ) -> impl Future<Output = RenewalResult> + Send + 'static + use<C> {
        let (store, clock, deadline) =
            (store.clone(), Arc::clone(&self.clock), self.policy.deadline);
        let keys = [SessionKey::from(session)];
        async move {
            let client = &store.client;
            let found = client
                .call("load", RetryPolicy::Once, deadline, &*clock, |store| store.load(&keys, now))
                .await;
            match found.as_deref() {
                Ok([None]) => RenewalResult::Revoked,
                Ok([Some(record)]) if keys == [record.key()] => {
                    let last_active_at = record.last_active_at;
                    RenewalResult::Active(ConfirmedRenewal { asked_at: now, last_active_at })
                }
                Ok(_) => {
                    report_corrupt("load");
                    RenewalResult::Unavailable
                }
                Err(_) => RenewalResult::Unavailable,
            }
        }
    }
}
