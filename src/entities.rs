//! Every row that a room declares has its columns in the migrations.

use crate::{
    access::{Member, SignIn, User, Workspace},
    approvals::ApprovalRow,
    apps::{AppVersion, CrewRow},
    artifacts::ArtifactRow,
    budgets::BudgetRow,
    leases::Lease,
    members::InvitationRow,
    records::RecordRow,
    runs::RunRow,
    sessions::{Deleted, MessageRow, SessionRow},
    store::{Entity, conformance::schema::check},
};

#[tokio::test]
async fn every_entity_has_its_columns_on_both_databases() {
    check(&[
        User::TABLE,
        Workspace::TABLE,
        Member::TABLE,
        SignIn::TABLE,
        InvitationRow::TABLE,
        SessionRow::TABLE,
        MessageRow::TABLE,
        Deleted::TABLE,
        RunRow::TABLE,
        ApprovalRow::TABLE,
        ArtifactRow::TABLE,
        Lease::TABLE,
        BudgetRow::TABLE,
        CrewRow::TABLE,
        AppVersion::TABLE,
        RecordRow::TABLE,
    ])
    .await;
}
