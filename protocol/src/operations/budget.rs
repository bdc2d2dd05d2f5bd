//! Budgets: what all runs of a workspace, or of one of its crews, may take in a day or a month.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::{Access, Kind, Operation, Rate},
    operations::{reads::reads, run::costs_something},
    value::{BudgetId, MicroUsd, Millis, Revision, UserId},
};

/// How long a budget lasts, in UTC: then it begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "BudgetPeriod")]
#[ts(rename = "BudgetPeriod")]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to that of the next.
    Month,
}

impl Period {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
    /// The period with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Day, Self::Month].into_iter().find(|period| period.as_str() == name)
    }
}

/// What all runs of a workspace, or of one of its crews, may take in a day or a month. When any of it is used up, runs end with
/// `over_quota` before their next model call, and none is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Budget {
    /// Its id.
    pub id: BudgetId,
    /// The workspace's revision at its last change.
    pub revision: Revision,
    /// When it was first set.
    pub created_at: Millis,
    /// When it was last set.
    pub updated_at: Millis,
    /// Whose runs; absent: all of the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub crew: Option<String>,
    /// How long it lasts.
    pub period: Period,
    /// What models may cost; absent: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cost_microusd: Option<MicroUsd>,
    /// Tokens that may go into models and come out, together; absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub tokens: Option<u64>,
    /// How long runs may be executed, together; absent: any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub duration_ms: Option<u64>,
    /// Who set it last.
    pub set_by: UserId,
}

reads! {
    "budget": Budget by BudgetId, for Viewer as "BudgetGet", "BudgetList", "BudgetAggregate";
    fields [
        Field::text("crew").optional(),
        Field::text("period"),
        Field::integer("cost_microusd").optional(),
        Field::integer("tokens").optional(),
        Field::integer("duration_ms").optional(),
        Field::reference("set_by", "member"),
    ]
}

/// Sets what runs may take: the whole budget of this crew and period. With no figure nothing is bounded any more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BudgetSet")]
#[ts(rename = "BudgetSet")]
pub struct Set {
    /// Whose runs; absent: all of the workspace.
    #[garde(length(bytes, min = 1, max = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub crew: Option<String>,
    /// How long it lasts.
    #[garde(skip)]
    pub period: Period,
    /// What models may cost.
    #[garde(custom(costs_something))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cost_microusd: Option<MicroUsd>,
    /// Tokens that may go into models and come out, together.
    #[garde(range(min = 1_u64, max = 1_000_000_000_000_u64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub tokens: Option<u64>,
    /// How long runs may be executed, together.
    #[garde(range(min = 1_u64, max = 1_000_000_000_000_u64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub duration_ms: Option<u64>,
}

impl Operation for Set {
    const NAME: &'static str = "budget.set";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Admin;
    const RATE: Rate = Rate::Write;
    type Output = Budget;
}
