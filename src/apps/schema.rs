//! JSON Schemas that say what a value must be: a crew's inputs, a tool's arguments.

use crewline_protocol::fault::FieldFault;
use serde_json::Value;

/// A JSON Schema, ready to be asked.
#[derive(Debug)]
pub struct Schema(jsonschema::Validator);

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// Why it is none.
    pub fn new(schema: &Value) -> Result<Self, String> {
        jsonschema::validator_for(schema).map(Self).map_err(|error| error.to_string())
    }

    /// What is wrong with a value, each with its path from `root`.
    pub fn wrong(&self, value: &Value, root: &str) -> Vec<FieldFault> {
        let field = |error: jsonschema::ValidationError<'_>| FieldFault {
            path: path(root, &error.instance_path().to_string()),
            code: error.kind().keyword().to_owned(),
            // The value may be a whole page: the sentence leaves it out.
            message: error.masked_with("the value").to_string(),
        };
        self.0.iter_errors(value).map(field).collect()
    }
}

/// A path as faults have it, from a JSON pointer below a root.
fn path(root: &str, pointer: &str) -> String {
    pointer.split('/').skip(1).fold(root.to_owned(), |path, part| match part.parse::<usize>() {
        Ok(place) => format!("{path}[{place}]"),
        Err(_) => {
            let name = part.replace("~1", "/").replace("~0", "~");
            if path.is_empty() { name } else { format!("{path}.{name}") }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_javascript_has_them() {
        assert_eq!(path("inputs", ""), "inputs");
        assert_eq!(path("inputs", "/a/0/b~1c"), "inputs.a[0].b/c");
        assert_eq!(path("", "/a/0"), "a[0]");
    }
}
