//! The stores of the suite, of two nodes and two tenants, and sessions of new subjects.

use std::sync::Arc;

use crate::{
    engine::session::id::{SessionId, Subject},
    random::OsRandom,
    store::{
        SessionStore,
        error::StoreError,
        record::{SessionKey, SessionRecord},
        types::{CreateOutcome, RenewOutcome, RenewRequest, Revoke, RevokeScope},
    },
    time::Timestamp,
};

/// Handles of the store, and the time at which the suite starts, far from that of other data.
pub(super) struct Fixture {
    pub(super) store: Arc<dyn SessionStore>,
    /// The same data, on another node.
    pub(super) other_node: Arc<dyn SessionStore>,
    pub(super) other_tenant: Arc<dyn SessionStore>,
    pub(super) start: Timestamp,
}

/// In seconds.
pub(super) const LIFETIME: u64 = 1_000;

impl Fixture {
    pub(super) fn at(&self, seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(self.start.as_unix_seconds() + seconds)
    }

    /// A session that signs in `at` seconds after the start and expires [`LIFETIME`] seconds later.
    pub(super) fn session(&self, subject: &Subject, at: u64) -> SessionRecord {
        SessionRecord::new(new_id(), subject.clone(), self.at(at), self.at(at + LIFETIME))
    }

    pub(super) async fn sign_in(&self, subject: &Subject, at: u64) -> SessionRecord {
        let session = self.session(subject, at);
        let created = self.store.create(&session, None).await.expect("create");
        assert_eq!(
            created,
            CreateOutcome::Created { ended: Vec::new() },
            "a new session is created"
        );
        session
    }

    /// Renews a session `at` seconds after the start.
    pub(super) async fn renew(&self, key: &SessionKey, at: u64) -> RenewOutcome {
        let renewal = RenewRequest::new(self.at(at), self.at(at), self.at(at + LIFETIME));
        self.store.renew(key, renewal).await.expect("renew")
    }

    /// Renews a session, and returns whether that succeeded.
    pub(super) async fn is_active(&self, session: &SessionRecord, at: u64) -> bool {
        matches!(self.renew(&session.key(), at).await, RenewOutcome::Active(_))
    }

    pub(super) async fn revoke(&self, key: &SessionKey, at: u64) {
        self.store.revoke(key, self.revocation(at)).await.expect("revoke");
    }

    pub(super) fn revocation(&self, at: u64) -> Revoke {
        Revoke::new(self.at(at), self.at(at + LIFETIME + 10))
    }

    pub(super) async fn revoke_all(
        &self,
        subject: &Subject,
        at: u64,
        except: Option<SessionId>,
    ) -> u64 {
        let scope = RevokeScope::subject(subject.clone(), self.at(at), except);
        self.store.revoke_many(&scope).await.expect("revoke_many")
    }
}

pub(super) fn new_id() -> SessionId {
    SessionId::generate(&OsRandom).expect("randomness")
}

/// A subject with this prefix that no other test uses.
pub(super) fn new_subject(prefix: &str) -> Subject {
    Subject::new(format!("{prefix} {}", new_id())).expect("a subject")
}

pub(super) fn is_conflict<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict))
}
