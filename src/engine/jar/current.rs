//! The current state of a request and the session it acts as.

use std::{any::Any, sync::Arc};

use super::{
    JarInner, SessionJar, SharedJar, is_complete, lock,
    state::{CurrentSession, JarState},
};
use crate::engine::{
    bearer::CredentialKind,
    request::{
        session::{AnyRequest, LayerLookupError, Session, SessionStatus},
        state::{RequestContext as _, RequestState},
    },
    session::{
        id::SessionId,
        identity::{SessionIdentity, SessionStatusKind},
    },
};

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// The request's current state and the session it acts as, including the changes of this
    /// request.
    pub(crate) fn current(&self) -> (Arc<RequestState>, Option<Session<C>>) {
        let (record, session) = self.current_or_pending();
        (record, session.filter(is_complete))
    }

    /// Like [`current`](Self::current), but pending sessions are included.
    pub(crate) fn current_or_pending(&self) -> (Arc<RequestState>, Option<Session<C>>) {
        let Some(state) = self.0.state.get() else { return self.initial() };
        let state = lock(state);
        let record = self.record_in(&state);
        let session = match &state.staged {
            Some(pending) => pending.ready.as_ref().map(|(session, _)| session.clone()),
            None => {
                let current = state.current.as_ref();
                current.map(|current| Session::new(current.session.clone(), Arc::clone(&record)))
            }
        };
        (record, session)
    }

    /// The request's state, including the changes of this request. A sign-in counts once its claims are
    /// known.
    pub(crate) fn current_state(&self) -> Arc<RequestState> {
        self.record().context.updated().unwrap_or_else(|| self.first())
    }

    /// Records whether the session of a bearer token is valid; `None` if the store cannot be
    /// queried.
    pub(crate) fn answer_bearer(&self, id: SessionId, is_active: Option<bool>) {
        match is_active {
            Some(true) => self.state().stored.confirmed.push(id),
            Some(false) => self.mark_revoked(id),
            None => {
                let mut state = self.state();
                state.updated_state = Some(self.updated(SessionStatusKind::Unavailable, None));
                state.unserved = state.current.take();
            }
        }
    }

    /// The initial state and session, for callers that only read. Pending sessions are included.
    pub(super) fn initial(&self) -> (Arc<RequestState>, Option<Session<C>>) {
        let record = self.first();
        let session = self.0.first.session.clone();
        let session = session.map(|session| Session::new(session, Arc::clone(&record)));
        (record, session)
    }

    /// The request's current state.
    pub(super) fn record_in(&self, state: &JarState<C>) -> Arc<RequestState> {
        state.updated_state.clone().unwrap_or_else(|| self.first())
    }

    pub(super) fn first(&self) -> Arc<RequestState> {
        Arc::<RequestState<JarInner<C>>>::clone(&self.0.0)
    }

    /// The request's state with another kind and identity.
    pub(crate) fn updated(
        &self,
        kind: SessionStatusKind,
        identity: Option<SessionIdentity>,
    ) -> Arc<RequestState> {
        self.first().updated(kind, identity)
    }

    /// The request's state once it acts as `session`.
    pub(super) fn updated_for(&self, session: &SessionIdentity) -> Arc<RequestState> {
        self.updated(session.kind(), Some(session.clone()))
    }

    /// `current` with the values of its next token.
    pub(super) fn next_of(&self, current: &CurrentSession<C>) -> SessionIdentity {
        let session = current.session.identity();
        match current.renew {
            true => session.clone(),
            false => self.engine().renewed(session, self.0.facts.activity, self.0.opened),
        }
    }

    /// Removes the session `id`, which is revoked.
    pub(super) fn forget(&self, state: &mut JarState<C>, id: SessionId) {
        if state.acting().is_some_and(|acting| acting.identity.id() == id) {
            self.record_in(state).mark_revoked();
        }
        state.forget(id);
    }
}

impl<C> SessionJar<C> {
    /// Whether the request presents a bearer token. Its cookies are then not used.
    pub(crate) fn is_by_bearer(&self) -> bool {
        self.record().credential == CredentialKind::BearerToken
    }

    /// The session of a bearer token or of another issuer that must be checked in the store,
    /// because revocations since the token was issued may be unknown.
    pub(super) fn bearer_to_confirm(&self, state: &JarState<C>) -> Option<SessionIdentity> {
        if !self.is_by_bearer() && !self.engine().verifies_only() {
            return None;
        }
        let session = state.current.as_ref()?.session.identity();
        let is_confirmed = state.stored.confirmed.contains(&session.id());
        let opened = self.0.facts.clocks.unwrap_or_else(|| self.now());
        let must_ask = || self.engine().needs_store_check(session, opened);
        (!is_confirmed && must_ask()).then(|| session.clone())
    }
}

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// The status that refers to this jar, with the request's state after a change.
    pub(super) fn status_of(&self, updated: Option<Arc<RequestState>>) -> SessionStatus {
        SessionStatus::new(Arc::<RequestState<JarInner<C>>>::clone(&self.0.0), updated)
    }
}

impl<C: Send + Sync + 'static> AnyRequest for RequestState<JarInner<C>> {
    fn state(&self) -> &RequestState {
        self
    }

    fn shared_state(self: Arc<Self>) -> Arc<RequestState> {
        self
    }

    fn engine(&self) -> usize {
        self.context.engine().address()
    }

    fn claims_type(&self) -> &'static str {
        std::any::type_name::<C>()
    }
}

impl SessionStatus {
    /// The jar of the layer whose claims are `C`, for services without extractors. `None` if there is no
    /// such layer, or if several with different engines have these claims: then select one with
    /// [`layer`](Self::layer).
    #[must_use]
    pub fn jar<C: Send + Sync + 'static>(&self) -> Option<SessionJar<C>> {
        self.find().ok()
    }

    /// The jar of the layer whose claims are `C`.
    pub(crate) fn find<C: Send + Sync + 'static>(&self) -> Result<SessionJar<C>, LayerLookupError> {
        let mut found: Option<(SessionJar<C>, usize)> = None;
        for status in self.chain() {
            let request: Arc<dyn Any + Send + Sync> = Arc::clone(status.request()) as _;
            let Ok(record) = request.downcast() else { continue };
            let engine = status.engine();
            match &found {
                None => found = Some((SessionJar(SharedJar(record)), engine)),
                Some((_, nearest)) if *nearest == engine => {}
                Some(_) => return Err(LayerLookupError::Ambiguous),
            }
        }
        found.map(|(jar, _)| jar).ok_or(LayerLookupError::Missing)
    }
}
