//! A worker's question to people.

use crewline_protocol::{
    event::RunEvent,
    fault::{Fault, FaultCode},
    operation::Role,
    operations::approval::{Approval, Kind, OnExpire, Request},
    value::{ApprovalId, encode},
};

use super::turn::in_turn;
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
    in_turn(&cx, run_id, epoch, async |run, hold, at| {
        let now = cx.now();
        let row = ApprovalRow::requested(run, ask, cx.services.clock.id(ApprovalId::new), now);
        let bytes = encode(&row.approval()).len();
        if bytes > ROW_BYTES {
            let message = format!("the question has {bytes} bytes; {ROW_BYTES} are the most: ask for less");
            return Err(Fault::new(FaultCode::TooLarge, message).into());
        }
        let requested = RunEvent::ApprovalRequested { at: now, approval: Box::new(row.approval()) };
        let commit = Commit::in_workspace(run.workspace_id).guard(hold.guard(at.seq)).insert(&row).append(run_id, &[requested]);
        cx.commit(commit, move |revision| Approval { revision, ..row.approval() }).await
    })
    .await
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
