//! Tools that agents call: each described by a JSON Schema, and its arguments checked by it.

use std::{collections::BTreeMap, sync::Arc};

use crewline_protocol::{
    fault::{Fault, FaultCode},
    operations::run::Inputs,
    value::Millis,
};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{
    content::ContentAnalyze,
    heard,
    mcp::{self, Servers},
    operations::{self, Acting, Operations},
    web,
};
use crate::{
    apps::{Crew, Grant, Schema},
    runs::RunRow,
    settings::Settings,
};

/// The longest result that a log and a conversation take, in bytes of JSON.
const RESULT_BYTES: usize = 64 << 10;

/// A tool as a model is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub input_schema: Value,
}

/// What making a call of a tool again does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It gives the same: a call that was cut off can be made again.
    Computes,
    /// It happens once although it is made again, under the key that is made from the call's id.
    Keyed,
    /// It may happen twice: a call that was cut off is not made again, and what came of it is not known.
    Outside,
}

/// What a tool is given besides its arguments.
#[derive(Debug, Clone)]
pub struct ToolContext {
    /// What the run was started with.
    pub inputs: Arc<Inputs>,
    /// For whom it acts.
    pub acting: Acting,
    /// The id by which the call was first begun: the same when it is made again.
    pub call: String,
    /// When it was first begun.
    pub begun_at: Millis,
}

impl ToolContext {
    /// Of a run's calls.
    pub(super) fn of(run: &RunRow) -> Self {
        let acting = Acting { run: run.id, crew: run.crew.clone(), workspace: run.workspace_id, user: run.started_by };
        Self { inputs: Arc::new(run.inputs.0.clone()), acting, call: String::new(), begun_at: run.created_at }
    }
    /// Of nobody's.
    #[cfg(test)]
    pub(super) fn of_nobody() -> Self {
        use crewline_protocol::value::{RunId, UserId, WorkspaceId};
        let (at, bytes) = (Millis(0), [0; 10]);
        let acting =
            Acting { run: RunId::new(at, bytes), crew: "c".into(), workspace: WorkspaceId::new(at, bytes), user: UserId::new(at, bytes) };
        Self { inputs: Arc::default(), acting, call: "call-1".into(), begun_at: at }
    }
    /// The same for one call.
    pub(super) fn for_call(&self, call: &str, begun_at: Millis) -> Self {
        Self { call: call.to_owned(), begun_at, ..self.clone() }
    }
}

/// A tool.
pub trait Tool: Send + Sync + 'static {
    /// What making a call again does.
    fn effect(&self) -> Effect {
        Effect::Computes
    }
    /// How a model is told of it.
    fn spec(&self) -> ToolSpec;
    /// Does it.
    fn call(&self, cx: &ToolContext, input: Value) -> BoxFuture<'static, Result<Value, Fault>>;
}

/// The tools that there are: this server's own, and those of MCP servers.
#[derive(Clone)]
pub struct Toolbox {
    own: Arc<BTreeMap<String, Arc<Entry>>>,
    mcp: Arc<Servers>,
}

/// A tool, ready to be told of and called.
pub(super) struct Entry {
    tool: Arc<dyn Tool>,
    pub(super) spec: ToolSpec,
    arguments: Option<Schema>,
}

impl Entry {
    pub(super) fn new(tool: Arc<dyn Tool>) -> Self {
        let spec = tool.spec();
        let arguments = Schema::new(&spec.input_schema).ok();
        Self { tool, spec, arguments }
    }
}

impl Toolbox {
    /// Every tool that an app may name.
    pub fn standard(operations: &Arc<dyn Operations>, settings: &Settings) -> Self {
        let own: [Arc<dyn Tool>; 3] = [Arc::new(ContentAnalyze), Arc::new(web::Fetch::new(settings)), Arc::new(web::Search::new(settings))];
        Self::of(own.into_iter().chain(operations::tools(operations))).with_mcp(settings)
    }

