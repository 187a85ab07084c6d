//! The operations that begin and ask, one script each.

use std::sync::Arc;

use super::{
    connection::Connections,
    feed::RevocationStream,
    keys::KeySpace,
    replication::ReplicaPolicy,
    reply::ReplyReader,
    script::{CREATE, LOAD, RENEW, SESSIONS},
};
use crate::{
    engine::session::id::{SessionId, Subject},
    random::OsRandom,
    store::{
        error::StoreError,
        feed::Revocation,
        record::{SessionKey, SessionRecord},
        types::{
            CreateOutcome, PageCursor, RenewOutcome, RenewRequest, SessionPage, SubjectLimit,
            SubjectLimitPolicy,
        },
    },
    time::Timestamp,
};

/// A page is no longer than this, whatever was asked for: no script may hold up the server.
const MAX_PAGE: usize = 1_000;

/// All that an operation needs; clones share the connections.
#[derive(Clone)]
pub(super) struct RedisSessions {
    pub(super) links: Arc<Connections>,
    pub(super) names: Arc<KeySpace>,
    pub(super) confirm: ReplicaPolicy,
}

impl RedisSessions {
    pub(super) fn feed(&self) -> RevocationStream<'_> {
        RevocationStream { links: &self.links, names: &self.names }
    }

    pub(super) async fn create(
        self,
        session: SessionRecord,
        limit: Option<SubjectLimit>,
    ) -> Result<CreateOutcome, StoreError> {
        let (key, subject) = (session.key(), &session.subject);
        let record = self.names.record(&key);
        let call = SessionId::generate(&OsRandom).map_err(StoreError::unavailable)?;
        let policy = match limit.map(|limit| limit.policy) {
            Some(SubjectLimitPolicy::Refuse) => "refuse",
            _ => "end",
        };
        let reply = CREATE
            .run(
                self.links.shared(),
                &[
                    &record,
                    &self.names.list(subject),
                    &self.names.watermark(subject),
                    &self.names.revoked_all(subject),
                ],
                &[
                    self.confirm.argument(),
                    &self.names.base(subject),
                    session.id.as_str(),
                    subject.as_str(),
                    // With the id beside it, this is enough to tell two calls apart.
                    call.as_str().get(..8).unwrap_or_default(),
                    policy,
                    &session.signed_in_at.to_string(),
                    &session.last_active_at.to_string(),
                    &session.expires_at.to_string(),
                    &limit.map_or(0, |limit| limit.max).to_string(),
                    session.device.label.as_deref().unwrap_or_default(),
                    &session.device.ip.map(|ip| ip.to_string()).unwrap_or_default(),
                    session.replaces.as_ref().map_or("", SessionId::as_str),
                ],
            )
            .await?;
        let mut words = ReplyReader::new(reply);
        match words.next().as_str() {
            "kept" => {
                let online = words.next();
                let ended = words.ids()?;
                let told: Vec<_> = ended.iter().copied().map(Revocation::Session).collect();
                // The session is kept whether or not others hear at once of those that made room.
                let _ = self.feed().publish(session.signed_in_at, &told).await;
                self.confirm.wait(&self.links, &record, &online).await?;
                Ok(CreateOutcome::Created { ended })
            }
            "taken" => Err(StoreError::Conflict),
            "old" => Ok(CreateOutcome::SubjectRevoked),
            "full" => Ok(CreateOutcome::LimitReached),
            "over" => Ok(CreateOutcome::ReplacedSessionGone),
            other => Err(words.unexpected_reply(other)),
        }
    }

    pub(super) async fn load(
        &self,
        key: &SessionKey,
        now: Timestamp,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let keys = [self.names.record(key), self.names.revoked_all(&key.subject)];
        let arguments = [key.subject.as_str(), &now.to_string()];
        let keys = keys.each_ref().map(String::as_str);
        let mut words = ReplyReader::new(LOAD.run(self.links.shared(), &keys, &arguments).await?);
        match words.next().as_str() {
            "lives" => words.record(key.id, &key.subject).map(Some),
            "none" => Ok(None),
            other => Err(words.unexpected_reply(other)),
        }
    }

    pub(super) async fn renew(
        &self,
        key: &SessionKey,
        renewal: RenewRequest,
    ) -> Result<RenewOutcome, StoreError> {
        let (record, subject) = (self.names.record(key), &key.subject);
        let reply = RENEW
            .run(
                self.links.shared(),
                &[&record, &self.names.list(subject), &self.names.revoked_all(subject)],
                &[
                    key.id.as_str(),
                    subject.as_str(),
                    &renewal.now.to_string(),
                    &renewal.last_active_at.to_string(),
                    &renewal.expires_at.to_string(),
                ],
            )
            .await?;
        let mut words = ReplyReader::new(reply);
        match words.next().as_str() {
            "lives" => words.record(key.id, subject).map(RenewOutcome::Active),
            "ended" => Ok(RenewOutcome::Revoked),
            "expired" => Ok(RenewOutcome::Expired),
            "none" => Ok(RenewOutcome::NotFound),
            other => Err(words.unexpected_reply(other)),
        }
    }

    pub(super) async fn list(
        &self,
        subject: &Subject,
        now: Timestamp,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<SessionPage, StoreError> {
        let limit = limit.min(MAX_PAGE);
        let keys = [self.names.list(subject), self.names.revoked_all(subject)];
        let after_time = after.map(|after| after.signed_in_at.to_string()).unwrap_or_default();
        let after_id = after.map(|after| after.id);
        let arguments = [
            self.names.base(subject),
            subject.to_string(),
            now.to_string(),
            (limit + 1).to_string(),
            after_time,
            after_id.map(|id| id.to_string()).unwrap_or_default(),
        ];
        let keys = keys.each_ref().map(String::as_str);
        let arguments = arguments.each_ref().map(String::as_str);
        let mut words =
            ReplyReader::new(SESSIONS.run(self.links.shared(), &keys, &arguments).await?);
        match words.next().as_str() {
            "page" => {
                let mut sessions = Vec::new();
                while !words.is_empty() {
                    let id = words.id()?;
                    sessions.push(words.record(id, subject)?);
                }
                Ok(SessionPage::from_sessions(sessions, limit))
            }
            other => Err(words.unexpected_reply(other)),
        }
    }
}
