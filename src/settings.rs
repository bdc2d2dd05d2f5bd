//! Every limit and interval: its default, its bounds, and why it is there. From a file, the environment and flags, the later over
//! the earlier.

mod mcp;
mod places;
mod secret;

pub use mcp::{McpPlace, McpServer, McpServers, McpValue};
pub use places::Places;
pub use secret::Source;

use std::{collections::BTreeMap, fmt, path::Path, str::FromStr};

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Anyone; each gets a workspace of their own.
    Open,
    /// Only who was invited.
    Invite,
    /// Nobody; an operator adds users on the command line.
    Closed,
}

impl FromStr for Registration {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "open" => Ok(Self::Open),
            "invite" => Ok(Self::Invite),
            "closed" => Ok(Self::Closed),
            _ => Err("is one of open, invite, closed".into()),
        }
    }
}

impl fmt::Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Invite => "invite",
            Self::Closed => "closed",
        })
    }
}

/// Origins of pages that may open a socket or ask for a token, besides the server's own on localhost; separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<String>);

impl FromStr for Origins {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let origins: Vec<String> = text.split(',').map(str::trim).filter(|origin| !origin.is_empty()).map(str::to_owned).collect();
        for origin in &origins {
            let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            if !host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' '])) {
                return Err(format!("names `{origin}`, which is no origin such as https://app.example.com"));
            }
        }
        Ok(Self(origins))
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// Values by the names of providers or models: `openai=http://127.0.0.1:8000/v1,local=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<T>(pub BTreeMap<String, T>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Named<T> {
    /// The value with this name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.get(name)
    }
}

impl<T: FromStr> FromStr for Named<T> {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let named = parts.map(|part| {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not of the form name=value"))?;
            let value = value.trim().parse().map_err(|_| format!("`{value}` can't be the value of `{name}`"))?;
            Ok((name.trim().to_owned(), value))
        });
        named.collect::<Result<_, String>>().map(Self)
    }
}

impl<T: fmt::Display> fmt::Display for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        f.write_str(&named.join(","))
    }
}

/// What a million tokens cost, in micro-US-dollars: `150000/600000`, those that go in and those that come out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Price {
    /// A million tokens that go into a model.
    pub input: u64,
    /// A million that come out.
    pub output: u64,
}

impl FromStr for Price {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let prices = text.split_once('/').and_then(|(input, output)| Some((input.trim().parse().ok()?, output.trim().parse().ok()?)));
        let (input, output) = prices.ok_or("is a price such as 150000/600000")?;
        Ok(Self { input, output })
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.input, self.output)
    }
}

/// A setting could not be taken: which, from where, and what it may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

/// One setting, as `crewline serve --help` and the operator's guide show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its key; `CREWLINE_<KEY>` in the environment.
    pub key: &'static str,
    /// Its default.
    pub default: String,
    /// What it may be.
    pub bounds: &'static str,
    /// Why it is there.
    pub reason: String,
}

