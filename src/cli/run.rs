//! `crewline run` and `crewline follow`

use clap::Args;
use crewline_client::{
    CallError, Client, FollowError, FollowOptions, Followed, RunStream, State,
    protocol::{
        RunEvent,
        operations::{
            approval::Answer,
            run::{self, Status},
        },
        value::{ApprovalId, Offset, RunId},
    },
};
use futures::StreamExt;
use serde_json::json;

use super::{
    Failure,
    answer::{self, Answers, Questions},
    input::Inputs,
    remote::{Remote, leave},
    screen::{Screen, print},
    show::Show,
};

const RUN_EXAMPLES: &str = "\
Examples:
  crewline run review --input-file page=article.html --input name=article.html
  crewline run review --input-url page=https://example.com/ --input name=example.com --input url=https://example.com/
  crewline run review --input-file page=a.md --input name=a.md --json | jq -r 'select(.type == \"text.delta\").text'
  crewline run campaign --input campaign_id=01890a5d-ac96-774b-bcce-b302099a8057 --approve

What the run asks is asked in the terminal; in a pipe it waits for whoever answers it elsewhere, or for --approve or --reject.
The run belongs to the server: Ctrl-C leaves it going, `crewline follow` shows it again, and
`crewline call run.cancel` ends it.";

const FOLLOW_EXAMPLES: &str = "\
Examples:
  crewline follow 01890a5d-ac96-774b-bcce-b302099a8057
  crewline follow 01890a5d-ac96-774b-bcce-b302099a8057 --from 120 --json

With --json each event is a line; after the events up to a position comes {\"type\": \"position\", \"offset\": N}, from
which --from goes on.";

#[derive(Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct Run {
    /// The crew, as the app names it.
    crew: String,
    #[command(flatten)]
    inputs: Inputs,
    #[command(flatten)]
    answers: Answers,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
#[command(after_help = FOLLOW_EXAMPLES)]
pub(crate) struct Follow {
    /// The run's id.
    run: RunId,
    /// Show what came after this position.
    #[arg(long, default_value_t = 0, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    from: i64,
    #[command(flatten)]
    answers: Answers,
    #[command(flatten)]
    remote: Remote,
}

impl Run {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let inputs = self.inputs.read().await?;
        let client = self.remote.sign_in().await?;
        let start = run::Start { crew: self.crew, inputs, ..run::Start::default() };
        let run = client.call(start).await?;
        if self.remote.json {
            print(&format!("{}\n", json!({"type": "run", "run": {"id": run.id, "crew": run.crew, "status": run.status}})))?;
        } else {
            print(&format!("run {}\n", run.id))?;
        }
        watch(client, run.id, Offset(0), &self.answers, self.remote.json).await
    }
}

impl Follow {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.remote.sign_in().await?;
        watch(client, self.run, Offset(self.from), &self.answers, self.remote.json).await
    }
}

/// Shows a run until it ends, or until Ctrl-C.
async fn watch(client: Client, run: RunId, from: Offset, answers: &Answers, json: bool) -> Result<(), Failure> {
    let stream = client.follow_run(run, FollowOptions { from, ..FollowOptions::default() }).await?;
    let screen = Screen::standard();
    let columns = screen.columns;
    let questions = Questions::new(answers, screen.is_terminal() && !json);
    let show = Show::new(screen.style, columns);
    let mut watch = Watch { show, screen, questions, asked: None, position: from, head: from, json, attached: false, lost: false };
    let shown = tokio::select! {
        shown = watch.until_the_end(stream, &client) => shown,
        _ = tokio::signal::ctrl_c() => {
            watch.screen.add(if watch.screen.is_at_line_start() { "" } else { "\n" }, "")?;
            eprintln!("crewline: the run goes on, on the server. Show it again:  crewline follow {run}");
            eprintln!("          End it:  crewline call run.cancel '{{\"id\": \"{run}\"}}'");
            Err(Failure::Interrupted)
        }
    };
    leave(client).await;
    shown
}

struct Watch {
    show: Show,
    screen: Screen,
    questions: Questions,
    /// The question that the person at the terminal was asked last.
    asked: Option<ApprovalId>,
    position: Offset,
    /// How far the run had come when it was attached: what was asked until then may have been answered until then, too.
    head: Offset,
    json: bool,
    attached: bool,
    lost: bool,
}

