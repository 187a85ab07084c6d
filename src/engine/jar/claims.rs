//! Changing claims and renewing tokens, and what a claims source is asked for.

use std::sync::Arc;

use super::{
    SessionJar,
    state::{Held, State, Undecoded},
};
use crate::engine::{
    claims::ClaimsError,
    id::SessionId,
    mint::MintError,
    session::{RequestRecord, Session, SessionIdentity, SessionStatusKind},
    sign_in::SignInError,
};

impl<C> SessionJar<C> {
    /// Puts other claims into the session's token; they go out with the response.
    ///
    /// # Errors
    ///
    /// When nobody is signed in, or the claims cannot stand in a token or do not fit a cookie. The
    /// old claims stay then.
    pub fn update_claims(&self, claims: C) -> Result<(), UpdateClaimsError> {
        let mut state = self.state();
        if state.closed {
            return Err(UpdateClaimsError::Closed);
        }
        self.replace_claims(&mut state, claims)
    }

    /// Renews the session's token with this response, however young it is. Without a session nothing
    /// happens.
    pub fn renew_now(&self) {
        let mut state = self.state();
        let (now, activity) = (self.0.opened.timestamp(), self.0.activity);
        let State { held, record, .. } = &mut *state;
        if let Some(held) = held
            && !held.renew
        {
            let identity = self.0.engine.renewed(held.session.peek(), activity, now);
            let claims = held.session.shared_claims();
            held.session = Session::new(identity, claims, Arc::clone(record));
            held.renew = true;
        }
    }

    /// Whose claims a claims source should be asked for now: of a session that signs in or whose
    /// token is renewed, or whose claims do not decode. `None` once they have been provided.
    #[must_use]
    pub fn claims_wanted(&self) -> Option<SessionIdentity> {
        let state = self.state();
        if state.claims_asked || state.closed {
            return None;
        }
        match (&state.signing_in, &state.held, &state.undecoded) {
            (Some(pending), ..) => Some(pending.identity.clone()),
            (None, Some(held), _) if held.renew => Some(held.session.peek().clone()),
            (None, None, Some(undecoded)) => Some(undecoded.identity.clone()),
            _ => None,
        }
    }

    /// Answers [`claims_wanted`](Self::claims_wanted).
    ///
    /// # Errors
    ///
    /// When the claims cannot stand in a token or do not fit a cookie. The old claims stay then,
    /// where there are any.
    pub fn provide_claims(&self, claims: C) -> Result<(), UpdateClaimsError> {
        let mut state = self.state();
        if state.closed {
            return Err(UpdateClaimsError::Closed);
        }
        state.claims_asked = true;
        self.replace_claims(&mut state, claims)
    }

    fn replace_claims(&self, state: &mut State<C>, claims: C) -> Result<(), UpdateClaimsError> {
        let engine = &self.0.engine;
        let (now, activity) = (self.0.opened.timestamp(), self.0.activity);
        let State { record, held, undecoded, signing_in, .. } = state;
        if let Some(pending) = signing_in {
            let token = engine.mint_first(&pending.identity, &claims)?;
            let session =
                Session::new(pending.identity.clone(), Arc::new(claims), Arc::clone(record));
            pending.ready = Some((session, token));
            return Ok(());
        }
        let (identity, place, size) = match (&*held, &*undecoded) {
            (Some(held), _) if held.renew => (held.session.peek().clone(), held.place, held.size),
            (Some(held), _) => {
                let renewed = engine.renewed(held.session.peek(), activity, now);
                (renewed, held.place, held.size)
            }
            (None, Some(Undecoded { identity, place })) => (identity.clone(), *place, 0),
            (None, None) => return Err(UpdateClaimsError::SignedOut),
        };
        engine.mint_first(&identity, &claims)?;
        if undecoded.take().is_some() {
            *record = Arc::new(RequestRecord::new(
                SessionStatusKind::SignedIn,
                Some(identity.clone()),
                record.uri.clone(),
                record.now,
                Arc::clone(&record.redirects),
            ));
        }
        let session = Session::new(identity, Arc::new(claims), Arc::clone(record));
        *held = Some(Held { session, place, size, renew: true });
        Ok(())
    }

    /// Nobody could say what the claims are: whoever can do without goes on.
    pub(crate) fn claims_failed(&self) {
        self.state().claims_asked = true;
    }

    /// Whether somebody signs in with this request whose claims have not been asked for.
    pub(crate) fn signs_in_unasked(&self) -> bool {
        let state = self.state();
        state.signing_in.is_some() && !state.claims_asked
    }

    /// Whether a cookie of ours came with the request.
    pub(crate) fn was_presented(&self) -> bool {
        !self.state().presented.places.is_empty()
    }

    /// The session that this request acts as, whether or not its claims decode.
    pub(crate) fn acting(&self) -> Option<SessionId> {
        self.state().acting().map(|acting| acting.identity.id())
    }

    /// Whether a sign-in has no claims to sign.
    pub(crate) fn lacks_claims(&self) -> bool {
        self.state().signing_in.as_ref().is_some_and(|pending| pending.ready.is_none())
    }
}

/// Why claims were not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateClaimsError {
    /// Nobody is signed in.
    #[error("nobody is signed in")]
    SignedOut,
    /// The claims do not fit.
    #[error(transparent)]
    Refused(SignInError),
    /// The response is already on its way.
    #[error("the response has been sent: change claims while the request is handled")]
    Closed,
}

impl From<MintError> for UpdateClaimsError {
    fn from(error: MintError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<ClaimsError> for UpdateClaimsError {
    fn from(error: ClaimsError) -> Self {
        Self::Refused(error.into())
    }
}
