//! [`SessionAttributes`]: optional data that few sessions have, behind one pointer, so that other
//! sessions stay small.

use std::sync::Arc;

use super::{
    actor::Actor,
    device_key::BoundDevice,
    factor::{Factor, FactorTimes},
    task::SessionTask,
};
use crate::time::Timestamp;

/// The tasks, actor, verified factors and device of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SessionAttributes {
    /// `Some` while the session is pending.
    pub(crate) tasks: Option<Box<[SessionTask]>>,
    pub(crate) actor: Option<Actor>,
    pub(crate) factors: FactorTimes,
    /// The device that the session is bound to.
    pub(crate) device: Option<BoundDevice>,
}

impl SessionAttributes {
    /// The shared form; `None` if no attribute is set.
    pub(crate) fn shared(self) -> Option<Arc<Self>> {
        let is_plain = self.tasks.is_none()
            && self.actor.is_none()
            && self.factors.is_empty()
            && self.device.is_none();
        (!is_plain).then(|| Arc::new(self))
    }

    /// A copy with `factor` verified at `at`.
    pub(crate) fn verified(mut self, factor: Factor, at: Timestamp) -> Self {
        self.factors.set(factor, at);
        self
    }
}
