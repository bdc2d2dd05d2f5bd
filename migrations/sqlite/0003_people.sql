-- Raised with every hold on the run, also after one that was given up.
ALTER TABLE runs ADD COLUMN lease_epoch INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET lease_epoch = COALESCE((SELECT leases.epoch FROM leases WHERE leases.run_id = runs.id), 0);
-- Since when it is to pause, or does.
ALTER TABLE runs ADD COLUMN pause_requested_at INTEGER;

CREATE TABLE approvals (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task TEXT,
    call TEXT,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    tool TEXT,
    arguments TEXT,
    arguments_hash TEXT,
    schema TEXT,
    roles TEXT NOT NULL,
    expires_at INTEGER,
    on_expire TEXT NOT NULL,
    status TEXT NOT NULL,
    answer TEXT,
    answered_by TEXT
) STRICT;
CREATE INDEX approvals_workspace ON approvals (workspace_id, id);
CREATE INDEX approvals_run ON approvals (run_id, id);
CREATE INDEX approvals_expires ON approvals (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE artifacts (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    content BLOB NOT NULL
) STRICT;
CREATE INDEX artifacts_run ON artifacts (run_id, id);
