//! Which handler carries out which operation.

use std::collections::HashMap;

use crewline_protocol::operations::{approval, collection, invitation, member, message, record, run, session, workspace};

use super::Router;
use crate::{approvals, auth, control, members, records, runs, sessions, workspaces};

impl Router {
    /// Every operation with its handler.
    pub fn new() -> Self {
        Self { routes: HashMap::new() }
            .handle(auth::register)
            .handle(auth::login)
            .handle(auth::refresh)
            .handle(auth::authenticate)
            .handle(auth::logout)
            .handle(auth::me)
            .read::<workspace::Get>()
            .handle(workspaces::list)
            .handle(workspaces::update)
            .read::<member::Get>()
            .read::<member::List>()
            .read::<member::Aggregate>()
            .handle(members::update)
            .handle(members::remove)
            .read::<invitation::Get>()
            .read::<invitation::List>()
            .read::<invitation::Aggregate>()
            .handle_with_secret(members::create, members::with_token)
            .handle(members::revoke)
            .handle(members::accept)
            .handle(sessions::create)
            .read::<session::Get>()
            .read::<session::List>()
            .read::<session::Aggregate>()
            .handle(sessions::update)
            .handle(sessions::archive)
            .handle(sessions::delete)
            .read::<message::Get>()
            .read::<message::List>()
            .read::<message::Aggregate>()
            .handle(sessions::post)
            .handle(runs::start)
            .read::<run::Get>()
            .read::<run::List>()
            .read::<run::Aggregate>()
            .handle(control::cancel)
            .handle(control::steer)
            .handle(control::pause)
            .handle(control::resume)
            .read::<approval::Get>()
            .read::<approval::List>()
            .read::<approval::Aggregate>()
            .handle(approvals::answer)
            .handle(approvals::withdraw)
            .read::<collection::Get>()
            .read::<collection::List>()
            .read::<collection::Aggregate>()
            .handle(records::create)
            .read::<record::Get>()
            .read::<record::List>()
            .read::<record::Aggregate>()
            .handle(records::update)
            .handle(records::delete)
            .handle(records::batch)
    }
}
