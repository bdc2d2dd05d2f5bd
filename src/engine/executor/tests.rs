//! Runs that go on after a crash, wherever it came: to the same output, and without doing again what was done.

use crewline_protocol::{RunEvent, operations::run::Status};
use serde_json::json;

use crate::{
    apps::App,
    engine::Effect,
    settings::Settings,
    testing::{
        crews::{count, types},
        desk::{AGENTS, Played, crew, desk, says_yes, tasks},
        scripted::{Echo, Scripted, call, say},
    },
};

/// Given to every run as it begins.
const WORDS: &str = "Mind the commas.";

/// Crashes a run at each of its events in turn; what the next attempt does is what was left to do. Whatever it asks, a person allows.
async fn goes_on_from_anywhere(app: &App, effect: Effect, script: fn() -> Scripted) {
    let again = || App::from_files(app.files.clone()).unwrap();
    let tool = || Echo::new("content.analyze", effect);
    let whole = Played::new(again(), script(), &[&tool()]).await;
    whole.steers(WORDS).await;
    let output = tokio::select! {
        output = whole.ends() => output.unwrap(),
        () = says_yes(&whole.node, &whole.ada, whole.run) => unreachable!(),
    };
    let log = whole.log().await;
    let kinds = ["usage.recorded", "task.started", "task.finished", "task.failed", "log.written", "run.finished", "steer.applied"];
    let asked = ["approval.requested", "approval.answered"];
    let told = |log: &[RunEvent]| (kinds.map(|kind| count(log, kind)), asked.map(|kind| count(log, kind)));
    for crash_at in 1..log.len() {
        let first = tool();
        let mut played = Played::new(again(), script(), &[&first]).await;
        played.steers(WORDS).await;
        tokio::select! {
            () = played.node.reaches(played.run, i64::try_from(crash_at).unwrap()) => {}
            () = says_yes(&played.node, &played.ada, played.run) => {}
        }
        let (run, ada) = (played.run, played.ada.clone());
        let node = played.crashes();
        tokio::task::yield_now().await;
        let before = node.log(run).await;

        let node = node.beside(again(), Settings::default()).await;
        let (model, second) = (script(), tool());
        let _engine = model.engine(&node, [second.tool()]);
        let row = tokio::select! {
            row = node.finishes(run) => row,
            () = says_yes(&node, &ada, run) => unreachable!(),
        };
        let after = node.log(run).await;
        let at = format!("crashed at {crash_at}, after {}: {:?}", before.last().map_or("nothing", RunEvent::type_name), types(&after));
        assert_eq!((row.status, row.output.as_deref()), (Status::Succeeded, Some(output.as_str())), "{at}");
        assert_eq!(&after[..before.len()], &before[..], "{at}");
        assert_eq!(told(&after), told(&log), "{at}");
        if count(&before, "run.finished") == 1 {
            continue;
        }
        assert_eq!(model.asked().len(), count(&log, "usage.recorded") - count(&before, "usage.recorded"), "{at}");
        assert_eq!(ended(&after), ended(&log), "{at}");
        // Whoever has read the words reads them in every call after that, also in another attempt.
        let applied =
            before.iter().find_map(|event| if let RunEvent::SteerApplied { task, .. } = event { Some(task.as_str()) } else { None });
        let scene =
            applied.map(|task| ["task-1", "task-2", "task-3"].iter().position(|known| *known == task).map(|place| ["a", "b", "c"][place]));
        let reads = |about: Option<&str>| {
            let asked = model.asked().into_iter().filter(|asked| about.is_none_or(|about| about == asked.about));
            asked.map(|asked| asked.words().contains(WORDS)).collect::<Vec<_>>()
        };
        match scene {
            Some(scene) => assert!(reads(scene).iter().all(|reads| *reads), "{at}"),
            None => assert!(reads(None).contains(&true), "{at}"),
        }
        assert!(second.called().len() <= ended(&log) - ended(&before), "{at}: a call that had ended is made again");
        let (calls, mut once) = ([first.calls(), second.calls()].concat(), [first.calls(), second.calls()].concat());
        once.sort_unstable();
        once.dedup();
        match effect {
            Effect::Computes => {}
            // What is made again is the same to who makes it happen once; and all of them are made.
            Effect::Keyed => assert_eq!(once.len(), whole_calls(&log), "{at}"),
            Effect::Outside => assert_eq!(once.len(), calls.len(), "{at}: one was made twice"),
        }
        let RunEvent::RunFinished { usage, .. } = after.last().unwrap() else { panic!("{at}") };
        // A run that was put away when the crash came lost nothing by it.
        assert_eq!((usage, row.attempt), (&row.usage(), u32::try_from(count(&after, "run.started")).unwrap()), "{at}");
    }
}

/// Calls of the tool, those of coworkers not counted.
fn whole_calls(log: &[RunEvent]) -> usize {
    let calls = log.iter().filter(|event| matches!(event, RunEvent::ToolStarted { tool, .. } if tool == "content.analyze"));
    calls.count()
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
    goes_on_from_anywhere(&app, Effect::Computes, || {
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
    goes_on_from_anywhere(&app, Effect::Computes, || {
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

#[tokio::test(start_paused = true)]
async fn what_people_allowed_happens_once() {
    let more =
        "tools: {reader: [content.analyze], writer: [content.analyze]}\napprovals: {content.analyze: {when: {field: say, ne: free}}}\n";
    let tasks = tasks(&[
        ("a", "agent: reader, async_execution: true"),
        ("b", "agent: writer, async_execution: true, human_input: true"),
        ("c", "agent: boss, human_input: true"),
    ]);
    let app = desk(&crew(&["a", "b", "c"], more), AGENTS, &tasks);
    for effect in [Effect::Keyed, Effect::Outside] {
        goes_on_from_anywhere(&app, effect, || {
            let calls = |say: &str| call("content.analyze", json!({"say": say}));
            Scripted::new([
                (
                    "a",
                    vec![
                        calls("ONE").call("content.analyze", json!({"say": "free"})).call("content.analyze", json!({"say": "TWO"})),
                        calls("free"),
                        say("AAA"),
                    ],
                ),
                ("b", vec![calls("THREE"), say("BBB")]),
                ("c", vec![say("CCC")]),
            ])
        })
        .await;
    }
}
