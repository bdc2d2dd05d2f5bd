//! `crewline call`

use std::io::Read;

use clap::Args;
use crewline_client::CallOptions;
use crewline_protocol::{OPERATIONS, operation::Access};
use serde_json::Value;

use super::{
    Failure,
    remote::{Remote, leave},
    screen,
};

const EXAMPLES: &str = "\
Examples:
  crewline call auth.me '{}'
  crewline call run.get '{\"id\": \"01890a5d-ac96-774b-bcce-b302099a8057\"}'
  crewline call run.cancel '{\"id\": \"01890a5d-ac96-774b-bcce-b302099a8057\", \"mode\": \"now\"}'
  crewline call auth.register - < me.json      a password is not for the command line: others can read it there

The operations and their inputs stand in the protocol's reference.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Call {
    /// The operation, as `noun.verb`.
    operation: String,
    /// Its input, a JSON object; `-` reads it from standard input.
    #[arg(value_name = "JSON", default_value = "{}")]
    input: String,
    #[command(flatten)]
    remote: Remote,
}

impl Call {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let input = self.input()?;
        let for_anyone = OPERATIONS.iter().any(|spec| spec.name == self.operation && spec.access == Access::Anyone);
        let client = if for_anyone { self.remote.connect_as_nobody().await? } else { self.remote.connect().await? };
        let output = client.call_raw(&self.operation, &input, CallOptions::default()).await;
        leave(client).await;
        let output = output?;
        let text = if self.remote.json { output.to_string() } else { format!("{output:#}") };
        screen::print(&format!("{text}\n"))
    }
    fn input(&self) -> Result<Value, Failure> {
        let mut text = self.input.clone();
        if text == "-" {
            text.clear();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| Failure::Usage(format!("standard input can't be read: {error}")))?;
        }
        match serde_json::from_str(&text) {
            Ok(input @ Value::Object(_)) => Ok(input),
            Ok(_) => Err(Failure::Usage("an input is a JSON object, such as '{\"id\": \"…\"}'".into())),
            Err(error) => Err(Failure::Usage(format!("the input is no JSON ({error}): give an object, such as '{{\"id\": \"…\"}}'"))),
        }
    }
}
