//! A record as it is stored, and what becomes of it: pure functions of its collection, its data and who asks.

use std::ops::RangeInclusive;

use crewline_protocol::{
    ROW_BYTES,
    fault::{Fault, FaultCode, Reason},
    noun::FieldKind,
    operation::Role,
    operations::record::{Data, Record},
    value::{MAX_INTEGER, Millis, RecordId, Revision, UserId, WorkspaceId, encode},
};
use serde_json::{Map, Value};

use crate::{
    access::Identity,
    apps::{Allowed, Collection},
    entity,
    store::Json,
};

/// The most fields that a fault names: enough to mend them, not a page of them.
const FIELDS: usize = 20;
/// Sizes of floats that all databases hold exactly, with room for sums of millions of them.
const FLOATS: RangeInclusive<f64> = 1e-30..=1e30;

entity! {
    /// A row of a collection.
    pub struct RecordRow in "records" by collection {
        /// Its id.
        id: RecordId,
        /// Where it is.
        workspace_id: WorkspaceId,
        /// Its collection's name.
        collection: String,
        /// The workspace's revision at its last change.
        revision: Revision,
        /// When it was made.
        created_at: Millis,
        /// When it last changed.
        updated_at: Millis,
        /// Who made it.
        created_by: UserId,
        /// Its own fields; changed by updates.
        data: Json<Data>,
    }
}

/// Who asks, where, and when.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// Who.
    pub user: UserId,
    /// As what.
    pub role: Role,
    /// In which workspace.
    pub workspace: WorkspaceId,
    /// When.
    pub at: Millis,
}

/// What was done to a record, for a refusal to name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Doing {
    Creating,
    Updating,
    Deleting,
}

impl Asking {
    /// Who is signed in.
    pub fn new(identity: &Identity, at: Millis) -> Self {
        Self { user: identity.user, role: identity.principal.role, workspace: identity.workspace, at }
    }

    /// Whether this one may, with a record that `by` made.
    fn may(&self, allowed: Allowed, by: UserId) -> bool {
        allowed.allows(self.role, by == self.user)
    }
}

impl RecordRow {
    /// A new record.
    ///
    /// # Errors
    /// `forbidden` for who may not make one, `invalid` for data that the schema refuses or a state that none begins in, `too_large`.
    pub fn created(collection: &Collection, id: RecordId, data: Data, asking: &Asking) -> Result<Self, Fault> {
        if !collection.rights.create.allows(asking.role, false) {
            return Err(forbidden(Doing::Creating, collection, asking.role));
        }
        let row = Self::new(collection, id, data, asking);
        row.fits(collection)?;
        let begins = collection.transitions.as_ref().filter(|transitions| !transitions.initial.is_empty());
        if let Some((transitions, state)) = begins.and_then(|transitions| Some((transitions, row.text(&transitions.field)?)))
            && !transitions.initial.iter().any(|initial| initial == state)
        {
            let message = format!("a new record can't be `{state}`; it may be: {}", transitions.initial.join(", "));
            return Err(Fault::invalid(format!("data.{}", transitions.field), "enum", message));
        }
        Ok(row)
    }

    /// Whether this one may read it.
    pub(super) fn may_be_read(&self, rights: Allowed, asking: &Asking) -> bool {
        asking.may(rights, self.created_by)
    }

    /// A record with this data, whoever makes it. What the schema gives to data that lacks it is in it.
    pub(super) fn new(collection: &Collection, id: RecordId, mut data: Data, asking: &Asking) -> Self {
        for (field, value) in &collection.defaults {
            data.entry(field.clone()).or_insert_with(|| value.clone());
        }
        // What is null is absent.
        data.retain(|_, value| !value.is_null());
        Self {
            id,
            workspace_id: asking.workspace,
            collection: collection.name.clone(),
            revision: Revision(0),
            created_at: asking.at,
            updated_at: asking.at,
            created_by: asking.user,
            data: Json(data),
        }
    }

    /// The same with changes merged into its data: by its top keys, and null takes one away.
    ///
    /// # Errors
    /// `not_found` for who may not see it, `forbidden` for who may not change it so, `conflict` for another revision and for a move that
    /// there is not, `invalid` for data that the schema refuses, `too_large`.
    pub fn updated(&self, collection: &Collection, revision: Option<Revision>, changes: Data, asking: &Asking) -> Result<Self, Fault> {
        self.may(collection, collection.rights.update, Doing::Updating, asking)?;
        self.still(revision)?;
        let mut after = Self { updated_at: asking.at, ..self.clone() };
        for (field, value) in changes {
            if value.is_null() {
                after.data.0.remove(&field);
            } else {
                after.data.0.insert(field, value);
            }
        }
        after.fits(collection)?;
        self.may_become(&after, collection, asking)?;
        Ok(after)
    }

    /// Passes who may delete it.
    ///
    /// # Errors
    /// `not_found` for who may not see it, `forbidden` for who may not delete it, `conflict` for another revision.
    pub fn may_be_deleted(&self, collection: &Collection, revision: Option<Revision>, asking: &Asking) -> Result<(), Fault> {
        self.may(collection, collection.rights.delete, Doing::Deleting, asking)?;
        self.still(revision)
    }

    /// Whether it is a record of this collection that this one may see.
    pub(super) fn is_seen(&self, collection: &Collection, asking: &Asking) -> bool {
        self.workspace_id == asking.workspace && self.collection == collection.name && asking.may(collection.rights.read, self.created_by)
    }

