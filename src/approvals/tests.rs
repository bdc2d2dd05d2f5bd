use crewline_protocol::{
    RunEvent,
    event::WaitingFor,
    fault::{FaultCode, Reason},
    operation::Role,
    operations::{
        approval::{Answer, Approval, Get, Kind, List, OnExpire, Status, Verdict, Withdraw},
        run::{self, CancelMode},
    },
    value::{ApprovalId, MicroUsd, RunId},
};
use serde_json::json;
use tokio::time::{Duration, sleep};

use super::{ApprovalRow, Ask, answer, arguments_hash, withdraw};
use crate::{
    access::Identity,
    context::{Context, Failure},
    dispatch::read,
    runs::RunRow,
    store::Commit,
    sweep::sweep,
    testing::{
        crews::{Node, app, slow, types},
        fault,
    },
};

fn ask(kind: Kind) -> Ask {
    Ask {
        task: Some("t".into()),
        call: Some("c".into()),
        kind,
        title: "May I?".into(),
        body: "b".into(),
        tool: (kind == Kind::Tool).then(|| "record.create".into()),
        arguments: (kind == Kind::Tool).then(|| json!({"collection": "pages"})),
        schema: (kind == Kind::Input).then(|| json!({"type": "integer"})),
        roles: vec![Role::Admin],
        expires_at: None,
        on_expire: OnExpire::Reject,
    }
}

fn yes(id: ApprovalId) -> Answer {
    Answer { id, revision: None, verdict: Verdict::Approve, arguments: None, value: None, comment: None }
}

