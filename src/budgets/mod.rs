//! Budgets: what all runs of a workspace, or of one of its crews, may take in a day or a month. What they took is read from their rows,
//! which are brought up to date after each model call.

use std::sync::{Arc, LazyLock};

use crewline_protocol::{
    event::Usage,
    fault::{Fault, FaultCode, Retry},
    operations::budget::{self, Budget, Period, Set},
    value::{BudgetId, MicroUsd, Millis, Revision, UserId, WorkspaceId, encode},
};

use crate::{
    context::{Answer, Context, Failure, Services},
    entity,
    query::Noun,
    store::{
        Aggregate, Bucket, Commit, Comparison, Condition, Entity, Kind, Measure, Measured, Predicate, Select, Source, StoreError, Term,
        Value, evaluate,
    },
};

entity! {
    /// A budget as it is stored.
    pub struct BudgetRow in "budgets" {
        /// Its id.
        id: BudgetId,
        /// Where it is.
        workspace_id: WorkspaceId,
        /// The workspace's revision at its last change.
        revision: Revision,
        /// When it was first set.
        created_at: Millis,
        /// When it was last set.
        updated_at: Millis,
        /// Whose runs; empty: all of the workspace.
        crew: String,
        /// How long it lasts.
        period: Period,
        /// What models may cost.
        cost_microusd: Option<MicroUsd>,
        /// Tokens that may go into models and come out, together.
        tokens: Option<i64>,
        /// How long runs may be executed, together.
        duration_ms: Option<i64>,
        /// Who set it last.
        set_by: UserId,
    }
}

entity! {
    /// As much of a run as tells what it took.
    struct Spent in "runs" {
        workspace_id: WorkspaceId,
        crew: String,
        updated_at: Millis,
        runs: Option<u32>,
        input_tokens: i64,
        output_tokens: i64,
        cost_microusd: MicroUsd,
        executed_ms: i64,
    }
}

/// Budgets, as reads see them.
pub fn noun() -> Arc<Noun> {
    static NOUN: LazyLock<Arc<Noun>> = LazyLock::new(|| Arc::new(Noun::of(&budget::NOUN, |row: BudgetRow| encode(&row.at(row.revision)))));
    NOUN.clone()
}

/// Sets what runs may take.
///
/// # Errors
/// `invalid` for a crew that is not there.
pub async fn set(cx: Context, input: Set) -> Result<Answer<Budget>, Failure> {
    let identity = cx.identity()?.clone();
    if let Some(crew) = &input.crew {
        cx.services.apps.of(identity.workspace).crew(crew)?;
    }
    let (now, crew) = (cx.now(), input.crew.unwrap_or_default());
    let select = Select::by("workspace_id", identity.workspace)
        .and(Condition::Equals("crew", crew.as_str().into()))
        .and(Condition::Equals("period", input.period.into()));
    let before = cx.services.store.select::<BudgetRow>(&select).await?.pop();
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let row = BudgetRow {
        id: before.as_ref().map_or_else(|| cx.services.clock.id(BudgetId::new), |before| before.id),
        workspace_id: identity.workspace,
        revision: Revision(0),
        created_at: before.as_ref().map_or(now, |before| before.created_at),
        updated_at: now,
        crew,
        period: input.period,
        cost_microusd: input.cost_microusd,
        tokens: input.tokens.map(number),
        duration_ms: input.duration_ms.map(number),
        set_by: identity.user,
    };
    let commit = Commit::in_workspace(identity.workspace);
    let commit = match &before {
        Some(before) => commit.replace(before, &row),
        None => commit.insert(&row),
    };
    cx.commit(commit, move |revision| row.at(revision)).await
}

/// What of a budget is used, for who tells it in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Whose budget, for how long, as people read it.
    pub whose: String,
    /// Which figure.
    pub name: &'static str,
    /// How much is used.
    pub used: u64,
    /// How much there is.
    pub most: u64,
}

/// What is used of each budget that a run of this crew falls under.
///
/// # Errors
/// See [`StoreError`].
pub async fn used(services: &Services, workspace: WorkspaceId, crew: &str) -> Result<Vec<Used>, StoreError> {
    let mine = Condition::In("crew", vec!["".into(), crew.into()]);
    let budgets: Vec<BudgetRow> = services.store.select(&Select::by("workspace_id", workspace).and(mine)).await?;
    let mut all = Vec::new();
    for budget in budgets.iter().filter(|budget| budget.bounds_something()) {
        let (usage, executed_ms) = spent(services, budget).await?;
        all.extend(budget.used(usage, executed_ms));
    }
    Ok(all)
}

