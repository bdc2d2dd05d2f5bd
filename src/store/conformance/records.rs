//! Records for tests of reads: short names for their table's terms, and rows of data.

use crewline_protocol::value::{Millis, RecordId, Revision, UserId, WorkspaceId};

use super::place::{id, make, workspace};
use crate::{
    entity,
    store::{Commit, Direction, Entity, Kind, Order, Predicate, Source, Store, Term},
};

entity! {
    /// A record, its data as text.
    pub(crate) struct Record in "records" by collection {
        /// Id.
        id: RecordId,
        /// Whose.
        workspace_id: WorkspaceId,
        /// Of what.
        collection: String,
        /// Revision.
        revision: Revision,
        /// Made.
        created_at: Millis,
        /// Changed.
        updated_at: Millis,
        /// By whom.
        created_by: UserId,
        /// JSON.
        data: String,
    }
}

/// A record of `items` in the first workspace.
pub(crate) fn record(number: u32, data: impl Into<String>) -> Record {
    Record {
        id: id(RecordId::new, number),
        workspace_id: workspace(1),
        collection: "items".to_owned(),
        revision: Revision(0),
        created_at: Millis(i64::from(number / 2)),
        updated_at: Millis(2),
        created_by: id(UserId::new, number % 3),
        data: data.into(),
    }
}

/// Makes the first workspace, and these records in it.
pub(crate) async fn fill(store: &Store, records: &[Record]) {
    store.commit(make(workspace(1))).await.unwrap();
    store.commit(records.iter().fold(Commit::in_workspace(workspace(1)), Commit::insert)).await.unwrap();
}

/// The records of `items` in the first workspace, of which this holds.
pub(crate) fn items(predicate: Predicate) -> Predicate {
    let workspace = Predicate::equal(Term::text("workspace_id"), workspace(1));
    Predicate::All(vec![workspace, Predicate::equal(Term::text("collection"), "items"), predicate])
}

/// A key of the data, which may be absent.
pub(crate) fn key(name: &str, kind: Kind) -> Term {
    Term { source: Source::Key("data", name.into()), kind, optional: true }
}

/// A key of the data, which is always there.
pub(crate) fn sure(name: &str, kind: Kind) -> Term {
    Term { optional: false, ..key(name, kind) }
}

/// A column, which is always there.
pub(crate) fn column(name: &'static str, kind: Kind) -> Term {
    Term { source: Source::Column(name), kind, optional: false }
}

pub(crate) fn ascending(term: Term) -> Order {
    Order { term, direction: Direction::Ascending }
}

pub(crate) fn descending(term: Term) -> Order {
    Order { term, direction: Direction::Descending }
}

/// The record's number in its id.
pub(crate) fn numbers(rows: Vec<Vec<crate::store::Value>>) -> Vec<i64> {
    rows.into_iter()
        .map(|row| Record::from_values(row).unwrap())
        .map(|record| i64::from_str_radix(&record.id.to_string()[28..], 16).unwrap())
        .collect()
}
