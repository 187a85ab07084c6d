//! Waits until replicas have received a write.

use std::time::Duration;

use redis::pipe;
use tokio::time::timeout;

use super::{
    connection::{CONNECT_TIMEOUT, Connections},
    error::failure,
    script::CONFIRM,
};
use crate::store::error::StoreError;

/// How many replicas must confirm a write, and how long they may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReplicaPolicy {
    /// `None` requires one replica if any is online.
    pub(super) replicas: Option<u16>,
    pub(super) within: Duration,
}

impl ReplicaPolicy {
    /// The argument of scripts that write: whether to return the replication state.
    pub(super) fn argument(self) -> &'static str {
        if self.replicas == Some(0) { "0" } else { "1" }
    }

    /// Waits until the replicas have the value of `key`. `online` is the replication state that the
    /// script returned.
    ///
    /// The value is written again before the wait, on the same connection: `WAIT` covers only the
    /// writes of its own connection, which may be newer than the first write.
    pub(super) async fn wait(
        self,
        links: &Connections,
        key: &str,
        online: &str,
    ) -> Result<(), StoreError> {
        let (count, history) = online.split_once(' ').unwrap_or_default();
        let there = count.parse::<u16>().unwrap_or(0);
        let wanted = self.replicas.unwrap_or_else(|| u16::from(there > 0));
        if wanted == 0 {
            return Ok(());
        }
        let not_confirmed = || StoreError::unavailable("redis: not confirmed by a replica");
        if there < wanted {
            return Err(not_confirmed());
        }
        let mut link = links.waiting().await?;
        // The server would treat zero as no timeout.
        let within = self.within.max(Duration::from_millis(1));
        let mut pipeline = pipe();
        pipeline.cmd("EVAL").arg(CONFIRM).arg(1).arg(key).arg(history);
        pipeline.cmd("WAIT").arg(wanted).arg(within.as_millis() as u64);
        let answer =
            timeout(within.saturating_add(CONNECT_TIMEOUT), pipeline.query_async(&mut link)).await;
        let (is_there, confirmed): (u8, u16) =
            answer.map_err(|_| not_confirmed())?.map_err(|error| failure(&error))?;
        if is_there == 1 && confirmed >= wanted { Ok(()) } else { Err(not_confirmed()) }
    }
}
