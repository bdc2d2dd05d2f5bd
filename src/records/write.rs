//! What writes of records come to: one after another over the rows as they were read, each seeing those before it, and at the end one
//! commit.

use std::collections::{BTreeMap, BTreeSet};

use crewline_protocol::{
    fault::Fault,
    operations::{
        auth::Done,
        record::{Create, Delete, Update, Write, Written},
    },
    value::{RecordId, Revision},
};
use ring::digest::{SHA256, digest};

use super::row::{Asking, RecordRow};
use crate::{
    apps::{App, Collection, Singleton},
    context::taken,
    store::{Commit, Guard, Value},
};

/// Writes that are being put together.
pub(super) struct Writing<'a> {
    app: &'a App,
    asking: Asking,
    /// The rows of the writes' ids as they were read.
    read: BTreeMap<RecordId, RecordRow>,
    /// The same as the writes so far leave them; `None`: deleted.
    now: BTreeMap<RecordId, Option<RecordRow>>,
    /// Ids under which no row may be.
    absent: BTreeSet<RecordId>,
    /// Records that must still be there: their ids and collections.
    referred: BTreeSet<(RecordId, String)>,
}

/// What one write did.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Did {
    /// This is the row.
    Put(Box<RecordRow>),
    /// It is gone.
    Deleted,
}

impl Did {
    /// As the wire has it, written at this revision.
    pub(super) fn written(&self, revision: Revision) -> Written {
        match self {
            Self::Put(row) => Written::Row(row.at(revision)),
            Self::Deleted => Written::Deleted(Done {}),
        }
    }
}

/// The ids of the rows that a write looks at.
pub(super) fn ids(app: &App, write: &Write, asking: &Asking) -> Vec<RecordId> {
    let (collection, id, data) = match write {
        Write::Create(create) => (&create.collection, create.id, Some(&create.data)),
        Write::Update(update) => (&update.collection, Some(update.id), Some(&update.data)),
        Write::Delete(delete) => (&delete.collection, Some(delete.id), None),
    };
    let Some(collection) = app.collections.get(collection) else { return Vec::new() };
    let single = matches!(write, Write::Create(_)).then(|| single_id(collection, asking)).flatten();
    let referred = collection.references.keys().filter_map(|field| data?.get(field)).flat_map(|value| {
        let several = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        several.iter().filter_map(|id| id.as_str()?.parse().ok())
    });
    id.into_iter().chain(single).chain(referred).collect()
}

impl<'a> Writing<'a> {
    /// Begins with the rows that there are of the [`ids`] of all the writes.
    pub(super) fn new(app: &'a App, asking: Asking, rows: Vec<RecordRow>) -> Self {
        let read = rows.into_iter().map(|row| (row.id, row)).collect();
        Self { app, asking, read, now: BTreeMap::new(), absent: BTreeSet::new(), referred: BTreeSet::new() }
    }

    /// Carries out one write. One that is refused changes nothing.
    ///
    /// # Errors
    /// Its fault, whose paths are those of the single operation's input.
    pub(super) fn carry_out(&mut self, write: Write, new_id: impl FnOnce() -> RecordId) -> Result<Did, Fault> {
        match write {
            Write::Create(create) => self.create(create, new_id),
            Write::Update(update) => self.update(update),
            Write::Delete(delete) => self.delete(&delete),
        }
    }

    /// What all of them come to.
    pub(super) fn commit(self) -> Commit {
        let Self { asking, mut read, now, absent, referred, .. } = self;
        let mut commit = Commit::in_workspace(asking.workspace);
        for id in absent {
            commit = commit.guard(Guard::absent::<RecordRow>(id));
        }
        for (id, collection) in referred {
            let columns = vec![("workspace_id", Value::from(asking.workspace)), ("collection", Value::Text(collection))];
            commit = commit.guard(Guard::columns::<RecordRow>(id, columns));
        }
        for (id, after) in now {
            commit = match (read.remove(&id), after) {
                (None, Some(after)) => commit.insert(&after),
                (Some(before), Some(after)) => commit.replace(&before, &after),
                (Some(before), None) => commit.remove(&before),
                // It was made and deleted by the same writes.
                (None, None) => commit,
            };
        }
        commit
    }

