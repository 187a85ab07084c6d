//! What a store records of a session.

use serde::Serialize;

use crate::{
    engine::session::{
        device::Device,
        device_key::DeviceBinding,
        id::{SessionId, Subject},
        identity::SessionIdentity,
        lineage::Lineage,
    },
    time::Timestamp,
};

/// The key of a session in a store. The subject is part of it so that all sessions of a subject can
/// be in one shard, as the hash slots of Redis Cluster require.
///
/// ```
/// use tower_auth_session::{SessionId, Subject, store::SessionKey};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = SessionKey::new("AAAAAAAAAAAAAAAAAAAAAA".parse()?, Subject::new("ada")?);
/// assert_eq!(key.subject.as_str(), "ada");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SessionKey {
    /// The session's id.
    pub id: SessionId,
    /// The subject that signed in.
    pub subject: Subject,
}

impl SessionKey {
    /// The session `id` of `subject`.
    #[must_use]
    pub const fn new(id: SessionId, subject: Subject) -> Self {
        Self { id, subject }
    }
}

impl From<&SessionIdentity> for SessionKey {
    fn from(session: &SessionIdentity) -> Self {
        Self::new(session.id(), session.subject().clone())
    }
}

/// Whether a session is complete or pending.
///
/// ```
/// use tower_auth_session::store::{SessionKind, SessionRecord};
///
/// /// A list of devices shows sign-ins that were completed.
/// fn is_device(record: &SessionRecord) -> bool {
///     record.kind == SessionKind::Complete
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SessionKind {
    /// The user is signed in.
    #[default]
    Complete,
    /// Tasks are left, such as a second factor: the session counts as signed out.
    Pending,
}

/// One session as a store has it. In JSON, `replaces` and `lineage` are left out.
///
/// In an implementation of a store, or in its test:
///
/// ```
/// use tower_auth_session::{
///     SessionId, Subject,
///     store::{SessionKey, SessionRecord},
///     time::Timestamp,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let id: SessionId = "AAAAAAAAAAAAAAAAAAAAAA".parse()?;
/// let signed_in = Timestamp::from_unix_seconds(1_800_000_000);
/// let expires = Timestamp::from_unix_seconds(1_800_003_600);
/// let record = SessionRecord::new(id, Subject::new("ada")?, signed_in, expires);
/// assert_eq!(record.key(), SessionKey::new(id, Subject::new("ada")?));
/// assert!(!record.is_expired(signed_in) && record.is_expired(expires));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionRecord {
    /// The session's id.
    pub id: SessionId,
    /// The subject that signed in.
    pub subject: Subject,
    /// Whether the session is complete or pending. Each kind has its own
    /// [limit](crate::store::SubjectLimit).
    pub kind: SessionKind,
    /// When the subject signed in.
    pub signed_in_at: Timestamp,
    /// When activity was last recorded.
    pub last_active_at: Timestamp,
    /// When the session expires if there is no further activity.
    pub expires_at: Timestamp,
    /// The device that it was signed in from.
    pub device: Device,
    /// The pending session of the subject that this one replaces. Only read by
    /// [`create`](crate::store::SessionStore::create), and not stored.
    #[serde(skip)]
    pub replaces: Option<SessionId>,
    /// The lineage of the session's tokens. Only [`renew`](crate::store::SessionStore::renew) changes
    /// it. `None` before the first renewal with a [lineage](crate::store::RenewRequest::lineage), and
    /// from a store that records none.
    #[serde(skip)]
    pub lineage: Option<Lineage>,
    /// The device that the session is bound to. Only [`renew`](crate::store::SessionStore::renew) sets
    /// it. `None` from a store that records none.
    pub binding: Option<DeviceBinding>,
}

impl SessionRecord {
    /// A complete session that signs in at `signed_in_at`.
    #[must_use]
    pub fn new(
        id: SessionId,
        subject: Subject,
        signed_in_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            id,
            subject,
            kind: SessionKind::Complete,
            signed_in_at,
            last_active_at: signed_in_at,
            expires_at,
            device: Device::default(),
            replaces: None,
            lineage: None,
            binding: None,
        }
    }

    /// The record's key.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        SessionKey::new(self.id, self.subject.clone())
    }

    /// Whether the session has expired at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}
