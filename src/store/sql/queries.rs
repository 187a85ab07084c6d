//! The statements that both dialects understand, and the parts of those that they say differently.

use crate::time::Timestamp;

/// What [`Row::session`](crate::store::sql::row::Row::session) reads, of a session or of none.
macro_rules! session {
    () => {
        "id, subject, status, signed_in_at, last_active_at, expires_at, device_label, device_ip, \
         COALESCE((SELECT signed_in_before FROM auth_watermarks WHERE subject = ''), 0)"
    };
}

/// Whether the session lives at `$3`, is of `$2`, and is readable as far as a renewal goes.
macro_rules! lives {
    () => {
        "subject = $2 AND status = 1 AND expires_at > $3 AND expires_at < 253402300800 \
         AND last_active_at >= 0 AND signed_in_at >= \
         COALESCE((SELECT signed_in_before FROM auth_watermarks WHERE subject = ''), 0)"
    };
}
/// What [`Place::read`](crate::store::sql::feed::Place::read) reads: what the store says of its feed beside each
/// entry, and at least once. `$horizon` is the first transaction whose entries may still appear.
/// `LIMIT 1` tells a planner without statistics that the store is one row.
macro_rules! read_feed {
    ($horizon:literal) => {
        concat!(
            "SELECT epoch, trimmed_position, trimmed_xact, trimmed_at, ",
            "(SELECT MAX(position) FROM auth_revocations), ",
            $horizon,
            ", position, xact, kind, session_id, subject, signed_in_before FROM ",
            "(SELECT epoch, trimmed_position, trimmed_xact, trimmed_at FROM auth_store LIMIT 1) ",
            "AS store LEFT JOIN auth_revocations ON told_at >= $1 OR xact >= $2 OR position > $3 ",
            "ORDER BY position",
        )
    };
}

/// Makes of a session that lives, or of none, one that has ended. A record that another subject has,
/// or that is unreadable, stays as it is.
macro_rules! end {
    () => {
        "INSERT INTO auth_sessions (id, subject, status, signed_in_at, last_active_at, expires_at) \
         VALUES ($1, $2, 2, $3, $3, $4) ON CONFLICT (id) DO UPDATE SET status = 2, expires_at = \
         CASE WHEN excluded.expires_at > auth_sessions.expires_at THEN excluded.expires_at \
         ELSE auth_sessions.expires_at END \
         WHERE auth_sessions.subject = excluded.subject AND auth_sessions.status IN (1, 2) \
         AND auth_sessions.expires_at >= 0 RETURNING id"
    };
}

/// Records that nobody needs any more; `$lock` is for who else deletes.
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

/// `$1`: an id.
pub(in crate::store) const LOOK: &str =
    concat!("SELECT ", session!(), " FROM auth_sessions WHERE id = $1");

/// `$1`: the id, `$2`: the subject, `$3`: signed in at, which is the last activity as well, `$4`: the
/// end, `$5` and `$6`: the device. No row when it signs in too early.
pub(in crate::store) const CREATE: &str = "INSERT INTO auth_sessions \
     (id, subject, status, signed_in_at, last_active_at, expires_at, device_label, device_ip) \
     SELECT $1, $2, 1, $3, $7, $4, $5, $6 WHERE NOT EXISTS (SELECT 1 FROM auth_watermarks \
     WHERE subject IN ('', $2) AND signed_in_before > $3) RETURNING id";

/// `$1`: the id, `$2`: the subject, `$3`: now, `$4`: the last activity, `$5`: the end. Whatever the
/// session's state is, its row comes back as it is then; only one that lives and is readable changes.
pub(in crate::store) const RENEW: &str = concat!(
    "UPDATE auth_sessions SET last_active_at = CASE WHEN $4 > last_active_at AND ",
    lives!(),
    " THEN $4 ELSE last_active_at END, expires_at = CASE WHEN $5 > expires_at AND ",
    lives!(),
    " THEN $5 ELSE expires_at END WHERE id = $1 RETURNING ",
    session!()
);

/// `$1`: the subject, `$2`: now, `$3` and `$4`: the sign-in and the id that come before, `$5`: the
/// most. The newest first. What is unreadable counts as alive.
pub(in crate::store) const LIST: &str = concat!(
    "SELECT ",
    session!(),
    " FROM auth_sessions WHERE subject = $1 AND status <> 2 ",
    "AND NOT (expires_at >= 0 AND expires_at <= $2) AND NOT (signed_in_at >= 0 AND signed_in_at < ",
    "COALESCE((SELECT signed_in_before FROM auth_watermarks WHERE subject = ''), 0)) ",
    "AND (signed_in_at, id) < ($3, $4) ORDER BY signed_in_at DESC, id DESC LIMIT $5",
);

/// `$1`: an id.
pub(in crate::store) const END_ONE: &str =
    "UPDATE auth_sessions SET status = 2 WHERE id = $1 AND status = 1 RETURNING id";

/// `$1`: the subject, `$2`: the one that stays, `$3`: signed in before.
pub(in crate::store) const END_ALL: &str = "UPDATE auth_sessions SET status = 2 WHERE subject = $1 \
     AND status = 1 AND id <> $2 AND signed_in_at < $3 RETURNING id, signed_in_at";

/// `$1`: the subject, `$2`: signed in before, `$3`: now.
pub(in crate::store) const MARK: &str = "INSERT INTO auth_watermarks (subject, signed_in_before, set_at) \
     VALUES ($1, $2, $3) ON CONFLICT (subject) DO UPDATE SET signed_in_before = \
     CASE WHEN excluded.signed_in_before > auth_watermarks.signed_in_before \
     THEN excluded.signed_in_before ELSE auth_watermarks.signed_in_before END, set_at = \
     CASE WHEN excluded.set_at > auth_watermarks.set_at \
     THEN excluded.set_at ELSE auth_watermarks.set_at END";

/// `$1`: now, `$2`: the kind, `$3`: the session, `$4`: the subject, `$5`: signed in before.
pub(in crate::store) const TELL: &str = "INSERT INTO auth_revocations \
     (told_at, kind, session_id, subject, signed_in_before) VALUES ($1, $2, $3, $4, $5)";

/// `$1`: when the last was set that can go. Everybody's stays.
pub(in crate::store) const FORGET_MARKS: &str =
    "DELETE FROM auth_watermarks WHERE subject <> '' AND set_at < $1";

/// `$1`: before when the last was told that can go.
pub(in crate::store) const TRIM: [&str; 2] = [
    "UPDATE auth_store SET \
     trimmed_position = CASE WHEN gone.position > trimmed_position THEN gone.position \
     ELSE trimmed_position END, \
     trimmed_xact = CASE WHEN gone.xact > trimmed_xact THEN gone.xact ELSE trimmed_xact END, \
     trimmed_at = CASE WHEN gone.told_at > trimmed_at THEN gone.told_at ELSE trimmed_at END \
     FROM (SELECT MAX(position) AS position, MAX(xact) AS xact, MAX(told_at) AS told_at \
     FROM auth_revocations WHERE told_at < $1) AS gone WHERE gone.position IS NOT NULL",
    // What came to be since is in no record of what is gone.
    "DELETE FROM auth_revocations WHERE told_at < $1 AND EXISTS (SELECT 1 FROM auth_store \
     WHERE position <= trimmed_position AND xact <= trimmed_xact AND told_at <= trimmed_at)",
];

/// The store's version.
pub(in crate::store) const VERSION: &str = "SELECT version FROM auth_store";
