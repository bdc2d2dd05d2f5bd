//! Answers to a run's questions: what the command line says, or what a person types.

use std::{
    collections::VecDeque,
    io::{self, BufRead, IsTerminal},
};

use clap::Args;
use crewline_client::{
    CallError, Client,
    protocol::{
        RunEvent,
        fault::FaultCode,
        operations::approval::{Answer, Approval, Kind, Status, Verdict},
    },
};
use serde_json::Value;
use tokio::sync::mpsc;

#[derive(Args)]
pub(crate) struct Answers {
    /// Approve whatever the run asks, unseen: for scripts.
    #[arg(long, conflicts_with = "reject", help_heading = "Questions")]
    approve: bool,
    /// Reject whatever the run asks.
    #[arg(long, help_heading = "Questions")]
    reject: bool,
}

/// A run's questions that wait for an answer, and who gives it here.
pub(crate) struct Questions {
    open: VecDeque<Approval>,
    answering: Answering,
}

enum Answering {
    /// Nobody: whoever may answer does so elsewhere.
    Nobody,
    /// The command line, always the same.
    Always(Verdict),
    /// Who sits at the terminal; what they type is read from the first question on.
    Person(Option<mpsc::Receiver<String>>),
}

impl Questions {
    /// None yet. On a terminal, where `may_ask`, the person there is asked.
    pub(crate) fn new(answers: &Answers, may_ask: bool) -> Self {
        let answering = match (answers.approve, answers.reject) {
            (true, _) => Answering::Always(Verdict::Approve),
            (_, true) => Answering::Always(Verdict::Reject),
            _ if may_ask && io::stdin().is_terminal() => Answering::Person(None),
            _ => Answering::Nobody,
        };
        Self { open: VecDeque::new(), answering }
    }

    /// Takes the next event of the run.
    pub(crate) fn hear(&mut self, event: &RunEvent) {
        match event {
            RunEvent::ApprovalRequested { approval, .. } if approval.status == Status::Pending => self.open.push_back((**approval).clone()),
            RunEvent::ApprovalAnswered { approval, .. } => self.open.retain(|open| open.id != approval.id),
            RunEvent::RunFinished { .. } => self.open.clear(),
            _ => {}
        }
    }

    /// Whether nobody answers here, so that who watches should be told how to.
    pub(crate) const fn are_answered_elsewhere(&self) -> bool {
        matches!(self.answering, Answering::Nobody)
    }

    /// The question that the person at the terminal is to be asked now.
    pub(crate) fn asked(&self) -> Option<&Approval> {
        self.open.front().filter(|_| matches!(self.answering, Answering::Person(_)))
    }

    /// What the command line answers to the question that waits longest. A value it can't know.
    pub(crate) fn given(&self) -> Option<Answer> {
        let Answering::Always(verdict) = self.answering else { return None };
        let question = self.open.iter().find(|question| verdict == Verdict::Reject || question.kind != Kind::Input)?;
        Some(answer(question, verdict))
    }

    /// What the person types next; nothing comes while they are not asked, or have closed their input.
    pub(crate) async fn typed(&mut self) -> String {
        let asks = !self.open.is_empty();
        match &mut self.answering {
            Answering::Person(lines) if asks => match lines.get_or_insert_with(lines_of_stdin).recv().await {
                Some(line) => line,
                None => {
                    self.answering = Answering::Nobody;
                    std::future::pending().await
                }
            },
            Answering::Person(_) | Answering::Always(_) | Answering::Nobody => std::future::pending().await,
        }
    }

