//! Which tools a crew's agents may use, and with which arguments: what `crew.yaml` does not grant, nobody has.

use std::collections::BTreeMap;

use crewline_protocol::{OperationSpec, operation::Access, operations::find};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{Process, Remarks, known};
use crate::apps::{
    Collection,
    tree::{Node, Tree},
    yaml::{AgentFields, CrewFile, Entries},
};

/// The tools that agents can be given, beside operations and those of MCP servers.
pub const TOOLS: &[&str] = &["content.analyze", "web.fetch", "web.search"];
/// Nouns of which no operation is a tool: who people are and what they may do is for people, and so are their answers, which crews
/// there are, what those may cost, and files' bytes.
const FOR_PEOPLE: &[&str] = &[
    "auth",
    "api_key",
    "secret",
    "member",
    "invitation",
    "workspace",
    "approval",
    "crew",
    "agent",
    "budget",
    "artifact",
    "lease",
    "worker",
];

/// A tool that an agent may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// Its name: one of [`TOOLS`], an operation's, `mcp.SERVER.TOOL`, or `mcp.SERVER` for all tools of a server.
    pub tool: String,
    /// Arguments that must be there and be one of these values; others are free.
    pub only: BTreeMap<String, Vec<Value>>,
}

impl Grant {
    /// Whether it lets a tool be called with these arguments.
    pub fn allows(&self, tool: &str, arguments: &Value) -> bool {
        self.covers(tool) && self.only.iter().all(|(name, values)| arguments.get(name).is_some_and(|value| values.contains(value)))
    }

    /// Whether a name is this tool's, or that of a tool of this server.
    pub fn covers(&self, name: &str) -> bool {
        let server = || self.tool.strip_prefix("mcp.").is_some_and(|server| !server.contains('.'));
        self.tool == name || (server() && name.strip_prefix(&self.tool).is_some_and(|rest| rest.starts_with('.')))
    }
}

/// Whether agents can be given an operation as a tool.
pub fn is_tool(operation: &OperationSpec) -> bool {
    let for_agents = !matches!(operation.access, Access::Anyone | Access::Own | Access::Worker | Access::Operator);
    for_agents && !FOR_PEOPLE.contains(&operation.noun())
}

/// What `crew.yaml` grants, by agents' names.
pub(super) struct Grants(BTreeMap<String, Vec<Grant>>);

impl Grants {
    pub(super) fn read(
        crew: &CrewFile,
        process: &Process,
        agents: &Entries<AgentFields>,
        collections: &BTreeMap<String, Collection>,
        remarks: &mut Remarks<'_>,
    ) -> Self {
        let mut grants = BTreeMap::new();
        for (agent, tools) in &crew.tools.0 {
            if agents.get(&agent.value).is_none() && process.manager() != Some(&agent.value) {
                let message = format!("`tools` names agent `{}`, whom agents.yaml does not: {}", agent.value, known(agents.names()));
                remarks.at(agent.referenced, message);
            }
            let granted = tools.iter().filter_map(|tree| grant(tree, collections, remarks)).collect();
            grants.insert(agent.value.clone(), granted);
        }
        Self(grants)
    }

