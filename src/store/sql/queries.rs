//! The statements that both dialects share, and the common parts of those that differ.

use crate::time::Timestamp;

/// What [`Row::session`](crate::store::sql::row::Row::session) reads. `$added` are the columns of
/// version 2, or their values where they are missing.
macro_rules! session {
    (1) => {
        session!("CAST(1 AS BIGINT), NULL, NULL, NULL, NULL, NULL")
    };
    (2) => {
        session!("kind, lineage_current, lineage_previous, lineage_rotated_at, bound_key, bound_at")
    };
    ($added:literal) => {
        concat!(
            "id, subject, status, signed_in_at, last_active_at, expires_at, device_label, device_ip, ",
            $added,
            ", COALESCE((SELECT signed_in_before FROM auth_watermarks WHERE subject = ''), 0)"
        )
    };
}

/// Whether the session is active at `$3`, belongs to `$2`, and is readable as far as a renewal goes.
macro_rules! is_active {
    (2) => {
        concat!(
            is_active!(1),
            " AND COALESCE(lineage_rotated_at, 0) BETWEEN 0 AND 253402300799 \
             AND COALESCE(bound_at, 0) BETWEEN 0 AND 253402300799 \
             AND (bound_key IS NULL) = (bound_at IS NULL) \
             AND (bound_key IS NULL OR bound_key = $12)"
        )
    };
    (1) => {
        "subject = $2 AND status = 1 AND expires_at > $3 AND expires_at < 253402300800 \
         AND last_active_at >= 0 AND signed_in_at >= \
         COALESCE((SELECT signed_in_before FROM auth_watermarks WHERE subject = ''), 0)"
    };
}
/// Whether the lineage continues with `$7`: the rule of
/// [`LineageRequest`](crate::store::LineageRequest). Never true for tables of version 1.
macro_rules! rotates {
    () => {
        "$7 IS NOT NULL AND (lineage_rotated_at IS NULL OR (lineage_current IS NOT NULL AND \
         ($6 IS NULL OR $6 = lineage_current OR $6 = lineage_previous) AND \
         NOT (lineage_rotated_at > $8 AND lineage_rotated_at < $9)))"
    };
}

/// Whether the token with the id `$6` is a copy.
macro_rules! is_copy {
    () => {
        "$6 IS NOT NULL AND lineage_current IS NOT NULL AND $6 <> lineage_current AND \
         ((lineage_previous IS NULL AND NOT (lineage_rotated_at > $8 AND lineage_rotated_at < $9)) \
         OR $6 <> lineage_previous)"
    };
}

/// The assignment of a column of the lineage: its value after a rotation, for a copy that is adopted,
/// and for one that ends the lineage.
macro_rules! lineage {
    ($column:literal, $rotated:literal, $adopted:literal, $alarmed:literal) => {
        concat!(
            ", ",
            $column,
            " = CASE WHEN ",
            is_active!(2),
            " AND ",
            rotates!(),
            " THEN ",
            $rotated,
            " WHEN ",
            is_active!(2),
            " AND $10 = 1 AND ",
            is_copy!(),
            " THEN ",
            $adopted,
            " WHEN ",
            is_active!(2),
            " AND $10 = 2 AND ",
            is_copy!(),
            " THEN ",
            $alarmed,
            " ELSE ",
            $column,
            " END"
        )
    };
}

/// The assignments of the columns of the device: the first key wins.
macro_rules! binding {
    () => {
        concat!(
            ", bound_key = CASE WHEN ",
            is_active!(2),
            " AND bound_key IS NULL THEN $12 ELSE bound_key END, bound_at = CASE WHEN ",
            is_active!(2),
            " AND bound_key IS NULL AND $12 IS NOT NULL THEN $3 ELSE bound_at END"
        )
    };
}

/// What [`FeedSnapshot`](crate::store::sql::feed) reads: what the store records about its feed beside
/// each entry, and at least once. `$1`: after this position, `$2`: missing positions, `$3`: the
/// maximum number of entries. `$horizon` is the first transaction that may still be open. `LIMIT 1`
/// tells a planner without statistics that the store is one row.
macro_rules! read_feed {
    ($horizon:literal, $is_missing:literal) => {
        concat!(
            "SELECT epoch, trimmed_position, trimmed_xact, trimmed_at, ",
            "(SELECT MAX(position) FROM auth_revocations), ",
            $horizon,
            ", position, kind, session_id, subject, signed_in_before FROM ",
            "(SELECT epoch, trimmed_position, trimmed_xact, trimmed_at FROM auth_store LIMIT 1) ",
            "AS store LEFT JOIN (SELECT position, kind, session_id, subject, signed_in_before ",
            "FROM auth_revocations WHERE ",
            $is_missing,
            " UNION ALL SELECT * FROM (SELECT position, kind, session_id, subject, ",
            "signed_in_before FROM auth_revocations WHERE position > $1 ",
            "ORDER BY position LIMIT $3) AS later) AS page ON TRUE ORDER BY position",
        )
    };
}

