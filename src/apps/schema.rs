//! JSON Schemas that say what a value must be: a crew's inputs, a tool's arguments.

use crewline_protocol::fault::FieldFault;
use serde_json::Value;

/// A JSON Schema, ready to be asked.
#[derive(Debug)]
pub struct Schema(jsonschema::Validator);

/// Why a schema is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSchema {
    /// The part that is wrong, as a JSON pointer into the schema.
    pub pointer: String,
    /// What is wrong with it.
    pub message: String,
}

impl Schema {
    /// Reads a schema. Formats that it names are checked, too.
    ///
    /// # Errors
    /// Why it is none, and where.
    pub fn new(schema: &Value) -> Result<Self, NoSchema> {
        let validator = jsonschema::options().should_validate_formats(true).build(schema);
        validator.map(Self).map_err(|error| NoSchema { pointer: error.instance_path().to_string(), message: error.to_string() })
    }

    /// What is wrong with a value, each with its path from `root`.
    pub fn wrong(&self, value: &Value, root: &str) -> Vec<FieldFault> {
        self.faults(value, root).into_iter().map(|(fault, _)| fault).collect()
    }

    /// The same, each with the JSON pointer to what is wrong.
    pub(super) fn faults(&self, value: &Value, root: &str) -> Vec<(FieldFault, String)> {
        let fault = |error: jsonschema::ValidationError<'_>| {
            let pointer = error.instance_path().to_string();
            let fault = FieldFault {
                path: path(root, &pointer),
                code: error.kind().keyword().to_owned(),
                // The value may be a whole page: the sentence leaves it out.
                message: error.masked_with("the value").to_string(),
            };
            (fault, pointer)
        };
        self.0.iter_errors(value).map(fault).collect()
    }

    /// Whether nothing is wrong with a value: quicker than to say what is.
    pub fn fits(&self, value: &Value) -> bool {
        self.0.is_valid(value)
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
