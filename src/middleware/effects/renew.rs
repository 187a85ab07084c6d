//! Confirms that sessions are active: from a recent store response, else by querying the store.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;

use crate::{
    config::CopiedCookies,
    engine::{
        event::SessionEvent,
        jar::{SessionJar, store_sync::RenewalDecision},
        logging::{self, warnings},
        session::{
            device_key::DeviceBinding,
            identity::SessionIdentity,
            lineage::{LineagePolicy, LineageRequest, LineageVerdict},
        },
        session_engine::SessionEngine,
    },
    middleware::{
        context::{LayerContext, StoreAccess},
        store_client::{
            RetryPolicy,
            outbox::DroppedRevocation,
            renewal_cache::{ComparedToken, ConfirmedRenewal, RenewalResult},
        },
    },
    store::{
        error::StoreError,
        record::{SessionKey, SessionRecord},
        types::{RenewOutcome, RenewRequest, Revoke},
    },
    time::{Clock, Timestamp},
};

/// The token that a request presented for a renewal.
pub(crate) struct PresentedToken {
    pub(crate) is_due: bool,
    pub(crate) user_agent: Option<HeaderValue>,
}

impl<C: Send + Sync + 'static> LayerContext<C> {
    /// Confirms that `session`, with the times of its next token, is active: from the renewal cache or by
    /// querying the store. Compares `token` with the session's lineage, if there is one.
    pub(crate) async fn confirm_renewal(
        &self,
        store: &StoreAccess,
        session: &SessionIdentity,
        token: Option<PresentedToken>,
        activity: bool,
        now: Timestamp,
    ) -> (RenewalDecision, Option<LineageVerdict>) {
        let is_fresh = |known: &ConfirmedRenewal| {
            let ConfirmedRenewal { asked_at, last_active_at, .. } = *known;
            self.engine.is_fresh_at(session, asked_at, last_active_at, activity, now)
        };
        let active = |ConfirmedRenewal { asked_at, last_active_at, .. }, verdict| {
            (RenewalDecision::Active { asked_at, last_active_at }, verdict)
        };
        let policy = token.as_ref().and_then(|_| self.engine.lineage_policy());
        let presented = policy.and_then(|policy| policy.presented(session.lineage()));
        // `None` if only the store can decide about the token.
        let compare = |known: &ConfirmedRenewal, is_response: bool| {
            let (Some(policy), Some(lineage)) = (policy, known.lineage) else { return Some(None) };
            match known.compared.filter(|compared| is_response && compared.id == presented) {
                Some(compared) => Some(Some(compared.verdict)),
                None => lineage.remembered_verdict(presented, policy.grace, now).map(Some),
            }
        };
        // A coalesced request may have recorded no activity, or compared another token: then query once
        // more.
        let mut known = None;
        for _ in 0..2 {
            // Read before the query: what is missed meanwhile discards its result.
            let generation = self.engine.generation();
            let remembered = store.renewal_cache.remembered(session.into(), generation);
            if let Some(remembered) = remembered.filter(is_fresh)
                && let Some(verdict) = compare(&remembered, false)
            {
                return active(remembered, verdict);
            }
            let ask = || self.renewal(store, session.clone(), token.as_ref());
            match store.renewal_cache.get_or_fetch(session.into(), generation, ask).await {
                RenewalResult::Active(news) => {
                    if is_fresh(&news)
                        && let Some(verdict) = compare(&news, true)
                    {
                        return active(news, verdict);
                    }
                    known = Some(news);
                }
                RenewalResult::KeyMismatch(DeviceBinding { key, bound_at }) => {
                    self.engine.bind_session(session.id(), key, bound_at);
                    return (RenewalDecision::KeyMismatch { bound_at }, None);
                }
                RenewalResult::Revoked => return (RenewalDecision::Revoked, None),
                RenewalResult::Unavailable => break,
            }
        }
        if let Some(known) = known {
            return active(known, compare(&known, true).unwrap_or(Some(LineageVerdict::Wait)));
        }
        self.engine.emit(&SessionEvent::StoreUnavailable { operation: "renew" });
        (RenewalDecision::Unavailable { grace: self.policy.grace }, None)
    }

    /// Renews the session in the store, for all waiting requests.
    fn renewal(
        &self,
        store: &StoreAccess,
        session: SessionIdentity,
        token: Option<&PresentedToken>,
    ) -> impl Future<Output = RenewalResult> + Send + 'static + use<C> {
        let (store, clock, deadline) =
            (store.clone(), Arc::clone(&self.clock), self.policy.deadline);
        self.engine.check_background();
        let policy = self.engine.lineage_policy();
        let lineage = token.zip(policy).and_then(|(token, policy)| {
            let next = self.engine.new_lineage_id()?;
            Some(policy.request(session.lineage(), token.is_due, next))
        });
        let user_agent = token.and_then(|token| token.user_agent.clone());
        let engine = self.engine.clone();
        async move {
            let key = SessionKey::from(&session);
            let (asked_at, last_active_at) = (session.issued_at(), session.last_active_at());
            let mut renewal = RenewRequest::new(asked_at, last_active_at, session.expires_at());
            renewal.lineage = lineage;
            renewal.device_key = session.device_key();
            let client = &store.client;
            let outcome = client
                .call("renew", RetryPolicy::Once, deadline, &*clock, |store| {
                    store.renew(&key, renewal)
                })
                .await;
            match outcome {
                Ok(RenewOutcome::Active(record) | RenewOutcome::KeyMismatch(record))
                    if record.key() != key =>
                {
                    report_corrupt("renew");
                    RenewalResult::Unavailable
                }
                Ok(RenewOutcome::KeyMismatch(SessionRecord { binding: Some(binding), .. })) => {
                    RenewalResult::KeyMismatch(binding)
                }
                Ok(RenewOutcome::Active(record)) => {
                    bind(&engine, &session, &record, client.store().has_outdated_schema());
                    // Only a token that is due starts a lineage.
                    if lineage.is_some_and(|request| request.rotates)
                        && record.lineage.is_none()
                        && !client.store().has_outdated_schema()
                    {
                        warnings::copies_not_detected(engine.logged_warnings());
                    }
                    let compared = compared(&record, lineage.as_ref(), policy, asked_at);
                    if compared.is_some_and(|it| it.verdict.is_new_copy()) {
                        let label = record.device.label.clone();
                        engine.emit_copied_cookie(session.clone(), label, user_agent.as_ref());
                        if engine.copied_cookies() == CopiedCookies::End {
                            revoke_copied(&engine, &store, session, deadline, &*clock).await;
                            return RenewalResult::Revoked;
                        }
                    }
                    RenewalResult::Active(ConfirmedRenewal {
                        asked_at,
                        last_active_at: record.last_active_at,
                        lineage: record.lineage,
                        compared,
                    })
                }
                Ok(
                    RenewOutcome::KeyMismatch(_)
                    | RenewOutcome::Revoked
                    | RenewOutcome::Expired
                    | RenewOutcome::NotFound,
                ) => RenewalResult::Revoked,
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
            store.renewal_cache.remembered(session.into(), generation).is_none_or(|known| {
                let ConfirmedRenewal { asked_at, last_active_at, .. } = known;
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
                for ((session, key), found) in sessions.iter().zip(&keys).zip(found) {
                    match found {
                        None => jar.mark_revoked(key.id),
                        Some(record) if record.key() != *key => report_corrupt("load"),
                        // Found without a comparison of keys: what it confirms does not count for an
                        // unbound token.
                        Some(SessionRecord { binding: Some(binding), .. })
                            if session.device_key() != Some(binding.key) =>
                        {
                            self.engine.bind_session(key.id, binding.key, binding.bound_at);
                            if !self.engine.is_in_flight(binding.bound_at, now) {
                                jar.drop_account(key.id);
                            }
                        }
                        Some(record) => {
                            let confirmed = ConfirmedRenewal::loaded(&record, now);
                            store.renewal_cache.remember(session.into(), confirmed, generation);
                        }
                    }
                }
            }
            _ => self.engine.emit(&SessionEvent::StoreUnavailable { operation: "load" }),
        }
    }
}

