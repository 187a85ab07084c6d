//! [`GroupCommit`]: writes that wait for each other share one commit.
//!
//! A commit waits for the disk, which takes much longer than the write itself. Where the database has
//! one writer at a time, the writes that wait for their turn therefore run one after another in one
//! transaction, each in a savepoint of its own, and are acknowledged after its commit. A write that
//! fails is undone by itself. If the transaction fails, every write in it fails: none is acknowledged.
//!
//! The writes run in a task of their own: a caller that stops waiting neither delays nor undoes the
//! writes of others.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sqlx::{Pool, pool::PoolConnection};
use tokio::sync::{OwnedMutexGuard, oneshot};

use super::{
    dialect::{Boxed, Dialect},
    prefix::Prefix,
    transaction::{Transaction, close},
};
use crate::store::error::StoreError;

/// How many writes one transaction has at most, so that the first does not wait too long.
const MAX_WRITES: usize = 64;

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
}

/// Runs a write in the open transaction, or fails it where there is none.
type QueuedWrite<D> =
    Box<dyn FnOnce(Result<Savepoint<D>, StoreError>) -> Boxed<'static, Acknowledge> + Send>;

/// Sends the result of a write to its caller, once the outcome of the commit is known.
type Acknowledge = Box<dyn FnOnce(Result<(), &StoreError>) + Send>;

/// The connection of the open transaction, for one write.
pub(in crate::store) struct Savepoint<D: Dialect> {
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
    Abandoned,
}

impl<D: Dialect> GroupCommit<D> {
    /// Runs `write` in a transaction with the writes that wait, and returns its result after the commit.
    pub(in crate::store) async fn run<T: Send + 'static>(
        &self,
        pool: &Pool<D::Database>,
        prefix: &Prefix,
        write: impl for<'t> FnOnce(Transaction<'t, D>) -> Boxed<'t, Result<T, StoreError>>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let prefix = prefix.clone();
        self.push(Box::new(move |savepoint| Box::pin(run_write(savepoint, prefix, write, sender))));
        self.start(pool);
        let stopped = || Err(StoreError::unavailable("the runtime of the write has stopped"));
        receiver.await.unwrap_or_else(|_| stopped())
    }

    fn push(&self, write: QueuedWrite<D>) {
        self.lock().writes.push_back(write);
    }

    /// Starts the task that runs the writes, unless one runs.
    fn start(&self, pool: &Pool<D::Database>) {
        if std::mem::replace(&mut self.lock().is_running, true) {
            return;
        }
        let mut running = Running { writes: self.clone(), has_stopped: false };
        let pool = pool.clone();
        tokio::spawn(async move {
            while let Some(first) = running.next_or_stop() {
                running.writes.run_group(first, &pool).await;
            }
        });
    }

    /// The turn to write, for transactions that share no commit.
    pub(in crate::store) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    async fn run_group(&self, first: QueuedWrite<D>, pool: &Pool<D::Database>) {
        let mut acknowledgements = Vec::new();
        let committed = self.run_writes(first, pool, &mut acknowledgements).await;
        for acknowledge in acknowledgements {
            acknowledge(committed.as_ref().copied());
        }
    }

    async fn run_writes(
        &self,
        first: QueuedWrite<D>,
        pool: &Pool<D::Database>,
        acknowledgements: &mut Vec<Acknowledge>,
    ) -> Result<(), StoreError> {
        let (prefix, turn) = (Prefix::DEFAULT, Some(self.turn().await));
        let mut transaction = match Transaction::<D>::begin(pool, &prefix, turn, None).await {
            Ok(transaction) => transaction,
            Err(error) => {
                acknowledgements.push(first(Err(error)).await);
                return Err(StoreError::unavailable("no transaction was begun"));
            }
        };
        let mut next = Some(first);
        while let Some(write) = next {
            let returned = Arc::<ReturnedConnection<D>>::default();
            let savepoint = transaction.lend(Arc::clone(&returned))?;
            acknowledgements.push(write(Ok(savepoint)).await);
            transaction.take_back(&returned).await?;
            next = if acknowledgements.len() < MAX_WRITES {
                self.lock().writes.pop_front()
            } else {
                None
            };
        }
        transaction.commit().await
    }

    fn lock(&self) -> MutexGuard<'_, Queue<D>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs one write. Its result is sent when the commit has succeeded.
async fn run_write<D: Dialect, T: Send + 'static>(
    savepoint: Result<Savepoint<D>, StoreError>,
    prefix: Prefix,
    write: impl for<'t> FnOnce(Transaction<'t, D>) -> Boxed<'t, Result<T, StoreError>> + Send,
    sender: oneshot::Sender<Result<T, StoreError>>,
) -> Acknowledge {
    let result = match savepoint {
        // The caller has stopped waiting before the write has begun.
        Ok(savepoint) if sender.is_closed() => {
            savepoint.give_back();
            return Box::new(|_| ());
        }
        Ok(savepoint) => match Transaction::savepoint(savepoint, &prefix).await {
            Ok(transaction) => write(transaction).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    Box::new(move |committed| {
        let result = match (result, committed) {
            (Ok(_), Err(error)) => {
                let cause = format!("the transaction with other writes failed: {error:?}");
                Err(StoreError::unavailable(cause))
            }
            (result, _) => result,
        };
        // An error means that the caller has stopped waiting.
        let _ = sender.send(result);
    })
}

impl<D: Dialect> Savepoint<D> {
    fn give_back(self) {
        self.returned.leave(self.connection, WriteState::Finished);
    }
}

/// A task that runs writes. If it is dropped before it has stopped, a later write starts another one,
/// and the writes that wait fail.
struct Running<D: Dialect> {
    writes: GroupCommit<D>,
    /// From then on another task may run.
    has_stopped: bool,
}

impl<D: Dialect> Running<D> {
    /// The next write; without one the task stops.
    fn next_or_stop(&mut self) -> Option<QueuedWrite<D>> {
        let mut queue = self.writes.lock();
        let next = queue.writes.pop_front();
        queue.is_running = next.is_some();
        self.has_stopped = next.is_none();
        next
    }
}

impl<D: Dialect> Drop for Running<D> {
    fn drop(&mut self) {
        if self.has_stopped {
            return;
        }
        let dropped = {
            let mut queue = self.writes.lock();
            queue.is_running = false;
            std::mem::take(&mut queue.writes)
        };
        drop(dropped);
    }
}

impl<D: Dialect> Clone for GroupCommit<D> {
    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue), turn: Arc::clone(&self.turn) }
    }
}

impl<D: Dialect> Default for GroupCommit<D> {
    fn default() -> Self {
        let queue = Queue { writes: VecDeque::new(), is_running: false };
        Self { queue: Arc::new(Mutex::new(queue)), turn: Arc::default() }
    }
}

impl<D: Dialect> fmt::Debug for GroupCommit<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupCommit").field("waiting", &self.lock().writes.len()).finish()
    }
}
