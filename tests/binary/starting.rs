//! A server that can't start says what is wrong and what to do, and ends with a status that says so.

use std::{
    fs,
    net::TcpListener,
    process::{Command, Output},
};

use crate::server::{Database, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_serves_one_server_at_a_time() {
    for database in [Database::Sqlite, Database::Postgres] {
        let server = Server::start(database, &[]).await;
        let second = server.command(0).output().unwrap();
        refused(second, &["another server", "another data folder"]);
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(serve(&["--listen", &address]), &["can't listen on", &address]);
}

#[test]
fn a_database_of_an_unknown_kind_is_refused_with_the_kinds_that_are_known() {
    refused(serve(&["--database", "mysql://ada:hunter22@localhost/x"]), &["`mysql://localhost/x`", "postgres://"]);
}

#[test]
fn a_database_that_does_not_answer_is_named_without_its_password() {
    let said = refused(serve(&["--database", "postgres://ada:hunter22@127.0.0.1:1/x"]), &["postgres://127.0.0.1:1/x"]);
    assert!(!said.contains("hunter22"), "{said}");
}

#[test]
fn a_setting_that_can_not_be_taken_is_refused_with_its_bounds() {
    refused(serve(&["--set", "heartbeat_ms=7"]), &["heartbeat_ms", "100 to 300000"]);
    refused(serve(&["--set", "hartbeat_ms=700"]), &["no setting `hartbeat_ms`", "heartbeat_ms"]);
}

#[test]
fn an_app_folder_that_is_none_is_named() {
    refused(serve(&["--app", "/nowhere/at/all"]), &["/nowhere/at/all"]);
}

#[test]
fn an_app_with_problems_is_refused_with_the_place_of_each() {
    let app = tempfile::tempdir().unwrap();
    let crew = app.path().join("crews/review");
    fs::create_dir_all(&crew).unwrap();
    fs::write(app.path().join("app.yaml"), "name: mine\ntitle: Mine\ndescription: Nothing yet.\ncolour: blue\n").unwrap();
    fs::write(crew.join("crew.yaml"), "title: Review\n").unwrap();
    refused(serve(&["--app", &app.path().display().to_string()]), &["app.yaml:4:1: ", "`colour`", "crews/review/crew.yaml:"]);
}

#[test]
fn a_data_folder_that_is_a_file_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_crewline")).args(["serve", "--listen", "127.0.0.1:0", "--data", &path]).output().unwrap();
    refused(output, &[&path]);
}

/// Runs `crewline serve` on a free port and a folder of its own, with more arguments.
fn serve(arguments: &[&str]) -> Output {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_crewline"));
    command.arg("serve").arg("--data").arg(data.path());
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.args(arguments).output().unwrap()
}

/// It ended with a failure, and said these things, in a sentence and not as a panic.
fn refused(output: Output, says: &[&str]) -> String {
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "it said: {said}");
    assert_eq!(output.stdout, b"", "it wrote to stdout");
    for words in says {
        assert!(said.contains(words), "it did not say `{words}`, but: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    said
}
