//! A worker's sign of life: its leases hold on.

use std::collections::HashMap;

use crewline_protocol::{
    operations::lease::{Held, Renew, Renewed},
    value::{Millis, RunId, WorkerId},
};

use super::row::WorkerRow;
use crate::{
    context::{Answer, Context, Failure, Services},
    leases::{self, Lease, lease_lost},
    store::{Commit, CommitError, Condition, Guard, Select, StoreError, Stored},
};

/// Rows asked for in one statement.
const BATCH: usize = 500;
/// How often a worker's row is read anew that others change too.
const ATTEMPTS: usize = 5;

/// Moves the ends of a worker's leases on.
///
/// # Errors
/// `lease_lost` where nobody has registered on the connection.
pub async fn renew(cx: Context, input: Renew) -> Result<Answer<Renewed>, Failure> {
    let worker = cx.identity()?.worker.ok_or_else(lease_lost)?;
    seen(&cx.services, worker).await?;
    let lost = renewed(&cx.services, worker, &input.held).await?;
    Ok(Renewed { lost }.into())
}

/// Renews those among the leases that are the worker's, and says which are not.
pub(super) async fn renewed(services: &Services, worker: WorkerId, held: &[Held]) -> Result<Vec<RunId>, StoreError> {
    let holder = worker.to_string();
    let mut leases: HashMap<RunId, Lease> = HashMap::new();
    for batch in held.chunks(BATCH) {
        let runs = batch.iter().map(|held| held.run_id.to_value()).collect();
        let rows: Vec<Lease> = services.store.select(&Select::default().and(Condition::In("run_id", runs))).await?;
        leases.extend(rows.into_iter().map(|lease| (lease.run_id, lease)));
    }
    let (mut own, mut lost) = (Vec::new(), Vec::new());
    for held in held {
        match leases.remove(&held.run_id).filter(|lease| lease.holder == holder && lease.epoch == held.lease_epoch) {
            Some(lease) => own.push(lease),
            None => lost.push(held.run_id),
        }
    }
    lost.extend(leases::renew(&services.store, own, expires_at(services)).await?);
    lost.sort_unstable();
    lost.dedup();
    Ok(lost)
}

fn expires_at(services: &Services) -> Millis {
    services.clock.now().plus(i64::try_from(services.settings.lease_ms).unwrap_or(i64::MAX))
}

/// Notes that a worker is there. One that was thought to be gone takes runs again.
async fn seen(services: &Services, worker: WorkerId) -> Result<(), Failure> {
    for _ in 0..ATTEMPTS {
        let row = services.store.get::<WorkerRow>(worker).await?.ok_or_else(lease_lost)?;
        let now = services.clock.now();
        let after = WorkerRow { last_seen_at: now, state: row.present(), ..row.clone() };
        let back = after.state != row.state;
        let commit = if back {
            Commit::in_workspace(row.workspace_id).replace(&row, &WorkerRow { updated_at: now, ..after })
        } else {
            Commit::default().guard(Guard::revision::<WorkerRow>(row.id, row.revision)).put(&after)
        };
        match services.store.commit(commit).await {
            Ok(_) if back => {
                services.hub.worker_free();
                return Ok(());
            }
            Ok(_) => return Ok(()),
            Err(CommitError::Guard(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // It changes all the time, and is not silent: the next sign of life is soon enough.
    Ok(())
}
