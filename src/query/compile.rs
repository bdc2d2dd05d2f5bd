//! From a question to a plan: every field is one that the noun declares and the principal sees, every value has its field's type,
//! and what the principal may see becomes part of the plan.

use std::sync::Arc;

use crewline_protocol::{
    fault::Fault,
    noun::FieldKind,
    read::{self, Asked, Bucket, Filter, Group, Read, Scalar, Sort, Test, What},
};

use super::{
    Figures, Grouped, LIMIT, LIMIT_MOST, LIMIT_WITH_CURSOR, List, Noun, PlacedField, Plan, PlannedParent, Referred, Shape, cursor,
};
use crate::{
    access::Identity,
    store::{self, Comparison, Direction, GroupBy, Measured, Order, Predicate, Term, Value},
};

/// Sort keys of a list, groups and figures of an aggregate, at most: each makes a statement longer.
const MOST: usize = 8;

/// Finds nouns by the name under which fields refer to them.
pub type Nouns<'a> = &'a dyn Fn(&str) -> Option<Arc<Noun>>;

/// Makes a plan of a question.
///
/// # Errors
/// `invalid`, with the path of what is wrong.
pub fn compile(noun: &Arc<Noun>, asked: &Asked, identity: &Identity, nouns: Nouns<'_>) -> Result<Plan, Fault> {
    let compiler = Compiler { noun, identity, nouns };
    let parent = compiler.parent(asked)?;
    let mut wanted = Vec::new();
    if let Some((term, id)) = parent.as_ref().map(|(term, parent)| (term, &parent.id)) {
        wanted.push(Predicate::Compare(term.clone(), Comparison::Equal, id.clone()));
    }
    let mut referred = Vec::new();
    let shape = match &asked.read {
        Read::Get { id } => {
            let id = Value::from(id.as_str());
            wanted.push(Predicate::Compare(compiler.id(), Comparison::Equal, id.clone()));
            Shape::Row(id)
        }
        Read::List { filter, sort, limit, cursor, count } => {
            wanted.extend(filter.as_ref().map(|filter| compiler.filter(filter, "filter")).transpose()?);
            Shape::List(compiler.list(sort, *limit, cursor.as_deref(), *count)?)
        }
        Read::Aggregate { groups, measures, filter } => {
            wanted.extend(filter.as_ref().map(|filter| compiler.filter(filter, "filter")).transpose()?);
            Shape::Figures(compiler.figures(groups, measures, &mut referred)?)
        }
    };
    let mut plan = Plan {
        noun: noun.clone(),
        workspace: identity.workspace,
        hidden: noun.hidden(super::role_of(identity)),
        visible: (noun.visible)(identity),
        wanted: Predicate::All(wanted),
        shape,
        parent: parent.map(|(_, parent)| parent),
        referred,
        name: String::new(),
    };
    plan.name = format!("{} {:?} {:?} {:?} {:?} {:?}", noun.topic, plan.workspace, plan.hidden, plan.visible, plan.wanted, plan.shape);
    Ok(plan)
}

struct Compiler<'a> {
    noun: &'a Arc<Noun>,
    identity: &'a Identity,
    nouns: Nouns<'a>,
}

