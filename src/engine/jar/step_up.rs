//! Recording that a signed-in user was verified again.

use std::sync::{Arc, MutexGuard};

use super::{
    SessionJar,
    claims::UpdateClaimsError,
    state::{CurrentSession, JarState},
};
use crate::engine::session::{
    attributes::SessionAttributes, factor::Factor, identity::SessionIdentity,
};

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// Records that the application has just verified `factor` again. This response renews the session's
    /// token with the time of the verification, which
    /// [guards](crate::RequireSessionLayer::first_factor_within) that require a recent factor check. Older
    /// tokens of the session do not have it.
    ///
    /// If the session's cookie was copied ([`CopiedCookies::StepUp`](crate::config::CopiedCookies)), a
    /// session with a new id takes its place, and the old one is revoked.
    ///
    /// Neither `auth_time` nor the session's expiry changes. In an impersonated session, call it only if the
    /// actor may do what requires a recent factor.
    ///
    /// If two concurrent requests change the session, one change may be lost, as with
    /// [`update_claims`](Self::update_claims). The user then has to verify the factor again.
    ///
    /// # Errors
    ///
    /// If no user is signed in, tasks are open, the request uses a bearer token, or the token does
    /// not fit in a cookie.
    pub fn mark_verified(&self, factor: Factor) -> Result<(), UpdateClaimsError> {
        let engine = self.engine();
        self.ensure_cookie_session()?;
        if self.verify_distrusted(factor)? {
            return Ok(());
        }
        let (next, size, mut guard) = self.encode_next(|current| self.verified(current, factor))?;
        let state = &mut *guard;
        state.check_budget(engine, &next, size)?;
        let JarState { current, updated_state, device, .. } = state;
        if let Some(current) = current {
            *updated_state = Some(self.updated_for(&next));
            current.change(next);
            // The user was verified, so the browser may bind a session that is not bound yet.
            device.offers = true;
        }
        Ok(())
    }

    /// If the session's cookie was copied, replaces it with a verified session, whose new id the holder of
    /// the copy does not have. Returns whether it did.
    fn verify_distrusted(&self, factor: Factor) -> Result<bool, UpdateClaimsError> {
        let engine = self.engine();
        let (old, next, claims) = {
            let state = self.state();
            let Ok(current) = signed_in(&state) else { return Ok(false) };
            let old = current.session.identity();
            if !old.is_distrusted() {
                return Ok(false);
            }
            // The device is bound to the session that ends.
            let next = self.verified(current, factor).with_device(None);
            (old.id(), next, Arc::clone(current.session.claims()))
        };
        let id = engine.new_id()?;
        let (subject, dates) = (next.subject().clone(), next.dates());
        let new = SessionIdentity::new(id, subject, dates, next.terms(), next.standing().cloned())
            .with_lineage(engine.first_lineage_id());
        self.stage_sign_in(new, Some(claims), None, Some(old))?;
        Ok(true)
    }

    /// Applies `next` to the session that the request acts as. Returns the result and the length of its
    /// token. No lock is held while the application's code encodes the claims, so both are computed again
    /// if the session or its claims have changed in the meantime.
    pub(super) fn encode_next(
        &self,
        next: impl Fn(&CurrentSession<C>) -> SessionIdentity,
    ) -> Result<(SessionIdentity, usize, MutexGuard<'_, JarState<C>>), UpdateClaimsError> {
        let read = |state: &JarState<C>| {
            let current = signed_in(state)?;
            Ok::<_, UpdateClaimsError>((next(current), Arc::clone(current.session.claims())))
        };
        let (mut identity, mut claims) = read(&self.state())?;
        let id = identity.id();
        loop {
            let size = self.engine().reissue(&identity, &claims)?.len();
            let state = self.state();
            let (now, encoded) = (identity, claims);
            (identity, claims) = read(&state)?;
            if identity.id() != id {
                return Err(UpdateClaimsError::SignedOut);
            }
            if identity == now && Arc::ptr_eq(&claims, &encoded) {
                return Ok((identity, size, state));
            }
        }
    }

    fn verified(&self, current: &CurrentSession<C>, factor: Factor) -> SessionIdentity {
        let session = current.session.identity();
        let standing =
            session.standing().map(|it| SessionAttributes::clone(it)).unwrap_or_default();
        self.next_of(current).with_attributes(standing.verified(factor, self.0.opened).shared())
    }
}

/// The session that the request acts as, if it has no open tasks.
fn signed_in<C>(state: &JarState<C>) -> Result<&CurrentSession<C>, UpdateClaimsError> {
    if state.closed {
        return Err(UpdateClaimsError::Closed);
    }
    let current = state.current.as_ref().filter(|_| state.staged.is_none());
    let signed_in = current.filter(|current| !current.session.identity().is_pending());
    signed_in.ok_or(match state.unserved {
        Some(_) => UpdateClaimsError::Unavailable,
        None => UpdateClaimsError::SignedOut,
    })
}
