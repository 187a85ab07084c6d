//! [`SessionManager`]: a subject's sessions in all browsers, for device pages and operators.

use std::{fmt, sync::Arc};

use super::{
    context::{LayerContext, StoreAccess},
    layer::SessionLayer,
    store_client::RetryPolicy,
};
use crate::{
    engine::{
        jar::{Effects as _, SessionJar},
        request::session::SessionStatus,
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
    /// Manages the sessions in the layer's store, if it has one.
    #[must_use]
    pub fn sessions(&self) -> Option<SessionManager<C>> {
        let context = Arc::clone(self.context());
        let store = context.store.clone()?;
        Some(SessionManager { context, store })
    }
}

/// Lists and revokes the sessions in a layer's store, whatever browser they are signed in from.
///
/// A revocation takes effect in this process at once, even if the store fails. In that case
/// [`SessionLayer::background`] sends it to the store later. Other nodes learn of it from the store's
/// revocation feed. The application decides whether the caller is authorized.
///
#[cfg_attr(feature = "memory", doc = "```")]
#[cfg_attr(not(feature = "memory"), doc = "```ignore")]
/// use std::time::Duration;
/// use tower_auth_session::{
///     Session, SessionManager, Subject,
///     store::StoreError,
///     time::{Clock as _, SystemClock},
/// };
///
/// /// The page "your devices".
/// async fn devices(manager: &SessionManager, me: &Session) -> Result<Vec<String>, StoreError> {
///     let page = manager.list(me.subject(), None, 20).await?;
///     Ok(page.sessions.iter().map(|it| format!("{:?}", it.device)).collect())
/// }
///
/// /// The button beside a device: only ids of the user's own list count.
/// async fn end(manager: &SessionManager, me: &Session, id: &str) -> Result<bool, StoreError> {
///     let page = manager.list(me.subject(), None, 100).await?;
///     let Some(device) = page.sessions.iter().find(|it| it.id.as_str() == id) else {
///         return Ok(false);
///     };
///     manager.revoke(&device.key()).await?;
///     Ok(true)
/// }
///
/// /// After a change of the password.
/// async fn password_changed(manager: &SessionManager, me: &Session) -> Result<u64, StoreError> {
///     manager.revoke_others(me.identity()).await
/// }
///
/// /// For administrators.
/// async fn disable(manager: &SessionManager, user: &Subject) -> Result<(), StoreError> {
///     manager.revoke_all_of(user).await?;
///     let now = SystemClock::new().now().timestamp();
///     let yesterday = now.saturating_sub(Duration::from_secs(24 * 3600));
///     manager.revoke_before(user, yesterday).await?; // only sessions that are older
///     manager.revoke_everyone_before(yesterday).await // all users
/// }
/// # use tower_auth_session::{*, store::MemoryStore, testing::signed_in_with_layer};
/// # async fn test() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = KeyRing::new(SigningKey::generate("test", Algorithm::Hs256)?);
/// # let engine = SessionEngine::<()>::builder(keys).build()?;
/// # let layer = SessionLayer::new(engine).store(MemoryStore::new());
/// # let request = http::Request::get("/").body(())?;
/// # let request = signed_in_with_layer(&layer, SignIn::new(Subject::new("ada")?, ()), request).await?;
/// # let session = layer.engine().open(&request, SystemClock::new().now()).session().expect("signed in");
/// # let manager = layer.sessions().expect("a store");
/// # assert_eq!(devices(&manager, &session).await?.len(), 1);
/// # assert_eq!(password_changed(&manager, &session).await?, 0);
/// # assert!(!end(&manager, &session, "another").await?);
/// # assert!(end(&manager, &session, session.id().as_str()).await?);
/// # disable(&manager, session.subject()).await?;
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test()).unwrap();
/// ```
pub struct SessionManager<C = ()> {
    context: Arc<LayerContext<C>>,
    store: StoreAccess,
}

