//! What the model saw: count and order of calls, tools offered, whose outputs stood before it, which form was asked for.

use crewline_protocol::RunEvent;
use serde_json::json;

use crate::{
    engine::Effect,
    testing::{
        crews::count,
        desk::{AGENTS, Played, capitals, crew, desk, play, tasks},
        scripted::{Echo, Scripted, call, say},
    },
};

#[tokio::test(start_paused = true)]
async fn each_task_sees_all_before_it_or_what_it_names() {
    let tasks = tasks(&[
        ("a", "agent: reader"),
        ("b", "agent: writer"),
        ("c", "agent: writer, context: []"),
        ("d", "agent: writer, context: [b, a]"),
        ("e", "agent: writer"),
    ]);
    let app = desk(&crew(&["a", "b", "c", "d", "e"], ""), AGENTS, &tasks);
    let (output, model) = play(app, capitals(["a", "b", "c", "d", "e"]), &[]).await;
    assert_eq!(output, Ok("EEE".into()));
    assert_eq!(
        model.shape(&["Reader of rain", "AAA", "BBB", "CCC", "DDD"]),
        ["a [] sees: Reader of rain", "b [] sees: AAA", "c [] sees: ", "d [] sees: BBB AAA", "e [] sees: AAA BBB CCC DDD"]
    );
}

