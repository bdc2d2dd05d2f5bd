//! Every operation of the protocol, one file a noun, and the table of them all.

pub mod agent;
pub mod api_key;
pub mod approval;
pub mod artifact;
pub mod auth;
pub mod budget;
pub mod collection;
pub mod crew;
pub mod invitation;
pub mod lease;
pub mod member;
pub mod message;
mod reads;
pub mod record;
pub mod run;
pub mod session;
pub mod worker;
pub mod workspace;

use crate::operation::OperationSpec;

/// Every operation. Dispatch, access, rates, schemas, TypeScript, documents and the tools of agents are made from this table.
pub static OPERATIONS: &[OperationSpec] = &[
    OperationSpec::of::<auth::Register>(),
    OperationSpec::of::<auth::Login>(),
    OperationSpec::of::<auth::Refresh>(),
    OperationSpec::of::<auth::Authenticate>(),
    OperationSpec::of::<auth::Logout>(),
    OperationSpec::of::<auth::Me>(),
    OperationSpec::of::<workspace::Get>(),
    OperationSpec::of::<workspace::List>(),
    OperationSpec::of::<workspace::Update>(),
    OperationSpec::of::<member::Get>(),
    OperationSpec::of::<member::List>(),
    OperationSpec::of::<member::Aggregate>(),
    OperationSpec::of::<member::Update>(),
    OperationSpec::of::<member::Remove>(),
    OperationSpec::of::<invitation::Get>(),
    OperationSpec::of::<invitation::List>(),
    OperationSpec::of::<invitation::Aggregate>(),
    OperationSpec::of::<invitation::Create>(),
    OperationSpec::of::<invitation::Revoke>(),
    OperationSpec::of::<invitation::Accept>(),
    OperationSpec::of::<api_key::Get>(),
    OperationSpec::of::<api_key::List>(),
    OperationSpec::of::<api_key::Aggregate>(),
    OperationSpec::of::<api_key::Create>(),
    OperationSpec::of::<api_key::Revoke>(),
    OperationSpec::of::<session::Create>(),
    OperationSpec::of::<session::Get>(),
    OperationSpec::of::<session::List>(),
    OperationSpec::of::<session::Aggregate>(),
    OperationSpec::of::<session::Update>(),
    OperationSpec::of::<session::Archive>(),
    OperationSpec::of::<session::Delete>(),
    OperationSpec::of::<message::Get>(),
    OperationSpec::of::<message::List>(),
    OperationSpec::of::<message::Aggregate>(),
    OperationSpec::of::<message::Post>(),
    OperationSpec::of::<run::Start>(),
    OperationSpec::of::<run::Get>(),
    OperationSpec::of::<run::List>(),
    OperationSpec::of::<run::Aggregate>(),
    OperationSpec::of::<run::Cancel>(),
    OperationSpec::of::<run::Steer>(),
    OperationSpec::of::<run::Pause>(),
    OperationSpec::of::<run::Resume>(),
    OperationSpec::of::<run::Retry>(),
    OperationSpec::of::<run::Append>(),
    OperationSpec::of::<run::Park>(),
    OperationSpec::of::<run::Finish>(),
    OperationSpec::of::<run::Release>(),
    OperationSpec::of::<approval::Get>(),
    OperationSpec::of::<approval::List>(),
    OperationSpec::of::<approval::Aggregate>(),
    OperationSpec::of::<approval::Answer>(),
    OperationSpec::of::<approval::Withdraw>(),
    OperationSpec::of::<approval::Request>(),
    OperationSpec::of::<worker::Get>(),
    OperationSpec::of::<worker::List>(),
    OperationSpec::of::<worker::Aggregate>(),
    OperationSpec::of::<worker::Register>(),
    OperationSpec::of::<worker::Drain>(),
    OperationSpec::of::<lease::Get>(),
    OperationSpec::of::<lease::List>(),
    OperationSpec::of::<lease::Aggregate>(),
    OperationSpec::of::<lease::Renew>(),
    OperationSpec::of::<crew::Get>(),
    OperationSpec::of::<crew::List>(),
    OperationSpec::of::<crew::Aggregate>(),
    OperationSpec::of::<crew::Import>(),
    OperationSpec::of::<crew::Update>(),
    OperationSpec::of::<crew::Delete>(),
    OperationSpec::of::<crew::Export>(),
    OperationSpec::of::<agent::Get>(),
    OperationSpec::of::<agent::List>(),
    OperationSpec::of::<agent::Aggregate>(),
    OperationSpec::of::<artifact::Get>(),
    OperationSpec::of::<artifact::List>(),
    OperationSpec::of::<artifact::Aggregate>(),
    OperationSpec::of::<artifact::Read>(),
    OperationSpec::of::<artifact::Create>(),
    OperationSpec::of::<artifact::Append>(),
    OperationSpec::of::<budget::Get>(),
    OperationSpec::of::<budget::List>(),
    OperationSpec::of::<budget::Aggregate>(),
    OperationSpec::of::<budget::Set>(),
    OperationSpec::of::<collection::Get>(),
    OperationSpec::of::<collection::List>(),
    OperationSpec::of::<collection::Aggregate>(),
    OperationSpec::of::<record::Create>(),
    OperationSpec::of::<record::Get>(),
    OperationSpec::of::<record::List>(),
    OperationSpec::of::<record::Aggregate>(),
    OperationSpec::of::<record::Update>(),
    OperationSpec::of::<record::Delete>(),
    OperationSpec::of::<record::Batch>(),
];

/// The operation with this name.
pub fn find(name: &str) -> Option<&'static OperationSpec> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Kind;

    #[test]
    fn names_are_unique_and_well_formed_and_only_reads_are_live() {
        let mut names = std::collections::BTreeSet::new();
        for operation in OPERATIONS {
            assert!(names.insert(operation.name), "{} stands twice", operation.name);
            let (noun, verb) = operation.name.split_once('.').expect("noun.verb");
            assert!([noun, verb].iter().all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
            assert!(!operation.live || operation.kind == Kind::Read, "{} is live and no read", operation.name);
        }
    }
}
