PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE auth_store (
    version INTEGER NOT NULL,
    -- Tells this feed from the one of another file.
    epoch INTEGER NOT NULL,
    -- Of the revocations that have been deleted, the greatest of each.
    trimmed_position INTEGER NOT NULL,
    trimmed_xact INTEGER NOT NULL,
    trimmed_at INTEGER NOT NULL
) STRICT;
INSERT INTO auth_store VALUES(1,4825348273195622,0,0,-1);
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
INSERT INTO auth_sessions VALUES('Aly5GdQzydWFXBCb9cixJA','cem',2,1800000000,1800000000,1800000100,NULL,NULL);
INSERT INTO auth_sessions VALUES('O_AtAeY47Lbc8BhpyEsHxg','bob',1,1800000008,1800000008,1800000108,NULL,NULL);
INSERT INTO auth_sessions VALUES('XaLe8VaUuK3mOb4CbI3j5g','dan',2,1800000000,1800000000,1800000100,NULL,NULL);
INSERT INTO auth_sessions VALUES('ZxXp92NNfzeV_VjO71ao2w','dan',1,1800000001,1800000001,1800000101,NULL,NULL);
INSERT INTO auth_sessions VALUES('jnoQ43aFLe88k3wm78orWQ','ada',1,1800000003,1800000020,1800000120,NULL,NULL);
INSERT INTO auth_sessions VALUES('on_eUwDGpIiXLkJJvNa_Aw','ada',2,1800000000,1800000000,1800000115,NULL,NULL);
INSERT INTO auth_sessions VALUES('utJJf0trIeQJtC3BTDRWoQ','ada',1,1800000000,1800000000,1800000100,'Firefox on Linux','192.0.2.7');
INSERT INTO auth_sessions VALUES('xIaIktFajxnjFgORreFPyg','bob',2,1800000000,1800000000,1800000116,NULL,NULL);
CREATE TABLE auth_watermarks (
    subject TEXT NOT NULL PRIMARY KEY,
    signed_in_before INTEGER NOT NULL,
    set_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO auth_watermarks VALUES('',1799999000,1800000009);
INSERT INTO auth_watermarks VALUES('bob',1800000006,1800000006);
INSERT INTO auth_watermarks VALUES('cem',1800000007,1800000009);
INSERT INTO auth_watermarks VALUES('dan',1800000010,1800000010);
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
INSERT INTO auth_revocations VALUES(1,0,1800000005,1,'on_eUwDGpIiXLkJJvNa_Aw',NULL,NULL);
INSERT INTO auth_revocations VALUES(2,0,1800000006,1,'xIaIktFajxnjFgORreFPyg',NULL,NULL);
INSERT INTO auth_revocations VALUES(3,0,1800000006,2,NULL,'bob',1800000006);
INSERT INTO auth_revocations VALUES(4,0,1800000009,2,NULL,'cem',1800000007);
INSERT INTO auth_revocations VALUES(5,0,1800000009,3,NULL,NULL,1799999000);
INSERT INTO auth_revocations VALUES(6,0,1800000010,2,'ZxXp92NNfzeV_VjO71ao2w','dan',1800000010);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('auth_revocations',6);
CREATE INDEX auth_sessions_subject ON auth_sessions (subject, signed_in_at);
CREATE INDEX auth_sessions_deletable_at ON auth_sessions (deletable_at);
CREATE INDEX auth_revocations_xact ON auth_revocations (xact);
CREATE INDEX auth_revocations_told_at ON auth_revocations (told_at);
COMMIT;
