//! Runs: starting and reading them. What people ask of them is in `control`, what executes them is in `leases` and `engine`.

mod inputs;
mod row;

pub use row::{Cancelled, End, RunRow};

#[cfg(test)]
pub(crate) use row::tests::row as test_row;

use std::sync::{Arc, LazyLock};

use crewline_protocol::{
    event::{RunEvent, Usage, WaitingFor},
    fault::{Fault, FaultCode},
    operations::run::{self, Run, Start, Status},
    value::{MicroUsd, Revision, RunId, SessionId, WorkspaceId, encode},
};

use crate::{
    apps::Executor,
    context::{Answer, Context, Failure, Services, taken},
    query::Noun,
    sessions::{self, SessionRow},
    store::{Commit, Guard, Json},
};

/// The longest row, in bytes as the wire has it.
pub const ROW_BYTES: usize = 256 << 10;

/// Runs, as reads see them.
pub fn noun() -> Arc<Noun> {
    static NOUN: LazyLock<Arc<Noun>> = LazyLock::new(|| Arc::new(Noun::of(&run::NOUN, |row: RunRow| encode(&row.run()))));
    NOUN.clone()
}

/// Starts a run of a crew; it belongs to the server from then on.
///
/// # Errors
/// `invalid` for an unknown crew and for inputs that do not fit it, `too_large`, `not_found` for a session that is not here,
/// `conflict`, `state` for one that is put away, `conflict`, `taken` for an id that is there already.
pub async fn start(cx: Context, input: Start) -> Result<Answer<Run>, Failure> {
    let identity = cx.identity()?.clone();
    let services = &cx.services;
    let app = services.apps.current();
    let crew = app.crews.get(&input.crew).ok_or_else(|| {
        let known: Vec<&str> = app.crews.keys().map(String::as_str).collect();
        Fault::invalid("crew", "unknown", format!("there is no crew `{}`; there are: {}", input.crew, known.join(", ")))
    })?;
    inputs::check(crew, &input.inputs)?;
    let mut commit = Commit::in_workspace(identity.workspace);
    let id = match input.id {
        Some(id) if services.store.get::<RunRow>(id).await?.is_some() => return Err(taken().into()),
        Some(id) => {
            commit = commit.guard(Guard::absent::<RunRow>(id));
            id
        }
        // Nobody has it: looking for it would cost more than making it.
        None => services.clock.id(RunId::new),
    };
    let now = cx.now();
    let session_id = match input.session_id {
        Some(session_id) => {
            let session = sessions::load(services, identity.workspace, session_id).await?;
            commit = commit.guard(session.in_use()?);
            session_id
        }
        None => {
            let session_id = services.clock.id(SessionId::new);
            commit = commit.insert(&SessionRow::new(session_id, identity.workspace, identity.user, crew.title.clone(), now));
            session_id
        }
    };
    let waits = crew.executor == Executor::Worker;
    let run = RunRow {
        id,
        workspace_id: identity.workspace,
        revision: Revision(0),
        created_at: now,
        updated_at: now,
        session_id,
        crew: input.crew,
        version: app.version.clone(),
        inputs: Json(input.inputs),
        status: if waits { Status::Waiting } else { Status::Queued },
        attempt: 0,
        progress: 0.0,
        output: None,
        fault: None,
        input_tokens: 0,
        output_tokens: 0,
        cost_microusd: MicroUsd(0),
        started_by: identity.user,
        cancel_requested_at: None,
        cancel_mode: None,
        started_at: None,
        finished_at: None,
        lease_epoch: 0,
        pause_requested_at: None,
    };
    // Its output must find room in the same row.
    let (bytes, most) = (encode(&run.run()).len(), ROW_BYTES - services.settings.answer_bytes as usize);
    if bytes > most {
        return Err(Fault::new(FaultCode::TooLarge, format!("the run would have {bytes} bytes; {most} are the most: give it less")).into());
    }
    commit = commit.insert(&run);
    if waits {
        commit = commit.append(id, &[RunEvent::RunWaiting { at: now, r#for: WaitingFor::Worker }]);
    }
    let answer = cx.commit(commit, move |revision| run.at(revision)).await?;
    services.hub.run_queued();
    Ok(answer)
}

/// Reads a run of this workspace.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace: both read the same.
pub async fn load(services: &Services, workspace: WorkspaceId, run: RunId) -> Result<Run, Failure> {
    Ok(load_row(services, workspace, run).await?.run())
}

/// The same, as it is stored.
///
/// # Errors
/// As [`load`].
pub async fn load_row(services: &Services, workspace: WorkspaceId, run: RunId) -> Result<RunRow, Failure> {
    let row = services.store.get::<RunRow>(run).await?;
    Ok(row.filter(|row| row.workspace_id == workspace).ok_or_else(Fault::not_found)?)
}

/// The event that says how a row ended.
pub fn finished_event(row: &RunRow, usage: Usage) -> RunEvent {
    RunEvent::RunFinished {
        at: row.updated_at,
        status: row.status,
        output: row.output.clone(),
        fault: row.fault.clone().map(|fault| fault.0),
        usage,
    }
}

#[cfg(test)]
mod tests;
