//! What people have said to a run, as its log tells it: that it is to end or to pause, words to its agents, answers to its questions.

use std::collections::{BTreeMap, VecDeque};

use crewline_protocol::{
    RunEvent,
    operations::{
        approval::{Approval, Status},
        run::CancelMode,
    },
    value::{ApprovalId, Millis, SteerId, UserId},
};
use tokio::sync::watch;

/// What people have said so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Said {
    /// How it is to end.
    pub(super) cancel: Option<CancelMode>,
    /// Whether it is to pause.
    pub(super) paused: bool,
    /// Its questions, and those of them that have answers with these.
    pub(super) approvals: BTreeMap<ApprovalId, Approval>,
    /// Words that no agent has read yet, the earliest first.
    pub(super) steers: VecDeque<Steer>,
}

/// Words to an agent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Steer {
    pub(super) id: SteerId,
    pub(super) text: String,
    pub(super) by: UserId,
    pub(super) at: Millis,
}

impl Said {
    /// Whether events of this type say anything: most of a log are words of models.
    pub(super) fn hears(r#type: &str) -> bool {
        ["run.", "approval.", "steer."].iter().any(|of| r#type.starts_with(of))
    }

    /// Takes the next event of the log.
    pub(super) fn hear(&mut self, event: &RunEvent) {
        match event {
            RunEvent::RunCancelRequested { mode, .. } => self.cancel = Some(*mode),
            RunEvent::RunPauseRequested { .. } => self.paused = true,
            RunEvent::RunResumed { .. } => self.paused = false,
            RunEvent::ApprovalRequested { approval, .. } | RunEvent::ApprovalAnswered { approval, .. } => {
                self.approvals.insert(approval.id, (**approval).clone());
            }
            RunEvent::SteerReceived { at, steer_id, text, by } => {
                self.steers.push_back(Steer { id: *steer_id, text: text.clone(), by: *by, at: *at });
            }
            RunEvent::SteerApplied { steer_id, .. } => self.steers.retain(|steer| steer.id != *steer_id),
            _ => {}
        }
    }
}

/// What people say while a run is executed.
pub(super) struct People(watch::Sender<Said>);

impl People {
    pub(super) fn new(said: Said) -> Self {
        Self(watch::Sender::new(said))
    }

    /// Takes the next event of the log.
    pub(super) fn hear(&self, event: &RunEvent) {
        self.0.send_modify(|said| said.hear(event));
    }

    /// Looks at what was said.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Said) -> T) -> T {
        look(&self.0.borrow())
    }

    /// The words that no agent has read yet; whoever takes them lets one read them.
    pub(super) fn take_steers(&self) -> VecDeque<Steer> {
        // Most model calls find none: nobody is woken for that.
        if self.look(|said| said.steers.is_empty()) {
            return VecDeque::new();
        }
        let mut steers = VecDeque::new();
        self.0.send_modify(|said| steers = std::mem::take(&mut said.steers));
        steers
    }

    /// Comes to its end when something holds of what was said.
    pub(super) async fn until(&self, holds: impl FnMut(&Said) -> bool) {
        // The sender is here.
        let _ = self.0.subscribe().wait_for(holds).await;
    }

    /// The answer to a question.
    pub(super) async fn answer(&self, question: ApprovalId) -> Option<Approval> {
        let answered = |said: &Said| said.approvals.get(&question).filter(|approval| approval.status != Status::Pending).cloned();
        self.until(|said| answered(said).is_some()).await;
        self.look(answered)
    }
}
