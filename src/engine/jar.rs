//! [`SessionJar`]: the sessions of the browser that sent a request, and the changes made to them.
//!
//! The verbs record what is wanted; [`SessionEngine::close`](super::SessionEngine::close) turns it
//! into cookies when the response is ready. What can be known at once is told at once.

mod accounts;
mod claims;
mod enter;
mod sign;
mod state;
mod step_up;
mod stored;
mod tasks;
mod way;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::HeaderValue;

pub(crate) use self::state::{
    Ended, Found, Held, Opened, Others, Pending, PointTo, Presented, State, Undecoded, Unread, Way,
};
pub use self::{
    accounts::{AccountSummary, NotSignedInHere},
    claims::UpdateClaimsError,
    sign::NoStore,
    stored::RenewalAnswer,
    tasks::{TaskError, TaskOutcome},
};
use crate::{
    engine::{
        SessionEngine,
        bearer::Credential,
        cross_origin::CrossOrigin,
        id::{SessionId, Subject},
        identity::{SessionIdentity, SessionStatusKind},
        record::{RequestRecord, Watch},
        session::{Session, SessionStatus},
        sign_in::CommitError,
    },
    time::{Now, Timestamp},
};

/// A handle to the sessions of one request's browser. Clones share it.
///
/// Nothing is written before the response: a request that fails with an error of the service,
/// panics or is dropped changes nothing, save that a signed-out session is dead at once.
pub struct SessionJar<C = ()>(Arc<Inner<C>>);

struct Inner<C> {
    engine: SessionEngine<C>,
    opened: Now,
    activity: bool,
    is_named: bool,
    cross_origin: Option<CrossOrigin>,
    user_agent: Option<HeaderValue>,
    effects: Option<Arc<dyn Effects<C>>>,
    state: Mutex<State<C>>,
}

/// What a jar needs of the world outside the engine: the time, and work that waits.
pub(crate) trait Effects<C>: Send + Sync {
    fn now(&self) -> Now;
    /// `session` ended here: a store has to know, whatever becomes of the request.
    fn ended(&self, session: &SessionIdentity, now: Now);
    /// Withdraws a sign-in that fails.
    fn commit(
        self: Arc<Self>,
        jar: SessionJar<C>,
    ) -> Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send>>;
    /// Whether there is a store.
    fn has_store(&self) -> bool;
    /// Ends all sessions of `subject`, wherever they are.
    fn ended_everywhere(&self, subject: &Subject, now: Now);
    /// Finds out who of the others is over.
    fn check_accounts(
        self: Arc<Self>,
        jar: SessionJar<C>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<C> SessionJar<C> {
    pub(crate) fn new(opened: Opened<C>) -> Self {
        Self(Arc::new(Inner {
            engine: opened.engine,
            opened: opened.now,
            activity: opened.activity,
            is_named: opened.is_named,
            cross_origin: opened.cross_origin,
            user_agent: opened.user_agent,
            effects: None,
            state: Mutex::new(opened.state),
        }))
    }

    /// The jar with access to the world outside, before anybody else holds it.
    pub(crate) fn with_effects<E>(mut self, effects: Arc<E>) -> Self
    where
        E: Effects<C> + Watch + 'static,
    {
        self.state().record.watched_by(Arc::<E>::clone(&effects));
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.effects = Some(effects);
        }
        self
    }

    /// The session this request acts as, with the changes made so far: a new one after signing in,
    /// none after signing out, and none while [tasks](Self::pending) are left to do.
    #[must_use]
    pub fn session(&self) -> Option<Session<C>> {
        let state = self.state();
        state.record.consult();
        state.session()
    }

    /// What goes into the extensions of the request, without counting as consulted.
    pub(crate) fn snapshot(&self) -> (SessionStatus, Option<Session<C>>) {
        let state = self.state();
        let held = state.held.as_ref().filter(|held| !held.session.peek().is_pending());
        let session = held.map(|held| held.session.clone());
        (SessionStatus::new(Arc::clone(&state.record)), session)
    }

    /// What was found out about the request when it came in.
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        SessionStatus::new(Arc::clone(&self.state().record))
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

    /// What the request is by now, and the session it acts as, changes of this request included.
    pub(crate) fn current(&self) -> (Arc<RequestRecord>, Option<Session<C>>) {
        let state = self.state();
        (Arc::clone(&state.record), state.session())
    }

    /// The same, with a session that is pending.
    pub(crate) fn current_or_pending(&self) -> (Arc<RequestRecord>, Option<Session<C>>) {
        let state = self.state();
        (Arc::clone(&state.record), state.any_session())
    }

    /// Verifies the cookies that nobody has asked for yet. No lock is held meanwhile: events are
    /// told, and the application's code decodes its claims.
    fn read_others(&self) {
        // Left where they are meanwhile: whoever else asks must not take them for nobody's.
        let unread = self.state().others.unread.clone();
        // Not when the request came in: what ended since may be forgotten by now.
        let now = self.now().timestamp();
        let judged = unread
            .into_iter()
            .map(|Unread { place, tokens }| {
                let tokens: Vec<&[u8]> = tokens.iter().map(AsRef::as_ref).collect();
                (place, self.0.engine.judge(place, &tokens, now))
            })
            .collect();
        self.state().add_others(judged);
    }

    /// Whether the request shows a bearer token, so that its browser's cookies are none of its business.
    pub(crate) fn is_by_bearer(&self) -> bool {
        self.state().record.credential == Credential::BearerToken
    }

    /// The session of a bearer token that a store must be asked about, because it is not known what
    /// has ended since the token was made.
    pub(crate) fn bearer_to_confirm(&self) -> Option<SessionIdentity> {
        let state = self.state();
        if state.record.credential == Credential::Cookie {
            return None;
        }
        let session = state.held.as_ref()?.session.peek();
        let is_confirmed = state.stored.confirmed.contains(&session.id());
        (!is_confirmed && !self.0.engine.trusts(session.issued_at())).then(|| session.clone())
    }

    /// Whether the session of a bearer token lives, if a store can say so.
    pub(crate) fn answer_bearer(&self, id: SessionId, lives: Option<bool>) {
        match lives {
            Some(true) => self.state().stored.confirmed.push(id),
            Some(false) => self.is_over(id),
            None => {
                let mut state = self.state();
                let kind = SessionStatusKind::Unavailable;
                state.record = Arc::new(state.record.turned(kind, None));
                state.unconfirmed = state.held.take();
            }
        }
    }

    /// When the request came in.
    pub(crate) fn opened_at(&self) -> Timestamp {
        self.0.opened.timestamp()
    }

    /// Whether the request counts as activity.
    pub(crate) fn is_activity(&self) -> bool {
        self.0.activity
    }

    pub(crate) fn engine(&self) -> &SessionEngine<C> {
        &self.0.engine
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State<C>> {
        // No code of the application runs while the lock is held, so nothing is half done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        self.0.effects.as_ref().map_or(self.0.opened, |effects| effects.now())
    }
}

impl<C> Drop for Inner<C> {
    /// A sign-in that a store keeps, of a request that never came to its response.
    fn drop(&mut self) {
        let Some(effects) = &self.effects else { return };
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.take_back();
        for session in std::mem::take(&mut state.stored.orphans) {
            effects.ended(&session, effects.now());
        }
    }
}

impl<C> Clone for SessionJar<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> fmt::Debug for SessionJar<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("SessionJar").field("kind", &state.record.kind).finish_non_exhaustive()
    }
}
