//! `crewline user`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use crewline::{auth, context, server};
use crewline_client::protocol::operations::auth::Register;

use super::{Failure, app::read as read_app, remote::password, screen::print};

#[derive(Subcommand)]
pub(crate) enum User {
    /// Add a user, and a workspace of their own. This is the only way to an operator.
    Add(Add),
}

const ADD_EXAMPLES: &str = "\
Examples:
  crewline user add ada@example.com --name Ada --operator
  CREWLINE_PASSWORD=… crewline user add ada@example.com --database postgres://crewline@db/crewline

The password is taken from CREWLINE_PASSWORD or asked for. The server may go on running.";

#[derive(Args)]
#[command(after_help = ADD_EXAMPLES)]
pub(crate) struct Add {
    /// The address to sign in with.
    email: String,
    /// What others see; the part before the @ without it.
    #[arg(long)]
    name: Option<String>,
    /// Make it an operator, who runs the server.
    #[arg(long)]
    operator: bool,
    /// The folder of the app whose seed records their workspace gets; without it that of the app served last, or KP.
    #[arg(long, value_name = "FOLDER")]
    app: Option<PathBuf>,
    /// The server's data folder.
    #[arg(long, default_value = super::serve::DATA, value_name = "FOLDER")]
    data: PathBuf,
    /// The server's database; without it SQLite in the data folder.
    #[arg(long, env = "CREWLINE_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<String>,
}

impl User {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run().await,
        }
    }
}

impl Add {
    async fn run(self) -> Result<(), Failure> {
        let location = server::location(&self.data, self.database.as_deref()).map_err(|error| Failure::Usage(error.to_string()))?;
        if self.database.is_none() {
            server::make_data_folder(&self.data)
                .map_err(|error| Failure::Usage(format!("the data folder {} can't be used: {error}", self.data.display())))?;
        }
        let app = self.app.as_deref().map(read_app).transpose()?;
        let name = self.name.unwrap_or_else(|| self.email.split('@').next().unwrap_or_default().to_owned());
        let password = password(&format!("New password of {} (10 characters or more): ", self.email))?;
        let input = Register { email: self.email, password, name, workspace: None, invitation: None };
        let user = auth::add_user(&location, app, input, self.operator).await.map_err(|failure| match failure {
            context::Failure::Fault(fault) | context::Failure::Stale(fault) => Failure::Server(fault.to_string()),
            context::Failure::Error(error) | context::Failure::Unavailable(error) => Failure::Server(error.to_string()),
        })?;
        let what = if user.operator { "operator" } else { "user" };
        print(&format!("added {what} {} ({})\n", user.email, user.id))
    }
}
