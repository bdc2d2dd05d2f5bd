//! A run as a person reads it: a fold from its events to text that is only ever added to. It knows nothing of terminals but their
//! width and whether they show colours.

mod facts;
mod prose;
mod questions;
mod style;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crewline_client::protocol::{
    Fault, RunEvent,
    event::{LogLevel, TextRole, Usage, WaitingFor},
    operations::run::{CancelMode, Inputs, Status},
    value::{MicroUsd, Millis, Offset},
};

use self::{prose::Prose, style::width};
pub(crate) use self::{
    style::{Ink, Style, printable, shortened},
    table::{Room, fields, row_line, table},
};

/// Columns before what belongs to a task.
const INDENT: usize = 2;
/// The most columns that lines of words take, however wide the terminal is: longer ones are hard to read.
const READABLE: usize = 100;

/// What was shown of a run, and what is known of it.
pub(crate) struct Show {
    style: Style,
    columns: usize,
    open: Option<Part>,
    /// The last part that was shown whole.
    last: String,
    tasks: BTreeMap<String, Task>,
    tools: BTreeMap<String, String>,
    usage: Usage,
    simulated: bool,
    progress: Option<(u32, String)>,
    now: String,
    started_at: Option<Millis>,
    finished: Option<Status>,
    /// Whether the last line given out was empty: a second one would only cost room.
    blank: bool,
}

/// Words that are being written.
struct Part {
    id: String,
    prose: Prose,
    text: String,
}

struct Task {
    name: String,
    usage: Usage,
    models: Vec<String>,
}

impl Show {
    /// Nothing shown yet, of lines with at most this many columns.
    pub(crate) fn new(style: Style, columns: usize) -> Self {
        Self {
            style,
            columns: columns.clamp(20, READABLE),
            open: None,
            last: String::new(),
            tasks: BTreeMap::new(),
            tools: BTreeMap::new(),
            usage: Usage::default(),
            simulated: false,
            progress: None,
            now: "queued".into(),
            started_at: None,
            finished: None,
            blank: true,
        }
    }
    /// How the run ended, once it has.
    pub(crate) fn finished(&self) -> Option<Status> {
        self.finished
    }
    /// Where the run stands, in one line: for what is redrawn in place.
    pub(crate) fn standing(&self) -> String {
        let percent = self.progress.as_ref().map_or(String::new(), |(percent, _)| format!("{percent:>3}%  "));
        let line = format!("{percent}{}  {}", self.figures(self.usage), self.now);
        shortened(&line, self.columns)
    }
    /// What the next event adds.
    pub(crate) fn event(&mut self, event: &RunEvent) -> String {
        let mut out = self.added_by(event);
        if self.blank && self.open.is_none() && out.starts_with('\n') {
            out.remove(0);
        }
        if !out.is_empty() {
            self.blank = out.ends_with("\n\n");
        }
        out
    }
    fn added_by(&mut self, event: &RunEvent) -> String {
        match event {
            RunEvent::TextDelta { part, text, .. } => self.words(part, text),
            RunEvent::TextStarted { part, agent, role, .. } => self.text_started(part, agent, *role),
            RunEvent::TextFinished { part, .. } if self.open.as_ref().is_some_and(|open| open.id == *part) => self.end_part(),
            RunEvent::TextFinished { .. } => String::new(),
            RunEvent::ProgressReported { fraction, message, .. } => self.progressed(*fraction, message),
            RunEvent::UsageRecorded { task, model, input_tokens, output_tokens, cost_microusd, .. } => {
                let usage = Usage { input_tokens: *input_tokens, output_tokens: *output_tokens, cost_microusd: *cost_microusd };
                self.used(task.as_deref(), model, usage);
                String::new()
            }
            other => {
                let mut out = self.end_part();
                out.push_str(&self.line(other));
                out
            }
        }
    }
    /// The connection was lost and is there again.
    pub(crate) fn resumed(&mut self, from: Offset, head: Offset) -> String {
        let behind = head.0 - from.0;
        let mut out = self.end_part();
        let caught = if behind > 0 { format!(", {behind} events to catch up") } else { String::new() };
        out.push_str(&self.style.paint(Ink::Warning, &format!("↻ resumed after event {from}{caught}")));
        out.push('\n');
        out
    }
    /// The connection was lost.
    pub(crate) fn lost(&mut self, why: &str) -> String {
        let mut out = self.end_part();
        for line in style::wrapped(&printable(&format!("↻ connection lost, the run goes on: {why}")), self.columns) {
            out.push_str(&format!("{}\n", self.style.paint(Ink::Warning, &line)));
        }
        out
    }
    /// The server's log of it was another: it is shown from its start again.
    pub(crate) fn restarted(&mut self) -> String {
        let (style, columns) = (self.style, self.columns);
        let mut out = self.end_part();
        *self = Self { columns, ..Self::new(style, columns) };
        out.push_str(&style.paint(Ink::Warning, "↻ the server was restored from a copy: the run is shown from its start again"));
        out.push('\n');
        out
    }

