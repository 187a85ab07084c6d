//! Rows and their values. A value that cannot be read is an error.

use crate::{
    engine::session::{
        device::Device,
        device_key::DeviceBinding,
        id::{SessionId, Subject},
        lineage::{Lineage, LineageId},
    },
    store::{
        error::StoreError,
        feed::Revocation,
        record::{SessionKind, SessionRecord},
    },
    time::Timestamp,
};

/// A value for a statement.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum BindValue<'a> {
    Int(i64),
    Text(&'a str),
    NoText,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Cell {
    Null,
    Int(i64),
    Text(String),
    /// Of a type that no statement selects, or not UTF-8.
    Unsupported,
}

/// The values of a row, in order.
#[derive(Debug)]
pub(in crate::store) struct Row(std::vec::IntoIter<Cell>);

pub(in crate::store) const ACTIVE: i64 = 1;
pub(in crate::store) const ENDED: i64 = 2;
/// The kind of a session.
pub(in crate::store) const COMPLETE: i64 = 1;
pub(in crate::store) const PENDING: i64 = 2;
pub(in crate::store) const FEED_SESSION: i64 = 1;
pub(in crate::store) const FEED_SUBJECT: i64 = 2;
pub(in crate::store) const FEED_ALL: i64 = 3;

/// A session and its state.
#[derive(Debug)]
pub(in crate::store) struct SessionRow {
    pub(in crate::store) record: SessionRecord,
    /// By its own record, or with all sessions.
    pub(in crate::store) is_ended: bool,
}

impl SessionRow {
    pub(in crate::store) fn is_active(&self, now: Timestamp) -> bool {
        !self.is_ended && !self.record.is_expired(now)
    }

    /// A key with another subject than the record's is an error of the caller.
    pub(in crate::store) fn check(&self, subject: &Subject) -> Result<(), StoreError> {
        if self.record.subject == *subject {
            return Ok(());
        }
        Err(StoreError::Corrupt("the record is of another subject"))
    }
}

/// A time for a statement.
pub(in crate::store) fn at(time: Timestamp) -> BindValue<'static> {
    BindValue::Int(int(time))
}

pub(in crate::store) fn int(time: Timestamp) -> i64 {
    // No later than the year 9999.
    i64::try_from(time.as_unix_seconds()).unwrap_or(i64::MAX)
}

impl Row {
    pub(in crate::store) fn new(cells: Vec<Cell>) -> Self {
        Self(cells.into_iter())
    }

    /// The columns of `session!`.
    pub(in crate::store) fn session(mut self) -> Result<SessionRow, StoreError> {
        let id = self.id()?;
        let subject = self.subject()?;
        let status = self.int()?;
        if status != ACTIVE && status != ENDED {
            return Err(StoreError::Corrupt("the status is of a newer version"));
        }
        let mut record = SessionRecord::new(id, subject, self.time()?, Timestamp::EPOCH);
        record.last_active_at = self.time()?;
        record.expires_at = self.time()?;
        record.device = self.device()?;
        record.kind = match self.int()? {
            COMPLETE => SessionKind::Complete,
            PENDING => SessionKind::Pending,
            _ => return Err(StoreError::Corrupt("the kind is of a newer version")),
        };
        record.lineage = self.lineage()?;
        record.binding = self.binding()?;
        let is_ended = status == ENDED || record.signed_in_at < self.time()?;
        Ok(SessionRow { record, is_ended })
    }

    /// The lineage of a session.
    fn lineage(&mut self) -> Result<Option<Lineage>, StoreError> {
        let (current, previous) = (self.lineage_id()?, self.lineage_id()?);
        Ok(self.maybe_time()?.map(|rotated_at| Lineage::new(current, previous, rotated_at)))
    }

    /// The device that a session is bound to.
    fn binding(&mut self) -> Result<Option<DeviceBinding>, StoreError> {
        const INVALID: StoreError = StoreError::Corrupt("the device key is invalid");
        let (key, bound_at) = (self.text()?, self.maybe_time()?);
        let Some((key, bound_at)) = key.as_deref().zip(bound_at) else {
            return if key.is_none() && bound_at.is_none() { Ok(None) } else { Err(INVALID) };
        };
        Ok(Some(DeviceBinding::new(key.parse().map_err(|_| INVALID)?, bound_at)))
    }

    fn maybe_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        if self.0.as_slice().first() == Some(&Cell::Null) {
            self.0.next();
            return Ok(None);
        }
        self.time().map(Some)
    }

    fn lineage_id(&mut self) -> Result<Option<LineageId>, StoreError> {
        let parse = |text: String| {
            text.parse().map_err(|_| StoreError::Corrupt("the lineage id is invalid"))
        };
        self.text()?.map(parse).transpose()
    }

    /// The columns `kind, session_id, subject, signed_in_before`.
    pub(in crate::store) fn revocation(&mut self) -> Result<Revocation, StoreError> {
        let kind = self.int()?;
        let mut session = None;
        if let Some(text) = self.text()? {
            session = Some(id(&text)?);
        }
        match (kind, session) {
            (FEED_SESSION, Some(id)) => Ok(Revocation::Session(id)),
            (FEED_SUBJECT, except) => {
                Ok(Revocation::subject(self.subject()?, self.time()?, except))
            }
            (FEED_ALL, None) => {
                self.0.next();
                Ok(Revocation::all(self.time()?))
            }
            _ => Err(StoreError::Corrupt("the revocation is of a newer version")),
        }
    }

    pub(in crate::store) fn id(&mut self) -> Result<SessionId, StoreError> {
        id(&self.text()?.unwrap_or_default())
    }

    pub(in crate::store) fn time(&mut self) -> Result<Timestamp, StoreError> {
        let seconds = u64::try_from(self.int()?).ok();
        seconds
            .filter(|seconds| *seconds <= Timestamp::MAX.as_unix_seconds())
            .map(Timestamp::from_unix_seconds)
            .ok_or(StoreError::Corrupt("the timestamp is invalid"))
    }

    pub(in crate::store) fn int(&mut self) -> Result<i64, StoreError> {
        match self.0.next() {
            Some(Cell::Int(int)) => Ok(int),
            _ => Err(StoreError::Corrupt("the number is invalid")),
        }
    }

    /// A number, or `None` for NULL.
    pub(in crate::store) fn maybe_int(&mut self) -> Result<Option<i64>, StoreError> {
        if self.0.as_slice().first() == Some(&Cell::Null) {
            self.0.next();
            return Ok(None);
        }
        self.int().map(Some)
    }

    fn text(&mut self) -> Result<Option<String>, StoreError> {
        match self.0.next() {
            Some(Cell::Text(text)) => Ok(Some(text)),
            Some(Cell::Null) => Ok(None),
            _ => Err(StoreError::Corrupt("the text is invalid")),
        }
    }

    fn subject(&mut self) -> Result<Subject, StoreError> {
        let text = self.text()?.unwrap_or_default();
        Subject::new(text).map_err(|_| StoreError::Corrupt("the subject is invalid"))
    }

    fn device(&mut self) -> Result<Device, StoreError> {
        let label = self.text()?;
        let ip = match self.text()? {
            Some(text) => {
                let ip = text.parse().map_err(|_| StoreError::Corrupt("the IP address is invalid"));
                Some(ip?)
            }
            None => None,
        };
        Ok(Device::new(label.as_deref(), ip))
    }
}

fn id(text: &str) -> Result<SessionId, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt("the session id is invalid"))
}
