//! What a server is given and nobody else may see: it is taken out of whatever the server says.

use serde_json::Value;

use crate::settings::McpValue;

/// Instead of a secret.
const COVERED: &str = "[secret]";
/// What is shorter is no secret, and would be found everywhere.
const SHORTEST: usize = 6;

/// Values that must not be told on.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Reads what a variable or a header holds, and remembers it where it is to be kept.
    ///
    /// # Errors
    /// Where it was looked for, and what to do.
    pub(super) fn read(&mut self, value: &McpValue) -> Result<String, String> {
        let text = value.source.read()?;
        let whole = format!("{}{text}", value.prefix);
        if value.source.is_secret() && text.len() >= SHORTEST {
            self.0.push(text);
        }
        Ok(whole)
    }

    /// A text without them.
    pub(super) fn cover(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| if text.contains(secret) { text.replace(secret, COVERED) } else { text })
    }

    /// The same for every text in a value.
    pub(super) fn cover_all(&self, value: Value) -> Value {
        match value {
            Value::String(text) => self.cover(&text).into(),
            Value::Array(values) => values.into_iter().map(|value| self.cover_all(value)).collect(),
            Value::Object(fields) => fields.into_iter().map(|(key, value)| (self.cover(&key), self.cover_all(value))).collect(),
            other => other,
        }
    }
}
