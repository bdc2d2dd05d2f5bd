mod together;

use crewline_protocol::{
    event::{RunEvent, WaitingFor},
    fault::{Fault, FaultCode, Reason},
    operations::{
        run::{Cancel, Get, Inputs, List, Run, Start, Status},
        session::{Archive, Create},
    },
    value::{RunId, SessionId},
};

use crate::{
    control,
    dispatch::read,
    runs, sessions,
    testing::{
        crews::{Node, app, app_with, inputs, slow},
        fault,
    },
    workers,
};

fn start(page: &str) -> Start {
    Start { crew: "pair".into(), inputs: inputs(page), ..Start::default() }
}

#[tokio::test(start_paused = true)]
async fn a_run_is_what_was_asked_for_and_true_at_its_revision() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let answer = runs::start(node.context(Some(&ada)), start("x")).await.unwrap();
    let run = answer.output;
    assert_eq!(answer.as_of, Some(run.revision));
    assert_eq!((run.status, &run.inputs, run.started_by, run.version.len()), (Status::Queued, &inputs("x"), ada.user, 64));
    let got = read(node.context(Some(&ada)), Get { id: run.id }).await.unwrap();
    assert_eq!((got.output, got.as_of), (run.clone(), Some(run.revision)));
    let session: sessions::SessionRow = node.services.store.get(run.session_id).await.unwrap().unwrap();
    assert_eq!((session.title.as_str(), session.workspace_id), ("Pair", ada.workspace));
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_workspace_reads_as_absent() {
    let node = Node::new(app(), slow()).await;
    let (ada, eve) = (node.someone("ada@example.com").await, node.someone("eve@example.com").await);
    let run = runs::start(node.context(Some(&ada)), start("x")).await.unwrap().output;
    let cx = || node.context(Some(&eve));
    let absent = node.services.clock.id(RunId::new);
    for id in [run.id, absent] {
        let faults = [
            fault(read(cx(), Get { id }).await.unwrap_err()),
            fault(control::cancel(cx(), Cancel { id, mode: None }).await.unwrap_err()),
            fault(runs::load(&node.services, eve.workspace, id).await.unwrap_err()),
        ];
        assert_eq!(faults, [Fault::not_found(), Fault::not_found(), Fault::not_found()]);
    }
    assert_eq!(read(cx(), List::default()).await.unwrap().output.items, []);
    let session = Start { session_id: Some(run.session_id), ..start("x") };
    assert_eq!(fault(runs::start(cx(), session).await.unwrap_err()), Fault::not_found());
    let taken = fault(runs::start(cx(), Start { id: Some(run.id), ..start("x") }).await.unwrap_err());
    assert_eq!((taken.code, taken.reason), (FaultCode::Conflict, Some(Reason::Taken)));
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_started_says_why() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let refused = async |input| fault(runs::start(node.context(Some(&ada)), input).await.unwrap_err());
    let unknown = refused(Start { crew: "none".into(), ..start("x") }).await;
    assert_eq!(unknown, Fault::invalid("crew", "unknown", "there is no crew `none`; there are: pair"));
    let missing = refused(Start { inputs: Inputs::new(), ..start("x") }).await;
    assert_eq!(missing, Fault::invalid("inputs.name", "required", "the crew's texts name `{name}`: give it a value"));
    let large = refused(start(&"x".repeat(256 << 10))).await;
    assert_eq!(large.code, FaultCode::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_walked_once_through_whatever_comes_meanwhile() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let cx = || node.context(Some(&ada));
    let mut started: Vec<Run> = Vec::new();
    for _ in 0..7 {
        tokio::time::advance(std::time::Duration::from_millis(1)).await;
        started.push(runs::start(cx(), start("x")).await.unwrap().output);
    }
    let (mut walked, mut cursor) = (Vec::new(), None);
    loop {
        let page = read(cx(), List { limit: Some(3), cursor, ..List::default() }).await.unwrap();
        assert!(page.as_of.is_some());
        walked.extend(page.output.items);
        cursor = page.output.next;
        if cursor.is_none() {
            break;
        }
        if walked.len() == 3 {
            tokio::time::advance(std::time::Duration::from_millis(1)).await;
            started.push(runs::start(cx(), start("x")).await.unwrap().output);
        }
    }
    assert_eq!(walked, started);
    let whole = read(cx(), List { limit: Some(8), ..List::default() }).await.unwrap().output;
    assert_eq!((whole.items.len(), whole.next), (8, None));
    let too_many = List { limit: Some(201), cursor: Some("AAAA".into()), ..List::default() };
    assert_eq!(fault(read(cx(), too_many).await.unwrap_err()).fields[0].path, "limit");
}

#[tokio::test(start_paused = true)]
async fn a_list_ends_early_rather_than_exceed_a_message() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let cx = || node.context(Some(&ada));
    for _ in 0..5 {
        runs::start(cx(), start(&"x".repeat(200 << 10))).await.unwrap();
    }
    let first = read(cx(), List::default()).await.unwrap().output;
    let rest = read(cx(), List { cursor: first.next.clone(), ..List::default() }).await.unwrap().output;
    assert_eq!((first.items.len(), first.next.is_some(), rest.items.len(), rest.next), (3, true, 2, None));
}

#[tokio::test(start_paused = true)]
async fn a_session_is_made_once_under_its_id() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let id = node.services.clock.id(SessionId::new);
    let create = || sessions::create(node.context(Some(&ada)), Create { id: Some(id), title: "Here".into(), crew: None });
    let session = create().await.unwrap().output;
    assert_eq!((session.id, session.title.as_str(), session.created_by), (id, "Here", ada.user));
    assert_eq!(fault(create().await.unwrap_err()).reason, Some(Reason::Taken));
    let run = Start { session_id: Some(id), ..start("x") };
    assert_eq!(runs::start(node.context(Some(&ada)), run.clone()).await.unwrap().output.session_id, id);
    let archive = Archive { id, revision: None, archived: None };
    sessions::archive(node.context(Some(&ada)), archive).await.unwrap();
    let refused = fault(runs::start(node.context(Some(&ada)), run).await.unwrap_err());
    assert_eq!((refused.code, refused.reason), (FaultCode::Conflict, Some(Reason::State)), "it is put away");
}

#[tokio::test(start_paused = true)]
async fn a_run_for_a_worker_waits_whatever_the_engine_does_and_can_be_cancelled_meanwhile() {
    let node = Node::new(app_with("crews/pair/crew.yaml", "title: Pair\n", "title: Pair\nexecutor: worker\n"), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let run = node.start(&ada).await;
    let _engine = node.engine("n", &Default::default());
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert_eq!((node.row(run.id).await.status, node.log(run.id).await), (Status::Queued, Vec::new()));
    workers::round(&node.services).await.unwrap();
    let row = node.row(run.id).await;
    assert_eq!((row.status, row.waiting_for), (Status::Queued, Some(WaitingFor::Worker)));
    let waits = [RunEvent::RunWaiting { at: row.updated_at, r#for: WaitingFor::Worker }];
    assert_eq!(node.log(run.id).await, waits);
    workers::round(&node.services).await.unwrap();
    assert_eq!(node.log(run.id).await, waits, "it is said once");
    let cancelled = control::cancel(node.context(Some(&ada)), Cancel { id: run.id, mode: None }).await.unwrap().output;
    assert_eq!(cancelled.status, Status::Cancelled);
}
