//! [`BoundSessions`]: the device-bound sessions that this process knows, so that it refuses their tokens
//! from before the binding.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::bounded_map::BoundedMap;
use crate::{
    engine::session::{device_key::DeviceKey, id::SessionId},
    time::Timestamp,
};

/// Bounded: the session that was bound longest ago is dropped first. With a store its unbound tokens are
/// then refused once they are due for renewal, without one they are accepted again.
#[derive(Debug)]
pub(crate) struct BoundSessions(Mutex<BoundedMap<SessionId, SessionBinding>>);

/// To which key a session is bound, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionBinding {
    pub(crate) key: DeviceKey,
    pub(crate) bound_at: Timestamp,
}

impl BoundSessions {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Mutex::new(BoundedMap::new(capacity)))
    }

    /// Binds the session `id`, unless it is bound already: the first key wins. Returns the binding.
    pub(crate) fn bind(&self, id: SessionId, binding: SessionBinding) -> SessionBinding {
        let mut bound = self.lock();
        if let Some(known) = bound.get(&id) {
            return *known;
        }
        bound.put(id, binding);
        binding
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<SessionBinding> {
        self.lock().get(&id).copied()
    }

    fn lock(&self) -> MutexGuard<'_, BoundedMap<SessionId, SessionBinding>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