    /// The ids that a field refers to: none, one, or those in its list.
    pub(super) fn referred<'a>(&'a self, field: &str) -> impl Iterator<Item = &'a str> {
        let value = self.data.0.get(field).unwrap_or(&Value::Null);
        let several = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        value.as_str().into_iter().chain(several)
    }

    /// As the wire has it.
    pub fn record(&self) -> Record {
        let Self { id, collection, revision, created_at, updated_at, created_by, data, .. } = self.clone();
        Record { id, revision, created_at, updated_at, collection, data: data.0, created_by }
    }

    /// The same, written at this revision.
    pub fn at(&self, revision: Revision) -> Record {
        Record { revision, ..self.record() }
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.data.0.get(field)?.as_str()
    }

    fn may(&self, collection: &Collection, allowed: Allowed, doing: Doing, asking: &Asking) -> Result<(), Fault> {
        if !self.is_seen(collection, asking) {
            return Err(Fault::not_found());
        }
        if asking.may(allowed, self.created_by) { Ok(()) } else { Err(forbidden(doing, collection, asking.role)) }
    }

    fn still(&self, revision: Option<Revision>) -> Result<(), Fault> {
        match revision {
            Some(revision) if revision != self.revision => {
                Err(self.conflict(Reason::Revision, "it changed since you read it: look at it as it is, and decide"))
            }
            _ => Ok(()),
        }
    }

    /// Passes data that the schema takes and that is short enough.
    fn fits(&self, collection: &Collection) -> Result<(), Fault> {
        let data = Value::Object(self.data.0.clone());
        if !collection.validator.fits(&data) {
            return Err(Fault::invalid_fields(collection.validator.wrong(&data, "data").into_iter().take(FIELDS).collect()));
        }
        self.integers_fit(collection)?;
        fits_everywhere(&self.data.0, "data")?;
        let bytes = encode(&self.record()).len();
        if bytes > ROW_BYTES {
            return Err(Fault::new(FaultCode::TooLarge, format!("the record would have {bytes} bytes; {ROW_BYTES} are the most")));
        }
        Ok(())
    }

    /// Passes integers that the wire and both databases hold. A schema calls 1e300 an integer too, and one such record would fail
    /// every list by its field.
    fn integers_fit(&self, collection: &Collection) -> Result<(), Fault> {
        #[expect(clippy::cast_precision_loss, reason = "it is exact as a float")]
        let most = MAX_INTEGER as f64;
        let integers = collection.fields.iter().filter(|field| matches!(field.kind, FieldKind::Integer | FieldKind::Time));
        for field in integers {
            let value = self.data.0.get(field.name.as_ref()).and_then(Value::as_f64);
            if value.is_some_and(|value| value.abs() > most) {
                let message = format!("is an integer from -{MAX_INTEGER} to {MAX_INTEGER}");
                return Err(Fault::invalid(format!("data.{}", field.name), "range", message));
            }
        }
        Ok(())
    }

    /// Passes a change of state that there is, by who may make it.
    fn may_become(&self, after: &Self, collection: &Collection, asking: &Asking) -> Result<(), Fault> {
        let Some(transitions) = &collection.transitions else { return Ok(()) };
        let (Some(from), Some(to)) = (self.text(&transitions.field), after.text(&transitions.field)) else { return Ok(()) };
        if from == to {
            return Ok(());
        }
        let mut moves = transitions.moves.iter().filter(|step| step.from == from && step.to == to).peekable();
        if moves.peek().is_none() {
            let mut next: Vec<&str> = transitions.moves.iter().filter(|step| step.from == from).map(|step| step.to.as_str()).collect();
            next.dedup();
            let next = if next.is_empty() { "nothing".to_owned() } else { next.join(", ") };
            return Err(self.conflict(Reason::State, format!("from `{from}` it can't become `{to}`; it can become: {next}")));
        }
        if moves.any(|step| step.roles.is_none_or(|roles| asking.may(roles, self.created_by))) {
            return Ok(());
        }
        let message = format!("the role `{}` may not take a record of `{}` from `{from}` to `{to}`", asking.role.as_str(), collection.name);
        Err(Fault::new(FaultCode::Forbidden, message))
    }

    fn conflict(&self, reason: Reason, message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
        Fault { current: serde_json::to_value(self.record()).ok(), ..Fault::conflict(reason, message) }
    }
}

fn forbidden(doing: Doing, collection: &Collection, role: Role) -> Fault {
    let what = match doing {
        Doing::Creating => "create",
        Doing::Updating => "update",
        Doing::Deleting => "delete",
    };
    Fault::new(FaultCode::Forbidden, format!("the role `{}` may not {what} this record of `{}`", role.as_str(), collection.name))
}

/// Passes keys that every client can hold.
fn fits_everywhere(entries: &Map<String, Value>, path: &str) -> Result<(), Fault> {
    entries.iter().try_for_each(|(key, value)| {
        let path = format!("{path}.{key}");
        if key == "__proto__" {
            return Err(Fault::invalid(path, "unknown", "is a key that programs in JavaScript can't hold: call it otherwise"));
        }
        value_fits(value, &path)
    })
}

/// Passes floats that every database reads back as they were written: SQLite loses bits of those that are very large or very small, and
/// would then neither find nor sort them.
fn value_fits(value: &Value, path: &str) -> Result<(), Fault> {
    match value {
        Value::Number(number) if number.is_f64() => {
            let size = number.as_f64().unwrap_or(0.0).abs();
            if size == 0.0 || FLOATS.contains(&size) {
                return Ok(());
            }
            let message = format!("is 0, or its size is from {:e} to {:e}: databases hold no other exactly", FLOATS.start(), FLOATS.end());
            Err(Fault::invalid(path, "range", message))
        }
        Value::Array(values) => values.iter().enumerate().try_for_each(|(place, value)| value_fits(value, &format!("{path}[{place}]"))),
        Value::Object(entries) => fits_everywhere(entries, path),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}