    /// What is not words.
    fn line(&mut self, event: &RunEvent) -> String {
        let style = self.style;
        match event {
            RunEvent::RunStarted { at, attempt, crew, inputs } => self.run_started(*at, *attempt, crew, inputs),
            RunEvent::RunWaiting { r#for, .. } => {
                let what = match r#for {
                    WaitingFor::Approval => "a person's answer",
                    WaitingFor::Pause => "someone to resume it",
                    WaitingFor::Worker => "a worker that serves its crew",
                };
                self.now = format!("waits for {what}");
                self.note(Ink::Warning, &format!("… waits for {what}"))
            }
            RunEvent::RunResumed { .. } => {
                self.now = "goes on".into();
                self.note(Ink::Faint, "goes on")
            }
            RunEvent::RunPauseRequested { .. } => self.note(Ink::Warning, "… is to pause after the calls that are going on"),
            RunEvent::RunCancelRequested { mode, .. } => {
                let when = match mode {
                    CancelMode::Graceful => "after the call that is going on",
                    CancelMode::Now => "at once",
                };
                self.now = "is being cancelled".into();
                self.note(Ink::Warning, &format!("■ is to end {when}"))
            }
            RunEvent::RunFinished { at, status, output, fault, usage } => {
                self.run_finished(*at, *status, output.as_deref(), fault.as_ref(), *usage)
            }
            RunEvent::TaskStarted { task, name, agent, .. } => {
                self.now = printable(&format!("{agent}: {name}"));
                self.tasks.insert(task.clone(), Task { name: name.clone(), usage: Usage::default(), models: Vec::new() });
                let agent = shortened(&printable(agent), self.columns / 2);
                let name = shortened(&printable(name), self.columns.saturating_sub(width(&agent) + 9));
                let rule = "─".repeat(self.columns.saturating_sub(width(&agent) + width(&name) + 8));
                let (lead, rule) = (style.paint(Ink::Faint, "──"), style.paint(Ink::Faint, &rule));
                format!("\n{lead} {} · {name} {rule}\n", style.paint(Ink::Name, &agent))
            }
            RunEvent::TaskFinished { task, .. } => {
                let Some(task) = self.tasks.get(task) else { return String::new() };
                let models = if task.models.is_empty() { String::new() } else { format!(" · {}", task.models.join(", ")) };
                let line = format!("✓ {} · {}{models}", task.name, self.figures(task.usage));
                self.note(Ink::Good, &line)
            }
            RunEvent::TaskFailed { task, fault, .. } => {
                let name = self.tasks.get(task).map_or(task.as_str(), |task| &task.name);
                self.note(Ink::Bad, &format!("✗ {name}: {}", fault.message))
            }
            RunEvent::ToolStarted { call, tool, input, .. } => {
                self.tools.insert(call.clone(), tool.clone());
                let tool = shortened(&printable(tool), 40);
                let room = self.columns.saturating_sub(INDENT + width(&tool) + 4);
                format!("  {} {}({})\n", style.paint(Ink::Name, "▸"), style.paint(Ink::Strong, &tool), facts::arguments(input, room))
            }
            // What a coworker handed in has just been shown.
            RunEvent::ToolFinished { output, .. } if output.as_str().is_some_and(|text| text.trim() == self.last.trim()) => String::new(),
            RunEvent::ToolFinished { output, .. } => {
                let facts = facts::facts(output);
                let table = prose::columns(&facts, false, style, self.columns, 2 * INDENT);
                if facts.len() > 1 { format!("{table}\n") } else { table }
            }
            RunEvent::ToolFailed { call, fault, .. } => {
                let tool = self.tools.get(call).map_or("a tool", |tool| tool);
                self.note(Ink::Bad, &format!("✗ {tool}: {}", fault.message))
            }
            RunEvent::ApprovalRequested { approval, .. } => self.asked(approval),
            RunEvent::ApprovalAnswered { approval, .. } => self.answered(approval),
            RunEvent::SteerReceived { text, .. } => self.note(Ink::Warning, &format!("» {text}")),
            RunEvent::SteerApplied { .. } => self.note(Ink::Faint, "» the agent has read it"),
            RunEvent::ArtifactCreated { artifact, .. } => {
                self.note(Ink::Good, &format!("+ {} · {} · {} bytes", artifact.name, artifact.media_type, artifact.size_bytes))
            }
            RunEvent::LogWritten { level: LogLevel::Debug, .. } => String::new(),
            RunEvent::LogWritten { level, message, .. } => {
                let ink = match level {
                    LogLevel::Debug | LogLevel::Info => Ink::Faint,
                    LogLevel::Warn => Ink::Warning,
                    LogLevel::Error => Ink::Bad,
                };
                self.note(ink, message)
            }
            RunEvent::TextStarted { .. }
            | RunEvent::TextDelta { .. }
            | RunEvent::TextFinished { .. }
            | RunEvent::ProgressReported { .. }
            | RunEvent::UsageRecorded { .. } => String::new(),
        }
    }
    fn run_started(&mut self, at: Millis, attempt: u32, crew: &str, inputs: &Inputs) -> String {
        self.now = "begins".into();
        if attempt > 1 {
            let note = format!("↻ attempt {attempt}: the run was taken up again; what was not finished is begun anew");
            return format!("\n{}", self.note(Ink::Warning, &note));
        }
        self.started_at = Some(at);
        let mut out = format!("{} {}\n", self.style.paint(Ink::Name, "●"), self.style.paint(Ink::Strong, &printable(crew)));
        let rows: Vec<Vec<String>> = inputs.iter().map(|(key, value)| vec![printable(key), input_text(value)]).collect();
        out.push_str(&prose::columns(&rows, false, self.style, self.columns, INDENT));
        out
    }
    fn run_finished(&mut self, at: Millis, status: Status, output: Option<&str>, fault: Option<&Fault>, usage: Usage) -> String {
        self.finished = Some(status);
        self.now = status.as_str().into();
        let (ink, sign) = match status {
            Status::Succeeded => (Ink::Good, "✓"),
            Status::Cancelled => (Ink::Warning, "■"),
            Status::Failed | Status::Queued | Status::Running | Status::Waiting => (Ink::Bad, "✗"),
        };
        let took = self.started_at.map_or(String::new(), |from| format!(" in {}", duration(at.since(from))));
        let head = format!("{sign} {}{took}", status.as_str());
        let rule = "━".repeat(self.columns.saturating_sub(width(&head) + 4));
        let mut out = format!("\n{} {} {}\n", self.style.paint(ink, "━━"), self.style.paint(ink, &head), self.style.paint(ink, &rule));
        if let Some(fault) = fault {
            out.push_str(&self.note(Ink::Bad, &fault.to_string()));
        }
        match output {
            // Read a moment ago: once is enough.
            Some(output) if !output.is_empty() && output.trim() == self.last.trim() => {
                out.push_str(&self.note(Ink::Faint, "The last text above is the output."));
            }
            Some(output) if !output.is_empty() => {
                let mut prose = Prose::new(self.style, self.columns, INDENT);
                out.push_str(&prose.push(output));
                out.push_str(&prose.finish());
            }
            Some(_) | None => {}
        }
        out.push_str(&self.note(Ink::Strong, &self.figures(usage)));
        if self.simulated {
            let note = "Simulated: no model is configured, the words come from templates. What tools found is real.";
            out.push_str(&self.note(Ink::Warning, note));
        }
        out
    }
    fn text_started(&mut self, part: &str, agent: &str, role: TextRole) -> String {
        let mut out = self.end_part();
        self.open = Some(Part { id: part.into(), prose: Prose::new(self.style, self.columns, INDENT), text: String::new() });
        if role == TextRole::Thought {
            out.push_str(&self.note(Ink::Faint, &format!("{agent} thinks:")));
        }
        out
    }
    fn words(&mut self, part: &str, text: &str) -> String {
        let mut out = String::new();
        // Parts of agents that work at the same time come in turns.
        if self.open.as_ref().is_none_or(|open| open.id != part) {
            out = self.end_part();
            self.open = Some(Part { id: part.into(), prose: Prose::new(self.style, self.columns, INDENT), text: String::new() });
        }
        if let Some(open) = &mut self.open {
            open.text.push_str(text);
            out.push_str(&open.prose.push(text));
        }
        out
    }
    fn end_part(&mut self) -> String {
        let Some(mut part) = self.open.take() else { return String::new() };
        let out = part.prose.finish();
        self.last = part.text;
        out
    }
    fn progressed(&mut self, fraction: f64, message: &str) -> String {
        // From 0 to 1 by the protocol, whatever comes.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 100")]
        let percent = (fraction.clamp(0.0, 1.0) * 100.0).round() as u32;
        let message = printable(message);
        // Where nothing was gained, the task's own line says what is being done.
        let gained = self.progress.as_ref().map_or(percent > 0, |(before, _)| percent > *before);
        self.progress = Some((percent, message.clone()));
        if !gained {
            return String::new();
        }
        let mut out = self.end_part();
        let done = percent as usize / 10;
        let bar = format!("{}{} {percent}%  {message}", "━".repeat(done), "╌".repeat(10 - done));
        out.push_str(&self.note(Ink::Faint, bar.trim_end()));
        out
    }
    fn used(&mut self, task: Option<&str>, model: &str, usage: Usage) {
        self.usage += usage;
        self.simulated |= model.starts_with("simulated");
        if let Some(task) = task.and_then(|task| self.tasks.get_mut(task)) {
            task.usage += usage;
            if !task.models.iter().any(|known| known == model) {
                task.models.push(printable(model));
            }
        }
    }
    /// A line of its own, wrapped.
    fn note(&self, ink: Ink, text: &str) -> String {
        let lines = style::wrapped(&printable(text), self.columns - 2 * INDENT);
        lines
            .iter()
            .enumerate()
            .map(|(at, line)| format!("{}{}\n", " ".repeat(if at == 0 { INDENT } else { 2 * INDENT }), self.style.paint(ink, line)))
            .collect()
    }
    fn figures(&self, usage: Usage) -> String {
        let (read, written) = (thousands(usage.input_tokens), thousands(usage.output_tokens));
        format!("{read} tokens in, {written} out · {}", money(usage.cost_microusd))
    }
}

/// An input in few words: a page is told by its size.
fn input_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) if text.len() > 200 || text.contains('\n') => format!("{} of text", size(text.len())),
        serde_json::Value::String(text) => printable(text),
        other => printable(&shortened(&other.to_string(), 200)),
    }
}

/// Bytes for people.
pub(crate) fn size(bytes: usize) -> String {
    if bytes < 1024 { format!("{bytes} B") } else { format!("{}.{} KiB", bytes / 1024, bytes % 1024 * 10 / 1024) }
}

fn thousands(number: u64) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", thousands(number / 1000), number % 1000) }
}

fn money(cost: MicroUsd) -> String {
    let (whole, rest) = (cost.0 / 1_000_000, (cost.0 % 1_000_000).abs());
    if rest % 100 == 0 { format!("${whole}.{:04}", rest / 100) } else { format!("${whole}.{rest:06}") }
}

fn duration(ms: i64) -> String {
    match ms.max(0) {
        ms @ 0..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        ms => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
    }
}
