//! Runs: starting and reading them. What people ask of them is in `control`, what executes them is in `leases` and `engine`.

mod inputs;
mod row;
mod said;
mod start;
mod turns;

pub use row::{Cancelled, End, RunRow, Taken};
pub use said::post;
pub use start::{retry, start};
pub use turns::{going_on, steered};

#[cfg(test)]
pub(crate) use row::tests::row as test_row;

use std::sync::{Arc, LazyLock};

use crewline_protocol::{
    event::{RunEvent, Usage},
    fault::Fault,
    operations::run::{self, Run},
    value::{RunId, WorkspaceId, encode},
};

use crate::{
    context::{Failure, Services},
    query::Noun,
};

/// The longest row, in bytes as the wire has it.
pub const ROW_BYTES: usize = 256 << 10;

/// Runs, as reads see them.
pub fn noun() -> Arc<Noun> {
    static NOUN: LazyLock<Arc<Noun>> = LazyLock::new(|| Arc::new(Noun::of(&run::NOUN, |row: RunRow| encode(&row.run()))));
    NOUN.clone()
}

/// Reads a run of this workspace.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace: both read the same.
pub async fn load(services: &Services, workspace: WorkspaceId, run: RunId) -> Result<Run, Failure> {
    Ok(load_row(services, workspace, run).await?.run())
}

/// The same, as it is stored.
///
/// # Errors
/// As [`load`].
pub async fn load_row(services: &Services, workspace: WorkspaceId, run: RunId) -> Result<RunRow, Failure> {
    let row = services.store.get::<RunRow>(run).await?;
    Ok(row.filter(|row| row.workspace_id == workspace).ok_or_else(Fault::not_found)?)
}

/// The event that says how a row ended.
pub fn finished_event(row: &RunRow, usage: Usage) -> RunEvent {
    RunEvent::RunFinished {
        at: row.updated_at,
        status: row.status,
        output: row.output.clone(),
        fault: row.fault.clone().map(|fault| fault.0),
        usage,
    }
}

#[cfg(test)]
mod tests;
