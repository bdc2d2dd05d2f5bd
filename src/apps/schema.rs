//! JSON Schemas that say what a value must be: a crew's inputs, a tool's arguments.

use crewline_protocol::fault::FieldFault;
use jsonschema::error::ValidationErrorKind;
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

    /// The same, each with the JSON pointer to what is wrong. A key that is missing, or that nobody knows, is named by its own path.
    pub(super) fn faults(&self, value: &Value, root: &str) -> Vec<(FieldFault, String)> {
        let mut faults = Vec::new();
        for error in self.0.iter_errors(value) {
            let code = error.kind().keyword();
            let (at, kind) = (error.instance_path().to_string(), error.kind());
            let keys: Vec<&str> = match kind {
                ValidationErrorKind::Required { property } => property.as_str().into_iter().collect(),
                ValidationErrorKind::AdditionalProperties { unexpected } => unexpected.iter().map(String::as_str).collect(),
                _ => Vec::new(),
            };
            let pointers = keys.iter().map(|key| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")));
            let pointers: Vec<String> = if keys.is_empty() { vec![at.clone()] } else { pointers.collect() };
            for pointer in pointers {
                let message = match kind {
                    ValidationErrorKind::Required { .. } => "it is required".to_owned(),
                    ValidationErrorKind::AdditionalProperties { .. } => "there is no such key".to_owned(),
                    // The value may be a whole page: the sentence leaves it out.
                    _ => error.masked_with("the value").to_string(),
                };
                faults.push((FieldFault { path: path(root, &pointer), code: code.to_owned(), message }, pointer));
            }
        }
        faults
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
