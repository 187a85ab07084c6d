//! [`WaiterRegistry`]: wakes the streams of revoked sessions.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use crate::engine::session::{
    id::{SessionId, Subject},
    identity::SessionIdentity,
};

/// The waiters, by session, and the sessions with waiters, by subject. A waiter removes itself when
/// it is dropped.
#[derive(Debug, Default)]
pub(crate) struct WaiterRegistry(Mutex<WaiterMap>);

#[derive(Debug, Default)]
struct WaiterMap {
    wakers: HashMap<SessionId, HashMap<u64, Waker>>,
    /// How many waiters each session of a subject or of an actor has: revoking the sessions of one
    /// subject must not wake the streams of all others.
    sessions: HashMap<Subject, HashMap<SessionId, usize>>,
    next: u64,
}

/// A task that waits for the revocation of a session.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    registry: &'a WaiterRegistry,
    id: SessionId,
    /// The session's subject and its actors.
    subjects: Vec<Subject>,
    number: u64,
}

impl WaiterRegistry {
    /// Adds a waiter for the end of `session`.
    pub(crate) fn register(&self, session: &SessionIdentity) -> Waiter<'_> {
        let actors = session.actors();
        let mut subjects = vec![session.subject().clone()];
        subjects.extend(actors.map(|actor| actor.subject().clone()));
        let id = session.id();
        let mut waiting = self.lock();
        for subject in &subjects {
            *waiting.sessions.entry(subject.clone()).or_default().entry(id).or_default() += 1;
        }
        let number = waiting.next;
        waiting.next += 1;
        Waiter { registry: self, id, subjects, number }
    }

    /// Wakes the waiters of the session `id`.
    pub(crate) fn wake(&self, id: SessionId) {
        let wakers = self.lock().wakers.remove(&id);
        // Outside the lock: a woken task may call back at once.
        wakers.into_iter().flatten().for_each(|(_, waker)| waker.wake());
    }

    /// Wakes the waiters of all sessions of `subject`, and of those in which it acts as another.
    pub(crate) fn wake_subject(&self, subject: &Subject) {
        let wakers: Vec<_> = {
            let waiting = &mut *self.lock();
            let ids = waiting.sessions.get(subject).into_iter().flat_map(HashMap::keys);
            ids.filter_map(|id| waiting.wakers.remove(id)).collect()
        };
        wakers.into_iter().flatten().for_each(|(_, waker)| waker.wake());
    }

    /// Wakes all waiters: sessions of all subjects were revoked.
    pub(crate) fn wake_all(&self) {
        let wakers = std::mem::take(&mut self.lock().wakers);
        wakers.into_values().flatten().for_each(|(_, waker)| waker.wake());
    }

    fn lock(&self) -> MutexGuard<'_, WaiterMap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    /// Lets the next call of `wake` for the session wake `waker`. Call it before checking whether
    /// the session is revoked, so that a revocation in between is not missed.
    pub(crate) fn wait(&self, waker: &Waker) {
        let mut waiting = self.registry.lock();
        let waiters = waiting.wakers.entry(self.id).or_default();
        match waiters.get_mut(&self.number) {
            Some(known) => known.clone_from(waker),
            None => drop(waiters.insert(self.number, waker.clone())),
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.registry.lock();
        if let Some(waiters) = waiting.wakers.get_mut(&self.id) {
            waiters.remove(&self.number);
            if waiters.is_empty() {
                waiting.wakers.remove(&self.id);
            }
        }
        for subject in &self.subjects {
            waiting.unregister(subject, self.id);
        }
    }
}

impl WaiterMap {
    fn unregister(&mut self, subject: &Subject, id: SessionId) {
        let Some(sessions) = self.sessions.get_mut(subject) else { return };
        if let Entry::Occupied(mut count) = sessions.entry(id) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if sessions.is_empty() {
            self.sessions.remove(subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use crate::engine::revocation::waiters::*;
    use crate::{
        engine::session::{
            actor::Actor,
            attributes::SessionAttributes,
            expiry::{LifetimeOverride, SessionTimes},
            identity::SessionFlags,
        },
        random::SeededRandom,
        time::Timestamp,
    };

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn subject(name: &str) -> Subject {
        Subject::new(name).unwrap()
    }

    fn session(id: SessionId, name: &str, actor: Option<Actor>) -> SessionIdentity {
        let zero = Timestamp::EPOCH;
        let dates = SessionTimes {
            signed_in_at: zero,
            issued_at: zero,
            last_active_at: zero,
            expires_at: zero,
        };
        let flags = SessionFlags {
            lifetime: LifetimeOverride::new(),
            persistent: true,
            pending: false,
            impersonated: actor.is_some(),
            bound_to_engine: true,
        };
        let attributes = SessionAttributes { actor, ..SessionAttributes::default() };
        SessionIdentity::new(id, subject(name), dates, flags, attributes.shared())
    }

    #[test]
    fn wake_reaches_the_session_or_the_subject_and_waiters_remove_themselves() {
        let random = SeededRandom::new(5);
        let [one, other, acted] = [0, 1, 2].map(|_| SessionId::generate(&random).unwrap());
        let ada = session(one, "ada", None);
        let bob = session(other, "bob", None);
        let carol = session(acted, "carol", Some(Actor::new(subject("ada"))));
        let registry = WaiterRegistry::default();
        let counts = [0; 4].map(|_| Arc::new(Count::default()));
        let woken = || counts.each_ref().map(|count| count.0.load(Ordering::Relaxed));
        let waiters = [&ada, &ada, &bob, &carol].map(|session| registry.register(session));
        let wait = || {
            for (waiter, count) in waiters.iter().zip(&counts) {
                waiter.wait(&Waker::from(Arc::clone(count)));
            }
        };
        wait();
        wait();
        registry.wake(one);
        assert_eq!(woken(), [1, 1, 0, 0], "once each");
        registry.wake(one);
        assert_eq!(woken(), [1, 1, 0, 0]);
        wait();
        registry.wake_subject(&subject("ada"));
        assert_eq!(woken(), [2, 2, 0, 1], "and the session in which ada acts as carol");
        wait();
        registry.wake_subject(&subject("linus"));
        assert_eq!(woken(), [2, 2, 0, 1], "the revocation of another subject wakes no stream");
        registry.wake_all();
        assert_eq!(woken(), [3, 3, 1, 2]);
        wait();
        let [first, second, third, fourth] = waiters;
        drop(first);
        registry.wake_subject(&subject("ada"));
        assert_eq!(woken(), [3, 4, 1, 3], "a dropped waiter leaves the others registered");
        drop((second, third, fourth));
        let map = registry.lock();
        assert!(map.wakers.is_empty() && map.sessions.is_empty());
    }
}
