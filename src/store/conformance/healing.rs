//! A database that goes and comes back, one that another server has, and one of a later version.

use std::sync::Arc;

use crewline_protocol::value::{Offset, Revision};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    Database, Place,
    place::{append, make, run, workspace},
};
use crate::store::{Commit, CommitError, Location, Store, StoreError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_loses_its_database_answers_everyone_and_heals() {
    let place = Place::new(Database::Postgres).await;
    let store = place.open().await;
    store.commit(make(workspace(1))).await.unwrap();
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut done = 0;
                for _ in 0..30 {
                    let commit = Commit { events: append(run(1), b"a").events, ..Commit::in_workspace(workspace(1)) };
                    match store.commit(commit).await {
                        Ok(_) => done += 1,
                        Err(CommitError::Store(StoreError::Unavailable(_))) => {}
                        Err(error) => panic!("{error}"),
                    }
                    let read = store.log_after(run(1), Offset(0), 1).await;
                    assert!(matches!(read, Ok(_) | Err(StoreError::Unavailable(_))), "{read:?}");
                }
                done
            })
        })
        .collect();
    for _ in 0..5 {
        end_connections(&place).await;
    }
    let mut done = 0;
    for writer in writers {
        done += writer.await.unwrap();
    }
    end_connections(&place).await;
    // What lay idle when it was lost is replaced before anything is asked of it: nobody is refused for it.
    assert!(store.snapshot().await.unwrap().revision(workspace(1)).await.unwrap() > Revision(done));
    store.commit(Commit::in_workspace(workspace(1))).await.unwrap();
    let head = store.heads(&[run(1)]).await.unwrap()[0].1.head;
    // A commit whose answer was lost may be there as well.
    assert!(done <= head.0 && head.0 <= 16 * 30, "{done} answered, {head} stored");
    let log = store.log_after(run(1), Offset(0), usize::MAX).await.unwrap();
    assert_eq!(log.iter().map(|block| block.first.0).collect::<Vec<_>>(), (1..=head.0).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_database_that_is_not_there_is_unavailable_and_its_password_is_not_shown() {
    let location = Location::Postgres("postgres://me:secret@127.0.0.1:1/none".to_owned());
    let error = Store::open(&location, Arc::new(|_| {})).await.err().unwrap();
    assert!(matches!(&error, StoreError::Unavailable(reason) if !reason.contains("secret")), "{error}");
}

#[tokio::test]
async fn a_second_server_on_the_same_file_is_refused_and_short_work_beside_it_is_not() {
    let place = Place::new(Database::Sqlite).await;
    let Location::Sqlite(file) = &place.location else { panic!("not a file") };
    let store = place.open().await;
    store.commit(make(workspace(1))).await.unwrap();
    let refused = place.try_open().await.err().unwrap().to_string();
    let expected =
        format!("the database is not available: another server has {} open: stop it, or give this one another data folder", file.display());
    assert_eq!(refused, expected);
    let beside = Store::open_beside(&place.location).await.unwrap();
    assert_eq!(beside.commit(Commit::in_workspace(workspace(1))).await.unwrap().revision, Some(Revision(2)));
    assert_eq!(store.commit(Commit::in_workspace(workspace(1))).await.unwrap().revision, Some(Revision(3)));
    beside.close().await;
    store.close().await;
    place.open().await;
}

#[tokio::test]
async fn a_schema_of_a_later_version_is_refused_and_says_so() {
    let later =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', TRUE, '', 0)";
    for database in [Database::Sqlite, Database::Postgres] {
        let place = Place::new(database).await;
        place.open().await.close().await;
        match &place.location {
            Location::Sqlite(file) => {
                let options = SqliteConnectOptions::new().filename(file);
                SqliteConnection::connect_with(&options).await.unwrap().execute(later).await.map(drop).unwrap();
            }
            Location::Postgres(url) => PgConnection::connect(url).await.unwrap().execute(later).await.map(drop).unwrap(),
            Location::Memory => panic!("has no schema"),
        }
        let error = place.try_open().await.err().unwrap().to_string();
        assert_eq!(
            error,
            "the database failed: its schema is that of a later version of crewline (it has migration 9999): start that version, or \
             restore an older copy"
        );
    }
}

#[tokio::test]
async fn reads_that_are_given_up_leave_nothing_behind() {
    for database in [Database::Sqlite, Database::Postgres] {
        let place = Place::new(database).await;
        let store = place.open().await;
        store.commit(make(workspace(1))).await.unwrap();
        for turns in 0..40 {
            let mut reading = Box::pin(async { store.snapshot().await.unwrap().revision(workspace(1)).await.unwrap() });
            for _ in 0..turns {
                if futures::poll!(&mut reading).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // More at once than there are readers, and each has one in the end.
        let readings = futures::future::join_all((0..64).map(|_| store.revisions(&[])));
        readings.await.into_iter().for_each(|reading| drop(reading.unwrap()));
        let readings = futures::future::join_all((0..64).map(|_| async { store.snapshot().await?.revision(workspace(1)).await }));
        readings.await.into_iter().for_each(|reading| assert_eq!(reading.unwrap(), Revision(1)));
    }
}

/// Ends every connection of the stores at this place, as a restart of the database does.
async fn end_connections(place: &Place) {
    let Location::Postgres(url) = &place.location else { panic!("not PostgreSQL") };
    let name = url.rsplit_once("application_name=").unwrap().1;
    let mut connection = PgConnection::connect(&std::env::var("CREWLINE_TEST_POSTGRES").unwrap()).await.unwrap();
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'");
    connection.execute(AssertSqlSafe(end)).await.unwrap();
    connection.close().await.unwrap();
}
