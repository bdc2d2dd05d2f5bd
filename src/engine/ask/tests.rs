//! Runs that wait for people: what is asked, what is done with the answer, and that nothing is held meanwhile.

use std::time::Duration;

use crewline_protocol::{
    RunEvent,
    event::WaitingFor,
    fault::FaultCode,
    operation::Role,
    operations::{
        approval::{self, Kind, Verdict},
        run::{CancelMode, Pause, Resume, Status},
    },
};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    apps::App,
    control,
    engine::{Effect, Message},
    leases::Lease,
    sessions::MessageRow,
    settings::Settings,
    store::Select,
    sweep::sweep,
    testing::{
        crews::{Node, count, types},
        desk::{AGENTS, Played, capitals, crew, desk, tasks},
        scripted::{Echo, Scripted, call, say},
    },
};

const ASKS: &str = "tools: {writer: [content.analyze]}\napprovals:\n  content.analyze: {when: {field: say, ne: free}, roles: [admin], expires_in_ms: 60000, on_expire: REJECT}\n";

/// A crew of one task, whose writer may call a tool when somebody allows it.
fn asking(more: &str) -> App {
    desk(&crew(&["a"], &format!("{}{more}", ASKS.replace("REJECT", "reject"))), AGENTS, &tasks(&[("a", "agent: writer")]))
}

