//! The asynchronous work before a request is handled and before its response is sent: confirming
//! sessions with the store, fetching claims, and recording sign-ins and revocations. The order is
//! fixed: claims are fetched only for active sessions, and a browser receives only sessions that the store
//! has recorded.

use std::sync::Arc;

use crate::{
    engine::{
        event::SessionEvent,
        jar::{Effects as _, SessionJar, driver::PendingRevocation, next_query::NextQuery},
        session::{identity::SessionIdentity, renewal::RenewalDecision},
        sign_in::CommitError,
    },
    middleware::{
        context::{LayerContext, StoreAccess},
        effects::renew::PresentedToken,
        store_client::RetryPolicy,
    },
    store::{
        error::StoreError,
        record::{SessionKey, SessionKind, SessionRecord},
        types::{CreateOutcome, Revoke, RevokeScope, SubjectLimit, SubjectLimitPolicy},
    },
    user_agent,
};

impl<C: Send + Sync + 'static> LayerContext<C> {
    /// Performs the work that does not depend on the response. If anything fails, the sign-in is
    /// withdrawn, so that a response that reports a failure never signs a user in.
    pub(crate) async fn commit(self: Arc<Self>, jar: SessionJar<C>) -> Result<(), CommitError> {
        let (mut sources, mut committed) = (self.sources(), Ok(()));
        // A handler may sign another user in during a query: then the new session is created too.
        while let Some(query) = jar.next_query(sources) {
            let done = match query {
                NextQuery::IssuerKeys(issuer) => {
                    self.fetch_issuer_keys(&jar, issuer).await;
                    Ok(())
                }
                NextQuery::BearerSession(session) => {
                    self.check_bearer_session(&jar, session).await;
                    Ok(())
                }
                NextQuery::Renewal { session, is_due } => self.renew(&jar, &session, is_due).await,
                NextQuery::Claims(session) => self.provide_claims(&jar, &session).await,
                NextQuery::Creation(session) => self.create(&jar, &session).await,
                // A sign-out is reported as done only once the store has recorded it.
                NextQuery::Revocations => self.send_revocations(&jar).await,
            };
            if done.is_err() {
                jar.withdraw_sign_in();
                // The response reports a failure: it need not wait for claims.
                sources.claims = false;
                committed = committed.and(done);
            }
        }
        let abandoned = jar.revoke_abandoned_sign_ins();
        if committed.is_ok() {
            let _ = self.revoke(&abandoned).await;
        }
        committed
    }

    /// Commits, then revokes the sessions that the sign-in replaced.
    pub(crate) async fn finish(self: Arc<Self>, jar: SessionJar<C>) -> Result<(), CommitError> {
        Arc::clone(&self).commit(jar.clone()).await?;
        // The replaced sessions are already revoked in this process and the sign-in is valid, so a
        // store failure does not fail the response. The attempt is awaited: if the request is dropped
        // before, the sign-in has no effect.
        let _ = self.revoke(&jar.revoked_by_sign_in()).await;
        self.enforce_limits(&jar).await;
        Ok(())
    }

    /// Revokes the sessions that exceed the browser's limits. Those that the store does not record keep
    /// their cookies, and a later request tries again.
    pub(crate) async fn enforce_limits(&self, jar: &SessionJar<C>) {
        let Some(store) = &self.store else { return };
        for beyond in jar.sessions_beyond_limits() {
            let session = beyond.session.identity.clone();
            if self.revoke_in_store(store, &session).await.is_err() {
                self.engine.emit(&SessionEvent::StoreUnavailable { operation: "end" });
                return;
            }
            jar.evict(beyond, self.clock.now());
            self.acknowledge(store, session.id());
        }
    }

    async fn revoke_in_store(
        &self,
        store: &StoreAccess,
        session: &SessionIdentity,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let key = SessionKey::from(session);
        let ending = Revoke::new(now.timestamp(), self.engine.alive_until(session, now));
        self.call(store, "end", RetryPolicy::Once, |store| store.revoke(&key, ending)).await
    }

    /// Renews `session` in the store. Fails if changes of the application would be lost.
    async fn renew(
        self: &Arc<Self>,
        jar: &SessionJar<C>,
        session: &SessionIdentity,
        is_due: bool,
    ) -> Result<(), CommitError> {
        let Some(store) = &self.store else { return Ok(()) };
        let (activity, now) = (jar.is_activity(), jar.received_at());
        let token = PresentedToken { is_due, user_agent: jar.user_agent().cloned() };
        let decision = self.confirm_renewal(store, session, Some(token), activity, now).await;
        let is_unknown = matches!(decision, RenewalDecision::Unavailable { .. });
        let was_changed = jar.has_changed_claims(session.id());
        jar.handle_renewal(session.id(), decision);
        let is_lost = is_unknown && was_changed && !jar.has_changed_claims(session.id());
        if is_lost { Err(CommitError::StoreUnavailable) } else { Ok(()) }
    }

    async fn create(
        &self,
        jar: &SessionJar<C>,
        session: &SessionIdentity,
    ) -> Result<(), CommitError> {
        let Some(store) = &self.store else { return Ok(()) };
        self.engine.check_background();
        let mut record = SessionRecord::new(
            session.id(),
            session.subject().clone(),
            session.signed_in_at(),
            session.expires_at(),
        );
        if session.is_pending() {
            record.kind = SessionKind::Pending;
        }
        record.device = jar.device(user_agent::label);
        record.replaces = jar.replaces();
        let mut guard = CreateGuard { context: self, session: Some(session) };
        let now = self.clock.now().timestamp();
        let is_counted = |it: &SessionIdentity| {
            it.subject() == session.subject() && it.is_pending() == session.is_pending()
        };
        let mut replaced = jar.revoked_by_sign_in();
        replaced.retain(|it| is_counted(it) && now < it.expires_at());
        // The replaced session is not counted, and must stay active until the store has replaced it.
        replaced.retain(|it| Some(it.id()) != record.replaces);
        let limit = self.policy.limit.map(|limit| match limit.policy {
            // Sessions that the sign-in replaces are evicted before any older session.
            SubjectLimitPolicy::EndOldest => {
                SubjectLimit::new(limit.max.saturating_add(replaced.len()), limit.policy)
            }
            SubjectLimitPolicy::Refuse => limit,
        });
        let create =
            || self.call(store, "create", RetryPolicy::Never, |store| store.create(&record, limit));
        let mut created = create().await;
        // With a limit of one, revoke the replaced session first and create again: concurrent sign-ins
        // then never exceed the limit.
        if matches!(created, Ok(CreateOutcome::LimitReached))
            && !replaced.is_empty()
            && self.revoke(&replaced).await
        {
            created = create().await;
            if !matches!(created, Ok(CreateOutcome::Created { .. })) {
                replaced.iter().for_each(|session| jar.mark_revoked(session.id()));
            }
        }
        if let (Ok(CreateOutcome::ReplacedSessionGone), Some(pending)) = (&created, record.replaces)
        {
            jar.mark_revoked(pending);
        }
        if matches!(created, Ok(_) | Err(StoreError::Conflict)) {
            guard.session = None;
        }
        match created {
            Ok(CreateOutcome::Created { ended }) => {
                let now = self.clock.now();
                for id in ended {
                    self.engine.apply_revocation(id, self.max_staleness(), now);
                }
                jar.handle_created(session);
                Ok(())
            }
            Ok(CreateOutcome::LimitReached) => Err(CommitError::TooManySessions),
            Ok(CreateOutcome::SubjectRevoked | CreateOutcome::ReplacedSessionGone) => {
                Err(CommitError::RevokedDuringSignIn)
            }
            Err(_) => {
                self.engine.emit(&SessionEvent::StoreUnavailable { operation: "create" });
                Err(CommitError::StoreUnavailable)
            }
        }
    }

    async fn send_revocations(&self, jar: &SessionJar<C>) -> Result<(), CommitError> {
        let Some(store) = &self.store else { return Ok(()) };
        let (mut sessions, mut subjects) = (Vec::new(), Vec::new());
        for revocation in jar.take_revocations() {
            match revocation {
                PendingRevocation::Session(session) => sessions.push(session),
                PendingRevocation::Subject(subject) => subjects.push(subject),
            }
        }
        let mut acknowledged = self.revoke(&sessions).await;
        for subject in subjects {
            let scope = RevokeScope::subject(subject, self.clock.now().timestamp(), None);
            acknowledged &= self.revoke_many(store, &scope).await.is_ok();
        }
        if acknowledged { Ok(()) } else { Err(CommitError::StoreUnavailable) }
    }

    /// Revokes the sessions of `scope` in the store; in this process, those that the store revoked.
    pub(crate) async fn revoke_many(
        &self,
        store: &StoreAccess,
        scope: &RevokeScope,
    ) -> Result<u64, StoreError> {
        let ended = self
            .call(store, "end_all", RetryPolicy::Once, |store| store.revoke_many(scope))
            .await?;
        self.apply_own_revocations(store, scope).await;
        self.acknowledge_many(store, scope);
        Ok(ended)
    }

    /// Revokes `sessions` in the store. Returns whether it acknowledged all; the others are queued.
    pub(super) async fn revoke(&self, sessions: &[SessionIdentity]) -> bool {
        let Some(store) = &self.store else { return true };
        let (mut acknowledged, mut store_down) = (true, false);
        for session in sessions {
            let now = self.clock.now();
            let ended = if store_down {
                // The request does not wait for one timeout per session.
                Err(StoreError::unavailable("the store was unavailable for the previous session"))
            } else {
                self.revoke_in_store(store, session).await
            };
            match ended {
                Ok(()) => self.acknowledge(store, session.id()),
                Err(error) => {
                    (acknowledged, store_down) =
                        (false, matches!(error, StoreError::Unavailable(_)));
                    self.ended(session, now);
                    let session_id = session.id();
                    self.engine.emit(&SessionEvent::RevocationDeferred { session_id });
                }
            }
        }
        acknowledged
    }

    /// The longest time for which any node accepts a token of a revoked session without the store.
    pub(crate) fn max_staleness(&self) -> std::time::Duration {
        self.engine.max_staleness().saturating_add(self.policy.grace)
    }
}

/// Revokes a session whose creation has an unknown outcome: its token is never sent to a browser.
struct CreateGuard<'a, C: Send + Sync + 'static> {
    context: &'a LayerContext<C>,
    session: Option<&'a SessionIdentity>,
}

impl<C: Send + Sync + 'static> Drop for CreateGuard<'_, C> {
    fn drop(&mut self) {
        if let Some(session) = self.session {
            self.context.ended(session, self.context.clock.now());
        }
    }
}
