//! The sessions, and the revoked ids that are remembered. All of this is accessed under one lock.

use std::collections::{BTreeSet, HashMap};

use super::feed::RevocationLog;
use crate::{
    engine::session::id::{SessionId, Subject},
    store::{
        SUBJECT_REVOCATION_RETENTION,
        error::StoreError,
        feed::Revocation,
        record::{SessionKey, SessionKind, SessionRecord},
        types::{
            CreateOutcome, PageCursor, RenewOutcome, RenewRequest, Revoke, RevokeScope,
            SessionPage, SubjectLimit, SubjectLimitPolicy,
        },
    },
    time::Timestamp,
};

#[derive(Debug)]
pub(super) struct Tables {
    capacity: usize,
    sessions: HashMap<SessionId, StoredSession>,
    /// The sessions that are not revoked, by the time of the sign-in.
    of_subject: HashMap<Subject, BTreeSet<(Timestamp, SessionId)>>,
    /// When each record can be deleted.
    until: BTreeSet<(Timestamp, SessionId)>,
    all_ended: HashMap<Subject, Watermark>,
    everybody_ended: Timestamp,
    pub(super) feed: RevocationLog,
}

impl Tables {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            sessions: HashMap::new(),
            of_subject: HashMap::new(),
            until: BTreeSet::new(),
            all_ended: HashMap::new(),
            everybody_ended: Timestamp::EPOCH,
            feed: RevocationLog::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn create(
        &mut self,
        session: &SessionRecord,
        limit: Option<SubjectLimit>,
    ) -> Result<CreateOutcome, StoreError> {
        let now = session.signed_in_at;
        if self.sessions.contains_key(&session.id) {
            return Err(StoreError::Conflict);
        }
        let all_ended = self.all_ended.get(&session.subject);
        if now < self.everybody_ended
            || all_ended.is_some_and(|watermark| now < watermark.signed_in_before)
        {
            return Ok(CreateOutcome::SubjectRevoked);
        }
        let mut session = session.clone();
        session.lineage = None;
        session.binding = None;
        let before = session.replaces.take();
        if let Some(id) = before {
            let key = SessionKey::new(id, session.subject.clone());
            let Some(pending) = self.find(&key, now)? else {
                return Ok(CreateOutcome::ReplacedSessionGone);
            };
            session.device = session.device.or(pending.device);
        }
        let live: Vec<_> = self
            .of_subject
            .get(&session.subject)
            .into_iter()
            .flatten()
            .filter(|(_, id)| {
                let is_counted = |it: &SessionRecord| it.kind == session.kind;
                Some(*id) != before && self.live(*id, now).is_some_and(is_counted)
            })
            .copied()
            .collect();
        let too_many = limit.map_or(0, |limit| (live.len() + 1).saturating_sub(limit.max));
        let may_refuse = session.kind == SessionKind::Complete
            && limit.is_some_and(|limit| limit.policy == SubjectLimitPolicy::Refuse);
        if too_many > 0 && may_refuse {
            return Ok(CreateOutcome::LimitReached);
        }
        if self.sessions.len() >= self.capacity {
            self.delete_expired(now, self.sessions.len() - self.capacity + 1);
            if self.sessions.len() >= self.capacity {
                return Err(StoreError::unavailable("the memory store is full"));
            }
        }
        let mut ended = Vec::new();
        for (_, id) in live.into_iter().take(too_many) {
            self.end_record(id, now);
            ended.push(id);
        }
        let of_subject = self.of_subject.entry(session.subject.clone()).or_default();
        of_subject.insert((session.signed_in_at, session.id));
        self.put(session.id, StoredSession::Lives(Box::new(session)));
        Ok(CreateOutcome::Created { ended })
    }

    /// The record of `key` if it is active at `now`.
    pub(super) fn find(
        &self,
        key: &SessionKey,
        now: Timestamp,
    ) -> Result<Option<SessionRecord>, StoreError> {
        self.check(key)?;
        Ok(self.live(key.id, now).cloned())
    }

    pub(super) fn renew(
        &mut self,
        key: &SessionKey,
        renewal: RenewRequest,
    ) -> Result<RenewOutcome, StoreError> {
        self.check(key)?;
        let Some(entry) = self.sessions.get_mut(&key.id) else { return Ok(RenewOutcome::NotFound) };
        let StoredSession::Lives(record) = entry else { return Ok(RenewOutcome::Revoked) };
        if record.signed_in_at < self.everybody_ended {
            return Ok(RenewOutcome::Revoked);
        }
        if record.is_expired(renewal.now) {
            return Ok(RenewOutcome::Expired);
        }
        let Ok(binding) = renewal.binding(record.binding) else {
            return Ok(RenewOutcome::KeyMismatch(SessionRecord::clone(record)));
        };
        record.binding = binding;
        self.until.remove(&(record.expires_at, key.id));
        record.last_active_at = record.last_active_at.max(renewal.last_active_at);
        record.expires_at = record.expires_at.max(renewal.expires_at);
        self.until.insert((record.expires_at, key.id));
        if let Some(request) = &renewal.lineage {
            record.lineage = request.apply(record.lineage, renewal.now);
        }
        Ok(RenewOutcome::Active(SessionRecord::clone(record)))
    }

