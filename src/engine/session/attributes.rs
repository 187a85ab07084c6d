//! [`SessionAttributes`]: what few sessions have. All of it is behind one pointer, so that the others do not
//! pay for it.

use std::sync::Arc;

use super::{
    actor::Actor,
    factor::{Factor, FactorTimes},
    task::SessionTask,
};
use crate::time::Timestamp;

/// What makes a session more, or less, than a plain one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SessionAttributes {
    /// `Some` while the session is pending.
    pub(crate) tasks: Option<Box<[SessionTask]>>,
    pub(crate) actor: Option<Actor>,
    pub(crate) factors: FactorTimes,
}

impl SessionAttributes {
    /// Shared, unless there is nothing to say.
    pub(crate) fn shared(self) -> Option<Arc<Self>> {
        let is_plain = self.tasks.is_none() && self.actor.is_none() && self.factors.is_empty();
        (!is_plain).then(|| Arc::new(self))
    }

    /// The same, with `factor` verified at `at`.
    pub(crate) fn verified(mut self, factor: Factor, at: Timestamp) -> Self {
        self.factors.set(factor, at);
        self
    }
}
