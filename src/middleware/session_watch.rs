//! Waits for the expiry or revocation of a session, for streams and other responses that outlast a
//! request.

use std::{
    any::Any,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use super::context::LayerContext;
use crate::{
    engine::{
        bearer::{
            CredentialKind,
            token::{BearerToken, BearerTokenError, BearerTokenOptions},
        },
        request::state::{SessionHandle, TouchError},
        session::{identity::SessionIdentity, renewal::RenewalDecision},
    },
    time::Timestamp,
};

/// How often a stream checks whether revocations were missed, and the clock, which may have been set or
/// suspended.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

impl<C: Send + Sync + 'static> SessionHandle for LayerContext<C> {
    fn ended(
        self: Arc<Self>,
        session: SessionIdentity,
        credential: CredentialKind,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let waiter = self.engine.waiters().register(&session);
            let mut ends = session.expires_at();
            let mut generation = self.engine.feed_state().generation();
            loop {
                let now = self.clock.now().timestamp();
                if generation != self.engine.feed_state().generation() {
                    // Revocations were missed: the store must confirm the session once more.
                    let current = self.engine.feed_state().generation();
                    match self.is_active_in_store(&session, now).await {
                        Some(true) => generation = current,
                        Some(false) => {
                            self.engine.end(&session, self.clock.now());
                            return;
                        }
                        None => {}
                    }
                }
                let is_final =
                    credential == CredentialKind::BearerToken || self.engine.verifies_only();
                if now >= ends && is_final {
                    return;
                }
                if now >= ends {
                    match self.latest_expiry(&session, now).await {
                        Some(later) if later > now => ends = later,
                        _ => return,
                    }
                }
                let mut remaining = ends.saturating_since(now).min(CHECK_INTERVAL);
                // If another process renewed the proof, this process learns of it when a request presents it.
                if let Some(proof_end) = self.engine.proof_end(&session) {
                    if now >= proof_end {
                        return;
                    }
                    remaining = remaining.min(proof_end.saturating_since(now));
                }
                let mut time = pin!(tokio::time::sleep(remaining));
                let is_revoked = poll_fn(|cx| {
                    waiter.wait(cx.waker());
                    if self.engine.is_revoked(&session) {
                        return Poll::Ready(true);
                    }
                    time.as_mut().poll(cx).map(|()| false)
                });
                if is_revoked.await {
                    return;
                }
            }
        })
    }

    fn bearer_token(
        &self,
        session: &SessionIdentity,
        claims: &(dyn Any + Send + Sync),
        options: &BearerTokenOptions,
        opened: Timestamp,
    ) -> Result<BearerToken, BearerTokenError> {
        let claims = claims.downcast_ref().ok_or(BearerTokenError::NoSessionLayer)?;
        let now = self.clock.now().timestamp();
        // The session of a request that arrived long ago may have been revoked elsewhere since.
        let checked_for = self.engine.bearer_issue_window().saturating_add(self.policy.grace);
        if self.store.is_some() && now.saturating_since(opened) > checked_for {
            return Err(BearerTokenError::RequestTooOld);
        }
        self.engine.issue_bearer(session, claims, options, now)
    }

    fn touch(
        self: Arc<Self>,
        session: SessionIdentity,
    ) -> Pin<Box<dyn Future<Output = Result<(), TouchError>> + Send>> {
        Box::pin(async move {
            if self.engine.verifies_only() {
                return Err(TouchError::BearerToken);
            }
            let store = self.store.as_ref().ok_or(TouchError::NoStore)?;
            if self.engine.is_revoked(&session) {
                return Err(TouchError::SessionEnded);
            }
            let now = self.clock.now().timestamp();
            let (issued_at, last_active_at) = (session.issued_at(), session.last_active_at());
            if self.engine.is_fresh_at(&session, issued_at, last_active_at, true, now) {
                return Ok(());
            }
            let touched = self.engine.renewed(&session, true, now);
            // A touch presents no token.
            match self.confirm_renewal(store, &touched, None, true, now).await {
                RenewalDecision::Active { .. } => Ok(()),
                RenewalDecision::KeyMismatch { .. } => Err(TouchError::SessionEnded),
                RenewalDecision::Revoked => {
                    self.engine.end(&session, self.clock.now());
                    Err(TouchError::SessionEnded)
                }
                RenewalDecision::Unavailable { .. } => Err(TouchError::Unavailable),
            }
        })
    }
}

impl<C: Send + Sync + 'static> LayerContext<C> {
    /// Whether the session is active in the store; `None` if no store can confirm it.
    async fn is_active_in_store(&self, session: &SessionIdentity, now: Timestamp) -> Option<bool> {
        if !session.may_be_in_store() {
            return Some(true);
        }
        let store = self.store.as_ref()?;
        Some(self.load(store, session.into(), now).await.ok()?.is_some())
    }

    /// When the session expires, if it has a later token than the watched one. This process's latest tokens
    /// decide, otherwise the store. `None` if neither has a later token.
    async fn latest_expiry(&self, session: &SessionIdentity, now: Timestamp) -> Option<Timestamp> {
        let known = self.engine.latest_token_expiry(session.id()).filter(|end| *end > now);
        if known.is_some() {
            return known;
        }
        let store = self.store.as_ref()?;
        let record = self.load(store, session.into(), now).await.ok()??;
        Some(self.engine.expiry_if_active_at(session, record.last_active_at))
    }
}
