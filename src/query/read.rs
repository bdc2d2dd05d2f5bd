//! Reading a plan from a snapshot.

use std::{collections::HashMap, sync::Arc};

use crewline_protocol::{fault::Fault, value::encode};
use serde_json::{Map, json};

use super::{Figures, Item, List, Noun, Output, Plan, PlannedParent, Referred, Shape};
use crate::store::{Aggregate, Comparison, Order, Predicate, Read, Row, Snapshot, StoreError, Term, Value, evaluate};

/// Bytes of rows after which a list ends early: the message with it has at most 1 MiB.
pub(super) const BYTES: usize = 700 << 10;
/// Rows read at once: each may have 256 KiB.
const ROWS: usize = 64;
/// Groups of an aggregate, at most.
const GROUPS: usize = 1_000;
/// Titles looked up at once.
const TITLES: usize = 200;

/// Why a read has no output.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The peer is told this.
    #[error("{0}")]
    Fault(Fault),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads a plan.
///
/// # Errors
/// `not_found` for a row, or a parent, that is absent or not visible; `too_large` for an aggregate of too many groups.
pub async fn read(plan: &Plan, snapshot: &mut Snapshot) -> Result<Output, ReadError> {
    if let Some(parent) = &plan.parent
        && !is_there(parent, snapshot).await?
    {
        return Err(ReadError::Fault(Fault::not_found()));
    }
    match &plan.shape {
        Shape::Row(_) => {
            let read = Read { table: plan.noun.table, predicate: plan.predicate(), order: Vec::new(), after: None, limit: 1 };
            let row = read_rows(&plan.noun, &read, snapshot).await?.pop().ok_or_else(|| ReadError::Fault(Fault::not_found()))?;
            let row = Row::new(plan.noun.table, row);
            if let Some(parent) = &plan.noun.parent {
                let id = row.cell(parent.field).cloned().unwrap_or(Value::Null);
                // Who sees a row may see what it belongs to; it is only gone with it.
                let parent = PlannedParent { noun: parent.noun.clone(), id, visible: Predicate::All(Vec::new()) };
                if !is_there(&parent, snapshot).await? {
                    return Err(ReadError::Fault(Fault::not_found()));
                }
            }
            Ok(Output::Row(item(plan, &row, &[])?))
        }
        Shape::List(list) => read_list(plan, list, snapshot).await,
        Shape::Figures(figures) => read_figures(plan, figures, snapshot).await,
    }
}

/// A row as an item of an output in this order.
pub(super) fn item(plan: &Plan, row: &Row, order: &[Order]) -> Result<Item, StoreError> {
    let key = evaluate::key(order, row);
    let Some(Value::Text(id)) = key.last() else { return Err(StoreError::Malformed { table: plan.noun.table.name, column: "id" }) };
    Ok(Item { id: id.clone(), body: (plan.noun.encode)(row, &plan.hidden)?.into(), key })
}

async fn is_there(parent: &PlannedParent, snapshot: &mut Snapshot) -> Result<bool, StoreError> {
    let named = Predicate::Compare(id_of(&parent.noun), Comparison::Equal, parent.id.clone());
    let predicate = Predicate::All(vec![named, parent.visible.clone()]);
    let read = Read { table: parent.noun.table, predicate, order: Vec::new(), after: None, limit: 1 };
    Ok(!read_rows(&parent.noun, &read, snapshot).await?.is_empty())
}

async fn read_list(plan: &Plan, list: &List, snapshot: &mut Snapshot) -> Result<Output, ReadError> {
    let predicate = plan.predicate();
    let total = if list.count { Some(count(&plan.noun, &predicate, snapshot).await?) } else { None };
    let (mut items, mut bytes): (Vec<Item>, _) = (Vec::new(), 0);
    let mut read = Read { table: plan.noun.table, predicate, order: list.order.clone(), after: list.after.clone(), limit: 0 };
    loop {
        let wanted = ROWS.min(list.limit - items.len());
        // One more tells whether there are more; it is read again with the next.
        read.limit = wanted + 1;
        let rows = read_rows(&plan.noun, &read, snapshot).await?;
        let more = rows.len() > wanted;
        for row in rows.into_iter().take(wanted) {
            let item = item(plan, &Row::new(plan.noun.table, row), &list.order)?;
            bytes += item.body.len();
            if bytes > BYTES && !items.is_empty() {
                return Ok(Output::List { items, more: true, total });
            }
            items.push(item);
        }
        if !more || items.len() >= list.limit {
            return Ok(Output::List { items, more, total });
        }
        read.after = items.last().map(|item| item.key.clone());
    }
}

