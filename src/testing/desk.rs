//! Runs of a small crew on a model whose answers are written down.

use std::{sync::Arc, time::Duration};

use crewline_protocol::{
    RunEvent,
    fault::{Fault, FaultCode},
    operations::{
        approval::{self, Answer, Verdict},
        run::{Start, Status, Steer},
    },
    value::RunId,
};
use serde_json::{Value, json};

use super::{
    crews::Node,
    scripted::{Echo, Scripted, say},
};
use crate::{
    access::Identity,
    approvals::{self, ApprovalRow},
    apps::{App, Files},
    context::Failure,
    control,
    engine::{EngineHandle, Tool},
    runs,
    settings::Settings,
    store::Select,
};

pub(crate) const CREW: &str = "title: Desk\ninput_schema: {type: object, properties: {topic: {type: string}}}\n";
pub(crate) const AGENTS: &str = "\
reader: {role: 'Reader of {topic}', goal: g, backstory: b}
writer: {role: Writer, goal: g, backstory: b}
boss: {role: Boss, goal: g, backstory: b}
";

/// A task in a line.
pub(crate) fn tasks(tasks: &[(&str, &str)]) -> String {
    tasks.iter().map(|(name, more)| format!("{name}: {{description: d {name}, expected_output: e, {more}}}\n")).collect()
}

pub(crate) struct Played {
    pub(crate) node: Node,
    pub(crate) ada: Arc<Identity>,
    pub(crate) run: RunId,
    pub(crate) model: Scripted,
    pub(crate) engine: Option<EngineHandle>,
}

impl Played {
    /// Starts a run of the desk on this model and these tools.
    pub(crate) async fn new(app: App, model: Scripted, tools: &[&Echo]) -> Self {
        Self::on(Node::new(app, Settings::default()).await, model, tools).await
    }

    /// The same on this node.
    pub(crate) async fn on(node: Node, model: Scripted, tools: &[&Echo]) -> Self {
        let ada = node.someone("ada@example.com").await;
        let Value::Object(inputs) = json!({"topic": "rain"}) else { panic!() };
        let start = Start { crew: "desk".into(), inputs, ..Start::default() };
        let run = runs::start(node.context(Some(&ada)), start).await.unwrap().output.id;
        let tools: Vec<Arc<dyn Tool>> = tools.iter().map(|echo| echo.tool()).collect();
        let engine = model.engine(&node, tools);
        Self { node, ada, run, model, engine: Some(engine) }
    }

    /// Its engine is gone as at a crash; what it had written stays.
    pub(crate) fn crashes(&mut self) -> &Node {
        self.engine = None;
        &self.node
    }

    /// Waits until the run waits, and tells its questions that nobody has answered.
    pub(crate) async fn waits(&self) -> Vec<ApprovalRow> {
        loop {
            let row = self.node.row(self.run).await;
            assert!(!row.status.is_final(), "{row:?}");
            if row.status == Status::Waiting {
                return self.questions().await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The questions that nobody has answered, the earliest first.
    pub(crate) async fn questions(&self) -> Vec<ApprovalRow> {
        questions(&self.node, self.run).await
    }

    /// Answers a question.
    pub(crate) async fn answers(&self, question: &ApprovalRow, verdict: Verdict, arguments: Option<Value>, words: Option<&str>) {
        let comment = words.map(str::to_owned);
        let answer = Answer { id: question.id, revision: None, verdict, arguments, value: None, comment };
        approvals::answer(self.node.context(Some(&self.ada)), answer).await.unwrap();
    }

    /// Gives words to the run.
    pub(crate) async fn steers(&self, words: &str) {
        let steer = || Steer { id: self.run, text: words.to_owned() };
        // The run may move on between reading and writing: it is tried again.
        while let Err(failure) = control::steer(self.node.context(Some(&self.ada)), steer()).await {
            assert!(matches!(failure, Failure::Stale(_)), "{failure:?}");
        }
    }

    /// Its output, or why it has none.
    pub(crate) async fn ends(&self) -> Result<String, Fault> {
        let row = self.node.finishes(self.run).await;
        match row.status {
            Status::Succeeded => Ok(row.output.unwrap()),
            _ => Err(row.fault.map_or_else(|| Fault::new(FaultCode::Cancelled, "cancelled"), |fault| fault.0)),
        }
    }

    pub(crate) async fn log(&self) -> Vec<RunEvent> {
        self.node.log(self.run).await
    }
}

async fn questions(node: &Node, run: RunId) -> Vec<ApprovalRow> {
    let all: Vec<ApprovalRow> = node.services.store.select(&Select::by("run_id", run)).await.unwrap();
    all.into_iter().filter(|row| row.status == approval::Status::Pending).collect()
}

/// Says yes to whatever a run asks, some time after it has asked, for ever.
pub(crate) async fn says_yes(node: &Node, ada: &Arc<Identity>, run: RunId) {
    loop {
        tokio::time::sleep(Duration::from_millis(7)).await;
        for question in questions(node, run).await {
            let answer = Answer { id: question.id, revision: None, verdict: Verdict::Approve, arguments: None, value: None, comment: None };
            // The run may move on between reading and writing: the next round tries again.
            match approvals::answer(node.context(Some(ada)), answer).await {
                Ok(_) | Err(Failure::Stale(_)) => {}
                Err(failure) => panic!("{failure:?}"),
            }
        }
    }
}

/// How a run of the desk ends, and the model that it asked.
pub(crate) async fn play(app: App, model: Scripted, tools: &[&Echo]) -> (Result<String, Fault>, Scripted) {
    let played = Played::new(app, model, tools).await;
    (played.ends().await, played.model)
}

pub(crate) fn crew(order: &[&str], more: &str) -> String {
    format!("{CREW}tasks: [{}]\n{more}", order.join(", "))
}

/// Each task answers with its name in capitals, three times.
pub(crate) fn capitals<const N: usize>(names: [&str; N]) -> Scripted {
    Scripted::new(names.map(|name| (name, vec![say(&name.to_uppercase().repeat(3))])))
}

/// An app with one crew, `desk`, of these three files.
pub(crate) fn desk(crew: &str, agents: &str, tasks: &str) -> App {
    let files = [
        ("app.yaml", "name: desk\ntitle: Desk\n"),
        ("crews/desk/crew.yaml", crew),
        ("crews/desk/agents.yaml", agents),
        ("crews/desk/tasks.yaml", tasks),
    ];
    let files: Files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    App::from_files(files).unwrap()
}
