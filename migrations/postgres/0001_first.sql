-- Text compares by code point, whatever the language of the database.

-- What the database is: `epoch` names its incarnation.
CREATE TABLE meta (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE users (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    email TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C" NOT NULL,
    operator BIGINT NOT NULL,
    disabled_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- `revision` is the counter that every commit in the workspace raises by one. Half a page is left free in this and other tables
-- whose rows change all the time, so that a new version fits beside the old one and no index is written.
CREATE TABLE workspaces (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE members (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    UNIQUE (workspace_id, user_id)
);
CREATE INDEX members_user ON members (user_id);

CREATE TABLE sign_ins (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL,
    workspace_id TEXT COLLATE "C" NOT NULL,
    refresh_used BIGINT NOT NULL,
    refresh_expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX sign_ins_user ON sign_ins (user_id);

CREATE TABLE sessions (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    title TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL
);
CREATE INDEX sessions_workspace ON sessions (workspace_id, id);

CREATE TABLE runs (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    session_id TEXT COLLATE "C" NOT NULL,
    crew TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    inputs TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    attempt BIGINT NOT NULL,
    progress DOUBLE PRECISION NOT NULL,
    output TEXT COLLATE "C",
    fault TEXT COLLATE "C",
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cost_microusd BIGINT NOT NULL,
    started_by TEXT COLLATE "C" NOT NULL,
    cancel_requested_at BIGINT,
    cancel_mode TEXT COLLATE "C",
    started_at BIGINT,
    finished_at BIGINT
);
CREATE INDEX runs_workspace ON runs (workspace_id, id);
CREATE INDEX runs_status ON runs (status, id);

-- No index on `expires_at`: there are as many leases as runs that are going on, and each is renewed every few seconds.
CREATE TABLE leases (
    run_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    holder TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX leases_holder ON leases (holder);

CREATE TABLE app_versions (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    files TEXT COLLATE "C" NOT NULL
);

-- Replies that are kept, for a day, under their requests' keys.
CREATE TABLE keys (
    principal TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    operation TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL,
    revision BIGINT NOT NULL,
    reply BYTEA NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (principal, key)
);
CREATE INDEX keys_at ON keys (at);

-- A run's stream: its short key, and where it stands.
CREATE TABLE streams (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id TEXT COLLATE "C" NOT NULL UNIQUE,
    head BIGINT NOT NULL,
    complete BIGINT NOT NULL
) WITH (fillfactor = 50);

-- A row a run and flush, in the order in which they were written.
CREATE TABLE log (
    stream BIGINT NOT NULL,
    first BIGINT NOT NULL,
    count BIGINT NOT NULL,
    events BYTEA NOT NULL
);
CREATE UNIQUE INDEX log_stream ON log (stream, first);
-- Compressing what is written once and read seldom would cost each flush more than it saves.
ALTER TABLE log ALTER COLUMN events SET STORAGE EXTERNAL;
