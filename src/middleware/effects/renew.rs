//! Whether sessions live: by what the store said lately, else by the store.

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
    /// Whether `session`, as it stands in its next token, lives: by what is remembered or by the
    /// store.
    pub(crate) async fn confirm_renewal(
        &self,
        kept: &StoreAccess,
        session: &SessionIdentity,
        activity: bool,
        now: Timestamp,
    ) -> RenewalDecision {
        let is_news = |known: &ConfirmedRenewal| {
            let ConfirmedRenewal { asked_at, last_active_at } = *known;
            self.engine.is_fresh_at(session, asked_at, last_active_at, activity, now)
        };
        let lives = |ConfirmedRenewal { asked_at, last_active_at }| RenewalDecision::Active {
            asked_at,
            last_active_at,
        };
        // Somebody who asked for a background poll may have recorded no activity: then once more.
        let mut known = None;
        for _ in 0..2 {
            let remembered = kept.confirmations.remembered(session.id());
            if let Some(known) = remembered.filter(is_news) {
                return lives(known);
            }
            let ask = || self.renewal(kept, session.clone());
            match kept.confirmations.get_or_fetch(session.id(), ask).await {
                RenewalResult::Lives(news) if is_news(&news) => return lives(news),
                RenewalResult::Lives(news) => known = Some(news),
                RenewalResult::Over => return RenewalDecision::Revoked,
                RenewalResult::Unavailable => break,
            }
        }
        if let Some(known) = known {
            return lives(known);
        }
        self.engine.emit(&SessionEvent::StoreUnavailable { operation: "renew" });
        RenewalDecision::Unavailable { grace: self.terms.grace }
    }

    /// Asks the store, for all who wait.
    fn renewal(
        &self,
        kept: &StoreAccess,
        session: SessionIdentity,
    ) -> impl Future<Output = RenewalResult> + Send + 'static + use<C> {
        let (kept, clock, deadline) = (kept.clone(), Arc::clone(&self.clock), self.terms.deadline);
        async move {
            let key = SessionKey::from(&session);
            let (asked_at, last_active_at) = (session.issued_at(), session.last_active_at());
            let renewal = RenewRequest::new(asked_at, last_active_at, session.expires_at());
            let keeper = &kept.keeper;
            let answer = keeper
                .call("renew", RetryPolicy::Once, deadline, &*clock, |store| {
                    store.renew(&key, renewal)
                })
                .await;
            match answer {
                Ok(RenewOutcome::Active(record)) if record.key() != key => {
                    corrupt("renew");
                    RenewalResult::Unavailable
                }
                Ok(RenewOutcome::Active(record)) => {
                    let last_active_at = record.last_active_at;
                    RenewalResult::Lives(ConfirmedRenewal { asked_at, last_active_at })
                }
                Ok(RenewOutcome::Revoked | RenewOutcome::Expired | RenewOutcome::NotFound) => {
                    RenewalResult::Over
                }
                Err(_) => RenewalResult::Unavailable,
            }
        }
    }

    /// Looks up the other accounts of `jar` whose tokens are due: who is over is not offered. A store
    /// that does not answer changes nothing.
    pub(crate) async fn verify_accounts(self: Arc<Self>, jar: SessionJar<C>) {
        let Some(kept) = &self.kept else { return };
        let now = jar.received_at();
        let is_news = |session: &SessionIdentity| {
            kept.confirmations.remembered(session.id()).is_none_or(|known| {
                let ConfirmedRenewal { asked_at, last_active_at } = known;
                !self.engine.is_fresh_at(session, asked_at, last_active_at, false, now)
            })
        };
        let mut sessions = jar.accounts_to_verify();
        sessions.retain(is_news);
        if sessions.is_empty() {
            return;
        }
        let keys: Vec<_> = sessions.iter().map(SessionKey::from).collect();
        let (keeper, era) = (&kept.keeper, kept.confirmations.era());
        let found = keeper
            .call("load", RetryPolicy::Once, self.terms.deadline, &*self.clock, |store| {
                store.load(&keys, now)
            })
            .await;
        match found {
            Ok(found) if found.len() == keys.len() => {
                for (key, found) in keys.iter().zip(found) {
                    match found {
                        None => jar.mark_revoked(key.id),
                        Some(record) if record.key() != *key => corrupt("load"),
                        Some(record) => {
                            let last_active_at = record.last_active_at;
                            let confirmed = ConfirmedRenewal { asked_at: now, last_active_at };
                            kept.confirmations.remember(key.id, confirmed, era);
                        }
                    }
                }
            }
            _ => self.engine.emit(&SessionEvent::StoreUnavailable { operation: "load" }),
        }
    }
}

/// A record of somebody else's is a fault, and says nothing of anybody.
pub(crate) fn corrupt(operation: &'static str) {
    logging::store_failed(operation, &StoreError::Corrupt("the record is of another session"));
}

impl<C: Send + Sync + 'static> LayerContext<C> {
    /// Asks whether the session of a bearer token lives, where that cannot be known from what ended
    /// since it was made. It is no renewal: a bearer token keeps nobody signed in.
    pub(crate) async fn check_bearer_session(&self, jar: &SessionJar<C>) {
        let (Some(kept), Some(session)) = (&self.kept, jar.bearer_to_confirm()) else { return };
        let (id, now) = (session.id(), jar.received_at());
        // Before the feed is read nothing is remembered long enough.
        let is_news = |known: &ConfirmedRenewal| {
            self.engine.trusts(known.asked_at) && self.engine.is_fresh(known.asked_at, now)
        };
        let lives = if kept.confirmations.remembered(id).is_some_and(|known| is_news(&known)) {
            Some(true)
        } else {
            match kept
                .confirmations
                .get_or_fetch(id, || self.load_session(kept, &session, now))
                .await
            {
                RenewalResult::Lives(_) => Some(true),
                RenewalResult::Over => Some(false),
                RenewalResult::Unavailable => {
                    self.engine.emit(&SessionEvent::StoreUnavailable { operation: "load" });
                    self.is_in_grace(&session, now).then_some(true)
                }
            }
        };
        jar.answer_bearer(id, lives);
    }

    /// Whether a token that is due is believed while the store is away. One of before something was
    /// missed is not.
    fn is_in_grace(&self, session: &SessionIdentity, now: Timestamp) -> bool {
        let grace = self.terms.grace;
        self.engine.trusts(session.issued_at())
            && self.engine.is_fresh(session.issued_at().saturating_add(grace), now)
    }

    /// Asks the store, for all who wait.
    fn load_session(
        &self,
        kept: &StoreAccess,
        session: &SessionIdentity,
        now: Timestamp,
    ) -> impl Future<Output = RenewalResult> + Send + 'static + use<C> {
        let (kept, clock, deadline) = (kept.clone(), Arc::clone(&self.clock), self.terms.deadline);
        let keys = [SessionKey::from(session)];
        async move {
            let keeper = &kept.keeper;
            let found = keeper
                .call("load", RetryPolicy::Once, deadline, &*clock, |store| store.load(&keys, now))
                .await;
            match found.as_deref() {
                Ok([None]) => RenewalResult::Over,
                Ok([Some(record)]) if keys == [record.key()] => {
                    let last_active_at = record.last_active_at;
                    RenewalResult::Lives(ConfirmedRenewal { asked_at: now, last_active_at })
                }
                Ok(_) => {
                    corrupt("load");
                    RenewalResult::Unavailable
                }
                Err(_) => RenewalResult::Unavailable,
            }
        }
    }
}
