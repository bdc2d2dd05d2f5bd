//! What the model saw of what a piece of work is held to, of its tools, and of its limits.

use crewline_protocol::{
    RunEvent,
    fault::{Fault, FaultCode},
    operations::run::{CancelMode, Status},
};
use serde_json::json;

use crate::{
    apps::App,
    engine::{Effect, Message},
    testing::{
        crews::count,
        desk::{AGENTS, Played, capitals, crew, desk, play, tasks},
        scripted::{Echo, Said, Scripted, call, say},
    },
};

#[tokio::test(start_paused = true)]
async fn a_guardrail_has_the_task_done_again_with_what_is_wrong_instead_of_the_context() {
    let guarded = |more: &str| tasks(&[("a", "agent: reader"), ("b", &format!("agent: writer, guardrail: It rhymes., {more}"))]);
    let (no, yes) = (say(r#"{"valid": false, "feedback": "NO RHYME"}"#), say("So:\n```json\n{\"valid\": true}\n```"));
    let script = |judged: Vec<Said>| {
        Scripted::new([("a", vec![say("AAA")]), ("b", vec![say("FIRST"), say("SECOND"), say("THIRD")]), ("b/guardrail", judged)])
    };
    let seen = ["It rhymes.", "AAA", "NO RHYME", "FIRST", "SECOND"];
    // Each judgement is a conversation of its own: all take the first answer that is written down for it.
    let app = desk(&crew(&["a", "b"], ""), AGENTS, &guarded(""));
    let (output, model) = play(app, script(vec![yes]), &[]).await;
    assert_eq!(output, Ok("FIRST".into()));
    assert_eq!(model.shape(&seen), ["a [] sees: ", "b [] sees: AAA", "b/guardrail [] sees: It rhymes. FIRST as JSON"]);

    let app = desk(&crew(&["a", "b"], ""), AGENTS, &guarded("guardrail_max_retries: 1"));
    let played = Played::new(app, script(vec![no]), &[]).await;
    let fault = played.ends().await.unwrap_err();
    assert_eq!(fault.message, "`b` was tried 2 times, and was never found to keep to \"It rhymes.\"; the last time: NO RHYME");
    assert_eq!(
        played.model.shape(&seen),
        [
            "a [] sees: ",
            "b [] sees: AAA",
            "b/guardrail [] sees: It rhymes. FIRST as JSON",
            "b [] sees: NO RHYME FIRST",
            "b/guardrail [] sees: It rhymes. SECOND as JSON",
        ]
    );
    let log = played.log().await;
    let RunEvent::TaskStarted { task, agent, parent, .. } = log.iter().rfind(|event| event.type_name() == "task.started").unwrap() else {
        panic!()
    };
    assert_eq!((task.as_str(), agent.as_str(), parent.as_deref()), ("task-2.guardrail-2", "writer", Some("task-2")));
    let RunEvent::TaskFinished { output, .. } = log.iter().find(|event| event.type_name() == "task.finished").unwrap() else { panic!() };
    assert_eq!(output, "AAA", "what was done before is kept");
}

#[tokio::test(start_paused = true)]
async fn a_guardrail_that_is_kept_to_at_last_lets_the_task_finish() {
    let app = desk(&crew(&["b"], ""), AGENTS, &tasks(&[("b", "agent: writer, guardrails: [It rhymes., It is short.]")]));
    let model =
        Scripted::new([("b", vec![say("FIRST"), say("SECOND")]), ("b/guardrail", vec![say(r#"{"valid": true, "feedback": null}"#)])]);
    model.judges(|words| !words.contains("It is short.") || words.contains("SECOND"));
    let (output, model) = play(app, model, &[]).await;
    assert_eq!(output, Ok("SECOND".into()));
    assert_eq!(
        model.shape(&["It rhymes.", "It is short.", "NOT YET", "FIRST", "SECOND"]),
        [
            "b [] sees: ",
            "b/guardrail [] sees: It rhymes. FIRST as JSON",
            "b/guardrail [] sees: It is short. FIRST as JSON",
            "b [] sees: NOT YET FIRST",
            "b/guardrail [] sees: It is short. SECOND as JSON",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn output_is_made_to_fit_its_schema_or_fails() {
    let schema = "output_json: {type: object, required: [size], properties: {size: {type: integer}}}";
    let app = || desk(&crew(&["a"], "tools: {reader: [content.analyze]}\n"), AGENTS, &tasks(&[("a", &format!("agent: writer, {schema}"))]));
    let script = |answer: &str, converted: &str| Scripted::new([("a", vec![say(answer)]), ("a/convert", vec![say(converted)])]);
    let (output, model) = play(app(), script("```\n{\"size\": 1}\n```", ""), &[]).await;
    assert_eq!(output, Ok("{\"size\":1}".into()));
    assert_eq!(model.shape(&["\"integer\""]), ["a [] sees: \"integer\" as JSON"]);
    let asked = &model.asked()[0];
    assert_eq!(asked.response_format, Some(json!({"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}})));

    let (output, model) = play(app(), script("ONE", "{\"size\": 1}"), &[]).await;
    assert_eq!(output, Ok("{\"size\":1}".into()));
    assert_eq!(model.shape(&["ONE", "it is no JSON"]), ["a [] sees:  as JSON", "a/convert [] sees: ONE it is no JSON as JSON"]);

    let (output, model) = play(app(), script("{\"size\": \"one\"}", "{}"), &[]).await;
    assert_eq!(
        output.unwrap_err().message,
        "the output of `a` does not fit its `output_json`, and could not be made to: size: it is required"
    );
    assert_eq!(model.asked().len(), 2, "one conversion, no more");

    // With tools at hand a form would keep a model from using them.
    let tools = app().files["crews/desk/tasks.yaml"].replace("writer", "reader");
    let app =
        desk(&crew(&["a"], "tools: {reader: [content.analyze]}\n"), &AGENTS.replace("role: 'Reader", "max_iter: 1, role: 'Reader"), &tools);
    let model = Scripted::new([("a", vec![call("content.analyze", json!({"say": 1})), say("{\"size\": 1}")])]);
    let (_, model) = play(app, model, &[&Echo::new("content.analyze", Effect::Computes)]).await;
    assert_eq!(model.shape(&[]), ["a [content.analyze] sees: ", "a [] sees:  as JSON"]);
}

#[tokio::test(start_paused = true)]
async fn calls_are_made_side_by_side_and_their_results_stand_in_order() {
    let both = call("content.analyze", json!({"say": "ONE"})).call("content.analyze", json!({"fail": "TWO"})).call("none", json!({}));
    let app = desk(&crew(&["a"], "tools: {writer: [content.analyze]}\n"), AGENTS, &tasks(&[("a", "agent: writer")]));
    let echo = Echo::new("content.analyze", Effect::Computes).takes(7);
    let played = Played::new(app, Scripted::new([("a", vec![both, say("A")])]), &[&echo]).await;
    assert_eq!(played.ends().await, Ok("A".into()));
    let [_, _, Message::Assistant { calls, .. }, results @ ..] = &played.model.asked()[1].messages[..] else { panic!() };
    let results: Vec<(&str, &str)> = results
        .iter()
        .map(|message| if let Message::Tool { call, result } = message { (call.as_str(), result.as_str()) } else { panic!() })
        .collect();
    assert_eq!(
        calls.iter().map(|(id, tool, _)| (id.as_str(), tool.as_str())).collect::<Vec<_>>(),
        [("call-1", "content.analyze"), ("call-2", "content.analyze"), ("call-3", "none")]
    );
    assert_eq!(results[0], ("call-1", "ONE"));
    assert!(results[1].0 == "call-2" && results[1].1.contains("TWO"), "{results:?}");
    assert!(
        results[2].0 == "call-3" && results[2].1.contains("there is no tool `none` for this agent; there are: content.analyze"),
        "{results:?}"
    );
    let row = played.node.row(played.run).await;
    assert!(row.finished_at.unwrap().since(row.started_at.unwrap()) < 8_000, "both at once");
}

#[tokio::test(start_paused = true)]
async fn the_same_call_comes_from_the_cache_where_the_crew_says_so() {
    let same = || call("content.analyze", json!({"say": "ONE"}));
    let script = || Scripted::new([("a", vec![same(), same(), say("A")]), ("b", vec![same(), say("B")])]);
    let tasks = tasks(&[("a", "agent: writer"), ("b", "agent: writer")]);
    for (cache, effect, calls) in [("cache: true\n", Effect::Computes, 1), ("", Effect::Computes, 3), ("cache: true\n", Effect::Outside, 3)]
    {
        let echo = Echo::new("content.analyze", effect);
        let app = desk(&crew(&["a", "b"], &format!("{cache}tools: {{writer: [content.analyze]}}\n")), AGENTS, &tasks);
        let played = Played::new(app, script(), &[&echo]).await;
        assert_eq!(played.ends().await, Ok("B".into()));
        assert_eq!((echo.called().len(), count(&played.log().await, "tool.finished")), (calls, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn an_execution_that_fails_is_begun_anew_as_often_as_the_agent_may() {
    let fault = || Fault::new(FaultCode::Unavailable, "`x` does not answer now");
    let app = || desk(&crew(&["a", "b"], ""), AGENTS, &tasks(&[("a", "agent: writer"), ("b", "agent: writer")]));
    for (faults, output) in [(2, Ok("BBB".to_owned())), (3, Err(fault()))] {
        let model = capitals(["a", "b"]);
        (0..faults).for_each(|_| model.fails("b", fault()));
        let played = Played::new(app(), model, &[]).await;
        assert_eq!(played.ends().await, output);
        assert_eq!(played.model.asked().len(), 4);
        let log = played.log().await;
        assert_eq!(
            (count(&log, "log.written"), count(&log, "text.started"), count(&log, "text.finished")),
            (faults, 1 + faults + usize::from(output.is_ok()), 1 + faults + usize::from(output.is_ok()))
        );
        let RunEvent::LogWritten { message, .. } = log.iter().find(|event| event.type_name() == "log.written").unwrap() else { panic!() };
        assert_eq!(message, "writer failed at `b`: `x` does not answer now");
    }
}

#[tokio::test(start_paused = true)]
async fn an_execution_that_takes_too_long_is_cut_off_and_fails_the_task() {
    let agents = AGENTS.replace("role: Writer,", "role: Writer, max_execution_time: 30,");
    let app = desk(&crew(&["a"], "tools: {writer: [content.analyze]}\n"), &agents, &tasks(&[("a", "agent: writer")]));
    let slow = Scripted::new([("a", vec![say("A").after(31)])]);
    let long = Scripted::new([("a", vec![call("content.analyze", json!({})), say("A")])]);
    for model in [slow, long] {
        let echo = Echo::new("content.analyze", Effect::Computes).takes(60);
        let played = Played::new(app_again(&app), model, &[&echo]).await;
        let fault = played.ends().await.unwrap_err();
        assert_eq!(
            (fault.code, fault.message.as_ref()),
            (FaultCode::Timeout, "`a` was not done within 30 s, the `max_execution_time` of agent `writer`")
        );
        let row = played.node.row(played.run).await;
        let took = row.finished_at.unwrap().since(row.started_at.unwrap());
        assert!((30_000..30_200).contains(&took), "{took}");
        let log = played.log().await;
        assert_eq!(count(&log, "tool.started"), count(&log, "tool.failed"), "nothing is left open");
    }
}

/// The same app, read again.
fn app_again(app: &App) -> App {
    App::from_files(app.files.clone()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn models_are_called_no_more_often_in_a_minute_than_crew_and_agent_may() {
    let again = |n: usize| (0..n).map(|_| call("content.analyze", json!({}))).chain([say("A")]).collect::<Vec<_>>();
    let echo = Echo::new("content.analyze", Effect::Computes);
    for (crew_rpm, agent_rpm, minutes) in [("max_rpm: 2\n", "", 2), ("", "max_rpm: 3, ", 1), ("max_rpm: 5\n", "max_rpm: 6, ", 0)] {
        let agents = AGENTS.replace("role: Writer,", &format!("{agent_rpm}role: Writer,"));
        let app =
            desk(&crew(&["a"], &format!("{crew_rpm}tools: {{writer: [content.analyze]}}\n")), &agents, &tasks(&[("a", "agent: writer")]));
        let played = Played::new(app, Scripted::new([("a", again(4))]), &[&echo]).await;
        assert_eq!(played.ends().await, Ok("A".into()));
        let row = played.node.row(played.run).await;
        let took = row.finished_at.unwrap().since(row.started_at.unwrap());
        assert_eq!(took / 60_000, minutes, "{took}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_hears_that_the_run_is_to_end() {
    let app = desk(&crew(&["a", "b"], "max_rpm: 1\n"), AGENTS, &tasks(&[("a", "agent: writer"), ("b", "agent: writer")]));
    let played = Played::new(app, capitals(["a", "b"]), &[]).await;
    played.node.reaches(played.run, 9).await;
    let asked = played.node.services.clock.now();
    played.node.cancel(&played.ada, played.run, CancelMode::Graceful).await;
    let row = played.node.finishes(played.run).await;
    assert_eq!((row.status, played.model.asked().len()), (Status::Cancelled, 1));
    assert!(row.finished_at.unwrap().since(asked) < 200);
    drop(played.engine);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_used_up_its_budget_ends_and_says_so() {
    let many = vec![call("content.analyze", json!({})); 20];
    for (budget, calls, words) in [
        ("{tokens: 50}", 4, "budget of 50 tokens is used up, it has taken 60 tokens"),
        ("{cost_microusd: 500}", 5, "budget of $0.000500 is used up, it has taken $0.000500"),
        ("{duration_ms: 30000}", 3, "budget of 30 s is used up"),
    ] {
        let app = desk(
            &crew(&["a"], &format!("budget: {budget}\ntools: {{writer: [content.analyze]}}\n")),
            AGENTS,
            &tasks(&[("a", "agent: writer")]),
        );
        let echo = Echo::new("content.analyze", Effect::Computes).takes(if budget.contains("duration") { 12 } else { 0 });
        let played = Played::new(app, Scripted::new([("a", many.clone())]), &[&echo]).await;
        let fault = played.ends().await.unwrap_err();
        assert!(fault.code == FaultCode::OverQuota && fault.message.contains(words), "{fault}");
        assert_eq!(played.model.asked().len(), calls, "{budget}");
        let log = played.log().await;
        let warned: Vec<&RunEvent> = log.iter().filter(|event| event.type_name() == "log.written").collect();
        assert!(warned.len() == 1 && format!("{warned:?}").contains("are used: the run ends when all are"), "{warned:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_may_have_a_name_for_people_and_ask_for_markdown() {
    let app = desk(&crew(&["a"], ""), AGENTS, &tasks(&[("a", "agent: writer, markdown: true, name: The report")]));
    let played = Played::new(app, capitals(["a"]), &[]).await;
    assert_eq!(played.ends().await, Ok("AAA".into()));
    assert!(played.model.asked()[0].words().contains("Write it in Markdown."));
    let RunEvent::TaskStarted { name, .. } = &played.log().await[1] else { panic!() };
    assert_eq!(name, "The report");
}
