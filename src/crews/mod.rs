//! Crews: importing them into a workspace, changing them, giving them back as they were written.

mod rows;

pub use rows::{agents_noun, crews_noun};

use crewline_protocol::{
    fault::{Fault, FaultCode, FieldFault},
    operations::{
        auth::Done,
        crew::{Crew, Delete, Export, Exported, FILES, Files, Import, Update},
    },
    value::{CrewId, Revision, WorkspaceId, encode},
};
use rows::{crew_id, wire};

use crate::{
    apps::{App, BroughtCrew, CrewRow, Problem, overlaid},
    context::{Answer, Context, Failure, Services, taken, unchanged},
    store::{Commit, Json},
};

/// Problems that a fault names: enough to begin with.
const PROBLEMS: usize = 20;
/// Bytes of a row on the wire.
const ROW_BYTES: usize = 256 << 10;

/// Imports a crew.
///
/// # Errors
/// `invalid` for files that make no sound crew, `conflict`, `taken` for a name or id that is there already, `over_quota` where the
/// workspace has as many as it may.
pub async fn import(cx: Context, input: Import) -> Result<Answer<Crew>, Failure> {
    let identity = cx.identity()?.clone();
    let services = &cx.services;
    let served = services.apps.current();
    let others = CrewRow::of(&services.store, identity.workspace).await?;
    if served.crews.contains_key(&input.name) || others.iter().any(|other| other.name == input.name) {
        return Err(taken().into());
    }
    let most = services.settings.workspace_crews as usize;
    if others.len() >= most {
        let message = format!("the workspace has {} imported crews; {most} are the most: delete one first", others.len());
        return Err(Fault::new(FaultCode::OverQuota, message).into());
    }
    let app = checked(&served, &others, &input.name, &input.files)?;
    let (id, commit) = cx.id::<CrewRow, _>(input.id, CrewId::new, Commit::in_workspace(identity.workspace)).await?;
    let now = cx.now();
    let row = CrewRow {
        id,
        workspace_id: identity.workspace,
        revision: Revision(0),
        created_at: now,
        updated_at: now,
        name: input.name,
        files: Json(input.files),
        imported_by: identity.user,
    };
    let commit = commit.insert(&row);
    written(&cx, commit, app, row).await
}

/// Changes an imported crew.
///
/// # Errors
/// As [`import`]; `not_found` for one that the workspace did not import, `conflict`, `revision`.
pub async fn update(cx: Context, input: Update) -> Result<Answer<Crew>, Failure> {
    let identity = cx.identity()?.clone();
    let before = load(&cx, input.id).await?;
    unchanged(input.revision, before.revision, || Exported { name: before.name.clone(), files: before.files.0.clone() })?;
    let mut others = CrewRow::of(&cx.services.store, identity.workspace).await?;
    others.retain(|other| other.id != before.id);
    let app = checked(&cx.services.apps.current(), &others, &before.name, &input.files)?;
    let row = CrewRow { updated_at: cx.now(), files: Json(input.files), imported_by: identity.user, ..before.clone() };
    let commit = Commit::in_workspace(identity.workspace).replace(&before, &row);
    written(&cx, commit, app, row).await
}

/// Deletes an imported crew, or one that a worker brought: while one serves it, it comes back with the worker's next registration.
///
/// # Errors
/// `not_found` for one that the workspace neither imported nor was brought, `conflict`, `revision`.
pub async fn delete(cx: Context, input: Delete) -> Result<Answer<Done>, Failure> {
    let workspace = cx.identity()?.workspace;
    let brought = cx.services.store.get::<BroughtCrew>(input.id).await?.filter(|row| row.workspace_id == workspace);
    if let Some(row) = brought {
        unchanged(input.revision, row.revision, || Exported { name: row.name.clone(), files: Files::new() })?;
        let answer = cx.commit(Commit::in_workspace(workspace).remove(&row), |_| Done {}).await?;
        look_again(&cx.services, workspace).await?;
        return Ok(answer);
    }
    let row = load(&cx, input.id).await?;
    unchanged(input.revision, row.revision, || Exported { name: row.name.clone(), files: row.files.0.clone() })?;
    let answer = cx.commit(Commit::in_workspace(row.workspace_id).remove(&row), |_| Done {}).await?;
    look_again(&cx.services, row.workspace_id).await?;
    Ok(answer)
}

