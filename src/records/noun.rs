//! A collection as reads see it: its fields with their places in a record's row, what a principal may see of it, and its indexes.

use crewline_protocol::{operations::record, value::encode};

use super::RecordRow;
use crate::{
    access::Identity,
    apps::{App, Collection, ROW_FIELDS},
    query::{Noun, PlacedField, in_workspace},
    store::{Direction, Entity, Index, Order, Predicate, Term, topic},
};

/// The column of a record's own fields.
const DATA: &str = "data";

/// The collection's records as a noun.
pub fn noun(collection: &Collection) -> Noun {
    let rights = collection.rights.read;
    let name = collection.name.clone();
    let visible = move |identity: &Identity| {
        let role = identity.principal.role;
        let mut all = vec![Predicate::equal(Term::text("collection"), name.as_str()), in_workspace(identity)];
        if !rights.allows(role, false) {
            all.push(if rights.allows(role, true) {
                Predicate::equal(Term::text("created_by"), identity.user)
            } else {
                Predicate::Any(Vec::new())
            });
        }
        Predicate::All(all)
    };
    Noun {
        name: collection.name.clone().into(),
        topic: topic(RecordRow::TABLE, Some(&collection.name.as_str().into())),
        fields: fields(collection),
        title: collection.title_field.clone().map(Into::into),
        ..Noun::of(&record::NOUN, |row: RecordRow| encode(&row.record()))
    }
    .visible(visible)
}

/// The indexes that the app's collections declare.
pub fn indexes(app: &App) -> Vec<Index> {
    app.collections.values().flat_map(indexes_of).collect()
}

fn indexes_of(collection: &Collection) -> impl Iterator<Item = Index> {
    let fields = fields(collection);
    collection.indexes.iter().map(move |index| {
        let order = index.iter().filter_map(|part| {
            let term = fields.iter().find(|placed| placed.field.name == part.field)?.term.clone()?;
            let direction = if part.descending { Direction::Descending } else { Direction::Ascending };
            Some(Order { term, direction })
        });
        Index { table: RecordRow::TABLE, part: Some(collection.name.clone()), order: order.collect() }
    })
}

/// The row's own fields, then those of the data.
fn fields(collection: &Collection) -> Vec<PlacedField> {
    let own = record::NOUN.fields.iter().filter(|field| ROW_FIELDS.contains(&field.name.as_ref()));
    let own = own.map(PlacedField::own);
    own.chain(collection.fields.iter().map(|field| PlacedField::key(field, DATA))).collect()
}