impl Compiler<'_> {
    fn id(&self) -> Term {
        Term::text(self.noun.table.columns.first().map_or("id", |column| column.name))
    }

    fn parent(&self, asked: &Asked) -> Result<Option<(Term, PlannedParent)>, Fault> {
        let Some((parent, id)) = self.noun.parent.as_ref().zip(asked.parent.as_deref()) else { return Ok(None) };
        let visible = (parent.noun.visible)(self.identity);
        Ok(Some((Term::text(parent.field), PlannedParent { noun: parent.noun.clone(), id: Value::from(id), visible })))
    }

    /// A field that can be filtered by, and its place.
    fn filterable(&self, name: &str, path: &str) -> Result<(&PlacedField, &Term), Fault> {
        let usable = |placed: &PlacedField| placed.field.filterable;
        self.field(name, path, "filtered by", usable)
    }

    fn field(&self, name: &str, path: &str, what: &str, usable: impl Fn(&PlacedField) -> bool) -> Result<(&PlacedField, &Term), Fault> {
        let role = super::role_of(self.identity);
        let found = self.noun.field(name, role).filter(|placed| usable(placed));
        found.and_then(|placed| Some((placed, placed.term.as_ref()?))).ok_or_else(|| {
            let seen = self.noun.fields.iter().filter(|placed| usable(placed) && self.noun.field(&placed.field.name, role).is_some());
            let known: Vec<&str> = seen.map(|placed| placed.field.name.as_ref()).collect();
            let message = format!(
                "`{}` is no field of `{}` that can be {what}; there are: {}",
                name.escape_debug(),
                self.noun.name,
                known.join(", ")
            );
            Fault::invalid(path, "field", message)
        })
    }

    fn filter(&self, filter: &Filter, path: &str) -> Result<Predicate, Fault> {
        let all = |filters: &[Filter], word: &str| {
            let each = filters.iter().enumerate().map(|(place, filter)| self.filter(filter, &format!("{path}.{word}[{place}]")));
            each.collect::<Result<Vec<_>, _>>()
        };
        match filter {
            Filter::All(filters) => Ok(Predicate::All(all(filters, "all")?)),
            Filter::Any(filters) => Ok(Predicate::Any(all(filters, "any")?)),
            Filter::Not(filter) => Ok(Predicate::Not(Box::new(self.filter(filter, &format!("{path}.not"))?))),
            Filter::Is { field, test } => self.test(field, test, path),
        }
    }

    fn test(&self, name: &str, test: &Test, path: &str) -> Result<Predicate, Fault> {
        let (placed, term) = self.filterable(name, &format!("{path}.field"))?;
        let kind = placed.field.kind;
        let at = |word: &str| format!("{path}.{word}");
        let compare = |comparison, scalar: &Scalar, word: &str| {
            if kind == FieldKind::List {
                return Err(Fault::invalid(
                    at(word),
                    "type",
                    format!("`{name}` is a list: ask what it `contains`, or whether it is `nil`"),
                ));
            }
            Ok(Predicate::Compare(term.clone(), comparison, value(scalar, kind, &at(word))?))
        };
        match test {
            Test::Eq(Scalar::Nil) => Ok(Predicate::Absent(term.clone())),
            Test::Ne(Scalar::Nil) => Ok(Predicate::Not(Box::new(Predicate::Absent(term.clone())))),
            Test::Eq(scalar) => compare(Comparison::Equal, scalar, "eq"),
            Test::Ne(scalar) => Ok(Predicate::Not(Box::new(compare(Comparison::Equal, scalar, "ne")?))),
            Test::Lt(scalar) => compare(Comparison::Less, scalar, "lt"),
            Test::Lte(scalar) => compare(Comparison::LessOrEqual, scalar, "lte"),
            Test::Gt(scalar) => compare(Comparison::Greater, scalar, "gt"),
            Test::Gte(scalar) => compare(Comparison::GreaterOrEqual, scalar, "gte"),
            Test::In(scalars) => {
                if kind == FieldKind::List {
                    return compare(Comparison::Equal, &Scalar::Nil, "in");
                }
                let values = scalars.iter().enumerate().map(|(place, scalar)| value(scalar, kind, &format!("{path}.in[{place}]")));
                Ok(Predicate::In(term.clone(), values.collect::<Result<_, _>>()?))
            }
            Test::Contains(scalar) => match (kind, scalar) {
                (FieldKind::Id | FieldKind::Text | FieldKind::List, Scalar::Text(text)) => {
                    Ok(Predicate::Contains(term.clone(), Value::Text(text.clone())))
                }
                _ => Err(Fault::invalid(
                    at("contains"),
                    "type",
                    format!("`contains` takes a text, of a text or list field; `{name}` is {}", word(kind)),
                )),
            },
        }
    }

    fn list(&self, sort: &[Sort], limit: Option<u32>, cursor: Option<&str>, count: bool) -> Result<List, Fault> {
        let most = if cursor.is_some() { LIMIT_WITH_CURSOR } else { LIMIT_MOST };
        let limit = limit.unwrap_or(LIMIT);
        if !(1..=most).contains(&limit) {
            return Err(Fault::invalid("limit", "range", format!("is 1 to {LIMIT_MOST}, with `cursor` 1 to {LIMIT_WITH_CURSOR}")));
        }
        too_many(sort.len(), "sort")?;
        let order = sort.iter().enumerate().map(|(place, sort)| {
            let (_, term) = self.field(&sort.field, &format!("sort[{place}].field"), "sorted by", |placed| placed.field.sortable)?;
            let direction = if sort.descending { Direction::Descending } else { Direction::Ascending };
            Ok(Order { term: term.clone(), direction })
        });
        let order = order.collect::<Result<Vec<_>, Fault>>()?;
        let after = cursor.map(|text| cursor::from_text(&order, text)).transpose()?;
        Ok(List { order, after, limit: limit as usize, count })
    }

    fn figures(&self, groups: &[Group], measures: &[read::Measure], referred: &mut Vec<Referred>) -> Result<Figures, Fault> {
        too_many(groups.len(), "groups")?;
        if measures.is_empty() {
            return Err(Fault::invalid("measures", "length", "names at least one figure, such as {\"name\": \"all\", \"count\": true}"));
        }
        let groups = groups.iter().enumerate().map(|(place, group)| self.group(group, &format!("groups[{place}]"), referred));
        let groups = groups.collect::<Result<_, _>>()?;
        let (mut names, mut measured) = (Vec::new(), Vec::new());
        for (place, measure) in measures.iter().enumerate() {
            let path = format!("measures[{place}]");
            if measure.name == "groups" || names.contains(&measure.name) {
                return Err(Fault::invalid(
                    format!("{path}.name"),
                    "taken",
                    format!("another figure has the name `{}`", measure.name.escape_debug()),
                ));
            }
            names.push(measure.name.clone());
            measured.push(self.measure(measure, &path)?);
        }
        Ok(Figures { groups, names, measures: measured })
    }

    fn group(&self, group: &Group, path: &str, referred: &mut Vec<Referred>) -> Result<Grouped, Fault> {
        let scalar = |name: &str, word: &str| {
            let (placed, term) = self.filterable(name, &format!("{path}.{word}"))?;
            if placed.field.kind == FieldKind::List {
                return Err(Fault::invalid(format!("{path}.{word}"), "type", format!("`{name}` is a list, which is no group")));
            }
            Ok((placed, term.clone()))
        };
        let plain = |by| Grouped { by, titled_by: None, boolean: false };
        match group {
            Group::Field { field } => {
                let (placed, term) = scalar(field, "field")?;
                Ok(Grouped { boolean: placed.field.kind == FieldKind::Boolean, ..plain(GroupBy::Term(term)) })
            }
            Group::Bucket { field, bucket } => {
                let (placed, term) = scalar(field, "field")?;
                if placed.field.kind != FieldKind::Time {
                    return Err(Fault::invalid(
                        format!("{path}.field"),
                        "type",
                        format!("`{field}` is {}; a bucket is of times", word(placed.field.kind)),
                    ));
                }
                let bucket = match bucket {
                    Bucket::Hour => store::Bucket::Hour,
                    Bucket::Day => store::Bucket::Day,
                    Bucket::Week => store::Bucket::Week,
                    Bucket::Month => store::Bucket::Month,
                };
                Ok(plain(GroupBy::Bucket(term, bucket)))
            }
            Group::Bounds { field, bounds } => {
                let (_, term) = self.number(field, &format!("{path}.field"))?;
                let rises = bounds.windows(2).all(|pair| pair[0] < pair[1]);
                if bounds.is_empty() || bounds.len() > 100 || !rises || bounds.iter().any(|bound| !bound.is_finite()) {
                    return Err(Fault::invalid(
                        format!("{path}.bounds"),
                        "range",
                        "has 1 to 100 numbers, each greater than the one before",
                    ));
                }
                Ok(plain(GroupBy::Bounds(term.clone(), bounds.clone())))
            }
            Group::Ref { r#ref: name } => {
                let (placed, term) = scalar(name, "ref")?;
                let noun = placed.field.refers.as_deref().and_then(|name| (self.nouns)(name)).filter(|noun| noun.title.is_some());
                let noun = noun.ok_or_else(|| {
                    Fault::invalid(format!("{path}.ref"), "field", format!("`{name}` refers to nothing that has a title"))
                })?;
                let noun = Referred { visible: (noun.visible)(self.identity), noun };
                referred.push(noun.clone());
                Ok(Grouped { titled_by: Some(noun), ..plain(GroupBy::Term(term)) })
            }
        }
    }

    fn measure(&self, measure: &read::Measure, path: &str) -> Result<Measured, Fault> {
        let number = |name: &str, word: &str| Ok(self.number(name, &format!("{path}.{word}"))?.1.clone());
        let ordered = |name: &str, word: &str| {
            let path = format!("{path}.{word}");
            let (placed, term) = self.filterable(name, &path)?;
            match placed.field.kind {
                FieldKind::List | FieldKind::Boolean => {
                    Err(Fault::invalid(path, "type", format!("`{name}` is {}, which has no order", self::word(placed.field.kind))))
                }
                _ => Ok(term.clone()),
            }
        };
        let mut only: Vec<Predicate> = Vec::new();
        let what = match &measure.what {
            What::Count(field) => {
                if let Some(field) = field {
                    let (_, term) = self.filterable(field, &format!("{path}.count"))?;
                    only.push(Predicate::Not(Box::new(Predicate::Absent(term.clone()))));
                }
                store::Measure::Count
            }
            What::Sum(field) => store::Measure::Sum(number(field, "sum")?),
            What::Avg(field) => store::Measure::Avg(number(field, "avg")?),
            What::Min(field) => store::Measure::Min(ordered(field, "min")?),
            What::Max(field) => store::Measure::Max(ordered(field, "max")?),
            What::P50(field) => store::Measure::Percentile(number(field, "p50")?, 50),
            What::P95(field) => store::Measure::Percentile(number(field, "p95")?, 95),
        };
        only.extend(measure.only.as_ref().map(|filter| self.filter(filter, &format!("{path}.where"))).transpose()?);
        Ok(Measured { measure: what, only: (!only.is_empty()).then_some(Predicate::All(only)) })
    }

    fn number(&self, name: &str, path: &str) -> Result<(&PlacedField, &Term), Fault> {
        let (placed, term) = self.filterable(name, path)?;
        match placed.field.kind {
            FieldKind::Integer | FieldKind::Number | FieldKind::Time => Ok((placed, term)),
            kind => Err(Fault::invalid(path, "type", format!("`{name}` is {}; this takes numbers", word(kind)))),
        }
    }
}