impl Watch {
    async fn until_the_end(&mut self, mut stream: RunStream, client: &Client) -> Result<(), Failure> {
        let mut state = client.state();
        let mut status = None;
        loop {
            tokio::select! {
                followed = stream.next() => match followed {
                    Some(Ok(followed)) => {
                        if let Followed::Event(RunEvent::RunFinished { status: ended, .. }) = &followed {
                            status = Some(*ended);
                        }
                        self.followed(&followed)?;
                        if matches!(followed, Followed::Position(_)) && self.is_live() {
                            self.put_questions(client).await?;
                        }
                    }
                    Some(Err(error)) => {
                        self.screen.add("", "")?;
                        return Err(FollowError::into(error));
                    }
                    None => {
                        self.screen.add("", "")?;
                        return ended(status);
                    }
                },
                line = self.questions.typed() => self.typed(&line, client).await?,
                Ok(()) = state.changed() => {
                    if let State::Waiting { error, .. } = &*state.borrow_and_update() && !self.json && !self.lost {
                        self.lost = true;
                        let text = self.show.lost(&error.to_string());
                        self.screen.add(&text, "connecting again …")?;
                    }
                }
            }
        }
    }

    /// Whether what comes is what happens now.
    fn is_live(&self) -> bool {
        self.position >= self.head
    }

    /// Answers what the command line answers, and asks the person what is left.
    async fn put_questions(&mut self, client: &Client) -> Result<(), Failure> {
        while let Some(answer) = self.questions.given() {
            self.send(answer, client).await?;
        }
        let Some(question) = self.questions.asked().filter(|question| self.asked != Some(question.id)) else { return Ok(()) };
        self.asked = Some(question.id);
        let text = self.show.question(question);
        self.screen.add(&text, answer::prompt(question.kind))
    }

    async fn typed(&mut self, line: &str, client: &Client) -> Result<(), Failure> {
        self.screen.line_was_ended();
        let Some(question) = self.questions.asked() else { return Ok(()) };
        let Some(answer) = answer::read(question, line) else { return self.screen.add("", answer::prompt(question.kind)) };
        self.send(answer, client).await?;
        self.put_questions(client).await
    }

    async fn send(&mut self, answer: Answer, client: &Client) -> Result<(), Failure> {
        match self.questions.send(client, answer).await {
            Err(CallError::Fault(fault)) if !self.json => {
                let text = self.show.not_taken(&fault);
                self.screen.add(&text, "")
            }
            sent => Ok(sent?),
        }
    }

    fn followed(&mut self, followed: &Followed) -> Result<(), Failure> {
        match followed {
            Followed::Event(event) => self.questions.hear(event),
            Followed::Attached { head, .. } => self.head = *head,
            Followed::Position(position) => self.position = *position,
            Followed::Restarted => self.position = Offset(0),
        }
        if self.json {
            let line = match followed {
                Followed::Event(event) => json!(event),
                Followed::Position(offset) => json!({"type": "position", "offset": offset}),
                Followed::Attached { from, head } => json!({"type": "attached", "from": from, "head": head}),
                Followed::Restarted => json!({"type": "restarted"}),
            };
            return print(&format!("{line}\n"));
        }
        let text = match followed {
            // The person is asked as soon as it is their turn.
            Followed::Event(RunEvent::ApprovalRequested { .. }) if self.is_live() && self.questions.asked().is_some() => String::new(),
            Followed::Event(RunEvent::ApprovalRequested { approval, .. }) if self.is_live() && self.questions.are_answered_elsewhere() => {
                self.show.question(approval) + &self.show.how_to_answer(approval)
            }
            Followed::Event(event) => self.show.event(event),
            Followed::Attached { from, head } if self.attached => {
                self.lost = false;
                self.show.resumed(*from, *head)
            }
            Followed::Attached { .. } => {
                self.attached = true;
                String::new()
            }
            Followed::Restarted => self.show.restarted(),
            Followed::Position(_) => String::new(),
        };
        let standing = match self.questions.asked().filter(|question| self.asked == Some(question.id)) {
            Some(question) => answer::prompt(question.kind).to_owned(),
            None if self.show.finished().is_some() => String::new(),
            None => self.show.standing(),
        };
        self.screen.add(&text, &standing)
    }
}

/// What a run that was shown to its end means for the program's.
fn ended(status: Option<Status>) -> Result<(), Failure> {
    match status {
        // Nothing came after `--from`: how it ended was shown before.
        None | Some(Status::Succeeded | Status::Queued | Status::Running | Status::Waiting) => Ok(()),
        Some(Status::Failed) => Err(Failure::RunFailed),
        Some(Status::Cancelled) => Err(Failure::RunCancelled),
    }
}
