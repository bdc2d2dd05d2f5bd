//! A run's questions to people, and what became of them.

use crewline_client::protocol::{
    Fault,
    operations::approval::{Approval, Kind, Status},
};

use super::{INDENT, Ink, Show, facts, prose};

impl Show {
    /// A question with all that is needed to answer it.
    pub(crate) fn question(&mut self, question: &Approval) -> String {
        let mut out = self.end_part();
        out.push_str(&self.asked(question));
        self.blank = out.ends_with("\n\n");
        out
    }

    /// How it is answered from another terminal.
    pub(crate) fn how_to_answer(&self, question: &Approval) -> String {
        let verdict = match question.kind {
            Kind::Tool | Kind::Review => r#""verdict": "approve""#,
            Kind::Input => r#""verdict": "answer", "value": …"#,
        };
        let id = question.id;
        // Not wrapped: it is for copying.
        let command = format!(r#"    crewline call approval.answer '{{"id": "{id}", {verdict}}}'"#);
        format!("{}\n", self.style.paint(Ink::Faint, &command))
    }

    /// Why an answer was not taken.
    pub(crate) fn not_taken(&mut self, fault: &Fault) -> String {
        self.note(Ink::Bad, &format!("✗ the answer was not taken: {}", fault.message))
    }

    pub(super) fn asked(&self, question: &Approval) -> String {
        let mut out = format!("\n{}", self.note(Ink::Warning, &format!("? {}", question.title)));
        out.push_str(&self.note(Ink::Faint, &question.body));
        if let Some(arguments) = &question.arguments {
            out.push_str(&prose::columns(&facts::whole(arguments), false, self.style, self.columns, 2 * INDENT));
        }
        out
    }

    pub(super) fn answered(&self, question: &Approval) -> String {
        let (ink, what) = match question.status {
            Status::Approved => (Ink::Good, "yes"),
            Status::Rejected => (Ink::Bad, "no"),
            Status::Answered => (Ink::Good, "answered"),
            Status::Expired => (Ink::Warning, "nobody answered in time"),
            Status::Withdrawn => (Ink::Warning, "taken back"),
            Status::Pending => (Ink::Warning, "waits"),
        };
        let words = question.answer.as_ref().and_then(|answer| answer.comment.as_deref()).filter(|words| !words.is_empty());
        let words = words.map(|words| format!(": {words}")).unwrap_or_default();
        let edited = question.answer.as_ref().is_some_and(|answer| answer.arguments.is_some());
        let edited = if edited { ", with other arguments" } else { "" };
        self.note(ink, &format!("! {} {what}{edited}{words}", question.title))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::show::Style;

    fn question() -> Approval {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let words = "A long thought that needs more than one line of a terminal with sixty columns, and every word of it must be there.";
        serde_json::from_value(json!({
            "id": id, "revision": 1, "created_at": 1, "updated_at": 1, "session_id": id, "run_id": id, "kind": "tool", "roles": ["admin"],
            "title": "May reviewer call record.update?", "body": "It is for \"review\".", "on_expire": "reject", "status": "pending",
            "tool": "record.update", "arguments": {"collection": "comments", "id": id, "data": {"status": "approved", "text": words}},
        }))
        .unwrap()
    }

    #[test]
    fn who_is_asked_sees_every_word_that_they_decide_on() {
        let mut show = Show::new(Style::Plain, 60);
        let expected = "
  ? May reviewer call record.update?
  It is for \"review\".
    collection  comments
    status      approved
    text        A long thought that needs more than one line
                of a terminal with sixty columns, and every
                word of it must be there.
    id          01890a5d-ac96-774b-bcce-b302099a8057
";
        assert_eq!(show.question(&question()), expected);
        let command = show.how_to_answer(&question());
        assert!(command.contains(r#"'{"id": "01890a5d-ac96-774b-bcce-b302099a8057", "verdict": "approve"}'"#), "{command}");
    }

    #[test]
    fn an_answer_is_told_with_the_words_that_came_with_it() {
        let show = Show::new(Style::Plain, 60);
        let answered = |status: &str, answer: serde_json::Value| {
            let mut question = json!(question());
            (question["status"], question["answer"]) = (status.into(), answer);
            show.answered(&serde_json::from_value(question).unwrap())
        };
        assert_eq!(answered("approved", json!({"verdict": "approve"})), "  ! May reviewer call record.update? yes\n");
        let refused = answered("rejected", json!({"verdict": "reject", "comment": "Too long."}));
        assert_eq!(refused, "  ! May reviewer call record.update? no: Too long.\n");
        let edited = answered("approved", json!({"verdict": "approve", "arguments": {}}));
        assert_eq!(edited, "  ! May reviewer call record.update? yes, with other\n    arguments\n");
    }
}
