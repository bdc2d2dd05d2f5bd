//! The migrations, the entities and what the twin in memory knows say the same.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Connection, PgConnection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    Database, Place,
    place::{Member, Session, User, Workspace},
};
use crate::store::{ColumnKind, Entity, Location, Table, schema};

type Columns = BTreeMap<String, ColumnKind>;

#[tokio::test]
async fn the_suites_own_rows_are_the_tables() {
    check(&[User::TABLE, Workspace::TABLE, Session::TABLE, Member::TABLE]).await;
}

/// Checks that these tables have on both databases the columns that their entities say, of the same kinds, and no others.
pub(crate) async fn check(tables: &[&Table]) {
    for (database, kinds) in [
        (
            Database::Sqlite,
            [("INTEGER", ColumnKind::Integer), ("REAL", ColumnKind::Real), ("TEXT", ColumnKind::Text), ("BLOB", ColumnKind::Blob)],
        ),
        (
            Database::Postgres,
            [
                ("bigint", ColumnKind::Integer),
                ("double precision", ColumnKind::Real),
                ("text", ColumnKind::Text),
                ("bytea", ColumnKind::Blob),
            ],
        ),
    ] {
        let place = Place::new(database).await;
        place.open().await.close().await;
        for table in tables {
            let columns = columns(&place, table.name).await;
            let stored: Columns = columns
                .into_iter()
                .map(|(name, kind)| (name, kinds.iter().find(|(word, _)| *word == kind).expect("a type that values have").1))
                .collect();
            let declared: Columns = table.columns.iter().map(|column| (column.name.to_owned(), column.kind)).collect();
            assert_eq!(declared, stored, "table {} on {database:?}", table.name);
        }
    }
}

#[tokio::test]
async fn the_twin_in_memory_knows_every_unique_column() {
    let place = Place::new(Database::Sqlite).await;
    place.open().await.close().await;
    let mut connection = sqlite(&place).await;
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('streams', '_sqlx_migrations')";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
    for table in tables {
        let sql = "SELECT list.name AS name, info.name AS column_name FROM pragma_index_list($1) AS list, pragma_index_info(list.name) AS info \
                   WHERE list.\"unique\" = 1 AND list.origin = 'u' ORDER BY list.name, info.seqno";
        let mut stored: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in sqlx::query(sql).bind(&table).fetch_all(&mut connection).await.unwrap() {
            stored.entry(row.get("name")).or_default().push(row.get("column_name"));
        }
        let known: BTreeSet<Vec<String>> = schema::unique(&table).map(|names| names.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(known, stored.into_values().collect(), "table {table}");
    }
}

async fn columns(place: &Place, table: &str) -> Vec<(String, String)> {
    match &place.location {
        Location::Sqlite(_) => {
            let sql = "SELECT name, type FROM pragma_table_info($1)";
            sqlx::query_as(sql).bind(table).fetch_all(&mut sqlite(place).await).await.unwrap()
        }
        Location::Postgres(url) => {
            let sql = "SELECT column_name::text, data_type::text FROM information_schema.columns \
                       WHERE table_schema = current_schema() AND table_name = $1";
            let mut connection = PgConnection::connect(url).await.unwrap();
            sqlx::query_as(sql).bind(table).fetch_all(&mut connection).await.unwrap()
        }
        Location::Memory => panic!("has no columns"),
    }
}

async fn sqlite(place: &Place) -> SqliteConnection {
    let Location::Sqlite(file) = &place.location else { panic!("not a file") };
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await.unwrap()
}
