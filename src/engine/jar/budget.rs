//! The bytes of the cookie budget that sessions take: their tokens, their proofs and the active cookie.

use super::state::JarState;
use crate::engine::{
    session::identity::SessionIdentity, session_engine::SessionEngine, sign_in::SignInError,
};

impl<C> JarState<C> {
    /// The bytes that sessions, their proofs and the active cookie take, also those that this response sets.
    pub(crate) fn session_bytes(&self, engine: &SessionEngine<C>) -> usize {
        let current = self.current.as_ref().or(self.unserved.as_ref());
        let staged = self.staged.as_ref().and_then(|staged| staged.ready.as_ref());
        let tokens = current.map(|current| current.size).into_iter();
        let tokens = tokens.chain(staged.map(|(_, token)| token.len()));
        let active = engine.multi_session().map(|_| engine.active_cookie_size());
        let tokens = tokens.map(|token| engine.cookie_size(token)).chain(active);
        let proof = current.map(|it| self.proof_bytes_of(engine, it.session.identity()));
        tokens.chain(proof).sum::<usize>() + self.bytes_of_others(engine)
    }

    /// Checks the budget for `session` with a token of `size` bytes.
    pub(super) fn check_budget(
        &self,
        engine: &SessionEngine<C>,
        session: &SessionIdentity,
        size: usize,
    ) -> Result<(), SignInError> {
        let Some(several) = engine.multi_session() else { return Ok(()) };
        let own = engine.cookie_size(size) + self.proof_bytes_of(engine, session);
        let bytes = self.bytes_of_others(engine) + own + engine.active_cookie_size();
        let budget = several.cookie_budget;
        if bytes > budget { Err(SignInError::CookieBudget { bytes, budget }) } else { Ok(()) }
    }

    /// The bytes that the cookies of the other sessions take.
    fn bytes_of_others(&self, engine: &SessionEngine<C>) -> usize {
        let proofs = self.presented.proof_cookies(engine.session_cookie());
        let read = self.others.accounts.iter().map(|account| {
            let id = account.identity().id();
            let has_proof = proofs.iter().any(|(of, _)| **of == *id.as_str().as_bytes());
            let will_have_proof = account.identity().device().is_some() && !has_proof;
            engine.cookie_size(account.size)
                + if will_have_proof { engine.proof_size(id) } else { 0 }
        });
        let unread = self.others.unread.iter().flat_map(|unread| &unread.tokens);
        let unread = unread.map(|token| engine.cookie_size(token.len()));
        let acting = self.acting().map(|acting| acting.identity.id());
        let proofs = proofs
            .iter()
            .filter(|(id, _)| acting.is_none_or(|acting| **id != *acting.as_str().as_bytes()));
        read.chain(unread).chain(proofs.map(|(_, bytes)| *bytes)).sum()
    }

    /// The bytes that the proof of `session` takes, or will take once the browser has renewed it.
    pub(super) fn proof_bytes_of(
        &self,
        engine: &SessionEngine<C>,
        session: &SessionIdentity,
    ) -> usize {
        if session.device().is_none() {
            return 0;
        }
        let id = session.id();
        self.presented
            .proof_cookie(engine.session_cookie(), id)
            .unwrap_or_else(|| engine.proof_size(id))
    }
}
