//! Registering workers, and asking them to take no more.

use crewline_protocol::{
    fault::{Fault, FaultCode},
    operations::{
        crew::Executor,
        lease::HeldSince,
        worker::{Drain, Register, Registered, ServedCrew, State, Worker},
    },
    value::{ApiKeyId, CrewId, Revision, WorkerId, WorkspaceId},
};

use super::{renew::renewed, row::WorkerRow, turn::stored};
use crate::{
    access::Identity,
    apps::{BroughtCrew, Schema},
    context::{Answer, Context, Failure, Services},
    leases::{self, Assignment},
    store::{Commit, Condition, Json, Select},
};

/// Registers a worker: the connection acts as it from now on.
///
/// # Errors
/// `invalid` for a crew that the engine executes, and for what is no JSON Schema; `over_quota` where the workspace has as many crews from
/// workers as it may.
pub async fn register(cx: Context, input: Register) -> Result<Answer<Registered>, Failure> {
    let identity = cx.identity()?.clone();
    let services = &cx.services;
    let key: ApiKeyId = identity.principal.id.parse().map_err(|_| Fault::not_found())?;
    let now = cx.now();
    let commit = Commit::in_workspace(identity.workspace);
    let (commit, brings) = brought(&cx, identity.workspace, &input.crews, commit).await?;
    let same = Select::by("api_key_id", key).and(Condition::Equals("name", input.name.as_str().into()));
    let before = services.store.select::<WorkerRow>(&same).await?.pop();
    let mut row = WorkerRow {
        id: before.as_ref().map_or_else(|| services.clock.id(WorkerId::new), |before| before.id),
        workspace_id: identity.workspace,
        revision: Revision(0),
        created_at: before.as_ref().map_or(now, |before| before.created_at),
        updated_at: now,
        name: input.name,
        api_key_id: key,
        crews: Json(input.crews.iter().map(|crew| crew.name.clone()).collect()),
        labels: Json(input.labels),
        capacity: input.capacity,
        held: before.as_ref().map_or(0, |before| before.held),
        state: State::Offline,
        drained: before.as_ref().is_some_and(|before| before.drained),
        last_seen_at: now,
    };
    row.state = row.present();
    let commit = match &before {
        Some(before) => commit.replace(before, &row),
        None => commit.insert(&row),
    };
    let committed = match services.store.commit(commit).await {
        // The same worker registers twice at once: the second finds the first.
        Err(crate::store::CommitError::Taken(_)) => return Err(Failure::Stale(crate::context::taken())),
        committed => committed?,
    };
    let worker = row.at(committed.revision.unwrap_or_default());
    if brings {
        services.apps.look_again(identity.workspace, &services.store, now).await?;
        services.hub.ask_again();
    }
    services.hub.superseded(worker.id, &identity);
    let held = goes_on_with(services, worker.id, &input.held).await?;
    services.hub.run_queued();
    let lease_ms = services.settings.lease_ms;
    let acts = Identity { worker: Some(worker.id), ..Identity::clone(&identity) };
    Ok(Answer::from(Registered { worker, lease_ms, held }).signing_in(acts.into()))
}

/// Asks a worker to take no more runs, or to take some again.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace.
pub async fn drain(cx: Context, input: Drain) -> Result<Answer<Worker>, Failure> {
    let workspace = cx.identity()?.workspace;
    let row = cx.services.store.get::<WorkerRow>(input.id).await?;
    let row = row.filter(|row| row.workspace_id == workspace).ok_or_else(Fault::not_found)?;
    let mut after = WorkerRow { drained: input.drained.unwrap_or(true), updated_at: cx.now(), ..row.clone() };
    if after.state != State::Offline {
        after.state = after.present();
    }
    let answer = cx.commit(Commit::in_workspace(workspace).replace(&row, &after), move |revision| after.at(revision)).await?;
    cx.services.hub.worker_free();
    Ok(answer)
}

