//! Starting runs: what is asked for is checked, and made into rows.

use crewline_protocol::{
    fault::{Fault, FaultCode},
    operations::run::{Inputs, OnBusy, Retry, Run, Start, Status, Subject},
    value::{MessageId, MicroUsd, Millis, Revision, RunId, SessionId, encode},
};

use super::{RunRow, inputs, load_row, turns};
use crate::{
    access::Identity,
    apps::{App, Crew},
    budgets,
    context::{Answer, Context, Failure, not_now},
    records,
    sessions::{self, SessionRow},
    store::{Commit, Json, Select},
};

/// The longest row, in bytes as the wire has it.
const ROW_BYTES: usize = 256 << 10;

/// Starts a run of a crew; it belongs to the server from then on.
///
/// # Errors
/// `invalid` for an unknown crew or subject and for inputs that do not fit the crew, `too_large`, `over_quota`, `not_found` for a session
/// that is not here, `conflict`, `state` for one that is put away, `conflict`, `busy` where another run goes on there and this one was
/// not to wait, `conflict`, `taken` for an id that is there already.
pub async fn start(cx: Context, input: Start) -> Result<Answer<Run>, Failure> {
    let begun = begin(&cx, input, Origin::default(), Commit::default()).await?;
    begun.written(&cx).await
}

/// Starts a run that has ended anew.
///
/// # Errors
/// As [`start`]; `not_found` for a run that is not here, `conflict`, `state` for one that has not ended.
pub async fn retry(cx: Context, input: Retry) -> Result<Answer<Run>, Failure> {
    let services = &cx.services;
    let run = load_row(services, cx.identity()?.workspace, input.id).await?;
    if !run.status.is_final() {
        return Err(not_now("the run has not ended: cancel it, or wait until it has", run.run()).into());
    }
    let for_each = match run.runs {
        Some(_) => Some(worth_another_try(services.store.select(&Select::by("parent_id", run.id)).await?)),
        None => None,
    };
    let wire = run.run();
    let there = sessions::missing(&services.store, &[run.session_id]).await?.is_empty();
    let input = Start {
        id: None,
        crew: run.crew,
        inputs: run.inputs.0,
        session_id: there.then_some(run.session_id),
        subject: wire.subject,
        for_each,
        priority: Some(wire.priority),
        budget: wire.budget,
        // Words that it was started with are no news to whatever goes on.
        on_busy: Some(OnBusy::Queue),
    };
    let origin = Origin { retry_of: Some(run.id), message_id: run.message_id.filter(|_| there) };
    begin(&cx, input, origin, Commit::default()).await?.written(&cx).await
}

/// What those runs that did not succeed were given; where all did, what all were.
fn worth_another_try(runs: Vec<RunRow>) -> Vec<Inputs> {
    let all_succeeded = runs.iter().all(|run| run.status == Status::Succeeded);
    runs.into_iter().filter(|run| all_succeeded || run.status != Status::Succeeded).map(|run| run.inputs.0).collect()
}

/// What a run comes from.
#[derive(Debug, Default)]
pub(super) struct Origin {
    pub(super) retry_of: Option<RunId>,
    pub(super) message_id: Option<MessageId>,
}

/// A start that was checked, with all that is to be written.
pub(super) struct Begun {
    /// The new run, or the one that goes on and got its words.
    pub(super) run: RunRow,
    pub(super) commit: Commit,
}

impl Begun {
    async fn written(self, cx: &Context) -> Result<Answer<Run>, Failure> {
        let run = self.run;
        let answer = cx.commit(self.commit, move |revision| run.at(revision)).await?;
        cx.services.hub.run_queued();
        Ok(answer)
    }
}

/// Checks a start, and puts what it writes into the commit.
pub(super) async fn begin(cx: &Context, mut input: Start, origin: Origin, commit: Commit) -> Result<Begun, Failure> {
    let identity = cx.identity()?.clone();
    let services = &cx.services;
    let app = services.apps.of(identity.workspace);
    let crew = app.crew(&input.crew)?;
    let mut given = crew.default_inputs.clone();
    given.extend(std::mem::take(&mut input.inputs));
    input.inputs = given;
    let shares = shares(crew, &input)?;
    budgets::check(services, identity.workspace, &crew.name).await?;
    if let Some(subject) = &input.subject {
        records::readable(services, &identity, &subject.collection, subject.id).await?.ok_or_else(no_such_subject)?;
    }
    let commit = Commit { workspace: Some(identity.workspace), ..commit };
    let now = cx.now();
    let (session_id, turn_after, commit) = match input.session_id {
        Some(session_id) => {
            let session = sessions::load(services, identity.workspace, session_id).await?;
            session.in_use()?;
            let on_busy = input.on_busy.unwrap_or(crew.on_busy);
            let in_turn = turns::of(&services.store, session_id, &crew.name).await?;
            let turn_after = match (in_turn, on_busy) {
                (None, _) => None,
                (Some(in_turn), OnBusy::Queue) => Some(in_turn.last),
                (Some(in_turn), OnBusy::Reject) => return Err(turns::busy(&load_row(services, identity.workspace, in_turn.first).await?)),
                (Some(in_turn), OnBusy::Steer) => {
                    let first = load_row(services, identity.workspace, in_turn.first).await?;
                    let words = turns::words(crew, &input.inputs)?;
                    return turns::steer_instead(cx, &identity, &first, (words, origin.message_id), commit);
                }
            };
            // Whoever else starts something here at the same time sees it, and looks again who is the last in turn.
            (session_id, turn_after, commit.replace(&session, &session.used(now)))
        }
        None => {
            let session_id = services.clock.id(SessionId::new);
            let session = SessionRow::new(session_id, identity.workspace, identity.user, crew.title.clone(), now);
            (session_id, None, commit.insert(&session))
        }
    };
    let (id, commit) = cx.id::<RunRow, _>(input.id, RunId::new, commit).await?;
    let start = Beginning { app: &app, crew, identity: &identity, session_id, turn_after, origin, now };
    let runs = start.rows(id, &input, shares, || services.clock.id(RunId::new));
    let commit = runs.iter().try_fold(commit, |commit, run| start.insert(commit, run, services.settings.answer_bytes as usize))?;
    let run = runs.into_iter().next().ok_or_else(Fault::not_found)?;
    Ok(Begun { run, commit })
}

