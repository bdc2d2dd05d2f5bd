//! The MCP servers whose tools agents can be granted: sections `[mcp.NAME]` of the settings' file. An app names them and no more: what
//! program is started with this server's rights, and whom it asks with which secrets, is the operator's to say.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::Deserialize;
use toml::{Table, Value};

use super::Source;

/// MCP servers by the names that crews have for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct McpServers(BTreeMap<String, McpServer>);

/// An MCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpServer {
    /// Where it is.
    pub at: McpPlace,
    /// How long it may take until it is there and has told its tools.
    pub start_ms: u64,
    /// How long a call may take.
    pub call_ms: u64,
    /// Calls at once.
    pub calls: usize,
    /// The most of a result that an agent is given, in bytes.
    pub result_bytes: usize,
}

/// How an MCP server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum McpPlace {
    /// A program that this server starts and speaks to over its standard input and output.
    Program {
        /// The program and its arguments.
        command: Vec<String>,
        /// The folder that it is started in; absent: this server's own.
        folder: Option<String>,
        /// What its environment has besides a few variables that every program needs.
        env: BTreeMap<String, McpValue>,
    },
    /// A service that is asked over streamable HTTP.
    Service {
        /// Its URL.
        url: String,
        /// What every request carries.
        headers: BTreeMap<String, McpValue>,
    },
}

/// What a variable or a header holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct McpValue {
    /// What stands before the value, such as `Bearer `.
    pub prefix: String,
    /// Where the value is.
    pub source: Source,
}

impl McpServers {
    /// The server with this name.
    pub fn get(&self, name: &str) -> Option<&McpServer> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &McpServer)> {
        self.0.iter()
    }

    /// Reads the sections, by their names.
    ///
    /// # Errors
    /// What is wrong with the first that can't be taken.
    pub fn read(sections: Table) -> Result<Self, String> {
        let servers = sections.into_iter().map(|(name, section)| {
            let at = |wrong: String| format!("`[mcp.{name}]`: {wrong}");
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
                return Err(at("a name has letters, digits, `_` and `-` alone".into()));
            }
            let section: Section = section.try_into().map_err(|error: toml::de::Error| at(error.message().to_owned()))?;
            Ok((name.clone(), section.server().map_err(at)?))
        });
        servers.collect::<Result<_, String>>().map(Self)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    command: Option<Vec<String>>,
    folder: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, McpValue>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, McpValue>,
    start_ms: Option<u64>,
    call_ms: Option<u64>,
    calls: Option<u64>,
    result_bytes: Option<u64>,
}

/// Headers that the protocol itself sets.
const RESERVED: &[&str] = &["accept", "content-type", "content-length", "host", "mcp-session-id", "mcp-protocol-version", "last-event-id"];

impl Section {
    fn server(self) -> Result<McpServer, String> {
        let start_ms = within("start_ms", self.start_ms, 30_000, 100..=600_000)?;
        let call_ms = within("call_ms", self.call_ms, 60_000, 100..=3_600_000)?;
        let calls = small(within("calls", self.calls, 16, 1..=1_024)?);
        let result_bytes = small(within("result_bytes", self.result_bytes, 24 << 10, 256..=60_000)?);
        let at = match (self.command, self.url) {
            (Some(command), None) => {
                if command.first().is_none_or(String::is_empty) {
                    return Err("`command` is the program and its arguments, as [\"uvx\", \"mcp-server-git\"]".into());
                }
                if !self.headers.is_empty() {
                    return Err("`headers` are for a `url`; a program has an `env`".into());
                }
                if let Some(wrong) = self.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
                    return Err(format!("`env` can't have a variable `{wrong}`"));
                }
                McpPlace::Program { command, folder: self.folder, env: self.env }
            }
            (None, Some(url)) => {
                let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
                let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
                if host.is_empty() || host.contains('@') {
                    return Err("`url` is as https://mcp.example.com/mcp, without a name or a password: those go into `headers`".into());
                }
                if !self.env.is_empty() || self.folder.is_some() {
                    return Err("`env` and `folder` are for a `command`; a service has `headers`".into());
                }
                let known = |name: &String| RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name));
                let is_token =
                    |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
                if let Some(wrong) = self.headers.keys().find(|name| known(name) || !is_token(name)) {
                    return Err(format!("`headers` can't have `{wrong}`"));
                }
                McpPlace::Service { url, headers: self.headers }
            }
            _ => return Err("say by `command` which program it is, or by `url` where it answers".into()),
        };
        Ok(McpServer { at, start_ms, call_ms, calls, result_bytes })
    }
}

