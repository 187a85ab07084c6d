//! [`SingleFlight`]: callers that need the same result at the same time share one call.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    hash::Hash,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// The calls in flight, by key. Clones share them.
pub(crate) struct SingleFlight<K: Eq + Hash, V>(Arc<Calls<K, V>>);

type Calls<K, V> = Mutex<HashMap<K, watch::Receiver<Option<V>>>>;

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Joins the call for `key` that is in flight, or starts the call that `start` returns.
    ///
    /// A call runs in its own task, so that a caller that stops waiting does not cancel it for the
    /// others. Without a tokio runtime the caller that started the call runs it while it waits.
    /// `start` runs under the lock of all calls: no other call for `key` starts between its decision
    /// and the entry of the call.
    pub(crate) fn join_or_start<F>(
        &self,
        key: K,
        start: impl FnOnce() -> Option<F>,
    ) -> SharedCall<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut calls = self.lock();
        if let Some(receiver) = calls.get(&key) {
            return SharedCall { receiver: Some(receiver.clone()), work: None };
        }
        let Some(call) = start() else { return SharedCall { receiver: None, work: None } };
        let (sender, receiver) = watch::channel(None);
        calls.insert(key.clone(), receiver.clone());
        drop(calls);
        let entry = Entry { key, calls: self.clone() };
        let work = async move {
            let value = call.await;
            // Removed before the result is sent: a caller that comes later starts a new call.
            drop(entry);
            sender.send_replace(Some(value));
        };
        let work: Option<Work> = match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(work);
                None
            }
            Err(_) => Some(Box::pin(work)),
        };
        SharedCall { receiver: Some(receiver), work }
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A call that one caller waits for, perhaps with others.
pub(crate) struct SharedCall<V> {
    receiver: Option<watch::Receiver<Option<V>>>,
    /// Without a runtime, the call if this caller started it.
    work: Option<Work>,
}

impl<V: Clone + Send + Sync + 'static> SharedCall<V> {
    /// The result; `None` if `start` returned no call, or the call panicked or was cancelled.
    pub(crate) async fn result(self) -> Option<V> {
        if let Some(work) = self.work {
            work.await;
        }
        // An error means that the call was dropped without a result.
        self.receiver?.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl<K: Eq + Hash, V> SingleFlight<K, V> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<Option<V>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry of a call. Dropping it removes the entry, also when the call panics or is cancelled.
struct Entry<K: Eq + Hash, V> {
    key: K,
    calls: SingleFlight<K, V>,
}

impl<K: Eq + Hash, V> Drop for Entry<K, V> {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.key);
    }
}

impl<K: Eq + Hash, V> Clone for SingleFlight<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash, V> fmt::Debug for SingleFlight<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").field("in_flight", &self.lock().len()).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use std::future::{pending, ready};

    use futures::{FutureExt as _, executor::block_on, future::join_all};
    use tokio::{
        runtime::{Builder, Runtime},
        sync::oneshot,
        task::yield_now,
    };

    use super::SingleFlight;

    type Calls = SingleFlight<&'static str, u32>;

    /// A call whose result the test sends; it panics when the sender is dropped.
    async fn received(receiver: oneshot::Receiver<u32>) -> u32 {
        receiver.await.unwrap()
    }

    fn is_empty(calls: &Calls) -> bool {
        calls.lock().is_empty()
    }

    fn never_called() -> Option<std::future::Ready<u32>> {
        panic!("a call for this key is in flight")
    }

    #[tokio::test]
    async fn simultaneous_callers_share_one_call() {
        let calls = Calls::default();
        let (sender, receiver) = oneshot::channel();
        let first = calls.join_or_start("a", || Some(received(receiver))).result();
        let others: Vec<_> =
            (0..100).map(|_| calls.clone().join_or_start("a", never_called).result()).collect();
        assert_eq!(
            calls.join_or_start("b", || Some(ready(2))).result().await,
            Some(2),
            "another key"
        );
        sender.send(1).unwrap();
        assert_eq!(first.await, Some(1));
        assert_eq!(join_all(others).await, vec![Some(1); 100]);
    }

    #[tokio::test]
    async fn completed_call_is_removed_before_its_result_is_seen() {
        let calls = Calls::default();
        for round in 0..3 {
            assert_eq!(calls.join_or_start("a", || Some(ready(round))).result().await, Some(round));
            assert!(is_empty(&calls), "round {round}");
        }
    }

    #[tokio::test]
    async fn dropped_caller_does_not_cancel_the_call() {
        let calls = Calls::default();
        let (sender, receiver) = oneshot::channel();
        let never_polled = calls.join_or_start("a", || Some(received(receiver))).result();
        let mut polled = Box::pin(calls.join_or_start("a", never_called).result());
        let waits = calls.join_or_start("a", never_called).result();
        assert_eq!(polled.as_mut().now_or_never(), None);
        drop((never_polled, polled));
        sender.send(1).unwrap();
        assert_eq!(waits.await, Some(1));
        assert!(is_empty(&calls));
    }

    #[tokio::test]
    async fn panicking_call_releases_its_callers() {
        let calls = Calls::default();
        let (sender, receiver) = oneshot::channel();
        let first = calls.join_or_start("a", || Some(received(receiver))).result();
        let second = calls.join_or_start("a", never_called).result();
        drop(sender);
        assert_eq!((first.await, second.await), (None, None));
        assert!(is_empty(&calls));
        assert_eq!(calls.join_or_start("a", || Some(ready(2))).result().await, Some(2));
    }

    #[tokio::test]
    async fn declined_start_leaves_no_entry() {
        let calls = Calls::default();
        assert_eq!(
            calls.join_or_start("a", || None::<std::future::Ready<u32>>).result().await,
            None
        );
        assert!(is_empty(&calls));
    }

    #[test]
    fn panicking_start_leaves_no_entry() {
        let calls = Calls::default();
        let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            drop(calls.join_or_start("a", never_called).result());
        }));
        assert!(started.is_err());
        assert_eq!(block_on(calls.join_or_start("a", || Some(ready(2))).result()), Some(2));
    }

    #[test]
    #[expect(clippy::async_yields_async, reason = "the call must outlive the runtime")]
    fn runtime_shutdown_releases_the_callers() {
        let calls = Calls::default();
        let runtime: Runtime = Builder::new_current_thread().build().unwrap();
        let waits = runtime.block_on(async {
            let waits = calls.join_or_start("a", || Some(pending())).result();
            yield_now().await;
            waits
        });
        drop(runtime);
        assert_eq!(block_on(waits), None);
        assert!(is_empty(&calls));
    }

    #[test]
    fn first_caller_runs_the_call_without_a_runtime() {
        let calls = Calls::default();
        let (sender, receiver) = oneshot::channel();
        let mut first = Box::pin(calls.join_or_start("a", || Some(received(receiver))).result());
        let mut second = Box::pin(calls.join_or_start("a", never_called).result());
        assert_eq!(first.as_mut().now_or_never(), None);
        assert_eq!(second.as_mut().now_or_never(), None);
        sender.send(1).unwrap();
        assert_eq!(block_on(first), Some(1));
        assert_eq!(block_on(second), Some(1));
        assert!(is_empty(&calls));
        // Dropped, it releases the callers that wait for it.
        let first = calls.join_or_start("a", || Some(pending())).result();
        let second = calls.join_or_start("a", never_called).result();
        drop(first);
        assert_eq!(block_on(second), None);
        assert!(is_empty(&calls));
    }
}
