//! The operations, one script each.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{
    answer::Words,
    confirm::Confirm,
    feed::Feed,
    keys::{Names, PARTS},
    link::Links,
    script::{CREATE, END, END_ALL, EVERYBODY, LOAD, RENEW, SESSIONS},
};
use crate::{
    engine::{SessionId, Subject},
    random::OsRandom,
    store::{
        Created, END_ALL_KEPT, EndAll, Ending, PageCursor, Renewal, Renewed, Revocation,
        SessionKey, SessionPage, SessionRecord, StoreError, SubjectLimit, SubjectLimitPolicy,
    },
    time::Timestamp,
};

/// A page is no longer than this, whatever was asked for: no script may hold up the server.
const LONGEST_PAGE: usize = 1_000;

/// How many servers' parts are written to at once when everybody is signed out.
const AT_ONCE: u16 = 64;

/// All that an operation needs; clones share the connections.
#[derive(Clone)]
pub(super) struct Operation {
    pub(super) links: Arc<Links>,
    pub(super) names: Arc<Names>,
    pub(super) confirm: Confirm,
}

impl Operation {
    pub(super) fn feed(&self) -> Feed<'_> {
        Feed { links: &self.links, names: &self.names }
    }

    pub(super) async fn create(
        self,
        session: SessionRecord,
        limit: Option<SubjectLimit>,
    ) -> Result<Created, StoreError> {
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
                    &self.names.mark(subject),
                    &self.names.everybody(subject),
                ],
                &[
                    self.confirm.ask(),
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
                ],
            )
            .await?;
        let mut words = Words::new(reply);
        match words.next().as_str() {
            "kept" => {
                let online = words.next();
                let ended = words.ids()?;
                let told: Vec<_> = ended.iter().copied().map(Revocation::Session).collect();
                // The session is kept whether or not others hear at once of those that made room.
                let _ = self.feed().tell(session.signed_in_at, &told).await;
                self.confirm.wait(&self.links, &record, &online).await?;
                Ok(Created::Kept { ended })
            }
            "taken" => Err(StoreError::Conflict),
            "old" => Ok(Created::TooOld),
            "full" => Ok(Created::LimitReached),
            other => Err(words.trouble(other)),
        }
    }

    pub(super) async fn load(
        &self,
        key: &SessionKey,
        now: Timestamp,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let keys = [self.names.record(key), self.names.everybody(&key.subject)];
        let arguments = [key.subject.as_str(), &now.to_string()];
        let keys = keys.each_ref().map(String::as_str);
        let mut words = Words::new(LOAD.run(self.links.shared(), &keys, &arguments).await?);
        match words.next().as_str() {
            "lives" => words.record(key.id, &key.subject).map(Some),
            "none" => Ok(None),
            other => Err(words.trouble(other)),
        }
    }

    pub(super) async fn renew(
        &self,
        key: &SessionKey,
        renewal: Renewal,
    ) -> Result<Renewed, StoreError> {
        let (record, subject) = (self.names.record(key), &key.subject);
        let reply = RENEW
            .run(
                self.links.shared(),
                &[&record, &self.names.list(subject), &self.names.everybody(subject)],
                &[
                    key.id.as_str(),
                    subject.as_str(),
                    &renewal.now.to_string(),
                    &renewal.last_active_at.to_string(),
                    &renewal.expires_at.to_string(),
                ],
            )
            .await?;
        let mut words = Words::new(reply);
        match words.next().as_str() {
            "lives" => words.record(key.id, subject).map(Renewed::Lives),
            "ended" => Ok(Renewed::Ended),
            "expired" => Ok(Renewed::Expired),
            "none" => Ok(Renewed::Unknown),
            other => Err(words.trouble(other)),
        }
    }

    pub(super) async fn end(self, key: SessionKey, ending: Ending) -> Result<(), StoreError> {
        let record = self.names.record(&key);
        let reply = END
            .run(
                self.links.shared(),
                &[&record, &self.names.list(&key.subject)],
                &[
                    self.confirm.ask(),
                    key.id.as_str(),
                    key.subject.as_str(),
                    &ending.now.to_string(),
                    &ending.remember_until.to_string(),
                ],
            )
            .await?;
        let online = ended(&mut Words::new(reply))?;
        self.tell_and_confirm(ending.now, &[Revocation::Session(key.id)], &record, &online).await
    }

    pub(super) async fn end_all(self, ends: EndAll) -> Result<u64, StoreError> {
        match ends {
            EndAll::Subject { subject, now, signed_in_before, except } => {
                self.end_subject(subject, now, signed_in_before, except).await
            }
            EndAll::Everybody { now, signed_in_before } => {
                self.end_everybody(now, signed_in_before).await.map(|()| 0)
            }
        }
    }

    async fn end_subject(
        self,
        subject: Subject,
        now: Timestamp,
        signed_in_before: Option<Timestamp>,
        except: Option<SessionId>,
    ) -> Result<u64, StoreError> {
        let mark = self.names.mark(&subject);
        let reply = END_ALL
            .run(
                self.links.shared(),
                &[&self.names.list(&subject), &mark],
                &[
                    self.confirm.ask(),
                    &self.names.base(&subject),
                    subject.as_str(),
                    except.as_ref().map_or("", SessionId::as_str),
                    &now.to_string(),
                    &END_ALL_KEPT.as_secs().to_string(),
                    &signed_in_before.map(|before| before.to_string()).unwrap_or_default(),
                ],
            )
            .await?;
        let mut words = Words::new(reply);
        let online = ended(&mut words)?;
        let count = words.next().parse().unwrap_or(0);
        let unreadable = words.next();
        let mut told = vec![Revocation::subject(subject, signed_in_before.unwrap_or(now), except)];
        told.extend(words.ids()?.into_iter().map(Revocation::Session));
        self.tell_and_confirm(now, &told, &mark, &online).await?;
        match unreadable.as_str() {
            "" => Ok(count),
            // All others have ended; this one can be neither ended nor renewed.
            why => Err(Words::new(vec![Some(why.to_owned())]).trouble("corrupt")),
        }
    }

    /// Leaves the mark in every part, so that each renewal finds it in its own slot. Where it is cut
    /// short some parts have it: everybody there has been signed out, and doing it again does the rest.
    async fn end_everybody(
        self,
        now: Timestamp,
        signed_in_before: Timestamp,
    ) -> Result<(), StoreError> {
        let mut writing = JoinSet::new();
        for first in 0..AT_ONCE {
            let this = self.clone();
            writing.spawn(async move {
                for part in (first..PARTS).step_by(usize::from(AT_ONCE)) {
                    let mark = this.names.everybody_in(part);
                    let arguments = [this.confirm.ask(), &signed_in_before.to_string()];
                    let reply = EVERYBODY.run(this.links.shared(), &[&mark], &arguments).await?;
                    let online = ended(&mut Words::new(reply))?;
                    this.confirm.wait(&this.links, &mark, &online).await?;
                }
                Ok(())
            });
        }
        let mut outcome = Ok(());
        while let Some(written) = writing.join_next().await {
            outcome =
                outcome.and(written.unwrap_or_else(|error| Err(StoreError::unavailable(error))));
        }
        self.feed().tell(now, &[Revocation::all(signed_in_before)]).await?;
        outcome
    }

    pub(super) async fn sessions_of(
        &self,
        subject: &Subject,
        now: Timestamp,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<SessionPage, StoreError> {
        let limit = limit.min(LONGEST_PAGE);
        let keys = [self.names.list(subject), self.names.everybody(subject)];
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
        let mut words = Words::new(SESSIONS.run(self.links.shared(), &keys, &arguments).await?);
        match words.next().as_str() {
            "page" => {
                let mut sessions = Vec::new();
                while !words.is_over() {
                    let id = words.id()?;
                    sessions.push(words.record(id, subject)?);
                }
                Ok(SessionPage::of(sessions, limit))
            }
            other => Err(words.trouble(other)),
        }
    }

    /// Others are told before the replicas are waited for: what has ended has ended, confirmed or not.
    async fn tell_and_confirm(
        &self,
        now: Timestamp,
        told: &[Revocation],
        key: &str,
        online: &str,
    ) -> Result<(), StoreError> {
        let heard = self.feed().tell(now, told).await;
        self.confirm.wait(&self.links, key, online).await?;
        heard
    }
}

/// What an answer says of the replicas, after its first word.
fn ended(words: &mut Words) -> Result<String, StoreError> {
    match words.next().as_str() {
        "ended" => Ok(words.next()),
        other => Err(words.trouble(other)),
    }
}
