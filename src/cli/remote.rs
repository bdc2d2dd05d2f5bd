//! What every command that talks to a server is told: where it is, and who one is there.

use std::{io::IsTerminal, time::Duration};

use clap::Args;
use crewline_client::{Client, Token};

use super::Failure;

/// How long a command waits for its goodbye to be taken.
const GOODBYE: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(crate) struct Remote {
    /// The server.
    #[arg(long, env = "CREWLINE_URL", default_value = "ws://127.0.0.1:7410/ws", value_name = "URL", help_heading = "Server")]
    pub(crate) url: String,
    /// An access token or an API key. Give it by the environment: others on this machine can read a command line.
    #[arg(long, env = "CREWLINE_TOKEN", hide_env_values = true, value_name = "TOKEN", help_heading = "Server")]
    token: Option<String>,
    /// Who signs in; the password is taken from CREWLINE_PASSWORD or asked for.
    #[arg(long, env = "CREWLINE_EMAIL", value_name = "EMAIL", help_heading = "Server")]
    email: Option<String>,
    /// Print one JSON object a line, for programs.
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

impl Remote {
    /// A connected client that is signed in.
    pub(crate) async fn sign_in(&self) -> Result<Client, Failure> {
        if self.token.is_none() && self.email.is_none() {
            let advice = "who are you? Give --email (and CREWLINE_PASSWORD, or type the password), or CREWLINE_TOKEN";
            return Err(Failure::Usage(advice.into()));
        }
        self.connect().await
    }
    /// A connected client on which nobody is signed in.
    pub(crate) async fn connect_as_nobody(&self) -> Result<Client, Failure> {
        let client = Client::builder(&self.url).program("crewline", env!("CARGO_PKG_VERSION")).build()?;
        client.connect().await?;
        Ok(client)
    }
    /// A connected client, signed in where one says who one is.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        let builder = Client::builder(&self.url).program("crewline", env!("CARGO_PKG_VERSION"));
        let client = match &self.token {
            Some(token) => builder.auth(Token::new(token)).build()?,
            None => builder.build()?,
        };
        // Asked before the password is: nobody should type one for a server that isn't there.
        client.connect().await?;
        if let (None, Some(email)) = (&self.token, &self.email) {
            client.login(email, password(&format!("Password of {email}: "))?).await.map_err(|error| match error {
                crewline_client::CallError::Fault(fault) => Failure::Connection(format!("{email} can't sign in: {}", fault.message)),
                other => other.into(),
            })?;
        }
        Ok(client)
    }
}

/// Says goodbye.
pub(crate) async fn leave(client: Client) {
    client.close(GOODBYE).await;
}

/// The password from the environment, or typed without being shown.
pub(crate) fn password(question: &str) -> Result<String, Failure> {
    if let Ok(password) = std::env::var("CREWLINE_PASSWORD") {
        return Ok(password);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage("no password: set CREWLINE_PASSWORD, or run this in a terminal to be asked for it".into()));
    }
    rpassword::prompt_password(question).map_err(|error| Failure::Usage(format!("the password can't be read: {error}")))
}