impl<C: Send + Sync + 'static> SessionManager<C> {
    /// The sessions in the store of the layer with the claims `C` around this request, for handlers. With
    /// the feature `axum`, `SessionManager<C>` is an extractor too. `None` without such a layer, or if it
    /// has no store.
    ///
    /// ```
    /// # use tower_auth_session::{SessionManager, SessionStatus};
    /// # struct User;
    /// async fn revoke_all_others<B>(request: http::Request<B>) -> Option<u64> {
    ///     let status = request.extensions().get::<SessionStatus>()?;
    ///     let sessions = SessionManager::<User>::from_status(status)?;
    ///     sessions.revoke_others(status.identity()?).await.ok()
    /// }
    /// ```
    #[must_use]
    pub fn from_status(status: &SessionStatus) -> Option<Self> {
        Self::from_jar(&status.jar()?)
    }

    /// The sessions in the store of the layer that `jar` is from.
    pub(crate) fn from_jar(jar: &SessionJar<C>) -> Option<Self> {
        let layer = Arc::clone(jar.effects()?).as_any();
        let context = layer.downcast::<LayerContext<C>>().ok()?;
        let store = context.store.clone()?;
        Some(Self { context, store })
    }

    /// The active sessions of `subject`, newest sign-in first: at most `limit`, starting after `after`.
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

    /// Revokes one session.
    ///
    /// # Errors
    ///
    /// When the store fails: other nodes do not learn of the revocation until it is retried. An unreadable
    /// record is not retried.
    pub async fn revoke(&self, key: &SessionKey) -> Result<(), StoreError> {
        let (engine, now) = (&self.context.engine, self.context.clock.now());
        // The session's expiry is in its tokens only, so keep the revocation for the maximum.
        let until = now
            .timestamp()
            .saturating_add(crate::engine::session::lifetime::SessionLifetime::MAX_OVERRIDE);
        engine.revoke_id(key.id, now);
        let ending = Revoke::new(now.timestamp(), until);
        self.context.report_dropped(self.store.outbox.push(key.clone(), ending));
        let ended = self.call("end", |store| store.revoke(key, ending)).await;
        match &ended {
            Ok(()) => self.context.acknowledge(&self.store, key.id),
            Err(StoreError::Unavailable(_)) => {}
            Err(_) => self.store.outbox.acknowledge(key.id),
        }
        ended
    }

    /// Revokes every session of the subject of `session` except this one, for example after a password
    /// change (ASVS 7.4.3).
    ///
    /// # Errors
    ///
    /// As [`revoke`](Self::revoke).
    pub async fn revoke_others(&self, session: &SessionIdentity) -> Result<u64, StoreError> {
        let subject = session.subject().clone();
        self.revoke_scope(RevokeScope::subject(subject, self.now(), Some(session.id()))).await
    }

    /// Revokes every session of `subject`, for example when the account is disabled (ASVS 7.4.2).
    ///
    /// # Errors
    ///
    /// As [`revoke`](Self::revoke).
    pub async fn revoke_all_of(&self, subject: &Subject) -> Result<u64, StoreError> {
        self.revoke_scope(RevokeScope::subject(subject.clone(), self.now(), None)).await
    }

    /// Revokes the sessions of `subject` that signed in before `instant`.
    ///
    /// # Errors
    ///
    /// As [`revoke`](Self::revoke).
    pub async fn revoke_before(
        &self,
        subject: &Subject,
        instant: Timestamp,
    ) -> Result<u64, StoreError> {
        self.revoke_scope(RevokeScope::subject_before(subject.clone(), self.now(), instant)).await
    }

    /// Revokes the sessions of all subjects that signed in before `instant`, for example after a
    /// compromise (ASVS 7.4.5).
    ///
    /// # Errors
    ///
    /// As [`revoke`](Self::revoke).
    pub async fn revoke_everyone_before(&self, instant: Timestamp) -> Result<(), StoreError> {
        self.revoke_scope(RevokeScope::all(self.now(), instant)).await.map(drop)
    }

    async fn revoke_scope(&self, ends: RevokeScope) -> Result<u64, StoreError> {
        self.context.apply_revocation_of(&ends);
        let late = self.context.push_deferred(&self.store, &ends);
        let ended = self.context.revoke_many(&self.store, &ends).await;
        if ended.is_err() {
            // Include sessions that signed in during this second: the feed does not list them one by one.
            self.context.apply_revocation_of(&late);
        }
        ended
    }

    async fn call<'a, T>(
        &'a self,
        operation: &'static str,
        call: impl Fn(&'a dyn SessionStore) -> StoreFuture<'a, T>,
    ) -> Result<T, StoreError> {
        self.context.call(&self.store, operation, RetryPolicy::Once, call).await
    }

    fn now(&self) -> Timestamp {
        self.context.now().timestamp()
    }
}

impl<C> Clone for SessionManager<C> {
    fn clone(&self) -> Self {
        Self { context: Arc::clone(&self.context), store: self.store.clone() }
    }
}

impl<C> fmt::Debug for SessionManager<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager").field("store", self.store.client.store()).finish()
    }
}
