//! What is written, as statements: many rows in each, in few lengths, so that each text is prepared once.

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use super::query::{names, primary};
use crate::store::Table;

/// How many rows a statement has: any number is the sum of few of these.
const LENGTHS: [usize; 13] = [128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 2, 1];

/// SQLite takes 32,766 arguments, PostgreSQL 65,535.
const ARGUMENTS: usize = 32_766;

/// The texts of statements, each made once.
#[derive(Default)]
pub(super) struct Texts(HashMap<(Kind, &'static str, usize), Arc<str>>);

/// What a statement does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Inserts rows or replaces those with their ids.
    Put,
    /// Inserts rows that are not there.
    Insert,
    /// Keeps replies.
    Keys,
    /// Makes streams or lets them grow, and says where they stand then.
    Streams,
    /// Adds blocks to the log.
    Log,
    /// Sets workspaces' counters.
    Counters,
    /// Says when topics were touched.
    Topics,
}

impl Texts {
    /// The text for rows of this table.
    pub(super) fn of(&mut self, kind: Kind, table: &'static Table, rows: usize) -> Arc<str> {
        let text = || match kind {
            Kind::Insert => insert(table, rows),
            Kind::Put => insert(table, rows) + &on_conflict(table),
            Kind::Keys | Kind::Streams | Kind::Log | Kind::Counters | Kind::Topics => own(kind, rows),
        };
        self.0.entry((kind, table.name, rows)).or_insert_with(|| text().into()).clone()
    }

    /// The text for rows of the store's own.
    pub(super) fn own(&mut self, kind: Kind, rows: usize) -> Arc<str> {
        self.0.entry((kind, "", rows)).or_insert_with(|| own(kind, rows).into()).clone()
    }
}

/// Cuts rows of `columns` columns into the lengths that statements have.
pub(super) fn lengths(mut rows: usize, columns: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let length = LENGTHS.iter().copied().find(|length| *length <= rows && length * columns <= ARGUMENTS)?;
        rows -= length;
        Some(length)
    })
}

fn own(kind: Kind, rows: usize) -> String {
    match kind {
        Kind::Keys => {
            format!("INSERT INTO keys (principal, key, operation, digest, revision, reply, at) VALUES {}", places(rows, 7))
        }
        Kind::Streams => format!(
            "INSERT INTO streams (run_id, head, complete) VALUES {} ON CONFLICT (run_id) DO UPDATE SET \
             head = streams.head + excluded.head, complete = streams.complete | excluded.complete RETURNING run_id, key, head",
            places(rows, 3)
        ),
        Kind::Topics => format!(
            "INSERT INTO topics (workspace_id, topic, revision) VALUES {} ON CONFLICT (workspace_id, topic) DO UPDATE SET \
             revision = excluded.revision",
            places(rows, 3)
        ),
        Kind::Log => format!("INSERT INTO log (stream, first, count, events) VALUES {}", places(rows, 4)),
        Kind::Put | Kind::Insert | Kind::Counters => {
            let counters: Vec<String> = (0..rows).map(|row| format!("(${}, CAST(${} AS BIGINT))", 2 * row + 1, 2 * row + 2)).collect();
            format!(
                "WITH moved (id, counter) AS (VALUES {}) UPDATE workspaces SET revision = moved.counter FROM moved \
                 WHERE workspaces.id = moved.id",
                counters.join(", ")
            )
        }
    }
}

fn insert(table: &Table, rows: usize) -> String {
    format!("INSERT INTO {} ({}) VALUES {}", table.name, names(table), places(rows, table.columns.len()))
}

fn on_conflict(table: &'static Table) -> String {
    let sets: Vec<String> = table.columns.iter().skip(1).map(|column| format!("{0} = excluded.{0}", column.name)).collect();
    if sets.is_empty() {
        return format!(" ON CONFLICT ({}) DO NOTHING", primary(table));
    }
    format!(" ON CONFLICT ({}) DO UPDATE SET {}", primary(table), sets.join(", "))
}

/// `($1, $2), ($3, $4)`
fn places(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for place in 0..rows * columns {
        let before = match (place, place % columns) {
            (0, _) => "(",
            (_, 0) => "), (",
            _ => ", ",
        };
        // Writing to a string does not fail.
        let _ = write!(text, "{before}${}", place + 1);
    }
    text + ")"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_cut_into_few_lengths_that_fit() {
        for rows in 0..1_000 {
            let cut: Vec<usize> = lengths(rows, 7).collect();
            assert_eq!(cut.iter().sum::<usize>(), rows);
            assert!(cut.len() <= rows / 128 + 4, "{rows} rows: {cut:?}");
        }
        assert_eq!(lengths(100, 1_000).collect::<Vec<_>>(), [32, 32, 32, 4]);
    }

    #[test]
    fn places_are_counted_through() {
        assert_eq!(places(2, 3), "($1, $2, $3), ($4, $5, $6)");
    }
}
