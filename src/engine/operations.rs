//! Operations as tools: an agent does what the person who started its run may do, as far as its crew's file grants it.

use std::sync::Arc;

use crewline_protocol::{
    OPERATIONS, OperationSpec,
    fault::Fault,
    operation::Kind,
    value::{MutationKey, RunId, UserId, WorkspaceId},
};
use futures::future::BoxFuture;
use ring::digest::{Context, SHA256};
use serde_json::Value;

use super::tools::{Effect, Tool, ToolContext, ToolSpec};
use crate::apps::is_tool;

/// Who asks for an operation: a run, for the person who started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acting {
    /// The run.
    pub run: RunId,
    /// The crew that it is of.
    pub crew: String,
    /// Where it acts, and nowhere else.
    pub workspace: WorkspaceId,
    /// Whose rights it has, as they are at the time of each call.
    pub user: UserId,
}

/// Carries out operations for runs.
pub trait Operations: Send + Sync + 'static {
    /// Carries out one, a mutation under this key.
    fn carry_out(
        &self,
        acting: Acting,
        operation: &'static str,
        input: Value,
        key: Option<MutationKey>,
    ) -> BoxFuture<'static, Result<Value, Fault>>;
}

/// Every operation that agents can be given.
pub(super) fn tools(operations: &Arc<dyn Operations>) -> impl Iterator<Item = Arc<dyn Tool>> {
    let granted = OPERATIONS.iter().filter(|spec| is_tool(spec));
    granted.map(|spec| Arc::new(OperationTool { spec, operations: operations.clone() }) as Arc<dyn Tool>)
}

struct OperationTool {
    spec: &'static OperationSpec,
    operations: Arc<dyn Operations>,
}

impl Tool for OperationTool {
    /// Reads are made again, too, each for itself: what they gave may be different by now.
    fn effect(&self) -> Effect {
        Effect::Keyed
    }

    fn spec(&self) -> ToolSpec {
        let mut input_schema = self.spec.input();
        if let Some(schema) = input_schema.as_object_mut() {
            // A description of the tool, not of its arguments; providers ask for the rest.
            ["$schema", "title", "description"].iter().for_each(|key| drop(schema.shift_remove(*key)));
            schema.entry("type").or_insert_with(|| "object".into());
            schema.entry("properties").or_insert_with(|| Value::Object(serde_json::Map::new()));
        }
        ToolSpec { name: self.spec.name.to_owned(), description: self.spec.documentation(), input_schema }
    }

    fn call(&self, cx: &ToolContext, input: Value) -> BoxFuture<'static, Result<Value, Fault>> {
        let key = (self.spec.kind == Kind::Mutation).then(|| key(cx));
        self.operations.carry_out(cx.acting.clone(), self.spec.name, input, key)
    }
}

/// The key of a call: the same whenever it is made again, in this attempt or a later one. Its time is that at which the call was first
/// begun, so that one that is made again when its reply is no longer kept is refused rather than done twice.
fn key(cx: &ToolContext) -> MutationKey {
    let mut hash = Context::new(&SHA256);
    hash.update(cx.acting.run.to_string().as_bytes());
    hash.update(cx.call.as_bytes());
    let mut random = [0; 10];
    random.copy_from_slice(&hash.finish().as_ref()[..10]);
    MutationKey::new(cx.begun_at, random)
}
