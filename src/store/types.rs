//! What stores are asked, and what they answer.

use super::record::SessionRecord;
use crate::{
    engine::session::id::{SessionId, Subject},
    time::Timestamp,
};

/// How many sessions a subject may have, in all browsers together (ASVS 7.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubjectLimit {
    /// The most that live at once, the new one included; at least 1.
    pub max: usize,
    /// What happens to one more.
    pub policy: SubjectLimitPolicy,
}

impl SubjectLimit {
    /// At most `max` sessions, at least 1.
    #[must_use]
    pub const fn new(max: usize, policy: SubjectLimitPolicy) -> Self {
        Self { max: if max == 0 { 1 } else { max }, policy }
    }
}

/// What happens when a subject signs in once more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SubjectLimitPolicy {
    /// Those that signed in longest ago end.
    #[default]
    EndOldest,
    /// The sign-in is refused.
    Refuse,
}

/// What became of [`SessionStore::create`](crate::store::SessionStore::create).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreateOutcome {
    /// The session is kept.
    Created {
        /// The sessions of the subject that ended to make room, oldest first.
        ended: Vec<SessionId>,
    },
    /// The subject has as many sessions as it may. Nothing has changed.
    LimitReached,
    /// It signs in before the moment until which all sessions of the subject, or of everybody, have
    /// been ended. Nothing has changed.
    SubjectRevoked,
    /// The session in whose place it was to stand does not live, or is unknown. Nothing has changed.
    ReplacedSessionGone,
}

/// The activity of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RenewRequest {
    /// When the request came in.
    pub now: Timestamp,
    /// When the session was last active.
    pub last_active_at: Timestamp,
    /// The end that follows from it.
    pub expires_at: Timestamp,
}

impl RenewRequest {
    /// Activity at `last_active_at`, recorded `now`.
    #[must_use]
    pub const fn new(now: Timestamp, last_active_at: Timestamp, expires_at: Timestamp) -> Self {
        Self { now, last_active_at, expires_at }
    }
}

/// What became of [`SessionStore::renew`](crate::store::SessionStore::renew).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenewOutcome {
    /// The session lives: its record with the activity.
    Active(SessionRecord),
    /// It was ended.
    Revoked,
    /// Its time is over.
    Expired,
    /// There is no record of it.
    NotFound,
}

/// The end of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revoke {
    /// When.
    pub now: Timestamp,
    /// Until when a token of the session can be alive: so long is the id remembered.
    pub remember_until: Timestamp,
}

impl Revoke {
    /// An end at `now` of a session whose tokens are all dead from `remember_until` on.
    #[must_use]
    pub const fn new(now: Timestamp, remember_until: Timestamp) -> Self {
        Self { now, remember_until }
    }
}

/// The end of many sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevokeScope {
    /// Sessions of one subject.
    #[non_exhaustive]
    Subject {
        /// Whose sessions.
        subject: Subject,
        /// When.
        now: Timestamp,
        /// Those that signed in before this moment end; `None` for all there are, and all that sign
        /// in before `now`.
        signed_in_before: Option<Timestamp>,
        /// The one that stays.
        except: Option<SessionId>,
    },
    /// Sessions of everybody that signed in before this moment: after a compromise.
    #[non_exhaustive]
    All {
        /// When.
        now: Timestamp,
        /// The moment; may lie a little ahead of `now`.
        signed_in_before: Timestamp,
    },
}

impl RevokeScope {
    /// All sessions of `subject` that there are `now`, but `except`.
    #[must_use]
    pub const fn subject(subject: Subject, now: Timestamp, except: Option<SessionId>) -> Self {
        Self::Subject { subject, now, signed_in_before: None, except }
    }

    /// The sessions of `subject` that signed in before an instant.
    #[must_use]
    pub const fn subject_before(
        subject: Subject,
        now: Timestamp,
        signed_in_before: Timestamp,
    ) -> Self {
        Self::Subject { subject, now, signed_in_before: Some(signed_in_before), except: None }
    }

    /// Every session that signed in before an instant.
    #[must_use]
    pub const fn all(now: Timestamp, signed_in_before: Timestamp) -> Self {
        Self::All { now, signed_in_before }
    }
}

/// Where the next page of sessions starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageCursor {
    /// When the last session of the page before signed in.
    pub signed_in_at: Timestamp,
    /// Its id.
    pub id: SessionId,
}

impl PageCursor {
    /// After `session`.
    #[must_use]
    pub const fn after(session: &SessionRecord) -> Self {
        Self { signed_in_at: session.signed_in_at, id: session.id }
    }
}

/// Sessions of a subject: by the time of signing in and then by id, the greatest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<SessionRecord>,
    /// Where to go on, if there may be more.
    pub next: Option<PageCursor>,
}

impl SessionPage {
    /// The page that `sessions` make, of which one more than `limit` were looked up.
    #[must_use]
    pub fn from_sessions(mut sessions: Vec<SessionRecord>, limit: usize) -> Self {
        let is_more = sessions.len() > limit;
        sessions.truncate(limit);
        let next = sessions.last().filter(|_| is_more).map(PageCursor::after);
        Self { sessions, next }
    }
}
