//! Runs in a session: turns, words, messages and their answers; runs for each, and runs again.

use std::{sync::Arc, time::Duration};

use crewline_protocol::{
    event::RunEvent,
    fault::{FaultCode, Reason},
    opening::PrincipalKind,
    operations::{
        budget::{self, Period},
        message::{self, Message, Post},
        run::{Budget, Cancel, CancelMode, Get, Inputs, List, OnBusy, Retry, Run, Start, Status, Steer, Subject},
        session::{Create, Session},
    },
    value::{MicroUsd, RecordId},
};
use serde_json::json;

use crate::{
    access::Identity,
    apps::App,
    budgets, control,
    dispatch::read,
    engine::EngineHandle,
    runs, sessions,
    settings::Settings,
    testing::{
        crews::{Counted, Node, app, app_with, inputs, slow},
        fault,
    },
};

/// The pair, which answers what people say: what they say is its page.
fn talking() -> App {
    app_with("crews/pair/crew.yaml", "title: Pair\n", "title: Pair\nmessage_input: page\nhistory_input: name\n")
}

struct Here {
    node: Node,
    ada: Arc<Identity>,
    session: Session,
}

impl Here {
    async fn new(app: App, crew: Option<&str>) -> Self {
        Self::with(app, crew, slow()).await
    }
    async fn with(app: App, crew: Option<&str>, settings: Settings) -> Self {
        let node = Node::new(app, settings).await;
        let ada = node.someone("ada@example.com").await;
        let create = Create { id: None, title: "Here".into(), crew: crew.map(str::to_owned) };
        let session = sessions::create(node.context(Some(&ada)), create).await.unwrap().output;
        Self { node, ada, session }
    }
    fn engine(&self) -> EngineHandle {
        self.node.engine("n", &Counted::default())
    }
    fn input(&self) -> Start {
        Start { crew: "pair".into(), inputs: inputs("One two three."), session_id: Some(self.session.id), ..Start::default() }
    }
    async fn start(&self, input: Start) -> Result<Run, crewline_protocol::fault::Fault> {
        runs::start(self.node.context(Some(&self.ada)), input).await.map(|answer| answer.output).map_err(fault)
    }
    async fn retry(&self, run: &Run) -> Result<Run, crewline_protocol::fault::Fault> {
        runs::retry(self.node.context(Some(&self.ada)), Retry { id: run.id }).await.map(|answer| answer.output).map_err(fault)
    }
    async fn post(&self, text: &str, on_busy: Option<OnBusy>) -> Message {
        let post = Post { id: None, session_id: self.session.id, text: text.into(), inputs: Inputs::new(), on_busy };
        runs::post(self.node.context(Some(&self.ada)), post).await.unwrap().output
    }
    async fn messages(&self) -> Vec<Message> {
        let list = message::List { session_id: self.session.id, filter: None, sort: Vec::new(), limit: None, cursor: None, count: false };
        read(self.node.context(Some(&self.ada)), list).await.unwrap().output.items
    }
    async fn run(&self, run: &Run) -> Run {
        read(self.node.context(Some(&self.ada)), Get { id: run.id }).await.unwrap().output
    }
    async fn all(&self) -> Vec<Run> {
        read(self.node.context(Some(&self.ada)), List::default()).await.unwrap().output.items
    }
    async fn cancel(&self, run: &Run) -> Run {
        self.node.cancel(&self.ada, run.id, CancelMode::Now).await
    }
}

