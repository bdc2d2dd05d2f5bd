//! The command line as scripts and people meet it: what goes to which output, and with which code it ends.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use crate::{
    kp::{campaign, of, records},
    people::{register, start_review},
    server::{Database, Server},
};

const ADDRESS: &str = "ada@example.com";

#[test]
fn help_teaches_every_command_and_ends_with_0() {
    let help = ended(&mut crewline(&["--help"]), 0);
    for command in ["serve", "run", "follow", "watch", "call", "user add", "app check", "types"] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        assert!(help.contains(words[0]), "{help}");
        assert!(ended(&mut crewline(&words), 0).contains("Examples:"), "{command} has no examples");
    }
    assert!(help.contains("Exit codes:"), "{help}");
}

#[test]
fn what_is_typed_wrongly_ends_with_2_and_says_what_is_possible() {
    assert!(ended(&mut crewline(&["serv"]), 2).contains("serve"));
    assert!(ended(&mut crewline(&["call", "auth.me", "[1]"]), 2).contains("JSON object"));
    assert!(ended(&mut crewline(&["run", "review", "--input-file", "page=/nowhere"]), 2).contains("/nowhere"));
    assert!(ended(&mut crewline(&["call", "auth.me", "--url", "http://127.0.0.1:1"]), 2).contains("ws://"));
}

#[test]
fn an_app_is_checked_and_its_types_are_written_without_a_server() {
    let kp = concat!(env!("CARGO_MANIFEST_DIR"), "/apps/kp");
    let said = String::from_utf8(output(&mut crewline(&["app", "check", kp]), 0).stdout).unwrap();
    assert!(said.starts_with("kp: 7 collections, 11 seed records, 5 crews; version "), "{said}");
    let types = String::from_utf8(output(&mut crewline(&["types", "--app", kp]), 0).stdout).unwrap();
    assert_eq!(types, std::fs::read_to_string(format!("{kp}/types.ts")).unwrap());
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("collections")).unwrap();
    std::fs::write(folder.path().join("collections/notes.yaml"), "title: Notes\nschema: {type: object}\n").unwrap();
    let said = ended(&mut crewline(&["app", "check", folder.path().to_str().unwrap()]), 2);
    assert!(said.contains("collections/notes.yaml:2:9: `schema` needs `properties`: a field each"), "{said}");
}