    fn create(&mut self, create: Create, new_id: impl FnOnce() -> RecordId) -> Result<Did, Fault> {
        let collection = self.collection(&create.collection)?;
        let single = single_id(collection, &self.asking);
        if single.is_some() && create.id.is_some() {
            return Err(Fault::invalid(
                "id",
                "unknown",
                format!("there is one record of `{}`, and its id is the server's", collection.name),
            ));
        }
        let named = single.or(create.id);
        let id = named.unwrap_or_else(new_id);
        let row = RecordRow::created(collection, id, create.data, &self.asking)?;
        if named.is_some_and(|id| self.row(id).is_some()) {
            return Err(taken());
        }
        let referred = self.referred(collection, &row, None)?;
        if named.is_some() && !self.read.contains_key(&id) {
            self.absent.insert(id);
        }
        self.referred.extend(referred);
        Ok(self.put(row))
    }

    fn update(&mut self, update: Update) -> Result<Did, Fault> {
        let collection = self.collection(&update.collection)?;
        let before = self.row(update.id).ok_or_else(Fault::not_found)?;
        let after = before.updated(collection, update.revision, update.data, &self.asking)?;
        let referred = self.referred(collection, &after, Some(before))?;
        self.referred.extend(referred);
        Ok(self.put(after))
    }

    fn delete(&mut self, delete: &Delete) -> Result<Did, Fault> {
        let collection = self.collection(&delete.collection)?;
        let row = self.row(delete.id).ok_or_else(Fault::not_found)?;
        row.may_be_deleted(collection, delete.revision, &self.asking)?;
        self.now.insert(delete.id, None);
        Ok(Did::Deleted)
    }

    fn put(&mut self, row: RecordRow) -> Did {
        self.now.insert(row.id, Some(row.clone()));
        Did::Put(Box::new(row))
    }

    fn collection(&self, name: &str) -> Result<&'a Collection, Fault> {
        self.app.collections.get(name).ok_or_else(|| no_collection(self.app, name))
    }

    /// A row as the writes so far leave it.
    fn row(&self, id: RecordId) -> Option<&RecordRow> {
        match self.now.get(&id) {
            Some(now) => now.as_ref(),
            None => self.read.get(&id),
        }
    }

    /// The stored records to which a row refers anew, each of the right collection.
    fn referred(&self, collection: &Collection, row: &RecordRow, before: Option<&RecordRow>) -> Result<Vec<(RecordId, String)>, Fault> {
        let mut referred = Vec::new();
        for (field, target) in &collection.references {
            let known: BTreeSet<&str> = before.into_iter().flat_map(|before| before.referred(field)).collect();
            for id in row.referred(field).filter(|id| !known.contains(id)) {
                let there = id.parse().ok().and_then(|id| self.row(id));
                let there = there.filter(|row| self.app.collections.get(target).is_some_and(|target| row.is_seen(target, &self.asking)));
                let Some(there) = there else {
                    let message = format!("there is no record `{id}` in `{target}`, or you may not see it");
                    return Err(Fault::invalid(format!("data.{field}"), "reference", message));
                };
                // One that these writes make needs no guard: it comes with them.
                if self.read.contains_key(&there.id) {
                    referred.push((there.id, target.clone()));
                }
            }
        }
        Ok(referred)
    }
}

/// The fault for a collection that the app does not have.
pub fn no_collection(app: &App, name: &str) -> Fault {
    let known: Vec<&str> = app.collections.keys().map(String::as_str).collect();
    let known = if known.is_empty() { "there are none".to_owned() } else { format!("there are: {}", known.join(", ")) };
    Fault::invalid("collection", "unknown", format!("there is no collection `{}`; {known}", name.escape_debug()))
}

/// The id of the one record of this collection: the same whoever asks first, so that there can't be two.
pub(super) fn single_id(collection: &Collection, asking: &Asking) -> Option<RecordId> {
    let (made_at, of) = match collection.singleton? {
        Singleton::User => (asking.user.made_at(), format!("{}/{}/{}", collection.name, asking.workspace, asking.user)),
        Singleton::Workspace => (asking.workspace.made_at(), format!("{}/{}", collection.name, asking.workspace)),
    };
    let hash = digest(&SHA256, of.as_bytes());
    let random = std::array::from_fn(|place| hash.as_ref()[place]);
    Some(RecordId::new(made_at, random))
}
