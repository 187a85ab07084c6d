//! Reads and checks the replies of scripts: a record may have been written by other software.

use super::script::ScriptReply;
use crate::{
    engine::session::{
        device::Device,
        device_key::DeviceBinding,
        id::{SessionId, Subject},
        lineage::{Lineage, LineageId},
    },
    store::{
        error::StoreError,
        record::{SessionKind, SessionRecord},
    },
    time::Timestamp,
};

const DAMAGED: StoreError = StoreError::Corrupt("the record is damaged");

/// A reply, word by word.
pub(super) struct ReplyReader(std::vec::IntoIter<Option<String>>);

impl ReplyReader {
    pub(super) fn new(reply: ScriptReply) -> Self {
        Self(reply.into_iter())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// The next word; empty if there is none.
    pub(super) fn next(&mut self) -> String {
        self.0.next().flatten().unwrap_or_default()
    }

    pub(super) fn id(&mut self) -> Result<SessionId, StoreError> {
        self.next().parse().map_err(|_| DAMAGED)
    }

    pub(super) fn ids(&mut self) -> Result<Vec<SessionId>, StoreError> {
        let mut ids = Vec::new();
        while !self.is_empty() {
            ids.push(self.id()?);
        }
        Ok(ids)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        time(&self.next()).ok_or(DAMAGED)
    }

    /// The rest of a record after its id and subject.
    pub(super) fn record(
        &mut self,
        id: SessionId,
        subject: &Subject,
    ) -> Result<SessionRecord, StoreError> {
        let (signed_in_at, last_active_at) = (self.time()?, self.time()?);
        let mut record = SessionRecord::new(id, subject.clone(), signed_in_at, self.time()?);
        record.last_active_at = last_active_at;
        let (label, ip) = (self.next(), self.next());
        let ip = match ip.as_str() {
            "" => None,
            ip => Some(ip.parse().map_err(|_| DAMAGED)?),
        };
        record.device = Device::new(Some(&label), ip);
        record.kind = match self.next().as_str() {
            "1" => SessionKind::Complete,
            "2" => SessionKind::Pending,
            _ => return Err(DAMAGED),
        };
        let (current, previous) = (self.lineage_id()?, self.lineage_id()?);
        record.lineage = match self.next().as_str() {
            "" => None,
            rotated_at => Some(Lineage::new(current, previous, time(rotated_at).ok_or(DAMAGED)?)),
        };
        let (key, bound_at) = (self.next(), self.next());
        record.binding = match key.as_str() {
            "" => None,
            key => {
                let key = key.parse().map_err(|_| DAMAGED)?;
                Some(DeviceBinding::new(key, time(&bound_at).ok_or(DAMAGED)?))
            }
        };
        Ok(record)
    }

    fn lineage_id(&mut self) -> Result<Option<LineageId>, StoreError> {
        match self.next().as_str() {
            "" => Ok(None),
            id => id.parse().map(Some).map_err(|_| DAMAGED),
        }
    }

    /// The error for a reply that is not one of the operation's own.
    pub(super) fn unexpected_reply(&mut self, word: &str) -> StoreError {
        match word {
            "corrupt" => match self.next().as_str() {
                "version" => StoreError::Corrupt("the record is of another version"),
                "subject" => StoreError::Corrupt("the record is of another subject"),
                _ => DAMAGED,
            },
            _ => StoreError::unavailable("redis: an unexpected reply"),
        }
    }
}

pub(super) fn time(text: &str) -> Option<Timestamp> {
    let seconds = text.parse().ok()?;
    (seconds <= Timestamp::MAX.as_unix_seconds()).then(|| Timestamp::from_unix_seconds(seconds))
}
