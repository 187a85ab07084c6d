//! Signing in and out.

use std::sync::Arc;

use super::{
    SessionJar,
    state::{Change, Pending},
};
use crate::engine::{
    event::SessionEvent,
    id::SessionId,
    session::{Session, SessionIdentity, Terms},
    sign_in::{SignIn, SignInError, SignInOutcome},
};

impl<C> SessionJar<C> {
    /// Signs somebody in: a new session under a new id, whatever the request presented (ASVS 7.2.4).
    /// The session that was there is replaced, and ends when the response goes out.
    ///
    /// # Errors
    ///
    /// When the claims cannot stand in a token or do not fit a cookie, the request was forged by
    /// another site, or there is no key or no randomness to make a session of. Nothing has changed
    /// then.
    pub fn sign_in(&self, sign_in: SignIn<C>) -> Result<SignInOutcome, SignInError> {
        let engine = &self.0.engine;
        if let Some(reason) = self.0.cross_origin
            && !sign_in.allow_cross_origin
        {
            engine.tell(&SessionEvent::CrossOriginRefused { reason });
            return Err(SignInError::CrossOrigin(reason));
        }
        if !sign_in.lifetime.is_sound() {
            return Err(SignInError::Lifetime);
        }
        let id = engine.new_id()?;
        let terms = Terms { lifetime: sign_in.lifetime, persistent: sign_in.persistent };
        let dates = engine.limits(terms).sign_in(self.0.opened.timestamp());
        let identity = SessionIdentity::new(id, sign_in.subject, dates, terms);

        let mut state = self.state();
        if state.closed {
            return Err(SignInError::Closed);
        }
        let ready = match sign_in.claims {
            Some(claims) => {
                let token = engine.mint_first(&identity, &claims)?;
                let record = Arc::clone(&state.record);
                Some((Session::new(identity.clone(), Arc::new(claims), record), token))
            }
            None => None,
        };
        let replaces = state.live();
        let replaced = replaces.first().map(SessionIdentity::id);
        state.change = Change::SignIn(Box::new(Pending { identity, ready, replaces }));
        state.claims_asked = false;
        Ok(SignInOutcome { session_id: id, replaced })
    }

    /// Signs out the session that this request acts as, if any, and takes its cookie from the
    /// browser. It is dead in this process at once.
    pub fn sign_out(&self) -> Option<SessionIdentity> {
        self.sign_out_all().into_iter().next()
    }

    /// Signs out the session `id` if it is signed in here; else nothing happens.
    pub fn sign_out_session(&self, id: SessionId) -> Option<SessionIdentity> {
        let is_here = {
            let state = self.state();
            match &state.change {
                Change::SignIn(pending) => pending.identity.id() == id,
                _ => state.live().iter().any(|session| session.id() == id),
            }
        };
        if is_here { self.sign_out() } else { None }
    }

    /// Signs out every session of this browser. The session cookie goes, whether or not there was a
    /// session in it.
    ///
    /// After the response has been sent, over a WebSocket for one, the sessions still end; the
    /// cookie then goes when it is next presented.
    pub fn sign_out_all(&self) -> Vec<SessionIdentity> {
        let now = self.now();
        let mut state = self.state();
        let ended = match std::mem::replace(&mut state.change, Change::None) {
            // Never sent to anybody, so there is nothing to end but what it would have replaced.
            Change::SignIn(pending) => pending.replaces,
            Change::SignOut(before) => {
                state.change = Change::SignOut(before);
                Vec::new()
            }
            Change::None => state.live(),
        };
        state.held = None;
        state.undecoded = None;
        state.others.clear();
        if !state.closed && !matches!(state.change, Change::SignOut(_)) {
            state.change = Change::SignOut(ended.clone());
        }
        drop(state);
        for session in &ended {
            self.0.engine.end(session, now);
            self.0.engine.tell(&SessionEvent::SignedOut { session: session.clone() });
        }
        ended
    }

    /// A sign-in that failed while it was committed: nobody is signed in, nothing has ended.
    pub(super) fn withdraw_sign_in(&self) {
        let mut state = self.state();
        if matches!(state.change, Change::SignIn(_)) {
            state.change = Change::None;
        }
    }
}
