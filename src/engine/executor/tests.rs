//! Runs that go on after a crash, wherever it came: to the same output, and without doing again what was done.

use std::collections::BTreeSet;

use crewline_protocol::{RunEvent, operations::run::Status};
use serde_json::json;

use crate::{
    apps::App,
    engine::Effect,
    settings::Settings,
    testing::{
        crews::count,
        desk::{AGENTS, Played, crew, desk, tasks},
        scripted::{Echo, Scripted, call, say},
    },
};

/// Crashes a run at each of its events in turn; what the next attempt does is what was left to do.
async fn goes_on_from_anywhere(app: &App, script: fn() -> Scripted) {
    let again = || App::from_files(app.files.clone()).unwrap();
    let tool = || Echo::new("content.analyze", Effect::Computes);
    let whole = Played::new(again(), script(), &[&tool()]).await;
    let output = whole.ends().await.unwrap();
    let log = whole.log().await;
    let kinds = ["usage.recorded", "task.started", "task.finished", "task.failed", "log.written", "run.finished"];
    let told = |log: &[RunEvent]| kinds.map(|kind| count(log, kind));
    for crash_at in 1..log.len() {
        let first = tool();
        let mut played = Played::new(again(), script(), &[&first]).await;
        played.node.reaches(played.run, i64::try_from(crash_at).unwrap()).await;
        let run = played.run;
        let node = played.crashes();
        tokio::task::yield_now().await;
        let before = node.log(run).await;

        let node = node.beside(again(), Settings::default()).await;
        let (model, second) = (script(), tool());
        let _engine = model.engine(&node, [second.tool()]);
        let row = node.finishes(run).await;
        let after = node.log(run).await;
        let at = format!("crashed at {crash_at}, after {}", before.last().map_or("nothing", RunEvent::type_name));
        assert_eq!((row.status, row.output.as_deref()), (Status::Succeeded, Some(output.as_str())), "{at}");
        assert_eq!(&after[..before.len()], &before[..], "{at}");
        assert_eq!(told(&after), told(&log), "{at}");
        if count(&before, "run.finished") == 1 {
            continue;
        }
        let asked: BTreeSet<String> = model.shape(&[]).into_iter().collect();
        assert_eq!(model.asked().len(), count(&log, "usage.recorded") - count(&before, "usage.recorded"), "{at}: {asked:?}");
        assert_eq!(ended(&after), ended(&log), "{at}");
        assert!(second.called().len() <= ended(&log) - ended(&before), "{at}: a call that had ended is made again");
        let RunEvent::RunFinished { usage, .. } = after.last().unwrap() else { panic!("{at}") };
        assert_eq!((usage, row.attempt), (&row.usage(), 2), "{at}");
    }
}

fn ended(log: &[RunEvent]) -> usize {
    count(log, "tool.finished") + count(log, "tool.failed")
}

#[tokio::test(start_paused = true)]
async fn tasks_beside_each_other_go_on() {
    let tasks = tasks(&[
        ("a", "agent: reader, async_execution: true"),
        ("b", "agent: writer, async_execution: true"),
        ("c", "agent: writer, output_json: {type: object, required: [size], properties: {size: {type: integer}}}"),
        ("d", "agent: reader, guardrail: It rhymes., async_execution: true"),
    ]);
    let app = desk(&crew(&["a", "b", "c", "d"], "tools: {reader: [content.analyze], writer: [content.analyze]}\n"), AGENTS, &tasks);
    goes_on_from_anywhere(&app, || {
        let two = || call("content.analyze", json!({"say": 1})).call("content.analyze", json!({"fail": "no"}));
        let model = Scripted::new([
            ("a", vec![two(), say("AAA one")]),
            ("b", vec![two(), two(), say("BBB")]),
            ("c", vec![say("one")]),
            ("c/convert", vec![say("{\"size\": 1}")]),
            ("d", vec![say("FIRST"), two(), say("SECOND")]),
        ]);
        model.judges(|words| words.contains("SECOND"));
        model
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_manager_and_those_who_work_for_it_go_on() {
    let more = "process: hierarchical\nmanager_llm: default\ntools: {reader: [content.analyze]}\n";
    let app = desk(&crew(&["a", "b"], more), AGENTS, &tasks(&[("a", ""), ("b", "agent: writer")]));
    goes_on_from_anywhere(&app, || {
        let hand = |who: &str| json!({"coworker": who, "task": "do it"});
        let look = || call("content.analyze", json!({"say": 1}));
        Scripted::new([
            (
                "a",
                vec![
                    call("coworker.delegate", hand("reader")).call("coworker.delegate", hand("boss")),
                    call("coworker.delegate", hand("reader")),
                    say("A"),
                ],
            ),
            ("a/reader", vec![look().call("content.analyze", json!({"say": 2})), look(), say("READ")]),
            ("a/boss", vec![say("BOSSED")]),
            ("b", vec![call("coworker.delegate", hand("writer")), say("B")]),
            ("b/writer", vec![say(" ")]),
        ])
    })
    .await;
}
