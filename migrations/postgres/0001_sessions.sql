-- Sessions of tower-auth-session in PostgreSQL 12 or later, version 1. `PostgresStore::migrate` runs
-- this, or you do:
--
--     psql --single-transaction --set ON_ERROR_STOP=1 --file 0001_sessions.sql
--
-- For another prefix than auth_ replace it throughout. Times are seconds since 1970-01-01T00:00:00Z.

CREATE TABLE auth_store (
    version BIGINT NOT NULL,
    -- Tells this feed from the one of another database.
    epoch BIGINT NOT NULL,
    -- Of the revocations that have been deleted, the greatest of each.
    trimmed_position BIGINT NOT NULL,
    trimmed_xact BIGINT NOT NULL,
    trimmed_at BIGINT NOT NULL
);

INSERT INTO auth_store (version, epoch, trimmed_position, trimmed_xact, trimmed_at)
VALUES (1, floor(random() * 9007199254740991)::BIGINT, 0, 0, -1);

CREATE TABLE auth_sessions (
    id TEXT COLLATE "C" PRIMARY KEY,
    subject TEXT COLLATE "C" NOT NULL,
    -- 1 lives until expires_at, 2 has ended and is remembered until then.
    status BIGINT NOT NULL,
    signed_in_at BIGINT NOT NULL,
    last_active_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    device_label TEXT,
    device_ip TEXT,
    -- To the hour, so that most renewals touch no index and stay in their page.
    deletable_at BIGINT GENERATED ALWAYS AS ((expires_at / 3600 + 1) * 3600) STORED
) WITH (fillfactor = 80);

CREATE INDEX auth_sessions_subject ON auth_sessions (subject, signed_in_at);
CREATE INDEX auth_sessions_deletable_at ON auth_sessions (deletable_at);

-- The sessions of a subject that signed in before an instant have ended; the subject '' is everybody.
CREATE TABLE auth_watermarks (
    subject TEXT COLLATE "C" PRIMARY KEY,
    signed_in_before BIGINT NOT NULL,
    set_at BIGINT NOT NULL
);

-- What ended. Kind 1: session_id. Kind 2: of subject, those that signed in before, but session_id.
-- Kind 3: of everybody, those that signed in before.
CREATE TABLE auth_revocations (
    position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Positions become visible in another order than they are given; transactions tell which may yet.
    xact BIGINT NOT NULL DEFAULT txid_current(),
    told_at BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    session_id TEXT COLLATE "C",
    subject TEXT COLLATE "C",
    signed_in_before BIGINT
);

CREATE INDEX auth_revocations_xact ON auth_revocations (xact);
CREATE INDEX auth_revocations_told_at ON auth_revocations (told_at);

CREATE FUNCTION auth_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('auth_revocations', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER auth_tell AFTER INSERT ON auth_revocations
FOR EACH STATEMENT EXECUTE FUNCTION auth_tell();
