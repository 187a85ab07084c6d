//! [`SessionManager`]: the sessions of a subject in all browsers, for pages of devices and for operators.

use std::{fmt, sync::Arc};

use super::{
    context::{LayerContext, StoreAccess},
    layer::SessionLayer,
    store_client::RetryPolicy,
};
use crate::{
    engine::{
        jar::Effects as _,
        session::{id::Subject, identity::SessionIdentity},
    },
    store::{
        SessionStore, StoreFuture,
        error::StoreError,
        record::SessionKey,
        types::{PageCursor, Revoke, RevokeScope, SessionPage},
    },
    time::Timestamp,
};

impl<C: Send + Sync + 'static> SessionLayer<C> {
    /// The sessions in the layer's store, if it has one.
    #[must_use]
    pub fn sessions(&self) -> Option<SessionManager<C>> {
        let wiring = Arc::clone(self.wiring());
        let kept = wiring.kept.clone()?;
        Some(SessionManager { wiring, kept })
    }
}

/// The sessions in a layer's store: lists them, and ends them in every browser.
///
/// What it ends is over in this process at once, also when the store fails: then it is told as soon
/// as it can be, by [`SessionLayer::background`]. Other nodes know by the store's feed. Whether the
/// caller may do it is the application's question.
pub struct SessionManager<C = ()> {
    wiring: Arc<LayerContext<C>>,
    kept: StoreAccess,
}

impl<C: Send + Sync + 'static> SessionManager<C> {
    /// The sessions of `subject` that live, the newest sign-in first, at most `limit` of them, from
    /// `after` on.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn list(
        &self,
        subject: &Subject,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<SessionPage, StoreError> {
        let now = self.now();
        self.call("sessions_of", |store| store.list(subject, now, after, limit)).await
    }

    /// Ends one session, wherever it is signed in.
    ///
    /// # Errors
    ///
    /// When the store fails: other nodes do not know yet. One that it cannot read is not tried again.
    pub async fn revoke(&self, key: &SessionKey) -> Result<(), StoreError> {
        let (engine, now) = (&self.wiring.engine, self.wiring.clock.now());
        // How long it may last is known to its tokens only.
        let until = now
            .timestamp()
            .saturating_add(crate::engine::session::lifetime::SessionLifetime::MAX_OVERRIDE);
        engine.apply_revocation(key.id, until, now);
        let ending = Revoke::new(now.timestamp(), until);
        self.kept.ends.push(key.clone(), ending);
        let ended = self.call("end", |store| store.revoke(key, ending)).await;
        if !matches!(ended, Err(StoreError::Unavailable(_))) {
            self.kept.ends.acknowledge(key.id);
        }
        ended
    }

    /// Ends every session of the subject of `session` but this one: after a change of password, for
    /// one (ASVS 7.4.3).
    ///
    /// # Errors
    ///
    /// As [`end`](Self::end).
    pub async fn revoke_others(&self, session: &SessionIdentity) -> Result<u64, StoreError> {
        let subject = session.subject().clone();
        self.end_many(RevokeScope::subject(subject, self.now(), Some(session.id()))).await
    }

    /// Ends every session of `subject`: the account was disabled (ASVS 7.4.2).
    ///
    /// # Errors
    ///
    /// As [`end`](Self::end).
    pub async fn revoke_all_of(&self, subject: &Subject) -> Result<u64, StoreError> {
        self.end_many(RevokeScope::subject(subject.clone(), self.now(), None)).await
    }

    /// Ends the sessions of `subject` that signed in before `instant`.
    ///
    /// # Errors
    ///
    /// As [`end`](Self::end).
    pub async fn revoke_before(
        &self,
        subject: &Subject,
        instant: Timestamp,
    ) -> Result<u64, StoreError> {
        self.end_many(RevokeScope::subject_before(subject.clone(), self.now(), instant)).await
    }

    /// Ends the sessions of everybody that signed in before `instant`: after a compromise
    /// (ASVS 7.4.5).
    ///
    /// # Errors
    ///
    /// As [`end`](Self::end).
    pub async fn revoke_everyone_before(&self, instant: Timestamp) -> Result<(), StoreError> {
        self.end_many(RevokeScope::all(self.now(), instant)).await.map(drop)
    }

    async fn end_many(&self, ends: RevokeScope) -> Result<u64, StoreError> {
        self.wiring.apply_revocation_of(&ends);
        let late = self.kept.ends.push_many(&ends);
        let ended = self.call("end_all", |store| store.revoke_many(&ends)).await;
        match ended {
            Ok(_) => {
                self.kept.ends.acknowledge_many(&ends);
                self.wiring.apply_own_revocations(&self.kept, &ends).await;
            }
            // Those of this second too: nobody tells of them one by one.
            Err(_) => self.wiring.apply_revocation_of(&late),
        }
        ended
    }

    async fn call<'a, T>(
        &'a self,
        operation: &'static str,
        call: impl Fn(&'a dyn SessionStore) -> StoreFuture<'a, T>,
    ) -> Result<T, StoreError> {
        let LayerContext { clock, terms, .. } = &*self.wiring;
        self.kept.keeper.call(operation, RetryPolicy::Once, terms.deadline, &**clock, call).await
    }

    fn now(&self) -> Timestamp {
        self.wiring.now().timestamp()
    }
}

impl<C> Clone for SessionManager<C> {
    fn clone(&self) -> Self {
        Self { wiring: Arc::clone(&self.wiring), kept: self.kept.clone() }
    }
}

impl<C> fmt::Debug for SessionManager<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager").field("store", self.kept.keeper.store()).finish()
    }
}