/// A value of the field's type, as the store has it.
fn value(scalar: &Scalar, kind: FieldKind, path: &str) -> Result<Value, Fault> {
    match (kind, scalar) {
        (FieldKind::Id | FieldKind::Text, Scalar::Text(text)) => Ok(Value::Text(text.clone())),
        (FieldKind::Integer | FieldKind::Time, Scalar::Integer(integer)) => Ok(Value::Integer(*integer)),
        // A float may come where an equal integer went.
        (FieldKind::Integer | FieldKind::Time, Scalar::Number(number)) if number.fract() == 0.0 && number.abs() <= 2f64.powi(53) =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and within the wire's integers")]
            Ok(Value::Integer(*number as i64))
        }
        #[expect(clippy::cast_precision_loss, reason = "the wire's integers are exact as floats")]
        (FieldKind::Number, Scalar::Integer(integer)) => Ok(Value::Real(*integer as f64)),
        (FieldKind::Number, Scalar::Number(number)) => Ok(Value::Real(*number)),
        (FieldKind::Boolean, Scalar::Boolean(truth)) => Ok(Value::Integer((*truth).into())),
        _ => Err(Fault::invalid(path, "type", format!("is not {}, as its field is", word(kind)))),
    }
}

fn word(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Id | FieldKind::Text => "a text",
        FieldKind::Integer => "an integer",
        FieldKind::Time => "a time in milliseconds",
        FieldKind::Number => "a number",
        FieldKind::Boolean => "true or false",
        FieldKind::List => "a list",
        FieldKind::Other => "no single value",
    }
}

fn too_many(count: usize, path: &str) -> Result<(), Fault> {
    if count > MOST { Err(Fault::invalid(path, "length", format!("has {count} elements; {MOST} are the most"))) } else { Ok(()) }
}
