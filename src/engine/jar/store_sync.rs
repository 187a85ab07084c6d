//! What a request queries the store for and reports to it: checks, renewals, creations and revocations
//! of sessions.

use std::time::Duration;

use super::{SessionJar, device::DeviceChanges, driver::PendingRevocation, state::JarState};
use crate::{
    engine::{
        cookie::set_cookie::CookieSlot,
        event::SessionEvent,
        request::presented::RequestedSession,
        session::{
            device::Device,
            expiry::{Liveness, SessionTimes},
            id::SessionId,
            identity::{SessionIdentity, SessionStatusKind},
            lineage::LineageVerdict,
            renewal::{ConfirmedSession, RenewalDecision},
        },
    },
    time::ClockReading,
};

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// See [`JarDriver::renewal_request`](super::driver::JarDriver::renewal_request).
    pub(crate) fn renewal_request(&self) -> Option<SessionIdentity> {
        self.renewal_target().map(|(session, _)| session)
    }

    /// The session that the store must confirm, and whether the token that was presented was due.
    pub(crate) fn renewal_target(&self) -> Option<(SessionIdentity, bool)> {
        self.renewal_target_in(&self.state())
    }

    pub(super) fn renewal_target_in(&self, state: &JarState<C>) -> Option<(SessionIdentity, bool)> {
        if state.closed {
            return None;
        }
        let going_out = state.current.iter().filter(|current| current.renew).chain(&state.outgoing);
        let mut unconfirmed = going_out
            .filter(|current| !state.stored.confirmed.contains(&current.session.identity().id()));
        let current = unconfirmed.next()?;
        let (session, presented) = (current.session.identity(), current.presented);
        let limits = self.engine().limits(session.terms());
        let now = self.0.opened;
        let is_due = limits.liveness(presented, self.0.facts.activity, now) != Liveness::Fresh
            || !self.engine().trusts(presented.issued_at);
        Some((session.clone(), is_due))
    }

    /// See [`JarDriver::handle_renewal`](super::driver::JarDriver::handle_renewal).
    pub(crate) fn handle_renewal(&self, id: SessionId, decision: RenewalDecision) {
        match decision {
            RenewalDecision::Active(confirmed) => self.on_renewed(id, confirmed),
            RenewalDecision::Revoked => self.mark_revoked(id),
            RenewalDecision::KeyMismatch { bound_at } => self.on_key_mismatch(id, bound_at),
            RenewalDecision::Unavailable { grace } => self.on_store_unavailable(id, grace),
        }
    }

    fn on_renewed(&self, id: SessionId, confirmed: ConfirmedSession) {
        let ConfirmedSession { asked_at, last_active_at, compared, .. } = confirmed;
        // A later time was recorded by a node whose clock is ahead by more than the allowed skew. Other
        // nodes would reject a token with this time.
        let latest = self.now().timestamp().saturating_add(self.engine().clock_skew());
        let recorded = Some(last_active_at).filter(|recorded| *recorded <= latest);
        let mut state = self.state();
        state.stored.confirmed.push(id);
        let JarState { current, outgoing, updated_state, .. } = &mut *state;
        let going_out = current.iter_mut().chain(outgoing.iter_mut());
        for current in going_out.filter(|current| current.session.identity().id() == id) {
            let session = current.session.identity();
            let recorded = recorded.unwrap_or_else(|| session.dates().last_active_at);
            let dates = SessionTimes {
                last_active_at: recorded.max(current.presented.last_active_at),
                ..session.dates()
            };
            let asked_at = asked_at.max(current.presented.issued_at);
            let dates = self.engine().limits(session.terms()).renew(dates, false, asked_at);
            if dates != session.dates() {
                let session = session.with_times(dates);
                *updated_state = Some(self.updated_for(&session));
                current.session = current.session.with_identity(session);
            }
        }
        drop(state);
        if let Some(compared) = compared {
            self.apply_lineage(id, compared.verdict);
        }
    }

    /// Applies the result of the comparison of lineages for the token that the session `id` presented.
    pub(super) fn apply_lineage(&self, id: SessionId, verdict: LineageVerdict) {
        let mut state = self.state();
        let JarState { current, outgoing, updated_state, .. } = &mut *state;
        let going_out = current.iter_mut().chain(outgoing.iter_mut());
        for current in going_out.filter(|current| current.session.identity().id() == id) {
            let session = current.session.identity().clone();
            let session = match verdict {
                LineageVerdict::Continue(next) | LineageVerdict::Copy { next: Some(next) } => {
                    session.with_lineage(Some(next))
                }
                // The application changed the session, so the response carries a token with these changes.
                // It keeps the lineage id that the browser presented.
                LineageVerdict::Wait if current.changed => continue,
                LineageVerdict::Wait => {
                    current.renew = false;
                    session.with_times(current.presented)
                }
                LineageVerdict::Copy { next: None } => continue,
                LineageVerdict::Alarmed { at, .. } => {
                    let mut attributes =
                        session.standing().map(|it| (**it).clone()).unwrap_or_default();
                    attributes.factors.distrust_until(at);
                    session.with_attributes(attributes.shared())
                }
            };
            *updated_state = Some(self.updated_for(&session));
            current.session = current.session.with_identity(session);
        }
    }

    fn on_store_unavailable(&self, id: SessionId, grace: Duration) {
        let (engine, now) = (self.engine(), self.0.opened);
        let mut state = self.state();
        // The application's changes to these sessions are lost. The caller must report it.
        state.outgoing.retain(|current| current.session.identity().id() != id);
        let Some(mut current) =
            state.current.take_if(|current| current.session.identity().id() == id)
        else {
            return;
        };
        let session = current.session.identity().with_times(current.presented);
        let limits = engine.limits(session.terms());
        let is_fresh =
            limits.liveness(current.presented, self.0.facts.activity, now) == Liveness::Fresh;
        let age = now.saturating_since(current.presented.issued_at);
        let is_young = age < limits.renewal_age().saturating_add(grace);
        // While this process may have missed revocations, a young token may belong to a revoked session.
        let is_accepted = engine.trusts(current.presented.issued_at) && (is_fresh || is_young);
        let kind = if is_accepted { session.kind() } else { SessionStatusKind::Unavailable };
        state.updated_state = Some(self.updated(kind, is_accepted.then(|| session.clone())));
        current.session = current.session.with_identity(session);
        (current.renew, current.changed) = (false, false);
        // Only the store can decide which key is the first: without its response, no key is bound.
        if state.device.registers {
            state.device = DeviceChanges::default();
        }
        if is_accepted { state.current = Some(current) } else { state.unserved = Some(current) }
    }

    /// See [`JarDriver::accounts_to_verify`](super::driver::JarDriver::accounts_to_verify).
    pub(crate) fn accounts_to_verify(&self) -> Vec<SessionIdentity> {
        self.verify_other_cookies();
        let (engine, now) = (self.engine(), self.0.opened);
        let state = self.state();
        let others = state.others.accounts.iter().map(|account| account.identity());
        others
            .filter(|session| {
                let limits = engine.limits(session.terms());
                limits.liveness(session.dates(), false, now) != Liveness::Fresh
                    || !engine.trusts(session.issued_at())
            })
            .cloned()
            .collect()
    }

    /// Removes from the list of accounts one whose token was issued before its session was bound to a
    /// device. The session and the cookie stay.
    pub(crate) fn drop_account(&self, id: SessionId) {
        self.state().others.accounts.retain(|account| account.identity().id() != id);
    }

    /// See [`JarDriver::mark_revoked`](super::driver::JarDriver::mark_revoked).
    pub(crate) fn mark_revoked(&self, id: SessionId) {
        let (engine, now) = (self.engine(), self.now());
        let (found, was_acting) = {
            let state = self.state();
            let is_meant =
                |current: &&super::state::CurrentSession<C>| current.session.identity().id() == id;
            let outgoing = state.outgoing.iter().find(is_meant);
            let outgoing =
                outgoing.map(|current| (current.session.identity().clone(), current.place));
            let live = state.live().into_iter().find(|session| session.identity.id() == id);
            let found =
                live.and_then(|session| Some((session.identity, session.place?))).or(outgoing);
            (found, state.acting().is_some_and(|acting| acting.identity.id() == id))
        };
        let Some((session, place)) = found else { return };
        engine.end(&session, now);
        let mut state = self.state();
        self.forget(&mut state, id);
        if session.device().is_some() {
            state.findings.removable.push((CookieSlot::Proof(id), vec![id]));
        }
        state.findings.removable.push((place, vec![id]));
        drop(state);
        if was_acting {
            let kind = self.status_without_session();
            self.state().updated_state = Some(self.updated(kind, None));
        }
        engine.emit(&SessionEvent::Revoked { session });
    }

    /// The status of the request after its session was revoked. No other account becomes active.
    pub(super) fn status_without_session(&self) -> SessionStatusKind {
        if self.0.facts.named != RequestedSession::None {
            return SessionStatusKind::SessionMismatch;
        }
        self.verify_other_cookies();
        let others = !self.state().others.accounts.is_empty();
        if others && self.engine().multi_session().is_some() {
            SessionStatusKind::AccountSelectionRequired
        } else {
            SessionStatusKind::SignedOut
        }
    }

    /// See [`JarDriver::create_request`](super::driver::JarDriver::create_request).
    pub(crate) fn create_request(&self) -> Option<SessionIdentity> {
        self.state().create_request()
    }

    /// The device of the sign-in: stated by the application, or derived from the `User-Agent`.
    pub(crate) fn device(&self, name: impl FnOnce(&str) -> Option<String>) -> Device {
        let (said, is_known) = {
            let state = self.state();
            let pending = state.staged.as_ref();
            let said = pending.and_then(|pending| pending.device.clone());
            (said, pending.is_some_and(|pending| pending.activates.is_some()))
        };
        said.unwrap_or_else(|| {
            // The pending session's device is kept.
            if is_known {
                return Device::default();
            }
            let user_agent = self.0.facts.user_agent.as_ref().and_then(|value| value.to_str().ok());
            Device::new(user_agent.and_then(name).as_deref(), None)
        })
    }

    /// See [`JarDriver::replaces`](super::driver::JarDriver::replaces).
    pub(crate) fn replaces(&self) -> Option<SessionId> {
        self.state().staged.as_ref()?.activates
    }

    /// See [`JarDriver::handle_created`](super::driver::JarDriver::handle_created).
    pub(crate) fn handle_created(&self, session: &SessionIdentity) {
        let mut state = self.state();
        match &state.staged {
            Some(pending) if pending.identity.id() == session.id() => {
                state.stored.created = Some(session.id());
            }
            // Withdrawn while the store was recording it.
            _ => state.stored.abandoned_sign_ins.push(session.clone()),
        }
    }

    /// See [`JarDriver::take_revocations`](super::driver::JarDriver::take_revocations).
    pub(crate) fn take_revocations(&self) -> Vec<PendingRevocation> {
        std::mem::take(&mut self.state().stored.revocations)
    }

    /// See [`JarDriver::take_abandoned_sign_ins`](super::driver::JarDriver::take_abandoned_sign_ins).
    pub(crate) fn take_abandoned_sign_ins(&self) -> Vec<SessionIdentity> {
        std::mem::take(&mut self.state().stored.abandoned_sign_ins)
    }

    /// Queues the revocation of sign-ins that no response carries.
    pub(crate) fn revoke_abandoned_sign_ins(&self) -> Vec<SessionIdentity> {
        let abandoned = self.take_abandoned_sign_ins();
        if let Some(effects) = self.effects() {
            abandoned.iter().for_each(|session| effects.ended(session, effects.now()));
        }
        abandoned
    }

    /// See [`JarDriver::revoked_by_sign_in`](super::driver::JarDriver::revoked_by_sign_in).
    pub(crate) fn revoked_by_sign_in(&self) -> Vec<SessionIdentity> {
        let state = self.state();
        let ended = state.staged.iter().flat_map(|pending| pending.displacement.all());
        ended.map(|ended| ended.identity.clone()).collect()
    }

    /// Revokes `session` in this process and queues the revocation for the store. The jar must not
    /// be locked.
    pub(super) fn revoke_here(&self, session: &SessionIdentity, now: ClockReading) {
        self.engine().end(session, now);
        if let Some(effects) = self.effects() {
            effects.ended(session, now);
        }
        self.state().stored.revocations.push(PendingRevocation::Session(session.clone()));
    }

    /// Whether the application changed claims that have not been written yet.
    pub(crate) fn has_changed_claims(&self, id: SessionId) -> bool {
        let state = self.state();
        let mut going_out = state.current.iter().chain(&state.outgoing);
        going_out.any(|current| current.session.identity().id() == id && current.changed)
    }
}

impl<C> JarState<C> {
    pub(super) fn create_request(&self) -> Option<SessionIdentity> {
        let pending = self.staged.as_ref().filter(|pending| pending.ready.is_some())?;
        let is_kept = self.stored.created == Some(pending.identity.id());
        (!self.closed && !is_kept).then(|| pending.identity.clone())
    }

    /// Withdraws a sign-in that no response has carried.
    pub(crate) fn withdraw_staged(&mut self) -> Option<SessionIdentity> {
        let pending = self.staged.take()?;
        if self.stored.created.take_if(|id| *id == pending.identity.id()).is_some() {
            self.stored.abandoned_sign_ins.push(pending.identity.clone());
        }
        Some(pending.identity)
    }
}
