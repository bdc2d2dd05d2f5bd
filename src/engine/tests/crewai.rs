//! The engine does what CrewAI does: of each crew in `tests/conformance` the model sees the same, as `recorded.json` has it from CrewAI itself.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use crewline_protocol::{
    event::{RunEvent, TextRole},
    fault::Fault,
    operations::run::{Start, Status},
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    apps::{App, Files},
    engine::{Chunk, Effect, Engine, Message, Model, Models, Request, Tool, Toolbox},
    runs,
    settings::Settings,
    testing::{crews::Node, fault, scripted::Echo},
};

/// What is given to a crew, and what its model answers.
#[derive(Deserialize)]
struct Script {
    inputs: Map<String, Value>,
    answers: HashMap<String, Vec<Answer>>,
}

#[derive(Clone, Deserialize)]
struct Answer {
    text: Option<String>,
    #[serde(default)]
    calls: Vec<Called>,
}

#[derive(Clone, Deserialize)]
struct Called {
    tool: String,
    arguments: Value,
}

/// What a model saw of a crew, and what came of it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Recorded {
    order: Vec<String>,
    calls: BTreeMap<String, Vec<Shape>>,
    outputs: BTreeMap<String, Value>,
    ended: String,
}

/// A model call: the tools that were offered, which words were told, and held by the tools' results; whether a form was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Shape {
    tools: Vec<String>,
    told: Vec<String>,
    results: Vec<Vec<String>>,
    form: bool,
}

/// Where the engine does otherwise on purpose.
#[derive(Deserialize)]
struct Difference {
    at: String,
    crewai: Value,
    engine: Value,
    because: String,
}

/// A model that knows a conversation by the first `[[NAME]]` in it, and gives that name's answers in turn.
#[derive(Clone)]
struct ByName(Arc<Inner>);

struct Inner {
    script: Script,
    words: Vec<String>,
    asked: Mutex<Vec<(String, Shape)>>,
}

impl ByName {
    fn new(text: &str) -> Self {
        let script: Script = serde_json::from_str(text).unwrap();
        // Every word in capitals of three letters or more: what can be told of from one conversation to another.
        let capitals = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let capitals = capitals.filter(|word| word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_uppercase()));
        let words: std::collections::BTreeSet<String> = capitals.map(str::to_owned).collect();
        Self(Arc::new(Inner { script, words: words.into_iter().collect(), asked: Mutex::default() }))
    }

    fn seen(&self, text: &str) -> Vec<String> {
        let mut seen: Vec<(usize, &String)> = self.0.words.iter().filter_map(|word| Some((text.find(word.as_str())?, word))).collect();
        seen.sort_unstable();
        seen.into_iter().map(|(_, word)| word.clone()).collect()
    }

    fn shape(&self, request: &Request) -> Shape {
        let told = request.messages.iter().filter_map(|message| match message {
            Message::System(text) | Message::User(text) => Some(text.as_str()),
            Message::Assistant { .. } | Message::Tool { .. } => None,
        });
        let results = request.messages.iter().filter_map(|message| match message {
            Message::Tool { result, .. } => Some(self.seen(result)),
            Message::System(_) | Message::User(_) | Message::Assistant { .. } => None,
        });
        let mut tools: Vec<String> = request.tools.iter().map(|tool| tool.name.clone()).collect();
        tools.sort_unstable();
        Shape {
            tools,
            told: self.seen(&told.collect::<Vec<_>>().join("\n")),
            results: results.collect(),
            form: request.response_format.is_some(),
        }
    }
}

impl Model for ByName {
    fn name(&self) -> &str {
        "by name"
    }

    fn stream(&self, request: Request) -> BoxStream<'static, Result<Chunk, Fault>> {
        let text = request.messages.iter().map(|message| match message {
            Message::System(text) | Message::User(text) | Message::Assistant { text, .. } | Message::Tool { result: text, .. } => {
                text.as_str()
            }
        });
        let text = text.collect::<Vec<_>>().join("\n");
        let name = text.split_once("[[").and_then(|(_, rest)| rest.split_once("]]")).map_or("?", |(name, _)| name).to_owned();
        let shape = self.shape(&request);
        let mut asked = self.0.asked.lock().unwrap();
        let before = asked.iter().filter(|(other, _)| *other == name).count();
        asked.push((name.clone(), shape));
        drop(asked);
        let answers = self.0.script.answers.get(&name).unwrap_or_else(|| panic!("nothing is written down for {name}"));
        let Answer { text, calls } = answers[before.min(answers.len() - 1)].clone();
        let words = text.map(|text| Chunk::Text(TextRole::Answer, text));
        let calls = calls.into_iter().map(|Called { tool, arguments }| Chunk::Call { tool, input: arguments });
        let chunks: Vec<Result<Chunk, Fault>> = words.into_iter().chain(calls).map(Ok).collect();
        stream::iter(chunks).boxed()
    }
}