    /// Sends an answer; why it was not taken comes back. Who was first is told by the run itself.
    pub(crate) async fn send(&mut self, client: &Client, answer: Answer) -> Result<(), CallError> {
        self.open.retain(|open| open.id != answer.id);
        match client.call(answer).await {
            Ok(_) => Ok(()),
            Err(CallError::Fault(fault)) if fault.code == FaultCode::Conflict => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What a person is told to type.
pub(crate) const fn prompt(kind: Kind) -> &'static str {
    match kind {
        Kind::Tool | Kind::Review => "Approve? y or n, and words to the agent if you like: ",
        Kind::Input => "Your answer: ",
    }
}

/// What was typed, as an answer; nothing, where it is none.
pub(crate) fn read(question: &Approval, line: &str) -> Option<Answer> {
    let line = line.trim();
    if question.kind == Kind::Input {
        let value = || serde_json::from_str(line).unwrap_or_else(|_| Value::from(line));
        return (!line.is_empty()).then(|| Answer { value: Some(value()), ..answer(question, Verdict::Answer) });
    }
    let (word, words) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let verdict = match word.trim_end_matches([',', '.', ':', ';']).to_lowercase().as_str() {
        "y" | "yes" => Verdict::Approve,
        "n" | "no" => Verdict::Reject,
        _ => return None,
    };
    let words = words.trim();
    Some(Answer { comment: (!words.is_empty()).then(|| words.to_owned()), ..answer(question, verdict) })
}

fn answer(question: &Approval, verdict: Verdict) -> Answer {
    Answer { id: question.id, revision: None, verdict, arguments: None, value: None, comment: None }
}

/// Lines as they are typed. On a thread of its own, which the end of the program does not wait for.
fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (lines, typed) = mpsc::channel(1);
    std::thread::spawn(move || io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| lines.blocking_send(line)));
    typed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn question(kind: &str) -> Approval {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let approval = json!({"id": id, "revision": 1, "created_at": 1, "updated_at": 1, "session_id": id, "run_id": id, "kind": kind, "title": "t",
            "body": "b", "roles": ["admin"], "on_expire": "reject", "status": "pending"});
        serde_json::from_value(approval).unwrap()
    }

    #[test]
    fn what_is_typed_is_an_answer_or_is_asked_for_again() {
        let read = |kind: &str, line: &str| read(&question(kind), line).map(|answer| (answer.verdict, answer.comment, answer.value));
        let words = |words: &str| Some(words.to_owned());
        assert_eq!(read("tool", "y\r\n"), Some((Verdict::Approve, None, None)));
        assert_eq!(read("review", " Yes, well done"), Some((Verdict::Approve, words("well done"), None)));
        assert_eq!(read("tool", "n: not on a Sunday "), Some((Verdict::Reject, words("not on a Sunday"), None)));
        assert_eq!(read("tool", "NO"), Some((Verdict::Reject, None, None)));
        for line in ["", "  ", "yess", "not now", "1"] {
            assert_eq!(read("tool", line), None, "{line}");
        }
        assert_eq!(read("input", "7"), Some((Verdict::Answer, None, Some(json!(7)))));
        assert_eq!(read("input", "by hand"), Some((Verdict::Answer, None, Some(json!("by hand")))));
        assert_eq!(read("input", " "), None);
    }

    #[test]
    fn a_command_line_answers_all_that_it_can_and_what_is_answered_elsewhere_is_asked_no_more() {
        let requested = |kind: &str| RunEvent::ApprovalRequested { at: question(kind).created_at, approval: Box::new(question(kind)) };
        let mut questions = Questions { open: VecDeque::new(), answering: Answering::Always(Verdict::Approve) };
        questions.hear(&requested("input"));
        assert!(questions.given().is_none(), "it knows no value");
        questions.hear(&requested("tool"));
        assert_eq!(questions.given().map(|answer| answer.verdict), Some(Verdict::Approve));
        questions.answering = Answering::Person(None);
        assert_eq!(questions.asked().map(|question| question.kind), Some(Kind::Input));
        let answered = Approval { status: Status::Withdrawn, ..question("tool") };
        questions.hear(&RunEvent::ApprovalAnswered { at: answered.updated_at, approval: Box::new(answered) });
        assert_eq!(questions.asked(), None);
    }
}