#[test]
fn where_no_server_is_it_ends_with_3_and_asks_whether_one_is_running() {
    let said = ended(&mut crewline(&["call", "auth.me", "--url", "ws://127.0.0.1:1/ws"]), 3);
    assert!(said.contains("127.0.0.1:1") && said.contains("is the server running"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_shown_to_its_end_and_again_by_following_it() {
    let server = Server::start(Database::Sqlite, &["simulated_tokens_per_s=10000"]).await;
    let token = register(&server).await.access_token;
    let inputs = ["--input", "page=# Tea\n\nTea is a drink.", "--input", "name=tea.md"];
    let run = output(asking(&server, &token, &["run", "review", "--json"]).args(inputs), 0);
    let events = events_of(&run);
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["status"]), (&"run.finished".into(), &"succeeded".into()));

    let list = json_lines(&output(&mut asking(&server, &token, &["call", "run.list", "--json"]), 0));
    let id = list[0]["items"][0]["id"].as_str().unwrap();
    let again = events_of(&output(&mut asking(&server, &token, &["follow", id, "--json"]), 0));
    assert_eq!(words(&again), words(&events), "following it again shows other words");
    assert_eq!(again.last(), Some(last));

    // For people, not on a terminal: the same words, and no colours.
    let shown = String::from_utf8(output(&mut asking(&server, &token, &["follow", id]), 0).stdout).unwrap();
    assert!(shown.contains("simulated"), "what a simulated model says is not labelled:\n{shown}");
    assert!(!shown.contains('\u{1b}'), "escapes in a pipe:\n{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_run_asks_is_answered_by_the_command_line_and_otherwise_waits() {
    let server = Server::start(Database::Sqlite, &["simulated_tokens_per_s=100000"]).await;
    let token = register(&server).await.access_token;
    let owner = server.client(&token);
    let input = format!("campaign_id={}", campaign(&owner).await);
    output(&mut asking(&server, &token, &["run", "analyze", "--input", &input]), 0);

    // Nobody answers: it is told how one could, and the run goes on without who has seen enough.
    let mut waiting = asking(&server, &token, &["run", "outreach", "--input", &input]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(waiting.stdout.take().unwrap()).lines().map(Result::unwrap);
    let run = lines.next().unwrap().strip_prefix("run ").unwrap().to_owned();
    let told: Vec<String> = lines.by_ref().take_while(|line| !line.contains("waits for a person")).collect();
    assert_eq!(told.iter().filter(|line| line.contains("crewline call approval.answer '{\"id\"")).count(), 2, "{told:#?}");
    waiting.kill().unwrap();
    waiting.wait().unwrap();

    let said = ended(&mut asking(&server, &token, &["follow", &run, "--reject"]), 0);
    assert!(said.contains("? May quality_reviewer call record.update?") && said.contains("0 approved, 2 rejected"), "{said}");
    assert_eq!(of(&records(&owner).await, "comments", ("campaign_id", "Smaller meetings"), "status"), ["rejected", "rejected"]);
    let filter = r#"{"field": "status", "eq": "rejected"}"#;
    let rows =
        ended(&mut asking(&server, &token, &["watch", "comments", "--once", "--columns", "status,quality_score", "--filter", filter]), 0);
    assert_eq!(rows.lines().count(), 3, "{rows}");

    let said = ended(&mut asking(&server, &token, &["run", "campaign", "--approve", "--input", &input]), 0);
    assert!(said.contains("Drafted: 0 comments drafted"), "{said}");
    ended(&mut asking(&server, &token, &["run", "campaign", "--approve", "--reject", "--input", &input]), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watched_rows_come_as_they_are_and_then_as_they_change() {
    let server = Server::start(Database::Sqlite, &[]).await;
    let token = register(&server).await.access_token;
    let create = |title: &str| {
        let input = serde_json::json!({ "title": title }).to_string();
        output(&mut asking(&server, &token, &["call", "session.create", &input]), 0)
    };
    create("there before");
    let mut watching = asking(&server, &token, &["watch", "session", "--sort", "title"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let first = next();
    assert!(first.starts_with("= ") && first.contains("title=\"there before\""), "{first}");
    create("made meanwhile");
    let second = next();
    assert!(second.starts_with("+ ") && second.contains("title=\"made meanwhile\""), "{second}");
    watching.kill().unwrap();
    watching.wait().unwrap();

    let refused = ended(&mut asking(&server, &token, &["watch", "session", "--sort", "colour"]), 1);
    assert!(refused.contains("sort[0].field"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_run_ends_its_follower_with_5() {
    let server = Server::start(Database::Sqlite, &["simulated_tokens_per_s=1"]).await;
    let token = register(&server).await.access_token;
    let run = start_review(&server.client(&token)).await;
    let input = format!(r#"{{"id": "{}", "mode": "now"}}"#, run.id);
    output(&mut asking(&server, &token, &["call", "run.cancel", &input]), 0);
    output(&mut asking(&server, &token, &["follow", &run.id.to_string()]), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_ends_with_1_and_a_refused_sign_in_with_3() {
    let server = Server::start(Database::Sqlite, &[]).await;
    let token = register(&server).await.access_token;
    let absent = r#"{"id": "01890a5d-ac96-774b-bcce-b302099a8057"}"#;
    ended(&mut asking(&server, &token, &["call", "run.get", absent]), 1);
    ended(&mut asking(&server, &token, &["call", "nothing.here"]), 1);
    let said = ended(&mut asking(&server, &token, &["run", "no-such-crew"]), 1);
    assert!(said.contains("no-such-crew"), "{said}");
    let said = ended(&mut asking(&server, "no token", &["call", "auth.me"]), 3);
    assert!(said.contains("sign in"), "{said}");
    let mut guess = asking(&server, "", &["call", "auth.me", "--email", ADDRESS]);
    ended(guess.env_remove("CREWLINE_TOKEN").env("CREWLINE_PASSWORD", "a wrong password"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_is_made_on_the_machine_while_the_server_runs_and_signs_in() {
    let server = Server::start(Database::Sqlite, &["registration=closed"]).await;
    let mut add = crewline(&["user", "add", ADDRESS, "--operator", "--data"]);
    add.arg(server.data()).env("CREWLINE_PASSWORD", "a long enough password");
    assert!(ended(&mut add, 0).starts_with(&format!("added operator {ADDRESS}")));
    assert!(ended(&mut add, 1).contains("somebody is registered with this address"));
    ended(add.env("CREWLINE_PASSWORD", "short"), 1);

    let mut me = asking(&server, "", &["call", "auth.me", "--json", "--email", ADDRESS]);
    me.env_remove("CREWLINE_TOKEN").env("CREWLINE_PASSWORD", "a long enough password");
    let me = json_lines(&output(&mut me, 0));
    assert_eq!((&me[0]["email"], &me[0]["operator"]), (&ADDRESS.into(), &true.into()));
}

fn crewline(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crewline"));
    command.args(arguments).stdin(Stdio::null());
    for variable in ["CREWLINE_URL", "CREWLINE_TOKEN", "CREWLINE_EMAIL", "CREWLINE_PASSWORD", "CREWLINE_DATABASE"] {
        command.env_remove(variable);
    }
    command
}

/// A command that talks to a server as who has this token.
fn asking(server: &Server, token: &str, arguments: &[&str]) -> Command {
    let mut command = crewline(arguments);
    command.env("CREWLINE_URL", format!("ws://{}/ws", server.address())).env("CREWLINE_TOKEN", token);
    command
}

/// Runs a command, which ends with this code.
fn output(command: &mut Command, code: i32) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{command:?} said: {said}\n{}", String::from_utf8_lossy(&output.stdout));
    assert!(!said.contains("panicked"), "{said}");
    output
}

/// The same; gives what it said, on whichever output.
fn ended(command: &mut Command, code: i32) -> String {
    let Output { stdout, stderr, .. } = output(command, code);
    String::from_utf8([stdout, stderr].concat()).unwrap()
}

fn json_lines(output: &Output) -> Vec<serde_json::Value> {
    output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// The events of a run that was shown with `--json`, positions left out.
fn events_of(output: &Output) -> Vec<serde_json::Value> {
    json_lines(output).into_iter().filter(|line| line["type"] != "position").collect()
}

/// All words of all parts, in their order.
fn words(events: &[serde_json::Value]) -> String {
    events.iter().filter(|event| event["type"] == "text.delta").map(|event| event["text"].as_str().unwrap()).collect()
}
