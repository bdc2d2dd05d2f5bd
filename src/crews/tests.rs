use crewline_protocol::operations::{
    agent,
    crew::{Get, List},
    run::{Inputs, Start, Status},
};

use super::*;
use crate::{
    dispatch::read,
    runs,
    testing::{
        crews::{Counted, Node, app, slow},
        fault,
    },
};

const CREW: &str = "title: Own\ntasks: [write]\n";
const AGENTS: &str = "writer: {role: Writer, goal: g, backstory: b}\n";
const TASKS: &str = "write:\n  description: d\n  expected_output: e\n  agent: writer\n";

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn own() -> Files {
    files(&[("crew.yaml", CREW), ("agents.yaml", AGENTS), ("tasks.yaml", TASKS)])
}

fn import_as(name: &str, files: Files) -> Import {
    Import { id: None, name: name.into(), files }
}

#[tokio::test(start_paused = true)]
async fn a_crew_is_imported_run_changed_given_back_and_deleted_in_its_workspace_alone() {
    let node = Node::new(app(), slow()).await;
    let (ada, eve) = (node.someone("ada@example.com").await, node.someone("eve@example.com").await);
    let cx = || node.context(Some(&ada));
    let crew = import(cx(), import_as("own", own())).await.unwrap().output;
    assert_eq!((crew.title.as_str(), &crew.agents[..], crew.imported_by), ("Own", &["writer".to_owned()][..], Some(ada.user)));
    assert_eq!(read(cx(), Get { id: crew.id }).await.unwrap().output, crew);
    assert_eq!(export(cx(), Export { id: crew.id }).await.unwrap().output, Exported { name: "own".into(), files: own() });
    let names = async |who| {
        read(node.context(Some(who)), List::default()).await.unwrap().output.items.into_iter().map(|crew| crew.name).collect::<Vec<_>>()
    };
    assert_eq!((names(&ada).await, names(&eve).await), (vec!["pair".to_owned(), "own".into()], vec!["pair".to_owned()]));
    let agents = read(cx(), agent::List::default()).await.unwrap().output.items;
    assert_eq!(
        agents.iter().map(|agent| (agent.crew.as_str(), agent.name.as_str())).filter(|(crew, _)| *crew == "own").collect::<Vec<_>>(),
        [("own", "writer")]
    );

    let start = || Start { crew: "own".into(), inputs: Inputs::new(), ..Start::default() };
    assert_eq!(fault(runs::start(node.context(Some(&eve)), start()).await.unwrap_err()).fields[0].path, "crew");
    let first = runs::start(cx(), start()).await.unwrap().output;
    let renamed = Update {
        id: crew.id,
        revision: Some(crew.revision),
        files: files(&[("crew.yaml", "title: Mine\ntasks: [write]\n"), ("agents.yaml", AGENTS), ("tasks.yaml", TASKS)]),
    };
    let changed = update(cx(), renamed.clone()).await.unwrap().output;
    assert_eq!((changed.title.as_str(), changed.version == crew.version), ("Mine", false));
    assert_eq!(fault(update(cx(), renamed).await.unwrap_err()).code, FaultCode::Conflict);
    // Another node reads what was imported, and a run keeps what it began with.
    let beside = node.beside(app(), slow()).await;
    let _engine = beside.engine("n", &Counted::default());
    assert_eq!(beside.finishes(first.id).await.status, Status::Succeeded);
    let second = runs::start(beside.context(Some(&ada)), start()).await.unwrap().output;
    assert_eq!(second.version, changed.version);
    beside.finishes(second.id).await;

    assert_eq!(fault(delete(node.context(Some(&eve)), Delete { id: crew.id, revision: None }).await.unwrap_err()), Fault::not_found());
    delete(cx(), Delete { id: crew.id, revision: None }).await.unwrap();
    assert_eq!(names(&ada).await, ["pair"]);
    assert!(node.services.store.get::<runs::RunRow>(first.id).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_crew_is_told_by_file_and_line() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let refused = async |name: &str, files: Files| fault(import(node.context(Some(&ada)), import_as(name, files)).await.unwrap_err());
    let broken =
        refused("own", files(&[("crew.yaml", CREW), ("agents.yaml", AGENTS), ("tasks.yaml", &TASKS.replace("writer", "nobody"))])).await;
    assert_eq!((broken.fields[0].path.as_str(), broken.fields[0].code.as_str()), ("files.tasks.yaml", "unsound"));
    assert!(broken.fields[0].message.starts_with("4:10: "), "{broken}");
    let python =
        refused("own", files(&[("crew.yaml", CREW), ("agents.yaml", AGENTS), ("tasks.yaml", &format!("{TASKS}  callback: done\n"))])).await;
    assert_eq!((python.fields[0].code.as_str(), python.fields[0].path.as_str()), ("needs_worker", "files.tasks.yaml"));
    let missing = refused("own", files(&[("crew.yaml", CREW), ("tasks.yaml", TASKS)])).await;
    assert_eq!((missing.fields[0].path.as_str(), missing.fields[0].message.as_str()), ("files.agents.yaml", "1:1: the file is missing"));
    let nothing = refused("own", files(&[])).await;
    assert_eq!((nothing.fields[0].path.as_str(), nothing.fields[0].code.as_str()), ("files", "required"));
    let server = format!("{CREW}tools: {{writer: [mcp.files]}}\n");
    let server = refused("own", files(&[("crew.yaml", &server), ("agents.yaml", AGENTS), ("tasks.yaml", TASKS)])).await;
    assert_eq!(server.fields[0].code, "forbidden");
    assert_eq!(refused("pair", own()).await.code, FaultCode::Conflict, "the app has one of this name");
}

#[tokio::test(start_paused = true)]
async fn crewai_s_declarative_definition_is_a_crew_in_one_file() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let definition = r#"{
      "name": "Research",
      "agents": {"researcher": {"role": "Researcher of {topic}", "goal": "g", "backstory": "b"}},
      "tasks": [
        {"name": "research_task", "description": "Research {topic} of {year}.", "expected_output": "e", "agent": "researcher"},
        {"description": "Sum up.", "expected_output": "e", "agent": "researcher", "context": ["research_task"]}
      ],
      "inputs": {"topic": "AI agents"},
      "process": "sequential",
      "verbose": true
    }"#;
    let crew = import(node.context(Some(&ada)), import_as("research", files(&[("crew.yaml", definition)]))).await.unwrap().output;
    let tasks: Vec<&str> = crew.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(
        (crew.title.as_str(), tasks, &crew.placeholders[..]),
        ("Research", vec!["research_task", "task-2"], &["topic".to_owned(), "year".into()][..])
    );
    let start = |inputs: Inputs| Start { crew: "research".into(), inputs, ..Start::default() };
    let missing = fault(runs::start(node.context(Some(&ada)), start(Inputs::new())).await.unwrap_err());
    assert_eq!(missing.fields.iter().map(|field| field.path.as_str()).collect::<Vec<_>>(), ["inputs.year"]);
    let given = [("year".to_owned(), "2026".into())].into_iter().collect();
    let run = runs::start(node.context(Some(&ada)), start(given)).await.unwrap().output;
    assert_eq!(run.inputs["topic"], "AI agents");
    let _engine = node.engine("n", &Counted::default());
    assert_eq!(node.finishes(run.id).await.status, Status::Succeeded);
}