macro_rules! settings {
    ($($(#[doc = $reason:literal])* $key:ident: $type:ty = $default:expr, $check:expr, $bounds:literal;)*) => {
        /// Every setting, checked.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings {
            $($(#[doc = $reason])* pub $key: $type,)*
            /// The MCP servers whose tools agents can be granted: of the file alone, for each is a section of its own.
            pub mcp: McpServers,
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($key: $default,)* mcp: McpServers::default() }
            }
        }

        impl Settings {
            /// Sets one from text.
            ///
            /// # Errors
            /// For an unknown key and for a value that is out of its bounds; the text says what it may be.
            pub fn set(&mut self, key: &str, value: &str) -> Result<(), SettingsError> {
                match key {
                    $(stringify!($key) => {
                        let parsed: $type = value.parse().map_err(|_| {
                            SettingsError(format!(concat!("`", stringify!($key), "` can't be `{}`: it is ", $bounds), value))
                        })?;
                        let within: fn(&$type) -> bool = $check;
                        if !within(&parsed) {
                            return Err(SettingsError(format!(concat!("`", stringify!($key), "` can't be `{}`: it is ", $bounds), value)));
                        }
                        self.$key = parsed;
                    })*
                    _ => return Err(unknown(key)),
                }
                Ok(())
            }
            /// All of them, with defaults, bounds and reasons.
            pub fn described() -> Vec<Described> {
                let defaults = Self::default();
                vec![$(Described {
                    key: stringify!($key),
                    default: defaults.$key.to_string(),
                    bounds: $bounds,
                    reason: concat!($($reason,)*).trim().to_owned(),
                }),*]
            }
        }
    };
}

settings! {
    /// How often the server pings; two without a byte received end a connection. Shorter finds dead links sooner and costs more.
    heartbeat_ms: u64 = 15_000, |v| (100..=300_000).contains(v), "100 to 300000 (milliseconds)";
    /// How long a silent holder keeps a run. Shorter moves runs sooner, and loses them to a pause of the process more easily.
    lease_ms: u64 = 15_000, |v| (300..=600_000).contains(v), "300 to 600000 (milliseconds)";
    /// How long a server that shuts down lets its connections finish.
    drain_ms: u64 = 10_000, |v| (0..=600_000).contains(v), "0 to 600000 (milliseconds)";
    /// How often a node asks the database for what hints may have missed. A lost hint costs at most this.
    sweep_ms: u64 = 2_000, |v| (50..=60_000).contains(v), "50 to 60000 (milliseconds)";
    /// How long a socket may say nothing before hello.
    hello_ms: u64 = 5_000, |v| (100..=60_000).contains(v), "100 to 60000 (milliseconds)";
    /// How long a connection may stay without a principal.
    sign_in_ms: u64 = 60_000, |v| (100..=3_600_000).contains(v), "100 to 3600000 (milliseconds)";
    /// How long a socket may take no bytes while some wait: it holds memory meanwhile.
    stalled_ms: u64 = 20_000, |v| (100..=600_000).contains(v), "100 to 600000 (milliseconds)";
    /// How long an HTTP request's headers may take to come: half-sent ones hold a socket.
    header_ms: u64 = 10_000, |v| (100..=60_000).contains(v), "100 to 60000 (milliseconds)";
    /// Headers of an HTTP request.
    headers: u32 = 100, |v| (10..=1_000).contains(v), "10 to 1000";
    /// Bytes of an HTTP request's headers, its first line among them: they are held in memory until they are whole.
    header_bytes: u32 = 65_536, |v| (8_192..=1 << 20).contains(v), "8192 to 1048576 (bytes)";
    /// How long an HTTP request's body may take to come and its answer to be made.
    http_ms: u64 = 30_000, |v| (100..=300_000).contains(v), "100 to 300000 (milliseconds)";
    /// Connections over a limit that are told so at once; more are dropped without a word, for telling takes a descriptor too.
    refusals: u32 = 1_000, |v| (0..=100_000).contains(v), "0 to 100000";
    /// Connections at once, of all: each takes a descriptor and some kilobytes.
    connections: u32 = 20_000, |v| (1..=1_000_000).contains(v), "1 to 1000000";
    /// Connections at once from one address, so that one client can't take all.
    connections_per_address: u32 = 10_000, |v| (1..=1_000_000).contains(v), "1 to 1000000";
    /// Connections at once that have not signed in.
    unsigned_connections: u32 = 1_000, |v| (1..=1_000_000).contains(v), "1 to 1000000";
    /// Connections at once from one address that have not signed in.
    unsigned_per_address: u32 = 32, |v| (1..=1_000_000).contains(v), "1 to 1000000";
    /// Requests open at once on a connection.
    requests: u32 = 256, |v| (1..=65_536).contains(v), "1 to 65536";
    /// Subscriptions open at once on a connection.
    subscriptions: u32 = 256, |v| (1..=65_536).contains(v), "1 to 65536";
    /// Bytes of events that a connection may be sent before it grants more.
    connection_credit_bytes: u64 = 1 << 20, |v| (1_024..=64 << 20).contains(v), "1024 to 67108864 (bytes)";
    /// Bytes waiting for the socket above which no request is begun: who does not read is not worked for.
    outbox_bytes: u64 = 1 << 20, |v| (65_536..=64 << 20).contains(v), "65536 to 67108864 (bytes)";
    /// How long an access token is good. Shorter limits what a stolen one is worth.
    access_token_ms: u64 = 900_000, |v| (1_000..=86_400_000).contains(v), "1000 to 86400000 (milliseconds)";
    /// How far nodes' clocks may be apart: a token made by a node whose clock is ahead is good at once on the others.
    clock_skew_ms: u64 = 5_000, |v| (0..=300_000).contains(v), "0 to 300000 (milliseconds)";
    /// How long a sign-in lasts without being used.
    refresh_token_ms: u64 = 2_592_000_000, |v| (60_000..=31_536_000_000).contains(v), "60000 to 31536000000 (milliseconds)";
    /// Checks of passwords and tokens in a minute from one address: guessing must be slow.
    sign_in_rate: u32 = 60, |v| (1..=1_000_000).contains(v), "1 to 1000000 (a minute)";
    /// Reads in a second of one principal.
    read_rate: u32 = 5_000, |v| (1..=10_000_000).contains(v), "1 to 10000000 (a second)";
    /// Writes in a second of one principal.
    write_rate: u32 = 1_000, |v| (1..=10_000_000).contains(v), "1 to 10000000 (a second)";
    /// What the workers of one key say of their runs in a second, each batch of events once.
    lease_rate: u32 = 10_000, |v| (1..=10_000_000).contains(v), "1 to 10000000 (a second)";
    /// Passwords hashed at once: each takes a core for tens of milliseconds and 19 MiB.
    password_hashes: u32 = 2, |v| (1..=256).contains(v), "1 to 256";
    /// Passwords waiting to be hashed; more get `unavailable` at once rather than late.
    password_queue: u32 = 64, |v| (1..=10_000).contains(v), "1 to 10000";
    /// Pages that may open a socket, besides http://localhost, http://127.0.0.1 and http://[::1] at the server's port.
    origins: Origins = Origins::default(), |_| true, "origins such as https://app.example.com, separated by commas";
    /// Who may register.
    registration: Registration = Registration::Open, |_| true, "open, invite or closed";
    /// Runs that this server's engine executes at once.
    engine_runs: u32 = 1_000, |v| (0..=100_000).contains(v), "0 to 100000";
    /// Of those, how many of one workspace: another's runs need not wait until they have ended.
    workspace_runs: u32 = 1_000, |v| (1..=100_000).contains(v), "1 to 100000";
    /// Crews that a workspace may import, beside the app's; 0: none.
    workspace_crews: u32 = 50, |v| (0..=10_000).contains(v), "0 to 10000";
    /// How often a run is begun before it fails.
    max_attempts: u32 = 5, |v| (1..=1_000).contains(v), "1 to 1000";
    /// The longest answer of a model: a run's row must hold its inputs and its output.
    answer_bytes: u32 = 32 << 10, |v| (1_024..=128 << 10).contains(v), "1024 to 131072 (bytes)";
    /// The model of agents that name none, such as openai/gpt-4o-mini. As long as it is the simulated one, that answers all of them,
    /// whatever they name.
    model: String = "simulated".to_owned(), |v| !v.trim().is_empty(), "simulated, or a provider and its model such as openai/gpt-4o-mini";
    /// Where providers are asked other than at their own addresses, such as a server of one's own that speaks OpenAI's API.
    model_urls: Named<String> = Named::default(), |v| v.0.values().all(|url| url.starts_with("http://") || url.starts_with("https://")), "names and URLs such as local=http://127.0.0.1:8000/v1, separated by commas";
    /// Files that hold the keys of providers; without one a key is taken from the environment, such as OPENAI_API_KEY.
    model_key_files: Named<String> = Named::default(), |_| true, "names and files such as openai=/run/secrets/openai, separated by commas";
    /// What a million tokens of each model cost, going in and coming out; one without a price costs nothing.
    model_prices: Named<Price> = Named::default(), |_| true, "names and micro-US-dollars such as gpt-4o-mini=150000/600000, separated by commas";
    /// How long a model may say nothing: some think for minutes before their first word.
    model_silence_ms: u64 = 120_000, |v| (100..=3_600_000).contains(v), "100 to 3600000 (milliseconds)";
    /// How often a model that is busy, away or broken is asked again for one answer.
    model_retries: u32 = 4, |v| (0..=20).contains(v), "0 to 20";
    /// Hosts and networks that agents may fetch from besides public addresses, such as an intranet's.
    web_allow: Places = Places::default(), |_| true, "names and networks such as wiki.example.com,10.1.0.0/16, separated by commas";
    /// The search that agents ask: a URL with `{query}` in it that answers with JSON. Without one they can't search.
    search_url: String = String::new(), |v| v.is_empty() || (v.starts_with("http") && v.contains("{query}")), "a URL with query in braces where the words go";
    /// How fast the simulated model speaks.
    simulated_tokens_per_s: f64 = 60.0, |v| (0.1..=1_000_000.0).contains(v), "0.1 to 1000000 (tokens a second)";
    /// How often the folder of `--app` is looked at for changes. A change is taken when two looks found the same, so that files
    /// that are being saved one after another are not taken half-way.
    app_poll_ms: u64 = 500, |v| (50..=3_600_000).contains(v), "50 to 3600000 (milliseconds)";
    /// Bytes of encoded events that a followed run keeps in memory for readers near its head.
    tail_bytes: u64 = 256 << 10, |v| (0..=64 << 20).contains(v), "0 to 67108864 (bytes)";
    /// How long changes of a live query are gathered. Longer sends fewer frames and shows changes later.
    gather_ms: u64 = 25, |v| (0..=50).contains(v), "0 to 50 (milliseconds)";
    /// Bytes of changes that a live query keeps for followers who lag; who lags more gets the whole answer anew.
    live_history_bytes: u64 = 256 << 10, |v| (0..=64 << 20).contains(v), "0 to 67108864 (bytes)";
    /// Bytes of changed rows that a followed workspace keeps for live queries that are being read.
    live_feed_bytes: u64 = 4 << 20, |v| (0..=256 << 20).contains(v), "0 to 268435456 (bytes)";
}

impl Settings {
    /// Reads a TOML file of `key = value` lines and sections `[mcp.NAME]`, then `CREWLINE_<KEY>` from the environment, then flags of the form `key=value`.
    ///
    /// # Errors
    /// The first setting that can't be taken: where it stands, and what it may be.
    pub fn load(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>, flags: &[String]) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        if let Some(path) = file {
            let at = |error: String| SettingsError(format!("{}: {error}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| at(format!("can't be read: {error}")))?;
            let table: toml::Table = text.parse().map_err(|error: toml::de::Error| at(error.to_string()))?;
            for (key, value) in table {
                let text = match value {
                    toml::Value::Table(servers) if key == "mcp" => {
                        settings.mcp = McpServers::read(servers).map_err(at)?;
                        continue;
                    }
                    toml::Value::String(text) => text,
                    toml::Value::Integer(integer) => integer.to_string(),
                    toml::Value::Float(float) => float.to_string(),
                    _ => return Err(at(format!("`{key}` is a number or a text"))),
                };
                settings.set(&key, &text).map_err(|error| at(error.0))?;
            }
        }
        for (name, value) in environment {
            // Other variables of the same prefix belong to clients and the command line.
            let Some(key) = name.strip_prefix("CREWLINE_").map(str::to_ascii_lowercase) else { continue };
            if Self::described().iter().any(|setting| setting.key == key) {
                settings.set(&key, &value).map_err(|error| SettingsError(format!("{name}: {error}")))?;
            }
        }
        for flag in flags {
            let (key, value) = flag.split_once('=').ok_or_else(|| SettingsError(format!("`--set {flag}` is not of the form key=value")))?;
            settings.set(key.trim(), value.trim())?;
        }
        Ok(settings)
    }
}

/// How long an invitation may be accepted, in milliseconds: a week, over a holiday and not for ever, for whoever reads the mail joins.
pub const INVITATION_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// Bounds of the store. No operator gains by turning them, so that they are no settings.
pub mod store {
    use std::time::Duration;

    /// Commits that wait for a lane of the writer; who comes after them waits to be let in. Several groups' worth, so that the
    /// writer never starves.
    pub const QUEUE: usize = 1_024;
    /// Commits in one transaction. More would make the first of them wait for the last without a syncing saved.
    pub const GROUP_COMMITS: usize = 256;
    /// Bytes of events and rows in one transaction, about: what one transaction may hold in memory.
    pub const GROUP_BYTES: usize = 4 << 20;
    /// Lanes of the writer on PostgreSQL, each a connection: a workspace whose row another node holds stops only its own lane.
    pub const LANES: usize = 4;
    /// How often a transaction that got in another's way is tried again.
    pub const ATTEMPTS: u32 = 5;
    /// Connections that read, and so reads at once. SQLite reads on the processors of this machine, PostgreSQL elsewhere.
    pub const READERS: usize = 8;
    /// How long a read waits for one of them.
    pub const READER_WAIT: Duration = Duration::from_secs(3);
    /// How long connecting may take.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
    /// How long a read or a transaction may take before its connection is given up: no request hangs with the database.
    pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(6);
    /// How long SQLite waits for another process's lock, such as a copy being made.
    pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
    /// Prepared statements kept by a connection: every text that the store sends, in its few lengths.
    pub const STATEMENTS_KEPT: usize = 512;
    /// How long a reply is kept under its key, in milliseconds.
    pub const KEY_KEPT_MS: i64 = 24 * 60 * 60 * 1_000;
    /// Kept replies that go in one transaction, so that clearing up never holds up a commit.
    pub const KEYS_PRUNED: usize = 512;
    /// How long after a clearing that found nothing the next one comes, in milliseconds.
    pub const KEYS_PRUNED_EVERY_MS: i64 = 60_000;
    /// Deleted sessions whose messages are cleared away in one round of the sweep.
    pub const CLEARED_SESSIONS: usize = 4;
    /// Messages of one of them that go in one transaction, so that clearing up never holds up a commit.
    pub const CLEARED_MESSAGES: usize = 512;
}

fn unknown(key: &str) -> SettingsError {
    let known: Vec<&str> = Settings::described().iter().map(|setting| setting.key).collect();
    SettingsError(format!("there is no setting `{key}`; there are: {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("crewline.toml");
        std::fs::write(&file, "heartbeat_ms = 1000\nlease_ms = 2000\ndrain_ms = 3000\norigins = \"https://a.example\"\n").unwrap();
        let environment = [("CREWLINE_LEASE_MS", "2001"), ("CREWLINE_DRAIN_MS", "3001"), ("CREWLINE_TOKEN", "x"), ("HOME", "/")];
        let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let settings = Settings::load(Some(&file), environment.into_iter(), &["drain_ms=3002".into()]).unwrap();
        let expected = Settings {
            heartbeat_ms: 1000,
            lease_ms: 2001,
            drain_ms: 3002,
            origins: Origins(vec!["https://a.example".into()]),
            ..Settings::default()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn a_value_out_of_bounds_is_refused_with_its_bounds() {
        let mut settings = Settings::default();
        let error = settings.set("heartbeat_ms", "99").unwrap_err();
        assert_eq!(error.to_string(), "`heartbeat_ms` can't be `99`: it is 100 to 300000 (milliseconds)");
        assert!(
            settings.set("heartbeat", "1").unwrap_err().to_string().starts_with("there is no setting `heartbeat`; there are: heartbeat_ms")
        );
        assert!(settings.set("origins", "https://*.example.com").is_err());
        assert!(settings.set("simulated_tokens_per_s", "NaN").is_err());
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn every_default_is_within_its_bounds() {
        let mut settings = Settings::default();
        for setting in Settings::described() {
            settings.set(setting.key, &setting.default).unwrap();
            assert!(!setting.reason.is_empty(), "{} has no reason", setting.key);
        }
        assert_eq!(settings, Settings::default());
    }
}
