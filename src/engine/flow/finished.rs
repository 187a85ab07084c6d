//! [`FinishedFlows`]: a copy of a flow's cookie is not accepted again.

use std::sync::{Mutex, PoisonError};

use super::FlowId;
use crate::engine::revocation::bounded_map::BoundedMap;

/// About 2 MB. A copy of an older flow can be finished once more until it expires.
const CAPACITY: usize = 10_000;

/// The flows that were finished in this process, up to [`CAPACITY`].
#[derive(Debug)]
pub(crate) struct FinishedFlows(Mutex<BoundedMap<FlowId, ()>>);

impl FinishedFlows {
    /// Marks `id` as finished. Returns whether it was not before.
    pub(crate) fn finish(&self, id: FlowId) -> bool {
        let mut finished = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = finished.get(&id).is_none();
        finished.put(id, ());
        is_first
    }
}

impl Default for FinishedFlows {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(CAPACITY)))
    }
}
