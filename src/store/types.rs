//! The requests and outcomes of store operations.

use super::record::SessionRecord;
use crate::{
    engine::session::{
        device_key::{DeviceBinding, DeviceKey},
        id::{SessionId, Subject},
        lineage::LineageRequest,
    },
    time::Timestamp,
};

/// How many sessions a subject may have, in all browsers together (ASVS 7.1.2).
///
/// ```
/// use tower_auth_session::{SessionLayer, store::{SubjectLimit, SubjectLimitPolicy}};
///
/// fn one_device(layer: SessionLayer) -> SessionLayer {
///     layer.max_sessions_per_subject(SubjectLimit::new(1, SubjectLimitPolicy::EndOldest))
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubjectLimit {
    /// The maximum number of active sessions of each [kind](crate::store::SessionKind), the new one
    /// included; at least 1.
    pub max: usize,
    /// What happens when a sign-in exceeds the limit.
    pub policy: SubjectLimitPolicy,
}

impl SubjectLimit {
    /// At most `max` sessions, at least 1.
    #[must_use]
    pub const fn new(max: usize, policy: SubjectLimitPolicy) -> Self {
        Self { max: if max == 0 { 1 } else { max }, policy }
    }
}

/// What happens when a complete sign-in exceeds the limit. A pending one always takes the place of the
/// oldest pending session.
///
/// ```
/// use tower_auth_session::store::{SubjectLimit, SubjectLimitPolicy};
///
/// let exam = SubjectLimit::new(1, SubjectLimitPolicy::Refuse); // the first device stays
/// # let _ = exam;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SubjectLimitPolicy {
    /// The oldest sessions are revoked.
    #[default]
    EndOldest,
    /// The sign-in is refused.
    Refuse,
}

/// The outcome of [`SessionStore::create`](crate::store::SessionStore::create).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreateOutcome {
    /// The session was stored.
    Created {
        /// The sessions of the subject that were revoked because of the limit, oldest first.
        ended: Vec<SessionId>,
    },
    /// The subject has the maximum number of sessions. Nothing has changed.
    LimitReached,
    /// It signs in before an instant before which all sessions of the subject, or of all subjects,
    /// were revoked. Nothing has changed.
    SubjectRevoked,
    /// The session that it was to replace is not active, or is unknown. Nothing has changed.
    ReplacedSessionGone,
}

/// The activity of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RenewRequest {
    /// When the request arrived.
    pub now: Timestamp,
    /// When the session was last active.
    pub last_active_at: Timestamp,
    /// The expiry that follows from it.
    pub expires_at: Timestamp,
    /// The token that was presented, to detect copies; `None` if there is none, or copies are not
    /// looked for.
    pub lineage: Option<LineageRequest>,
    /// The key that the session's tokens name; `None` for a token of an unbound session.
    pub device_key: Option<DeviceKey>,
}

impl RenewRequest {
    /// Activity at `last_active_at`, recorded `now`.
    #[must_use]
    pub const fn new(now: Timestamp, last_active_at: Timestamp, expires_at: Timestamp) -> Self {
        Self { now, last_active_at, expires_at, lineage: None, device_key: None }
    }

    /// The same with the token that was presented.
    #[must_use]
    pub const fn with_lineage(mut self, lineage: LineageRequest) -> Self {
        self.lineage = Some(lineage);
        self
    }

    /// The same with the key that the session's tokens name.
    #[must_use]
    pub const fn with_device_key(mut self, key: DeviceKey) -> Self {
        self.device_key = Some(key);
        self
    }

    /// The binding after the renewal of a session that has the binding `known`: an unbound session is
    /// bound to the key, and the first key wins.
    ///
    /// # Errors
    ///
    /// If the session is bound and the key is missing or another one: the binding.
    pub fn binding(
        &self,
        known: Option<DeviceBinding>,
    ) -> Result<Option<DeviceBinding>, DeviceBinding> {
        match known {
            None => Ok(self.device_key.map(|key| DeviceBinding::new(key, self.now))),
            Some(binding) if self.device_key == Some(binding.key) => Ok(known),
            Some(binding) => Err(binding),
        }
    }
}