    pub(super) fn revoke(&mut self, key: &SessionKey, ending: Revoke) -> Result<(), StoreError> {
        self.check(key)?;
        if let Some(StoredSession::Lives(record)) = self.sessions.get(&key.id) {
            let subject = record.subject.clone();
            let remember_until = ending.remember_until.max(record.expires_at);
            self.remove_from_index(key.id);
            self.put(key.id, StoredSession::Ended { subject, until: remember_until });
        } else {
            let known = self.sessions.get(&key.id).map_or(Timestamp::EPOCH, StoredSession::until);
            let until = known.max(ending.remember_until);
            self.put(key.id, StoredSession::Ended { subject: key.subject.clone(), until });
        }
        self.feed.publish(ending.now, Revocation::Session(key.id));
        Ok(())
    }

    pub(super) fn revoke_many(&mut self, ends: &RevokeScope) -> u64 {
        match ends {
            RevokeScope::Subject { subject, now, signed_in_before, except } => {
                let watermark = signed_in_before.unwrap_or(*now);
                let over: Vec<_> = self
                    .of_subject
                    .get(subject)
                    .into_iter()
                    .flatten()
                    .filter(|(signed_in_at, id)| {
                        Some(*id) != *except
                            && signed_in_before.is_none_or(|before| *signed_in_at < before)
                    })
                    .copied()
                    .collect();
                let revocation = Revocation::subject(subject.clone(), watermark, *except);
                self.feed.publish(*now, revocation);
                for (signed_in_at, id) in &over {
                    self.end_record(*id, *now);
                    if *signed_in_at >= watermark {
                        self.feed.publish(*now, Revocation::Session(*id));
                    }
                }
                let known = self.all_ended.get(subject).map(|known| known.signed_in_before);
                let signed_in_before = known.map_or(watermark, |known| known.max(watermark));
                let watermark = Watermark { signed_in_before, set_at: *now };
                self.all_ended.insert(subject.clone(), watermark);
                over.len() as u64
            }
            RevokeScope::All { now, signed_in_before } => {
                self.everybody_ended = self.everybody_ended.max(*signed_in_before);
                self.feed.publish(*now, Revocation::all(*signed_in_before));
                0
            }
        }
    }

    pub(super) fn list(
        &self,
        subject: &Subject,
        now: Timestamp,
        after: Option<PageCursor>,
        limit: usize,
    ) -> SessionPage {
        let is_after = |(at, id): &&(Timestamp, SessionId)| {
            after.is_none_or(|after| (*at, *id) < (after.signed_in_at, after.id))
        };
        let sessions = self.of_subject.get(subject).into_iter().flat_map(|ids| ids.iter().rev());
        let found = sessions
            .filter(is_after)
            .filter_map(|(_, id)| self.live(*id, now))
            .take(limit.saturating_add(1))
            .cloned()
            .collect();
        SessionPage::from_sessions(found, limit)
    }

    pub(super) fn delete_expired(&mut self, now: Timestamp, limit: usize) -> u64 {
        let mut deleted = 0;
        while (deleted as usize) < limit
            && let Some(&(until, id)) = self.until.first()
            && until <= now
        {
            self.remove_from_index(id);
            self.until.remove(&(until, id));
            self.sessions.remove(&id);
            deleted += 1;
        }
        self.all_ended
            .retain(|_, mark| now.saturating_since(mark.set_at) <= SUBJECT_REVOCATION_RETENTION);
        self.feed.trim(now);
        deleted
    }

    fn live(&self, id: SessionId, now: Timestamp) -> Option<&SessionRecord> {
        match self.sessions.get(&id) {
            Some(StoredSession::Lives(record))
                if !record.is_expired(now) && record.signed_in_at >= self.everybody_ended =>
            {
                Some(record)
            }
            _ => None,
        }
    }

    /// A key with another subject than the record's is an error of the caller.
    fn check(&self, key: &SessionKey) -> Result<(), StoreError> {
        match self.sessions.get(&key.id) {
            Some(entry) if *entry.subject() != key.subject => {
                Err(StoreError::Corrupt("the record is of another subject"))
            }
            _ => Ok(()),
        }
    }

    fn end_record(&mut self, id: SessionId, now: Timestamp) {
        let Some(entry) = self.sessions.get(&id) else { return };
        let (subject, until) = (entry.subject().clone(), entry.until());
        self.remove_from_index(id);
        self.put(id, StoredSession::Ended { subject, until });
        self.feed.publish(now, Revocation::Session(id));
    }

    fn put(&mut self, id: SessionId, entry: StoredSession) {
        let until = entry.until();
        if let Some(old) = self.sessions.insert(id, entry) {
            self.until.remove(&(old.until(), id));
        }
        self.until.insert((until, id));
    }

    fn remove_from_index(&mut self, id: SessionId) {
        if let Some(StoredSession::Lives(record)) = self.sessions.get(&id)
            && let Some(of_subject) = self.of_subject.get_mut(&record.subject)
        {
            of_subject.remove(&(record.signed_in_at, id));
            if of_subject.is_empty() {
                self.of_subject.remove(&record.subject);
            }
        }
    }
}

#[derive(Debug)]
pub(super) enum StoredSession {
    Lives(Box<SessionRecord>),
    Ended { subject: Subject, until: Timestamp },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Watermark {
    pub(super) signed_in_before: Timestamp,
    pub(super) set_at: Timestamp,
}

impl StoredSession {
    pub(super) const fn subject(&self) -> &Subject {
        match self {
            Self::Lives(record) => &record.subject,
            Self::Ended { subject, .. } => subject,
        }
    }

    pub(super) const fn until(&self) -> Timestamp {
        match self {
            Self::Lives(record) => record.expires_at,
            Self::Ended { until, .. } => *until,
        }
    }
}
