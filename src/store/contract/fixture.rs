//! What the suite works with: two nodes and two tenants, and sessions of new subjects.

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

/// Handles of the store, and a moment that no other data is near.
pub(super) struct Fixture {
    pub(super) store: Arc<dyn SessionStore>,
    /// The same data, seen from another node.
    pub(super) elsewhere: Arc<dyn SessionStore>,
    pub(super) other_tenant: Arc<dyn SessionStore>,
    pub(super) start: Timestamp,
}

pub(super) const LIFE: u64 = 1_000;

impl Fixture {
    pub(super) fn at(&self, seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(self.start.as_unix_seconds() + seconds)
    }

    /// A session that signs in so many seconds after the start and lives a thousand seconds.
    pub(super) fn session(&self, subject: &Subject, at: u64) -> SessionRecord {
        SessionRecord::new(new_id(), subject.clone(), self.at(at), self.at(at + LIFE))
    }

    pub(super) async fn sign_in(&self, subject: &Subject, at: u64) -> SessionRecord {
        let session = self.session(subject, at);
        let created = self.store.create(&session, None).await.expect("create");
        assert_eq!(created, CreateOutcome::Created { ended: Vec::new() }, "a new session is kept");
        session
    }

    /// What renewing says so many seconds after the start.
    pub(super) async fn renew(&self, key: &SessionKey, at: u64) -> RenewOutcome {
        let renewal = RenewRequest::new(self.at(at), self.at(at), self.at(at + LIFE));
        self.store.renew(key, renewal).await.expect("renew")
    }

    pub(super) async fn lives(&self, session: &SessionRecord, at: u64) -> bool {
        matches!(self.renew(&session.key(), at).await, RenewOutcome::Active(_))
    }

    pub(super) async fn end(&self, key: &SessionKey, at: u64) {
        self.store.revoke(key, self.ending(at)).await.expect("end");
    }

    pub(super) fn ending(&self, at: u64) -> Revoke {
        Revoke::new(self.at(at), self.at(at + LIFE + 10))
    }

    pub(super) async fn end_all(
        &self,
        subject: &Subject,
        at: u64,
        except: Option<SessionId>,
    ) -> u64 {
        let ends = RevokeScope::subject(subject.clone(), self.at(at), except);
        self.store.revoke_many(&ends).await.expect("end_all")
    }
}

pub(super) fn new_id() -> SessionId {
    SessionId::generate(&OsRandom).expect("randomness")
}

/// A subject that nobody else uses.
pub(super) fn somebody(what: &str) -> Subject {
    Subject::new(format!("{what} {}", new_id())).expect("a subject")
}

pub(super) fn is_conflict<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict))
}
