//! Questions to people: whether a tool may be called, whether an answer is good. A branch that asks waits for the answer; when all
//! branches of a run wait, the run is put away until there is one.

use crewline_protocol::{
    RunEvent,
    fault::{Fault, FaultCode},
    operation::Role,
    operations::approval::{Approval, Kind, OnExpire, Status},
    value::{ApprovalId, Millis},
};
use serde_json::Value;

use super::{
    history::Called,
    stage::{Stage, Stopped, lock, never},
    talk::Talk,
    work::Work,
};
use crate::{
    approvals::{ApprovalRow, Ask},
    store::Commit,
};

impl Stage {
    /// Puts a question before people, unless that was done by an earlier attempt, and waits for the answer.
    async fn ask(&self, work: &Work<'_>, ask: impl FnOnce(Millis) -> Ask, asked: Option<ApprovalId>) -> Result<Approval, Stopped> {
        let id = match asked {
            Some(id) => id,
            None => {
                let (id, now) = (self.clock.id(ApprovalId::new), self.now());
                let row = ApprovalRow::requested(&self.run, ask(now), id, now);
                let requested = RunEvent::ApprovalRequested { at: now, approval: Box::new(row.approval()) };
                self.log.put_rows(&[requested], Commit::default().insert(&row).rows).await;
                id
            }
        };
        lock(&self.questions).insert(id);
        let answer = self.wait(Some(work), self.people.answer(id)).await;
        lock(&self.questions).remove(&id);
        let answer = answer?.ok_or(Stopped::Ended)?;
        if answer.status == Status::Expired && answer.on_expire == OnExpire::Fail {
            let message = format!("nobody answered \"{}\" in time: start the run again", answer.title);
            return Err(self.over(never(FaultCode::Timeout, message)));
        }
        Ok(answer)
    }

    /// Whether there is nothing to do but to wait: a branch that has what it waited for, and has not gone on yet, is at work.
    pub(super) fn waits_for_people(&self) -> bool {
        let questions = lock(&self.questions);
        self.people.look(|said| {
            let pending = |id: &ApprovalId| said.approvals.get(id).is_none_or(|approval| approval.status == Status::Pending);
            said.cancel.is_none() && !*self.ending.borrow() && (said.paused || !questions.is_empty()) && questions.iter().all(pending)
        })
    }

    /// Waits for people, on the time of nobody.
    pub(super) async fn wait<T>(&self, work: Option<&Work<'_>>, answer: impl Future<Output = T>) -> Result<T, Stopped> {
        let _time: Vec<_> = std::iter::successors(work, |work| work.parent).map(|work| work.time.hold()).collect();
        self.branches
            .waits(async {
                tokio::select! {
                    biased;
                    answer = answer => Ok(answer),
                    () = self.told_to_end() => Err(Stopped::Ended),
                }
            })
            .await
    }
}

impl Talk<'_> {
    /// The arguments with which a call may be made, as they are or as a person changed them, and since when. Where it may not be made, the
    /// agent reads why.
    pub(super) async fn allowed(&self, called: &mut Called) -> Result<Result<(Value, Millis), Fault>, Stopped> {
        let rule = self.stage.crew().approval(&called.tool).filter(|rule| rule.asks(&called.input));
        let Some(rule) = rule else { return Ok(Ok((called.input.clone(), called.begun_at))) };
        let ask = |now: Millis| Ask {
            task: Some(self.work.id.clone()),
            call: Some(called.call.clone()),
            kind: Kind::Tool,
            title: format!("May {} call {}?", self.work.agent.name, called.tool),
            body: format!("It is for \"{}\".", self.work.of_task()),
            tool: Some(called.tool.clone()),
            arguments: Some(called.input.clone()),
            schema: None,
            roles: rule.roles.clone(),
            expires_at: rule.expires_in_ms.map(|ms| now.plus(i64::try_from(ms).unwrap_or(i64::MAX))),
            on_expire: rule.on_expire,
        };
        let answer = self.stage.ask(self.work, ask, called.asked).await?;
        called.asked = Some(answer.id);
        let words = answer.answer.as_ref().and_then(|answer| answer.comment.as_deref()).filter(|words| !words.trim().is_empty());
        let refused = |why: &str| {
            let words = words.map(|words| format!(": {words}")).unwrap_or_default();
            Ok(Err(Fault::new(FaultCode::Forbidden, format!("{why}{words}"))))
        };
        match answer.status {
            // What is done is what was asked for, or what the person made of it: nothing else was approved.
            Status::Approved if answer.tool.as_ref() == Some(&called.tool) && answer.arguments.as_ref() == Some(&called.input) => {
                let arguments = answer.answer.and_then(|answer| answer.arguments).unwrap_or_else(|| called.input.clone());
                Ok(Ok((arguments, answer.updated_at)))
            }
            Status::Approved => refused("another call was approved, not this one"),
            Status::Expired => refused("nobody allowed this call in time"),
            Status::Withdrawn => refused("the question whether this call is allowed was taken back"),
            Status::Rejected | Status::Answered | Status::Pending => refused("a person did not allow this call"),
        }
    }

    /// What the agent reads beside a call's result: what the person who allowed it changed and said.
    pub(super) fn note(&self, called: &Called) -> Option<String> {
        let approval = self.stage.people.look(|said| said.approvals.get(&called.asked?).cloned())?;
        let answer = approval.answer.filter(|_| approval.status == Status::Approved)?;
        let changed = answer.arguments.map(|arguments| format!("A person changed the arguments; it was called with {arguments}."));
        let said = answer.comment.filter(|words| !words.trim().is_empty()).map(|words| format!("A person says: {words}"));
        let notes: Vec<String> = changed.into_iter().chain(said).collect();
        (!notes.is_empty()).then(|| notes.join("\n"))
    }

    /// Puts an answer before a person; where they do not take it, the agent is to answer again after the words that come back.
    pub(super) async fn reviewed(&mut self, answer: &str) -> Result<Option<String>, Stopped> {
        let asked = self.past_review();
        let ask = |_| Ask {
            task: Some(self.work.id.clone()),
            call: None,
            kind: Kind::Review,
            title: format!("Is \"{}\" done well?", self.work.name),
            body: answer.to_owned(),
            tool: None,
            arguments: None,
            schema: None,
            roles: vec![Role::Member],
            expires_at: None,
            on_expire: OnExpire::Reject,
        };
        let approval = self.stage.ask(self.work, ask, asked).await?;
        let words = approval.answer.and_then(|answer| answer.comment).filter(|words| !words.trim().is_empty());
        let rejected = approval.status == Status::Rejected;
        Ok(rejected.then(|| words.unwrap_or_else(|| "It is not good enough.".to_owned())))
    }
}

#[cfg(test)]
mod tests;