/// Binds a session in this process whose token names a device key and that the store has renewed.
fn bind<C>(
    engine: &SessionEngine<C>,
    session: &SessionIdentity,
    record: &SessionRecord,
    is_outdated: bool,
) {
    let Some(key) = session.device_key() else { return };
    if record.binding.is_none() && !is_outdated {
        warnings::bindings_not_recorded(engine.logged_warnings());
    }
    let bound_at = record.binding.map_or_else(|| session.issued_at(), |binding| binding.bound_at);
    engine.bind_session(session.id(), key, bound_at);
}

/// Revokes a session whose cookie was copied. While the store is unavailable, the background task sends
/// the revocation.
async fn revoke_copied<C>(
    engine: &SessionEngine<C>,
    store: &StoreAccess,
    session: SessionIdentity,
    deadline: Duration,
    clock: &dyn Clock,
) {
    let now = clock.now();
    engine.end(&session, now);
    let revoke = Revoke::new(now.timestamp(), engine.alive_until(&session, now));
    let (key, session_id) = (SessionKey::from(&session), session.id());
    let revoked = store
        .client
        .call("end", RetryPolicy::Once, deadline, clock, |store| store.revoke(&key, revoke))
        .await;
    if revoked.is_err() {
        engine.emit(&SessionEvent::RevocationDeferred { session_id });
        if let Some(DroppedRevocation::Session(session_id)) = store.outbox.push(key, revoke) {
            engine.emit(&SessionEvent::RevocationDropped { session_id });
        }
    }
}

