//! What the migrations say and the twin in memory must know.

/// Columns of a table that no two rows share where none of them is absent, besides its primary key; held to the migrations by a test.
const UNIQUE: &[(&str, &[&str])] = &[
    ("users", &["email"]),
    ("members", &["workspace_id", "user_id"]),
    ("invitations", &["workspace_id", "pending"]),
    ("budgets", &["workspace_id", "crew", "period"]),
    ("crews", &["workspace_id", "name"]),
    ("workers", &["api_key_id", "name"]),
    ("brought_crews", &["workspace_id", "name"]),
    ("assignments", &["run_id"]),
    ("assignments", &["worker_id", "slot"]),
];

/// The sets of columns of this table that no two rows share.
pub(super) fn unique(table: &str) -> impl Iterator<Item = &'static [&'static str]> {
    UNIQUE.iter().filter(move |(name, _)| *name == table).map(|(_, columns)| *columns)
}

/// Whether rows of this table can take a value from each other.
pub(super) fn has_unique(table: &str) -> bool {
    unique(table).next().is_some()
}
