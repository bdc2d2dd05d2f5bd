-- What a run was started with beside its inputs, and where it belongs.
ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN budget TEXT;
ALTER TABLE runs ADD COLUMN subject_collection TEXT;
ALTER TABLE runs ADD COLUMN subject_id TEXT;
-- The message that it answers.
ALTER TABLE runs ADD COLUMN message_id TEXT;
ALTER TABLE runs ADD COLUMN retry_of TEXT;
-- The run that stands for it; and how many a run stands for.
ALTER TABLE runs ADD COLUMN parent_id TEXT;
ALTER TABLE runs ADD COLUMN runs INTEGER;
-- The run of its session that must end before it begins.
ALTER TABLE runs ADD COLUMN turn_after TEXT;
-- How long it was executed, over all its attempts.
ALTER TABLE runs ADD COLUMN executed_ms INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_parent ON runs (parent_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX runs_turn ON runs (turn_after, id) WHERE turn_after IS NOT NULL;
CREATE INDEX runs_subject ON runs (workspace_id, subject_id, id) WHERE subject_id IS NOT NULL;
-- Who is next: in each workspace the one with the highest priority, then the oldest.
CREATE INDEX runs_queued ON runs (workspace_id, priority DESC, id) WHERE status = 'queued' AND turn_after IS NULL;
-- What was spent since when.
CREATE INDEX runs_updated ON runs (workspace_id, updated_at);

-- The crew that answers what people say in it.
ALTER TABLE sessions ADD COLUMN crew TEXT;

-- What all runs of a workspace, or of one of its crews, may take in a day or a month. `crew` is empty for the workspace's own.
CREATE TABLE budgets (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    crew TEXT NOT NULL,
    period TEXT NOT NULL,
    cost_microusd INTEGER,
    tokens INTEGER,
    duration_ms INTEGER,
    set_by TEXT NOT NULL,
    UNIQUE (workspace_id, crew, period)
) STRICT, WITHOUT ROWID;

-- Crews that a workspace imported, beside those of the app.
CREATE TABLE crews (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    name TEXT NOT NULL,
    files TEXT NOT NULL,
    imported_by TEXT NOT NULL,
    UNIQUE (workspace_id, name)
) STRICT;
