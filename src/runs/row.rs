//! A run's row, and how it changes: pure functions of the row.

use crewline_protocol::{
    event::{RunEvent, Usage, WaitingFor},
    fault::Fault,
    operations::{
        crew::Executor,
        run::{Budget, CancelMode, Inputs, Run, Status, Subject},
    },
    value::{MessageId, MicroUsd, Millis, RecordId, Revision, RunId, SessionId, UserId, WorkspaceId},
};

use crate::{entity, store::Json};

entity! {
    /// A run as it is stored.
    pub struct RunRow in "runs" {
        /// Its id.
        id: RunId,
        /// Where it is.
        workspace_id: WorkspaceId,
        /// The workspace's revision at its last change.
        revision: Revision,
        /// When it was started by a person.
        created_at: Millis,
        /// When the row last changed.
        updated_at: Millis,
        /// The session that it belongs to.
        session_id: SessionId,
        /// The crew's name.
        crew: String,
        /// The app's version that it keeps.
        version: String,
        /// What it was started with.
        inputs: Json<Inputs>,
        /// Where it stands; moved on by `start`, the lease's holder and `cancel`.
        status: Status,
        /// How often it was begun; raised with each new lease.
        attempt: u32,
        /// From 0 to 1; set by the lease's holder when a task ends.
        progress: f64,
        /// The last task's output; set when it succeeds.
        output: Option<String>,
        /// Why it failed; set when it does.
        fault: Option<Json<Fault>>,
        /// Tokens that went into models; set with `progress`.
        input_tokens: i64,
        /// Tokens that came out.
        output_tokens: i64,
        /// What they cost.
        cost_microusd: MicroUsd,
        /// Who started it.
        started_by: UserId,
        /// When someone first asked for its end.
        cancel_requested_at: Option<Millis>,
        /// How it is to end: `graceful`, which may become `now`.
        cancel_mode: Option<String>,
        /// When it was first begun.
        started_at: Option<Millis>,
        /// When it ended.
        finished_at: Option<Millis>,
        /// Raised with every hold on it, also after one that was given up: what an older holder writes is refused.
        lease_epoch: i64,
        /// Since when it is to pause, or does; set by who asks for it, and taken away by who resumes it.
        pause_requested_at: Option<Millis>,
        /// Those with more are executed first.
        priority: i64,
        /// What it may take, beside what its crew may.
        budget: Option<Json<Budget>>,
        /// The collection of the record that it is about.
        subject_collection: Option<String>,
        /// The record that it is about.
        subject_id: Option<RecordId>,
        /// The message that it answers.
        message_id: Option<MessageId>,
        /// The run that it tries again.
        retry_of: Option<RunId>,
        /// The run that stands for it.
        parent_id: Option<RunId>,
        /// How many runs it stands for; nobody executes it itself.
        runs: Option<u32>,
        /// The run of its session that must end before it begins; taken away when that has ended.
        turn_after: Option<RunId>,
        /// How long it was executed, over all its attempts, in milliseconds; set with its usage.
        executed_ms: i64,
        /// Who executes it.
        executor: Executor,
        /// Whether whoever holds it next goes on with its attempt, for it was put away or given back; until it is held.
        continues: bool,
        /// What it waits for, while it is put away, or since nobody serves its crew; until it is held.
        waiting_for: Option<WaitingFor>,
    }
}

/// What a run has taken so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// What its models took and cost.
    pub usage: Usage,
    /// How long it was executed, in milliseconds.
    pub executed_ms: i64,
}

impl std::ops::AddAssign for Taken {
    fn add_assign(&mut self, other: Self) {
        self.usage += other.usage;
        self.executed_ms += other.executed_ms;
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// With the last task's output.
    Succeeded(String),
    /// With a fault.
    Failed(Fault),
    /// As someone asked.
    Cancelled,
}

/// What a request to cancel comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Cancelled {
    /// Nothing changes: it has ended, or this was asked before.
    Unchanged,
    /// Whoever executes it is told.
    Requested(RunRow),
    /// Nobody executes it: it has ended now.
    Ended(RunRow),
}