/// Passes where no budget that a run of this crew falls under is used up.
///
/// # Errors
/// `over_quota`, with the budget; see [`Failure`].
pub async fn check(services: &Services, workspace: WorkspaceId, crew: &str) -> Result<(), Failure> {
    let used = used(services, workspace, crew).await?;
    match used.iter().find(|used| used.used >= used.most) {
        Some(used) => Err(used.fault().into()),
        None => Ok(()),
    }
}

/// What the runs under a budget took since it began: all that any of those took that have changed since.
async fn spent(services: &Services, budget: &BudgetRow) -> Result<(Usage, u64), StoreError> {
    let bucket = match budget.period {
        Period::Day => Bucket::Day,
        Period::Month => Bucket::Month,
    };
    let since = evaluate::begin(bucket, services.clock.now().0);
    let integer = |column| Term { source: Source::Column(column), kind: Kind::Integer, optional: false };
    let mut all = vec![
        Predicate::equal(Term::text("workspace_id"), budget.workspace_id),
        Predicate::Compare(integer("updated_at"), Comparison::GreaterOrEqual, since.into()),
        // Those that stand for others have the others' sums.
        Predicate::Absent(Term { optional: true, ..integer("runs") }),
    ];
    if !budget.crew.is_empty() {
        all.push(Predicate::equal(Term::text("crew"), budget.crew.as_str()));
    }
    let sums = ["input_tokens", "output_tokens", "cost_microusd", "executed_ms"];
    let measures = sums.map(|column| Measured { measure: Measure::Sum(integer(column)), only: None }).into();
    let aggregate = Aggregate { table: Spent::TABLE, predicate: Predicate::All(all), groups: Vec::new(), measures, limit: 1 };
    let row = services.store.snapshot().await?.aggregate(&aggregate).await?.pop().unwrap_or_default();
    let sum = |place: usize| match row.get(place) {
        Some(Value::Integer(sum)) => *sum,
        _ => 0,
    };
    let usage = Usage { input_tokens: positive(sum(0)), output_tokens: positive(sum(1)), cost_microusd: MicroUsd(sum(2)) };
    Ok((usage, positive(sum(3))))
}

impl BudgetRow {
    fn bounds_something(&self) -> bool {
        self.cost_microusd.is_some() || self.tokens.is_some() || self.duration_ms.is_some()
    }

    fn used(&self, usage: Usage, executed_ms: u64) -> Vec<Used> {
        let whose = if self.crew.is_empty() { "the workspace's".to_owned() } else { format!("crew `{}`'s", self.crew) };
        let whose = format!("{whose} budget of this {}", self.period.as_str());
        let figures = [
            ("cost_microusd", positive(usage.cost_microusd.0), self.cost_microusd.map(|cost| positive(cost.0))),
            ("tokens", usage.input_tokens + usage.output_tokens, self.tokens.map(positive)),
            ("duration_ms", executed_ms, self.duration_ms.map(positive)),
        ];
        let used = figures.into_iter().filter_map(|(name, used, most)| Some(Used { whose: whose.clone(), name, used, most: most? }));
        used.collect()
    }

    /// As the wire has it, written at this revision.
    fn at(&self, revision: Revision) -> Budget {
        Budget {
            id: self.id,
            revision,
            created_at: self.created_at,
            updated_at: self.updated_at,
            crew: (!self.crew.is_empty()).then(|| self.crew.clone()),
            period: self.period,
            cost_microusd: self.cost_microusd,
            tokens: self.tokens.map(positive),
            duration_ms: self.duration_ms.map(positive),
            set_by: self.set_by,
        }
    }
}

impl Used {
    /// Nothing is left.
    pub fn fault(&self) -> Fault {
        let Self { whose, name, used, most } = self;
        let (used, most) = (amount(name, *used), amount(name, *most));
        let message = format!("{whose} is used up, {used} of {most}: an admin can raise it (`budget.set`), or wait until it begins anew");
        Fault { retry: Retry::Never, ..Fault::new(FaultCode::OverQuota, message) }
    }
}

/// An amount of what a budget bounds, as people read it.
pub fn amount(name: &str, amount: u64) -> String {
    match name {
        "tokens" => format!("{amount} tokens"),
        "duration_ms" => format!("{} s", amount / 1_000),
        _ => format!("${}.{:06}", amount / 1_000_000, amount % 1_000_000),
    }
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
