//! Leases: who executes what. A lease is an expiring, fenced hold on one run; everything that its holder writes is guarded by it, so
//! that whoever has lost one can write nothing more.

mod assign;
mod assignment;
mod lose;
mod node;
mod queue;

pub use assign::{Assigned, Holder, Terms, assign, held_before, release, renew};
pub use assignment::{Assignment, Place, Written, ended, holds, lost, noun};
pub use lose::{lease_lost, lose};
pub use node::Name;
pub use queue::{Round, Waiting, for_workers, queued, unserved, waiting_workspace};

use crewline_protocol::value::{Millis, Revision, RunId, WorkspaceId};

use crate::{
    entity,
    store::{Guard, Stored},
};

entity! {
    /// A hold on one run.
    pub struct Lease in "leases" {
        /// The run.
        run_id: RunId,
        /// Where it is.
        workspace_id: WorkspaceId,
        /// The workspace's revision when it was last assigned.
        revision: Revision,
        /// When the run was first assigned.
        created_at: Millis,
        /// When it was last assigned.
        updated_at: Millis,
        /// Who holds it.
        holder: String,
        /// Raised with every new hold: what an older one writes is refused.
        epoch: i64,
        /// Which attempt at the run it is.
        attempt: u32,
        /// When it may be taken over; moved on by renewals.
        expires_at: Millis,
    }
}

impl Lease {
    /// Holds while nobody else has taken the run over.
    pub fn guard(&self) -> Guard {
        Guard::columns::<Self>(self.run_id, vec![("holder", self.holder.to_value()), ("epoch", self.epoch.to_value())])
    }
}
