//! One call of a model, told in the run's stream as it is made.

use crewline_protocol::{
    event::{RunEvent, TextRole, Usage},
    fault::FaultCode,
    value::Millis,
};
use futures::StreamExt;
use serde_json::Value;

use super::{
    heard,
    history::{Answered, Called},
    model::{Chunk, Message, Request, Scene},
    stage::{Stopped, never},
    talk::Talk,
    tools::ToolSpec,
};

/// What a model may think before an answer, in bytes: some think long, and none of it is kept in a row.
const THOUGHT_BYTES: usize = 1 << 20;
/// What the calls of one answer may have as arguments, in bytes of JSON: an event and a question must hold them.
pub(super) const CALL_BYTES: usize = 128 << 10;

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
        let (mut answer_bytes, mut thought_bytes, mut call_bytes, mut usage) = (0, 0, 0, Usage::default());
        let too_large = |what: &str, most: usize| {
            let message = format!("{what} for task `{}` is longer than {most} bytes", work.name);
            Err(Stopped::Failed(never(FaultCode::TooLarge, message)))
        };
        loop {
            let chunk = tokio::select! {
                biased;
                chunk = chunks.next() => chunk,
                () = &mut ends => return Err(Stopped::Ended),
            };
            match chunk.transpose().map_err(Stopped::Failed)? {
                None => break,
                Some(Chunk::Text(role, text)) => {
                    let text = heard::text(text);
                    let bytes = if role == TextRole::Answer { &mut answer_bytes } else { &mut thought_bytes };
                    *bytes += text.len();
                    if answer_bytes > stage.answer_bytes {
                        return too_large("an answer", stage.answer_bytes);
                    }
                    if thought_bytes > THOUGHT_BYTES {
                        return too_large("what the model thinks before an answer", THOUGHT_BYTES);
                    }
                    if role == TextRole::Answer {
                        answer.text.push_str(&text);
                    }
                    self.say(role, last_role != Some(role), text).await;
                    last_role = Some(role);
                }
                // A model that calls tools although it was given none is taken at its words alone.
                Some(Chunk::Call { tool, input }) if may_call => {
                    let (tool, input) = (heard::text(tool), heard::value(input));
                    call_bytes += tool.len() + input.to_string().len();
                    if call_bytes > CALL_BYTES {
                        return too_large("what an answer calls tools with", CALL_BYTES);
                    }
                    answer.calls.push(Called::new(stage.next_call(), tool, input, stage.now()));
                }
                Some(Chunk::Call { tool, .. }) => self.in_vain = Some(heard::text(tool)),
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
