//! Every row that a room declares has its columns in the migrations.

use crate::{
    access::{Member, SignIn, User, Workspace},
    apps::AppVersion,
    leases::Lease,
    records::RecordRow,
    runs::RunRow,
    sessions::SessionRow,
    store::{Entity, conformance::schema::check},
};

#[tokio::test]
async fn every_entity_has_its_columns_on_both_databases() {
    check(&[
        User::TABLE,
        Workspace::TABLE,
        Member::TABLE,
        SignIn::TABLE,
        SessionRow::TABLE,
        RunRow::TABLE,
        Lease::TABLE,
        AppVersion::TABLE,
        RecordRow::TABLE,
    ])
    .await;
}
