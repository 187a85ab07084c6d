//! How a jar is found in the extensions of its request.

use std::sync::Arc;

use super::{Inner, SessionJar, Shared};
use crate::engine::request::{session::SessionStatus, state::RequestRecord};

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// What leads back here.
    pub(super) fn status_of(&self, record: Arc<RequestRecord>) -> SessionStatus {
        SessionStatus::new(record, Arc::<RequestRecord<Inner<C>>>::clone(&self.0.0))
    }
}

impl SessionStatus {
    /// The jar of the nearest layer whose claims are `C`, for who has no extractor.
    #[must_use]
    pub fn jar<C: Send + Sync + 'static>(&self) -> Option<SessionJar<C>> {
        let (jar, outer) = self.parts();
        match Arc::clone(jar).downcast() {
            Ok(record) => Some(SessionJar(Shared(record))),
            Err(_) => outer?.jar(),
        }
    }
}
