//! What agents do through their tools: as their run's starter, as far as the crew's file grants, and once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crewline_protocol::{
    RunEvent,
    operation::Role,
    operations::run::{Run, Start},
    value::RunId,
};
use serde_json::json;

use super::*;
use crate::{
    access::{Identity, Member},
    apps::{App, Files},
    engine::{Engine, EngineHandle, Models, Toolbox},
    records::RecordRow,
    runs,
    settings::Settings,
    store::{Commit, Select},
    testing::{
        crews::{Node, count},
        scripted::{Said, Scripted, call, say},
    },
};

/// A desk whose writer may make notes, read any record, and nothing else.
fn app() -> App {
    let collection = |name: &str| {
        format!(
            "title: {name}\nschema: {{type: object, additionalProperties: false, required: [text], properties: {{text: {{type: string}}}}}}\n\
             access: {{read: [viewer], create: [member], update: [member], delete: [admin]}}\n"
        )
    };
    let files: Files = [
        ("app.yaml".to_owned(), "name: desk\ntitle: Desk\n".to_owned()),
        ("collections/notes.yaml".to_owned(), collection("notes")),
        ("collections/secrets.yaml".to_owned(), collection("secrets")),
        (
            "crews/desk/crew.yaml".to_owned(),
            "title: Desk\ntasks: [write]\ntools:\n  writer: [{record.create: {collection: [notes]}}, record.list, record.delete]\n"
                .to_owned(),
        ),
        ("crews/desk/agents.yaml".to_owned(), "writer: {role: Writer, goal: g, backstory: b}\n".to_owned()),
        ("crews/desk/tasks.yaml".to_owned(), "write: {description: d, expected_output: e, agent: writer}\n".to_owned()),
    ]
    .into();
    App::from_files(files).unwrap()
}

fn note(text: &str) -> Value {
    json!({"collection": "notes", "data": {"text": text}})
}

async fn start(node: &Node, who: &Arc<Identity>) -> Run {
    let start = Start { crew: "desk".into(), inputs: serde_json::Map::new(), ..Start::default() };
    runs::start(node.context(Some(who)), start).await.unwrap().output
}

fn agents(node: &Node) -> Agents {
    Agents { router: Arc::new(Router::new()), services: node.services.clone() }
}

fn engine(node: &Node, said: Vec<Said>, operations: impl Operations) -> (EngineHandle, Scripted) {
    let model = Scripted::new([("write", said)]);
    let tools = Toolbox::standard(&(Arc::new(operations) as Arc<dyn Operations>), &node.services.settings);
    (Engine::start_with(node.services.clone(), "n".into(), Models::only(Arc::new(model.clone())), tools), model)
}

async fn records(node: &Node) -> Vec<RecordRow> {
    node.services.store.select::<RecordRow>(&Select::by("collection", "notes".to_owned())).await.unwrap()
}

/// What a run's calls came to: a result, or the fault's code.
async fn outcomes(node: &Node, run: RunId) -> Vec<Result<Value, FaultCode>> {
    let log = node.log(run).await;
    let outcome = |event: &RunEvent| match event {
        RunEvent::ToolFinished { output, .. } => Some(Ok(output.clone())),
        RunEvent::ToolFailed { fault, .. } => Some(Err(fault.code)),
        _ => None,
    };
    log.iter().filter_map(outcome).collect()
}

