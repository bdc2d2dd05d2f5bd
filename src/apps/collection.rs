//! Collections: the record types that an app declares. A file in `collections/` says what a record's `data` is, who may do what with
//! it, and by what it is found.

mod checks;
mod fields;

use std::collections::BTreeMap;

use crewline_protocol::{
    noun::{self, Field},
    operation::Role,
};
use serde_json::Value;

use super::{
    Files, Problem, Schema,
    tree::Tree,
    yaml::{self, CollectionFile, Complaints},
};
use checks::Checks;

/// What a name of a collection and of its fields may be, for people.
pub(super) const NAME_RULE: &str = "a lower-case letter, then up to 62 lower-case letters, digits and `_`";
/// Fields that every record has beside its data: no key of the data may share their names.
pub const ROW_FIELDS: &[&str] = &["id", "revision", "created_at", "updated_at", "created_by"];
/// Those of them that records are sorted by.
const SORTED_ROW_FIELDS: &[&str] = &["id", "revision", "created_at", "updated_at"];

/// A record type.
#[derive(Debug)]
pub struct Collection {
    /// Its name: that of its file.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What its records are.
    pub description: String,
    /// The JSON Schema of a record's data, an object.
    pub schema: Value,
    /// The same, ready to be asked.
    pub validator: Schema,
    /// The data's fields as filters, sorting and aggregates know them, by name.
    pub fields: Vec<Field>,
    /// What a new record's data gets where it lacks it.
    pub defaults: serde_json::Map<String, Value>,
    /// By what records are found fast and sorted.
    pub indexes: Vec<Vec<IndexField>>,
    /// The field that people know a record by.
    pub title_field: Option<String>,
    /// Who may do what.
    pub rights: Rights,
    /// How a field's value may change.
    pub transitions: Option<Transitions>,
    /// Fields that hold the ids of other records, and of which collection.
    pub references: BTreeMap<String, String>,
    /// Whether there is one record for each user, or one for the workspace.
    pub singleton: Option<Singleton>,
}

/// A field of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexField {
    /// Its name: of the data, or of the row.
    pub field: String,
    /// Whether the largest stands first.
    pub descending: bool,
}

/// Who may do what with a collection's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// See them.
    pub read: Allowed,
    /// Make them.
    pub create: Allowed,
    /// Change them.
    pub update: Allowed,
    /// Delete them.
    pub delete: Allowed,
}

/// Who may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Everyone with this role or one above it.
    pub from: Option<Role>,
    /// A member or more, with a record that they made themself.
    pub own: bool,
}

/// How a field's value may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transitions {
    /// Which field.
    pub field: String,
    /// What it may be in a new record; empty: anything.
    pub initial: Vec<String>,
    /// From what to what, and by whom.
    pub moves: Vec<Move>,
}

/// A change that a field's value may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// From this value.
    pub from: String,
    /// To this one.
    pub to: String,
    /// By whom; `None`: by whoever may update the record.
    pub roles: Option<Allowed>,
}

/// Of what there is at most one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Singleton {
    /// Of each user in a workspace.
    User,
    /// Of a workspace.
    Workspace,
}

impl Collection {
    /// The data's field with this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Allowed {
    /// Everyone with this role or one above it.
    pub const fn from(role: Role) -> Self {
        Self { from: Some(role), own: false }
    }

    /// Whether this role may, with a record of one's own or somebody else's.
    pub fn allows(self, role: Role, own: bool) -> bool {
        let at_least = |least: Role| role.rank().zip(least.rank()).is_some_and(|(has, needs)| has >= needs);
        self.from.is_some_and(at_least) || (self.own && own && at_least(Role::Member))
    }

    /// As the app's file names it.
    pub fn names(self) -> Vec<String> {
        let own = self.own.then(|| "own".to_owned());
        self.from.map(|role| role.as_str().to_owned()).into_iter().chain(own).collect()
    }
}

impl Singleton {
    /// As the app's file names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Workspace => "workspace",
        }
    }
}

/// Reads every collection there is in the files.
pub(super) fn read_all(files: &Files, problems: &mut Vec<Problem>) -> BTreeMap<String, Collection> {
    let paths = files.keys().filter(|path| path.starts_with("collections/"));
    let named: BTreeMap<&str, &str> =
        paths.filter_map(|path| Some((path.strip_prefix("collections/")?.strip_suffix(".yaml")?, path.as_str()))).collect();
    let mut collections = BTreeMap::new();
    for (name, path) in &named {
        if !is_name(name) {
            problems.push(Problem::at(path, 1, 1, format!("`{name}` can't name a collection: {NAME_RULE}")));
        }
        if noun::find(name).is_some() {
            problems.push(Problem::at(path, 1, 1, format!("`{name}` is what the protocol calls its own: call the collection otherwise")));
        }
        collections.extend(read(name, path, &files[*path], &named, problems).map(|collection| ((*name).to_owned(), collection)));
    }
    collections
}

fn read(name: &str, path: &str, text: &str, known: &BTreeMap<&str, &str>, problems: &mut Vec<Problem>) -> Option<Collection> {
    let file: CollectionFile = yaml::parse_strictly(path, text, problems)?;
    let tree: Tree = yaml::parse_strictly(path, text, problems)?;
    let before = problems.len();
    let mut checks = Checks { tree: &tree, complaints: Complaints { file: path, problems } };
    let validator = checks.schema(&file.schema);
    let mut fields = fields::of(&file.schema);
    checks.fields(&file.schema, &fields);
    checks.references(&file.references, known, &mut fields);
    let indexes = checks.indexes(file.indexes, &mut fields, validator.is_some());
    checks.title_field(file.title_field.as_ref(), &fields);
    let collection = Collection {
        name: name.to_owned(),
        title: file.title,
        description: file.description,
        validator: validator?,
        defaults: fields::defaults(&file.schema),
        indexes,
        title_field: file.title_field.map(|field| field.value),
        rights: checks.rights(file.access.unwrap_or_default()),
        transitions: file.transitions.map(|transitions| checks.transitions(transitions, &file.schema)),
        references: file.references.into_iter().map(|(field, of)| (field, of.value)).collect(),
        singleton: file.singleton.and_then(|singleton| checks.singleton(&singleton)),
        schema: file.schema,
        fields,
    };
    (problems.len() == before).then_some(collection)
}

/// Whether a collection or a field may be called this.
pub(super) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    first && name.len() <= 63 && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests;
