//! `simulation.yaml`: what the simulated model answers, as templates over a run's inputs, its tools' real results and the outputs of
//! its tasks; and what its words would cost.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior};
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{Crew, Files, Problem, yaml};

const FILE: &str = "simulation.yaml";

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
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
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
    calls: Vec<SaidCall>,
}

#[derive(Debug, Clone)]
struct Step {
    say: String,
    calls: Vec<SaidCall>,
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
            if crew.is_some_and(|crew| !crew.tasks.iter().any(|known| known.name == task)) {
                problems.push(Problem::at(FILE, 1, 1, format!("crew `{crew_name}` has no task `{task}`")));
            }
            for step in &steps {
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
    /// The answer to the model call with this number (from 0) for a task. Where no tools may be called any more, and when the answers
    /// have run out, it is the last.
    ///
    /// # Errors
    /// What is wrong with the template, over these facts.
    pub fn answer(&self, crew: &str, task: &str, call: usize, may_call: bool, facts: &Value) -> Result<Said, String> {
        let Some(steps) = self.answers.get(crew).and_then(|tasks| tasks.get(task)).filter(|steps| !steps.is_empty()) else {
            let text = format!(
                "Simulated: this is where a model would hand in `{task}`. Name a model in the settings, or write its answers into simulation.yaml."
            );
            return Ok(Said { text, calls: Vec::new() });
        };
        let last = steps.len() - 1;
        let step = &steps[if may_call { call.min(last) } else { last }];
        let text = environment().render_str(&step.say, facts).map_err(|error| format!("the template for task `{task}`: {error:#}"))?;
        Ok(Said { text, calls: step.calls.clone() })
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment
}
