//! What a store keeps of a session.

use crate::{
    engine::session::{
        device::Device,
        id::{SessionId, Subject},
        identity::SessionIdentity,
    },
    time::Timestamp,
};

/// The name of a session for a store. The subject is part of it so that all sessions of a subject
/// can live in one shard, as the hash slots of Redis Cluster want it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SessionKey {
    /// The session's id.
    pub id: SessionId,
    /// Whose session.
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

/// One session as a store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionRecord {
    /// The session's id.
    pub id: SessionId,
    /// Whose session.
    pub subject: Subject,
    /// When the subject signed in.
    pub signed_in_at: Timestamp,
    /// When activity was last recorded.
    pub last_active_at: Timestamp,
    /// The end of the session, unless there is activity before.
    pub expires_at: Timestamp,
    /// What it was signed in from.
    pub device: Device,
    /// The pending session of the subject in whose place it is to stand: asked about when it is
    /// [created](crate::store::SessionStore::create), and kept nowhere.
    pub replaces: Option<SessionId>,
}

impl SessionRecord {
    /// A session that signs in at `signed_in_at`.
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
            signed_in_at,
            last_active_at: signed_in_at,
            expires_at,
            device: Device::default(),
            replaces: None,
        }
    }

    /// The record's key.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        SessionKey::new(self.id, self.subject.clone())
    }

    /// Whether the session's time is over at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}
