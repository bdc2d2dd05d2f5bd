//! Records: an app's own rows, held to their collection's schema, rights, transitions and references at every write.

mod broken;
mod collections;
mod noun;
mod row;
mod seed;
mod write;

pub use broken::{Broken, broken_by};
pub use collections::{collections, collections_noun};
pub use noun::{indexes, noun};
pub use row::{Asking, RecordRow};
pub use seed::furnish;
pub use write::no_collection;

use std::collections::BTreeSet;

use crewline_protocol::{
    MESSAGE_BYTES,
    fault::{Fault, FaultCode},
    operations::{
        auth::Done,
        record::{Batch, Batched, Create, Delete, Record, Update, Write, Written},
    },
    value::{MAX_INTEGER, RecordId, Revision, encode},
};

use crate::{
    access::Identity,
    apps::App,
    context::{Answer, Context, Failure, Services},
    store::{Commit, Condition, Select, Value},
};
use write::{Did, Writing, ids};

/// Rows that are looked up in one statement: SQLite binds 32,766 values at most, and a plan of thousands takes longer than its rows.
const IDS: usize = 500;
/// What an answer may hold, so that it fits into a message with what is around it.
const ANSWER_BYTES: usize = MESSAGE_BYTES - 1_024;

/// `record.create`
///
/// # Errors
/// As [`RecordRow::created`]; `conflict`, `taken` for an id that is there already; `invalid` for a reference that leads nowhere.
pub async fn create(cx: Context, input: Create) -> Result<Answer<Record>, Failure> {
    put(&cx, Write::Create(input)).await
}

/// `record.update`
///
/// # Errors
/// As [`RecordRow::updated`]; `invalid` for a reference that leads nowhere.
pub async fn update(cx: Context, input: Update) -> Result<Answer<Record>, Failure> {
    put(&cx, Write::Update(input)).await
}

/// `record.delete`
///
/// # Errors
/// As [`RecordRow::may_be_deleted`].
pub async fn delete(cx: Context, input: Delete) -> Result<Answer<Done>, Failure> {
    let app = cx.services.apps.current();
    let write = Write::Delete(input);
    let mut writing = begin(&cx, &app, std::slice::from_ref(&write)).await?;
    writing.carry_out(write, || cx.services.clock.id(RecordId::new))?;
    cx.commit(writing.commit(), |_| Done {}).await
}

/// `record.batch`
///
/// # Errors
/// The first fault of a write, its paths from the batch's own input, unless `atomic` is false.
pub async fn batch(cx: Context, input: Batch) -> Result<Answer<Batched>, Failure> {
    let app = cx.services.apps.current();
    let mut writing = begin(&cx, &app, &input.operations).await?;
    let mut results = Vec::with_capacity(input.operations.len());
    for (place, write) in input.operations.into_iter().enumerate() {
        let verb = verb(&write);
        match writing.carry_out(write, || cx.services.clock.id(RecordId::new)) {
            Ok(did) => results.push(Ok(did)),
            Err(fault) if input.atomic == Some(false) => results.push(Err(fault)),
            Err(fault) => return Err(within(fault, &format!("operations[{place}].{verb}")).into()),
        }
    }
    // Nothing to write moves no revision.
    let commit = if results.iter().any(Result::is_ok) { writing.commit() } else { Commit::default() };
    let written = move |revision| {
        let result = |result: &Result<Did, Fault>| match result {
            Ok(did) => did.written(revision),
            Err(fault) => Written::Refused { fault: fault.clone() },
        };
        Batched { results: results.iter().map(result).collect() }
    };
    let bytes = encode(&written(Revision(MAX_INTEGER))).len();
    if bytes > ANSWER_BYTES {
        let message = format!("the answer would have {bytes} bytes; {ANSWER_BYTES} are the most: write fewer at once");
        return Err(Fault::new(FaultCode::TooLarge, message).into());
    }
    cx.commit(commit, written).await
}

/// A record of the served app, as far as a principal may read it.
///
/// # Errors
/// `invalid` where there is no such collection; see [`Failure`].
pub async fn readable(services: &Services, identity: &Identity, collection: &str, id: RecordId) -> Result<Option<RecordRow>, Failure> {
    let app = services.apps.current();
    let rights = app.collections.get(collection).ok_or_else(|| no_collection(&app, collection))?.rights.read;
    let asking = Asking::new(identity, services.clock.now());
    let row = services.store.get::<RecordRow>(id).await?;
    Ok(row.filter(|row| row.workspace_id == identity.workspace && row.collection == collection && row.may_be_read(rights, &asking)))
}

/// Carries out a write that leaves a row, and answers with that.
async fn put(cx: &Context, write: Write) -> Result<Answer<Record>, Failure> {
    let app = cx.services.apps.current();
    let mut writing = begin(cx, &app, std::slice::from_ref(&write)).await?;
    let row = match writing.carry_out(write, || cx.services.clock.id(RecordId::new))? {
        Did::Put(row) => row,
        Did::Deleted => return Err(Fault::not_found().into()),
    };
    cx.commit(writing.commit(), move |revision| row.at(revision)).await
}

/// Reads what the writes look at.
async fn begin<'a>(cx: &Context, app: &'a App, writes: &[Write]) -> Result<Writing<'a>, Failure> {
    let asking = Asking::new(cx.identity()?, cx.now());
    let ids: BTreeSet<RecordId> = writes.iter().flat_map(|write| ids(app, write, &asking)).collect();
    let ids: Vec<Value> = ids.into_iter().map(Value::from).collect();
    let mut rows = Vec::new();
    for ids in ids.chunks(IDS) {
        let select = Select::default().and(Condition::In("id", ids.to_vec()));
        rows.extend(cx.services.store.select::<RecordRow>(&select).await?);
    }
    Ok(Writing::new(app, asking, rows))
}

fn verb(write: &Write) -> &'static str {
    match write {
        Write::Create(_) => "create",
        Write::Update(_) => "update",
        Write::Delete(_) => "delete",
    }
}

/// A fault of a part of the input, told of the whole.
fn within(mut fault: Fault, part: &str) -> Fault {
    if fault.code != FaultCode::Invalid {
        fault.message = format!("{part}: {}", fault.message).into();
        return fault;
    }
    for field in &mut fault.fields {
        field.path = format!("{part}.{}", field.path);
    }
    Fault::invalid_fields(fault.fields)
}

#[cfg(test)]
mod tests;