fn folders() -> Vec<PathBuf> {
    let conformance = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let folders = std::fs::read_dir(conformance).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = folders.filter(|path| path.join("script.json").exists()).collect();
    folders.sort();
    folders
}

fn app(folder: &Path) -> App {
    let crew = ["crew.yaml", "agents.yaml", "tasks.yaml"]
        .map(|file| (format!("crews/conform/{file}"), std::fs::read_to_string(folder.join(file)).unwrap()));
    let files: Files = crew.into_iter().chain([("app.yaml".to_owned(), "name: conform\ntitle: Conform\n".to_owned())]).collect();
    App::from_files(files).unwrap_or_else(|problems| panic!("{}: {problems:?}", folder.display()))
}

/// Runs a folder's crew on the engine, and tells what its model saw.
async fn record(folder: &Path) -> Recorded {
    let model = ByName::new(&std::fs::read_to_string(folder.join("script.json")).unwrap());
    let node = Node::new(app(folder), Settings::default()).await;
    let ada = node.someone("ada@example.com").await;
    let start = Start { crew: "conform".into(), inputs: model.0.script.inputs.clone(), ..Start::default() };
    let run = match runs::start(node.context(Some(&ada)), start).await {
        Ok(run) => run.output.id,
        Err(refused) => {
            let fault = fault(refused);
            assert_eq!(fault.fields[0].code, "required", "{fault}");
            return Recorded { ended: "missing input".into(), ..Recorded::default() };
        }
    };
    let tools = ["content.analyze", "web.search"].map(|name| Echo::new(name, Effect::Computes).tool() as Arc<dyn Tool>);
    let _engine = Engine::start_with(node.services.clone(), "n".into(), Models::only(Arc::new(model.clone())), Toolbox::of(tools));
    let row = node.finishes(run).await;
    let (mut names, mut outputs) = (HashMap::new(), BTreeMap::new());
    for event in node.log(run).await {
        match event {
            RunEvent::TaskStarted { task, name, parent: None, .. } => drop(names.insert(task, name)),
            RunEvent::TaskFinished { task, output, .. } => {
                if let Some(name) = names.get(&task) {
                    outputs.insert(name.clone(), serde_json::from_str(&output).unwrap_or(Value::String(output)));
                }
            }
            _ => {}
        }
    }
    let crew = &node.services.apps.current().crews["conform"];
    let side_by_side = |name: &String| crew.tasks.iter().any(|task| task.async_execution && task.name == *name);
    let (mut order, mut beside, mut calls) = (Vec::new(), Vec::new(), BTreeMap::<String, Vec<Shape>>::new());
    for (name, shape) in model.0.asked.lock().unwrap().iter() {
        calls.entry(name.clone()).or_default().push(shape.clone());
        if side_by_side(name) {
            beside.push(name.clone());
            continue;
        }
        beside.sort_unstable();
        order.append(&mut beside);
        order.push(name.clone());
    }
    beside.sort_unstable();
    order.append(&mut beside);
    let ended = if row.status == Status::Succeeded { "succeeded" } else { "failed" };
    Recorded { order, calls, outputs, ended: ended.into() }
}

/// What CrewAI does, but for the differences that are listed with their reasons.
fn expected(folder: &Path) -> Recorded {
    let mut crewai: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("recorded.json")).unwrap()).unwrap();
    if let Ok(listed) = std::fs::read_to_string(folder.join("differences.json")) {
        for Difference { at, crewai: theirs, engine, because } in serde_json::from_str::<Vec<Difference>>(&listed).unwrap() {
            assert!(!because.is_empty() && theirs != engine, "{}: {at} is no difference", folder.display());
            let place = crewai.pointer_mut(&at).unwrap_or_else(|| panic!("{}: there is no {at}", folder.display()));
            assert_eq!(*place, theirs, "{}: {at} is not what CrewAI does any more", folder.display());
            *place = engine;
        }
    }
    serde_json::from_value(crewai).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_model_sees_of_every_crew_what_crewai_shows_it() {
    let folders = folders();
    assert!(folders.len() >= 10, "{folders:?}");
    let mut otherwise = Vec::new();
    for folder in folders {
        let crewai = expected(&folder);
        let ours = record(&folder).await;
        if ours != crewai {
            otherwise.push(format!("{}:\nthe engine: {ours:#?}\nCrewAI: {crewai:#?}", folder.display()));
        }
    }
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n\n"));
}
