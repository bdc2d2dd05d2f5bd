//! Reads, one implementation for every noun: which noun is asked for, and the plan's answer.

use std::sync::Arc;

use crewline_protocol::{
    fault::{Fault, Reason},
    frame::Body,
    operations::lease::MINE,
    read::{Asked, ReadOperation},
    value::decode,
};

use super::{Prepare, Prepared, Reply, Router, validate};
use crate::{
    access::Identity,
    approvals,
    apps::App,
    artifacts, budgets,
    context::{Answer, Context, Failure, Services},
    crews, keys, leases, members,
    query::{self, Noun, Plan, Shape},
    records, runs, sessions, workers, workspaces,
};

/// Decodes a read's input.
pub(super) type Ask = fn(Body<'_>) -> Result<Asked, Fault>;

impl Router {
    /// Binds a read to its noun.
    pub(super) fn read<O: ReadOperation>(self) -> Self {
        let ask: Ask = |body| {
            let input: O = body.decode()?;
            validate(&input)?;
            Ok(input.asked())
        };
        let prepare: Prepare = Box::new(move |body| {
            let asked = Arc::new(ask(body)?);
            Ok(Prepared { digest: [0; 32], run: Box::new(move |cx| Box::pin(answer(cx, asked.clone()))) })
        });
        self.route::<O>(prepare, Some(ask))
    }
}

/// A question's plan, for this principal.
///
/// # Errors
/// `not_found` for a noun that is not there, `forbidden` for one that may not be read, `invalid` for what can't be asked of it.
pub(super) fn plan(services: &Services, identity: &Identity, asked: &Asked) -> Result<Plan, Fault> {
    let app = services.apps.current();
    let nouns = |name: &str| collection(&app, name).or_else(|| noun(name));
    let noun = match (asked.noun, asked.parent.as_deref()) {
        ("record", Some(name)) => collection(&app, name).ok_or_else(|| records::no_collection(&app, name))?,
        ("crew", _) => {
            let (apps, workspace) = (&services.apps, identity.workspace);
            Arc::new(crews::crews_noun(&apps.of(workspace), &apps.imported(workspace), &apps.brought(workspace)))
        }
        ("agent", _) => Arc::new(crews::agents_noun(&services.apps.of(identity.workspace), &services.apps.imported(identity.workspace))),
        ("collection", _) => Arc::new(records::collections_noun(&app)),
        ("lease", Some(MINE)) if identity.worker.is_none() => return Err(nobody()),
        (name, _) => noun(name).ok_or_else(Fault::not_found)?,
    };
    query::compile(&noun, asked, identity, &nouns)
}

/// Whoever holds no leases asks for their own.
fn nobody() -> Fault {
    Fault::conflict(Reason::State, "no worker has registered on this connection: call `worker.register` first, or leave out `mine`")
}

/// Asks a read, and gives its output as the type that it is.
///
/// # Errors
/// As [`plan`]; `not_found` for a row that is absent or not visible.
pub async fn read<O: ReadOperation>(cx: Context, input: O) -> Result<Answer<O::Output>, Failure> {
    let Reply { output, as_of, .. } = answer(cx, Arc::new(input.asked())).await?;
    let output = decode(&output).map_err(|error| Failure::Error(Box::new(error)))?;
    Ok(Answer { output, as_of, signs_in: None })
}

async fn answer(cx: Context, asked: Arc<Asked>) -> Result<Reply, Failure> {
    let identity = cx.identity()?;
    let plan = plan(&cx.services, identity, &asked)?;
    let mut snapshot = cx.services.store.snapshot().await?;
    let as_of = snapshot.revision(identity.workspace).await?;
    let output = query::read(&plan, &mut snapshot).await?;
    let list = match &plan.shape {
        Shape::List(list) => Some(list),
        Shape::Row(_) | Shape::Figures(_) => None,
    };
    Ok(Reply { output: output.encode(list).into(), as_of: Some(as_of), signs_in: None })
}

fn noun(name: &str) -> Option<Arc<Noun>> {
    match name {
        "api_key" => Some(keys::noun()),
        "approval" => Some(approvals::noun()),
        "artifact" => Some(artifacts::noun()),
        "budget" => Some(budgets::noun()),
        "lease" => Some(leases::noun()),
        "invitation" => Some(members::invitations()),
        "member" => Some(members::noun()),
        "message" => Some(sessions::messages()),
        "run" => Some(runs::noun()),
        "session" => Some(sessions::noun()),
        "worker" => Some(workers::noun()),
        "workspace" => Some(workspaces::noun()),
        _ => None,
    }
}

/// A collection's records: no collection is called as a noun.
fn collection(app: &App, name: &str) -> Option<Arc<Noun>> {
    app.collections.get(name).map(|collection| Arc::new(records::noun(collection)))
}
