//! Tools of MCP servers. The settings say which servers there are, crews which of their tools are granted to whom. A node has one
//! connection to each, made when it is first needed and again when it has ended; what goes wrong with one is what the agent reads.

mod connection;
mod result;
mod secrets;
mod server;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crewline_protocol::fault::{Fault, FaultCode};
use futures::future::{BoxFuture, join_all};
use serde_json::{Value, json};

use self::server::{Known, Server};
use super::{
    stage::never,
    tools::{Effect, Entry, Tool, ToolContext, ToolSpec},
};
use crate::{
    apps::{Crew, Grant},
    settings::McpServers,
};

/// The MCP servers that the settings name.
#[derive(Default)]
pub(super) struct Servers(BTreeMap<String, Arc<Server>>);

impl Servers {
    pub(super) fn new(settings: &McpServers) -> Self {
        let servers = settings.iter().map(|(name, settings)| (name.clone(), Arc::new(Server::new(name, settings))));
        Self(servers.collect())
    }

    /// Why a crew can't be executed here: it grants tools of a server that the settings do not name.
    pub(super) fn missing(&self, crew: &Crew) -> Option<Fault> {
        let granted = crew.agents.values().flat_map(|agent| &agent.tools).chain(crew.tasks.iter().flat_map(|task| &task.tools));
        let missing =
            granted.filter_map(|grant| parts(&grant.tool)).map(|(server, _)| server).find(|server| !self.0.contains_key(*server))?;
        let message = format!(
            "the crew `{}` has tools of the MCP server `{missing}`, which this server does not know: who runs it adds a section \
             `[mcp.{missing}]` to its settings' file",
            crew.name
        );
        Some(never(FaultCode::Invalid, message))
    }

    /// A tool by its whole name; `None` where its server has none of that name.
    ///
    /// # Errors
    /// `unavailable` where the server can't say: it could not be started or does not answer.
    pub(super) async fn tool(&self, name: &str) -> Result<Option<Arc<Entry>>, Fault> {
        let Some(server) = parts(name).and_then(|(server, _)| self.0.get(server)) else { return Ok(None) };
        Ok(server.ready().await?.tools.get(name).cloned())
    }

    /// The tools that these grants cover. Those of a server that is away are told as they were known last, or, where they never were, by
    /// the names that are granted: an agent that calls one tries the server again.
    ///
    /// # Errors
    /// `invalid`: a tool is granted that its server does not have.
    pub(super) async fn granted(&self, grants: &[Grant]) -> Result<Vec<ToolSpec>, Fault> {
        let named: BTreeSet<&str> = grants.iter().filter_map(|grant| parts(&grant.tool)).map(|(server, _)| server).collect();
        // A program may take seconds to start: they are started side by side.
        let asked = named.into_iter().filter_map(|name| self.0.get(name)).map(|server| async move { (server, server.ready().await) });
        let mut granted: BTreeMap<String, ToolSpec> = BTreeMap::new();
        for (server, ready) in join_all(asked).await {
            let (tools, away) = match ready {
                Ok(ready) => (ready.tools, None),
                Err(fault) => (server.known().unwrap_or_default(), Some(fault)),
            };
            for grant in grants.iter().filter(|grant| parts(&grant.tool).is_some_and(|(name, _)| name == server.name())) {
                let known: Vec<&Arc<Entry>> = tools.values().filter(|entry| grant.covers(&entry.spec.name)).collect();
                let one = parts(&grant.tool).is_some_and(|(_, tool)| tool.is_some());
                match &away {
                    None if one && known.is_empty() => return Err(never(FaultCode::Invalid, no_such_tool(&grant.tool, &tools))),
                    Some(fault) if known.is_empty() => drop(granted.insert(grant.tool.clone(), away_spec(&grant.tool, fault))),
                    _ => granted.extend(known.into_iter().map(|entry| (entry.spec.name.clone(), entry.spec.clone()))),
                }
            }
        }
        Ok(granted.into_values().collect())
    }

    /// Ends all connections in order, and the programs that were started.
    pub(super) async fn close(&self) {
        join_all(self.0.values().map(|server| server.close())).await;
    }
}

/// A name's server, and the tool where it names one.
pub(super) fn parts(tool: &str) -> Option<(&str, Option<&str>)> {
    let rest = tool.strip_prefix("mcp.")?;
    Some(rest.split_once('.').map_or((rest, None), |(server, tool)| (server, Some(tool))))
}

fn no_such_tool(granted: &str, tools: &Known) -> String {
    let known: Vec<&str> = tools.keys().map(String::as_str).collect();
    let known = if known.is_empty() { "none at all".to_owned() } else { known.join(", ") };
    format!("there is no tool `{granted}`: its MCP server has {known}; change `tools` of crew.yaml")
}

/// How a model is told of a tool that nothing is known of.
fn away_spec(granted: &str, fault: &Fault) -> ToolSpec {
    let description = format!("It can't be used now: {}. What it takes is not known either.", fault.message);
    ToolSpec { name: granted.to_owned(), description, input_schema: json!({"type": "object", "properties": {}}) }
}

/// A tool of a server.
struct Offered {
    /// Not held: a server holds its tools.
    server: std::sync::Weak<Server>,
    /// As the server calls it.
    name: String,
    spec: ToolSpec,
}

impl Tool for Offered {
    /// What a server says of its tools' effects is no more than a hint.
    fn effect(&self) -> Effect {
        Effect::Outside
    }

    fn spec(&self) -> ToolSpec {
        self.spec.clone()
    }

    fn call(&self, _: &ToolContext, input: Value) -> BoxFuture<'static, Result<Value, Fault>> {
        let (server, name) = (self.server.upgrade(), self.name.clone());
        Box::pin(async move {
            let server = server.ok_or_else(|| Fault::new(FaultCode::Unavailable, "this server is going away"))?;
            server.call(&name, input).await
        })
    }
}

#[cfg(test)]
mod tests;
