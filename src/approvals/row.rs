//! An approval's row: made under the lease of the run that it holds, and answered once.

use crewline_protocol::{
    operation::Role,
    operations::approval::{Answered, Approval, Kind, OnExpire, Status},
    value::{ApprovalId, Millis, Revision, RunId, SessionId, UserId, WorkspaceId},
};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::{
    entity,
    runs::RunRow,
    store::{Guard, Json, Stored},
};

entity! {
    /// An approval as it is stored.
    pub struct ApprovalRow in "approvals" {
        /// Its id.
        id: ApprovalId,
        /// Where it is.
        workspace_id: WorkspaceId,
        /// The workspace's revision at its last change.
        revision: Revision,
        /// When it was asked.
        created_at: Millis,
        /// When it last changed.
        updated_at: Millis,
        /// The session of its run.
        session_id: SessionId,
        /// The run that it holds.
        run_id: RunId,
        /// The piece of work that waits for it.
        task: Option<String>,
        /// The tool's call that waits for it.
        call: Option<String>,
        /// What is asked for.
        kind: Kind,
        /// The question in a line.
        title: String,
        /// The question.
        body: String,
        /// The tool that is to be called.
        tool: Option<String>,
        /// Its arguments.
        arguments: Option<Json<Value>>,
        /// What an answer binds: [`arguments_hash`] of the tool and these arguments.
        arguments_hash: Option<String>,
        /// The JSON Schema of the value that is asked for.
        schema: Option<Json<Value>>,
        /// Who may answer: each of these, and those above.
        roles: Json<Vec<Role>>,
        /// Until when it may be answered; absent: for ever.
        expires_at: Option<Millis>,
        /// What becomes of the run then.
        on_expire: OnExpire,
        /// Where it stands; moved on once from `pending`, by whoever answers, takes it back, or finds it expired.
        status: Status,
        /// The answer.
        answer: Option<Json<Answered>>,
        /// Who answered.
        answered_by: Option<UserId>,
    }
}

/// A question to be put before people.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The piece of work that waits for the answer, as the run's events name it.
    pub task: Option<String>,
    /// The tool's call that does.
    pub call: Option<String>,
    /// What is asked for.
    pub kind: Kind,
    /// The question in a line.
    pub title: String,
    /// The question.
    pub body: String,
    /// The tool that is to be called.
    pub tool: Option<String>,
    /// Its arguments.
    pub arguments: Option<Value>,
    /// The JSON Schema of the value that is asked for.
    pub schema: Option<Value>,
    /// Who may answer: each of these, and those above.
    pub roles: Vec<Role>,
    /// Until when it may be answered.
    pub expires_at: Option<Millis>,
    /// What becomes of the run then.
    pub on_expire: OnExpire,
}

impl ApprovalRow {
    /// The row of a question that is asked now, for a run.
    pub fn requested(run: &RunRow, ask: Ask, id: ApprovalId, now: Millis) -> Self {
        Self {
            id,
            workspace_id: run.workspace_id,
            revision: Revision(0),
            created_at: now,
            updated_at: now,
            session_id: run.session_id,
            run_id: run.id,
            task: ask.task,
            call: ask.call,
            kind: ask.kind,
            title: ask.title,
            body: ask.body,
            arguments_hash: ask.tool.as_ref().map(|tool| arguments_hash(tool, ask.arguments.as_ref().unwrap_or(&Value::Null))),
            tool: ask.tool,
            arguments: ask.arguments.map(Json),
            schema: ask.schema.map(Json),
            roles: Json(ask.roles),
            expires_at: ask.expires_at,
            on_expire: ask.on_expire,
            status: Status::Pending,
            answer: None,
            answered_by: None,
        }
    }

    /// As the wire has it.
    pub fn approval(&self) -> Approval {
        let row = self.clone();
        Approval {
            id: row.id,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
            session_id: row.session_id,
            run_id: row.run_id,
            task: row.task,
            call: row.call,
            kind: row.kind,
            title: row.title,
            body: row.body,
            tool: row.tool,
            arguments: row.arguments.map(|arguments| arguments.0),
            schema: row.schema.map(|schema| schema.0),
            roles: row.roles.0,
            expires_at: row.expires_at,
            on_expire: row.on_expire,
            status: row.status,
            answer: row.answer.map(|answer| answer.0),
            answered_by: row.answered_by,
        }
    }

    /// Holds while nobody has answered: what goes away to wait for the answer may not miss it.
    pub fn unanswered(id: ApprovalId) -> Guard {
        Guard::columns::<Self>(id, vec![("status", Status::Pending.to_value())])
    }
}

/// What binds an answer to what is done: SHA-256 of the tool and its arguments as JSON with sorted keys, in hexadecimal digits.
pub fn arguments_hash(tool: &str, arguments: &Value) -> String {
    let bytes = format!("{}\n{}", Value::from(tool), canonical(arguments));
    digest(&SHA256, bytes.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same value with its keys sorted.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            Value::Object(entries.into_iter().map(|(key, value)| (key.clone(), canonical(value))).collect())
        }
        Value::Array(values) => values.iter().map(canonical).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_hash_tells_arguments_apart_and_nothing_else() {
        let hash = |value: Value| arguments_hash("record.create", &value);
        assert_eq!(hash(json!({"a": 1, "b": {"d": [1, 2], "c": null}})), hash(json!({"b": {"c": null, "d": [1, 2]}, "a": 1})));
        for other in [json!({"a": 1, "b": {"d": [2, 1], "c": null}}), json!({"a": "1"}), json!({}), json!(null)] {
            assert_ne!(hash(json!({"a": 1, "b": {"d": [1, 2], "c": null}})), hash(other));
        }
        assert_ne!(arguments_hash("a", &json!({})), arguments_hash("b", &json!({})));
        assert_eq!(hash(json!({})).len(), 64);
    }
}
