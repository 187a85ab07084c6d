//! Creates, loads, renews and lists sessions.

use super::{
    dialect::{Dialect, array},
    queries::{NEVER, REVOKE_ONE, Statements},
    revoke::publish_session,
    row::{BindValue, COMPLETE, PENDING, Row, SessionRow, at},
    transaction::Transaction,
};
use crate::{
    engine::session::{
        device::Device,
        id::{SessionId, Subject},
        lineage::{LineageId, OnCopy},
    },
    store::{
        error::StoreError,
        record::{SessionKey, SessionKind, SessionRecord},
        types::{
            CreateOutcome, PageCursor, RenewOutcome, RenewRequest, SessionPage, SubjectLimit,
            SubjectLimitPolicy,
        },
    },
    time::Timestamp,
};

/// In a transaction with exclusive access to the subject.
pub(in crate::store) async fn create<D: Dialect>(
    mut work: Transaction<'_, D>,
    statements: &Statements,
    session: &SessionRecord,
    limit: Option<SubjectLimit>,
) -> Result<CreateOutcome, StoreError> {
    let mut device = session.device.clone();
    if let Some(id) = session.replaces {
        let pending = match work.row(statements.look, &[BindValue::Text(id.as_str())]).await? {
            Some(row) => Some(row.session()?),
            None => None,
        };
        pending.iter().try_for_each(|found| found.check(&session.subject))?;
        let Some(pending) = pending.filter(|found| found.is_active(session.signed_in_at)) else {
            work.rollback().await?;
            return Ok(CreateOutcome::ReplacedSessionGone);
        };
        device = device.or(pending.record.device);
    }
    match insert(&mut work, statements, session, &device).await {
        Ok(true) => {}
        Ok(false) => {
            let taken =
                work.row(statements.look, &[BindValue::Text(session.id.as_str())]).await?.is_some();
            work.rollback().await?;
            return if taken {
                Err(StoreError::Conflict)
            } else {
                Ok(CreateOutcome::SubjectRevoked)
            };
        }
        Err(StoreError::Conflict) => {
            work.rollback().await?;
            return Err(StoreError::Conflict);
        }
        Err(error) => return Err(error),
    }
    let mut ended = Vec::new();
    if let Some(limit) = limit {
        let too_many = enforce_limit(&mut work, statements, session, limit.max).await?;
        // A pending session never prevents a sign-in.
        let may_refuse = session.kind == SessionKind::Complete || !statements.has_kind;
        if !too_many.is_empty() && may_refuse && limit.policy == SubjectLimitPolicy::Refuse {
            work.rollback().await?;
            return Ok(CreateOutcome::LimitReached);
        }
        for id in too_many {
            if work.row(REVOKE_ONE, &[BindValue::Text(id.as_str())]).await?.is_some() {
                publish_session(&mut work, id, session.signed_in_at).await?;
                ended.push(id);
            }
        }
    }
    work.commit().await?;
    Ok(CreateOutcome::Created { ended })
}

async fn insert<D: Dialect>(
    work: &mut Transaction<'_, D>,
    statements: &Statements,
    session: &SessionRecord,
    device: &Device,
) -> Result<bool, StoreError> {
    // Ensures that a label is short and has only characters that every database accepts.
    let Device { label, ip } = Device::new(device.label.as_deref(), device.ip);
    let ip = ip.map(|ip| ip.to_string());
    let kind = match session.kind {
        SessionKind::Complete => COMPLETE,
        SessionKind::Pending => PENDING,
    };
    let values = [
        BindValue::Text(session.id.as_str()),
        BindValue::Text(session.subject.as_str()),
        at(session.signed_in_at),
        at(session.expires_at),
        label.as_deref().map_or(BindValue::NoText, BindValue::Text),
        ip.as_deref().map_or(BindValue::NoText, BindValue::Text),
        at(session.last_active_at),
        BindValue::Int(kind),
    ];
    let values = &values[..if statements.has_kind { 8 } else { 7 }];
    Ok(work.row(statements.create, values).await?.is_some())
}

/// The sessions of the same kind that leave no room for `session`, the oldest first.
async fn enforce_limit<D: Dialect>(
    work: &mut Transaction<'_, D>,
    statements: &Statements,
    session: &SessionRecord,
    max: usize,
) -> Result<Vec<SessionId>, StoreError> {
    let now = session.signed_in_at;
    let rows = select_by_subject(work, statements, &session.subject, now, None, usize::MAX).await?;
    let is_counted = |other: &SessionRecord| {
        (other.kind == session.kind || !statements.has_kind)
            && other.id != session.id
            && Some(other.id) != session.replaces
    };
    let others = rows.into_iter().map(|found| found.record).filter(is_counted);
    let mut others: Vec<_> = others.map(|other| other.id).collect();
    let mut too_many = others.split_off(max.saturating_sub(1).min(others.len()));
    too_many.reverse();
    Ok(too_many)
}

