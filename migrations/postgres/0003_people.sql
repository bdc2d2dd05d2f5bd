-- Raised with every hold on the run, also after one that was given up.
ALTER TABLE runs ADD COLUMN lease_epoch BIGINT NOT NULL DEFAULT 0;
UPDATE runs SET lease_epoch = COALESCE((SELECT leases.epoch FROM leases WHERE leases.run_id = runs.id), 0);
-- Since when it is to pause, or does.
ALTER TABLE runs ADD COLUMN pause_requested_at BIGINT;

CREATE TABLE approvals (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    session_id TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL,
    task TEXT COLLATE "C",
    call TEXT COLLATE "C",
    kind TEXT COLLATE "C" NOT NULL,
    title TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    tool TEXT COLLATE "C",
    arguments TEXT COLLATE "C",
    arguments_hash TEXT COLLATE "C",
    schema TEXT COLLATE "C",
    roles TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT,
    on_expire TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    answer TEXT COLLATE "C",
    answered_by TEXT COLLATE "C"
);
CREATE INDEX approvals_workspace ON approvals (workspace_id, id);
CREATE INDEX approvals_run ON approvals (run_id, id);
CREATE INDEX approvals_expires ON approvals (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE artifacts (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    session_id TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    media_type TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    content BYTEA NOT NULL
);
CREATE INDEX artifacts_run ON artifacts (run_id, id);
