//! What the store is asked about the session of a bearer token.

use std::sync::Arc;

use super::renew::corrupt;
use crate::{
    engine::{event::SessionEvent, jar::SessionJar, session::identity::SessionIdentity},
    middleware::{
        context::{Kept, Wiring},
        store_client::{
            Retry,
            renewal_cache::{Answer, Confirmed},
        },
    },
    store::record::SessionKey,
    time::Timestamp,
};

impl<C: Send + Sync + 'static> Wiring<C> {
    /// Asks whether the session of a bearer token lives, where that cannot be known from what ended
    /// since it was made. It is no renewal: a bearer token keeps nobody signed in.
    pub(crate) async fn confirm_bearer(&self, jar: &SessionJar<C>) {
        let (Some(kept), Some(session)) = (&self.kept, jar.bearer_to_confirm()) else { return };
        let (id, now) = (session.id(), jar.opened_at());
        // Before the feed is read nothing is remembered long enough.
        let is_news = |known: &Confirmed| {
            self.engine.trusts(known.asked_at) && self.engine.is_recent(known.asked_at, now)
        };
        let lives = if kept.confirmations.remembered(id).is_some_and(|known| is_news(&known)) {
            Some(true)
        } else {
            match kept.confirmations.join(id, || self.presence(kept, &session, now)).await {
                Answer::Lives(_) => Some(true),
                Answer::Over => Some(false),
                Answer::Unavailable => {
                    self.engine.tell(&SessionEvent::StoreUnavailable { operation: "load" });
                    self.is_in_grace(&session, now).then_some(true)
                }
            }
        };
        jar.answer_bearer(id, lives);
    }

    /// Whether a token that is due is believed while the store is away. One of before something was
    /// missed is not.
    fn is_in_grace(&self, session: &SessionIdentity, now: Timestamp) -> bool {
        let grace = self.terms.grace;
        self.engine.trusts(session.issued_at())
            && self.engine.is_recent(session.issued_at().saturating_add(grace), now)
    }

    /// Asks the store, for all who wait.
    fn presence(
        &self,
        kept: &Kept,
        session: &SessionIdentity,
        now: Timestamp,
    ) -> impl Future<Output = Answer> + Send + 'static + use<C> {
        let (kept, clock, deadline) = (kept.clone(), Arc::clone(&self.clock), self.terms.deadline);
        let keys = [SessionKey::from(session)];
        async move {
            let keeper = &kept.keeper;
            let found = keeper
                .ask("load", Retry::Once, deadline, &*clock, |store| store.load(&keys, now))
                .await;
            match found.as_deref() {
                Ok([None]) => Answer::Over,
                Ok([Some(record)]) if keys == [record.key()] => {
                    let last_active_at = record.last_active_at;
                    Answer::Lives(Confirmed { asked_at: now, last_active_at })
                }
                Ok(_) => {
                    corrupt("load");
                    Answer::Unavailable
                }
                Err(_) => Answer::Unavailable,
            }
        }
    }
}
