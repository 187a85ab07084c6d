-- Sessions of tower-auth-session in SQLite 3.37 or later, version 1. `SqliteStore::migrate` runs this,
-- or you do:
--
--     sqlite3 -bail FILE 'BEGIN' '.read 0001_sessions.sql' 'COMMIT'
--
-- For another prefix than auth_ replace it throughout. Times are seconds since 1970-01-01T00:00:00Z.

CREATE TABLE auth_store (
    version INTEGER NOT NULL,
    -- Tells this feed from the one of another file.
    epoch INTEGER NOT NULL,
    -- Of the revocations that have been deleted, the greatest of each.
    trimmed_position INTEGER NOT NULL,
    trimmed_xact INTEGER NOT NULL,
    trimmed_at INTEGER NOT NULL
) STRICT;

INSERT INTO auth_store (version, epoch, trimmed_position, trimmed_xact, trimmed_at)
VALUES (1, abs(random() / 1024), 0, 0, -1);

CREATE TABLE auth_sessions (
    id TEXT NOT NULL PRIMARY KEY,
    subject TEXT NOT NULL,
    -- 1 lives until expires_at, 2 has ended and is remembered until then.
    status INTEGER NOT NULL,
    signed_in_at INTEGER NOT NULL,
    last_active_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    device_label TEXT,
    device_ip TEXT,
    -- To the hour, so that most renewals touch no index.
    deletable_at INTEGER NOT NULL GENERATED ALWAYS AS ((expires_at / 3600 + 1) * 3600) STORED
) STRICT, WITHOUT ROWID;

CREATE INDEX auth_sessions_subject ON auth_sessions (subject, signed_in_at);
CREATE INDEX auth_sessions_deletable_at ON auth_sessions (deletable_at);

-- The sessions of a subject that signed in before an instant have ended; the subject '' is everybody.
CREATE TABLE auth_watermarks (
    subject TEXT NOT NULL PRIMARY KEY,
    signed_in_before INTEGER NOT NULL,
    set_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What ended. Kind 1: session_id. Kind 2: of subject, those that signed in before, but session_id.
-- Kind 3: of everybody, those that signed in before.
CREATE TABLE auth_revocations (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Always 0: one writer at a time gives positions in their order.
    xact INTEGER NOT NULL DEFAULT 0,
    told_at INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    session_id TEXT,
    subject TEXT,
    signed_in_before INTEGER
) STRICT;

CREATE INDEX auth_revocations_xact ON auth_revocations (xact);
CREATE INDEX auth_revocations_told_at ON auth_revocations (told_at);
