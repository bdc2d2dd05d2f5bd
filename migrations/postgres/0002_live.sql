-- The last revision at which each kind of row in a workspace changed: who has seen it has nothing to read.
CREATE TABLE topics (
    workspace_id TEXT COLLATE "C" NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, topic)
) WITH (fillfactor = 50);

-- A member's name and address are the user's, kept here so that a member's row is all that a list of them needs.
ALTER TABLE members ADD COLUMN name TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE members ADD COLUMN email TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE members SET name = users.name, email = users.email FROM users WHERE users.id = members.user_id;

-- `revision` counts the workspace's commits; this is that of the last change of the row itself.
ALTER TABLE workspaces ADD COLUMN changed_revision BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN archived_at BIGINT;
-- When the version was last begun to be served.
ALTER TABLE app_versions ADD COLUMN served_at BIGINT;
CREATE INDEX runs_session ON runs (session_id, id);

-- Who signed out themself need not be told to sign in again.
ALTER TABLE sign_ins ADD COLUMN signed_out BIGINT NOT NULL DEFAULT 0;

-- Sessions that were deleted, and whose messages are not all cleared away yet.
CREATE TABLE deleted_sessions (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    deleted_at BIGINT NOT NULL
);

CREATE TABLE messages (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    session_id TEXT COLLATE "C" NOT NULL,
    author_kind TEXT COLLATE "C" NOT NULL,
    author_id TEXT COLLATE "C" NOT NULL,
    author_name TEXT COLLATE "C" NOT NULL,
    text TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C"
);
CREATE INDEX messages_session ON messages (session_id, id);

-- `pending` is the address while the invitation may be accepted: a workspace invites one once at a time.
CREATE TABLE invitations (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    email TEXT COLLATE "C" NOT NULL,
    pending TEXT COLLATE "C",
    role TEXT COLLATE "C" NOT NULL,
    invited_by TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    accepted_by TEXT COLLATE "C",
    expires_at BIGINT NOT NULL,
    UNIQUE (workspace_id, pending)
);
CREATE INDEX invitations_workspace ON invitations (workspace_id, id);

-- Records of every collection. An app's declared indexes are made over the keys of `data` when it is served.
CREATE TABLE records (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id TEXT COLLATE "C" NOT NULL,
    collection TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    data TEXT COLLATE "C" NOT NULL
);
CREATE INDEX records_workspace ON records (workspace_id, collection, id);
