//! What the store is asked about the session of a bearer token.

use super::{keeper::Retry, wiring::Wiring};
use crate::{
    engine::{SessionEvent, SessionJar},
    store::SessionKey,
};

impl<C: Send + Sync + 'static> Wiring<C> {
    /// Asks whether the session of a bearer token lives, where that cannot be known from what ended
    /// since it was made. It is no renewal: a bearer token keeps nobody signed in.
    pub(super) async fn confirm_bearer(&self, jar: &SessionJar<C>) {
        let (Some(kept), Some(session)) = (&self.kept, jar.bearer_to_confirm()) else { return };
        let (keys, now) = ([SessionKey::from(&session)], jar.opened_at());
        let found = kept
            .keeper
            .ask("load", Retry::Once, self.terms.deadline, &*self.clock, |store| {
                store.load(&keys, now)
            })
            .await;
        let lives = match found.as_deref() {
            Ok([record]) => Some(record.as_ref().is_some_and(|record| keys == [record.key()])),
            _ => {
                self.engine.tell(&SessionEvent::StoreUnavailable { operation: "load" });
                None
            }
        };
        jar.answer_bearer(session.id(), lives);
    }
}
