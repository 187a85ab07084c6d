-- Sessions of tower-auth-session in PostgreSQL 12 or later, version 2. `PostgresStore::migrate` runs this,
-- or you do:
--
--     psql --single-transaction --set ON_ERROR_STOP=1 --file 0002_kind_lineage_binding.sql
--
-- Nodes that know version 1 only go on working: they neither read nor write the new columns, and every
-- session that they create is complete.

-- 1 is a complete session, 2 a pending one.
ALTER TABLE auth_sessions ADD COLUMN kind BIGINT NOT NULL DEFAULT 1;
-- The ids of the session's newest token and of the one before it, and when the newest was issued.
ALTER TABLE auth_sessions ADD COLUMN lineage_current TEXT COLLATE "C";
ALTER TABLE auth_sessions ADD COLUMN lineage_previous TEXT COLLATE "C";
ALTER TABLE auth_sessions ADD COLUMN lineage_rotated_at BIGINT;
-- The key of the device that the session is bound to, and since when.
ALTER TABLE auth_sessions ADD COLUMN bound_key TEXT COLLATE "C";
ALTER TABLE auth_sessions ADD COLUMN bound_at BIGINT;

UPDATE auth_store SET version = 2;
