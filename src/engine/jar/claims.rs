//! Changing claims, renewing tokens, and requests to a claims source.

use std::sync::Arc;

use super::{
    SessionJar, displacement,
    state::{CurrentSession, JarState, StagedSignIn},
};
use crate::engine::{
    event::SessionEvent,
    issue::IssueError,
    request::session::Session,
    session::{data::SessionData, id::SessionId, identity::SessionIdentity},
    sign_in::SignInError,
    token::claims::ClaimsError,
};

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// Replaces the claims in the session's token; the response carries it. The claims source is
    /// not queried for this token.
    ///
    /// A request may also call [`mark_verified`](Self::mark_verified), before or after: both changes are
    /// written. If two concurrent requests of one browser change the session, the browser keeps the token
    /// of the later response, which lacks the other change. Keep data that must not be lost in a database,
    /// and let a [claims source](crate::claims::ClaimsSource) add it to the claims.
    ///
    /// # Errors
    ///
    /// If no user is signed in, the request uses a bearer token, or the claims cannot be encoded or
    /// do not fit in a cookie. The old claims are kept then.
    pub fn update_claims(&self, claims: C) -> Result<(), UpdateClaimsError> {
        self.replace_claims(None, claims)
    }

    /// Renews the session's token with this response, whatever its age, with new claims if there is
    /// a claims source. Does nothing without a session or for a request with a bearer token.
    pub fn renew_now(&self) {
        if self.is_by_bearer() || self.engine().verifies_only() {
            return;
        }
        let mut state = self.state();
        if let Some(current) = &mut state.current
            && !current.renew
        {
            current.session = current.session.with_identity(self.next_of(current));
            current.renew = true;
        }
    }

    /// See [`JarDriver::claims_request`](super::driver::JarDriver::claims_request).
    pub(crate) fn claims_request(&self) -> Option<SessionIdentity> {
        self.state().claims_request()
    }

    /// The session's current claims, from which a source may take values.
    pub(crate) fn claims(&self) -> Option<Arc<C>> {
        self.current_or_pending().1.map(|session| Arc::clone(session.data().claims()))
    }

    /// See [`JarDriver::handle_claims`](super::driver::JarDriver::handle_claims).
    pub(crate) fn handle_claims(
        &self,
        session: SessionId,
        claims: C,
    ) -> Result<(), UpdateClaimsError> {
        if self.claims_request().is_none_or(|wanted| wanted.id() != session) {
            return Ok(());
        }
        self.state().claims_requested_for = Some(session);
        self.replace_claims(Some(session), claims)
    }

    /// Puts `claims` into the next token of the session that signs in, otherwise of the active session. If
    /// `meant` is given, it must be this session. No lock is held while the application's code encodes the
    /// claims.
    fn replace_claims(&self, meant: Option<SessionId>, claims: C) -> Result<(), UpdateClaimsError> {
        let engine = self.engine();
        self.ensure_cookie_session()?;
        let (identity, token, mut state) = loop {
            let identity = self.outgoing_identity(&self.state())?;
            let token = engine.issue(&identity, &claims)?;
            let state = self.state();
            // A concurrent call recorded a factor or a completed task, which must be written too.
            let is_other = |now: &SessionIdentity| now.id() == identity.id() && *now != identity;
            if !self.outgoing_identity(&state).is_ok_and(|now| is_other(&now)) {
                break (identity, token, state);
            }
        };
        let id = identity.id();
        let by_application = meant.is_none();
        if state.closed {
            return Err(UpdateClaimsError::Closed);
        }
        // In the meantime, another user signed in, or the application set the claims itself.
        if meant.is_some_and(|meant| meant != id || state.claims_requested_for != Some(meant)) {
            return Ok(());
        }
        if by_application {
            state.claims_requested_for = Some(id);
        }
        if let Some(pending) = &state.staged {
            if pending.identity.id() != id {
                return Err(UpdateClaimsError::SignedOut);
            }
            // The size of the token is known now.
            let displacement =
                displacement::plan_displacement(engine, &state, &identity, token.len())?;
            let record = self.updated_for(&identity);
            let session =
                Session::new(SessionData::new(identity.clone(), Arc::new(claims)), record);
            let ready = Some((session, token));
            let (device, activates) = (pending.device.clone(), pending.activates);
            let pending = StagedSignIn { identity, ready, displacement, device, activates };
            state.staged = Some(Box::new(pending));
            return Ok(());
        }
        let fits = state.check_budget(engine, &identity, token.len());
        let JarState { updated_state, current, undecoded, .. } = &mut *state;
        let (place, size, presented, version, changed) = match (&*current, &*undecoded) {
            (Some(current), _) if current.session.identity().id() == id => {
                (current.place, current.size, current.presented, current.claims, current.changed)
            }
            (None, Some(undecoded)) if undecoded.identity.id() == id => {
                (undecoded.place, 0, undecoded.presented, undecoded.version, false)
            }
            // The session was signed out or switched while the claims were encoded.
            _ => return Err(UpdateClaimsError::SignedOut),
        };
        fits?;
        if undecoded.take().is_some() {
            *updated_state = Some(self.updated_for(&identity));
        }
        *current = Some(CurrentSession {
            session: SessionData::new(identity, Arc::new(claims)),
            place,
            size,
            presented,
            renew: true,
            claims: version,
            changed: changed || by_application,
        });
        Ok(())
    }

    /// The session whose claims can be changed, with the values of its next token.
    fn outgoing_identity(&self, state: &JarState<C>) -> Result<SessionIdentity, UpdateClaimsError> {
        if state.closed {
            return Err(UpdateClaimsError::Closed);
        }
        match (&state.staged, &state.current, &state.undecoded) {
            (Some(pending), ..) => Ok(pending.identity.clone()),
            (None, Some(current), _) => Ok(self.next_of(current)),
            (None, None, Some(undecoded)) => Ok(undecoded.identity.clone()),
            (None, None, None) if state.unserved.is_some() => Err(UpdateClaimsError::Unavailable),
            (None, None, None) => Err(UpdateClaimsError::SignedOut),
        }
    }

    /// The claims source found no such user: revokes the session, and returns `true`. At a sign-in this
    /// counts as a failure of the source, because the source may read a replica that lags behind.
    pub(crate) fn handle_no_such_user(&self, id: SessionId) -> bool {
        let wanted = self.claims_request().filter(|wanted| wanted.id() == id);
        let is_sign_in = self.state().staged.is_some();
        let Some(session) = wanted.filter(|_| !is_sign_in) else {
            self.claims_failed(id);
            return false;
        };
        self.engine().emit(&SessionEvent::UserNotFound { session: session.clone() });
        self.mark_revoked(id);
        self.revoke_here(&session, self.now());
        true
    }

    /// Records that the claims source failed for `session`, so that it is not queried again.
    pub(crate) fn claims_failed(&self, session: SessionId) {
        self.state().claims_requested_for = Some(session);
    }

    /// Whether the request carries a session cookie.
    pub(crate) fn has_session_cookie(&self) -> bool {
        !self.state().presented.places.is_empty()
    }

    /// The session that this request acts as, even if its claims cannot be decoded.
    pub(crate) fn acting(&self) -> Option<SessionId> {
        self.state().acting().map(|acting| acting.identity.id())
    }

    /// Whether a sign-in is waiting for its claims.
    pub(crate) fn awaits_claims(&self) -> bool {
        self.state().awaits_claims()
    }
}