    /// These tools.
    pub fn of(tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Self {
        let entries = tools.into_iter().map(Entry::new).map(|entry| (entry.spec.name.clone(), Arc::new(entry)));
        Self { own: Arc::new(entries.collect()), mcp: Arc::default() }
    }

    /// The same, and those of the settings' MCP servers.
    pub fn with_mcp(self, settings: &Settings) -> Self {
        Self { mcp: Arc::new(Servers::new(&settings.mcp)), ..self }
    }

    /// Why a crew can't be executed here, where its tools are of nobody who is known.
    pub fn missing(&self, crew: &Crew) -> Option<Fault> {
        self.mcp.missing(crew)
    }

    /// How a model is told of the tools that are granted, each once.
    ///
    /// # Errors
    /// `invalid`: a tool is granted that its MCP server does not have.
    pub async fn specs(&self, grants: &[Grant]) -> Result<Vec<ToolSpec>, Fault> {
        let own = self.own.values().filter(|entry| grants.iter().any(|grant| grant.covers(&entry.spec.name)));
        let specs = own.map(|entry| entry.spec.clone()).chain(self.mcp.granted(grants).await?);
        Ok(specs.map(|spec| bound(spec, grants)).collect())
    }

    /// What making a call of a tool again does.
    pub fn effect(&self, tool: &str) -> Effect {
        match self.own.get(tool) {
            Some(entry) => entry.tool.effect(),
            None if mcp::parts(tool).is_some() => Effect::Outside,
            None => Effect::Computes,
        }
    }

    /// Ends what tools hold open.
    pub async fn close(&self) {
        self.mcp.close().await;
    }

    /// Calls a tool that the agent may use.
    ///
    /// # Errors
    /// What the agent reads instead of a result: an unknown tool, arguments that do not fit, or the tool's own fault.
    pub async fn call(&self, cx: &ToolContext, tool: &str, grants: &[Grant], input: Value) -> Result<Value, Fault> {
        let granted = grants.iter().any(|grant| grant.covers(tool));
        let entry = match self.own.get(tool) {
            Some(entry) if granted => Some(entry.clone()),
            None if granted => self.mcp.tool(tool).await?,
            _ => None,
        };
        let Some(entry) = entry else {
            let known: Vec<String> = self.specs(grants).await?.into_iter().map(|spec| spec.name).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Fault::new(FaultCode::NotFound, format!("there is no tool `{tool}` for this agent; there are: {known}")));
        };
        if !grants.iter().any(|grant| grant.allows(tool, &input)) {
            let message = format!("this agent may not call `{tool}` with these arguments: the crew's file bounds them");
            return Err(Fault::new(FaultCode::Forbidden, message));
        }
        let wrong = entry.arguments.as_ref().map(|arguments| arguments.wrong(&input, "")).unwrap_or_default();
        if !wrong.is_empty() {
            return Err(Fault::invalid_fields(wrong));
        }
        // What is too long is cut and not refused: the call has been made, and an agent that is told otherwise makes it again.
        let result = entry.tool.call(cx, input).await;
        result
            .map(|result| heard::shortened(heard::value(result), RESULT_BYTES))
            .map_err(|fault| Fault { message: heard::text(fault.message.into_owned()).into(), ..fault })
    }
}

/// A tool as it is told of to an agent: where all grants that cover it bind an argument, that is one of their values.
fn bound(mut spec: ToolSpec, grants: &[Grant]) -> ToolSpec {
    let grants: Vec<&Grant> = grants.iter().filter(|grant| grant.covers(&spec.name)).collect();
    let mut arguments: Vec<&String> = grants.first().into_iter().flat_map(|grant| grant.only.keys()).collect();
    arguments.retain(|argument| grants.iter().all(|grant| grant.only.contains_key(*argument)));
    for argument in arguments {
        let mut values: Vec<Value> = Vec::new();
        for value in grants.iter().flat_map(|grant| &grant.only[argument]) {
            if !values.contains(value) {
                values.push(value.clone());
            }
        }
        if let Some(property) = spec.input_schema.pointer_mut("/properties").and_then(|properties| properties.get_mut(argument)) {
            *property = json!({"enum": values});
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use crewline_protocol::{OPERATIONS, value::MutationKey};

    use super::*;
    use crate::apps::is_tool;

    struct Nothing;
    impl Operations for Nothing {
        fn carry_out(&self, _: Acting, _: &'static str, _: Value, _: Option<MutationKey>) -> BoxFuture<'static, Result<Value, Fault>> {
            Box::pin(async { Err(Fault::not_found()) })
        }
    }

    fn standard() -> Toolbox {
        Toolbox::standard(&(Arc::new(Nothing) as Arc<dyn Operations>), &Settings::default())
    }

    #[test]
    fn every_tool_that_an_app_may_name_is_there() {
        let toolbox = standard();
        let operations = OPERATIONS.iter().filter(|spec| is_tool(spec)).map(|spec| spec.name);
        let mut named: Vec<&str> = crate::apps::TOOLS.iter().copied().chain(operations).collect();
        named.sort_unstable();
        assert_eq!(toolbox.own.keys().map(String::as_str).collect::<Vec<_>>(), named);
        for (name, entry) in &*toolbox.own {
            assert!(entry.arguments.is_some(), "{name}: its schema is none");
            assert!(entry.spec.input_schema["type"] == "object" && !entry.spec.description.is_empty(), "{name}: {:?}", entry.spec);
        }
    }

    #[tokio::test]
    async fn what_can_not_be_called_says_why() {
        let (toolbox, cx) = (standard(), ToolContext::of_nobody());
        let allowed = [Grant { tool: "content.analyze".to_owned(), only: BTreeMap::new() }];
        let call = async |tool: &str, allowed: &[Grant], input| toolbox.call(&cx, tool, allowed, input).await.map_err(|fault| fault.code);
        assert_eq!(call("web.nothing", &allowed, json!({})).await, Err(FaultCode::NotFound));
        assert_eq!(call("content.analyze", &[], json!({"text": "a"})).await, Err(FaultCode::NotFound));
        for wrong in [json!({}), json!({"text": 1}), json!({"text": "a", "input": "b"}), json!({"text": "a", "more": 1}), json!([])] {
            assert_eq!(call("content.analyze", &allowed, wrong.clone()).await, Err(FaultCode::Invalid), "{wrong}");
        }
        assert_eq!(call("content.analyze", &allowed, json!({"input": "page"})).await, Err(FaultCode::Invalid));
        let only = [("text".to_owned(), vec![json!("a")])].into();
        let bound = [Grant { tool: "content.analyze".to_owned(), only }];
        assert_eq!(call("content.analyze", &bound, json!({"text": "b"})).await, Err(FaultCode::Forbidden));
        let figures = call("content.analyze", &allowed, json!({"text": "One two three."})).await.unwrap();
        assert_eq!((&figures["words"], &figures["sentences"]), (&json!(3), &json!(1)));
    }
}