/// Revokes sessions, known or not. A record that belongs to another subject, or is unreadable, stays
/// as it is.
macro_rules! end {
    () => {
        end!("VALUES ($1, $2, 2, $3, $3, $4)")
    };
    ($rows:literal) => {
        concat!(
            "INSERT INTO auth_sessions ",
            "(id, subject, status, signed_in_at, last_active_at, expires_at) ",
            $rows,
            " ON CONFLICT (id) DO UPDATE SET status = 2, expires_at = \
             CASE WHEN excluded.expires_at > auth_sessions.expires_at THEN excluded.expires_at \
             ELSE auth_sessions.expires_at END \
             WHERE auth_sessions.subject = excluded.subject AND auth_sessions.status IN (1, 2) \
             AND auth_sessions.expires_at >= 0 RETURNING id"
        )
    };
}

/// Deletes records that are no longer needed; `$lock` skips those that another process deletes.
macro_rules! delete {
    ($lock:literal) => {
        concat!(
            "DELETE FROM auth_sessions WHERE id IN (SELECT id FROM auth_sessions ",
            "WHERE deletable_at <= $1 AND expires_at >= 0 AND status IN (1, 2) ",
            "ORDER BY deletable_at LIMIT $2",
            $lock,
            ") RETURNING status",
        )
    };
}

pub(in crate::store) use {delete, end, read_feed, session};

/// Later than every [`Timestamp`].
pub(in crate::store) const NEVER: i64 = 253_402_300_800;

const _: () = assert!(Timestamp::MAX.as_unix_seconds() + 1 == NEVER as u64);

/// The statements that read or write a session's kind, by the version of the tables.
#[derive(Debug)]
pub(in crate::store) struct Statements {
    /// Whether the tables record the kind of a session.
    pub(in crate::store) has_kind: bool,
    /// `$1`: an id.
    pub(in crate::store) look: &'static str,
    /// `$1`: the id, `$2`: the subject, `$3`: the sign-in, `$4`: the expiry, `$5` and `$6`: the
    /// device, `$7`: the last activity, and `$8`: the kind where it is recorded. No row if the sign-in
    /// was revoked already.
    pub(in crate::store) create: &'static str,
    /// `$1`: the id, `$2`: the subject, `$3`: now, `$4`: the last activity, `$5`: the expiry. The row
    /// is returned whatever its state; only an active, readable session changes. Where the kind is
    /// recorded, so is the lineage. `$6`: the id that was presented, `$7`: the next one, `$8` and `$9`:
    /// between these a rotation is too recent, `$10`: what happens to a copy, `$11`: its next id. `$12`: the
    /// key of the device.
    pub(in crate::store) renew: &'static str,
    /// `$1`: the subject, `$2`: now, `$3` and `$4`: the sign-in and the id before, `$5`: the maximum
    /// number. The newest first. An unreadable record counts as active.
    pub(in crate::store) list: &'static str,
}

macro_rules! statements {
    ($has_kind:literal, $version:tt, $column:literal, $value:literal, $lineage:expr) => {
        Statements {
            has_kind: $has_kind,
            look: concat!("SELECT ", session!($version), " FROM auth_sessions WHERE id = $1"),
            create: concat!(
                "INSERT INTO auth_sessions (id, subject, status, signed_in_at, last_active_at, ",
                "expires_at, device_label, device_ip",
                $column,
                ") SELECT $1, $2, 1, $3, $7, $4, $5, $6",
                $value,
                " WHERE NOT EXISTS (SELECT 1 FROM auth_watermarks ",
                "WHERE subject IN ('', $2) AND signed_in_before > $3) RETURNING id"
            ),
            renew: concat!(
                "UPDATE auth_sessions SET last_active_at = CASE WHEN $4 > last_active_at AND ",
                is_active!($version),
                " THEN $4 ELSE last_active_at END, expires_at = CASE WHEN $5 > expires_at AND ",
                is_active!($version),
                " THEN $5 ELSE expires_at END",
                $lineage,
                " WHERE id = $1 RETURNING ",
                session!($version)
            ),
            list: concat!(
                "SELECT ",
                session!($version),
                " FROM auth_sessions WHERE subject = $1 AND status <> 2 ",
                "AND NOT (expires_at >= 0 AND expires_at <= $2) ",
                "AND NOT (signed_in_at >= 0 AND signed_in_at < ",
                "COALESCE((SELECT signed_in_before FROM auth_watermarks WHERE subject = ''), 0)) ",
                "AND (signed_in_at, id) < ($3, $4) ORDER BY signed_in_at DESC, id DESC LIMIT $5"
            ),
        }
    };
}

