use crewline_protocol::{
    RunEvent,
    fault::{FaultCode, Reason},
    operations::run::{CancelMode, Pause, Resume, Status, Steer},
};

use super::{pause, resume, steer};
use crate::testing::{
    crews::{Node, app, slow, types},
    fault,
};

#[tokio::test(start_paused = true)]
async fn words_reach_the_log_with_who_gave_them_and_none_follow_its_end() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let id = node.start(&ada).await.id;
    let words = || Steer { id, text: "Be brief.".into() };
    steer(node.context(Some(&ada)), words()).await.unwrap();
    let RunEvent::SteerReceived { text, by, .. } = node.log(id).await.remove(0) else { panic!() };
    assert_eq!((text.as_str(), by), ("Be brief.", ada.user));
    node.cancel(&ada, id, CancelMode::Now).await;
    let before = node.log(id).await;
    let refused = fault(steer(node.context(Some(&ada)), words()).await.unwrap_err());
    assert_eq!((refused.code, refused.reason), (FaultCode::Conflict, Some(Reason::State)));
    assert_eq!(refused.current.unwrap()["status"], "cancelled");
    assert_eq!(node.log(id).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_asked_once_and_taken_away_by_who_resumes() {
    let node = Node::new(app(), slow()).await;
    let (ada, eve) = (node.someone("ada@example.com").await, node.someone("eve@example.com").await);
    let id = node.start(&ada).await.id;
    let cx = || node.context(Some(&ada));
    assert_eq!(fault(resume(cx(), Resume { id }).await.unwrap_err()).reason, Some(Reason::State), "it is not paused");
    let asked = pause(cx(), Pause { id }).await.unwrap().output;
    assert_eq!(pause(cx(), Pause { id }).await.unwrap().output, asked);
    assert!(asked.pause_requested_at.is_some());
    let resumed = resume(cx(), Resume { id }).await.unwrap().output;
    assert_eq!((resumed.pause_requested_at, resumed.status), (None, Status::Queued));
    assert_eq!(types(&node.log(id).await), ["run.pause_requested", "run.resumed"]);
    for refused in [
        pause(node.context(Some(&eve)), Pause { id }).await,
        resume(node.context(Some(&eve)), Resume { id }).await,
        steer(node.context(Some(&eve)), Steer { id, text: "x".into() }).await,
    ] {
        assert_eq!(fault(refused.unwrap_err()).code, FaultCode::NotFound);
    }
}