async fn set_role(node: &Node, who: &Identity, role: Option<Role>) {
    let member = node.services.store.select::<Member>(&Select::by("user_id", who.user)).await.unwrap().pop().unwrap();
    let commit = Commit::in_workspace(who.workspace);
    let commit = match role {
        Some(role) => commit.replace(&member, &Member { role, ..member.clone() }),
        None => commit.remove(&member),
    };
    node.services.store.commit(commit).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_agent_writes_as_its_run_s_starter_and_as_far_as_it_is_granted() {
    let node = Node::new(app(), Settings::default()).await;
    let ada = node.someone("ada@example.com").await;
    let run = start(&node, &ada).await;
    let calls = say("I write.")
        .call("record.create", note("one"))
        .call("record.create", json!({"collection": "secrets", "data": {"text": "x"}}))
        .call("record.update", json!({"id": run.id, "data": {}}))
        .call("member.list", json!({}))
        .call("record.create", json!({"collection": "notes", "data": {"text": 5}}))
        .call("record.list", json!({"collection": "notes", "more": 1}));
    let (_engine, model) = engine(&node, vec![calls, say("Done.")], agents(&node));
    assert_eq!(node.finishes(run.id).await.output.as_deref(), Some("Done."));

    let made = records(&node).await;
    assert_eq!(made.len(), 1);
    assert_eq!((made[0].workspace_id, made[0].created_by), (ada.workspace, ada.user));
    let mut outcomes = outcomes(&node, run.id).await;
    outcomes.sort_by_key(Result::is_err);
    assert_eq!(outcomes[0].as_ref().unwrap()["id"], json!(made[0].id));
    let mut codes: Vec<&str> = outcomes[1..].iter().map(|outcome| outcome.as_ref().unwrap_err().as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["forbidden", "invalid", "invalid", "not_found", "not_found"]);
    assert_eq!(model.asked()[0].tools, ["record.create", "record.delete", "record.list"]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_s_rights_are_its_starter_s_at_each_call() {
    for (role, expected) in [(Some(Role::Viewer), FaultCode::Forbidden), (None, FaultCode::NotFound)] {
        let node = Node::new(app(), Settings::default()).await;
        let ada = node.someone("ada@example.com").await;
        let run = start(&node, &ada).await;
        let said = vec![call("record.create", note("one")), call("record.create", note("two")).after(100), say("Done.")];
        let (_engine, _) = engine(&node, said, agents(&node));
        while records(&node).await.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        set_role(&node, &ada, role).await;
        node.finishes(run.id).await;
        assert_eq!(outcomes(&node, run.id).await[1], Err(expected), "{role:?}");
        assert_eq!(records(&node).await.len(), 1, "{role:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_sees_nothing_of_other_workspaces() {
    let node = Node::new(app(), Settings::default()).await;
    let (ada, bob) = (node.someone("ada@example.com").await, node.someone("bob@example.com").await);
    let mine = start(&node, &ada).await;
    let (first, _) = engine(&node, vec![call("record.create", note("mine")), say("Done.")], agents(&node));
    node.finishes(mine.id).await;
    first.stop().await;
    let record = records(&node).await[0].id;
    let theirs = start(&node, &bob).await;
    let calls =
        say("").call("record.delete", json!({"collection": "notes", "id": record})).call("record.list", json!({"collection": "notes"}));
    let (_engine, _) = engine(&node, vec![calls, say("Done.")], agents(&node));
    node.finishes(theirs.id).await;
    let mut outcomes = outcomes(&node, theirs.id).await;
    outcomes.sort_by_key(Result::is_ok);
    assert_eq!(outcomes[0], Err(FaultCode::NotFound));
    assert_eq!(outcomes[1].as_ref().unwrap()["items"], json!([]));
    assert_eq!(records(&node).await.len(), 1);
}

/// Never says that the first call is done, although it is: its process dies before.
struct Dies {
    agents: Agents,
    died: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Operations for Dies {
    fn carry_out(
        &self,
        acting: Acting,
        operation: &'static str,
        input: Value,
        key: Option<MutationKey>,
    ) -> BoxFuture<'static, Result<Value, Fault>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (done, died) = (self.agents.carry_out(acting, operation, input, key), self.died.clone());
        Box::pin(async move {
            let outcome = done.await;
            if !died.swap(true, Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            outcome
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_made_again_after_a_crash_happens_once() {
    let node = Node::new(app(), Settings::default()).await;
    let ada = node.someone("ada@example.com").await;
    let run = start(&node, &ada).await;
    let said = || vec![call("record.create", note("one")), call("record.create", note("one")), say("Done.")];
    let (died, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let dies = || Dies { agents: agents(&node), died: died.clone(), asked: asked.clone() };
    let (first, _) = engine(&node, said(), dies());
    while records(&node).await.is_empty() || !died.load(Ordering::Relaxed) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    drop(first);
    let made = records(&node).await;
    let (_engine, _) = engine(&node, said(), dies());
    assert_eq!(node.finishes(run.id).await.output.as_deref(), Some("Done."));

    let log = node.log(run.id).await;
    assert_eq!((count(&log, "run.started"), asked.load(Ordering::Relaxed)), (2, 3), "the first call is made twice");
    let outcomes = outcomes(&node, run.id).await;
    assert_eq!(outcomes[0].as_ref().unwrap()["id"], json!(made[0].id), "it gets the first answer");
    assert_eq!(records(&node).await.len(), 2, "the same arguments in another call are another record");
}
