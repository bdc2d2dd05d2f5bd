//! `simulation.yaml`: what the simulated model answers, as templates over a run's inputs, its tools' real results and the outputs of
//! its tasks; and what its words would cost.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior, context};
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{Crew, Files, Problem, yaml};

const FILE: &str = "simulation.yaml";
/// What comes of a task without being handed to anyone.
const CHECKS: &[&str] = &["guardrail", "convert"];
const GUARDRAIL: &str = "/guardrail";

/// What the simulated model answers.
#[derive(Debug, Clone, Default)]
pub struct Simulation {
    /// Micro-US-dollars for a million tokens that go in.
    pub input_microusd: u64,
    /// Micro-US-dollars for a million tokens that come out.
    pub output_microusd: u64,
    /// For each task of each crew, an answer for each model call in turn.
    answers: BTreeMap<String, BTreeMap<String, Vec<Step>>>,
}

/// An answer of the simulated model.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Its words.
    pub text: String,
    /// The tools that it calls.
    pub calls: Vec<SaidCall>,
}

/// A tool call of the simulated model.
#[derive(Debug, Clone, PartialEq)]
pub struct SaidCall {
    /// Which tool.
    pub tool: String,
    /// With which arguments.
    pub input: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SimulationFile {
    price: Price,
    crews: BTreeMap<String, BTreeMap<String, Vec<StepFields>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    input_microusd: u64,
    output_microusd: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepFields {
    say: Spanned<String>,
    #[serde(default)]
    calls: Vec<Call>,
}

/// A tool call as it is written: for each of these, with `item` and `index`, or once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    tool: String,
    for_each: Option<String>,
    input: Value,
}

#[derive(Debug, Clone)]
struct Step {
    say: String,
    calls: Vec<Call>,
}

/// Reads the file. Where there is none, and for tasks that it does not name, the simulated model hands in what says that it is simulated.
pub(super) fn read(files: &Files, crews: &BTreeMap<String, Crew>, problems: &mut Vec<Problem>) -> Simulation {
    let Some(text) = files.get(FILE) else { return Simulation::default() };
    let Some(file) = yaml::parse::<SimulationFile>(FILE, text, problems) else { return Simulation::default() };
    let environment = environment();
    let mut answers = BTreeMap::new();
    for (crew_name, tasks) in file.crews {
        let crew = crews.get(&crew_name);
        let mut steps_of = BTreeMap::new();
        for (task, steps) in tasks {
            // A crew that has problems of its own is not there; its tasks are not missed for that.
            if let Some(why) = crew.and_then(|crew| unknown(crew, &task)) {
                problems.push(Problem::at(FILE, 1, 1, format!("crew `{crew_name}` has no {why}")));
            }
            for step in &steps {
                for call in &step.calls {
                    let list = call.for_each.as_deref().map_or(Ok(()), |list| compiled(&environment, list));
                    if let Err(error) = list.and_then(|()| templates(&environment, &call.input)) {
                        let at = step.say.referenced;
                        let message = format!("a template in the arguments of `{}` for `{task}` is wrong: {error}", call.tool);
                        problems.push(Problem::at(FILE, at.line(), at.column(), message));
                    }
                }
                if let Err(error) = environment.template_from_str(&step.say.value) {
                    let within = u64::try_from(error.line().unwrap_or(1)).unwrap_or(1);
                    let line = step.say.referenced.line() + within;
                    problems.push(Problem::at(
                        FILE,
                        line,
                        step.say.referenced.column(),
                        format!("the template of `{task}` is wrong: {error}"),
                    ));
                }
            }
            if steps.last().is_none_or(|last| !last.calls.is_empty()) {
                problems.push(Problem::at(
                    FILE,
                    1,
                    1,
                    format!("the last answer of `{task}` calls tools, or there is none: end with words alone"),
                ));
            }
            let steps = steps.into_iter().map(|step| Step { say: step.say.value, calls: step.calls }).collect();
            steps_of.insert(task, steps);
        }
        answers.insert(crew_name, steps_of);
    }
    Simulation { input_microusd: file.price.input_microusd, output_microusd: file.price.output_microusd, answers }
}

impl Simulation {
    /// The answer to the model call with this number (from 0) for a task, or, after `/`, for what came of it. Where no tools may be called
    /// any more, and when the answers have run out, it is the last. Where there is none, it says that it is simulated, in this form.
    ///
    /// # Errors
    /// What is wrong with the template, over these facts.
    pub fn answer(&self, crew: &str, task: &str, call: usize, may_call: bool, form: Option<&Value>, facts: &Value) -> Result<Said, String> {
        let Some(steps) = self.answers.get(crew).and_then(|tasks| tasks.get(task)).filter(|steps| !steps.is_empty()) else {
            let text = match form {
                Some(_) if task.ends_with(GUARDRAIL) => r#"{"valid": true, "feedback": null}"#.to_owned(),
                Some(schema) => example(schema).to_string(),
                None => format!(
                    "Simulated: this is where a model would hand in `{task}`. Name a model in the settings, or write its answers into simulation.yaml."
                ),
            };
            return Ok(Said { text, calls: Vec::new() });
        };
        let last = steps.len() - 1;
        let step = &steps[if may_call { call.min(last) } else { last }];
        let environment = environment();
        let wrong = |error: minijinja::Error| format!("the template for task `{task}`: {error:#}");
        let facts = minijinja::Value::from_serialize(facts);
        let text = environment.render_str(&step.say, &facts).map_err(wrong)?;
        let calls = step.calls.iter().map(|call| call.made(&environment, &facts)).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        Ok(Said { text, calls: calls.concat() })
    }
}

impl Call {
    /// The calls that come of it.
    fn made(&self, environment: &Environment<'_>, facts: &minijinja::Value) -> Result<Vec<SaidCall>, minijinja::Error> {
        let once = |facts: &minijinja::Value| Ok(SaidCall { tool: self.tool.clone(), input: filled(environment, &self.input, facts)? });
        let Some(list) = &self.for_each else { return Ok(vec![once(facts)?]) };
        let list = environment.compile_expression(alone(list).unwrap_or(list))?.eval(facts)?;
        list.try_iter()?.enumerate().map(|(index, item)| once(&context! { item, index, ..facts.clone() })).collect()
    }
}

/// Why there is nothing of this name in a crew: a task, or after `/` an agent to whom its work may be handed, or a check of it.
fn unknown(crew: &Crew, name: &str) -> Option<String> {
    let (task, of) = name.split_once('/').map_or((name, None), |(task, of)| (task, Some(of)));
    if !crew.tasks.iter().any(|known| known.name == task) {
        return Some(format!("task `{task}`"));
    }
    let of = of.filter(|of| !CHECKS.contains(of) && !crew.agents.contains_key(*of))?;
    Some(format!("agent `{of}`, to whom work on task `{task}` could be handed"))
}

/// A call's arguments: their texts are templates too, and one that is `{{ … }}` alone is what that says, whatever its type.
fn filled(environment: &Environment<'_>, input: &Value, facts: &minijinja::Value) -> Result<Value, minijinja::Error> {
    Ok(match input {
        Value::String(text) => match alone(text) {
            Some(expression) => {
                let value = environment.compile_expression(expression)?.eval(facts)?;
                serde_json::to_value(value).unwrap_or_default()
            }
            None => environment.render_str(text, facts)?.into(),
        },
        Value::Array(values) => values.iter().map(|value| filled(environment, value, facts)).collect::<Result<_, _>>()?,
        Value::Object(values) => {
            let values = values.iter().map(|(key, value)| Ok((key.clone(), filled(environment, value, facts)?)));
            Value::Object(values.collect::<Result<_, minijinja::Error>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => input.clone(),
    })
}

/// What stands in a text that is `{{ … }}` alone.
fn alone(text: &str) -> Option<&str> {
    text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).filter(|inner| !inner.contains("{{"))
}

/// Whether a text is `{{ … }}` alone, and that an expression.
fn compiled(environment: &Environment<'_>, text: &str) -> Result<(), minijinja::Error> {
    let no_list = || minijinja::Error::new(minijinja::ErrorKind::SyntaxError, "`for_each` is a list: write `{{ … }}` alone");
    environment.compile_expression(alone(text).ok_or_else(no_list)?).map(|_| ())
}

/// Whether all texts in a call's arguments are templates.
fn templates(environment: &Environment<'_>, input: &Value) -> Result<(), minijinja::Error> {
    match input {
        Value::String(text) => environment.template_from_str(text).map(|_| ()),
        Value::Array(values) => values.iter().try_for_each(|value| templates(environment, value)),
        Value::Object(values) => values.values().try_for_each(|value| templates(environment, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// The least that a schema asks for.
fn example(schema: &Value) -> Value {
    if let Some(value) = schema.get("const").or_else(|| schema.get("default")).or_else(|| schema["enum"].get(0)) {
        return value.clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].get(0)?.as_str());
    match kind {
        Some("string") => "simulated".into(),
        Some("integer") => schema["minimum"].as_i64().unwrap_or(0).into(),
        Some("number") => schema["minimum"].as_f64().unwrap_or(0.0).into(),
        Some("boolean") => false.into(),
        Some("array") => {
            let least = schema["minItems"].as_u64().unwrap_or(0);
            (0..least.min(16)).map(|_| example(&schema["items"])).collect()
        }
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            Value::Object(required.map(|name| (name.to_owned(), example(&schema["properties"][name]))).collect())
        }
        _ => Value::Null,
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_templates_that_keep_their_types() {
        let facts = json!({"inputs": {"name": "a"}, "tools": {"record.create": {"id": "r1", "score": 7}}});
        let input = json!({"id": "{{ tools['record.create'].id }}", "data": {"score": "{{ tools['record.create'].score + 1 }}",
            "title": "About {{ inputs.name }}", "n": 3, "list": ["{{ inputs.name }}{{ inputs.name }}"]}});
        let expected = json!({"id": "r1", "data": {"score": 8, "title": "About a", "n": 3, "list": ["aa"]}});
        let facts = minijinja::Value::from_serialize(facts);
        assert_eq!(filled(&environment(), &input, &facts).unwrap(), expected);
        assert!(filled(&environment(), &json!("{{ tools.none.id }}"), &facts).is_err());
        assert!(templates(&environment(), &json!({"a": ["{{ "]})).is_err());
    }

    #[test]
    fn a_call_is_made_for_each_of_a_list() {
        let call = |for_each: &str| Call {
            tool: "t".into(),
            for_each: Some(for_each.into()),
            input: json!({"n": "{{ index }}", "of": "{{ item.id }}"}),
        };
        let facts = minijinja::Value::from_serialize(
            json!({"list": [{"id": "a", "good": true}, {"id": "b", "good": false}, {"id": "c", "good": true}]}),
        );
        let inputs = |for_each: &str| -> Vec<Value> {
            call(for_each).made(&environment(), &facts).unwrap().into_iter().map(|call| call.input).collect()
        };
        assert_eq!(inputs("{{ list | selectattr('good') }}"), [json!({"n": 0, "of": "a"}), json!({"n": 1, "of": "c"})]);
        assert_eq!(inputs("{{ list | selectattr('id', 'eq', 'd') }}"), Vec::<Value>::new());
        assert!(call("{{ 3 }}").made(&environment(), &facts).is_err());
        for wrong in ["list", "{{ list | }}", "{{ a }} {{ b }}"] {
            assert!(compiled(&environment(), wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_example_fits_its_schema() {
        let schema = json!({"type": "object", "required": ["a", "b", "c", "d"], "properties": {
            "a": {"type": "integer", "minimum": 3}, "b": {"enum": ["x", "y"]}, "e": {"type": "string"},
            "c": {"type": "array", "minItems": 2, "items": {"type": "object", "required": ["f"], "properties": {"f": {"type": ["boolean", "null"]}}}},
            "d": {"type": "string"}}});
        let example = example(&schema);
        assert_eq!(example, json!({"a": 3, "b": "x", "c": [{"f": false}, {"f": false}], "d": "simulated"}));
        assert!(crate::apps::Schema::new(&schema).unwrap().fits(&example));
    }
}