/// One round trip.
pub(in crate::store) async fn load<D: Dialect>(
    mut work: Transaction<'_, D>,
    statements: &Statements,
    keys: &[SessionKey],
    now: Timestamp,
) -> Result<Vec<Option<SessionRecord>>, StoreError> {
    let ids = array::<D>(keys.iter().map(|key| key.id.as_str()));
    let statement = D::LOAD[usize::from(statements.has_kind)];
    let rows = work.rows(statement, &[BindValue::Text(&ids)]).await?;
    work.commit().await?;
    let found = rows.into_iter().map(Row::session).collect::<Result<Vec<_>, _>>()?;
    let of = |key: &SessionKey| {
        let Some(found) = found.iter().find(|found| found.record.id == key.id) else {
            return Ok(None);
        };
        found.check(&key.subject)?;
        Ok(found.is_active(now).then(|| found.record.clone()))
    };
    keys.iter().map(of).collect()
}

/// One round trip, and one statement.
pub(in crate::store) async fn renew<D: Dialect>(
    mut work: Transaction<'_, D>,
    statements: &Statements,
    key: &SessionKey,
    renewal: RenewRequest,
) -> Result<RenewOutcome, StoreError> {
    let values = [
        BindValue::Text(key.id.as_str()),
        BindValue::Text(key.subject.as_str()),
        at(renewal.now),
        at(renewal.last_active_at),
        at(renewal.expires_at),
    ];
    let lineage = LineageValues::new(&renewal);
    let device_key = renewal.device_key.map(|key| key.to_string());
    let device_key = device_key.as_deref().map_or(BindValue::NoText, BindValue::Text);
    let all = [values.as_slice(), &lineage.bind(), &[device_key]].concat();
    let values = if statements.has_kind { &all } else { values.as_slice() };
    let row = work.row(statements.renew, values).await?;
    work.commit().await?;
    let Some(row) = row else { return Ok(RenewOutcome::NotFound) };
    let found = row.session()?;
    found.check(&key.subject)?;
    Ok(match found {
        found if found.is_ended => RenewOutcome::Revoked,
        found if found.record.is_expired(renewal.now) => RenewOutcome::Expired,
        // Tables of version 1 record no binding.
        found if statements.has_kind && renewal.binding(found.record.binding).is_err() => {
            RenewOutcome::KeyMismatch(found.record)
        }
        found => RenewOutcome::Active(found.record),
    })
}

/// The lineage of a renewal, as its statement has it.
struct LineageValues {
    presented: Option<LineageId>,
    next: Option<LineageId>,
    unsettled: (Timestamp, Timestamp),
    on_copy: i64,
    next_of_copy: Option<LineageId>,
}

impl LineageValues {
    fn new(renewal: &RenewRequest) -> Self {
        let request = renewal.lineage.as_ref();
        Self {
            presented: request.and_then(|request| request.presented),
            next: request.filter(|request| request.rotates).map(|request| request.next),
            unsettled: request.map_or((Timestamp::EPOCH, Timestamp::EPOCH), |request| {
                request.unsettled(renewal.now)
            }),
            on_copy: request.map_or(0, |request| match request.on_copy {
                OnCopy::Keep => 0,
                OnCopy::Adopt => 1,
                OnCopy::Alarm => 2,
            }),
            next_of_copy: request.map(|request| request.next.for_copy()),
        }
    }

    fn bind(&self) -> [BindValue<'_>; 6] {
        fn text(id: &Option<LineageId>) -> BindValue<'_> {
            id.as_ref().map_or(BindValue::NoText, |id| BindValue::Text(id.as_str()))
        }
        [
            text(&self.presented),
            text(&self.next),
            at(self.unsettled.0),
            at(self.unsettled.1),
            BindValue::Int(self.on_copy),
            text(&self.next_of_copy),
        ]
    }
}

/// One round trip.
pub(in crate::store) async fn list<D: Dialect>(
    mut work: Transaction<'_, D>,
    statements: &Statements,
    subject: &Subject,
    now: Timestamp,
    after: Option<PageCursor>,
    limit: usize,
) -> Result<SessionPage, StoreError> {
    let limit_and_one = limit.saturating_add(1);
    let found =
        select_by_subject(&mut work, statements, subject, now, after, limit_and_one).await?;
    work.commit().await?;
    let sessions = found.into_iter().map(|found| found.record).collect();
    Ok(SessionPage::from_sessions(sessions, limit))
}

async fn select_by_subject<D: Dialect>(
    work: &mut Transaction<'_, D>,
    statements: &Statements,
    subject: &Subject,
    now: Timestamp,
    after: Option<PageCursor>,
    max: usize,
) -> Result<Vec<SessionRow>, StoreError> {
    let values = [
        BindValue::Text(subject.as_str()),
        at(now),
        after.map_or(BindValue::Int(NEVER), |after| at(after.signed_in_at)),
        after.as_ref().map_or(BindValue::Text(""), |after| BindValue::Text(after.id.as_str())),
        BindValue::Int(i64::try_from(max).unwrap_or(i64::MAX)),
    ];
    work.rows(statements.list, &values).await?.into_iter().map(Row::session).collect()
}
