//! What a noun is: a name and the description of its fields. From the description come its reads, its live queries, its
//! schemas and its table in the reference; an app's collections add theirs at run time.

use std::borrow::Cow;

use schemars::{Schema, SchemaGenerator};

use crate::{
    operation::Role,
    operations::{
        agent, api_key, approval, artifact, budget, collection, crew, invitation, lease, member, message, record, run, session, worker,
        workspace,
    },
};

/// Every noun that has reads of its own.
pub static NOUNS: &[&Noun] = &[
    &workspace::NOUN,
    &member::NOUN,
    &invitation::NOUN,
    &api_key::NOUN,
    &session::NOUN,
    &message::NOUN,
    &run::NOUN,
    &approval::NOUN,
    &worker::NOUN,
    &lease::NOUN,
    &artifact::NOUN,
    &budget::NOUN,
    &crew::NOUN,
    &agent::NOUN,
    &collection::NOUN,
    &record::NOUN,
];

/// The noun with this name.
pub fn find(name: &str) -> Option<&'static Noun> {
    NOUNS.iter().copied().find(|noun| noun.name == name)
}

/// A kind of row, described by its fields.
#[derive(Debug)]
pub struct Noun {
    /// As it stands before the dot in an operation's name.
    pub name: &'static str,
    /// Its rows' fields, in the order in which they are told.
    pub fields: &'static [Field],
    /// The field that names the parent, as `session_id`: a list takes it beside what every list takes.
    pub parent: Option<&'static str>,
    /// The field that people know a row by: what a group by reference gives.
    pub title: Option<&'static str>,
    /// The row's JSON Schema, its definitions left in the generator.
    pub row: fn(&mut SchemaGenerator) -> Schema,
}

impl Noun {
    /// The field with this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// What a field holds, as far as filters, sorting and aggregates are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// A UUIDv7 as text.
    Id,
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Milliseconds since the Unix epoch, UTC.
    Time,
    /// A list of texts.
    List,
    /// Anything else: read, and neither filtered nor sorted by.
    Other,
}

impl FieldKind {
    /// As documents and faults name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Time => "time",
            Self::List => "list of text",
            Self::Other => "any value",
        }
    }
}

/// A field of a noun's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// As it stands in the row.
    pub name: Cow<'static, str>,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether a row may lack it.
    pub optional: bool,
    /// Whether a filter, a group or a measure may name it.
    pub filterable: bool,
    /// Whether a list may be sorted by it.
    pub sortable: bool,
    /// The noun (or collection) that it refers to.
    pub refers: Option<Cow<'static, str>>,
    /// Seen by this role and those above; `None`: by whoever sees the row.
    pub seen_by: Option<Role>,
}

impl Field {
    /// Every row's id.
    pub const ID: Self = Self::id("id");
    /// Every row's revision.
    pub const REVISION: Self = Self::integer("revision");
    /// When the row was made.
    pub const CREATED_AT: Self = Self::time("created_at");
    /// When the row last changed.
    pub const UPDATED_AT: Self = Self::time("updated_at");

    /// A field that every row has, filtered and sorted by where its kind allows it.
    pub const fn new(name: Cow<'static, str>, kind: FieldKind) -> Self {
        let filterable = !matches!(kind, FieldKind::Other);
        let sortable = filterable && !matches!(kind, FieldKind::List);
        Self { name, kind, optional: false, filterable, sortable, refers: None, seen_by: None }
    }
    /// An id.
    pub const fn id(name: &'static str) -> Self {
        Self::new(Cow::Borrowed(name), FieldKind::Id)
    }
    /// The id of a row of another noun.
    pub const fn reference(name: &'static str, noun: &'static str) -> Self {
        let (name, refers) = (Cow::Borrowed(name), Some(Cow::Borrowed(noun)));
        Self { name, kind: FieldKind::Id, optional: false, filterable: true, sortable: true, refers, seen_by: None }
    }
    /// Text.
    pub const fn text(name: &'static str) -> Self {
        Self::new(Cow::Borrowed(name), FieldKind::Text)
    }
    /// A whole number.
    pub const fn integer(name: &'static str) -> Self {
        Self::new(Cow::Borrowed(name), FieldKind::Integer)
    }
    /// A number.
    pub const fn number(name: &'static str) -> Self {
        Self::new(Cow::Borrowed(name), FieldKind::Number)
    }
    /// A list of texts.
    pub const fn list(name: &'static str) -> Self {
        Self::new(Cow::Borrowed(name), FieldKind::List)
    }
    /// `true` or `false`.
    pub const fn boolean(name: &'static str) -> Self {
        Self::new(Cow::Borrowed(name), FieldKind::Boolean)
    }
    /// A moment.
    pub const fn time(name: &'static str) -> Self {
        Self::new(Cow::Borrowed(name), FieldKind::Time)
    }
    /// Anything else.
    pub const fn other(name: &'static str) -> Self {
        Self::new(Cow::Borrowed(name), FieldKind::Other)
    }
    /// The same, where a row may lack it.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
    /// The same, neither filtered nor sorted by: it is long, or stored within something else.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.filterable = false;
        self.sortable = false;
        self
    }
    /// The same, filtered but not sorted by: it is long.
    #[must_use]
    pub const fn unsorted(mut self) -> Self {
        self.sortable = false;
        self
    }
    /// The same, seen by this role and those above alone; a row lacks it for the others.
    #[must_use]
    pub const fn seen_by(mut self, role: Role) -> Self {
        self.seen_by = Some(role);
        self.optional = true;
        self
    }
}