/// For tables of version 1, which record neither the kind nor the lineage.
pub(in crate::store) const V1: Statements = statements!(false, 1, "", "", "");
pub(in crate::store) const V2: Statements = statements!(
    true,
    2,
    ", kind",
    ", $8",
    concat!(
        lineage!("lineage_current", "$7", "$11", "NULL"),
        lineage!("lineage_previous", "COALESCE($6, lineage_current)", "$6", "$11"),
        lineage!("lineage_rotated_at", "$3", "$3", "$3"),
        binding!()
    )
);

/// Where to start reading the feed. `$1`: written at or after, `$2`: some time earlier. The position
/// before the first entry, beside each range of missing positions among the earlier ones, as the
/// entries before and after it.
pub(in crate::store) const START_FEED: &str = "WITH recent AS (SELECT position, told_at, \
     LAG(position) OVER (ORDER BY position) AS previous FROM auth_revocations WHERE told_at >= $2) \
     SELECT COALESCE((SELECT MIN(position) FROM recent WHERE told_at >= $1) - 1, \
     (SELECT MAX(position) FROM auth_revocations)), previous, position \
     FROM (SELECT 1 AS one) AS one LEFT JOIN recent ON position - previous > 1 ORDER BY position";

/// `$1`: an id.
pub(in crate::store) const REVOKE_ONE: &str =
    "UPDATE auth_sessions SET status = 2 WHERE id = $1 AND status = 1 RETURNING id";

/// `$1`: the subject, `$2`: the excepted session, `$3`: signed in before.
pub(in crate::store) const REVOKE_OF_SUBJECT: &str = "UPDATE auth_sessions SET status = 2 WHERE subject = $1 \
     AND status = 1 AND id <> $2 AND signed_in_at < $3 RETURNING id, signed_in_at";

/// `$1`: the subject, `$2`: signed in before, `$3`: now.
pub(in crate::store) const RECORD_SUBJECT_REVOCATION: &str = "INSERT INTO auth_watermarks (subject, signed_in_before, set_at) \
     VALUES ($1, $2, $3) ON CONFLICT (subject) DO UPDATE SET signed_in_before = \
     CASE WHEN excluded.signed_in_before > auth_watermarks.signed_in_before \
     THEN excluded.signed_in_before ELSE auth_watermarks.signed_in_before END, set_at = \
     CASE WHEN excluded.set_at > auth_watermarks.set_at \
     THEN excluded.set_at ELSE auth_watermarks.set_at END";

/// `$1`: now, `$2`: the kind, `$3`: the session, `$4`: the subject, `$5`: signed in before.
pub(in crate::store) const PUBLISH: &str = "INSERT INTO auth_revocations \
     (told_at, kind, session_id, subject, signed_in_before) VALUES ($1, $2, $3, $4, $5)";

/// `$1`: set before. The mark of all subjects stays.
pub(in crate::store) const DELETE_SUBJECT_REVOCATIONS: &str =
    "DELETE FROM auth_watermarks WHERE subject <> '' AND set_at < $1";

/// `$1`: published before.
pub(in crate::store) const DELETE_FEED_ENTRIES: [&str; 2] = [
    "UPDATE auth_store SET \
     trimmed_position = CASE WHEN gone.position > trimmed_position THEN gone.position \
     ELSE trimmed_position END, \
     trimmed_xact = CASE WHEN gone.xact > trimmed_xact THEN gone.xact ELSE trimmed_xact END, \
     trimmed_at = CASE WHEN gone.told_at > trimmed_at THEN gone.told_at ELSE trimmed_at END \
     FROM (SELECT MAX(position) AS position, MAX(xact) AS xact, MAX(told_at) AS told_at \
     FROM auth_revocations WHERE told_at < $1) AS gone WHERE gone.position IS NOT NULL",
    // Entries that were written in between are not covered by the first statement.
    "DELETE FROM auth_revocations WHERE told_at < $1 AND EXISTS (SELECT 1 FROM auth_store \
     WHERE position <= trimmed_position AND xact <= trimmed_xact AND told_at <= trimmed_at)",
];

/// The store's version.
pub(in crate::store) const VERSION: &str = "SELECT version FROM auth_store";
