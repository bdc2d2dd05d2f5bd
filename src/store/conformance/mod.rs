//! What every database must do alike: one suite, run in memory, on SQLite and on PostgreSQL.

mod commits;
mod crowd;
mod healing;
mod likeness;
mod log;
pub(crate) mod place;
mod random_reads;
mod reads;
pub(in crate::store) mod records;
mod rows;
pub(crate) mod schema;

use self::place::{Database, Place};

/// Runs a promise on each database. The writers' tests want tasks that really run at once.
macro_rules! on_each_database {
    ($($promise:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(super::Place::new(super::Database::Memory).await).await;
            })*
        }
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(super::Place::new(super::Database::Sqlite).await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(super::Place::new(super::Database::Postgres).await).await;
            })*
        }
    };
}
use on_each_database;