#[tokio::test(start_paused = true)]
async fn asynchronous_tasks_run_side_by_side_and_are_awaited_in_order() {
    let tasks = tasks(&[
        ("a", "agent: reader"),
        ("b", "agent: writer, async_execution: true"),
        ("c", "agent: reader, async_execution: true, context: []"),
        ("d", "agent: writer"),
        ("e", "agent: reader, async_execution: true, context: [b, d]"),
    ]);
    let app = desk(&crew(&["a", "b", "c", "d", "e"], ""), AGENTS, &tasks);
    let model = Scripted::new([
        ("a", vec![say("AAA")]),
        ("b", vec![say("BBB").after(10)]),
        ("c", vec![say("CCC").after(3)]),
        ("d", vec![say("DDD")]),
        ("e", vec![say("EEE")]),
    ]);
    let played = Played::new(app, model, &[]).await;
    assert_eq!(played.ends().await, Ok("EEE".into()));
    assert_eq!(
        played.model.shape(&["AAA", "BBB", "CCC", "DDD"]),
        ["a [] sees: ", "b [] sees: AAA", "c [] sees: ", "d [] sees: AAA BBB CCC", "e [] sees: BBB DDD"]
    );
    let row = played.node.row(played.run).await;
    let took = row.finished_at.unwrap().since(row.started_at.unwrap());
    assert!((10_000..11_000).contains(&took), "{took}: both at once");
    let fractions: Vec<f64> = played
        .log()
        .await
        .iter()
        .filter_map(|event| if let RunEvent::ProgressReported { fraction, .. } = event { Some(*fraction) } else { None })
        .collect();
    assert_eq!(fractions, [0.0, 0.2, 0.2, 0.2, 0.4, 0.6, 0.6, 0.8, 0.8, 1.0]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_beside_others_ends_them_and_is_what_the_run_tells() {
    let tasks =
        tasks(&[("a", "agent: writer, async_execution: true"), ("b", "agent: reader, async_execution: true"), ("c", "agent: writer")]);
    let agents = AGENTS.replace("Reader of {topic}'", "Reader', max_retry_limit: 0");
    let model = Scripted::new([("a", vec![say("A").after(1_000)]), ("b", vec![say(" ").after(2)])]);
    let played = Played::new(desk(&crew(&["a", "b", "c"], ""), &agents, &tasks), model, &[]).await;
    assert_eq!(played.ends().await.unwrap_err().message, "the model answered task `b` with nothing");
    let row = played.node.row(played.run).await;
    assert!(row.finished_at.unwrap().since(row.started_at.unwrap()) < 3_000);
}

#[tokio::test(start_paused = true)]
async fn what_tools_have_done_is_not_done_again_when_an_answer_fails() {
    let app = desk(&crew(&["a"], "tools: {reader: [content.analyze]}\n"), AGENTS, &tasks(&[("a", "agent: reader")]));
    let model = Scripted::new([("a", vec![call("content.analyze", json!({"say": "FOUND"})), say(" "), say("A")])]);
    let echo = Echo::new("content.analyze", Effect::Computes);
    let played = Played::new(app, model, &[&echo]).await;
    assert_eq!(played.ends().await, Ok("A".into()));
    assert_eq!(
        played.model.shape(&["FOUND"]),
        ["a [content.analyze] sees: ", "a [content.analyze] sees: FOUND", "a [content.analyze] sees: FOUND"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_agent_hands_work_to_others_and_asks_them() {
    let agents = AGENTS
        .replace("role: Writer,", "role: Writer, allow_delegation: true,")
        .replace("role: 'Reader of", "allow_delegation: true, role: 'Reader of");
    let app =
        desk(&crew(&["a"], "tools: {reader: [echo.a]}\n").replace("echo.a", "content.analyze"), &agents, &tasks(&[("a", "agent: writer")]));
    let model = Scripted::new([
        (
            "a",
            vec![
                call("coworker.delegate", json!({"coworker": "reader  OF rain", "task": "read {topic}", "context": "CTX"}))
                    .call("coworker.ask", json!({"coworker": "Boss", "question": "why?"}))
                    .call("coworker.ask", json!({"coworker": "Chef", "question": "why?"})),
                say("A"),
            ],
        ),
        ("a/reader", vec![call("content.analyze", json!({"say": "FOUND"})), say("READ")]),
        ("a/boss", vec![say("BECAUSE").after(1)]),
    ]);
    let echo = Echo::new("content.analyze", Effect::Computes);
    let played = Played::new(app, model, &[&echo]).await;
    assert_eq!(played.ends().await, Ok("A".into()));
    assert_eq!(
        played.model.shape(&["CTX", "read {topic}", "FOUND", "READ", "BECAUSE", "work as: Boss", "no coworker `Chef`"]),
        [
            "a [coworker.delegate, coworker.ask] sees: ",
            "a/reader [content.analyze] sees: read {topic} CTX",
            "a/boss [] sees: work as: Boss",
            "a/reader [content.analyze] sees: read {topic} CTX FOUND",
            "a [coworker.delegate, coworker.ask] sees: READ BECAUSE no coworker `Chef`",
        ]
    );
    let log = played.log().await;
    let nested: Vec<_> = log
        .iter()
        .filter_map(|event| match event {
            RunEvent::TaskStarted { task, name, agent, parent, .. } => {
                Some((task.as_str(), name.as_str(), agent.as_str(), parent.as_deref()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        nested,
        [
            ("task-1", "a", "writer", None),
            ("task-1.delegated-1-1", "delegated", "reader", Some("task-1")),
            ("task-1.asked-1-2", "asked", "boss", Some("task-1")),
        ]
    );
    assert_eq!(count(&log, "task.finished"), 3);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_delegate_has_no_tools_for_it() {
    let model = Scripted::new([("a", vec![call("coworker.ask", json!({"coworker": "Boss", "question": "?"})), say("A")])]);
    let agents = AGENTS.replace("role: Writer,", "role: Writer, max_iter: 1,");
    let app = desk(&crew(&["a"], "tools: {writer: [content.analyze]}\n"), &agents, &tasks(&[("a", "agent: writer")]));
    let echo = Echo::new("content.analyze", Effect::Computes);
    let (output, model) = play(app, model, &[&echo]).await;
    assert_eq!(output, Ok("A".into()));
    assert_eq!(
        model.shape(&["there is no tool `coworker.ask`", "no more tools"]),
        ["a [content.analyze] sees: ", "a [] sees: there is no tool `coworker.ask` no more tools",]
    );
}

#[tokio::test(start_paused = true)]
async fn a_manager_has_every_task_and_hands_it_to_its_agent_or_to_all() {
    let hierarchical = "process: hierarchical\nmanager_agent: boss\ntools: {reader: [content.analyze]}\n";
    let tasks = tasks(&[("a", "agent: reader"), ("b", "context: [a]")]);
    let script = || {
        let hand = |who: &str| vec![call("coworker.delegate", json!({"coworker": who, "task": "do it"})), say("DONE")];
        Scripted::new([
            ("a", hand("Reader of rain")),
            ("b", hand("writer")),
            ("a/reader", vec![say("READ")]),
            ("b/writer", vec![say("WRITTEN")]),
        ])
    };
    let echo = Echo::new("content.analyze", Effect::Computes);
    for (more, who) in
        [(hierarchical.to_owned(), "Boss"), (hierarchical.replace("manager_agent: boss", "manager_llm: default"), "Manager of the crew")]
    {
        let (output, model) = play(desk(&crew(&["a", "b"], &more), AGENTS, &tasks), script(), &[&echo]).await;
        assert_eq!(output, Ok("DONE".into()));
        assert_eq!(
            model.shape(&[who, "READ", "WRITTEN"]),
            [
                format!("a [coworker.delegate, coworker.ask] sees: {who}"),
                "a/reader [content.analyze] sees: ".into(),
                format!("a [coworker.delegate, coworker.ask] sees: {who} READ"),
                format!("b [coworker.delegate, coworker.ask] sees: {who}"),
                "b/writer [] sees: ".into(),
                format!("b [coworker.delegate, coworker.ask] sees: {who} WRITTEN"),
            ]
        );
        let asked = model.asked();
        assert_eq!(asked[0].tools.len(), 2);
        assert!(asked[3].words().contains("before you:\n\nDONE"), "{}", asked[3].words());
    }
    let wrong = Scripted::new([("a", vec![call("coworker.delegate", json!({"coworker": "Writer", "task": "do it"})), say("A")])]);
    let (output, model) = play(desk(&crew(&["a"], hierarchical), AGENTS, tasks.lines().next().unwrap()), wrong, &[&echo]).await;
    assert_eq!(output, Ok("A".into()));
    assert!(model.asked()[1].words().contains("there is no coworker `Writer`; there are:\n- Reader of rain"), "the task is its agent's");
}

#[tokio::test(start_paused = true)]
async fn what_a_coworker_can_not_do_is_what_the_agent_is_told() {
    let agents =
        AGENTS.replace("role: Writer,", "role: Writer, allow_delegation: true,").replace("role: Boss,", "role: Boss, max_retry_limit: 0,");
    let model = Scripted::new([
        ("a", vec![call("coworker.ask", json!({"coworker": "boss", "question": "?"})), say("A")]),
        ("a/boss", vec![say(" ")]),
    ]);
    let played = Played::new(desk(&crew(&["a"], ""), &agents, &tasks(&[("a", "agent: writer")])), model, &[]).await;
    assert_eq!(played.ends().await, Ok("A".into()));
    assert!(played.model.asked()[2].words().contains("Boss could not do it: the model answered task `asked` with nothing"));
    let log = played.log().await;
    assert_eq!((count(&log, "task.failed"), count(&log, "tool.failed")), (1, 1));
}
