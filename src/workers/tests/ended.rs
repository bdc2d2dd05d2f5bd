//! How workers' holds end: by an end, by a question, by giving a run back.

use super::*;

fn question(run_id: RunId, lease_epoch: i64) -> Request {
    Request {
        run_id,
        lease_epoch,
        task: Some("t".into()),
        call: None,
        kind: Kind::Input,
        title: "Which one?".into(),
        body: String::new(),
        tool: None,
        arguments: None,
        schema: Some(json!({"type": "string"})),
        roles: Vec::new(),
        expires_at: None,
        on_expire: None,
    }
}

pub(super) async fn a_parked_run_goes_on_in_the_same_attempt_when_it_is_answered(floor: Floor) {
    let (worker, run) = floor.working().await;
    let park = async |floor: &Floor, epoch| fault_of(super::park(floor.cx(&worker), Park { run_id: run, lease_epoch: epoch }).await);
    let fault = park(&floor, 1).await.unwrap_err();
    assert_eq!((fault.code, fault.reason), (FaultCode::Conflict, Some(Reason::State)), "nothing is asked");
    floor.append(&worker, run, 1, 1, vec![line("1")]).await.unwrap();
    let asked = fault_of(super::request(floor.cx(&worker), question(run, 1)).await).unwrap();
    let parked = park(&floor, 1).await.unwrap();
    assert_eq!((parked.status, parked.waiting_for), (Status::Waiting, Some(WaitingFor::Approval)));
    assert!(floor.hold(run).await.is_none());
    assert!(lost(&floor.append(&worker, run, 1, 2, vec![line("2")]).await.unwrap_err()));
    let much_later = floor.later(1_000_000);
    super::renew(much_later.cx(&worker), Renew { held: Vec::new() }).await.unwrap();
    much_later.round().await;
    assert_eq!(much_later.row(run).await.status, Status::Waiting, "nobody is waited for but people");

    let answer =
        Answering { id: asked.id, revision: None, verdict: Verdict::Answer, arguments: None, value: Some(json!("a")), comment: None };
    approvals::answer(much_later.cx(&floor.ada), answer).await.unwrap();
    much_later.round().await;
    let hold = much_later.hold(run).await.unwrap();
    assert_eq!((hold.epoch, hold.attempt), (2, 1));
    let expected = ["run.started", "log.written", "approval.requested", "run.waiting", "approval.answered", "run.resumed"];
    let log = much_later.log(run).await;
    assert_eq!(types(&log), expected);
    assert_eq!(hold.history_head, Offset(6));
    assert!(hold.executed_ms < 5_000, "what it waits for people does not count: {}", hold.executed_ms);
    let fault = park(&much_later, 2).await.unwrap_err();
    assert_eq!(fault.reason, Some(Reason::State), "it was answered");
    assert_eq!(much_later.append(&worker, run, 2, 1, vec![line("2")]).await.unwrap().seq, 1);
}

pub(super) async fn a_run_that_is_given_back_goes_on_in_the_same_attempt(floor: Floor) {
    let (worker, run) = floor.working().await;
    floor.append(&worker, run, 1, 1, vec![line("1")]).await.unwrap();
    let later = floor.later(4_000);
    let back = fault_of(super::release(later.cx(&worker), Release { run_id: run, lease_epoch: 1 }).await).unwrap();
    assert_eq!((back.status, back.attempt), (Status::Queued, 1));
    later.round().await;
    let hold = later.hold(run).await.unwrap();
    assert_eq!((hold.epoch, hold.attempt, hold.history_head), (2, 1, Offset(2)));
    assert!((3_000..9_000).contains(&hold.executed_ms), "{}", hold.executed_ms);
    assert_eq!(types(&later.log(run).await), ["run.started", "log.written"]);
}

pub(super) async fn a_run_ends_as_its_worker_says_and_words_that_came_too_late_are_kept(floor: Floor) {
    let (worker, run) = floor.working().await;
    let finish =
        |status, output: Option<&str>, fault| Finish { run_id: run, lease_epoch: 1, status, output: output.map(str::to_owned), fault };
    let fault = Fault::new(FaultCode::Internal, "the model is gone");
    let wrong = [
        finish(Outcome::Succeeded, None, None),
        finish(Outcome::Failed, None, None),
        finish(Outcome::Failed, Some("x"), Some(fault.clone())),
        finish(Outcome::Cancelled, Some("x"), None),
        finish(Outcome::Cancelled, None, None),
    ];
    for wrong in wrong {
        let refused = fault_of(super::finish(floor.cx(&worker), wrong).await).unwrap_err();
        assert!(matches!(refused.code, FaultCode::Invalid | FaultCode::Conflict), "{refused:?}");
    }
    for text in ["first", "second"] {
        control::steer(floor.cx(&floor.ada), Steer { id: run, text: text.into() }).await.unwrap();
    }
    let first = floor.log(run).await.into_iter().find_map(|event| match event {
        RunEvent::SteerReceived { steer_id, .. } => Some(steer_id),
        _ => None,
    });
    let applied = RunEvent::SteerApplied { at: START, steer_id: first.unwrap(), task: "t".into() };
    floor.append(&worker, run, 1, 1, vec![applied]).await.unwrap();
    let ended = fault_of(super::finish(floor.cx(&worker), finish(Outcome::Failed, None, Some(fault.clone()))).await).unwrap();
    assert_eq!((ended.status, ended.fault), (Status::Failed, Some(fault)));
    let messages: Vec<MessageRow> = floor.services.store.select(&Select::by("session_id", ended.session_id)).await.unwrap();
    let said: Vec<(&str, PrincipalKind)> = messages.iter().map(|message| (message.text.as_str(), message.author_kind)).collect();
    assert_eq!(said, [("second", PrincipalKind::User)], "what no agent has read");
}

pub(super) async fn a_question_is_asked_once_and_only_by_who_holds_the_run(floor: Floor) {
    let (worker, run) = floor.working().await;
    let wrong = [
        Request { kind: Kind::Tool, schema: None, ..question(run, 1) },
        Request { tool: Some("t".into()), ..question(run, 1) },
        Request { schema: Some(json!({"type": 1})), ..question(run, 1) },
        Request { kind: Kind::Review, ..question(run, 1) },
    ];
    for wrong in wrong {
        assert_eq!(fault_of(super::request(floor.cx(&worker), wrong).await).unwrap_err().code, FaultCode::Invalid);
    }
    assert!(lost(&fault_of(super::request(floor.cx(&worker), question(run, 2)).await).unwrap_err()));
    assert!(lost(&fault_of(super::request(floor.cx(&floor.key), question(run, 1)).await).unwrap_err()), "nobody has registered");
    let (stranger, _) = floor.register(far("stranger", 1)).await;
    assert!(lost(&fault_of(super::request(floor.cx(&stranger), question(run, 1)).await).unwrap_err()));
    assert!(lost(&floor.append(&stranger, run, 1, 1, vec![line("x")]).await.unwrap_err()));
    let asked = fault_of(super::request(floor.cx(&worker), question(run, 1)).await).unwrap();
    assert_eq!((asked.roles, asked.run_id), (vec![Role::Member], run));
    assert_eq!(types(&floor.log(run).await), ["run.started", "approval.requested"]);
}
