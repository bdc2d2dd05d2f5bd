//! A run's inputs, checked against its crew before the run is there.

use crewline_protocol::{
    fault::{Fault, FieldFault},
    operations::run::Inputs,
};
use serde_json::Value;

use crate::apps::Crew;

/// The most fields that a fault names: enough to mend them, not a page of them.
const FIELDS: usize = 20;

/// Passes inputs that the crew's schema accepts and that fill all its placeholders.
///
/// # Errors
/// `invalid`, with each field's path, from where the inputs stand.
pub(super) fn check(crew: &Crew, inputs: &Inputs, at: &str) -> Result<(), Fault> {
    let instance = Value::Object(inputs.clone());
    let wrong = crew.inputs.wrong(&instance, at).into_iter();
    let missing = crew.placeholders.iter().filter(|name| !inputs.contains_key(*name)).map(|name| FieldFault {
        path: format!("{at}.{name}"),
        code: "required".into(),
        message: format!("the crew's texts name `{{{name}}}`: give it a value"),
    });
    let fields: Vec<FieldFault> = wrong.chain(missing).take(FIELDS).collect();
    if fields.is_empty() { Ok(()) } else { Err(Fault::invalid_fields(fields)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::App;

    fn fields(inputs: Value) -> Vec<(String, String)> {
        let Value::Object(inputs) = inputs else { panic!() };
        let app = App::built_in();
        let Err(fault) = check(&app.crews["review"], &inputs, "inputs") else { return Vec::new() };
        fault.fields.into_iter().map(|field| (field.path, field.code)).collect()
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        assert_eq!(fields(serde_json::json!({"page": "x", "name": "y"})), []);
        let wrong = fields(serde_json::json!({"page": 1, "nam": "y"}));
        for expected in [("inputs.page", "type"), ("inputs.nam", "additionalProperties"), ("inputs.name", "required")] {
            assert!(wrong.contains(&(expected.0.to_owned(), expected.1.to_owned())), "{expected:?} in {wrong:?}");
        }
    }

    #[test]
    fn a_page_that_is_too_long_is_not_repeated_in_the_fault() {
        let Value::Object(inputs) = serde_json::json!({"page": "x".repeat(204_801), "name": "y"}) else { panic!() };
        let fault = check(&App::built_in().crews["review"], &inputs, "inputs").unwrap_err();
        assert!(fault.to_string().len() < 300, "{}", fault.to_string().len());
    }
}