fn within(key: &str, value: Option<u64>, default: u64, bounds: RangeInclusive<u64>) -> Result<u64, String> {
    let value = value.unwrap_or(default);
    if bounds.contains(&value) { Ok(value) } else { Err(format!("`{key}` can't be {value}: it is {} to {}", bounds.start(), bounds.end())) }
}

/// A number whose bounds are far below any machine's.
fn small(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl TryFrom<Value> for McpValue {
    type Error = String;
    fn try_from(value: Value) -> Result<Self, String> {
        // Whatever is wrong is told without the value: it may be a secret.
        const FORM: &str = "a value is a text, {env = \"NAME\"} or {file = \"PATH\"}; the last two may have a `prefix`";
        let mut table = match value {
            Value::String(text) => return Ok(Self { prefix: String::new(), source: Source::Text(text) }),
            Value::Table(table) => table,
            _ => return Err(FORM.into()),
        };
        let mut text = |key: &str| match table.remove(key) {
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(FORM.to_owned()),
            None => Ok(None),
        };
        let (prefix, env, file) = (text("prefix")?.unwrap_or_default(), text("env")?, text("file")?);
        let source = match (env, file) {
            (Some(env), None) => Source::Environment(env),
            (None, Some(file)) => Source::File(file),
            _ => return Err(FORM.into()),
        };
        if table.is_empty() { Ok(Self { prefix, source }) } else { Err(FORM.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<McpServers, String> {
        McpServers::read(text.parse().unwrap())
    }

    #[test]
    fn a_section_names_a_program_or_a_service_and_where_its_secrets_are() {
        let servers = read(
            "[files]\ncommand = ['mcp-files', '/srv']\nenv = {LEVEL = 'info', TOKEN = {env = 'FILES_TOKEN'}}\ncall_ms = 5000\n\
             [tickets]\nurl = 'https://mcp.example.com/mcp'\nheaders = {Authorization = {file = '/run/secrets/tickets', prefix = 'Bearer '}}\n",
        )
        .unwrap();
        let value = |prefix: &str, source| McpValue { prefix: prefix.into(), source };
        let env = [
            ("LEVEL".to_owned(), value("", Source::Text("info".into()))),
            ("TOKEN".to_owned(), value("", Source::Environment("FILES_TOKEN".into()))),
        ];
        let at = McpPlace::Program { command: vec!["mcp-files".into(), "/srv".into()], folder: None, env: env.into() };
        assert_eq!(servers.get("files"), Some(&McpServer { at, start_ms: 30_000, call_ms: 5_000, calls: 16, result_bytes: 24 << 10 }));
        let headers = [("Authorization".to_owned(), value("Bearer ", Source::File("/run/secrets/tickets".into())))].into();
        assert_eq!(servers.get("tickets").unwrap().at, McpPlace::Service { url: "https://mcp.example.com/mcp".into(), headers });
        assert_eq!(servers.get("other"), None);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_section_and_without_values() {
        for (text, says) in [
            ("[a]\n", "`[mcp.a]`: say by `command` which program it is"),
            ("[a]\ncommand = ['x']\nurl = 'http://x'\n", "say by `command`"),
            ("[a]\ncommand = []\n", "`command` is the program and its arguments"),
            ("['a.b']\ncommand = ['x']\n", "a name has letters"),
            ("[a]\ncomand = ['x']\n", "unknown field `comand`"),
            ("[a]\ncommand = ['x']\ncall_ms = 1\n", "`call_ms` can't be 1: it is 100 to 3600000"),
            ("[a]\ncommand = ['x']\nheaders = {A = 'x'}\n", "a program has an `env`"),
            ("[a]\nurl = 'http://x'\nenv = {A = 'x'}\n", "a service has `headers`"),
            ("[a]\nurl = 'http://x'\nheaders = {Mcp-Session-Id = 'x'}\n", "`headers` can't have `Mcp-Session-Id`"),
            ("[a]\nurl = 'http://ada:canary@x/'\n", "without a name or a password"),
            ("[a]\nurl = 'ftp://x/'\n", "`url` is as https://"),
            ("[a]\ncommand = ['x']\nenv = {A = {secret = 'canary'}}\n", "a value is a text"),
            ("[a]\ncommand = ['x']\nenv = {A = {env = 'A', more = 'canary'}}\n", "a value is a text"),
            ("[a]\ncommand = ['x']\nenv = {A = ['canary']}\n", "a value is a text"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says) && error.starts_with("`[mcp.a"), "{text}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn settings_are_shown_without_what_might_be_a_secret() {
        let servers = read("[a]\ncommand = ['x']\nenv = {A = 'canary'}\n").unwrap();
        assert!(!format!("{servers:?}").contains("canary"));
    }
}
