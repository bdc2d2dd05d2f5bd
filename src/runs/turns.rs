//! Runs of one crew in one session take turns: who is started while another goes on waits, is refused, or gives its words to that one.

use crewline_protocol::{
    event::RunEvent,
    fault::{Fault, Reason},
    operations::run::{Inputs, Status},
    value::{MessageId, Millis, RunId, SessionId, SteerId, UserId},
};

use super::{RunRow, start::Begun};
use crate::{
    access::Identity,
    apps::Crew,
    context::{Context, Failure, not_now},
    entity,
    store::{Commit, Condition, Select, Store, StoreError, Stored, Value},
};

entity! {
    /// As much of a run as tells whose turn it is: its inputs may be long.
    struct Turn in "runs" {
        id: RunId,
        session_id: SessionId,
        crew: String,
        status: Status,
        parent_id: Option<RunId>,
        turn_after: Option<RunId>,
    }
}

/// The runs of a crew that have not ended in a session.
pub(super) struct InTurn {
    /// The one that goes on.
    pub(super) first: RunId,
    /// The one after whom the next comes.
    pub(super) last: RunId,
}

/// The runs of this crew that have not ended in this session; `None` where there is none.
pub(super) async fn of(store: &Store, session: SessionId, crew: &str) -> Result<Option<InTurn>, StoreError> {
    let select = Select::by("session_id", session)
        .and(Condition::Equals("crew", crew.into()))
        .and(Condition::In("status", going_on().to_vec()))
        .and(Condition::Equals("parent_id", Value::Null));
    let turns: Vec<Turn> = store.select(&select).await?;
    let first = turns.iter().find(|turn| turn.turn_after.is_none());
    let last = turns.iter().rfind(|turn| !turns.iter().any(|other| other.turn_after == Some(turn.id)));
    Ok(first.zip(last).map(|(first, last)| InTurn { first: first.id, last: last.id }))
}

/// The statuses of runs that have not ended, as the store has them.
pub fn going_on() -> [Value; 3] {
    [Status::Queued, Status::Running, Status::Waiting].map(|status| status.to_value())
}

/// Another run goes on.
pub(super) fn busy(run: &RunRow) -> Failure {
    let message = "a run of this crew goes on in the session: wait until it has ended, or start with another `on_busy`";
    Fault { current: serde_json::to_value(run.run()).ok(), ..Fault::conflict(Reason::Busy, message) }.into()
}

/// The words with which a crew was to be started.
pub(super) fn words(crew: &Crew, inputs: &Inputs) -> Result<String, Fault> {
    let input = crew.message_input.as_ref().ok_or_else(|| {
        let message =
            format!("crew `{}` does not say which input holds words to steer with: name it as `message_input` in crew.yaml", crew.name);
        Fault::invalid("on_busy", "unsupported", message)
    })?;
    let words = inputs.get(input).and_then(|words| words.as_str()).filter(|words| !words.trim().is_empty());
    words.map(str::to_owned).ok_or_else(|| Fault::invalid(format!("inputs.{input}"), "required", "there are no words to steer with"))
}

/// Gives the words to the run that goes on, instead of starting another. Those of a message have its id, by which whoever ends the run knows
/// that the session has them already.
pub(super) fn steer_instead(
    cx: &Context,
    identity: &Identity,
    run: &RunRow,
    (words, message): (String, Option<MessageId>),
    commit: Commit,
) -> Result<Begun, Failure> {
    if run.stands_for_others() {
        return Err(not_now("the run that goes on stands for others: steer one of those", run.run()).into());
    }
    let id = message.map_or_else(|| cx.services.clock.id(SteerId::new), SteerId::same_as);
    let (heard, commit) = steered(run, commit, id, words, identity.user, cx.now());
    Ok(Begun { run: heard, commit })
}

/// The run after words were given to its agents, and the commit with that.
pub fn steered(run: &RunRow, commit: Commit, steer_id: SteerId, text: String, by: UserId, now: Millis) -> (RunRow, Commit) {
    let event = RunEvent::SteerReceived { at: now, steer_id, text, by };
    // Nothing may follow the end of its log, and whoever ends it meanwhile must hear the words first: its row changes.
    let heard = RunRow { updated_at: now, ..run.clone() };
    let commit = commit.replace(run, &heard).append(run.id, &[event]);
    (heard, commit)
}
