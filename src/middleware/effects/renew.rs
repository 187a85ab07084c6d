//! Confirms that sessions are active: from a recent store response, else by querying the store.

use std::sync::Arc;

use http::HeaderValue;

use crate::{
    config::CopiedCookies,
    engine::{
        event::SessionEvent,
        jar::SessionJar,
        logging::warnings,
        session::{
            device_key::DeviceBinding,
            id::SessionId,
            identity::SessionIdentity,
            lineage::{LineagePolicy, LineageRequest, LineageVerdict},
            renewal::{ComparedToken, ConfirmedSession, RenewalDecision},
        },
        session_engine::SessionEngine,
    },
    middleware::{
        context::{LayerContext, StoreAccess, report_corrupt},
        store_client::RetryPolicy,
    },
    store::{
        record::{SessionKey, SessionRecord},
        types::{RenewOutcome, RenewRequest},
    },
    time::Timestamp,
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
        self: &Arc<Self>,
        store: &StoreAccess,
        session: &SessionIdentity,
        token: Option<PresentedToken>,
        activity: bool,
        now: Timestamp,
    ) -> RenewalDecision {
        let is_fresh = |known: &ConfirmedSession| {
            let ConfirmedSession { asked_at, last_active_at, .. } = *known;
            self.engine.is_fresh_at(session, asked_at, last_active_at, activity, now)
        };
        let policy = token.as_ref().and_then(|_| self.engine.lineage_policy());
        let presented = policy.and_then(|policy| policy.presented(session.lineage()));
        // The session with the verdict about this request's token; `None` if only the store can decide.
        let compare = |known: ConfirmedSession, is_response: bool| {
            let (Some(policy), Some(lineage)) = (policy, known.lineage) else {
                return Some(ConfirmedSession { compared: None, ..known });
            };
            if is_response && known.compared.is_some_and(|compared| compared.id == presented) {
                return Some(known);
            }
            let verdict = lineage.remembered_verdict(presented, policy.grace, now)?;
            Some(known.with_verdict(presented, verdict))
        };
        // A coalesced request may have recorded no activity, or compared another token: then query once
        // more.
        let mut known = None;
        for _ in 0..2 {
            // Read before the query: if revocations are missed during the query, its result is discarded.
            let generation = self.engine.feed_state().generation();
            let remembered = store.renewal_cache.remembered(session.into(), generation);
            if let Some(remembered) = remembered.filter(is_fresh)
                && let Some(compared) = compare(remembered, false)
            {
                return RenewalDecision::Active(compared);
            }
            let query = || self.renewal(store, session.clone(), token.as_ref());
            match store.renewal_cache.get_or_fetch(session.into(), generation, query).await {
                Some(RenewalDecision::Active(confirmed)) => {
                    if is_fresh(&confirmed)
                        && let Some(compared) = compare(confirmed, true)
                    {
                        return RenewalDecision::Active(compared);
                    }
                    known = Some(confirmed);
                }
                None | Some(RenewalDecision::Unavailable { .. }) => break,
                Some(decision) => return decision,
            }
        }
        if let Some(known) = known {
            let waits = || known.with_verdict(presented, LineageVerdict::Wait);
            return RenewalDecision::Active(compare(known, true).unwrap_or_else(waits));
        }
        self.engine.emit(&SessionEvent::StoreUnavailable { operation: "renew" });
        self.store_unavailable()
    }

    fn store_unavailable(&self) -> RenewalDecision {
        RenewalDecision::Unavailable { grace: self.policy.grace }
    }

    /// Renews the session in the store, for all waiting requests.
    fn renewal(
        self: &Arc<Self>,
        store: &StoreAccess,
        session: SessionIdentity,
        token: Option<&PresentedToken>,
    ) -> impl Future<Output = RenewalDecision> + Send + 'static + use<C> {
        self.engine.check_background();
        let policy = self.engine.lineage_policy();
        let lineage = token.zip(policy).and_then(|(token, policy)| {
            let next = self.engine.new_lineage_id()?;
            Some(policy.request(session.lineage(), token.is_due, next))
        });
        let user_agent = token.and_then(|token| token.user_agent.clone());
        let (context, store) = (Arc::clone(self), store.clone());
        async move {
            let engine = &context.engine;
            let key = SessionKey::from(&session);
            let asked_at = session.issued_at();
            let mut renewal =
                RenewRequest::new(asked_at, session.last_active_at(), session.expires_at());
            renewal.lineage = lineage;
            renewal.device_key = session.device_key();
            let outcome = context
                .call(&store, "renew", RetryPolicy::Once, |store| store.renew(&key, renewal))
                .await;
            let record = match outcome {
                Ok(RenewOutcome::Active(record) | RenewOutcome::KeyMismatch(record))
                    if record.key() != key =>
                {
                    let _ = report_corrupt("renew");
                    return context.store_unavailable();
                }
                Ok(RenewOutcome::Active(record)) => record,
                Ok(RenewOutcome::KeyMismatch(SessionRecord { binding: Some(binding), .. })) => {
                    return key_mismatch(engine, key.id, binding);
                }
                Ok(
                    RenewOutcome::KeyMismatch(_)
                    | RenewOutcome::Revoked
                    | RenewOutcome::Expired
                    | RenewOutcome::NotFound,
                ) => return RenewalDecision::Revoked,
                Err(_) => return context.store_unavailable(),
            };
            let is_outdated = store.client.store().has_outdated_schema();
            bind(engine, &session, &record, is_outdated);
            // Only a token that is due starts a lineage.
            if lineage.is_some_and(|request| request.rotates)
                && record.lineage.is_none()
                && !is_outdated
            {
                warnings::copies_not_detected(engine.logged_warnings());
            }
            let compared = compared(&record, lineage.as_ref(), policy, asked_at);
            if compared.is_some_and(|it| it.verdict.is_new_copy()) {
                let label = record.device.label.clone();
                engine.emit_copied_cookie(session.clone(), label, user_agent.as_ref());
                if engine.copied_cookies() == CopiedCookies::End {
                    engine.end(&session, context.clock.now());
                    // While the store is unavailable, the background task sends the revocation.
                    context.revoke(&[session]).await;
                    return RenewalDecision::Revoked;
                }
            }
            RenewalDecision::Active(ConfirmedSession { compared, ..confirmed(&record, asked_at) })
        }
    }

    /// Checks the accounts of `jar` whose tokens are due for renewal, and marks revoked ones. If the
    /// store does not respond, nothing changes.
    pub(crate) async fn verify_accounts(self: Arc<Self>, jar: SessionJar<C>) {
        let Some(store) = &self.store else { return };
        let now = jar.received_at();
        let generation = self.engine.feed_state().generation();
        let is_fresh = |session: &SessionIdentity| {
            store.renewal_cache.remembered(session.into(), generation).is_none_or(|known| {
                let ConfirmedSession { asked_at, last_active_at, .. } = known;
                !self.engine.is_fresh_at(session, asked_at, last_active_at, false, now)
            })
        };
        let mut sessions = jar.accounts_to_verify();
        sessions.retain(is_fresh);
        if sessions.is_empty() {
            return;
        }
        let keys: Vec<_> = sessions.iter().map(SessionKey::from).collect();
        let found =
            self.call(store, "load", RetryPolicy::Once, |store| store.load(&keys, now)).await;
        match found {
            Ok(found) if found.len() == keys.len() => {
                for ((session, key), found) in sessions.iter().zip(&keys).zip(found) {
                    match found {
                        None => jar.mark_revoked(key.id),
                        Some(record) if record.key() != *key => drop(report_corrupt("load")),
                        // The device keys were not compared, so the record does not confirm an unbound
                        // token.
                        Some(SessionRecord { binding: Some(binding), .. })
                            if session.device_key() != Some(binding.key) =>
                        {
                            self.engine.bind_session(key.id, binding.key, binding.bound_at);
                            if !self.engine.is_in_flight(binding.bound_at, now) {
                                jar.drop_account(key.id);
                            }
                        }
                        Some(record) => {
                            let confirmed = confirmed(&record, now);
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

/// The decision about a token that lacks the key to which its session is bound.
fn key_mismatch<C>(
    engine: &SessionEngine<C>,
    id: SessionId,
    DeviceBinding { key, bound_at }: DeviceBinding,
) -> RenewalDecision {
    engine.bind_session(id, key, bound_at);
    RenewalDecision::KeyMismatch { bound_at }
}

/// An active session, by its record from a query at `asked_at`.
fn confirmed(record: &SessionRecord, asked_at: Timestamp) -> ConfirmedSession {
    let lineage = record.lineage;
    ConfirmedSession { lineage, ..ConfirmedSession::new(asked_at, record.last_active_at) }
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

impl<C: Send + Sync + 'static> LayerContext<C> {
    /// Confirms the session of a bearer token where the revocation list does not reach back to the
    /// token's issue. This is not a renewal: a bearer token does not extend its session.
    pub(crate) async fn check_bearer_session(
        self: &Arc<Self>,
        jar: &SessionJar<C>,
        session: SessionIdentity,
    ) {
        let Some(store) = &self.store else { return };
        let (id, now) = (session.id(), jar.received_at());
        let generation = self.engine.feed_state().generation();
        // While the feed is being read, an earlier confirmation does not count.
        let is_fresh = |known: ConfirmedSession| {
            // If the wall clock was set back, an earlier confirmation must not count for longer.
            let is_past = known.asked_at <= now.saturating_add(self.engine.clock_skew());
            is_past
                && self.engine.trusts(known.asked_at)
                && self.engine.is_fresh(known.asked_at, now)
        };
        let remembered = store.renewal_cache.remembered((&session).into(), generation);
        let query = || self.load_session(store, &session, now);
        let active = if remembered.is_some_and(is_fresh) {
            Some(true)
        } else {
            match store.renewal_cache.get_or_fetch((&session).into(), generation, query).await {
                // Bearer tokens name no device key, and a bound session is active.
                Some(RenewalDecision::Active(_) | RenewalDecision::KeyMismatch { .. }) => {
                    Some(true)
                }
                Some(RenewalDecision::Revoked) => Some(false),
                None | Some(RenewalDecision::Unavailable { .. }) => {
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
        self: &Arc<Self>,
        store: &StoreAccess,
        session: &SessionIdentity,
        now: Timestamp,
    ) -> impl Future<Output = RenewalDecision> + Send + 'static + use<C> {
        let (context, store) = (Arc::clone(self), store.clone());
        let (key, id) = (SessionKey::from(session), session.id());
        async move {
            match context.load(&store, key, now).await {
                Ok(None) => RenewalDecision::Revoked,
                // The result is not cached: it would count for unbound tokens too.
                Ok(Some(SessionRecord { binding: Some(binding), .. })) => {
                    key_mismatch(&context.engine, id, binding)
                }
                Ok(Some(record)) => RenewalDecision::Active(confirmed(&record, now)),
                Err(_) => context.store_unavailable(),
            }
        }
    }
}
