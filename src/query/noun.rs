//! Nouns as reads see them: each field with the place in the row where its value is.

use std::{borrow::Cow, fmt, sync::Arc};

use crewline_protocol::{
    noun::{Field, FieldKind, Noun as Description},
    operation::Role,
};

use crate::{
    access::Identity,
    store::{Entity, Kind, Predicate, Row, Source, StoreError, Table, Term},
};

/// Makes a row as the wire has it, without the fields that are hidden.
pub type Encode = Arc<dyn Fn(&Row, &[Cow<'static, str>]) -> Result<Vec<u8>, StoreError> + Send + Sync>;

/// A noun: what its rows are made of, and how they reach the wire.
#[derive(Clone)]
pub struct Noun {
    /// Its name; for records that of their collection.
    pub name: Cow<'static, str>,
    /// Where its rows are.
    pub table: &'static Table,
    /// Its rows, where nobody stores them; `None`: they are in the store.
    pub rows: Option<Arc<[Row]>>,
    /// The topic under which the store says that it changed.
    pub topic: String,
    /// The column by whose values others refer to its rows.
    pub key: &'static str,
    /// Its fields.
    pub fields: Vec<PlacedField>,
    /// What it belongs to.
    pub parent: Option<Parent>,
    /// The field that people know a row by.
    pub title: Option<Cow<'static, str>>,
    /// Which rows a principal may see at all.
    pub visible: Arc<dyn Fn(&Identity) -> Predicate + Send + Sync>,
    /// Makes a row as the wire has it.
    pub encode: Encode,
}

/// A field and where its value is.
#[derive(Debug, Clone)]
pub struct PlacedField {
    /// As the protocol describes it.
    pub field: Field,
    /// Where it is; `None` for one that is only read.
    pub term: Option<Term>,
}

/// What a noun's rows belong to: its reads name one, and end with it.
#[derive(Clone)]
pub struct Parent {
    /// The field that holds the parent's id.
    pub field: &'static str,
    /// The parent.
    pub noun: Arc<Noun>,
}

impl fmt::Debug for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Noun {
    /// A noun whose fields are the columns of its entity's table that have their names, and whose rows belong to a workspace.
    pub fn of<E: Entity>(description: &'static Description, encode: impl Fn(E) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let fields = description.fields.iter().map(PlacedField::own);
        Self {
            name: description.name.into(),
            table: E::TABLE,
            rows: None,
            topic: E::TABLE.name.to_owned(),
            key: "id",
            fields: fields.collect(),
            parent: None,
            title: description.title.map(Into::into),
            visible: Arc::new(in_workspace),
            encode: Arc::new(move |row, _| E::from_values(row.values().to_vec()).map(&encode)),
        }
    }
    /// The same, belonging to a parent.
    #[must_use]
    pub fn child_of(mut self, field: &'static str, noun: Arc<Self>) -> Self {
        self.parent = Some(Parent { field, noun });
        self
    }
    /// The same with a field in a column of another name.
    #[must_use]
    pub fn in_column(mut self, field: &str, column: &'static str) -> Self {
        for placed in self.fields.iter_mut().filter(|placed| placed.field.name == field) {
            *placed = PlacedField::column(&placed.field, column);
        }
        self
    }
    /// The same, referred to by the values of this column.
    #[must_use]
    pub fn known_by(mut self, column: &'static str) -> Self {
        self.key = column;
        self
    }
    /// The same, visible where this holds.
    #[must_use]
    pub fn visible(mut self, visible: impl Fn(&Identity) -> Predicate + Send + Sync + 'static) -> Self {
        self.visible = Arc::new(visible);
        self
    }
    /// The same, made for the wire by who must know which fields are hidden.
    #[must_use]
    pub fn encoded_by(
        mut self,
        encode: impl Fn(&Row, &[Cow<'static, str>]) -> Result<Vec<u8>, StoreError> + Send + Sync + 'static,
    ) -> Self {
        self.encode = Arc::new(encode);
        self
    }
    /// The field with this name that a principal of this role sees.
    pub fn field(&self, name: &str, role: Role) -> Option<&PlacedField> {
        self.fields.iter().find(|placed| placed.field.name == name && placed.is_seen_by(role))
    }
    /// The fields that a principal of this role does not see.
    pub fn hidden(&self, role: Role) -> Vec<Cow<'static, str>> {
        self.fields.iter().filter(|placed| !placed.is_seen_by(role)).map(|placed| placed.field.name.clone()).collect()
    }
}

impl PlacedField {
    /// A field in the column of its name.
    pub fn own(field: &Field) -> Self {
        match field.name {
            Cow::Borrowed(column) => Self::column(field, column),
            // A description is static, and so are the names of its columns.
            Cow::Owned(_) => Self { field: field.clone(), term: None },
        }
    }
    /// A field in a column of another name.
    pub fn column(field: &Field, column: &'static str) -> Self {
        Self { field: field.clone(), term: term(field, Source::Column(column)) }
    }
    /// A field that is a key of a JSON column.
    pub fn key(field: &Field, column: &'static str) -> Self {
        Self { field: field.clone(), term: term(field, Source::Key(column, field.name.as_ref().into())) }
    }
    fn is_seen_by(&self, role: Role) -> bool {
        self.field.seen_by.is_none_or(|least| role.rank().zip(least.rank()).is_some_and(|(has, needs)| has >= needs))
    }
}

/// Rows of the principal's workspace.
pub fn in_workspace(identity: &Identity) -> Predicate {
    Predicate::equal(Term::text("workspace_id"), identity.workspace)
}

fn term(field: &Field, source: Source) -> Option<Term> {
    let kind = match field.kind {
        FieldKind::Id | FieldKind::Text => Kind::Text,
        FieldKind::Integer | FieldKind::Time => Kind::Integer,
        FieldKind::Number => Kind::Real,
        FieldKind::Boolean => Kind::Boolean,
        FieldKind::List => Kind::List,
        FieldKind::Other => return None,
    };
    Some(Term { source, kind, optional: field.optional })
}