async fn read_figures(plan: &Plan, figures: &Figures, snapshot: &mut Snapshot) -> Result<Output, ReadError> {
    let groups = figures.groups.iter().map(|group| group.by.clone()).collect();
    let measures = figures.measures.clone();
    let aggregate = Aggregate { table: plan.noun.table, predicate: plan.predicate(), groups, measures, limit: GROUPS + 1 };
    let rows = aggregated(&plan.noun, &aggregate, snapshot).await?;
    if rows.len() > GROUPS {
        let message = format!("there are more than {GROUPS} groups: filter, or group by less");
        return Err(ReadError::Fault(Fault::new(crewline_protocol::fault::FaultCode::TooLarge, message)));
    }
    let titles = titles(figures, &rows, snapshot).await?;
    let rows = rows.into_iter().map(|row| {
        let mut values = row.into_iter();
        let groups = figures.groups.iter().zip(&titles).map(|(group, titles)| {
            let value = values.next().unwrap_or(Value::Null);
            match (&group.titled_by, value) {
                (Some(_), value) => titles.get(&text(&value)).cloned().unwrap_or_default(),
                (None, Value::Integer(truth)) if group.boolean => json!(truth != 0),
                (None, value) => plain(value),
            }
        });
        let groups: Vec<_> = groups.collect();
        let mut cells = Map::from_iter([("groups".to_owned(), json!(groups))]);
        cells.extend(figures.names.iter().cloned().zip(values.map(plain)));
        cells
    });
    let rows: Vec<_> = rows.collect();
    Ok(Output::Figures(encode(&json!({ "rows": rows })).into()))
}

/// For each group that is shown by titles, the titles of what the rows refer to.
async fn titles(
    figures: &Figures,
    rows: &[Vec<Value>],
    snapshot: &mut Snapshot,
) -> Result<Vec<HashMap<String, serde_json::Value>>, StoreError> {
    let mut all = Vec::with_capacity(figures.groups.len());
    for (place, group) in figures.groups.iter().enumerate() {
        let mut titles = HashMap::new();
        if let Some(Referred { noun, visible }) = &group.titled_by {
            let ids: Vec<Value> = rows.iter().filter_map(|row| row.get(place)).filter(|id| **id != Value::Null).cloned().collect();
            for ids in ids.chunks(TITLES) {
                let predicate = Predicate::All(vec![visible.clone(), Predicate::In(Term::text(noun.key), ids.to_vec())]);
                let read = Read { table: noun.table, predicate, order: Vec::new(), after: None, limit: ids.len() };
                for row in read_rows(noun, &read, snapshot).await? {
                    let row = Row::new(noun.table, row);
                    titles.insert(row.cell(noun.key).map(text).unwrap_or_default(), title(noun, &row));
                }
            }
        }
        all.push(titles);
    }
    Ok(all)
}

/// Reads rows of a noun from where they are.
async fn read_rows(noun: &Noun, read: &Read, snapshot: &mut Snapshot) -> Result<Vec<Vec<Value>>, StoreError> {
    match &noun.rows {
        Some(rows) => Ok(evaluate::read(read, rows.iter()).into_iter().map(|row| row.values().to_vec()).collect()),
        None => snapshot.read(read).await,
    }
}

async fn count(noun: &Noun, predicate: &Predicate, snapshot: &mut Snapshot) -> Result<u64, StoreError> {
    match &noun.rows {
        Some(rows) => Ok(rows.iter().filter(|row| evaluate::matches(predicate, row)).count() as u64),
        None => snapshot.count(noun.table, predicate).await,
    }
}

async fn aggregated(noun: &Noun, aggregate: &Aggregate, snapshot: &mut Snapshot) -> Result<Vec<Vec<Value>>, StoreError> {
    match &noun.rows {
        Some(rows) => Ok(evaluate::aggregate(aggregate, rows.iter())),
        None => snapshot.aggregate(aggregate).await,
    }
}

fn title(noun: &Noun, row: &Row) -> serde_json::Value {
    let field = noun.title.as_deref().and_then(|title| noun.fields.iter().find(|placed| placed.field.name == title));
    let term = field.and_then(|placed| placed.term.clone());
    term.map_or(serde_json::Value::Null, |term| plain(evaluate::value(&term, row)))
}

fn id_of(noun: &Arc<Noun>) -> Term {
    Term::text(noun.table.columns.first().map_or("id", |column| column.name))
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Null | Value::Integer(_) | Value::Real(_) | Value::Blob(_) => String::new(),
    }
}

fn plain(value: Value) -> serde_json::Value {
    match value {
        Value::Null | Value::Blob(_) => serde_json::Value::Null,
        Value::Integer(integer) => json!(integer),
        Value::Real(real) => json!(real),
        Value::Text(text) => json!(text),
    }
}