/// The token of a renewal, as the store compared it.
fn compared(
    record: &SessionRecord,
    request: Option<&LineageRequest>,
    policy: Option<LineagePolicy>,
    now: Timestamp,
) -> Option<ComparedToken> {
    let (request, policy) = request.zip(policy)?;
    let verdict = record.lineage?.verdict(request, policy.grace, now);
    Some(ComparedToken { id: request.presented, verdict })
}

/// Reports a record of another session, which must be ignored.
pub(crate) fn report_corrupt(operation: &'static str) {
    logging::store_failed(operation, &StoreError::Corrupt("the record is of another session"));
}

impl<C: Send + Sync + 'static> LayerContext<C> {
    /// Confirms the session of a bearer token where the revocation list does not reach back to the
    /// token's issue. This is not a renewal: a bearer token does not extend its session.
    pub(crate) async fn check_bearer_session(&self, jar: &SessionJar<C>, session: SessionIdentity) {
        let Some(store) = &self.store else { return };
        let (id, now) = (session.id(), jar.received_at());
        let generation = self.engine.generation();
        // While the feed is being read, an earlier confirmation does not count.
        let is_fresh = |known: ConfirmedRenewal| {
            // A confirmation from before the wall clock was set back does not count longer for it.
            let is_past = known.asked_at <= now.saturating_add(self.engine.clock_skew());
            is_past
                && self.engine.trusts(known.asked_at)
                && self.engine.is_fresh(known.asked_at, now)
        };
        let remembered = store.renewal_cache.remembered((&session).into(), generation);
        let active = if remembered.is_some_and(is_fresh) {
            Some(true)
        } else {
            match store
                .renewal_cache
                .get_or_fetch((&session).into(), generation, || {
                    self.load_session(store, &session, now)
                })
                .await
            {
                RenewalResult::Active(_) => Some(true),
                // Bearer tokens name no device key, and the session is active.
                RenewalResult::KeyMismatch(DeviceBinding { key, bound_at }) => {
                    self.engine.bind_session(id, key, bound_at);
                    Some(true)
                }
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
                Ok([Some(record)]) if keys == [record.key()] => match record.binding {
                    // Not remembered: it would count for unbound tokens too.
                    Some(binding) => RenewalResult::KeyMismatch(binding),
                    None => RenewalResult::Active(ConfirmedRenewal::loaded(record, now)),
                },
                Ok(_) => {
                    report_corrupt("load");
                    RenewalResult::Unavailable
                }
                Err(_) => RenewalResult::Unavailable,
            }
        }
    }
}
