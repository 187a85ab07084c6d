//! What waits before a request is handled, and before its response goes out: the store's word, the
//! claims source's, and what the store has to be told. In that order, so that nobody's claims are
//! looked up who is signed out, and nothing is said to a browser that the store does not know.

use std::sync::Arc;

use crate::{
    engine::{
        event::SessionEvent,
        jar::{Effects as _, SessionJar, store_sync::RenewalDecision},
        session::{id::Subject, identity::SessionIdentity},
        sign_in::CommitError,
    },
    middleware::{
        context::{LayerContext, StoreAccess},
        store_client::RetryPolicy,
    },
    store::{
        error::StoreError,
        record::{SessionKey, SessionRecord},
        types::{CreateOutcome, Revoke, RevokeScope, SubjectLimit, SubjectLimitPolicy},
    },
    user_agent,
};

impl<C: Send + Sync + 'static> LayerContext<C> {
    /// Does what can be done before a response is known. A sign-in is withdrawn when anything fails:
    /// nobody is signed in by an answer that says that it failed.
    pub(crate) async fn commit(self: Arc<Self>, jar: SessionJar<C>) -> Result<(), CommitError> {
        self.ask_issuers(&jar).await;
        self.check_bearer_session(&jar).await;
        let agreed = self.confirm_and_fetch_claims(&jar).await;
        // Whoever signed out is told so only when the store knows.
        let settled = agreed.and(self.send_revocations(&jar).await);
        if settled.is_err() {
            jar.withdraw_sign_in();
        }
        let orphans = self.revoke_abandoned_sign_ins(&jar);
        if settled.is_ok() {
            let _ = self.end(&orphans).await;
        }
        settled
    }

    /// The same for a response that goes out with it: what a sign-in replaces ends.
    pub(crate) async fn finish(self: Arc<Self>, jar: SessionJar<C>) -> Result<(), CommitError> {
        Arc::clone(&self).commit(jar.clone()).await?;
        // They are over here in any case, and the sign-in is good: who replaced them need not wait
        // until the store can be told. Not before it is tried: a request that is dropped meanwhile
        // has signed nobody in.
        let _ = self.end(&jar.revoked_by_sign_in()).await;
        Ok(())
    }

    /// Sees to it that sign-ins which no response carries end in the store some time.
    pub(crate) fn revoke_abandoned_sign_ins(&self, jar: &SessionJar<C>) -> Vec<SessionIdentity> {
        let orphans = jar.take_abandoned_sign_ins();
        for session in &orphans {
            self.ended(session, self.clock.now());
        }
        orphans
    }

    async fn confirm_and_fetch_claims(&self, jar: &SessionJar<C>) -> Result<(), CommitError> {
        let mut lost = false;
        loop {
            while let (Some(kept), Some(session)) = (&self.kept, jar.renewal_request()) {
                let (activity, now) = (jar.is_activity(), jar.received_at());
                let answer = self.confirm_renewal(kept, &session, activity, now).await;
                let is_unknown = matches!(answer, RenewalDecision::Unavailable { .. });
                lost |= is_unknown && jar.has_changed_claims(session.id());
                jar.handle_renewal(session.id(), answer);
            }
            self.provide_claims(jar).await?;
            if self.kept.is_none() || jar.renewal_request().is_none() {
                break;
            }
        }
        if lost {
            return Err(CommitError::StoreUnavailable);
        }
        // Somebody else may sign in while the store writes: then that is written too.
        while let (Some(kept), Some(session)) = (&self.kept, jar.create_request()) {
            self.create(kept, jar, &session).await?;
        }
        Ok(())
    }

    async fn create(
        &self,
        kept: &StoreAccess,
        jar: &SessionJar<C>,
        session: &SessionIdentity,
    ) -> Result<(), CommitError> {
        let mut record = SessionRecord::new(
            session.id(),
            session.subject().clone(),
            session.signed_in_at(),
            session.expires_at(),
        );
        record.device = jar.device(user_agent::label);
        record.replaces = jar.replaces();
        let mut writing = CreateGuard { wiring: self, session: Some(session) };
        let (keeper, now) = (&kept.keeper, self.clock.now().timestamp());
        let is_counted = |it: &SessionIdentity| it.subject() == session.subject();
        let mut replaced = jar.revoked_by_sign_in();
        replaced.retain(|it| is_counted(it) && now < it.expires_at());
        // Not counted either, and not over before the store has seen that it lives.
        replaced.retain(|it| Some(it.id()) != record.replaces);
        let limit = self.terms.limit.map(|limit| match limit.policy {
            // What ends with the sign-in makes room, before anything older does.
            SubjectLimitPolicy::EndOldest => {
                SubjectLimit::new(limit.max.saturating_add(replaced.len()), limit.policy)
            }
            SubjectLimitPolicy::Refuse => limit,
        });
        let create = || {
            keeper.call("create", RetryPolicy::Never, self.terms.deadline, &*self.clock, |store| {
                store.create(&record, limit)
            })
        };
        let mut created = create().await;
        // Of those who may have one session, it is first when the other one is over: never are there
        // more, whoever signs in meanwhile.
        if matches!(created, Ok(CreateOutcome::LimitReached))
            && !replaced.is_empty()
            && self.end(&replaced).await
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
            writing.session = None;
        }
        match created {
            Ok(CreateOutcome::Created { ended }) => {
                let now = self.clock.now();
                let until = now.timestamp().saturating_add(self.believed_for());
                for id in ended {
                    self.engine.apply_revocation(id, until, now);
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
        let ends = jar.take_revocations();
        let mut is_told = self.end(&ends).await;
        for subject in jar.take_subject_revocations() {
            is_told &= self.end_everywhere(subject).await;
        }
        if is_told { Ok(()) } else { Err(CommitError::StoreUnavailable) }
    }

    async fn end_everywhere(&self, subject: Subject) -> bool {
        let Some(kept) = &self.kept else { return false };
        let ends = RevokeScope::subject(subject, self.clock.now().timestamp(), None);
        let keeper = &kept.keeper;
        let ended = keeper
            .call("end_all", RetryPolicy::Once, self.terms.deadline, &*self.clock, |store| {
                store.revoke_many(&ends)
            })
            .await;
        if ended.is_ok() {
            kept.ends.acknowledge_many(&ends);
            self.apply_own_revocations(kept, &ends).await;
        }
        ended.is_ok()
    }

    /// Tells the store of the end of `sessions`; whether it knows of all. What it cannot be told of
    /// waits.
    async fn end(&self, sessions: &[SessionIdentity]) -> bool {
        let Some(kept) = &self.kept else { return true };
        let (mut is_told, mut is_away) = (true, false);
        for session in sessions {
            let now = self.clock.now();
            let key = SessionKey::from(session);
            let ending = Revoke::new(now.timestamp(), self.engine.alive_until(session, now));
            let keeper = &kept.keeper;
            let ended = if is_away {
                // Nobody waits for each of them.
                Err(StoreError::unavailable("it was away for the one before"))
            } else {
                let call = keeper.call(
                    "end",
                    RetryPolicy::Once,
                    self.terms.deadline,
                    &*self.clock,
                    |store| store.revoke(&key, ending),
                );
                call.await
            };
            match ended {
                Ok(()) => kept.ends.acknowledge(session.id()),
                Err(error) => {
                    (is_told, is_away) = (false, matches!(error, StoreError::Unavailable(_)));
                    self.ended(session, now);
                    let session_id = session.id();
                    self.engine.emit(&SessionEvent::RevocationDeferred { session_id });
                }
            }
        }
        is_told
    }

    /// How long any node believes a token without asking.
    pub(crate) fn believed_for(&self) -> std::time::Duration {
        self.engine.max_staleness().saturating_add(self.terms.grace)
    }
}

/// A sign-in that is being written. Where nobody knows whether it was, nobody will hold its token, and
/// it ends.
struct CreateGuard<'a, C: Send + Sync + 'static> {
    wiring: &'a LayerContext<C>,
    session: Option<&'a SessionIdentity>,
}

impl<C: Send + Sync + 'static> Drop for CreateGuard<'_, C> {
    fn drop(&mut self) {
        if let Some(session) = self.session {
            self.wiring.ended(session, self.wiring.clock.now());
        }
    }
}
