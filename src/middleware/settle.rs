//! What waits before a request is handled, and before its response goes out: the store's word, the
//! claims source's, and what the store has to be told. In that order, so that nobody's claims are
//! looked up who is signed out, and nothing is said to a browser that the store does not know.

use std::sync::Arc;

use super::{
    confirmations::{Answer, Confirmed},
    keeper::Retry,
    wiring::{Kept, Wiring},
};
use crate::{
    engine::{CommitError, RenewalAnswer, SessionEvent, SessionIdentity, SessionJar, Subject},
    store::{Created, EndAll, Ending, Renewal, Renewed, SessionKey, SessionRecord},
    user_agent,
};

impl<C: Send + Sync + 'static> Wiring<C> {
    /// Does what can be done before a response is known. A sign-in that fails is withdrawn.
    pub(crate) async fn settle(self: Arc<Self>, jar: SessionJar<C>) -> Result<(), CommitError> {
        let settled = self.agree(&jar).await;
        if settled.is_err() {
            jar.withdraw_sign_in();
        }
        // Whoever signed out is told so only when the store knows.
        let told = self.tell_ends(&jar).await;
        settled.and(told)
    }

    /// The same for a response that goes out with it: what a sign-in replaces ends.
    pub(crate) async fn finish(self: Arc<Self>, jar: SessionJar<C>) -> Result<(), CommitError> {
        Arc::clone(&self).settle(jar.clone()).await?;
        if self.kept.is_some() {
            let now = self.clock.now();
            let ends = jar.ends_by_sign_in();
            for session in &ends {
                crate::engine::Effects::ended(&*self, session, now);
            }
            // They are over here in any case, and the sign-in is good: who replaced them need not
            // wait until the store can be told.
            let _ = self.end(&ends).await;
        }
        Ok(())
    }

    async fn agree(&self, jar: &SessionJar<C>) -> Result<(), CommitError> {
        let mut lost = false;
        loop {
            while let (Some(kept), Some(session)) = (&self.kept, jar.renewal_wanted()) {
                let answer = self.confirm(kept, jar, &session).await;
                let is_unknown = matches!(answer, RenewalAnswer::Unavailable { .. });
                lost |= is_unknown && jar.has_changed_claims(session.id());
                jar.answer_renewal(session.id(), answer);
            }
            self.provide_claims(jar).await?;
            if self.kept.is_none() || jar.renewal_wanted().is_none() {
                break;
            }
        }
        if lost {
            return Err(CommitError::StoreUnavailable);
        }
        match (&self.kept, jar.creation_wanted()) {
            (Some(kept), Some(session)) => self.create(kept, jar, &session).await,
            _ => Ok(()),
        }
    }

    /// Whether `session` lives, by what is remembered or by the store.
    async fn confirm(
        &self,
        kept: &Kept,
        jar: &SessionJar<C>,
        session: &SessionIdentity,
    ) -> RenewalAnswer {
        let (now, activity) = (jar.opened_at(), jar.is_activity());
        let is_news = |known: &Confirmed| {
            let Confirmed { asked_at, last_active_at } = *known;
            self.engine.would_be_fresh(session, asked_at, last_active_at, activity, now)
        };
        let lives = |Confirmed { asked_at, last_active_at }| RenewalAnswer::Lives {
            asked_at,
            last_active_at,
        };
        // Somebody who asked for a background poll may have recorded no activity: then once more.
        for is_last in [false, true] {
            let remembered = kept.confirmations.remembered(session.id());
            let remembered = remembered.filter(|known| self.engine.trusts(known.asked_at));
            if let Some(known) = remembered.filter(is_news) {
                return lives(known);
            }
            let ask = || self.renewal(kept, session.clone());
            match kept.confirmations.join(session.id(), ask).await {
                Answer::Lives(known) if is_news(&known) || is_last => return lives(known),
                Answer::Lives(_) => {}
                Answer::Over => return RenewalAnswer::Over,
                Answer::Unavailable => break,
            }
        }
        self.engine.tell(&SessionEvent::StoreUnavailable { operation: "renew" });
        RenewalAnswer::Unavailable { grace: self.terms.grace }
    }

    /// Asks the store, for all who wait.
    fn renewal(
        &self,
        kept: &Kept,
        session: SessionIdentity,
    ) -> impl Future<Output = Answer> + Send + 'static + use<C> {
        let (kept, clock, deadline) = (kept.clone(), Arc::clone(&self.clock), self.terms.deadline);
        async move {
            let key = SessionKey::from(&session);
            let (asked_at, last_active_at) = (session.issued_at(), session.last_active_at());
            let renewal = Renewal::new(asked_at, last_active_at, session.expires_at());
            let keeper = &kept.keeper;
            let answer = keeper
                .ask("renew", Retry::Once, deadline, &*clock, |store| store.renew(&key, renewal))
                .await;
            match answer {
                // A record of somebody else's is a fault, and nobody is served by it.
                Ok(Renewed::Lives(record))
                    if record.id != key.id || record.subject != key.subject =>
                {
                    Answer::Unavailable
                }
                Ok(Renewed::Lives(record)) => {
                    let last_active_at = record.last_active_at;
                    Answer::Lives(Confirmed { asked_at, last_active_at })
                }
                Ok(Renewed::Ended | Renewed::Expired | Renewed::Unknown) => Answer::Over,
                Err(_) => Answer::Unavailable,
            }
        }
    }

    async fn create(
        &self,
        kept: &Kept,
        jar: &SessionJar<C>,
        session: &SessionIdentity,
    ) -> Result<(), CommitError> {
        let mut record = SessionRecord::new(
            session.id(),
            session.subject().clone(),
            session.signed_in_at(),
            session.expires_at(),
        );
        record.device = jar.device(user_agent::label);
        let (keeper, limit) = (&kept.keeper, self.terms.limit);
        let created = keeper
            .ask("create", Retry::Never, self.terms.deadline, &*self.clock, |store| {
                store.create(&record, limit)
            })
            .await;
        match created {
            Ok(Created::Kept { ended }) => {
                let now = self.clock.now();
                let until = now.timestamp().saturating_add(self.believed_for());
                for id in ended {
                    self.engine.note_end(id, until, now);
                }
                jar.created(session);
                Ok(())
            }
            Ok(Created::LimitReached) => Err(CommitError::TooManySessions),
            Ok(Created::TooOld) => Err(CommitError::SignedOutMeanwhile),
            Err(_) => {
                // It may have been written all the same: then nobody holds its token, and it ends.
                crate::engine::Effects::ended(self, session, self.clock.now());
                self.engine.tell(&SessionEvent::StoreUnavailable { operation: "create" });
                Err(CommitError::StoreUnavailable)
            }
        }
    }

    async fn tell_ends(&self, jar: &SessionJar<C>) -> Result<(), CommitError> {
        let ends = jar.take_ends();
        let mut is_told = self.end(&ends).await;
        for subject in jar.take_ends_everywhere() {
            is_told &= self.end_everywhere(subject).await;
        }
        if is_told { Ok(()) } else { Err(CommitError::StoreUnavailable) }
    }

    async fn end_everywhere(&self, subject: Subject) -> bool {
        let Some(kept) = &self.kept else { return false };
        let ends = EndAll::of_subject(subject, self.clock.now().timestamp(), None);
        let keeper = &kept.keeper;
        let ended = keeper
            .ask("end_all", Retry::Once, self.terms.deadline, &*self.clock, |store| {
                store.end_all(&ends)
            })
            .await;
        if ended.is_err() {
            kept.ends.push_all(ends);
        }
        ended.is_ok()
    }

    /// Tells the store of the end of `sessions`; whether it knows of all.
    async fn end(&self, sessions: &[SessionIdentity]) -> bool {
        let Some(kept) = &self.kept else { return true };
        let mut is_told = true;
        for session in sessions {
            let now = self.clock.now();
            let key = SessionKey::from(session);
            let ending = Ending::new(now.timestamp(), self.engine.alive_until(session, now));
            let keeper = &kept.keeper;
            let ended = keeper
                .ask("end", Retry::Once, self.terms.deadline, &*self.clock, |store| {
                    store.end(&key, ending)
                })
                .await;
            match ended {
                Ok(()) => kept.ends.is_told(session.id()),
                Err(_) => {
                    is_told = false;
                    let session_id = session.id();
                    self.engine.tell(&SessionEvent::EndUnconfirmed { session_id });
                }
            }
        }
        is_told
    }

    /// Looks up the other accounts of `jar` whose tokens are due: who is over is not offered. A store
    /// that does not answer changes nothing.
    pub(crate) async fn check(self: Arc<Self>, jar: SessionJar<C>) {
        let Some(kept) = &self.kept else { return };
        let sessions = jar.accounts_to_check();
        if sessions.is_empty() {
            return;
        }
        let keys: Vec<_> = sessions.iter().map(SessionKey::from).collect();
        let now = self.clock.now().timestamp();
        let keeper = &kept.keeper;
        let found = keeper
            .ask("load", Retry::Once, self.terms.deadline, &*self.clock, |store| {
                store.load(&keys, now)
            })
            .await;
        match found {
            Ok(found) if found.len() == keys.len() => {
                for (key, _) in keys.iter().zip(found).filter(|(_, found)| found.is_none()) {
                    jar.is_over(key.id);
                }
            }
            _ => self.engine.tell(&SessionEvent::StoreUnavailable { operation: "load" }),
        }
    }

    /// How long any node believes a token without asking.
    pub(super) fn believed_for(&self) -> std::time::Duration {
        self.engine.believed_for().saturating_add(self.terms.grace)
    }
}
