//! [`BoundSessions`]: the device-bound sessions that this process knows, so that it refuses their tokens
//! from before the binding, and ends streams whose device proves nothing any more.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::bounded_map::BoundedMap;
use crate::{
    engine::session::{device_key::DeviceBinding, id::SessionId},
    time::Timestamp,
};

/// Bounded: the session that was bound or proven longest ago is dropped first. With a store its unbound
/// tokens are then refused once they are due for renewal, without one they are accepted again.
#[derive(Debug)]
pub(crate) struct BoundSessions {
    /// Whether a session was ever bound: until then, no request takes the lock.
    is_used: AtomicBool,
    sessions: Mutex<BoundedMap<SessionId, BoundSession>>,
}

#[derive(Debug, Clone, Copy)]
struct BoundSession {
    binding: DeviceBinding,
    /// When the latest proof expires.
    proven_until: Timestamp,
}

impl BoundSessions {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { is_used: AtomicBool::new(false), sessions: Mutex::new(BoundedMap::new(capacity)) }
    }

    /// Binds the session `id`, unless it is bound already: the first key wins. Returns the binding,
    /// and whether it is new.
    pub(crate) fn bind(&self, id: SessionId, binding: DeviceBinding) -> (DeviceBinding, bool) {
        let mut bound = self.lock();
        if let Some(known) = bound.get(&id) {
            return (known.binding, false);
        }
        bound.put(id, BoundSession { binding, proven_until: Timestamp::EPOCH });
        self.is_used.store(true, Ordering::Release);
        (binding, true)
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<DeviceBinding> {
        self.find(id).map(|known| known.binding)
    }

    /// Records that the session `id`, which is bound, has a proof until then.
    pub(crate) fn prove(&self, id: SessionId, until: Timestamp) {
        let mut bound = self.lock();
        if let Some(known) = bound.get(&id).copied() {
            let proven_until = known.proven_until.max(until);
            bound.put(id, BoundSession { proven_until, ..known });
        }
    }

    /// When the latest proof of the session `id` expires that this process has seen or issued.
    pub(crate) fn proven_until(&self, id: SessionId) -> Option<Timestamp> {
        self.find(id).map(|known| known.proven_until)
    }

    fn find(&self, id: SessionId) -> Option<BoundSession> {
        if !self.is_used.load(Ordering::Acquire) {
            return None;
        }
        self.lock().get(&id).copied()
    }

    fn lock(&self) -> MutexGuard<'_, BoundedMap<SessionId, BoundSession>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
