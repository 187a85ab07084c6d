//! [`SessionJar`]: the sessions of the browser that sent a request, and the changes made to them.
//!
//! The verbs record what is wanted; [`SessionEngine::close`](crate::SessionEngine::close) turns it
//! into cookies when the response is ready. What can be known at once is told at once.

pub(crate) mod accounts;
pub(crate) mod claims;
pub(crate) mod current;
pub(crate) mod displacement;
pub mod driver;
pub(crate) mod sign_in;
pub(crate) mod sign_out;
pub(crate) mod state;
pub(crate) mod step_up;
pub(crate) mod store_sync;
pub(crate) mod tasks;

use std::{
    fmt,
    future::Future,
    ops::Deref,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use http::HeaderValue;

use self::state::{InitialSession, JarPhase, JarState, UnparsedCookies};
use super::{
    redirect::{csrf::CrossOriginReason, settings::ResolvedRedirects},
    request::{
        session::{Session, SessionStatus},
        state::{RequestContext, RequestState, SessionHandle},
    },
    session::{id::Subject, identity::SessionIdentity},
    session_engine::SessionEngine,
    sign_in::CommitError,
};
use crate::time::{ClockReading, Timestamp};

/// A handle to the sessions of one request's browser. Clones share it.
///
/// Nothing is written before the response: a request that fails with an error of the service,
/// panics or is dropped changes nothing, save that a signed-out session is dead at once.
pub struct SessionJar<C = ()>(SharedJar<C>);

/// The jar and the first record of its request, in one allocation.
struct SharedJar<C>(Arc<RequestState<JarInner<C>>>);

/// What opening a request's cookies found out.
pub(crate) struct JarInner<C> {
    pub(crate) engine: SessionEngine<C>,
    pub(crate) opened: ClockReading,
    /// Whether the request counts as activity. Not where the last one was noted so lately that
    /// nobody asked.
    pub(crate) activity: bool,
    /// The request says which session it means.
    pub(crate) is_named: bool,
    pub(crate) cross_origin: Option<CrossOriginReason>,
    /// As the client calls itself, where a store wants to know.
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) effects: Option<Arc<dyn Effects<C>>>,
    pub(crate) phase: JarPhase,
    /// What was found out at first.
    pub(crate) first: InitialSession<C>,
    /// Most requests only read their session: nothing else is taken down for them.
    pub(crate) state: OnceLock<Box<Mutex<JarState<C>>>>,
}

/// What a jar needs of the world outside the engine: the time, and work that waits.
pub(crate) trait Effects<C>: Send + Sync {
    fn now(&self) -> ClockReading;
    /// `session` ended here: a store has to know, whatever becomes of the request.
    fn ended(&self, session: &SessionIdentity, now: ClockReading);
    /// Withdraws a sign-in that fails.
    fn commit(
        self: Arc<Self>,
        jar: SessionJar<C>,
    ) -> Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send>>;
    /// Who tells when a session is over.
    fn watch(self: Arc<Self>) -> Arc<dyn SessionHandle>;
    /// Whether there is a store.
    fn has_store(&self) -> bool;
    /// Ends all sessions of `subject`, wherever they are.
    fn ended_everywhere(&self, subject: &Subject, now: ClockReading);
    /// Finds out who of the others is over.
    fn check_accounts(
        self: Arc<Self>,
        jar: SessionJar<C>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<C> SessionJar<C> {
    #[inline(always)]
    pub(crate) fn new(record: RequestState<JarInner<C>>) -> Self {
        Self(SharedJar(Arc::new(record)))
    }

    /// What was found out about the request when it came in.
    pub(crate) fn record(&self) -> &RequestState<JarInner<C>> {
        &self.0.0
    }

    /// Closes a jar in which nothing waits to be written; whether it was one.
    pub(crate) fn close_untouched(&self) -> bool {
        self.0.phase.close()
    }

    /// Whether nobody but the layer has looked into it, and nothing waits to be written.
    pub(crate) fn is_untouched(&self) -> bool {
        self.0.phase.is_untouched()
    }
}

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// The session this request acts as, with the changes made so far: a new one after signing in,
    /// none after signing out, and none while [tasks](Self::pending) are left to do.
    #[must_use]
    pub fn session(&self) -> Option<Session<C>> {
        self.record().mark_read();
        self.current().1
    }

    /// What goes into the extensions of the request, without counting as consulted.
    pub(crate) fn snapshot(&self) -> (SessionStatus, Option<Session<C>>) {
        let (record, session) = match self.0.state.get() {
            None => self.initial(),
            Some(state) => {
                let state = lock(state);
                let record = self.record_in(&state);
                let current = state.current.as_ref();
                let session = current
                    .map(|current| Session::new(current.session.clone(), Arc::clone(&record)));
                (record, session)
            }
        };
        (self.status_of(record), session.filter(is_complete))
    }

    /// What was found out about the request when it came in.
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        self.status_of(self.current().0)
    }

