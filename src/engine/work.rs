//! A piece of work: a task of the crew, or what came of one. Each is a conversation of one agent, which the log knows by its own id.

use std::collections::VecDeque;

use crewline_protocol::{event::RunEvent, fault::FaultCode, operations::run::Inputs};
use serde_json::Value;

use super::{
    check,
    history::Turn,
    model::Message,
    prompt,
    stage::{Stage, Stopped, never},
    stopwatch::Stopwatch,
    talk::Talk,
};
use crate::apps::{Agent, Grant, Task, fill};

/// A piece of work, and who does it.
pub(super) struct Work<'a> {
    /// Its id in this run, the same in every attempt.
    pub(super) id: String,
    /// What it is called.
    pub(super) name: String,
    /// Who does it.
    pub(super) agent: &'a Agent,
    /// The tools that they have for it.
    pub(super) grants: &'a [Grant],
    /// To whom they may hand work; none: they have no tools for that.
    pub(super) coworkers: Vec<&'a Agent>,
    /// Whether a person looks at its answer.
    pub(super) reviewed: bool,
    /// What it came of.
    pub(super) parent: Option<&'a Work<'a>>,
    /// By what the simulated model knows it: the task's name, and after `/` who does what came of it.
    pub(super) scene: String,
    /// Measures the time that an execution takes.
    pub(super) time: Stopwatch,
}

/// What is to be done, and what it is held to; all placeholders are filled.
pub(super) struct Duty<'a> {
    pub(super) description: String,
    pub(super) expected_output: String,
    pub(super) markdown: bool,
    pub(super) output_schema: Option<&'a Value>,
    pub(super) guardrails: &'a [String],
    pub(super) guardrail_max_retries: u32,
}

impl<'a> Duty<'a> {
    /// A task of the crew.
    pub(super) fn of(task: &'a Task, inputs: &Inputs) -> Self {
        Self {
            description: fill(task.description.trim(), inputs),
            expected_output: fill(task.expected_output.trim(), inputs),
            markdown: task.markdown,
            output_schema: task.output_schema.as_ref(),
            guardrails: &task.guardrails,
            guardrail_max_retries: task.guardrail_max_retries,
        }
    }

    /// What an agent hands to another.
    pub(super) fn handed_over(description: String) -> Self {
        Self {
            description,
            expected_output: prompt::FOR_A_COWORKER.to_owned(),
            markdown: false,
            output_schema: None,
            guardrails: &[],
            guardrail_max_retries: 0,
        }
    }
}

impl<'a> Work<'a> {
    /// What came of it, done by somebody, as the `n`th of its kind.
    pub(super) fn below(&'a self, kind: &str, n: impl std::fmt::Display, agent: &'a Agent, scene: &str) -> Work<'a> {
        let root = self.scene.split('/').next().unwrap_or_default();
        Work {
            id: self.id_below(kind, n),
            name: kind.to_owned(),
            agent,
            grants: &[],
            coworkers: Vec::new(),
            reviewed: false,
            parent: Some(self),
            scene: format!("{root}/{scene}"),
            time: Stopwatch::new(),
        }
    }

    /// The name of the crew's task that it is, or came of.
    pub(super) fn of_task(&self) -> &str {
        let mut work = self;
        while let Some(parent) = work.parent {
            work = parent;
        }
        &work.name
    }

    pub(super) fn id_below(&self, kind: &str, n: impl std::fmt::Display) -> String {
        format!("{}.{kind}-{n}", self.id)
    }

    pub(super) fn started(&self, stage: &Stage) -> RunEvent {
        let (task, name, agent) = (self.id.clone(), self.name.clone(), self.agent.name.clone());
        RunEvent::TaskStarted { at: stage.now(), task, name, agent, parent: self.parent.map(|parent| parent.id.clone()) }
    }
}

impl Stage {
    /// Does a piece of work, going on from its past, until it passes all that it is held to.
    pub(super) async fn work(&self, work: &Work<'_>, duty: &Duty<'_>, context: &[&str], past: VecDeque<Turn>) -> Result<String, Stopped> {
        let mut talk = Talk::new(self, work, past);
        let mut tries = Tries(work.agent.max_retry_limit);
        let has_tools = !work.grants.is_empty() || !work.coworkers.is_empty();
        let opening = |given: prompt::Given<'_>| prompt::opening(work.agent, duty, has_tools, &self.cx.inputs, given);
        let mut answer = execute(&mut talk, &opening(prompt::Given::Context(context)), duty, &mut tries).await?;
        for guardrail in duty.guardrails {
            let mut retries = 0;
            while let Some(feedback) = check::judged(&mut talk, guardrail, &answer).await? {
                if retries >= duty.guardrail_max_retries {
                    let message = format!(
                        "`{}` was tried {} times, and was never found to keep to \"{guardrail}\"; the last time: {feedback}",
                        work.name,
                        retries + 1
                    );
                    return Err(Stopped::Failed(never(FaultCode::Invalid, message)));
                }
                retries += 1;
                let again = opening(prompt::Given::Refused { feedback: &feedback, answer: &answer });
                answer = execute(&mut talk, &again, duty, &mut tries).await?;
            }
        }
        match duty.output_schema {
            Some(schema) => check::fitted(&mut talk, schema, answer).await,
            None => Ok(answer),
        }
    }
}

/// How often an execution that fails may be begun anew.
struct Tries(u32);

/// From an opening to an answer; an execution that fails is tried again from where its conversation stands: what tools have done is not done again.
async fn execute(talk: &mut Talk<'_>, opening: &[Message], duty: &Duty<'_>, tries: &mut Tries) -> Result<String, Stopped> {
    let mut messages = opening.to_vec();
    loop {
        match talk.execute(&mut messages, duty.output_schema).await {
            Err(Stopped::Failed(fault)) if tries.0 > 0 && may_pass(fault.code) => tries.0 -= 1,
            done => return done,
        }
    }
}

/// Whether what failed may go well another time.
fn may_pass(code: FaultCode) -> bool {
    matches!(code, FaultCode::Unavailable | FaultCode::Internal)
}

#[cfg(test)]
mod tests;
