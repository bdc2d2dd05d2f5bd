-- What a run was started with beside its inputs, and where it belongs.
ALTER TABLE runs ADD COLUMN priority BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN budget TEXT COLLATE "C";
ALTER TABLE runs ADD COLUMN subject_collection TEXT COLLATE "C";
ALTER TABLE runs ADD COLUMN subject_id TEXT COLLATE "C";
-- The message that it answers.
ALTER TABLE runs ADD COLUMN message_id TEXT COLLATE "C";
ALTER TABLE runs ADD COLUMN retry_of TEXT COLLATE "C";
-- The run that stands for it; and how many a run stands for.
ALTER TABLE runs ADD COLUMN parent_id TEXT COLLATE "C";
ALTER TABLE runs ADD COLUMN runs BIGINT;
-- The run of its session that must end before it begins.
ALTER TABLE runs ADD COLUMN turn_after TEXT COLLATE "C";
-- How long it was executed, over all its attempts.
ALTER TABLE runs ADD COLUMN executed_ms BIGINT NOT NULL DEFAULT 0;
CREATE INDEX runs_parent ON runs (parent_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX runs_turn ON runs (turn_after, id) WHERE turn_after IS NOT NULL;
CREATE INDEX runs_subject ON runs (workspace_id, subject_id, id) WHERE subject_id IS NOT NULL;
-- Who is next: in each workspace the one with the highest priority, then the oldest.
CREATE INDEX runs_queued ON runs (workspace_id, priority DESC, id) WHERE status = 'queued' AND turn_after IS NULL;
-- What was spent since when.
CREATE INDEX runs_updated ON runs (workspace_id, updated_at);

-- The crew that answers what people say in it.
ALTER TABLE sessions ADD COLUMN crew TEXT COLLATE "C";

-- What all runs of a workspace, or of one of its crews, may take in a day or a month. `crew` is empty for the workspace's own.
CREATE TABLE budgets (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    crew TEXT COLLATE "C" NOT NULL,
    period TEXT COLLATE "C" NOT NULL,
    cost_microusd BIGINT,
    tokens BIGINT,
    duration_ms BIGINT,
    set_by TEXT COLLATE "C" NOT NULL,
    UNIQUE (workspace_id, crew, period)
);

-- Crews that a workspace imported, beside those of the app.
CREATE TABLE crews (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    files TEXT COLLATE "C" NOT NULL,
    imported_by TEXT COLLATE "C" NOT NULL,
    UNIQUE (workspace_id, name)
);
