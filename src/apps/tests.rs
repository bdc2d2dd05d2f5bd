use super::*;

fn kp() -> Files {
    App::built_in().files
}

/// What is wrong with KP when this part of this file reads otherwise.
fn with(file: &str, from: &str, to: &str) -> Vec<String> {
    let mut files = kp();
    let text = files[file].replace(from, to);
    assert_ne!(text, files[file], "`{from}` is not in {file}");
    files.insert(file.into(), text);
    App::from_files(files).unwrap_err().iter().map(ToString::to_string).collect()
}

const AGENTS: &str = "crews/review/agents.yaml";
const TASKS: &str = "crews/review/tasks.yaml";
const CREW: &str = "crews/review/crew.yaml";

#[test]
fn the_app_that_is_built_in_is_the_one_in_the_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps/kp");
    let read = App::read(&folder).unwrap();
    assert_eq!(read.version, App::built_in().version);
    let tasks: Vec<&str> = read.crews["review"].tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(tasks, ["analyze_page", "draft_comment", "review_draft"]);
}

#[test]
fn a_version_changes_with_any_file() {
    let mut files = kp();
    let before = folder::version(&files);
    files.insert("app.yaml".into(), files["app.yaml"].replace("Reads", "reads"));
    assert_ne!(folder::version(&files), before);
}

#[test]
fn a_field_that_nobody_knows_is_named_where_it_stands() {
    let problems = with(AGENTS, "  max_iter: 5", "  max_itr: 5");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("crews/review/agents.yaml:8:3: "), "{problems:?}");
    assert!(problems[0].contains("max_itr"), "{problems:?}");
}

#[test]
fn what_the_engine_can_not_do_is_refused_by_its_name() {
    let problems = with(AGENTS, "  max_iter: 5", "  reasoning: true");
    let expected = "crews/review/agents.yaml:8:14: needs a worker: `reasoning` of agent `content_analyst` is Python's; take it out, or write `executor: worker` in crew.yaml";
    assert_eq!(problems, [expected]);
    let problems = with(TASKS, "  context: [analyze_page]", "  callback: done");
    assert!(problems[0].contains("needs a worker: `callback` of task `draft_comment` is Python's"), "{problems:?}");
}

#[test]
fn a_field_that_is_switched_off_asks_for_nothing() {
    let mut files = kp();
    let text = files[AGENTS].replace("  max_iter: 5", "  reasoning: false\n  allow_delegation: false");
    files.insert(AGENTS.into(), text);
    assert!(App::from_files(files).is_ok());
}

#[test]
fn names_that_lead_nowhere_are_found() {
    let problems = with(TASKS, "agent: comment_writer", "agent: writer");
    assert!(problems[0].starts_with("crews/review/tasks.yaml:14:10: task `draft_comment` is given to agent `writer`"), "{problems:?}");
    let problems = with(TASKS, "  context: [analyze_page]\n", "  context: [analyse_page]\n");
    assert_eq!(problems, ["crews/review/tasks.yaml:15:13: the context of task `draft_comment` names `analyse_page`, which is no task"]);
    let problems = with(TASKS, "  context: [analyze_page]\n", "  context: [review_draft]\n");
    assert!(problems[0].ends_with("names `review_draft`, whose own leads back to `draft_comment`: take one of them out"), "{problems:?}");
    let problems = with(AGENTS, "tools: [content.analyze]", "tools: [web.crawl]");
    assert_eq!(
        problems,
        [
            "crews/review/agents.yaml:7:11: needs a worker: there is no tool `web.crawl`: there are `content.analyze`, `web.fetch`, `web.search`, tools of MCP servers as `mcp.SERVER.TOOL`, and operations as `record.create`; take it out, or write `executor: worker` in crew.yaml"
        ]
    );
    let problems = with(CREW, "  content_analyst: [content.analyze]", "  comment_writer: [content.analyze]");
    assert!(problems[0].contains("agent `content_analyst` may not use `content.analyze`"), "{problems:?}");
    let problems = with(TASKS, "Measure the page {name}", "Measure the page {nam}");
    assert!(problems[0].contains("the placeholder `{nam}` is not declared"), "{problems:?}");
}

#[test]
fn a_template_is_checked_before_anything_runs() {
    let problems = with("simulation.yaml", "{% set total = quotes + length + links + question %}", "{% set total = %}");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("the template of `review_draft` is wrong"), "{problems:?}");
}

#[test]
fn a_file_that_is_missing_is_named() {
    let mut files = kp();
    files.remove(TASKS);
    let problems: Vec<String> = App::from_files(files).unwrap_err().iter().map(ToString::to_string).collect();
    assert!(problems.contains(&"crews/review/tasks.yaml:1:1: the file is missing".to_owned()), "{problems:?}");
}

#[test]
fn every_answer_can_be_given_with_figures_and_without() {
    let app = App::built_in();
    let figures = serde_json::json!({
        "title": null, "meta_description": null, "lead": "It is.", "words": 9, "sentences": 2, "words_per_sentence": 4.5, "reading_minutes": 1,
        "reading_ease": 49.9, "level": "difficult", "grade": 9.0, "headings": [{"level": 1, "text": "One"}, {"level": 2, "text": "Two"}],
        "links": {"internal": 1, "external": 0}, "images": 1, "images_without_alt": 1,
        "keywords": [{"word": "cat", "count": 3}, {"word": "mat", "count": 2}],
    });
    for tools in [serde_json::json!({}), serde_json::json!({"content.analyze": figures})] {
        let mut tasks = serde_json::Map::new();
        for task in &app.crews["review"].tasks {
            let facts = serde_json::json!({"inputs": {"name": "a.html"}, "tools": tools, "tasks": tasks});
            let said = app.simulation.answer("review", &task.name, usize::MAX, true, None, &facts).unwrap();
            assert!(said.calls.is_empty() && !said.text.trim().is_empty(), "{}", task.name);
            tasks.insert(task.name.clone(), said.text.into());
        }
        assert!(tasks["review_draft"].as_str().unwrap().contains("Simulated"));
    }
}
