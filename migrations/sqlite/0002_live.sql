-- The last revision at which each kind of row in a workspace changed: who has seen it has nothing to read.
CREATE TABLE topics (
    workspace_id TEXT NOT NULL,
    topic TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, topic)
) STRICT, WITHOUT ROWID;

-- A member's name and address are the user's, kept here so that a member's row is all that a list of them needs.
ALTER TABLE members ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE members ADD COLUMN email TEXT NOT NULL DEFAULT '';
UPDATE members SET (name, email) = (SELECT users.name, users.email FROM users WHERE users.id = members.user_id);

-- `revision` counts the workspace's commits; this is that of the last change of the row itself.
ALTER TABLE workspaces ADD COLUMN changed_revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN archived_at INTEGER;
-- When the version was last begun to be served.
ALTER TABLE app_versions ADD COLUMN served_at INTEGER;
CREATE INDEX runs_session ON runs (session_id, id);

-- Who signed out themself need not be told to sign in again.
ALTER TABLE sign_ins ADD COLUMN signed_out INTEGER NOT NULL DEFAULT 0;

-- Sessions that were deleted, and whose messages are not all cleared away yet.
CREATE TABLE deleted_sessions (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    deleted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    author_kind TEXT NOT NULL,
    author_id TEXT NOT NULL,
    author_name TEXT NOT NULL,
    text TEXT NOT NULL,
    run_id TEXT
) STRICT;
CREATE INDEX messages_session ON messages (session_id, id);

-- `pending` is the address while the invitation may be accepted: a workspace invites one once at a time.
CREATE TABLE invitations (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    email TEXT NOT NULL,
    pending TEXT,
    role TEXT NOT NULL,
    invited_by TEXT NOT NULL,
    status TEXT NOT NULL,
    accepted_by TEXT,
    expires_at INTEGER NOT NULL,
    UNIQUE (workspace_id, pending)
) STRICT, WITHOUT ROWID;
CREATE INDEX invitations_workspace ON invitations (workspace_id, id);

-- Records of every collection. An app's declared indexes are made over the keys of `data` when it is served.
CREATE TABLE records (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    collection TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX records_workspace ON records (workspace_id, collection, id);