/// The outcome of [`SessionStore::renew`](crate::store::SessionStore::renew).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenewOutcome {
    /// The session is active: its record with the activity.
    Active(SessionRecord),
    /// The session is bound to a device key that the renewal lacks: its record. Nothing has changed.
    KeyMismatch(SessionRecord),
    /// It was revoked.
    Revoked,
    /// It has expired.
    Expired,
    /// There is no record of it.
    NotFound,
}

/// The revocation of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revoke {
    /// The time of the revocation.
    pub now: Timestamp,
    /// When the last token of the session expires: the id is remembered until then.
    pub remember_until: Timestamp,
}

impl Revoke {
    /// A revocation at `now` of a session whose last token expires at `remember_until`.
    #[must_use]
    pub const fn new(now: Timestamp, remember_until: Timestamp) -> Self {
        Self { now, remember_until }
    }
}

/// The revocation of many sessions.
///
/// ```
/// use tower_auth_session::{Subject, store::{Revoke, RevokeScope}, time::Timestamp};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let ada = Subject::new("ada")?;
/// let everywhere = RevokeScope::subject(ada.clone(), now, None);
/// let older = RevokeScope::subject_before(ada, now, Timestamp::from_unix_seconds(1_790_000_000));
/// let everyone = RevokeScope::all(now, now);
/// let one = Revoke::new(now, Timestamp::from_unix_seconds(1_800_604_800));
/// # let _ = (everywhere, older, everyone, one);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevokeScope {
    /// Sessions of one subject.
    #[non_exhaustive]
    Subject {
        /// The subject.
        subject: Subject,
        /// The time of the revocation.
        now: Timestamp,
        /// Sessions that signed in before this instant are revoked; `None` for all that exist, and all
        /// that sign in before `now`.
        signed_in_before: Option<Timestamp>,
        /// The session that is not revoked.
        except: Option<SessionId>,
    },
    /// Sessions of all subjects that signed in before an instant: after a compromise.
    #[non_exhaustive]
    All {
        /// The time of the revocation.
        now: Timestamp,
        /// The instant; may be a little later than `now`.
        signed_in_before: Timestamp,
    },
}

impl RevokeScope {
    /// All sessions of `subject` that exist `now`, except `except`.
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
///
/// ```
/// use tower_auth_session::{SessionManager, Subject, store::{PageCursor, StoreError}};
///
/// async fn count(sessions: &SessionManager, user: &Subject) -> Result<usize, StoreError> {
///     let (mut count, mut after) = (0, None::<PageCursor>);
///     loop {
///         let page = sessions.list(user, after, 100).await?;
///         count += page.sessions.len();
///         after = page.next;
///         if after.is_none() {
///             return Ok(count);
///         }
///     }
/// }
/// ```
///
/// A list that shows fewer sessions than it read continues after the last one that it shows:
///
/// ```
/// use tower_auth_session::store::{PageCursor, SessionRecord};
///
/// fn next(shown: &[SessionRecord]) -> Option<PageCursor> {
///     let last = shown.last()?;
///     Some(PageCursor::after(last))
/// }
/// # assert_eq!(next(&[]), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageCursor {
    /// When the last session of the previous page signed in.
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

/// Sessions of a subject, ordered by the time of the sign-in and then by id, the greatest first.
///
/// A store that sorts in memory reads one record more than it returns:
///
/// ```
/// use tower_auth_session::{
///     Subject,
///     store::{PageCursor, SessionPage, SessionRecord},
///     time::Timestamp,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let at = Timestamp::from_unix_seconds(1_800_000_000);
/// # let record = SessionRecord::new("AAAAAAAAAAAAAAAAAAAAAA".parse()?, Subject::new("ada")?, at, at);
/// # let (second, third) = (record.clone(), record.clone());
/// let page = SessionPage::from_sessions(vec![record, second, third], 2);
/// assert_eq!(page.sessions.len(), 2);
/// assert_eq!(page.next, Some(PageCursor::after(&page.sessions[1])));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<SessionRecord>,
    /// Where the next page starts, if there may be one.
    pub next: Option<PageCursor>,
}

impl SessionPage {
    /// Builds a page from a query for `limit + 1` sessions.
    #[must_use]
    pub fn from_sessions(mut sessions: Vec<SessionRecord>, limit: usize) -> Self {
        let is_more = sessions.len() > limit;
        sessions.truncate(limit);
        let next = sessions.last().filter(|_| is_more).map(PageCursor::after);
        Self { sessions, next }
    }
}
