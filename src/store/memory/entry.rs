//! What is known of one id, and of one subject.

use crate::{engine::session::id::Subject, store::record::SessionRecord, time::Timestamp};

#[derive(Debug)]
pub(super) enum Entry {
    Lives(SessionRecord),
    Ended { subject: Subject, until: Timestamp },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Watermark {
    pub(super) signed_in_before: Timestamp,
    pub(super) set_at: Timestamp,
}

impl Entry {
    pub(super) const fn subject(&self) -> &Subject {
        match self {
            Self::Lives(record) => &record.subject,
            Self::Ended { subject, .. } => subject,
        }
    }

    pub(super) const fn until(&self) -> Timestamp {
        match self {
            Self::Lives(record) => record.expires_at,
            Self::Ended { until, .. } => *until,
        }
    }
}