/// What each of the runs is given; `None` for one run by itself.
fn shares(crew: &Crew, input: &Start) -> Result<Option<Vec<Inputs>>, Fault> {
    let Some(for_each) = &input.for_each else {
        inputs::check(crew, &input.inputs, "inputs")?;
        return Ok(None);
    };
    let share = |(place, own): (usize, &Inputs)| {
        let mut inputs = input.inputs.clone();
        inputs.extend(own.clone());
        inputs::check(crew, &inputs, &format!("for_each[{place}]"))?;
        Ok(inputs)
    };
    for_each.iter().enumerate().map(share).collect::<Result<_, Fault>>().map(Some)
}

/// What all rows of a start have in common.
struct Beginning<'a> {
    app: &'a App,
    crew: &'a Crew,
    identity: &'a Identity,
    session_id: SessionId,
    turn_after: Option<RunId>,
    origin: Origin,
    now: Millis,
}

impl Beginning<'_> {
    /// The run, or the one that stands for those that follow it.
    fn rows(&self, id: RunId, input: &Start, shares: Option<Vec<Inputs>>, new_id: impl Fn() -> RunId) -> Vec<RunRow> {
        let Some(shares) = shares else {
            let inputs = input.inputs.clone();
            return vec![self.row(id, input, inputs)];
        };
        let parent = RunRow { runs: u32::try_from(shares.len()).ok(), status: Status::Queued, ..self.row(id, input, input.inputs.clone()) };
        let parent = if self.turn_after.is_none() { parent.begun(1, self.now) } else { parent };
        let children = shares.into_iter().map(|inputs| RunRow { parent_id: Some(id), retry_of: None, ..self.row(new_id(), input, inputs) });
        std::iter::once(parent).chain(children).collect()
    }

    fn row(&self, id: RunId, input: &Start, inputs: Inputs) -> RunRow {
        let subject = input.subject.clone();
        RunRow {
            id,
            workspace_id: self.identity.workspace,
            revision: Revision(0),
            created_at: self.now,
            updated_at: self.now,
            session_id: self.session_id,
            crew: self.crew.name.clone(),
            version: self.app.version.clone(),
            inputs: Json(inputs),
            status: Status::Queued,
            attempt: 0,
            progress: 0.0,
            output: None,
            fault: None,
            input_tokens: 0,
            output_tokens: 0,
            cost_microusd: MicroUsd(0),
            started_by: self.identity.user,
            cancel_requested_at: None,
            cancel_mode: None,
            started_at: None,
            finished_at: None,
            lease_epoch: 0,
            pause_requested_at: None,
            priority: input.priority.unwrap_or_default().into(),
            budget: input.budget.map(Json),
            subject_collection: subject.as_ref().map(|Subject { collection, .. }| collection.clone()),
            subject_id: subject.map(|subject| subject.id),
            message_id: self.origin.message_id,
            retry_of: self.origin.retry_of,
            parent_id: None,
            runs: None,
            turn_after: self.turn_after,
            executed_ms: 0,
            executor: self.crew.executor,
            continues: false,
            waiting_for: None,
        }
    }

    fn insert(&self, commit: Commit, run: &RunRow, answer_bytes: usize) -> Result<Commit, Fault> {
        // Its output must find room in the same row.
        let (bytes, most) = (encode(&run.run()).len(), ROW_BYTES - answer_bytes);
        if bytes > most {
            return Err(Fault::new(FaultCode::TooLarge, format!("the run would have {bytes} bytes; {most} are the most: give it less")));
        }
        let at = self.now;
        let commit = commit.insert(run);
        Ok(if run.status == Status::Running { commit.append(run.id, &[run.started(at)]) } else { commit })
    }
}

fn no_such_subject() -> Fault {
    Fault::invalid("subject.id", "unknown", "there is no such record that you may read")
}
