//! [`GroupCommit`]: writes that wait for each other share one commit.
//!
//! A commit waits for the disk, which takes much longer than the write itself. Where the database has
//! one writer at a time, the writes that wait for their turn therefore run one after another in one
//! transaction, and are acknowledged after its commit. A write of several statements has a savepoint of
//! its own. A write that fails is undone by itself. If the transaction fails, every write in it fails: none is acknowledged.
//!
//! The writes run in a task of their own: a caller that stops waiting neither delays nor undoes the
//! writes of others. A task runs on the runtime of the caller that started it, which may stop polling
//! it while others wait: after [`STALLED`] one of these starts another task. Writes stay in the queue
//! until their transaction is open, so the second task finds them.

use std::{
    collections::VecDeque,
    fmt,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use sqlx::{Pool, pool::PoolConnection};
use tokio::{
    sync::{OwnedMutexGuard, oneshot},
    time::timeout,
};

use super::{
    dialect::{Boxed, Dialect},
    prefix::Prefix,
    transaction::{Transaction, close},
};
use crate::store::error::StoreError;

/// How many writes one transaction has at most, so that the first does not wait too long.
const MAX_WRITES: usize = 64;

/// How long a write waits in a queue that does not move before another task is started.
const STALLED: Duration = Duration::from_millis(500);

/// The writes that wait, of all stores in one database of this process. Clones share them.
pub(in crate::store) struct GroupCommit<D: Dialect> {
    queue: Arc<Mutex<Queue<D>>>,
    /// Held by the only transaction of this process that writes: the database would make others retry
    /// repeatedly.
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct Queue<D: Dialect> {
    writes: VecDeque<QueuedWrite<D>>,
    /// A task runs the writes.
    is_running: bool,
    /// How many writes have left the queue.
    taken: u64,
}

struct QueuedWrite<D: Dialect> {
    run: RunWrite<D>,
    /// The caller that waits. One that has stopped waiting gets no write.
    caller: Weak<()>,
}

/// Runs a write in the open transaction, or fails it where there is none.
type RunWrite<D> =
    Box<dyn FnOnce(Result<LentConnection<D>, StoreError>) -> Boxed<'static, Acknowledge> + Send>;

/// Sends the result of a write to its caller, once the outcome of the commit is known.
type Acknowledge = Box<dyn FnOnce(Result<(), &StoreError>) + Send>;

/// The connection of the open transaction, for one write.
pub(in crate::store) struct LentConnection<D: Dialect> {
    pub(in crate::store) connection: PoolConnection<D::Database>,
    pub(in crate::store) returned: Arc<ReturnedConnection<D>>,
}

/// Where a write leaves the connection when it has finished, and whether it must be undone. Nothing is
/// left if the connection had an error.
pub(in crate::store) struct ReturnedConnection<D: Dialect>(
    Mutex<Option<(PoolConnection<D::Database>, WriteState)>>,
);

impl<D: Dialect> ReturnedConnection<D> {
    /// Leaves a connection that is usable.
    pub(in crate::store) fn leave(
        &self,
        connection: PoolConnection<D::Database>,
        state: WriteState,
    ) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((connection, state));
    }

    pub(in crate::store) fn take(&self) -> Option<(PoolConnection<D::Database>, WriteState)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<D: Dialect> Default for ReturnedConnection<D> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

/// After a panic in a write the connection is still in the transaction: the pool must not get it.
impl<D: Dialect> Drop for ReturnedConnection<D> {
    fn drop(&mut self) {
        if let Some((connection, _)) = self.take() {
            close(connection);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum WriteState {
    Finished,
    /// Its savepoint exists.
    Abandoned,
    /// It was one statement without a savepoint.
    StatementFailed,
}

impl<D: Dialect> GroupCommit<D> {
    /// Runs `write` in a transaction with the writes that wait, and returns its result after the commit.
    /// `committed` is called after the commit of a write that succeeded, also if its caller has stopped
    /// waiting.
    pub(in crate::store) async fn run<T: Send + 'static>(
        &self,
        pool: &Pool<D::Database>,
        prefix: &Prefix,
        is_one_statement: bool,
        committed: impl FnOnce() + Send + 'static,
        write: impl for<'t> FnOnce(Transaction<'t, D>) -> Boxed<'t, Result<T, StoreError>>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let (prefix, caller) = (prefix.clone(), Arc::new(()));
        let run: RunWrite<D> = Box::new(move |connection| {
            Box::pin(run_write(connection, prefix, is_one_statement, write, committed, sender))
        });
        let mut taken = self.push(QueuedWrite { run, caller: Arc::downgrade(&caller) }, pool);
        let mut receiver = pin!(receiver);
        loop {
            match timeout(STALLED, receiver.as_mut()).await {
                Ok(Ok(result)) => return result,
                Ok(Err(_)) => {
                    return Err(StoreError::unavailable("the runtime of the write has stopped"));
                }
                Err(_) => taken = self.restart_if_stalled(taken, pool),
            }
        }
    }

    /// Adds a write, and starts the task that runs the writes, unless one runs. Returns how many writes
    /// have left the queue.
    fn push(&self, write: QueuedWrite<D>, pool: &Pool<D::Database>) -> u64 {
        let mut queue = self.lock();
        queue.writes.push_back(write);
        let (was_running, taken) = (std::mem::replace(&mut queue.is_running, true), queue.taken);
        drop(queue);
        if !was_running {
            self.start(pool);
        }
        taken
    }

    /// Starts another task if writes wait, none has left the queue since `taken`, and no transaction is
    /// open.
    fn restart_if_stalled(&self, taken: u64, pool: &Pool<D::Database>) -> u64 {
        let mut queue = self.lock();
        let now = queue.taken;
        if now == taken && !queue.writes.is_empty() && self.turn.try_lock().is_ok() {
            queue.is_running = true;
            drop(queue);
            self.start(pool);
        }
        now
    }

    /// Starts a task that runs the writes until none waits.
    fn start(&self, pool: &Pool<D::Database>) {
        let mut running = Running { writes: self.clone(), has_stopped: false };
        let pool = pool.clone();
        tokio::spawn(async move {
            while !running.stop_if_idle() {
                let mut acknowledgements = Vec::new();
                let committed = running.writes.run_writes(&pool, &mut acknowledgements).await;
                // Once its callers have their results, their runtime may poll it no more.
                running.stop_if_idle();
                for acknowledge in acknowledgements {
                    acknowledge(committed.as_ref().copied());
                }
            }
        });
    }

    /// The turn to write, for transactions that share no commit.
    pub(in crate::store) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    async fn run_writes(
        &self,
        pool: &Pool<D::Database>,
        acknowledgements: &mut Vec<Acknowledge>,
    ) -> Result<(), StoreError> {
        let (prefix, turn) = (Prefix::DEFAULT, Some(self.turn().await));
        let mut transaction = match Transaction::<D>::begin(pool, &prefix, turn, None).await {
            Ok(transaction) => transaction,
            Err(error) => {
                if let Some(first) = self.next() {
                    acknowledgements.push((first.run)(Err(error)).await);
                }
                return Err(StoreError::unavailable("no transaction was begun"));
            }
        };
        while acknowledgements.len() < MAX_WRITES
            && let Some(write) = self.next()
        {
            let returned = Arc::<ReturnedConnection<D>>::default();
            let connection = transaction.lend(Arc::clone(&returned))?;
            acknowledgements.push((write.run)(Ok(connection)).await);
            transaction.take_back(&returned).await?;
        }
        transaction.commit().await
    }

    /// The next write whose caller waits.
    fn next(&self) -> Option<QueuedWrite<D>> {
        let mut queue = self.lock();
        queue.drop_abandoned();
        let next = queue.writes.pop_front();
        queue.taken += u64::from(next.is_some());
        next
    }

    fn lock(&self) -> MutexGuard<'_, Queue<D>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs one write. Its result is sent when the commit has succeeded.
async fn run_write<D: Dialect, T: Send + 'static>(
    connection: Result<LentConnection<D>, StoreError>,
    prefix: Prefix,
    is_one_statement: bool,
    write: impl for<'t> FnOnce(Transaction<'t, D>) -> Boxed<'t, Result<T, StoreError>> + Send,
    committed: impl FnOnce() + Send + 'static,
    sender: oneshot::Sender<Result<T, StoreError>>,
) -> Acknowledge {
    let result = match connection {
        Ok(connection) => match Transaction::shared(connection, &prefix, is_one_statement).await {
            Ok(transaction) => write(transaction).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    Box::new(move |outcome| {
        let result = match (result, outcome) {
            (Ok(_), Err(error)) => {
                let cause = format!("the transaction with other writes failed: {error:?}");
                Err(StoreError::unavailable(cause))
            }
            (result, _) => result,
        };
        if result.is_ok() {
            committed();
        }
        // An error means that the caller has stopped waiting.
        let _ = sender.send(result);
    })
}

impl<D: Dialect> Queue<D> {
    /// Drops the writes before the first whose caller waits.
    fn drop_abandoned(&mut self) {
        while self.writes.front().is_some_and(|write| write.caller.strong_count() == 0) {
            self.writes.pop_front();
        }
    }
}

/// A task that runs writes. If it is dropped before it has stopped, a later write or one that waits
/// starts another one.
struct Running<D: Dialect> {
    writes: GroupCommit<D>,
    /// From then on another task may run.
    has_stopped: bool,
}

impl<D: Dialect> Running<D> {
    /// Stops the task if no caller waits for a write. Returns whether it has stopped.
    fn stop_if_idle(&mut self) -> bool {
        if !self.has_stopped {
            let mut queue = self.writes.lock();
            queue.drop_abandoned();
            self.has_stopped = queue.writes.is_empty();
            queue.is_running = !self.has_stopped;
        }
        self.has_stopped
    }
}

impl<D: Dialect> Drop for Running<D> {
    fn drop(&mut self) {
        if !self.has_stopped {
            self.writes.lock().is_running = false;
        }
    }
}

impl<D: Dialect> Clone for GroupCommit<D> {
    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue), turn: Arc::clone(&self.turn) }
    }
}

impl<D: Dialect> Default for GroupCommit<D> {
    fn default() -> Self {
        let queue = Queue { writes: VecDeque::new(), is_running: false, taken: 0 };
        Self { queue: Arc::new(Mutex::new(queue)), turn: Arc::default() }
    }
}

impl<D: Dialect> fmt::Debug for GroupCommit<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupCommit").field("waiting", &self.lock().writes.len()).finish()
    }
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::poll;
    use sqlx::{Sqlite, SqlitePool};
    use tokio::sync::Notify;

    use super::*;

    async fn file() -> SqlitePool {
        SqlitePool::connect("sqlite::memory:").await.unwrap()
    }

    fn ignore(work: Transaction<'_, Sqlite>) -> Boxed<'_, Result<(), StoreError>> {
        Box::pin(work.commit())
    }

    #[tokio::test]
    async fn committed_write_is_announced_although_its_caller_stopped_waiting() {
        let (pool, writes) = (file().await, GroupCommit::<Sqlite>::default());
        let (begun, proceed, announced) =
            (Arc::<Notify>::default(), Arc::<Notify>::default(), Arc::<Notify>::default());
        let (has_begun, may_proceed, announce) =
            (begun.clone(), proceed.clone(), announced.clone());
        let committed = move || announce.notify_one();
        let mut caller =
            Box::pin(writes.run(&pool, &Prefix::DEFAULT, false, committed, move |work| {
                Box::pin(async move {
                    has_begun.notify_one();
                    may_proceed.notified().await;
                    work.commit().await
                })
            }));
        assert!(poll!(caller.as_mut()).is_pending());
        begun.notified().await;
        drop(caller);
        proceed.notify_one();
        announced.notified().await;
    }

    #[tokio::test]
    async fn failed_write_is_not_announced() {
        let (pool, writes) = (file().await, GroupCommit::<Sqlite>::default());
        let announced = Arc::new(AtomicBool::new(false));
        let announce = announced.clone();
        let committed = move || announce.store(true, Ordering::SeqCst);
        let failed = writes.run(&pool, &Prefix::DEFAULT, false, committed, |work| {
            Box::pin(async move {
                work.rollback().await?;
                Err::<(), _>(StoreError::Conflict)
            })
        });
        assert!(matches!(failed.await, Err(StoreError::Conflict)));
        assert!(!announced.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn write_whose_caller_stopped_waiting_begins_no_transaction() {
        let (pool, writes) = (file().await, GroupCommit::<Sqlite>::default());
        let run =
            writes.run(&pool, &Prefix::DEFAULT, true, || panic!("the write was committed"), ignore);
        let mut caller = Box::pin(run);
        assert!(poll!(caller.as_mut()).is_pending());
        drop(caller);
        tokio::task::yield_now().await;
        let queue = writes.lock();
        assert!(queue.writes.is_empty() && !queue.is_running && queue.taken == 0);
    }

    /// A task that another runtime does not poll has started no transaction.
    #[test]
    fn waiting_write_continues_when_the_runtime_of_the_task_is_not_polled() {
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (first, second) = (runtime(), runtime());
        let pool = first.block_on(file());
        let writes = GroupCommit::<Sqlite>::default();
        let run = || writes.run(&pool, &Prefix::DEFAULT, true, || (), ignore);
        let mut unpolled = Box::pin(run());
        first.block_on(async { assert!(poll!(unpolled.as_mut()).is_pending()) });
        second.block_on(run()).unwrap();
        first.block_on(unpolled).unwrap();
        assert!(!writes.lock().is_running);
    }
}
