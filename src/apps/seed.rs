//! `seed.yaml`: the records that a new workspace begins with, by collection and by a name of their own. Where a field refers to another
//! record, the seed has that record's name.

use std::collections::BTreeMap;

use crewline_protocol::value::{Millis, RecordId};
use serde_json::{Map, Value};

use super::{
    Collection, Files, Problem,
    crew::known,
    tree::{Node, Tree},
    yaml::{self, Complaints},
};

const FILE: &str = "seed.yaml";

/// A record that a new workspace begins with.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedRecord {
    /// Of which collection.
    pub collection: String,
    /// What other seed records call it.
    pub name: String,
    /// Its data; where a field refers to a record, the seed's name of that.
    data: Map<String, Value>,
}

/// The records that a new workspace begins with, in the order in which they are written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seed(Vec<SeedRecord>);

impl Seed {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a new workspace begins empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its records with the ids that `id` gives them, and their data with the ids of those that they refer to.
    pub fn records<'a>(
        &'a self,
        collections: &BTreeMap<String, Collection>,
        id: impl FnMut(&'a SeedRecord) -> RecordId,
    ) -> Vec<(&'a SeedRecord, RecordId, Map<String, Value>)> {
        let ids: Vec<RecordId> = self.0.iter().map(id).collect();
        let of = |collection: &str, name: &Value| {
            let place = self.0.iter().position(|record| record.collection == collection && record.name == *name)?;
            Some(Value::from(ids[place].to_string()))
        };
        let filled = self.0.iter().zip(&ids).map(|(record, id)| {
            let mut data = record.data.clone();
            let references = collections.get(&record.collection).map(|collection| &collection.references);
            for (field, target) in references.into_iter().flatten() {
                match data.get_mut(field) {
                    Some(Value::Array(names)) => names.iter_mut().for_each(|name| *name = of(target, name).unwrap_or_else(|| name.clone())),
                    Some(name) => *name = of(target, name).unwrap_or_else(|| name.clone()),
                    None => {}
                }
            }
            (record, *id, data)
        });
        filled.collect()
    }
}

/// Reads the file; without it a workspace begins empty.
pub(super) fn read(files: &Files, collections: &BTreeMap<String, Collection>, problems: &mut Vec<Problem>) -> Seed {
    let Some(text) = files.get(FILE) else { return Seed::default() };
    let Some(tree) = yaml::parse_strictly::<Tree>(FILE, text, problems) else { return Seed::default() };
    let mut complaints = Complaints { file: FILE, problems };
    let (mut seed, mut places) = (Seed::default(), Vec::new());
    if !matches!(&tree.node, Node::Map(_)) {
        complaints.at(tree.at, "write a collection's name, under it a name for each record, and under that its data");
    }
    for (collection, records) in tree.entries() {
        let Some(declared) = collections.get(&collection.value) else {
            // A collection that has problems of its own is not there; its records are not missed for that.
            if !files.contains_key(&format!("collections/{}.yaml", collection.value)) {
                let known = known(collections.keys());
                complaints.at(collection.referenced, format_args!("there is no collection `{}`: {known}", collection.value));
            }
            continue;
        };
        if declared.singleton.is_some() && records.entries().len() > 1 {
            complaints.at(collection.referenced, format_args!("there can be one record of `{}`, for it is a singleton", collection.value));
        }
        for (name, record) in records.entries() {
            let Value::Object(mut data) = record.value() else {
                complaints.at(record.at, format_args!("the data of `{}` is no map", name.value));
                continue;
            };
            for (field, value) in &declared.defaults {
                data.entry(field.clone()).or_insert_with(|| value.clone());
            }
            seed.0.push(SeedRecord { collection: collection.value.clone(), name: name.value.clone(), data });
            places.push((declared, record));
        }
    }
    // Ids of the right form stand for those that a workspace will have.
    for ((declared, at), (record, _, data)) in places.iter().zip(seed.records(collections, |_| RecordId::new(Millis(0), [0; 10]))) {
        for (field, target) in &declared.references {
            unknown_names(field, target, at, &seed, &mut complaints);
        }
        for (fault, pointer) in declared.validator.faults(&Value::Object(data), "") {
            let path = if fault.path.is_empty() { String::new() } else { format!("`{}`: ", fault.path) };
            complaints.at(at.pointed(&pointer), format_args!("{} `{}`: {path}{}", record.collection, record.name, fault.message));
        }
    }
    seed
}

/// Complains of names in a reference field that no record of the collection has.
fn unknown_names(field: &str, target: &str, record: &Tree, seed: &Seed, complaints: &mut Complaints<'_>) {
    let Some(value) = record.get(field) else { return };
    let names = match &value.node {
        Node::List(names) => names.as_slice(),
        Node::Scalar(_) | Node::Map(_) => std::slice::from_ref(value),
    };
    for name in names {
        let there = seed.0.iter().filter(|other| other.collection == target).map(|other| &other.name);
        let named = name.value();
        if !there.clone().any(|other| *other == named) {
            complaints.at(name.at, format_args!("`{target}` has no seed record {named}: {}", known(there)));
        }
    }
}