/// Reads a crew's files: of one that was imported as it was, of the app's own as the app's folder has them.
///
/// # Errors
/// `not_found` for one that is not there.
pub async fn export(cx: Context, input: Export) -> Result<Answer<Exported>, Failure> {
    let workspace = cx.identity()?.workspace;
    let app = cx.services.apps.of(workspace);
    let imported = cx.services.apps.imported(workspace);
    let imported = imported.iter().find(|row| row.id == input.id).map(|row| row.name.clone());
    let name = imported.or_else(|| app.crews.keys().find(|name| crew_id(&app, name) == input.id).cloned());
    let name = name.ok_or_else(Fault::not_found)?;
    let file = |file: &&str| Some(((*file).to_owned(), app.files.get(&format!("crews/{name}/{file}"))?.clone()));
    let files: Files = FILES.iter().filter_map(file).collect();
    Ok(Exported { name, files }.into())
}

/// The app with this crew in it.
fn checked(served: &App, others: &[CrewRow], name: &str, files: &Files) -> Result<App, Failure> {
    let others = others.iter().map(|other| (other.name.as_str(), &other.files.0));
    let app = overlaid(served, others.clone().chain([(name, files)])).or_else(|problems| {
        // What is wrong with another, since the app has changed, is not this one's.
        if problems.iter().any(|problem| problem.file.starts_with(&format!("crews/{name}/"))) {
            return Err(refused(name, &problems));
        }
        overlaid(served, [(name, files)]).map_err(|problems| refused(name, &problems))
    })?;
    let Some(crew) = app.crews.get(name) else {
        return Err(Fault::invalid("files", "required", "there is no crew.yaml among the files: it names the tasks in their order").into());
    };
    let tools = crew.agents.values().flat_map(|agent| &agent.tools).chain(crew.tasks.iter().flat_map(|task| &task.tools));
    if let Some(grant) = tools.into_iter().find(|grant| grant.tool.starts_with("mcp.")) {
        let message =
            format!("`{}` is a server's, which runs with the operator's rights: crews that are imported may not use it", grant.tool);
        return Err(Fault::invalid("files.crew.yaml", "forbidden", message).into());
    }
    Ok(app)
}

/// What is wrong, at the files' own paths.
fn refused(name: &str, problems: &[Problem]) -> Fault {
    let folder = format!("crews/{name}/");
    let fields = problems.iter().take(PROBLEMS).map(|problem| {
        let file = problem.file.strip_prefix(&folder).unwrap_or(&problem.file);
        let code = if problem.message.starts_with("needs a worker") { "needs_worker" } else { "unsound" };
        FieldFault {
            path: format!("files.{file}"),
            code: code.into(),
            message: format!("{}:{}: {}", problem.line, problem.column, problem.message),
        }
    });
    Fault::invalid_fields(fields.collect())
}

async fn written(cx: &Context, commit: Commit, app: App, row: CrewRow) -> Result<Answer<Crew>, Failure> {
    let workspace = row.workspace_id;
    let crew = wire(&app, &app.crews[&row.name], Some(&row));
    let bytes = encode(&crew).len();
    if bytes > ROW_BYTES {
        return Err(Fault::new(FaultCode::TooLarge, format!("the crew's row would have {bytes} bytes; {ROW_BYTES} are the most")).into());
    }
    let answer = cx.commit(commit, move |revision| Crew { revision, ..crew.clone() }).await?;
    look_again(&cx.services, workspace).await?;
    Ok(answer)
}

/// From now on the workspace has what it imported.
async fn look_again(services: &Services, workspace: WorkspaceId) -> Result<(), Failure> {
    services.apps.look_again(workspace, &services.store, services.clock.now()).await?;
    services.hub.ask_again();
    Ok(())
}

async fn load(cx: &Context, id: CrewId) -> Result<CrewRow, Failure> {
    let workspace = cx.identity()?.workspace;
    let row = cx.services.store.get::<CrewRow>(id).await?;
    Ok(row.filter(|row| row.workspace_id == workspace).ok_or_else(Fault::not_found)?)
}

#[cfg(test)]
mod tests;
