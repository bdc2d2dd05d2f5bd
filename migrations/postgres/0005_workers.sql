-- Keys by which programs sign in. Their secrets are made from their ids, and not stored.
CREATE TABLE api_keys (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C",
    revoked_at BIGINT
);
CREATE INDEX api_keys_workspace ON api_keys (workspace_id, id);

CREATE TABLE workers (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    api_key_id TEXT COLLATE "C" NOT NULL,
    crews TEXT COLLATE "C" NOT NULL,
    labels TEXT COLLATE "C" NOT NULL,
    capacity BIGINT NOT NULL,
    held BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    drained BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    UNIQUE (api_key_id, name)
);
CREATE INDEX workers_workspace ON workers (workspace_id, id);
CREATE INDEX workers_state ON workers (state, id);

-- Crews that workers brought, beside those of the app and those that were imported.
CREATE TABLE brought_crews (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    input_schema TEXT COLLATE "C" NOT NULL,
    UNIQUE (workspace_id, name)
);

-- What workers hold. A worker has as many places as its capacity says, and a run in each of them at most: nobody has to count.
CREATE TABLE assignments (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL,
    worker_id TEXT COLLATE "C" NOT NULL,
    slot BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    session_id TEXT COLLATE "C" NOT NULL,
    crew TEXT COLLATE "C" NOT NULL,
    inputs TEXT COLLATE "C" NOT NULL,
    history_head BIGINT NOT NULL,
    executed_ms BIGINT NOT NULL,
    ends_at BIGINT,
    UNIQUE (run_id),
    UNIQUE (worker_id, slot)
);
CREATE INDEX assignments_workspace ON assignments (workspace_id, id);

-- How far what a worker says under a lease is stored. Apart from the lease, for it changes with everything that the worker says.
CREATE TABLE written (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL
);

ALTER TABLE runs ADD COLUMN executor TEXT COLLATE "C" NOT NULL DEFAULT 'engine';
-- Whether whoever holds it next goes on with its attempt.
ALTER TABLE runs ADD COLUMN continues BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN waiting_for TEXT COLLATE "C";
UPDATE runs SET continues = 1 WHERE attempt > 0 AND status IN ('queued', 'waiting');
UPDATE runs SET waiting_for = CASE WHEN pause_requested_at IS NULL THEN 'approval' ELSE 'pause' END WHERE attempt > 0 AND status = 'waiting';
UPDATE runs SET executor = 'worker', status = 'queued', waiting_for = 'worker' WHERE attempt = 0 AND status = 'waiting';
DROP INDEX runs_queued;
-- Who is next: in each workspace the one with the highest priority, then the oldest.
CREATE INDEX runs_queued ON runs (executor, workspace_id, priority DESC, id) WHERE status = 'queued' AND turn_after IS NULL;
