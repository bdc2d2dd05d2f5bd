//! One call of a model, told in the run's stream as it is made.

use crewline_protocol::{
    event::{RunEvent, TextRole, Usage},
    fault::FaultCode,
    value::Millis,
};
use futures::StreamExt;
use serde_json::Value;

use super::{
    history::{Answered, Called},
    model::{Chunk, Message, Request, Scene},
    stage::{Stopped, never},
    talk::Talk,
    tools::ToolSpec,
};

impl Talk<'_> {
    /// Lets a model answer. Its texts' ends, its calls' starts and its figures are written together: they make the answer whole.
    pub(super) async fn speak(
        &mut self,
        messages: Vec<Message>,
        tools: Vec<ToolSpec>,
        format: Option<&Value>,
    ) -> Result<Answered, Stopped> {
        let (stage, work) = (self.stage, self.work);
        let may_call = !tools.is_empty();
        // Asked for a form and given tools, a model gives the form and leaves the tools.
        let response_format = format.filter(|_| !may_call).cloned();
        let scene = Scene {
            app: stage.app.clone(),
            crew: stage.crew.clone(),
            task: work.scene.clone(),
            call: self.answers,
            facts: stage.facts(&self.found),
        };
        let model = stage.models.model(work.agent.llm.as_deref()).map_err(Stopped::Failed)?;
        let mut chunks = model.stream(Request { messages, tools, response_format, max_tokens: work.agent.max_tokens, scene });
        let ends = stage.ends();
        tokio::pin!(ends);
        let mut answer = Answered::default();
        let mut last_role = None;
        let (mut bytes, mut usage) = (0, Usage::default());
        loop {
            let chunk = tokio::select! {
                biased;
                chunk = chunks.next() => chunk,
                () = &mut ends => return Err(Stopped::Ended),
            };
            match chunk.transpose().map_err(Stopped::Failed)? {
                None => break,
                Some(Chunk::Text(role, text)) => {
                    bytes += text.len();
                    if bytes > stage.answer_bytes {
                        let message = format!("an answer for task `{}` is longer than {} bytes", work.name, stage.answer_bytes);
                        return Err(Stopped::Failed(never(FaultCode::TooLarge, message)));
                    }
                    if role == TextRole::Answer {
                        answer.text.push_str(&text);
                    }
                    self.say(role, last_role != Some(role), text).await;
                    last_role = Some(role);
                }
                // A model that calls tools although it was given none is taken at its words alone.
                Some(Chunk::Call { tool, input }) if may_call => {
                    answer.calls.push(Called::new(stage.next_call(), tool, input, stage.now()));
                }
                Some(Chunk::Call { .. }) => {}
                Some(Chunk::Usage(used)) => usage += used,
            }
        }
        let at = stage.now();
        let parts = std::mem::take(&mut self.open_parts).into_iter();
        let mut events: Vec<RunEvent> = parts.map(|part| RunEvent::TextFinished { at, part }).collect();
        // The log says when a call was first begun, also to the attempt that makes it again.
        answer.calls.iter_mut().for_each(|called| called.begun_at = at);
        events.extend(answer.calls.iter().map(|called| self.called(called, at)));
        events.push(RunEvent::UsageRecorded {
            at,
            task: Some(work.id.clone()),
            agent: work.agent.name.clone(),
            model: model.name().to_owned(),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cost_microusd: usage.cost_microusd,
        });
        events.extend(stage.spend(usage));
        stage.log.put_taken(&events, stage.taken(), at).await;
        Ok(answer)
    }

    async fn say(&mut self, role: TextRole, begins: bool, text: String) {
        let (stage, work) = (self.stage, self.work);
        let mut events = Vec::with_capacity(2);
        if begins {
            let part = stage.next_part();
            let (task, agent) = (work.id.clone(), work.agent.name.clone());
            events.push(RunEvent::TextStarted { at: stage.now(), part: part.clone(), task, agent, role });
            self.open_parts.push(part);
        }
        if let Some(part) = self.open_parts.last() {
            events.push(RunEvent::TextDelta { at: stage.now(), part: part.clone(), text });
        }
        stage.log.put(&events).await;
    }

    /// How a tool's call begins in the log.
    pub(super) fn called(&self, called: &Called, at: Millis) -> RunEvent {
        RunEvent::ToolStarted {
            at,
            call: called.call.clone(),
            task: self.work.id.clone(),
            agent: self.work.agent.name.clone(),
            tool: called.tool.clone(),
            input: called.input.clone(),
        }
    }
}
