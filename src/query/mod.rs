//! Reads, the same for every noun, and live queries: reads that stay true.
//!
//! A question ([`Asked`](crewline_protocol::read::Asked)) becomes a [`Plan`]: checked against the noun's fields, and with what its
//! principal may see made part of what is asked. A plan is read once ([`read`]), or followed ([`Live`]).

mod compile;
mod cursor;
mod live;
mod noun;
mod output;
mod read;

pub use compile::{Nouns, compile};
pub use live::{Feeds, Live, Next, Watching};
pub use noun::{Encode, Noun, Parent, PlacedField, in_workspace};
pub use output::{Item, Output};
pub use read::{ReadError, read};

use std::{borrow::Cow, sync::Arc};

use crewline_protocol::{operation::Role, value::WorkspaceId};

use crate::store::{GroupBy, Measured, Order, Predicate, Value};

/// Rows in a list that names no limit.
pub const LIMIT: u32 = 50;
/// Rows at most in a list.
pub const LIMIT_MOST: u32 = 500;
/// Rows at most in a list that goes on with a cursor.
pub const LIMIT_WITH_CURSOR: u32 = 200;

/// A question that was checked, for one principal or for all who see the same.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is read.
    pub noun: Arc<Noun>,
    /// Where.
    pub workspace: WorkspaceId,
    /// The fields that are left out.
    pub hidden: Vec<Cow<'static, str>>,
    /// Which rows may be seen.
    pub visible: Predicate,
    /// Which of them are asked for.
    pub wanted: Predicate,
    /// What is made of them.
    pub shape: Shape,
    /// The row that must be there too.
    pub parent: Option<PlannedParent>,
    /// Other nouns whose changes change the answer.
    pub referred: Vec<Referred>,
    /// Two plans with the same name have the same answer, whoever asks.
    pub name: String,
}

/// The row that a plan's rows belong to.
#[derive(Debug, Clone)]
pub struct PlannedParent {
    /// Its noun.
    pub noun: Arc<Noun>,
    /// Its id.
    pub id: Value,
    /// Whether it may be seen.
    pub visible: Predicate,
}

/// Another noun whose rows are looked at.
#[derive(Debug, Clone)]
pub struct Referred {
    /// The noun.
    pub noun: Arc<Noun>,
    /// Which of its rows may be seen.
    pub visible: Predicate,
}

/// What is made of the rows.
#[derive(Debug, Clone)]
pub enum Shape {
    /// One row.
    Row(Value),
    /// A list.
    List(List),
    /// Figures.
    Figures(Figures),
}

/// A list of rows.
#[derive(Debug, Clone)]
pub struct List {
    /// By what it is sorted, before the id.
    pub order: Vec<Order>,
    /// The key after which it begins.
    pub after: Option<Vec<Value>>,
    /// How many rows at most.
    pub limit: usize,
    /// Whether all that there are are counted.
    pub count: bool,
}

/// Figures over rows.
#[derive(Debug, Clone)]
pub struct Figures {
    /// What the rows are grouped by.
    pub groups: Vec<Grouped>,
    /// The figures' names.
    pub names: Vec<String>,
    /// The figures.
    pub measures: Vec<Measured>,
}

/// What rows are grouped by.
#[derive(Debug, Clone)]
pub struct Grouped {
    /// As the store has it.
    pub by: GroupBy,
    /// The noun whose title stands for the value.
    pub titled_by: Option<Referred>,
    /// Whether the value is a truth value.
    pub boolean: bool,
}

impl Plan {
    /// The topics whose changes can change the answer.
    pub fn topics(&self) -> Vec<String> {
        // A row that is asked for by its id is gone with what it belongs to, which the question does not name.
        let parent = self.parent.as_ref().map(|parent| &parent.noun);
        let parent = parent.or(self.noun.parent.as_ref().map(|parent| &parent.noun));
        std::iter::once(&self.noun)
            .chain(parent)
            .chain(self.referred.iter().map(|referred| &referred.noun))
            .map(|noun| noun.topic.clone())
            .collect()
    }
    /// Which rows are read.
    pub fn predicate(&self) -> Predicate {
        Predicate::All(vec![self.visible.clone(), self.wanted.clone()])
    }
}

/// The role by which a plan's fields are seen.
fn role_of(identity: &crate::access::Identity) -> Role {
    identity.principal.role
}
