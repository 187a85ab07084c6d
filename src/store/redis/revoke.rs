//! Revokes sessions and publishes the revocations.

use tokio::task::JoinSet;

use super::{
    keys::SHARDS,
    reply::ReplyReader,
    script::{REVOKE, REVOKE_ALL, REVOKE_OF_SUBJECT},
    sessions::RedisSessions,
};
use crate::{
    engine::session::id::{SessionId, Subject},
    store::{
        SUBJECT_REVOCATION_RETENTION,
        error::StoreError,
        feed::Revocation,
        record::SessionKey,
        types::{Revoke, RevokeScope},
    },
    time::Timestamp,
};

/// How many shards are written concurrently when all sessions are revoked.
const AT_ONCE: u16 = 64;

impl RedisSessions {
    pub(super) async fn revoke(self, key: SessionKey, ending: Revoke) -> Result<(), StoreError> {
        let record = self.names.record(&key);
        let reply = REVOKE
            .run(
                self.links.shared(),
                &[&record, &self.names.list(&key.subject)],
                &[
                    self.confirm.argument(),
                    key.id.as_str(),
                    key.subject.as_str(),
                    &ending.now.as_unix_seconds().to_string(),
                    &ending.remember_until.as_unix_seconds().to_string(),
                ],
            )
            .await?;
        let online = ended(&mut ReplyReader::new(reply))?;
        self.publish_and_replicate(ending.now, &[Revocation::Session(key.id)], &record, &online)
            .await
    }

    pub(super) async fn revoke_many(self, ends: RevokeScope) -> Result<u64, StoreError> {
        match ends {
            RevokeScope::Subject { subject, now, signed_in_before, except } => {
                self.revoke_subject(subject, now, signed_in_before, except).await
            }
            RevokeScope::All { now, signed_in_before } => {
                self.revoke_all(now, signed_in_before).await.map(|()| 0)
            }
        }
    }

    async fn revoke_subject(
        self,
        subject: Subject,
        now: Timestamp,
        signed_in_before: Option<Timestamp>,
        except: Option<SessionId>,
    ) -> Result<u64, StoreError> {
        let mark = self.names.watermark(&subject);
        let reply = REVOKE_OF_SUBJECT
            .run(
                self.links.shared(),
                &[&self.names.list(&subject), &mark],
                &[
                    self.confirm.argument(),
                    &self.names.base(&subject),
                    subject.as_str(),
                    except.as_ref().map_or("", SessionId::as_str),
                    &now.as_unix_seconds().to_string(),
                    &SUBJECT_REVOCATION_RETENTION.as_secs().to_string(),
                    &signed_in_before
                        .map(|before| before.as_unix_seconds().to_string())
                        .unwrap_or_default(),
                ],
            )
            .await?;
        let mut words = ReplyReader::new(reply);
        let online = ended(&mut words)?;
        let count = words.next().parse().unwrap_or(0);
        let unreadable = words.next();
        let mut revocations =
            vec![Revocation::subject(subject, signed_in_before.unwrap_or(now), except)];
        revocations.extend(words.ids()?.into_iter().map(Revocation::Session));
        self.publish_and_replicate(now, &revocations, &mark, &online).await?;
        match unreadable.as_str() {
            "" => Ok(count),
            // All other sessions are revoked. The unreadable one can be neither revoked nor
            // renewed.
            why => Err(ReplyReader::new(vec![Some(why.to_owned())]).unexpected_reply("corrupt")),
        }
    }

    /// Writes the watermark to every shard, so that each renewal finds it in its own slot. If this
    /// is interrupted, the sessions of some shards are revoked, and a retry revokes the rest.
    async fn revoke_all(
        self,
        now: Timestamp,
        signed_in_before: Timestamp,
    ) -> Result<(), StoreError> {
        let mut writing = JoinSet::new();
        for first in 0..AT_ONCE {
            let this = self.clone();
            writing.spawn(async move {
                for part in (first..SHARDS).step_by(usize::from(AT_ONCE)) {
                    let mark = this.names.revoked_all_in(part);
                    let arguments =
                        [this.confirm.argument(), &signed_in_before.as_unix_seconds().to_string()];
                    let reply = REVOKE_ALL.run(this.links.shared(), &[&mark], &arguments).await?;
                    let online = ended(&mut ReplyReader::new(reply))?;
                    this.confirm.wait(&this.links, &mark, &online).await?;
                }
                Ok(())
            });
        }
        let mut outcome = Ok(());
        while let Some(written) = writing.join_next().await {
            let written = written.unwrap_or_else(|error| Err(StoreError::unavailable(error)));
            outcome = outcome.and(written);
        }
        self.feed().publish(now, &[Revocation::all(signed_in_before)]).await?;
        outcome
    }

    /// Publishes before waiting for the replicas: the revocation is effective whether or not a
    /// replica confirms it.
    async fn publish_and_replicate(
        &self,
        now: Timestamp,
        revocations: &[Revocation],
        key: &str,
        online: &str,
    ) -> Result<(), StoreError> {
        let published = self.feed().publish(now, revocations).await;
        self.confirm.wait(&self.links, key, online).await?;
        published
    }
}

/// The replication state in a reply, after its first word.
fn ended(words: &mut ReplyReader) -> Result<String, StoreError> {
    match words.next().as_str() {
        "ended" => Ok(words.next()),
        other => Err(words.unexpected_reply(other)),
    }
}
