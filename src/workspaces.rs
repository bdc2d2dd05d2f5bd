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
mod tests {
    use crewline_protocol::{
        fault::FaultCode,
        operation::Role,
        operations::workspace::Get,
        value::{Revision, WorkspaceId},
    };

    use super::*;
    use crate::{
        settings::Settings,
        testing::{Stage, register},
    };

    fn rename(id: WorkspaceId, name: &str) -> Update {
        Update { id, revision: None, name: Some(name.into()) }
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_renames_the_workspace_that_the_connection_acts_in_and_no_other() {
        let stage = Stage::new(Settings::default()).await;
        let mut ada = stage.signed_in().await;
        let own = stage.person.principal.workspace.id;
        let renamed = ada.call(&rename(own, "Crew")).await.unwrap();
        assert_eq!((renamed.id, renamed.name.as_str()), (own, "Crew"));
        assert_eq!(ada.call(&Get { id: own }).await.unwrap(), renamed);
        let nothing = Update { id: own, revision: None, name: None };
        assert_eq!(ada.call(&nothing).await, Ok(renamed));

        let others = register(&stage.node, "eve@example.com").await.principal.workspace.id;
        for id in [others, stage.node.services.clock.id(WorkspaceId::new)] {
            assert_eq!(ada.call(&rename(id, "Mine")).await, Err(Fault::not_found()));
            assert_eq!(ada.call(&Get { id }).await, Err(Fault::not_found()));
        }
        for name in [String::new(), "x".repeat(201)] {
            let fault = ada.call(&rename(own, &name)).await.unwrap_err();
            assert_eq!((fault.code, fault.fields[0].path.as_str()), (FaultCode::Invalid, "name"));
        }
        let mut admin = stage.connect_as(&stage.joins("ben@example.com", Role::Admin).await).await;
        assert_eq!(admin.call(&rename(own, "Ours")).await.unwrap_err().code, FaultCode::Forbidden);
    }

    #[tokio::test(start_paused = true)]
    async fn a_workspaces_revision_is_that_of_its_own_last_change() {
        let stage = Stage::new(Settings::default()).await;
        let mut ada = stage.signed_in().await;
        let own = stage.person.principal.workspace.id;
        let renamed = ada.call(&rename(own, "Crew")).await.unwrap();
        stage.joins("ben@example.com", Role::Viewer).await;
        assert_eq!(ada.call(&Get { id: own }).await.unwrap(), renamed, "others' commits do not change it");
        let again = Update { revision: Some(renamed.revision), ..rename(own, "Team") };
        assert!(ada.call(&again).await.unwrap().revision > renamed.revision);
        let stale = ada.call(&Update { revision: Some(Revision(1)), ..again }).await.unwrap_err();
        assert_eq!(stale.current.unwrap()["name"], "Team");
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_lists_every_workspace_that_they_are_in() {
        let stage = Stage::new(Settings::default()).await;
        let ben = stage.joins("ben@example.com", Role::Viewer).await;
        register(&stage.node, "eve@example.com").await;
        let list = List { filter: None, sort: Vec::new(), limit: None, cursor: None, count: true };
        let page = stage.connect_as(&ben).await.call(&list).await.unwrap();
        let own = stage.log_in("ben@example.com").await.principal;
        assert_eq!((page.items.len(), page.total, own.email.as_deref()), (2, Some(2), Some("ben@example.com")));
        assert_eq!(page.items[0].id, stage.person.principal.workspace.id);
    }
}
