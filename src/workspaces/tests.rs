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
