//! What a response states about the device of its session: the proof, and the offer to bind.

use super::CloseContext;
use crate::{
    engine::{
        close::cookies::SetCookies,
        cookie::set_cookie::CookieSlot,
        session::{id::SessionId, identity::SessionIdentity},
        session_engine::SessionEngine,
    },
    time::ClockReading,
};

impl<C> CloseContext<C> {
    /// The session that the browser is offered to bind: one that signs in now, or the current one.
    pub(super) fn offered_session(&self) -> Option<SessionId> {
        let current = || {
            let current = self.current.as_ref().filter(|_| self.device.offers)?;
            Some(current.session.identity())
        };
        let session = match &self.staged {
            Some(staged) => Some(&staged.identity),
            None => current(),
        };
        let may_bind = |it: &&SessionIdentity| !it.is_pending() && it.device().is_none();
        session.filter(may_bind).map(SessionIdentity::id)
    }

    /// The session whose proof the response carries.
    pub(super) fn proven_session(&self) -> Option<SessionIdentity> {
        let current = self.current.as_ref().filter(|_| self.staged.is_none())?;
        let session = current.session.identity();
        (self.device.proves == Some(session.id())).then(|| session.clone())
    }
}

impl<C> SessionEngine<C> {
    /// Writes the proof of `session`, unless it was revoked meanwhile.
    pub(super) fn write_proof(
        &self,
        session: &SessionIdentity,
        now: ClockReading,
        written: &mut SetCookies,
    ) {
        if let Some(key) = session.device_key().filter(|_| !self.is_revoked(session)) {
            let cookie = self.proof_cookie(session, key, now.timestamp());
            written.add(CookieSlot::Proof(session.id()), cookie);
        }
    }

    /// Removes the proof of `session`, which has ended.
    pub(super) fn remove_proof(&self, session: &SessionIdentity, written: &mut SetCookies) {
        if session.device().is_some() {
            let slot = CookieSlot::Proof(session.id());
            written.add(slot, self.session_cookie().remove(slot));
        }
    }
}