impl RunRow {
    /// As the wire has it.
    pub fn run(&self) -> Run {
        let row = self.clone();
        Run {
            id: row.id,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
            session_id: row.session_id,
            crew: row.crew,
            version: row.version,
            inputs: row.inputs.0,
            status: row.status,
            attempt: row.attempt,
            progress: row.progress,
            output: row.output,
            fault: row.fault.map(|fault| fault.0),
            usage: self.usage(),
            started_by: row.started_by,
            priority: i32::try_from(row.priority).unwrap_or_default(),
            budget: row.budget.map(|budget| budget.0),
            subject: row.subject_collection.zip(row.subject_id).map(|(collection, id)| Subject { collection, id }),
            subject_id: row.subject_id,
            message_id: row.message_id,
            retry_of: row.retry_of,
            parent_id: row.parent_id,
            runs: row.runs,
            waiting_for: row.waiting_for,
            cancel_requested_at: row.cancel_requested_at,
            pause_requested_at: row.pause_requested_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }

    /// The same, written at this revision.
    pub fn at(&self, revision: Revision) -> Run {
        Run { revision, ..self.run() }
    }

    /// What it has taken so far.
    pub fn taken(&self) -> Taken {
        Taken { usage: self.usage(), executed_ms: self.executed_ms }
    }

    /// What its models took and cost so far.
    pub fn usage(&self) -> Usage {
        let tokens = |tokens: i64| u64::try_from(tokens).unwrap_or(0);
        Usage { input_tokens: tokens(self.input_tokens), output_tokens: tokens(self.output_tokens), cost_microusd: self.cost_microusd }
    }

    /// How someone asked for its end.
    pub fn cancel_mode(&self) -> Option<CancelMode> {
        match self.cancel_mode.as_deref() {
            Some("now") => Some(CancelMode::Now),
            Some(_) => Some(CancelMode::Graceful),
            None => None,
        }
    }

    /// Held by somebody who begins this attempt, or goes on with it.
    #[must_use]
    pub fn begun(&self, attempt: u32, now: Millis) -> Self {
        let (started_at, lease_epoch) = (self.started_at.or(Some(now)), self.lease_epoch + 1);
        let (continues, waiting_for) = (false, None);
        Self { status: Status::Running, attempt, lease_epoch, started_at, continues, waiting_for, updated_at: now, ..self.clone() }
    }

    /// How its log says that it was begun.
    pub fn started(&self, at: Millis) -> RunEvent {
        RunEvent::RunStarted { at, attempt: self.attempt, crew: self.crew.clone(), inputs: self.inputs.0.clone() }
    }

    /// Put away until it is queued again: nobody holds it.
    #[must_use]
    pub fn parked(&self, r#for: WaitingFor, taken: Taken, now: Millis) -> Self {
        let progressed = self.progressed(self.progress, taken, now);
        Self { status: Status::Waiting, waiting_for: Some(r#for), continues: true, ..progressed }
    }

    /// Given back by whoever held it, who goes on with its attempt no more.
    #[must_use]
    pub fn given_back(&self, taken: Taken, now: Millis) -> Self {
        Self { continues: true, ..self.progressed(self.progress, taken, now).requeued(now) }
    }

    /// Queued, and nobody serves its crew.
    #[must_use]
    pub fn unserved(&self, now: Millis) -> Self {
        Self { waiting_for: Some(WaitingFor::Worker), updated_at: now, ..self.clone() }
    }

    /// Whether it stands for others, and is executed by nobody.
    pub fn stands_for_others(&self) -> bool {
        self.runs.is_some()
    }

    /// Free to begin, or, while the one before it in turn waits itself, after that one's own.
    #[must_use]
    pub fn next_in_turn(&self, after: Option<RunId>, now: Millis) -> Self {
        let begins = after.is_none() && self.stands_for_others();
        let next = Self { turn_after: after, updated_at: now, ..self.clone() };
        if begins { next.begun(1, now) } else { next }
    }

    /// Whether it was put away until somebody answers or resumes it.
    pub fn is_parked(&self) -> bool {
        self.status == Status::Waiting
    }

    /// Waits for somebody to go on with it.
    #[must_use]
    pub fn requeued(&self, now: Millis) -> Self {
        Self { status: Status::Queued, waiting_for: None, updated_at: now, ..self.clone() }
    }

    /// So far through its tasks, at this cost.
    #[must_use]
    pub fn progressed(&self, progress: f64, taken: Taken, now: Millis) -> Self {
        let tokens = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        let Taken { usage, executed_ms } = taken;
        Self {
            progress,
            executed_ms,
            input_tokens: tokens(usage.input_tokens),
            output_tokens: tokens(usage.output_tokens),
            cost_microusd: usage.cost_microusd,
            updated_at: now,
            ..self.clone()
        }
    }

    /// Ended.
    #[must_use]
    pub fn finished(&self, end: End, now: Millis) -> Self {
        let (status, output, fault) = match end {
            End::Succeeded(output) => (Status::Succeeded, Some(output), None),
            End::Failed(fault) => (Status::Failed, None, Some(Json(fault))),
            End::Cancelled => (Status::Cancelled, None, None),
        };
        let progress = if status == Status::Succeeded { 1.0 } else { self.progress };
        Self { status, output, fault, progress, waiting_for: None, finished_at: Some(now), updated_at: now, ..self.clone() }
    }

    /// Asked to end.
    pub fn cancelled(&self, mode: CancelMode, now: Millis) -> Cancelled {
        match self.asked_to_end(mode, now) {
            None => Cancelled::Unchanged,
            Some(asked) if self.status == Status::Running => Cancelled::Requested(asked),
            Some(asked) => Cancelled::Ended(asked.finished(End::Cancelled, now)),
        }
    }

    /// With the request to end; `None` where that changes nothing. A graceful one can be followed by one for now, not the other way round.
    pub fn asked_to_end(&self, mode: CancelMode, now: Millis) -> Option<Self> {
        let harder = matches!((self.cancel_mode(), mode), (None, _) | (Some(CancelMode::Graceful), CancelMode::Now));
        if self.status.is_final() || !harder {
            return None;
        }
        let name = match mode {
            CancelMode::Graceful => "graceful",
            CancelMode::Now => "now",
        };
        Some(Self {
            cancel_requested_at: self.cancel_requested_at.or(Some(now)),
            cancel_mode: Some(name.to_owned()),
            updated_at: now,
            ..self.clone()
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn row() -> RunRow {
        let at = Millis(1_000);
        RunRow {
            id: RunId::new(at, [1; 10]),
            workspace_id: WorkspaceId::new(at, [2; 10]),
            revision: Revision(3),
            created_at: at,
            updated_at: at,
            session_id: SessionId::new(at, [4; 10]),
            crew: "review".into(),
            version: "v".into(),
            inputs: Json(Inputs::new()),
            status: Status::Queued,
            attempt: 0,
            progress: 0.0,
            output: None,
            fault: None,
            input_tokens: 0,
            output_tokens: 0,
            cost_microusd: MicroUsd(0),
            started_by: UserId::new(at, [5; 10]),
            cancel_requested_at: None,
            cancel_mode: None,
            started_at: None,
            finished_at: None,
            lease_epoch: 0,
            pause_requested_at: None,
            priority: 0,
            budget: None,
            subject_collection: None,
            subject_id: None,
            message_id: None,
            retry_of: None,
            parent_id: None,
            runs: None,
            turn_after: None,
            executed_ms: 0,
            executor: Executor::Engine,
            continues: false,
            waiting_for: None,
        }
    }

    #[test]
    fn a_run_keeps_when_it_was_first_begun() {
        let begun = row().begun(1, Millis(5)).begun(2, Millis(9));
        let expected =
            RunRow { status: Status::Running, attempt: 2, lease_epoch: 2, started_at: Some(Millis(5)), updated_at: Millis(9), ..row() };
        assert_eq!(begun, expected);
    }

    #[test]
    fn a_queued_run_ends_at_once_when_it_is_cancelled() {
        let expected = RunRow {
            status: Status::Cancelled,
            cancel_requested_at: Some(Millis(7)),
            cancel_mode: Some("graceful".into()),
            finished_at: Some(Millis(7)),
            updated_at: Millis(7),
            ..row()
        };
        assert_eq!(row().cancelled(CancelMode::Graceful, Millis(7)), Cancelled::Ended(expected));
    }

    #[test]
    fn a_running_run_is_asked_once_for_each_mode_and_never_more_gently() {
        let running = row().begun(1, Millis(5));
        let Cancelled::Requested(graceful) = running.cancelled(CancelMode::Graceful, Millis(6)) else { panic!() };
        assert_eq!(graceful.cancelled(CancelMode::Graceful, Millis(7)), Cancelled::Unchanged);
        let Cancelled::Requested(now) = graceful.cancelled(CancelMode::Now, Millis(8)) else { panic!() };
        assert_eq!((now.cancel_requested_at, now.cancel_mode(), now.status), (Some(Millis(6)), Some(CancelMode::Now), Status::Running));
        assert_eq!(now.cancelled(CancelMode::Graceful, Millis(9)), Cancelled::Unchanged);
    }

    #[test]
    fn a_finished_run_stays_as_it_is() {
        let done = row().begun(1, Millis(5)).finished(End::Succeeded("out".into()), Millis(6));
        assert_eq!((done.status, done.progress, done.output.as_deref()), (Status::Succeeded, 1.0, Some("out")));
        assert_eq!(done.cancelled(CancelMode::Now, Millis(7)), Cancelled::Unchanged);
    }
}
