//! The tools that an answer calls: made side by side, their results in the calls' order.

use crewline_protocol::{event::RunEvent, fault::Fault};
use futures::future::BoxFuture;
use serde_json::Value;

use super::{
    coworkers,
    history::{Called, Past},
    prompt,
    stage::{Stopped, lock},
    stopwatch::Stopwatch,
    talk::Talk,
    tools::Effect,
    work::{Duty, Work},
};
use crate::apps::fill;

impl Talk<'_> {
    /// Makes those of the calls that have not ended.
    pub(super) async fn use_tools(&mut self, mut calls: Vec<Called>) -> Result<Vec<Called>, Stopped> {
        // The conversation went on after them: what failed meanwhile is next.
        if self.went_on() {
            self.remember(&calls);
            return Ok(calls);
        }
        // Calls of an earlier attempt that never ended are void: they are made again, under ids of their own.
        let mut again = Vec::new();
        for called in calls.iter_mut().filter(|called| called.is_void()) {
            called.again(self.stage.next_call());
            again.push(self.called(called, self.stage.now()));
        }
        if !again.is_empty() {
            self.stage.go_on(Some(self.work)).await?;
            self.stage.log.put(&again).await;
        }
        let open = calls.iter().filter(|called| called.outcome.is_none());
        *lock(&self.open_calls) = open.map(|called| called.call.clone()).collect();
        let this = &*self;
        let made = calls.into_iter().enumerate().map(|(place, called)| this.make(place, called));
        let made = this.stage.branches.side_by_side(made).await;
        let calls = made.into_iter().collect::<Result<Vec<Called>, Stopped>>()?;
        self.remember(&calls);
        Ok(calls)
    }

    /// What the calls gave, and what came of them.
    fn remember(&mut self, calls: &[Called]) {
        for (place, called) in calls.iter().enumerate() {
            if coworkers::is_one(&called.tool) {
                let id = self.work.id_below(coworkers::kind(&called.tool), self.place(place));
                self.stage.past_of(&id, None);
            }
            if let Some(Ok(output)) = &called.outcome {
                self.found.insert(called.tool.clone(), output.clone());
            }
        }
        lock(&self.stage.facts).tools.extend(self.found.clone());
    }

    /// Where in the conversation a call stands: the same place is the same work, whatever the call's id is in this attempt.
    fn place(&self, call: usize) -> String {
        format!("{}-{}", self.answers, call + 1)
    }

    async fn make(&self, place: usize, mut called: Called) -> Result<Called, Stopped> {
        if called.outcome.is_none() {
            let outcome = if coworkers::is_one(&called.tool) && !self.work.coworkers.is_empty() {
                self.hand_over(place, &called).await?
            } else {
                self.call(&mut called).await?
            };
            let (at, call) = (self.stage.now(), called.call.clone());
            let event = match &outcome {
                Ok(output) => RunEvent::ToolFinished { at, call, output: output.clone() },
                Err(fault) => RunEvent::ToolFailed { at, call, fault: fault.clone() },
            };
            lock(&self.open_calls).remove(&called.call);
            self.stage.log.put(&[event]).await;
            called.outcome = Some(outcome);
        }
        Ok(called)
    }

    async fn call(&self, called: &mut Called) -> Result<Result<Value, Fault>, Stopped> {
        let (stage, work) = (self.stage, self.work);
        let asks = stage.crew().approval(&called.tool).is_some_and(|rule| rule.asks(&called.input));
        // One that was to be put before a person, and was not yet, was not made.
        let unsure = called.is_unsure() && (called.asked.is_some() || !asks);
        let (input, since) = match self.allowed(called).await? {
            Ok(allowed) => allowed,
            Err(fault) => return Ok(Err(fault)),
        };
        let effect = stage.tools.effect(&called.tool);
        if let Some(output) = stage.kept(work.agent, &called.tool, &input) {
            return Ok(Ok(output));
        }
        if effect == Effect::Outside && unsure {
            return Ok(Err(prompt::outcome_unknown(&called.tool)));
        }
        if effect != Effect::Computes {
            // What happens must not be forgotten: the call is in the log before it is made.
            stage.log.written().await;
        }
        let cx = stage.cx.for_call(&called.first, since);
        let outcome = stage.tools.call(&cx, &called.tool, work.grants, input.clone()).await;
        if let Ok(output) = &outcome {
            stage.keep(work.agent, &called.tool, &input, output);
        }
        Ok(outcome)
    }

    /// Lets a coworker do what was handed over; how that went is the call's result.
    fn hand_over<'b>(&'b self, place: usize, called: &'b Called) -> BoxFuture<'b, Result<Result<Value, Fault>, Stopped>> {
        Box::pin(async move {
            let (stage, inputs) = (self.stage, &self.stage.cx.inputs);
            let (asked, coworker) = match coworkers::asked(&called.tool, &called.input, &self.work.coworkers, inputs) {
                Ok(found) => found,
                Err(fault) => return Ok(Err(fault)),
            };
            let below = self.work.below(coworkers::kind(&called.tool), self.place(place), coworker, &coworker.name);
            let work = Work { grants: &coworker.tools, time: Stopwatch::new(), ..below };
            let past = stage.past_of(&work.id, Some(coworker));
            if past.is_none() {
                stage.log.put(&[work.started(stage)]).await;
            }
            let Past { outcome, turns, .. } = past.unwrap_or_default();
            let output = match outcome {
                Some(outcome) => outcome,
                None => {
                    let context = asked.context.as_deref().into_iter().collect::<Vec<_>>();
                    let done = stage.work(&work, &Duty::handed_over(asked.words), &context, turns).await;
                    let (at, task) = (stage.now(), work.id.clone());
                    let (event, output) = match done {
                        Ok(output) => (RunEvent::TaskFinished { at, task, output: output.clone() }, Ok(output)),
                        Err(Stopped::Failed(fault)) => (RunEvent::TaskFailed { at, task, fault: fault.clone() }, Err(fault)),
                        Err(stopped) => return Err(stopped),
                    };
                    stage.log.put(&[event]).await;
                    output
                }
            };
            Ok(output.map(Value::String).map_err(|fault| {
                let who = fill(coworker.role.trim(), inputs);
                Fault { message: format!("{who} could not do it: {}", fault.message).into(), ..fault }
            }))
        })
    }
}
