//! Creates, loads, renews and lists sessions, with one script each.

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
    engine::session::{
        id::{SessionId, Subject},
        lineage::OnCopy,
    },
    random::OsRandom,
    store::{
        error::StoreError,
        feed::Revocation,
        record::{SessionKey, SessionKind, SessionRecord},
        types::{
            CreateOutcome, PageCursor, RenewOutcome, RenewRequest, SessionPage, SubjectLimit,
            SubjectLimitPolicy,
        },
    },
    time::Timestamp,
};

/// The maximum length of a page, so that no script blocks the server for long.
const MAX_PAGE: usize = 1_000;

/// The state of an operation; clones share the connections.
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
                    // Together with the id, this distinguishes two calls.
                    call.as_str().get(..8).unwrap_or_default(),
                    policy,
                    &session.signed_in_at.as_unix_seconds().to_string(),
                    &session.last_active_at.as_unix_seconds().to_string(),
                    &session.expires_at.as_unix_seconds().to_string(),
                    &limit.map_or(0, |limit| limit.max).to_string(),
                    session.device.label.as_deref().unwrap_or_default(),
                    &session.device.ip.map(|ip| ip.to_string()).unwrap_or_default(),
                    session.replaces.as_ref().map_or("", SessionId::as_str),
                    match session.kind {
                        SessionKind::Complete => "1",
                        SessionKind::Pending => "2",
                    },
                ],
            )
            .await?;
        let mut words = ReplyReader::new(reply);
        match words.next().as_str() {
            "kept" => {
                let online = words.next();
                let ended = words.ids()?;
                let revocations: Vec<_> = ended.iter().copied().map(Revocation::Session).collect();
                // The session is stored even if the revocations of others cannot be published now.
                let _ = self.feed().publish(session.signed_in_at, &revocations).await;
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
        let arguments = [key.subject.as_str(), &now.as_unix_seconds().to_string()];
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
        let seconds = |time: Timestamp| time.as_unix_seconds().to_string();
        let mut arguments = vec![
            key.id.to_string(),
            subject.to_string(),
            seconds(renewal.now),
            seconds(renewal.last_active_at),
            seconds(renewal.expires_at),
        ];
        if let Some(lineage) = &renewal.lineage {
            let (after, before) = lineage.unsettled(renewal.now);
            let next = if lineage.rotates { lineage.next.as_str() } else { "" };
            let on_copy = match lineage.on_copy {
                OnCopy::Keep => "keep",
                OnCopy::Adopt => "adopt",
                OnCopy::Alarm => "alarm",
            };
            arguments.extend([
                lineage.presented.map(|id| id.to_string()).unwrap_or_default(),
                next.to_owned(),
                seconds(after),
                seconds(before),
                on_copy.to_owned(),
                lineage.next.for_copy().to_string(),
            ]);
        }
        if let Some(key) = renewal.device_key {
            arguments.resize(11, String::new());
            arguments.push(key.to_string());
        }
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let reply = RENEW
            .run(
                self.links.shared(),
                &[&record, &self.names.list(subject), &self.names.revoked_all(subject)],
                &arguments,
            )
            .await?;
        let mut words = ReplyReader::new(reply);
        match words.next().as_str() {
            "lives" => words.record(key.id, subject).map(RenewOutcome::Active),
            "mismatch" => words.record(key.id, subject).map(RenewOutcome::KeyMismatch),
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
        let after_time =
            after.map(|after| after.signed_in_at.as_unix_seconds().to_string()).unwrap_or_default();
        let after_id = after.map(|after| after.id);
        let arguments = [
            self.names.base(subject),
            subject.to_string(),
            now.as_unix_seconds().to_string(),
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