    /// Does now what waits, such as asking the claims source, so that the handler can answer its
    /// failure itself. A sign-in that fails here is withdrawn.
    ///
    /// Without this the layer does it after the handler, and a failure replaces the response.
    ///
    /// # Errors
    ///
    /// When the claims source fails or its claims do not fit.
    pub fn commit(&self) -> impl Future<Output = Result<(), CommitError>> + Send + 'static + use<C>
    where
        C: Send + Sync + 'static,
    {
        let jar = self.clone();
        async move {
            let Some(effects) = jar.0.effects.clone() else { return Ok(()) };
            effects.commit(jar).await
        }
    }

    /// Looks up the accounts of this browser in the store, where there is one: who was signed out
    /// elsewhere is not among [`accounts`](Self::accounts) afterwards. One call for all of them, and
    /// none for those whose tokens are fresh. The layer's own chooser does it.
    ///
    /// While the store does not answer, nobody is taken for signed out.
    pub fn check_accounts(&self) -> impl Future<Output = ()> + Send + 'static + use<C>
    where
        C: Send + Sync + 'static,
    {
        let jar = self.clone();
        async move {
            if let Some(effects) = jar.0.effects.clone() {
                effects.check_accounts(jar).await;
            }
        }
    }
}

impl<C> SessionJar<C> {
    /// Verifies the cookies that nobody has asked for yet. No lock is held meanwhile: events are
    /// told, and the application's code decodes its claims.
    fn verify_other_cookies(&self) {
        // Left where they are meanwhile: whoever else asks must not take them for nobody's.
        let unread = self.state().others.unread.clone();
        // Not when the request came in: what ended since may be forgotten by now.
        let now = self.now().timestamp();
        let validation = unread
            .into_iter()
            .map(|UnparsedCookies { place, tokens }| {
                let tokens: Vec<&[u8]> = tokens.iter().map(AsRef::as_ref).collect();
                (place, self.0.engine.validate_cookie(place, &tokens, now))
            })
            .collect();
        self.state().add_others(validation);
    }

    /// When the request came in.
    pub(crate) fn received_at(&self) -> Timestamp {
        self.0.opened.timestamp()
    }

    /// Whether the request counts as activity.
    pub(crate) fn is_activity(&self) -> bool {
        self.0.activity
    }

    pub(crate) fn engine(&self) -> &SessionEngine<C> {
        &self.0.engine
    }

    /// What the jar knows, all of it taken down.
    pub(crate) fn state(&self) -> MutexGuard<'_, JarState<C>> {
        let JarInner { engine, phase, first, state, .. } = &*self.0;
        lock(state.get_or_init(|| {
            let mut state = JarState { closed: phase.touch(), ..JarState::default() };
            engine.materialize(self.record().identity.as_ref(), first, &mut state);
            Box::new(Mutex::new(state))
        }))
    }

    fn now(&self) -> ClockReading {
        self.0.effects.as_ref().map_or(self.0.opened, |effects| effects.now())
    }
}

impl<C> Drop for JarInner<C> {
    /// A sign-in that a store keeps, of a request that never came to its response.
    fn drop(&mut self) {
        let (Some(effects), Some(state)) = (&self.effects, self.state.get_mut()) else { return };
        let state = state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.withdraw_staged();
        for session in std::mem::take(&mut state.stored.abandoned_sign_ins) {
            effects.ended(&session, effects.now());
        }
    }
}

/// Whether nothing is left to do before the subject is signed in.
fn is_complete<C>(session: &Session<C>) -> bool {
    !session.facts().identity_untracked().is_pending()
}

fn lock<C>(state: &Mutex<JarState<C>>) -> MutexGuard<'_, JarState<C>> {
    // No code of the application runs while the lock is held, so nothing is half done.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<C> Deref for SharedJar<C> {
    type Target = JarInner<C>;

    fn deref(&self) -> &JarInner<C> {
        &self.0.context
    }
}

impl<C: Send + Sync> RequestContext for JarInner<C> {
    fn redirects(&self) -> &Arc<ResolvedRedirects> {
        self.engine.shared_redirects()
    }

    fn watch(&self) -> Option<Arc<dyn SessionHandle>> {
        self.effects.clone().map(Effects::watch)
    }
}

impl<C> Clone for SessionJar<C> {
    fn clone(&self) -> Self {
        Self(SharedJar(Arc::clone(&self.0.0)))
    }
}

impl<C> fmt::Debug for SessionJar<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let updated_state = self.0.state.get().and_then(|state| lock(state).updated_state.clone());
        let kind = updated_state.map_or_else(|| self.record().kind, |record| record.kind);
        f.debug_struct("SessionJar").field("kind", &kind).finish_non_exhaustive()
    }
}
