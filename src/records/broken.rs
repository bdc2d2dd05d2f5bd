//! Which stored records a version of the app would break: looked for before it is served.

use std::fmt;

use crewline_protocol::{fault::FieldFault, value::RecordId};
use serde_json::Value as Json;

use super::RecordRow;
use crate::{
    apps::{App, Collection},
    store::{Condition, Direction, Select, Store, StoreError, Value},
};

/// Records read at once: enough for one statement to be worth it, few enough that they fit in memory at their largest.
const ROWS: usize = 200;

/// Records that a collection's schema would break.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    /// Which collection.
    pub collection: String,
    /// How many records.
    pub records: u64,
    /// One of them, and what is wrong with it.
    pub first: (RecordId, FieldFault),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { collection, records, first: (id, fault) } = self;
        let are = if *records == 1 { "record does not fit" } else { "records do not fit" };
        write!(f, "{records} {are} the new schema of `{collection}`, such as {id}: `{}`: {}", fault.path, fault.message)
    }
}

/// Looks through the records of every collection whose schema is another than in the version served before. Records of a collection
/// that is no longer declared stay as they are: nobody reads them, and they are looked at when it is declared again.
///
/// # Errors
/// Where they can't be read.
pub async fn broken_by(after: &App, before: Option<&App>, store: &Store) -> Result<Vec<Broken>, StoreError> {
    let mut broken = Vec::new();
    for collection in after.collections.values() {
        let known = before.and_then(|before| before.collections.get(&collection.name));
        if known.is_none_or(|known| known.schema != collection.schema) {
            broken.extend(broken_in(collection, store).await?);
        }
    }
    Ok(broken)
}

async fn broken_in(collection: &Collection, store: &Store) -> Result<Option<Broken>, StoreError> {
    let mut broken: Option<Broken> = None;
    let mut after: Option<RecordId> = None;
    loop {
        let mut select = Select::by("collection", collection.name.as_str()).order_by("id", Direction::Ascending).limit(ROWS);
        if let Some(after) = after {
            select = select.and(Condition::Greater("id", Value::from(after)));
        }
        let rows = store.select::<RecordRow>(&select).await?;
        after = rows.last().map(|row| row.id);
        let whole = rows.len() < ROWS;
        for RecordRow { id, data, .. } in rows {
            let data = Json::Object(data.0);
            if collection.validator.fits(&data) {
                continue;
            }
            match &mut broken {
                Some(broken) => broken.records += 1,
                None => {
                    let first = collection.validator.wrong(&data, "data").into_iter().next();
                    broken = first.map(|fault| Broken { collection: collection.name.clone(), records: 1, first: (id, fault) });
                }
            }
        }
        if whole {
            return Ok(broken);
        }
    }
}
