//! A person's answer: who may give it, and whether it fits the question.

use crewline_protocol::{
    fault::{Fault, FaultCode},
    operation::Role,
    operations::approval::{self, Answered, Approval, Kind, Status, Verdict},
    value::{Millis, UserId},
};
use serde_json::Value;

use super::{ApprovalRow, arguments_hash, pending, settle};
use crate::{
    apps::Schema,
    context::{Answer, Context, Failure, unchanged},
    store::Json,
};

/// The most fields that a fault names.
const FIELDS: usize = 20;

/// Answers a question.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace; `conflict`, `state`, with the row, for one that waits no more;
/// `forbidden` for a role that may not answer it; `invalid` for an answer that does not fit it.
pub async fn answer(cx: Context, input: approval::Answer) -> Result<Answer<Approval>, Failure> {
    let identity = cx.identity()?.clone();
    let row = pending(&cx, input.id).await?;
    may_answer(&row, identity.principal.role)?;
    unchanged(input.revision, row.revision, || row.approval())?;
    let approval::Answer { verdict, arguments, value, comment, .. } = input;
    let answer = Answered { verdict, arguments, value, comment };
    check(&row, &answer)?;
    let after = row.answered(answer, identity.user, cx.now());
    settle(&cx, row, after).await
}

fn may_answer(row: &ApprovalRow, role: Role) -> Result<(), Fault> {
    let may = row.roles.0.iter().any(|needs| role.rank().zip(needs.rank()).is_some_and(|(has, needs)| has >= needs));
    if may {
        return Ok(());
    }
    let roles: Vec<&str> = row.roles.0.iter().map(|role| role.as_str()).collect();
    let message = format!("the role `{}` may not answer this: it is for {}, and those above", role.as_str(), roles.join(", "));
    Err(Fault::new(FaultCode::Forbidden, message))
}

/// Whether an answer fits its question.
fn check(row: &ApprovalRow, answer: &Answered) -> Result<(), Fault> {
    let fits = match row.kind {
        Kind::Tool | Kind::Review => answer.verdict != Verdict::Answer,
        Kind::Input => answer.verdict != Verdict::Approve,
    };
    if !fits {
        let others = if row.kind == Kind::Input { "answer" } else { "approve" };
        return Err(Fault::invalid("verdict", "enum", format!("for this kind of question it is `{others}` or `reject`")));
    }
    match &answer.arguments {
        Some(_) if row.kind != Kind::Tool || answer.verdict != Verdict::Approve => {
            return Err(Fault::invalid("arguments", "unknown", "arguments come with `approve` of a tool's call alone: leave them out"));
        }
        Some(arguments) if !arguments.is_object() => {
            return Err(Fault::invalid("arguments", "type", "a tool's arguments are an object"));
        }
        _ => {}
    }
    match (&answer.value, answer.verdict) {
        (None, Verdict::Answer) => Err(Fault::invalid("value", "required", "an answer is a value: give one")),
        (Some(_), Verdict::Approve | Verdict::Reject) => {
            Err(Fault::invalid("value", "unknown", "a value comes with the verdict `answer` alone: leave it out"))
        }
        (Some(value), Verdict::Answer) => of_schema(row, value),
        (None, Verdict::Approve | Verdict::Reject) => Ok(()),
    }
}

fn of_schema(row: &ApprovalRow, value: &Value) -> Result<(), Fault> {
    // What asks for something impossible is for the run to tell of: whatever is answered goes there.
    let Some(schema) = row.schema.as_ref().and_then(|schema| Schema::new(&schema.0).ok()) else { return Ok(()) };
    let wrong: Vec<_> = schema.wrong(value, "value").into_iter().take(FIELDS).collect();
    if wrong.is_empty() { Ok(()) } else { Err(Fault::invalid_fields(wrong)) }
}

impl ApprovalRow {
    /// Moved on from `pending`.
    pub(super) fn moved(&self, status: Status, now: Millis) -> Self {
        Self { status, updated_at: now, ..self.clone() }
    }

    /// Answered by a person. Arguments that they changed are what the answer binds from then on.
    fn answered(&self, answer: Answered, by: UserId, now: Millis) -> Self {
        let status = match answer.verdict {
            Verdict::Approve => Status::Approved,
            Verdict::Reject => Status::Rejected,
            Verdict::Answer => Status::Answered,
        };
        let edited = self.tool.as_deref().zip(answer.arguments.as_ref()).map(|(tool, arguments)| arguments_hash(tool, arguments));
        let arguments_hash = edited.or_else(|| self.arguments_hash.clone());
        Self { answered_by: Some(by), answer: Some(Json(answer)), arguments_hash, ..self.moved(status, now) }
    }
}
