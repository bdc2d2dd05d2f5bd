-- Keys by which programs sign in. Their secrets are made from their ids, and not stored.
CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_by TEXT,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_workspace ON api_keys (workspace_id, id);

CREATE TABLE workers (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    name TEXT NOT NULL,
    api_key_id TEXT NOT NULL,
    crews TEXT NOT NULL,
    labels TEXT NOT NULL,
    capacity INTEGER NOT NULL,
    held INTEGER NOT NULL,
    state TEXT NOT NULL,
    drained INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    UNIQUE (api_key_id, name)
) STRICT;
CREATE INDEX workers_workspace ON workers (workspace_id, id);
CREATE INDEX workers_state ON workers (state, id);

-- Crews that workers brought, beside those of the app and those that were imported.
CREATE TABLE brought_crews (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    description TEXT NOT NULL,
    input_schema TEXT NOT NULL,
    UNIQUE (workspace_id, name)
) STRICT;

-- What workers hold. A worker has as many places as its capacity says, and a run in each of them at most: nobody has to count.
CREATE TABLE assignments (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    worker_id TEXT NOT NULL,
    slot INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    crew TEXT NOT NULL,
    inputs TEXT NOT NULL,
    history_head INTEGER NOT NULL,
    executed_ms INTEGER NOT NULL,
    ends_at INTEGER,
    UNIQUE (run_id),
    UNIQUE (worker_id, slot)
) STRICT;
CREATE INDEX assignments_workspace ON assignments (workspace_id, id);

-- How far what a worker says under a lease is stored. Apart from the lease, for it changes with everything that the worker says.
CREATE TABLE written (
    id TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE runs ADD COLUMN executor TEXT NOT NULL DEFAULT 'engine';
-- Whether whoever holds it next goes on with its attempt.
ALTER TABLE runs ADD COLUMN continues INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN waiting_for TEXT;
UPDATE runs SET continues = 1 WHERE attempt > 0 AND status IN ('queued', 'waiting');
UPDATE runs SET waiting_for = CASE WHEN pause_requested_at IS NULL THEN 'approval' ELSE 'pause' END WHERE attempt > 0 AND status = 'waiting';
UPDATE runs SET executor = 'worker', status = 'queued', waiting_for = 'worker' WHERE attempt = 0 AND status = 'waiting';
DROP INDEX runs_queued;
-- Who is next: in each workspace the one with the highest priority, then the oldest.
CREATE INDEX runs_queued ON runs (executor, workspace_id, priority DESC, id) WHERE status = 'queued' AND turn_after IS NULL;
