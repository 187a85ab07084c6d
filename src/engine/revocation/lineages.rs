//! [`Lineages`]: the lineages of sessions without a store, in the memory of this process.

use std::sync::{Mutex, PoisonError};

use super::bounded_map::BoundedMap;
use crate::{
    engine::session::{
        id::SessionId,
        lineage::{Lineage, LineageRequest},
    },
    time::Timestamp,
};

/// Bounded: the session that was renewed longest ago is dropped first, and its next renewal starts
/// again.
#[derive(Debug)]
pub(crate) struct Lineages(Mutex<BoundedMap<SessionId, Lineage>>);

impl Lineages {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Mutex::new(BoundedMap::new(capacity)))
    }

    /// The lineage of `id` after the renewal, in one atomic step.
    pub(crate) fn renew(
        &self,
        id: SessionId,
        request: &LineageRequest,
        now: Timestamp,
    ) -> Option<Lineage> {
        let mut lineages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lineages.get(&id).copied();
        let lineage = request.apply(known, now);
        if let Some(lineage) = lineage.filter(|_| lineage != known) {
            lineages.put(id, lineage);
        }
        lineage
    }
}