fn calls_once() -> Scripted {
    Scripted::new([("a", vec![call("content.analyze", json!({"say": "ONE"})), say("DONE")])])
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_a_person_and_holds_nothing_meanwhile() {
    let echo = Echo::new("content.analyze", Effect::Keyed);
    let played = Played::new(asking(""), calls_once(), &[&echo]).await;
    let [question] = &played.waits().await[..] else { panic!() };
    assert_eq!(
        (question.kind, question.tool.as_deref(), question.title.as_str()),
        (Kind::Tool, Some("content.analyze"), "May writer call content.analyze?")
    );
    assert_eq!(
        (question.arguments.clone().unwrap().0, question.call.as_deref(), question.task.as_deref()),
        (json!({"say": "ONE"}), Some("call-1"), Some("task-1"))
    );
    assert_eq!((&question.roles.0[..], question.expires_at), (&[Role::Admin][..], Some(question.created_at.plus(60_000))));
    assert_eq!(played.node.services.store.get::<Lease>(played.run).await.unwrap(), None, "nobody holds it");
    let head = played.log().await.len();
    sleep(Duration::from_secs(50)).await;
    assert_eq!((echo.called().len(), played.log().await.len()), (0, head));

    played.answers(question, Verdict::Approve, None, None).await;
    assert_eq!(played.ends().await, Ok("DONE".into()));
    assert_eq!(echo.called(), [json!({"say": "ONE"})]);
    let log = played.log().await;
    let [.., _, _, _, _, _, _, _, _, _] = &log[..] else { panic!() };
    let expected =
        ["tool.started", "usage.recorded", "approval.requested", "run.waiting", "approval.answered", "run.resumed", "tool.finished"];
    assert_eq!(types(&log)[3..10], expected);
    assert_eq!((count(&log, "run.started"), played.node.row(played.run).await.attempt), (1, 1));
    let lease_epoch = played.node.row(played.run).await.lease_epoch;
    assert_eq!(lease_epoch, 2);
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_what_the_person_made_of_it_and_the_agent_is_told() {
    let echo = Echo::new("content.analyze", Effect::Outside);
    let played = Played::new(asking(""), calls_once(), &[&echo]).await;
    let question = played.waits().await.remove(0);
    played.answers(&question, Verdict::Approve, Some(json!({"say": "TWO"})), Some("Rather this.")).await;
    assert_eq!(played.ends().await, Ok("DONE".into()));
    assert_eq!(echo.called(), [json!({"say": "TWO"})]);
    let Message::Tool { result, .. } = played.model.asked()[1].messages.last().unwrap().clone() else { panic!() };
    assert_eq!(result, "A person changed the arguments; it was called with {\"say\":\"TWO\"}.\nA person says: Rather this.\nTWO");
}

#[tokio::test(start_paused = true)]
async fn what_a_person_does_not_allow_is_not_done() {
    let echo = Echo::new("content.analyze", Effect::Keyed);
    let played = Played::new(asking(""), calls_once(), &[&echo]).await;
    let question = played.waits().await.remove(0);
    played.answers(&question, Verdict::Reject, None, Some("Not on a Sunday.")).await;
    assert_eq!(played.ends().await, Ok("DONE".into()));
    assert_eq!(echo.called().len(), 0);
    assert!(played.model.asked()[1].words().contains("a person did not allow this call: Not on a Sunday."));
}

#[tokio::test(start_paused = true)]
async fn only_the_arguments_that_the_rule_names_are_asked_about() {
    let echo = Echo::new("content.analyze", Effect::Keyed);
    let both = call("content.analyze", json!({"say": "free"})).call("content.analyze", json!({"say": "ONE"}));
    let played = Played::new(asking(""), Scripted::new([("a", vec![both, say("DONE")])]), &[&echo]).await;
    let questions = played.waits().await;
    assert_eq!((questions.len(), echo.called()), (1, vec![json!({"say": "free"})]));
    played.answers(&questions[0], Verdict::Approve, None, None).await;
    assert_eq!(played.ends().await, Ok("DONE".into()));
    assert_eq!(echo.called(), [json!({"say": "free"}), json!({"say": "ONE"})]);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_answers_in_time_ends_as_the_crew_says() {
    for (on_expire, output) in [("reject", Ok("DONE".to_owned())), ("fail", Err(FaultCode::Timeout))] {
        let app = desk(&crew(&["a"], &ASKS.replace("REJECT", on_expire)), AGENTS, &tasks(&[("a", "agent: writer")]));
        let echo = Echo::new("content.analyze", Effect::Keyed);
        let played = Played::new(app, calls_once(), &[&echo]).await;
        played.waits().await;
        sleep(Duration::from_secs(61)).await;
        sweep(&played.node.services).await;
        assert_eq!(played.ends().await.map_err(|fault| fault.code), output);
        assert_eq!(echo.called().len(), 0);
        let told = played.model.asked().last().unwrap().words().contains("nobody allowed this call in time");
        assert_eq!(told, on_expire == "reject");
    }
}

#[tokio::test(start_paused = true)]
async fn several_questions_wait_at_once_and_each_answer_lets_its_call_be_made() {
    let echo = Echo::new("content.analyze", Effect::Keyed);
    let both = call("content.analyze", json!({"say": "ONE"})).call("content.analyze", json!({"say": "TWO"}));
    let played = Played::new(asking(""), Scripted::new([("a", vec![both, say("DONE")])]), &[&echo]).await;
    let questions = played.waits().await;
    assert_eq!(questions.len(), 2);
    let second = questions.iter().find(|question| question.call.as_deref() == Some("call-2")).unwrap();
    played.answers(second, Verdict::Approve, None, None).await;
    while echo.called().is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    let left = played.waits().await;
    assert_eq!((left.len(), left[0].call.as_deref(), echo.called()), (1, Some("call-1"), vec![json!({"say": "TWO"})]));
    played.answers(&left[0], Verdict::Approve, None, None).await;
    assert_eq!(played.ends().await, Ok("DONE".into()));
    assert_eq!(echo.called(), [json!({"say": "TWO"}), json!({"say": "ONE"})]);
    let [_, _, _, Message::Tool { result: one, .. }, Message::Tool { result: two, .. }] = &played.model.asked()[1].messages[..] else {
        panic!()
    };
    assert_eq!((one.as_str(), two.as_str()), ("ONE", "TWO"));
}

#[tokio::test(start_paused = true)]
async fn while_another_branch_works_the_answer_is_heard_without_putting_the_run_away() {
    let more = "tools: {writer: [content.analyze]}\napprovals: {content.analyze: {}}\n";
    let tasks =
        tasks(&[("a", "agent: writer, async_execution: true"), ("b", "agent: reader, async_execution: true"), ("c", "agent: boss")]);
    let model = Scripted::new([
        ("a", vec![call("content.analyze", json!({"say": "ONE"})), say("DONE")]),
        ("b", vec![say("B").after(30)]),
        ("c", vec![say("C")]),
    ]);
    let echo = Echo::new("content.analyze", Effect::Keyed);
    let played = Played::new(desk(&crew(&["a", "b", "c"], more), AGENTS, &tasks), model, &[&echo]).await;
    sleep(Duration::from_secs(10)).await;
    let question = played.questions().await.remove(0);
    assert_eq!(played.node.row(played.run).await.status, Status::Running);
    played.answers(&question, Verdict::Approve, None, None).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(echo.called().len(), 1);
    assert_eq!(played.ends().await, Ok("C".into()));
    let log = played.log().await;
    assert_eq!((count(&log, "run.waiting"), count(&log, "run.started")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_person_looks_at_is_made_again_after_their_words() {
    let app = desk(&crew(&["a", "b"], ""), AGENTS, &tasks(&[("a", "agent: writer, human_input: true"), ("b", "agent: reader")]));
    let model = Scripted::new([("a", vec![say("FIRST"), say("SECOND"), say("THIRD")]), ("b", vec![say("B")])]);
    let played = Played::new(app, model, &[]).await;
    for (answer, words) in [("FIRST", "Shorter."), ("SECOND", "Funnier.")] {
        let question = played.waits().await.remove(0);
        assert_eq!((question.kind, question.body.as_str(), question.call), (Kind::Review, answer, None));
        let question = played.questions().await.remove(0);
        played.answers(&question, Verdict::Reject, None, Some(words)).await;
        while played.questions().await.iter().any(|other| other.id == question.id)
            || played.node.row(played.run).await.status != Status::Waiting
        {
            sleep(Duration::from_millis(5)).await;
        }
    }
    let question = played.waits().await.remove(0);
    played.answers(&question, Verdict::Approve, None, None).await;
    assert_eq!(played.ends().await, Ok("B".into()));
    assert_eq!(
        played.model.shape(&["FIRST", "Shorter.", "SECOND", "Funnier.", "THIRD"]),
        ["a [] sees: ", "a [] sees: FIRST Shorter.", "a [] sees: FIRST Shorter. SECOND Funnier.", "b [] sees: THIRD",]
    );
}

#[tokio::test(start_paused = true)]
async fn words_reach_the_agent_that_asks_its_model_next_and_none_is_lost() {
    let app =
        desk(&crew(&["a", "b"], "tools: {writer: [content.analyze]}\n"), AGENTS, &tasks(&[("a", "agent: writer"), ("b", "agent: reader")]));
    let model = Scripted::new([("a", vec![call("content.analyze", json!({})), say("AAA")]), ("b", vec![say("BBB").after(5)])]);
    let echo = Echo::new("content.analyze", Effect::Computes).takes(5);
    let played = Played::new(app, model, &[&echo]).await;
    sleep(Duration::from_secs(1)).await;
    played.steers("Be brief.").await;
    played.steers("And kind.").await;
    sleep(Duration::from_secs(7)).await;
    played.steers("Too late.").await;
    assert_eq!(played.ends().await, Ok("BBB".into()));
    assert_eq!(
        played.model.shape(&["Be brief.", "And kind.", "Too late."]),
        ["a [content.analyze] sees: ", "a [content.analyze] sees: Be brief. And kind.", "b [] sees: ",]
    );
    let log = played.log().await;
    let applied: Vec<&str> =
        log.iter().filter_map(|event| if let RunEvent::SteerApplied { task, .. } = event { Some(task.as_str()) } else { None }).collect();
    assert_eq!((applied, count(&log, "steer.received")), (vec!["task-1", "task-1"], 3));
    let row = played.node.row(played.run).await;
    let messages: Vec<MessageRow> = played.node.services.store.select(&Select::by("session_id", row.session_id)).await.unwrap();
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(
        (message.text.as_str(), message.author_id.as_str(), message.author_name.as_str()),
        ("Too late.", played.ada.user.to_string().as_str(), "Ada")
    );
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_waits_after_what_is_going_on_and_goes_on_where_it_was() {
    let app = desk(
        &crew(&["a", "b"], ""),
        &AGENTS.replace("role: Writer,", "role: Writer, max_execution_time: 20,"),
        &tasks(&[("a", "agent: reader"), ("b", "agent: writer")]),
    );
    let model = Scripted::new([("a", vec![say("AAA").after(5)]), ("b", vec![say("BBB").after(15)])]);
    let played = Played::new(app, model, &[]).await;
    sleep(Duration::from_secs(1)).await;
    control::pause(played.node.context(Some(&played.ada)), Pause { id: played.run }).await.unwrap();
    assert_eq!(played.waits().await, []);
    let log = played.log().await;
    assert!(matches!(log.last(), Some(RunEvent::RunWaiting { r#for: WaitingFor::Pause, .. })), "{:?}", types(&log));
    assert_eq!((count(&log, "usage.recorded"), count(&log, "task.finished")), (1, 1));
    sleep(Duration::from_secs(100)).await;
    assert_eq!(played.log().await.len(), log.len());
    control::resume(played.node.context(Some(&played.ada)), Resume { id: played.run }).await.unwrap();
    assert_eq!(played.ends().await, Ok("BBB".into()));
    assert_eq!((played.model.asked().len(), played.node.row(played.run).await.attempt), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_paused_run_waits_for_who_resumes_it() {
    let echo = Echo::new("content.analyze", Effect::Keyed);
    let played = Played::new(asking(""), calls_once(), &[&echo]).await;
    let question = played.waits().await.remove(0);
    control::pause(played.node.context(Some(&played.ada)), Pause { id: played.run }).await.unwrap();
    played.answers(&question, Verdict::Approve, None, None).await;
    sleep(Duration::from_secs(20)).await;
    assert_eq!((echo.called().len(), played.node.row(played.run).await.status), (0, Status::Waiting));
    control::resume(played.node.context(Some(&played.ada)), Resume { id: played.run }).await.unwrap();
    assert_eq!(played.ends().await, Ok("DONE".into()));
    assert_eq!(echo.called().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn time_spent_waiting_for_people_is_nobody_s() {
    let agents = AGENTS.replace("role: Writer,", "role: Writer, max_execution_time: 20,");
    let more = "budget: {duration_ms: 60000}\ntools: {writer: [content.analyze]}\napprovals: {content.analyze: {}}\n";
    let tasks =
        tasks(&[("a", "agent: writer, async_execution: true"), ("b", "agent: reader, async_execution: true"), ("c", "agent: boss")]);
    let model = Scripted::new([
        ("a", vec![call("content.analyze", json!({"say": "ONE"})).after(8), say("DONE").after(8)]),
        ("b", vec![say("B").after(40)]),
        ("c", vec![say("C")]),
    ]);
    let echo = Echo::new("content.analyze", Effect::Keyed);
    let played = Played::new(desk(&crew(&["a", "b", "c"], more), &agents, &tasks), model, &[&echo]).await;
    let question = played.waits().await.remove(0);
    sleep(Duration::from_secs(1_000)).await;
    played.answers(&question, Verdict::Approve, None, None).await;
    assert_eq!(played.ends().await, Ok("C".into()));
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_a_run_that_waits_and_takes_its_questions_back() {
    for mode in [CancelMode::Graceful, CancelMode::Now] {
        // Put away, and while another branch works.
        for busy in [false, true] {
            let more = "tools: {writer: [content.analyze]}\napprovals: {content.analyze: {}}\n";
            let tasks = tasks(&[
                ("a", "agent: writer, async_execution: true"),
                ("b", "agent: reader, async_execution: true"),
                ("c", "agent: boss"),
            ]);
            let model = Scripted::new([
                ("a", vec![call("content.analyze", json!({}))]),
                ("b", vec![say("B").after(if busy { 100 } else { 0 })]),
                ("c", vec![say("C")]),
            ]);
            let echo = Echo::new("content.analyze", Effect::Keyed);
            let played = Played::new(desk(&crew(&["a", "b", "c"], more), AGENTS, &tasks), model, &[&echo]).await;
            sleep(Duration::from_secs(5)).await;
            let status = if busy { Status::Running } else { Status::Waiting };
            assert_eq!(played.node.row(played.run).await.status, status);
            let asked = played.node.services.clock.now();
            played.node.cancel(&played.ada, played.run, mode).await;
            let row = played.node.finishes(played.run).await;
            assert_eq!((row.status, played.questions().await.len(), echo.called().len()), (Status::Cancelled, 0, 0));
            let took = row.finished_at.unwrap().since(asked);
            assert!(took <= if busy && mode == CancelMode::Graceful { 100_000 } else { 200 }, "{mode:?} {busy}: {took}");
            let log = played.log().await;
            let Some(RunEvent::ApprovalAnswered { approval, .. }) = log.iter().find(|event| event.type_name() == "approval.answered")
            else {
                panic!()
            };
            assert_eq!((approval.status, types(&log).last()), (approval::Status::Withdrawn, Some(&"run.finished")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_takes_its_questions_back() {
    let more = "tools: {writer: [content.analyze]}\napprovals: {content.analyze: {}}\n";
    let tasks =
        tasks(&[("a", "agent: writer, async_execution: true"), ("b", "agent: reader, async_execution: true"), ("c", "agent: boss")]);
    let model = Scripted::new([("a", vec![call("content.analyze", json!({}))]), ("b", vec![say(" ").after(5)])]);
    let echo = Echo::new("content.analyze", Effect::Keyed);
    let played = Played::new(desk(&crew(&["a", "b", "c"], more), AGENTS, &tasks), model, &[&echo]).await;
    assert_eq!(played.ends().await.unwrap_err().message, "the model answered task `b` with nothing");
    assert_eq!(played.questions().await, []);
}

#[tokio::test(start_paused = true)]
async fn an_output_file_is_kept_by_the_run() {
    let app = desk(&crew(&["a"], ""), AGENTS, &tasks(&[("a", "agent: writer, output_file: 'reports/{topic}.md'")]));
    let played = Played::new(app, capitals(["a"]), &[]).await;
    assert_eq!(played.ends().await, Ok("AAA".into()));
    let log = played.log().await;
    let made =
        log.iter().find_map(|event| if let RunEvent::ArtifactCreated { artifact, .. } = event { Some(artifact) } else { None }).unwrap();
    assert_eq!((made.name.as_str(), made.media_type.as_str(), made.size_bytes), ("reports/rain.md", "text/markdown", 3));
    let row: crate::artifacts::ArtifactRow = played.node.services.store.get(made.id).await.unwrap().unwrap();
    assert_eq!((&row.content[..], row.run_id), (&b"AAA"[..], played.run));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_file_too_a_run_is_put_away_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let echo = Echo::new("content.analyze", Effect::Keyed);
    let node = Node::on_sqlite(asking(""), Settings::default(), folder.path()).await;
    let played = Played::on(node, calls_once(), &[&echo]).await;
    let question = played.waits().await.remove(0);
    assert_eq!(played.node.services.store.get::<Lease>(played.run).await.unwrap(), None);
    played.answers(&question, Verdict::Approve, None, None).await;
    assert_eq!(played.ends().await, Ok("DONE".into()));
    assert_eq!((echo.called().len(), played.node.row(played.run).await.attempt), (1, 1));
    played.engine.as_ref().unwrap().stop().await;
    played.node.services.store.close().await;
}