#[tokio::test(start_paused = true)]
async fn runs_of_one_crew_in_one_session_take_turns() {
    let here = Here::new(app(), None).await;
    let first = here.start(here.input()).await.unwrap();
    let second = here.start(here.input()).await.unwrap();
    let third = here.start(here.input()).await.unwrap();
    let elsewhere = here.start(Start { session_id: None, ..here.input() }).await.unwrap();
    let _engine = here.engine();
    // One that waits for its turn can be taken out of the middle.
    assert_eq!(here.cancel(&second).await.status, Status::Cancelled);
    for run in [&first, &third, &elsewhere] {
        here.node.finishes(run.id).await;
    }
    let (first, third, elsewhere) = (here.run(&first).await, here.run(&third).await, here.run(&elsewhere).await);
    assert_eq!([&first, &third, &elsewhere].map(|run| run.status), [Status::Succeeded; 3]);
    assert!(third.started_at >= first.finished_at, "{third:?} began before {first:?} had ended");
    assert!(elsewhere.started_at < first.finished_at, "another session's run waits for nobody");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_want_to_wait_is_refused_with_the_run_that_goes_on() {
    let here = Here::new(app(), None).await;
    let first = here.start(here.input()).await.unwrap();
    let refused = here.start(Start { on_busy: Some(OnBusy::Reject), ..here.input() }).await.unwrap_err();
    assert_eq!((refused.code, refused.reason), (FaultCode::Conflict, Some(Reason::Busy)));
    assert_eq!(refused.current.unwrap()["id"], json!(first.id));
    let wordless = here.start(Start { on_busy: Some(OnBusy::Steer), ..here.input() }).await.unwrap_err();
    assert_eq!(wordless.fields[0].path, "on_busy", "the crew does not say where words are");
    assert_eq!(here.all().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_starts_its_session_s_crew_whose_answer_is_a_message() {
    let here = Here::new(talking(), Some("pair")).await;
    let asked = here.post("One two three four.", None).await;
    let _engine = here.engine();
    let run = here.node.finishes(asked.run_id.unwrap()).await;
    assert_eq!((run.status, run.message_id), (Status::Succeeded, Some(asked.id)));
    let messages = here.messages().await;
    assert_eq!(messages[0], asked);
    let answer = &messages[1];
    assert_eq!((answer.text.as_str(), answer.run_id), ("So: 4 words.", Some(run.id)));
    assert_eq!((answer.author.kind, answer.author.name.as_str()), (PrincipalKind::Agent, "pair"));
    // The next one is told what was said before.
    let next = here.post("Again.", None).await;
    let next = here.node.finishes(next.run_id.unwrap()).await;
    assert_eq!(next.inputs.0["name"], "Ada: One two three four.\n\npair: So: 4 words.");
    assert_eq!(here.messages().await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_message_can_steer_the_run_that_goes_on() {
    let here = Here::new(talking(), Some("pair")).await;
    let first = here.post("One two.", None).await;
    let _engine = here.engine();
    here.node.reaches(first.run_id.unwrap(), 4).await;
    let second = here.post("Shorter, please.", Some(OnBusy::Steer)).await;
    assert_eq!(second.run_id, first.run_id);
    here.node.finishes(first.run_id.unwrap()).await;
    let log = here.node.log(first.run_id.unwrap()).await;
    assert!(log.iter().any(|event| matches!(event, RunEvent::SteerReceived { text, .. } if text == "Shorter, please.")));
    assert!(log.iter().any(|event| matches!(event, RunEvent::SteerApplied { .. })));
    assert_eq!(
        here.messages().await.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(),
        ["One two.", "Shorter, please.", "So: 2 words."]
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_that_steers_a_run_to_its_end_is_said_once() {
    let here = Here::new(talking(), Some("pair")).await;
    let run = here.post("One two.", None).await.run_id.unwrap();
    let _engine = here.engine();
    here.node.reaches(run, 4).await;
    here.post("Shorter, please.", Some(OnBusy::Steer)).await;
    let cancel = Cancel { id: run, mode: Some(CancelMode::Now) };
    control::cancel(here.node.context(Some(&here.ada)), cancel).await.unwrap();
    here.node.finishes(run).await;
    let said: Vec<String> = here.messages().await.into_iter().map(|message| message.text).collect();
    assert_eq!(said, ["One two.", "Shorter, please."]);
}

#[tokio::test(start_paused = true)]
async fn a_session_has_only_a_crew_that_takes_messages() {
    let here = Here::new(app(), None).await;
    let create = |crew: &str| Create { id: None, title: "x".into(), crew: Some(crew.into()) };
    for crew in ["pair", "none"] {
        let refused = fault(sessions::create(here.node.context(Some(&here.ada)), create(crew)).await.unwrap_err());
        assert_eq!(refused.fields[0].path, "crew", "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_start_runs_a_crew_for_each_and_one_run_stands_for_them() {
    let here = Here::new(app(), None).await;
    let page = |page: &str| inputs(page).into_iter().filter(|(name, _)| name == "page").collect::<Inputs>();
    let common = Start { inputs: [("name".to_owned(), "it".into())].into_iter().collect(), ..here.input() };
    let wrong = Start { for_each: Some(vec![page("One."), Inputs::from_iter([("page".to_owned(), 7.into())])]), ..common.clone() };
    assert_eq!(here.start(wrong).await.unwrap_err().fields[0].path, "for_each[1].page");
    let all = Start { for_each: Some(vec![page("One."), page("One two."), page("One two three.")]), ..common };
    let parent = here.start(all).await.unwrap();
    assert_eq!((parent.runs, parent.status, here.all().await.len()), (Some(3), Status::Running, 4));
    let after = here.start(here.input()).await.unwrap();
    let steered = control::steer(here.node.context(Some(&here.ada)), Steer { id: parent.id, text: "x".into() }).await.unwrap_err();
    assert_eq!(fault(steered).reason, Some(Reason::State));
    let _engine = here.engine();
    here.node.finishes(after.id).await;
    let done = here.run(&parent).await;
    assert_eq!((done.status, done.progress, done.output.as_deref()), (Status::Succeeded, 1.0, Some("3 of 3 runs succeeded")));
    let children: Vec<Run> = here.all().await.into_iter().filter(|run| run.parent_id == Some(parent.id)).collect();
    let outputs: Vec<&str> = children.iter().filter_map(|run| run.output.as_deref()).collect();
    assert_eq!(outputs, ["So: 1 words.", "So: 2 words.", "So: 3 words."]);
    assert_eq!(done.usage.input_tokens, children.iter().map(|run| run.usage.input_tokens).sum::<u64>());
    assert!(here.run(&after).await.started_at >= done.finished_at, "who comes after it waits for all of them");
    let log: Vec<&str> = here.node.log(parent.id).await.iter().map(RunEvent::type_name).collect();
    assert_eq!(log, ["run.started", "progress.reported", "progress.reported", "progress.reported", "run.finished"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_stands_for_others_ends_them_all_and_is_tried_again_with_those_that_did_not_succeed() {
    let here = Here::with(app(), None, Settings { engine_runs: 1, ..slow() }).await;
    let each = Start { for_each: Some(vec![inputs("One."), inputs("One two.")]), ..here.input() };
    let parent = here.start(each.clone()).await.unwrap();
    let first = here.all().await.into_iter().find(|run| run.parent_id == Some(parent.id)).unwrap();
    let engine = here.engine();
    here.node.finishes(first.id).await;
    here.cancel(&parent).await;
    let ended = here.node.finishes(parent.id).await;
    assert_eq!(ended.status, Status::Cancelled);
    drop(engine);
    let again = here.retry(&parent).await.unwrap();
    let children: Vec<Run> = here.all().await.into_iter().filter(|run| run.parent_id == Some(again.id)).collect();
    assert_eq!((again.retry_of, again.runs), (Some(parent.id), Some(1)));
    assert_eq!(children.iter().map(|run| run.inputs.clone()).collect::<Vec<_>>(), [inputs("One two.")]);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_tried_again_as_a_new_one() {
    let here = Here::new(app(), None).await;
    let budget = Some(Budget { tokens: Some(1_000_000), ..Budget::default() });
    let run = here.start(Start { priority: Some(7), budget, ..here.input() }).await.unwrap();
    let going_on = here.retry(&run).await.unwrap_err();
    assert_eq!((going_on.code, going_on.reason), (FaultCode::Conflict, Some(Reason::State)));
    control::cancel(here.node.context(Some(&here.ada)), Cancel { id: run.id, mode: None }).await.unwrap();
    let again = here.retry(&run).await.unwrap();
    assert_ne!(again.id, run.id);
    assert_eq!((again.retry_of, again.session_id, again.priority, again.budget), (Some(run.id), run.session_id, 7, budget));
    assert_eq!((&again.inputs, again.status), (&run.inputs, Status::Queued));
}

#[tokio::test(start_paused = true)]
async fn a_run_is_about_a_record_that_its_starter_may_read() {
    let here = Here::new(app(), None).await;
    let id = here.node.services.clock.id(RecordId::new);
    let about = |collection: &str| Start { subject: Some(Subject { collection: collection.into(), id }), ..here.input() };
    let refused = here.start(about("pages")).await.unwrap_err();
    assert_eq!(refused.code, FaultCode::Invalid, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_run_s_own_budget_ends_it_and_so_does_the_workspace_s() {
    let here = Here::new(app(), None).await;
    let own = here.start(Start { budget: Some(Budget { tokens: Some(1), ..Budget::default() }), ..here.input() }).await.unwrap();
    let set = |cost: Option<i64>| budget::Set {
        crew: None,
        period: Period::Day,
        cost_microusd: cost.map(MicroUsd),
        tokens: None,
        duration_ms: None,
    };
    let engine = here.engine();
    let ended = here.node.finishes(own.id).await;
    assert_eq!(ended.fault.unwrap().0.code, FaultCode::OverQuota);
    let spent = here.run(&own).await.usage.cost_microusd.0;
    assert!(spent > 0);

    let answer = budgets::set(here.node.context(Some(&here.ada)), set(Some(spent + 1))).await.unwrap().output;
    let run = here.start(here.input()).await.unwrap();
    let ended = here.node.finishes(run.id).await;
    let fault = ended.fault.unwrap().0;
    assert_eq!(fault.code, FaultCode::OverQuota);
    assert!(fault.message.contains("the workspace's budget of this day is used up"), "{fault}");
    let log = here.node.log(run.id).await;
    assert!(log.iter().any(|event| matches!(event, RunEvent::LogWritten { message, .. } if message.contains("is low"))), "{log:?}");
    let refused = here.start(here.input()).await.unwrap_err();
    assert_eq!(refused.code, FaultCode::OverQuota, "none is started");

    // Raised, or on another day, there is room again.
    let raised = budgets::set(here.node.context(Some(&here.ada)), set(Some(1_000_000_000))).await.unwrap().output;
    assert_eq!(raised.id, answer.id);
    let run = here.start(here.input()).await.unwrap();
    assert_eq!(here.node.finishes(run.id).await.status, Status::Succeeded);
    budgets::set(here.node.context(Some(&here.ada)), set(Some(1))).await.unwrap();
    assert_eq!(here.start(here.input()).await.unwrap_err().code, FaultCode::OverQuota);
    drop(engine);
    tokio::time::advance(Duration::from_secs(24 * 3_600)).await;
    here.start(here.input()).await.unwrap();
}
