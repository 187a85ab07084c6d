//! Revokes sessions, and deletes what is no longer needed.

use super::{
    dialect::Dialect,
    queries::{
        DELETE_FEED_ENTRIES, DELETE_SUBJECT_REVOCATIONS, NEVER, PUBLISH, RECORD_SUBJECT_REVOCATION,
        REVOKE_OF_SUBJECT, V1,
    },
    row::{BindValue, FEED_ALL, FEED_SESSION, FEED_SUBJECT, Row, at, int},
    transaction::Transaction,
};
use crate::{
    engine::session::id::{SessionId, Subject},
    store::{
        FEED_RETENTION, SUBJECT_REVOCATION_RETENTION,
        error::StoreError,
        record::SessionKey,
        types::{Revoke, RevokeScope},
    },
    time::Timestamp,
};

pub(in crate::store) async fn revoke<D: Dialect>(
    mut work: Transaction<'_, D>,
    key: &SessionKey,
    ending: Revoke,
) -> Result<(), StoreError> {
    let id = BindValue::Text(key.id.as_str());
    let values =
        [id, BindValue::Text(key.subject.as_str()), at(ending.now), at(ending.remember_until)];
    let mut has_ended = false;
    for (step, statement) in D::END.iter().enumerate() {
        let rows = work.rows(statement, &values).await?;
        if step == 0 {
            has_ended = !rows.is_empty();
        }
    }
    if !has_ended && let Some(row) = work.row(V1.look, &[id]).await? {
        row.session()?.check(&key.subject)?;
        // The record changed between the two statements.
        return Err(StoreError::unavailable("the record changed while it was read"));
    }
    work.commit().await
}

/// In a transaction with exclusive access to the subject.
pub(in crate::store) async fn revoke_many<D: Dialect>(
    mut work: Transaction<'_, D>,
    ends: &RevokeScope,
) -> Result<u64, StoreError> {
    let mut count = 0;
    match ends {
        RevokeScope::Subject { subject, now, signed_in_before, except } => {
            let watermark = signed_in_before.unwrap_or(*now);
            let subject = BindValue::Text(subject.as_str());
            let except = except.as_ref().map(SessionId::as_str);
            let before = signed_in_before.map_or(NEVER, int);
            let values =
                [subject, BindValue::Text(except.unwrap_or_default()), BindValue::Int(before)];
            let rows = work.rows(REVOKE_OF_SUBJECT, &values).await?;
            count = rows.len() as u64;
            work.rows(RECORD_SUBJECT_REVOCATION, &[subject, at(watermark), at(*now)]).await?;
            let except = except.map_or(BindValue::NoText, BindValue::Text);
            let entry = [at(*now), BindValue::Int(FEED_SUBJECT), except, subject, at(watermark)];
            work.rows(PUBLISH, &entry).await?;
            for mut row in rows {
                let id = row.id()?;
                // The entry of the subject does not cover these.
                if row.time()? >= watermark {
                    publish_session(&mut work, id, *now).await?;
                }
            }
        }
        RevokeScope::All { now, signed_in_before } => {
            let before = at(*signed_in_before);
            work.rows(RECORD_SUBJECT_REVOCATION, &[BindValue::Text(""), before, at(*now)]).await?;
            let entry =
                [at(*now), BindValue::Int(FEED_ALL), BindValue::NoText, BindValue::NoText, before];
            work.rows(PUBLISH, &entry).await?;
        }
    }
    work.commit().await?;
    Ok(count)
}

/// The subject of the scope, if it has one.
pub(in crate::store) fn subject_of(ends: &RevokeScope) -> Option<&Subject> {
    match ends {
        RevokeScope::Subject { subject, .. } => Some(subject),
        RevokeScope::All { .. } => None,
    }
}

pub(in crate::store) async fn publish_session<D: Dialect>(
    work: &mut Transaction<'_, D>,
    id: SessionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = BindValue::Text(id.as_str());
    let entry = [at(now), BindValue::Int(FEED_SESSION), id, BindValue::NoText, BindValue::Int(0)];
    work.rows(PUBLISH, &entry).await.map(|_: Vec<Row>| ())
}

pub(in crate::store) async fn delete_expired<D: Dialect>(
    mut work: Transaction<'_, D>,
    now: Timestamp,
    limit: usize,
) -> Result<u64, StoreError> {
    let most = BindValue::Int(i64::try_from(limit).unwrap_or(i64::MAX));
    let deleted = work.rows(D::DELETE, &[at(now), most]).await?.len() as u64;
    let before = |kept: std::time::Duration| {
        BindValue::Int(int(now) - i64::try_from(kept.as_secs()).unwrap_or(i64::MAX))
    };
    work.rows(DELETE_SUBJECT_REVOCATIONS, &[before(SUBJECT_REVOCATION_RETENTION)]).await?;
    for statement in DELETE_FEED_ENTRIES {
        work.rows(statement, &[before(FEED_RETENTION)]).await?;
    }
    work.commit().await?;
    Ok(deleted)
}