impl<C> JarState<C> {
    pub(super) fn claims_request(&self) -> Option<SessionIdentity> {
        if self.closed {
            return None;
        }
        let wanted = match (&self.staged, &self.current, &self.undecoded) {
            (Some(pending), ..) => &pending.identity,
            (None, Some(current), _) if current.renew => current.session.identity(),
            (None, None, Some(undecoded)) => &undecoded.identity,
            _ => return None,
        };
        (self.claims_requested_for != Some(wanted.id())).then(|| wanted.clone())
    }

    /// Whether a sign-in is waiting for its claims.
    pub(super) fn awaits_claims(&self) -> bool {
        self.staged.as_ref().is_some_and(|pending| pending.ready.is_none())
    }
}

/// The reason why claims were not changed.
///
/// ```
/// use axum::response::{IntoResponse as _, Redirect, Response};
/// use serde::{Deserialize, Serialize};
/// use tower_auth_session::{SessionJar, error::UpdateClaimsError};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct User { name: String }
///
/// async fn rename(jar: SessionJar<User>, name: String) -> Response {
///     match jar.update_claims(User { name }) {
///         Ok(()) => Redirect::to("/profile").into_response(),
///         Err(UpdateClaimsError::Refused(error)) => format!("choose a shorter name: {error}").into_response(),
///         Err(error) => error.into_response(),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateClaimsError {
    /// No user is signed in.
    #[error("no user is signed in")]
    SignedOut,
    /// The session cannot be checked now.
    #[error("the session cannot be checked now")]
    Unavailable,
    /// The claims do not fit.
    #[error(transparent)]
    Refused(SignInError),
    /// The response has already been sent.
    #[error("the response has been sent: change claims while the request is handled")]
    Closed,
}

impl From<IssueError> for UpdateClaimsError {
    fn from(error: IssueError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<SignInError> for UpdateClaimsError {
    fn from(error: SignInError) -> Self {
        Self::Refused(error)
    }
}

impl From<ClaimsError> for UpdateClaimsError {
    fn from(error: ClaimsError) -> Self {
        Self::Refused(error.into())
    }
}
