-- Sessions of tower-auth-session in SQLite 3.37 or later, version 2. `SqliteStore::migrate` runs this,
-- or you do:
--
--     sqlite3 -bail FILE 'BEGIN' '.read 0002_kind_lineage_binding.sql' 'COMMIT'
--
-- Nodes that know version 1 only go on working: they neither read nor write the new columns, and every
-- session that they create is complete.

-- 1 is a complete session, 2 a pending one.
ALTER TABLE auth_sessions ADD COLUMN kind INTEGER NOT NULL DEFAULT 1;
-- The ids of the session's newest token and of the one before it, and when the newest was issued.
ALTER TABLE auth_sessions ADD COLUMN lineage_current TEXT;
ALTER TABLE auth_sessions ADD COLUMN lineage_previous TEXT;
ALTER TABLE auth_sessions ADD COLUMN lineage_rotated_at INTEGER;
-- The key of the device that the session is bound to, and since when.
ALTER TABLE auth_sessions ADD COLUMN bound_key TEXT;
ALTER TABLE auth_sessions ADD COLUMN bound_at INTEGER;

UPDATE auth_store SET version = 2;