/// A run that was begun and put away for this question.
async fn parked(node: &Node, by: &std::sync::Arc<Identity>, ask: Ask) -> (RunId, ApprovalId) {
    let run = node.row(node.start(by).await.id).await;
    let (at, id) = (node.services.clock.now(), node.services.clock.id(ApprovalId::new));
    let begun = run.begun(1, at);
    let waits = RunRow { cost_microusd: MicroUsd(0), ..begun.parked(WaitingFor::Approval, begun.taken(), at) };
    let row = ApprovalRow::requested(&run, ask, id, at);
    let events =
        [RunEvent::ApprovalRequested { at, approval: Box::new(row.approval()) }, RunEvent::RunWaiting { at, r#for: WaitingFor::Approval }];
    let commit = Commit::in_workspace(run.workspace_id).replace(&run, &waits).insert(&row).append(run.id, &events);
    node.services.store.commit(commit).await.unwrap();
    (run.id, id)
}

async fn conflict(result: Result<crate::context::Answer<Approval>, Failure>) -> Approval {
    let fault = fault(result.unwrap_err());
    assert_eq!((fault.code, fault.reason), (FaultCode::Conflict, Some(Reason::State)));
    serde_json::from_value(fault.current.unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_wins_and_its_run_goes_on() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    the_first_wins(&node, &ada).await;
}

#[tokio::test]
async fn the_first_answer_wins_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::on_sqlite(app(), slow(), folder.path()).await;
    let ada = node.someone("ada@example.com").await;
    the_first_wins(&node, &ada).await;
}

async fn the_first_wins(node: &Node, ada: &std::sync::Arc<Identity>) {
    let (run, id) = parked(node, ada, ask(Kind::Tool)).await;
    let cx = || node.context(Some(ada));
    let (one, other) = tokio::join!(answer(cx(), yes(id)), answer(cx(), Answer { verdict: Verdict::Reject, ..yes(id) }));
    assert_eq!([&one, &other].iter().filter(|result| result.is_ok()).count(), 1);
    let won = one.or(other).unwrap();
    assert_eq!((won.output.answered_by, won.as_of), (Some(ada.user), Some(won.output.revision)));
    assert_eq!(conflict(answer(cx(), yes(id)).await).await, won.output, "the row says who was first");
    assert_eq!(conflict(withdraw(cx(), Withdraw { id }).await).await, won.output);
    assert_eq!(node.row(run).await.status, run::Status::Queued);
    assert_eq!(types(&node.log(run).await)[1..], ["run.waiting", "approval.answered", "run.resumed"]);
    assert_eq!(read(cx(), Get { id }).await.unwrap().output, won.output);
    let rows = read(cx(), List::default()).await.unwrap().output.items;
    assert_eq!(rows, [won.output]);
}

#[tokio::test(start_paused = true)]
async fn who_may_answer_stands_in_the_row() {
    let node = Node::new(app(), slow()).await;
    let (ada, eve) = (node.someone("ada@example.com").await, node.someone("eve@example.com").await);
    let (_, id) = parked(&node, &ada, ask(Kind::Tool)).await;
    let as_role = |role: Role| {
        let mut identity = (*ada).clone();
        identity.principal.role = role;
        node.context(Some(&identity.into()))
    };
    for role in [Role::Viewer, Role::Member, Role::Agent, Role::Worker] {
        assert_eq!(fault(answer(as_role(role), yes(id)).await.unwrap_err()).code, FaultCode::Forbidden, "{role:?}");
    }
    assert_eq!(fault(answer(node.context(Some(&eve)), yes(id)).await.unwrap_err()).code, FaultCode::NotFound);
    assert_eq!(fault(withdraw(node.context(Some(&eve)), Withdraw { id }).await.unwrap_err()).code, FaultCode::NotFound);
    assert_eq!(answer(as_role(Role::Admin), yes(id)).await.unwrap().output.status, Status::Approved);
}

#[tokio::test(start_paused = true)]
async fn an_answer_fits_its_question() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let cx = || node.context(Some(&ada));
    let (_, tool) = parked(&node, &ada, ask(Kind::Tool)).await;
    let (_, input) = parked(&node, &ada, ask(Kind::Input)).await;
    let refused = async |input: Answer| {
        let fault = fault(answer(cx(), input).await.unwrap_err());
        (fault.fields[0].path.clone(), fault.fields[0].code.clone())
    };
    let wrong = [
        (Answer { verdict: Verdict::Answer, value: Some(json!(1)), ..yes(tool) }, ("verdict", "enum")),
        (Answer { arguments: Some(json!([1])), ..yes(tool) }, ("arguments", "type")),
        (Answer { verdict: Verdict::Reject, arguments: Some(json!({})), ..yes(tool) }, ("arguments", "unknown")),
        (Answer { value: Some(json!(1)), ..yes(tool) }, ("value", "unknown")),
        (yes(input), ("verdict", "enum")),
        (Answer { verdict: Verdict::Answer, ..yes(input) }, ("value", "required")),
        (Answer { verdict: Verdict::Answer, value: Some(json!("x")), ..yes(input) }, ("value", "type")),
    ];
    for (answer, (path, code)) in wrong {
        assert_eq!(refused(answer.clone()).await, (path.to_owned(), code.to_owned()), "{answer:?}");
    }
    let edited = json!({"collection": "posts"});
    answer(cx(), Answer { arguments: Some(edited.clone()), ..yes(tool) }).await.unwrap();
    let row: ApprovalRow = node.services.store.get(tool).await.unwrap().unwrap();
    assert_eq!(row.arguments_hash, Some(arguments_hash("record.create", &edited)), "what runs is what was approved");
    let given = answer(cx(), Answer { verdict: Verdict::Answer, value: Some(json!(4)), ..yes(input) }).await.unwrap().output;
    assert_eq!((given.status, given.answer.unwrap().value), (Status::Answered, Some(json!(4))));
}

#[tokio::test(start_paused = true)]
async fn nobody_answers_in_time() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let expires_at = Some(node.services.clock.now().plus(60_000));
    let (run, id) = parked(&node, &ada, Ask { expires_at, ..ask(Kind::Tool) }).await;
    let (_, for_ever) = parked(&node, &ada, ask(Kind::Tool)).await;
    sleep(Duration::from_secs(60)).await;
    sweep(&node.services).await;
    let status = async |id: ApprovalId| node.services.store.get::<ApprovalRow>(id).await.unwrap().unwrap().status;
    assert_eq!(status(id).await, Status::Pending);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(conflict(answer(node.context(Some(&ada)), yes(id)).await).await.status, Status::Pending, "it is too late already");
    sweep(&node.services).await;
    sweep(&node.services).await;
    assert_eq!((status(id).await, status(for_ever).await), (Status::Expired, Status::Pending));
    assert_eq!(node.row(run).await.status, run::Status::Queued);
    assert_eq!(types(&node.log(run).await)[2..], ["approval.answered", "run.resumed"], "once");
}

#[tokio::test(start_paused = true)]
async fn questions_go_with_their_run() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let (run, id) = parked(&node, &ada, ask(Kind::Review)).await;
    assert_eq!(node.cancel(&ada, run, CancelMode::Graceful).await.status, run::Status::Cancelled);
    let row = conflict(answer(node.context(Some(&ada)), yes(id)).await).await;
    assert_eq!(row.status, Status::Withdrawn);
    assert_eq!(types(&node.log(run).await)[2..], ["run.cancel_requested", "approval.answered", "run.finished"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_lets_no_paused_run_go_on() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let cx = || -> Context { node.context(Some(&ada)) };
    let (run, id) = parked(&node, &ada, ask(Kind::Review)).await;
    crate::control::pause(cx(), run::Pause { id: run }).await.unwrap();
    answer(cx(), yes(id)).await.unwrap();
    assert_eq!(node.row(run).await.status, run::Status::Waiting);
    assert_eq!(crate::control::resume(cx(), run::Resume { id: run }).await.unwrap().output.status, run::Status::Queued);
    assert_eq!(types(&node.log(run).await)[2..], ["run.pause_requested", "approval.answered", "run.resumed"]);
}
