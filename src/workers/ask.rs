//! A worker's question to people.

use crewline_protocol::{
    event::RunEvent,
    fault::{Fault, FaultCode},
    operation::Role,
    operations::approval::{Approval, Kind, OnExpire, Request},
    value::{ApprovalId, encode},
};

use super::turn::{held, position};
use crate::{
    approvals::{ApprovalRow, Ask},
    apps::Schema,
    context::{Answer, Context, Failure},
    store::Commit,
};

/// Bytes of a row on the wire.
const ROW_BYTES: usize = 192 << 10;

/// Puts a question before people.
///
/// # Errors
/// `invalid` for what does not go with its kind; `too_large`; `lease_lost`.
pub async fn request(cx: Context, input: Request) -> Result<Answer<Approval>, Failure> {
    let (run_id, epoch) = (input.run_id, input.lease_epoch);
    let ask = ask(input)?;
    let line = cx.services.lines.of(run_id);
    let mut turn = line.turn.lock().await;
    let _all_written = line.under_way.write().await;
    let at = position(&cx, &mut turn, run_id, epoch).await?;
    let (run, hold) = held(&cx.services.store, run_id, at).await?;
    let now = cx.now();
    let row = ApprovalRow::requested(&run, ask, cx.services.clock.id(ApprovalId::new), now);
    let bytes = encode(&row.approval()).len();
    if bytes > ROW_BYTES {
        return Err(
            Fault::new(FaultCode::TooLarge, format!("the question has {bytes} bytes; {ROW_BYTES} are the most: ask for less")).into()
        );
    }
    let requested = RunEvent::ApprovalRequested { at: now, approval: Box::new(row.approval()) };
    let commit = Commit::in_workspace(run.workspace_id).guard(hold.guard(at.seq)).insert(&row).append(run_id, &[requested]);
    let done = cx.commit(commit, move |revision| Approval { revision, ..row.approval() }).await;
    if done.is_err() {
        *turn = None;
    }
    done
}

fn ask(input: Request) -> Result<Ask, Fault> {
    let missing = |field: &'static str, message: &'static str| Err(Fault::invalid(field, "required", message));
    let unknown = |field: &'static str, message: &'static str| Err(Fault::invalid(field, "unknown", message));
    match input.kind {
        Kind::Tool if input.tool.is_none() => return missing("tool", "a question whether a tool may be called names the tool"),
        Kind::Input | Kind::Review if input.tool.is_some() => return unknown("tool", "it comes with the kind `tool` alone: leave it out"),
        Kind::Input | Kind::Review if input.arguments.is_some() => {
            return unknown("arguments", "they come with the kind `tool` alone: leave them out");
        }
        Kind::Tool | Kind::Review if input.schema.is_some() => {
            return unknown("schema", "it comes with the kind `input` alone: leave it out");
        }
        Kind::Tool | Kind::Input | Kind::Review => {}
    }
    if input.arguments.as_ref().is_some_and(|arguments| !arguments.is_object()) {
        return Err(Fault::invalid("arguments", "type", "a tool's arguments are an object"));
    }
    if let Some(Err(error)) = input.schema.as_ref().map(Schema::new) {
        return Err(Fault::invalid("schema", "format", format!("is no JSON Schema: {}", error.message)));
    }
    Ok(Ask {
        task: input.task,
        call: input.call,
        kind: input.kind,
        title: input.title,
        body: input.body,
        tool: input.tool,
        arguments: input.arguments,
        schema: input.schema,
        roles: if input.roles.is_empty() { vec![Role::Member] } else { input.roles },
        expires_at: input.expires_at,
        on_expire: input.on_expire.unwrap_or(OnExpire::Reject),
    })
}
