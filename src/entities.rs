//! Every row that a room declares has its columns in the migrations.

use crate::{
    access::{ApiKeyRow, Member, SignIn, User, Workspace},
    approvals::ApprovalRow,
    apps::{AppVersion, BroughtCrew, CrewRow},
    artifacts::ArtifactRow,
    budgets::BudgetRow,
    leases::{Assignment, Lease, Written},
    members::InvitationRow,
    records::RecordRow,
    runs::RunRow,
    sessions::{Deleted, MessageRow, SessionRow},
    store::{Entity, conformance::schema::check},
    workers::WorkerRow,
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
        ApiKeyRow::TABLE,
        WorkerRow::TABLE,
        BroughtCrew::TABLE,
        Assignment::TABLE,
        Written::TABLE,
    ])
    .await;
}