/// What a worker goes on with of what it held; the rest is lost to it.
async fn goes_on_with(
    services: &Services,
    worker: WorkerId,
    named: &[crewline_protocol::operations::lease::Held],
) -> Result<Vec<HeldSince>, Failure> {
    let holds: Vec<Assignment> = services.store.select(&Select::by("worker_id", worker)).await?;
    let is_named = |hold: &&Assignment| named.iter().any(|held| held.run_id == hold.run_id && held.lease_epoch == hold.epoch);
    for hold in holds.iter().filter(|hold| !is_named(hold)) {
        leases::lose(&services.store, &services.clock, hold, services.settings.max_attempts, None).await?;
        services.lines.forget(hold.run_id);
    }
    let lost = renewed(services, worker, named).await?;
    let mut held = Vec::new();
    for hold in holds.iter().filter(|hold| is_named(hold) && !lost.contains(&hold.run_id)) {
        let line = services.lines.of(hold.run_id);
        let _turn = line.turn.lock().await;
        // What came on an older connection may still be on its way.
        let _all_written = line.under_way.write().await;
        let position = stored(&services.store, hold.run_id).await?.filter(|position| position.lease == hold.id);
        held.extend(position.map(|at| HeldSince { run_id: hold.run_id, lease_epoch: at.epoch, seq: at.seq }));
    }
    Ok(held)
}

/// Puts crews that nobody described, or a worker otherwise before, into the commit; and whether there are any.
async fn brought(cx: &Context, workspace: WorkspaceId, crews: &[ServedCrew], commit: Commit) -> Result<(Commit, bool), Failure> {
    let services = &cx.services;
    let app = services.apps.of(workspace);
    let known = BroughtCrew::of(&services.store, workspace).await?;
    let (mut commit, mut changed, mut new) = (commit, false, 0);
    for (place, crew) in crews.iter().enumerate() {
        if crews[..place].iter().any(|other| other.name == crew.name) {
            return Err(Fault::invalid(format!("crews[{place}].name"), "taken", "this crew stands there twice").into());
        }
        if app.files.contains_key(&format!("crews/{}/crew.yaml", crew.name)) {
            if app.crews.get(&crew.name).is_some_and(|own| own.executor == Executor::Engine) {
                let message = format!(
                    "the server's engine executes crew `{}`: write `executor: worker` in its crew.yaml, or give yours another name",
                    crew.name
                );
                return Err(Fault::invalid(format!("crews[{place}].name"), "taken", message).into());
            }
            continue;
        }
        let before = known.iter().find(|known| known.name == crew.name);
        let now = cx.now();
        let row = BroughtCrew {
            id: before.map_or_else(|| services.clock.id(CrewId::new), |before| before.id),
            workspace_id: workspace,
            revision: Revision(0),
            created_at: before.map_or(now, |before| before.created_at),
            updated_at: now,
            name: crew.name.clone(),
            version: crew.version.clone(),
            description: crew.description.clone(),
            input_schema: Json(crew.input_schema.clone()),
        };
        Schema::new(&row.schema()).map_err(|error| {
            let path = format!("crews[{place}].input_schema{}", error.pointer.replace('/', "."));
            Fault::invalid(path, "format", format!("is no JSON Schema: {}", error.message))
        })?;
        let says = |row: &BroughtCrew| (row.version.clone(), row.description.clone(), row.input_schema.clone());
        match before {
            Some(before) if says(before) == says(&row) => {}
            Some(before) => (commit, changed) = (commit.replace(before, &row), true),
            None => (commit, changed, new) = (commit.insert(&row), true, new + 1),
        }
    }
    let most = services.settings.workspace_crews as usize;
    if new > 0 && known.len() + new > most {
        let message =
            format!("the workspace would have {} crews from workers; {most} are the most: bring fewer, or delete some", known.len() + new);
        return Err(Fault::new(FaultCode::OverQuota, message).into());
    }
    Ok((commit, changed))
}
