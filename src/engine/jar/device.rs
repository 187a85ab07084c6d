//! Binding the session of a request to a device, and renewing its proof.

use super::{
    SessionJar,
    claims::UpdateClaimsError,
    state::{CurrentSession, JarState},
};
use crate::{
    engine::{
        event::SessionEvent,
        session::{
            device_key::{BoundDevice, DeviceKey, DeviceProofError},
            id::SessionId,
            identity::SessionIdentity,
        },
    },
    time::Timestamp,
};

/// What the response tells the browser about the device of the request's session.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DeviceChanges {
    /// Whether it offers the browser to bind the session.
    pub(crate) offers: bool,
    /// The session whose proof it carries.
    pub(crate) proves: Option<SessionId>,
    /// Whether the session is bound by this request.
    pub(crate) registers: bool,
}

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// Offers the browser to bind this request's session to a key of its device, and renews the session's
    /// token with this response. Browsers that cannot do it ignore the offer.
    ///
    /// The response to a sign-in always makes the offer. Call this for sessions that signed in before
    /// [`device_bound`](crate::engine::SessionEngineBuilder::device_bound) was switched on. Verify the user
    /// first: a thief who has the session's cookie could accept the offer.
    ///
    /// Does nothing while `device_bound` is off, and for a session that is bound or pending.
    ///
    /// ```
    /// use tower_auth_session::{SessionJar, engine::Factor, error::UpdateClaimsError};
    ///
    /// /// After the user has entered the password once more.
    /// fn confirmed(jar: &SessionJar) -> Result<(), UpdateClaimsError> {
    ///     jar.mark_verified(Factor::First)?;
    ///     jar.bind_device();
    ///     Ok(())
    /// }
    /// ```
    pub fn bind_device(&self) {
        self.renew_now();
        self.state().device.offers = true;
    }

    /// Binds the session that this request acts as to `key`, with this response.
    pub(crate) fn register_device(&self, key: DeviceKey) -> Result<(), DeviceProofError> {
        let engine = self.engine();
        let device = BoundDevice::new(key);
        let bound = |current: &CurrentSession<C>| self.next_of(current).with_device(Some(device));
        let (next, size, mut guard) = self.encode_next(bound).map_err(|error| match error {
            UpdateClaimsError::Refused(_) => DeviceProofError::TooLarge,
            _ => DeviceProofError::Missing,
        })?;
        let state = &mut *guard;
        state.check_budget(engine, &next, size).map_err(|_| DeviceProofError::TooLarge)?;
        // With a store, the store decides which key is the first.
        let has_store = self.host().has_store();
        if !has_store && !engine.bind_session(next.id(), key, self.0.opened) {
            return Err(DeviceProofError::OtherKey);
        }
        state.device.proves = Some(next.id());
        state.device.registers = true;
        let JarState { current, updated_state, .. } = state;
        if let Some(current) = current {
            *updated_state = Some(self.updated_for(&next));
            current.change(next);
        }
        Ok(())
    }

    /// Applies the store's response that the session `id` is bound to a key, which the token does not name.
    /// A token that the browser sent before it received the bound one is served once more, but not renewed.
    pub(crate) fn on_key_mismatch(&self, id: SessionId, bound_at: Timestamp) {
        let engine = self.engine();
        let is_in_flight = engine.is_in_flight(bound_at, self.0.opened);
        let mut state = self.state();
        // The request may have changed a session before it switched to another one. With a token from
        // before the binding, these changes are not written.
        state.outgoing.retain(|current| current.session.identity().id() != id);
        let JarState { current, updated_state, device, stored, .. } = &mut *state;
        let current_id = |it: &mut CurrentSession<C>| it.session.identity().id() == id;
        let Some(mut refused) = current.take_if(current_id) else { return };
        let session = refused.session.identity().with_times(refused.presented);
        let is_unbound = session.device().is_none();
        let key = engine.missing_device(&session).filter(|_| is_in_flight && refused.changed);
        if key.is_some() {
            // The application's changes are written into a token with the key, once the store has
            // confirmed the key.
            let next = refused.session.identity().with_device(key);
            refused.session = refused.session.with_identity(next);
            *current = Some(refused);
            return;
        }
        if is_in_flight && is_unbound {
            *updated_state = Some(self.updated_for(&session));
            refused.session = refused.session.with_identity(session);
            (refused.renew, refused.changed) = (false, false);
            stored.confirmed.push(id);
            *current = Some(refused);
            return;
        }
        let registers = device.registers;
        *device = DeviceChanges::default();
        drop(state);
        let kind = self.status_without_session();
        self.state().updated_state = Some(self.updated(kind, None));
        let is_other = registers || !is_unbound;
        let reason =
            if is_other { DeviceProofError::OtherKey } else { DeviceProofError::UnboundToken };
        engine.emit(&SessionEvent::DeviceProofRefused { session_id: id, reason });
    }

    /// Renews the proof of the session that this request acts as, with this response.
    pub(crate) fn renew_proof(&self, id: SessionId) {
        self.state().device.proves = Some(id);
    }

    /// The session that a request to an endpoint for devices names and presents.
    pub(crate) fn device_session(&self) -> Option<SessionIdentity> {
        let named = self.0.facts.named.session()?;
        let state = self.state();
        let session = state.current.as_ref()?.session.identity();
        (session.id() == named).then(|| session.clone())
    }

    /// Whether the request names a session by its id.
    pub(crate) fn names_session(&self) -> bool {
        self.0.facts.named.session().is_some()
    }
}

impl<C> SessionJar<C> {
    /// Whether sessions are bound to devices from now on.
    pub(crate) fn can_bind_devices(&self) -> bool {
        self.engine().binds_devices()
            && self.effects().is_none_or(|effects| effects.can_bind_devices())
    }
}
