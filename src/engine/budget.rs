//! What a run may take, in money, tokens and time. Whatever of it runs out is told when a fifth is left, and ends the run when nothing is.

use std::time::Duration;

use crewline_protocol::{
    event::{LogLevel, RunEvent, Usage},
    fault::{Fault, FaultCode},
    operations::run::Budget,
    value::Millis,
};

use super::stage::never;
use crate::budgets::{Used, amount};

/// The field of a line in the log that says which budget runs out.
pub(super) const FIELD: &str = "budget";

/// The tighter of two budgets, figure by figure.
pub fn tighter(a: Budget, b: Budget) -> Budget {
    fn least<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
        a.into_iter().chain(b).min()
    }
    Budget {
        cost_microusd: least(a.cost_microusd, b.cost_microusd),
        tokens: least(a.tokens, b.tokens),
        duration_ms: least(a.duration_ms, b.duration_ms),
    }
}

/// How much of which budget is used: its name, what is used, what there is.
fn used(budget: Budget, usage: Usage) -> impl Iterator<Item = (&'static str, u64, u64)> {
    let cost = budget.cost_microusd.map(|most| ("cost_microusd", positive(usage.cost_microusd.0), positive(most.0)));
    let tokens = budget.tokens.map(|most| ("tokens", usage.input_tokens + usage.output_tokens, most));
    cost.into_iter().chain(tokens)
}

/// Whether another model call may be made.
///
/// # Errors
/// `over_quota`, with what is used up.
pub fn check(budget: Budget, usage: Usage) -> Result<(), Fault> {
    match used(budget, usage).find(|(_, used, most)| used >= most) {
        Some((name, used, most)) => Err(over(name, used, most)),
        None => Ok(()),
    }
}

/// What to tell of the budgets that run out with this usage.
pub(super) fn warnings(budget: Budget, usage: Usage, at: Millis) -> Vec<(&'static str, RunEvent)> {
    let low = used(budget, usage).filter(|(_, used, most)| *used >= most - most / 5);
    low.map(|(name, used, most)| (name, warning(name, used, most, at))).collect()
}

/// What to tell of budgets that the run has in common with others and that run out.
pub(super) fn shared_warnings(used: &[Used], at: Millis) -> Vec<(String, RunEvent)> {
    let low = used.iter().filter(|used| used.used >= used.most - used.most / 5);
    low.map(|used| {
        let message = format!(
            "{} is low, {} of {} are used: runs end when all are",
            used.whose,
            amount(used.name, used.used),
            amount(used.name, used.most)
        );
        let field = format!("{} {}", used.whose, used.name);
        let fields = [(FIELD.to_owned(), field.as_str().into())].into_iter().collect();
        (field, RunEvent::LogWritten { at, level: LogLevel::Warn, message, fields: Some(fields) })
    })
    .collect()
}

/// When it is to be told that the time runs out, and when it has, after this much of it.
pub(super) fn time_left(budget: Budget, executed_ms: i64) -> Option<(Duration, Duration)> {
    let left = |ms: u64| Duration::from_millis(ms.saturating_sub(positive(executed_ms)));
    budget.duration_ms.map(|most| (left(most - most / 5), left(most)))
}

/// The time is used up.
pub fn out_of_time(most_ms: u64) -> Fault {
    over("duration_ms", most_ms, most_ms)
}

/// What is told when a fifth of a budget is left.
pub(super) fn warning(name: &'static str, used: u64, most: u64, at: Millis) -> RunEvent {
    let message = format!("{} of {} are used: the run ends when all are", amount(name, used), amount(name, most));
    let fields = [(FIELD.to_owned(), name.into())].into_iter().collect();
    RunEvent::LogWritten { at, level: LogLevel::Warn, message, fields: Some(fields) }
}

fn over(name: &'static str, used: u64, most: u64) -> Fault {
    let message = format!(
        "the run's budget of {} is used up, it has taken {}: give it more, and start it again",
        amount(name, most),
        amount(name, used)
    );
    never(FaultCode::OverQuota, message)
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crewline_protocol::value::MicroUsd;

    #[test]
    fn budgets_are_told_of_in_time_and_end_a_run() {
        let crew = Budget { cost_microusd: Some(MicroUsd(1_500_000)), tokens: Some(1_000), duration_ms: None };
        let budget = tighter(crew, Budget { cost_microusd: None, tokens: Some(100), duration_ms: Some(10_000) });
        assert_eq!(budget, Budget { tokens: Some(100), duration_ms: Some(10_000), ..crew });
        let usage =
            |tokens: u64, cost| Usage { input_tokens: tokens / 2, output_tokens: tokens - tokens / 2, cost_microusd: MicroUsd(cost) };
        let told = |usage| warnings(budget, usage, Millis(0)).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(told(usage(79, 1_199_999)), Vec::<&str>::new());
        assert_eq!(told(usage(80, 1_200_000)), ["cost_microusd", "tokens"]);
        assert_eq!(check(budget, usage(99, 1_499_999)), Ok(()));
        let fault = check(budget, usage(7, 1_500_001)).unwrap_err();
        assert_eq!(fault.code, FaultCode::OverQuota);
        assert_eq!(fault.message, "the run's budget of $1.500000 is used up, it has taken $1.500001: give it more, and start it again");
        assert_eq!(check(budget, usage(100, 0)).unwrap_err().code, FaultCode::OverQuota);
        assert_eq!(time_left(budget, 3_000), Some((Duration::from_secs(5), Duration::from_secs(7))));
        assert_eq!(time_left(crew, 3_000), None);
    }
}
