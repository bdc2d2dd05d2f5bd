//! `crewline key`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use crewline::{access::SigningKey, context, keys::Keys, server};
use crewline_client::protocol::value::ApiKeyId;

use super::{Failure, screen::print};

#[derive(Subcommand)]
pub(crate) enum Key {
    /// Make a key by which a worker signs in, and print its secret, which is shown this once.
    Add(Add),
    /// List the keys of a workspace.
    List(List),
    /// Take a key back: its connections are closed, and it is good for nothing any more.
    Revoke(Revoke),
}

const ADD_EXAMPLES: &str = "\
Examples:
  CREWLINE_API_KEY=$(crewline key add gpu-box)
  crewline key add gpu-box --workspace Home --database postgres://crewline@db/crewline

The secret alone goes to standard output. It is made with the signing key in the data folder: add keys where the server's own is.
The server may go on running.";

/// Where the server's database is.
#[derive(Args)]
struct Place {
    /// The server's data folder.
    #[arg(long, default_value = super::serve::DATA, value_name = "FOLDER")]
    data: PathBuf,
    /// The server's database; without it SQLite in the data folder.
    #[arg(long, env = "CREWLINE_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<String>,
}

#[derive(Args)]
#[command(after_help = ADD_EXAMPLES)]
pub(crate) struct Add {
    /// What people call it.
    name: String,
    /// The workspace that it is for, by its id or name; without it the only one that there is.
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
pub(crate) struct List {
    /// The workspace, by its id or name; without it the only one that there is.
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
pub(crate) struct Revoke {
    /// The key's id, as `crewline key list` shows it.
    id: ApiKeyId,
    #[command(flatten)]
    place: Place,
}

impl Key {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run().await,
            Self::List(list) => list.run().await,
            Self::Revoke(revoke) => revoke.run().await,
        }
    }
}

impl Place {
    async fn open(&self) -> Result<Keys, Failure> {
        let location = server::location(&self.data, self.database.as_deref()).map_err(|error| Failure::Usage(error.to_string()))?;
        if self.database.is_none() {
            server::make_data_folder(&self.data)
                .map_err(|error| Failure::Usage(format!("the data folder {} can't be used: {error}", self.data.display())))?;
        }
        Keys::open(&location).await.map_err(failed)
    }
}

impl Add {
    async fn run(self) -> Result<(), Failure> {
        if self.name.trim().is_empty() || self.name.chars().count() > 200 {
            return Err(Failure::Usage("a key's name has 1 to 200 characters".into()));
        }
        let keys = self.place.open().await?;
        let signing = SigningKey::open(&self.place.data).map_err(|error| Failure::Usage(error.to_string()))?;
        let workspace = keys.workspace(self.workspace.as_deref()).await.map_err(failed)?;
        let (row, secret) = keys.add(workspace.id, self.name, &signing).await.map_err(failed)?;
        keys.close().await;
        eprintln!("added key {} ({}) to workspace {}; its secret is shown this once", row.name, row.id, workspace.name);
        print(&format!("{secret}\n"))
    }
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let keys = self.place.open().await?;
        let workspace = keys.workspace(self.workspace.as_deref()).await.map_err(failed)?;
        let rows = keys.list(workspace.id).await.map_err(failed)?;
        keys.close().await;
        let line = |row: &crewline::access::ApiKeyRow| {
            let state = if row.revoked_at.is_some() { "revoked" } else { "good" };
            format!("{}  {:<7}  {}  {}\n", row.id, state, row.role.as_str(), row.name)
        };
        print(&rows.iter().map(line).collect::<String>())
    }
}

impl Revoke {
    async fn run(self) -> Result<(), Failure> {
        let keys = self.place.open().await?;
        let row = keys.revoke(self.id).await.map_err(failed)?;
        keys.close().await;
        print(&format!("revoked key {} ({})\n", row.name, row.id))
    }
}

fn failed(failure: context::Failure) -> Failure {
    match failure {
        context::Failure::Fault(fault) | context::Failure::Stale(fault) => Failure::Server(fault.to_string()),
        context::Failure::Error(error) | context::Failure::Unavailable(error) => Failure::Server(error.to_string()),
    }
}
