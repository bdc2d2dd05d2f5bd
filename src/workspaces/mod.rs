//! Workspaces: the boundaries of members, data and quota.

use std::sync::{Arc, LazyLock};

use crewline_protocol::{
    fault::Fault,
    operations::workspace::{self, List, Update, Workspace as Wire},
    read::{Page, ReadOperation},
    value::{Millis, decode, encode},
};

use crate::{
    access::{Identity, Member, Workspace},
    context::{Answer, Context, Failure, unchanged},
    query::{self, Noun, Shape},
    store::{Before, Commit, Entity, Guard, Predicate, Row, RowChange, Select, Term, Value},
};

/// Workspaces, as reads see them: the one that the connection acts in.
pub fn noun() -> Arc<Noun> {
    static NOUN: LazyLock<Arc<Noun>> =
        LazyLock::new(|| Arc::new(seen(|identity: &Identity| Predicate::equal(Term::text("id"), identity.workspace))));
    NOUN.clone()
}

/// Lists the workspaces that the user is in, also those that the connection does not act in.
///
/// # Errors
/// `invalid` as every list.
pub async fn list(cx: Context, input: List) -> Result<Answer<Page<Wire>>, Failure> {
    let identity = cx.identity()?;
    let mut snapshot = cx.services.store.snapshot().await?;
    let members = snapshot.select::<Member>(&Select::by("user_id", identity.user)).await?;
    let own: Vec<Value> = members.iter().map(|member| member.workspace_id.into()).collect();
    let noun = Arc::new(seen(move |_: &Identity| Predicate::In(Term::text("id"), own.clone())));
    let plan = query::compile(&noun, &input.asked(), identity, &|_| None)?;
    let output = query::read(&plan, &mut snapshot).await?;
    let list = match &plan.shape {
        Shape::List(list) => Some(list),
        Shape::Row(_) | Shape::Figures(_) => None,
    };
    let page: Page<Wire> = decode(&output.encode(list)).map_err(|error| Failure::Error(Box::new(error)))?;
    Ok(page.into())
}

/// Changes the workspace that the connection acts in.
///
/// # Errors
/// `not_found` for another one, there or not; `conflict`, `revision`.
pub async fn update(cx: Context, input: Update) -> Result<Answer<Wire>, Failure> {
    let own = cx.identity()?.workspace;
    let workspace = match input.id == own {
        true => cx.services.store.get::<Workspace>(own).await?,
        false => None,
    };
    let workspace = workspace.ok_or_else(Fault::not_found)?;
    unchanged(input.revision, workspace.changed_revision, || wire(&workspace))?;
    let Some(name) = input.name else { return cx.commit(Commit::default(), move |_| wire(&workspace)).await };
    let renamed = workspace.renamed(name, cx.now());
    cx.commit(replace(&workspace, &renamed), move |revision| Wire { revision, ..wire(&renamed) }).await
}

/// A workspace as the wire has it.
pub fn wire(workspace: &Workspace) -> Wire {
    let Workspace { id, changed_revision, created_at, updated_at, name, .. } = workspace.clone();
    Wire { id, revision: changed_revision, created_at, updated_at, name }
}

/// Its `revision` on the wire is that of the row's own last change.
fn seen(visible: impl Fn(&Identity) -> Predicate + Send + Sync + 'static) -> Noun {
    Noun::of(&workspace::NOUN, |row: Workspace| encode(&wire(&row))).in_column("revision", "changed_revision").visible(visible)
}

/// Replaces the row if it is as it was. Its `revision` is the workspace's counter, which every commit moves: it says nothing of the row.
fn replace(before: &Workspace, after: &Workspace) -> Commit {
    let mut commit = Commit::in_workspace(before.id)
        .guard(Guard::columns::<Workspace>(before.id, vec![("changed_revision", before.changed_revision.into())]));
    let row = Row::new(Workspace::TABLE, before.to_values());
    commit.rows.push(RowChange::Put { table: Workspace::TABLE, values: after.to_values(), before: Before::Row(Arc::new(row)) });
    commit
}

impl Workspace {
    /// Under another name.
    fn renamed(&self, name: String, now: Millis) -> Self {
        Self { name, updated_at: now, ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
