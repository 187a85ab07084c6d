//! What a store said of the sessions of this process: asked once for all requests that wait, and
//! remembered for as long as a token would be believed.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::{
    engine::{revocation::bounded_map::BoundedMap, session::id::SessionId},
    time::Timestamp,
};

/// How many sessions are remembered.
const REMEMBERED: usize = 10_000;

/// What a store said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenewalResult {
    Lives(ConfirmedRenewal),
    Over,
    Unavailable,
}

/// A session that lived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConfirmedRenewal {
    /// Before the store was asked.
    pub(crate) asked_at: Timestamp,
    pub(crate) last_active_at: Timestamp,
}

pub(crate) struct RenewalCache {
    remembered: Mutex<Remembered>,
    under_way: Mutex<HashMap<SessionId, watch::Receiver<Option<RenewalResult>>>>,
}

struct Remembered {
    confirmed: BoundedMap<SessionId, ConfirmedRenewal>,
    era: Generation,
}

/// The time between two losses of memory: what was asked in one is not remembered in the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(u64);

impl RenewalCache {
    pub(crate) fn new() -> Self {
        let remembered = Remembered { confirmed: BoundedMap::new(REMEMBERED), era: Generation(0) };
        Self { remembered: Mutex::new(remembered), under_way: Mutex::default() }
    }

    pub(crate) fn remembered(&self, id: SessionId) -> Option<ConfirmedRenewal> {
        lock(&self.remembered).confirmed.get(&id).copied()
    }

    pub(crate) fn era(&self) -> Generation {
        lock(&self.remembered).era
    }

    /// Remembers what was asked since `era`.
    pub(crate) fn remember(&self, id: SessionId, confirmed: ConfirmedRenewal, era: Generation) {
        let mut remembered = lock(&self.remembered);
        if remembered.era == era {
            remembered.confirmed.put(id, confirmed);
        }
    }

    /// Something was missed: nothing that was said before counts.
    pub(crate) fn remove_session(&self) {
        let mut remembered = lock(&self.remembered);
        remembered.confirmed = BoundedMap::new(REMEMBERED);
        remembered.era.0 += 1;
    }

    /// Has `id` confirmed by `ask`, unless somebody asks already: then theirs is the answer. It
    /// belongs to no request: whoever drops this takes it from nobody.
    pub(crate) async fn get_or_fetch<F>(
        self: &Arc<Self>,
        id: SessionId,
        ask: impl FnOnce() -> F,
    ) -> RenewalResult
    where
        F: Future<Output = RenewalResult> + Send + 'static,
    {
        let era = self.era();
        let (mut receiver, first) = {
            let mut under_way = lock(&self.under_way);
            match under_way.get(&id) {
                Some(receiver) => (receiver.clone(), None),
                None => {
                    let (sender, receiver) = watch::channel(None);
                    under_way.insert(id, receiver.clone());
                    (receiver, Some(InFlight { id, era, book: Arc::clone(self), sender }))
                }
            }
        };
        if let Some(first) = first {
            let asking = ask();
            let work = async move { first.complete(asking.await) };
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(work)),
                Err(_) => work.await,
            }
        }
        match receiver.wait_for(Option::is_some).await {
            Ok(answer) => answer.unwrap_or(RenewalResult::Unavailable),
            Err(_) => RenewalResult::Unavailable,
        }
    }
}

/// A question to the store. Dropped without an answer, who waits for it learns that there is none.
struct InFlight {
    id: SessionId,
    era: Generation,
    book: Arc<RenewalCache>,
    sender: watch::Sender<Option<RenewalResult>>,
}

impl InFlight {
    fn complete(self, answer: RenewalResult) {
        if let RenewalResult::Lives(confirmed) = answer {
            self.book.remember(self.id, confirmed, self.era);
        }
        self.sender.send_replace(Some(answer));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        lock(&self.book.under_way).remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
