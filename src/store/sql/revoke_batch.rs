//! [`RevokeBatches`]: revocations of one process that wait for each other share one statement, and so
//! one commit and one notification.
//!
//! PostgreSQL commits transactions that notify listeners one after another. While one batch is sent, the
//! next revocations form another one. A batch waits for no locked row and fails no revocation: each
//! that it did not revoke is sent by itself.
//!
//! A [`GroupCommit`](super::group_commit::GroupCommit) would take three round trips for each revocation,
//! one after another.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::Postgres;
use tokio::{sync::SetOnce, time::timeout};

use super::{
    Sql,
    queries::end,
    row::{BindValue, int},
    transaction::Transaction,
};
use crate::{
    engine::session::id::SessionId,
    store::{error::StoreError, record::SessionKey, types::Revoke},
};

/// How many revocations one statement has at most.
const MAX_REVOCATIONS: usize = 64;

/// How long a batch waits for the one before it, which may be on a runtime that is not polled.
const TURN: Duration = Duration::from_millis(50);

/// How long a revocation waits for its batch to be sent. Afterwards it is sent by itself.
const STALLED: Duration = Duration::from_millis(100);

/// `$1`: revocations, as JSON. Revokes the sessions whose rows are not locked, and returns their ids.
/// Subqueries for one row use the index, whatever the planner knows of the table.
const END_MANY: &str = concat!(
    "WITH batch AS (SELECT * FROM json_to_recordset($1::JSON) \
     AS batch (id TEXT, subject TEXT, ended_at BIGINT, until BIGINT)), ended AS (",
    end!(
        "SELECT id, subject, 2, ended_at, ended_at, until FROM batch WHERE \
         (SELECT id FROM auth_sessions WHERE id = batch.id FOR UPDATE SKIP LOCKED) IS NOT NULL OR \
         (SELECT id FROM auth_sessions WHERE id = batch.id) IS NULL ORDER BY id"
    ),
    ") INSERT INTO auth_revocations (told_at, kind, session_id) \
     SELECT ended_at, 1, id FROM ended JOIN batch USING (id) RETURNING session_id"
);

/// The batches of one store.
#[derive(Debug, Default)]
pub(in crate::store) struct RevokeBatches {
    /// The batch that revocations join until it is sent.
    open: Mutex<Arc<Batch>>,
    /// Held while a batch is sent.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Batch {
    /// Those that are not sent yet. One whose caller has stopped waiting is not sent.
    revocations: Mutex<HashMap<SessionId, Weak<SessionRevocation>>>,
    /// The sessions that the batch revoked, once it has ended.
    revoked: SetOnce<HashSet<SessionId>>,
}

type SessionRevocation = (SessionKey, Revoke);

impl RevokeBatches {
    /// Revokes a session together with those that wait, or by itself.
    pub(in crate::store) async fn revoke(
        sql: &Sql<Postgres>,
        key: &SessionKey,
        ending: Revoke,
    ) -> Result<(), StoreError> {
        let batches = &sql.0.shared.batches;
        let revocation = Arc::new((key.clone(), ending));
        let (batch, is_first) = batches.join(&revocation);
        if is_first {
            // A task, so that a caller that stops waiting does not end the batch.
            tokio::spawn(Sending { sql: sql.clone(), batch: Arc::clone(&batch) }.run());
        }
        let is_stalled = timeout(STALLED, batch.revoked.wait()).await.is_err();
        if is_stalled {
            batches.close(&batch);
        }
        let is_unsent = is_stalled && lock(&batch.revocations).remove(&key.id).is_some();
        if !is_unsent && batch.revoked.wait().await.contains(&key.id) {
            return Ok(());
        }
        sql.revoke(key, ending).await
    }

    /// The batch of a revocation, and whether it is the first one in it.
    fn join(&self, revocation: &Arc<SessionRevocation>) -> (Arc<Batch>, bool) {
        let (mut open, id) = (lock(&self.open), revocation.0.id);
        if !open.has_room_for(id) {
            *open = Arc::default();
        }
        let mut revocations = lock(&open.revocations);
        revocations.insert(id, Arc::downgrade(revocation));
        let is_first = revocations.len() == 1;
        drop(revocations);
        (Arc::clone(&open), is_first)
    }

    /// Makes later revocations join another batch.
    fn close(&self, batch: &Arc<Batch>) {
        let mut open = lock(&self.open);
        if Arc::ptr_eq(&open, batch) {
            *open = Arc::default();
        }
    }
}

impl Batch {
    /// A statement changes each row once.
    fn has_room_for(&self, id: SessionId) -> bool {
        let revocations = lock(&self.revocations);
        revocations.len() < MAX_REVOCATIONS && !revocations.contains_key(&id)
    }
}

/// The task that sends a batch.
struct Sending {
    sql: Sql<Postgres>,
    batch: Arc<Batch>,
}

impl Sending {
    async fn run(self) {
        let batches = &self.sql.0.shared.batches;
        let _turn = timeout(TURN, batches.turn.lock()).await;
        batches.close(&self.batch);
        let revocations = std::mem::take(&mut *lock(&self.batch.revocations));
        let revocations: Vec<_> = revocations.values().filter_map(Weak::upgrade).collect();
        if let Ok(revoked) = end_many(&self.sql, &revocations).await {
            // The only other value is set when the task is dropped.
            let _ = self.batch.revoked.set(revoked);
        }
    }
}

/// After an error, or if the runtime has stopped, each revocation is sent by itself.
impl Drop for Sending {
    fn drop(&mut self) {
        self.sql.0.shared.batches.close(&self.batch);
        let _ = self.batch.revoked.set(HashSet::new());
    }
}

async fn end_many(
    sql: &Sql<Postgres>,
    revocations: &[Arc<SessionRevocation>],
) -> Result<HashSet<SessionId>, StoreError> {
    let row = |revocation: &Arc<SessionRevocation>| {
        let (key, ending) = &**revocation;
        json!({
            "id": key.id.as_str(),
            "subject": key.subject.as_str(),
            "ended_at": int(ending.now),
            "until": int(ending.remember_until),
        })
    };
    let batch = revocations.iter().map(row).collect::<Value>().to_string();
    let mut work = Transaction::<Postgres>::write(&sql.0.pool, &sql.0.prefix, None).await?;
    let rows = work.rows(END_MANY, &[BindValue::Text(&batch)]).await?;
    work.commit().await?;
    rows.into_iter().map(|mut row| row.id()).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