    /// All that an agent is granted.
    pub(super) fn of(&self, agent: &str) -> &[Grant] {
        self.0.get(agent).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether anyone is granted this tool, or one of this server.
    pub(super) fn any(&self, tool: &str) -> bool {
        let named = Grant { tool: tool.to_owned(), only: BTreeMap::new() };
        self.0.values().flatten().any(|grant| grant.covers(tool) || named.covers(&grant.tool))
    }

    /// The tools with these names, as the agent is granted them; those that it is not are complained of.
    pub(super) fn named(&self, agent: &str, tools: &[Spanned<String>], remarks: &mut Remarks<'_>) -> Vec<Grant> {
        let mut named = Vec::new();
        for tool in tools {
            let name = tool.value.as_str();
            let granted: Vec<Grant> = self
                .of(agent)
                .iter()
                .filter(|grant| grant.covers(name))
                .map(|grant| Grant { tool: name.to_owned(), only: grant.only.clone() })
                .collect();
            if granted.is_empty() {
                match refused(name) {
                    None => remarks
                        .at(tool.referenced, format_args!("agent `{agent}` may not use `{name}`: grant it under `tools` of crew.yaml")),
                    Some(why) => remarks.needs_worker(tool.referenced, why),
                }
            }
            named.extend(granted);
        }
        named
    }
}

/// Whether a tool that is an operation takes no such argument; what others take is known when they are there.
pub(super) fn has_no_argument(tool: &str, name: &str) -> bool {
    find(tool).map(OperationSpec::input).is_some_and(|known| known["properties"].get(name).is_none())
}

fn grant(tree: &Tree, collections: &BTreeMap<String, Collection>, remarks: &mut Remarks<'_>) -> Option<Grant> {
    let (tool, at, arguments) = match &tree.node {
        Node::Scalar(Value::String(name)) => (name.clone(), tree.at, &[][..]),
        Node::Map(entries) if entries.len() == 1 => (entries[0].0.value.clone(), entries[0].0.referenced, entries[0].1.entries()),
        Node::Map(_) | Node::List(_) | Node::Scalar(_) => {
            remarks.at(tree.at, "this is no tool: write its name, or `{NAME: {ARGUMENT: [VALUE, …]}}`");
            return None;
        }
    };
    if let Some(why) = refused(&tool) {
        remarks.at(at, why);
        return None;
    }
    let mut only = BTreeMap::new();
    for (argument, values) in arguments {
        let name = argument.value.as_str();
        if has_no_argument(&tool, name) {
            remarks.at(argument.referenced, format_args!("`{tool}` has no argument `{name}`"));
        }
        let allowed = match &values.node {
            Node::List(values) => values.iter().collect(),
            Node::Scalar(_) | Node::Map(_) => vec![values],
        };
        if tool.starts_with("record.") && name == "collection" {
            allowed.iter().for_each(|value| collection(value, collections, remarks));
        }
        only.insert(name.to_owned(), allowed.into_iter().map(Tree::value).collect());
    }
    Some(Grant { tool, only })
}

fn collection(named: &Tree, collections: &BTreeMap<String, Collection>, remarks: &mut Remarks<'_>) {
    let value = named.value();
    if value.as_str().is_none_or(|name| !collections.contains_key(name)) {
        remarks.at(named.at, format_args!("there is no collection {value}: {}", known(collections.keys())));
    }
}

/// Why there is no such tool.
fn refused(tool: &str) -> Option<String> {
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if let Some(rest) = tool.strip_prefix("mcp.") {
        let (server, of_server) = rest.split_once('.').map_or((rest, None), |(server, of_server)| (server, Some(of_server)));
        let named = word(server) && of_server.is_none_or(|tool| !tool.is_empty());
        return (!named)
            .then(|| format!("`{tool}` names no tool of an MCP server: write `mcp.SERVER.TOOL`, or `mcp.SERVER` for all of them"));
    }
    match find(tool) {
        Some(operation) if is_tool(operation) => None,
        Some(_) => Some(format!("the operation `{tool}` is no tool: it is for people")),
        None if TOOLS.contains(&tool) => None,
        None => Some(format!(
            "there is no tool `{tool}`: {}, tools of MCP servers as `mcp.SERVER.TOOL`, and operations as `record.create`",
            known(TOOLS.iter())
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crewline_protocol::OPERATIONS;
    use serde_json::json;

    #[test]
    fn no_operation_that_is_for_people_is_a_tool() {
        let tools: Vec<&str> = OPERATIONS.iter().filter(|operation| is_tool(operation)).map(|operation| operation.name).collect();
        assert!(tools.contains(&"record.create") && tools.contains(&"session.list") && tools.contains(&"run.start"));
        for noun in ["auth.", "api_key.", "member.", "workspace.", "invitation.", "approval.", "crew.", "budget.", "lease.", "worker."] {
            assert!(!tools.iter().any(|tool| tool.starts_with(noun)), "{noun}");
        }
    }

    #[test]
    fn a_server_s_grant_covers_its_tools_alone() {
        let covers = |tool: &str, name: &str| Grant { tool: tool.into(), only: BTreeMap::new() }.covers(name);
        assert!(covers("mcp.files", "mcp.files.read") && covers("mcp.files.read", "mcp.files.read") && covers("mcp.files", "mcp.files"));
        assert!(!covers("mcp.files", "mcp.filesystem.read") && !covers("mcp.files.read", "mcp.files.read.all"));
        assert!(!covers("record", "record.create"));
    }

    #[test]
    fn arguments_that_are_bound_must_be_there() {
        let only = [("collection".to_owned(), vec![json!("pages"), json!("comments")])].into();
        let grant = Grant { tool: "record.create".into(), only };
        assert!(grant.allows("record.create", &json!({"collection": "comments", "data": {}})));
        for arguments in [json!({"collection": "members"}), json!({"collection": ["pages"]}), json!({}), json!(null), json!("pages")] {
            assert!(!grant.allows("record.create", &arguments), "{arguments}");
        }
        assert!(!grant.allows("record.update", &json!({"collection": "pages"})));
    }
}
