//! [`WaiterRegistry`]: wakes whoever waits for the end of a session.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use crate::engine::session::id::SessionId;

/// Those who wait, by session. Each takes its place away with it when it goes.
#[derive(Debug, Default)]
pub(crate) struct WaiterRegistry(Mutex<WaiterMap>);

#[derive(Debug, Default)]
struct WaiterMap {
    wakers: HashMap<SessionId, HashMap<u64, Waker>>,
    next: u64,
}

/// A place among those who wait for one session.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    bell: &'a WaiterRegistry,
    id: SessionId,
    number: u64,
}

impl WaiterRegistry {
    /// A place for somebody who waits for the end of `id`.
    pub(crate) fn register(&self, id: SessionId) -> Waiter<'_> {
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        Waiter { bell: self, id, number }
    }

    /// The session `id` is over.
    pub(crate) fn wake(&self, id: SessionId) {
        let wakers = self.lock().wakers.remove(&id);
        // Outside of the lock: who wakes may come back at once.
        wakers.into_iter().flatten().for_each(|(_, waker)| waker.wake());
    }

    /// Many sessions are over: everybody looks for himself.
    pub(crate) fn wake_all(&self) {
        let wakers = std::mem::take(&mut self.lock().wakers);
        wakers.into_values().flatten().for_each(|(_, waker)| waker.wake());
    }

    fn lock(&self) -> MutexGuard<'_, WaiterMap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    /// Has `waker` woken by the next ring. To be called before looking whether the session is over,
    /// so that no ring is missed in between.
    pub(crate) fn wait(&self, waker: &Waker) {
        let mut waiting = self.bell.lock();
        let seats = waiting.wakers.entry(self.id).or_default();
        match seats.get_mut(&self.number) {
            Some(known) => known.clone_from(waker),
            None => drop(seats.insert(self.number, waker.clone())),
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.bell.lock();
        if let Some(seats) = waiting.wakers.get_mut(&self.id) {
            seats.remove(&self.number);
            if seats.is_empty() {
                waiting.wakers.remove(&self.id);
            }
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
    use crate::random::SeededRandom;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn waiter_is_woken_once_and_removed_on_drop() {
        let random = SeededRandom::new(5);
        let [one, other] = [0, 1].map(|_| SessionId::generate(&random).unwrap());
        let bell = WaiterRegistry::default();
        let counts = [0, 1, 2].map(|_| Arc::new(Count::default()));
        let rung = || counts.each_ref().map(|count| count.0.load(Ordering::Relaxed));
        let seats = [bell.register(one), bell.register(one), bell.register(other)];
        let wait = || {
            for (seat, count) in seats.iter().zip(&counts) {
                seat.wait(&Waker::from(Arc::clone(count)));
            }
        };
        wait();
        wait();
        bell.wake(one);
        assert_eq!(rung(), [1, 1, 0], "once each");
        bell.wake(one);
        assert_eq!(rung(), [1, 1, 0]);
        wait();
        bell.wake_all();
        assert_eq!(rung(), [2, 2, 1]);
        wait();
        drop(seats);
        assert!(bell.lock().wakers.is_empty());
    }
}
