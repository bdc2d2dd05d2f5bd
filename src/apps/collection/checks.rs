//! What can be wrong in a collection's file, told where it stands.

use std::collections::BTreeMap;

use crewline_protocol::{
    noun::{Field, FieldKind},
    operation::Role,
};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{
    super::{
        Schema,
        crew::known,
        tree::Tree,
        yaml::{AccessFields, Complaints, IndexFields, TransitionFields},
    },
    Allowed, IndexField, Move, NAME_RULE, ROW_FIELDS, Rights, SORTED_ROW_FIELDS, Singleton, Transitions, fields, is_name,
};

/// A collection's file with its places, and where to complain.
pub(super) struct Checks<'a> {
    pub(super) tree: &'a Tree,
    pub(super) complaints: Complaints<'a>,
}

impl Checks<'_> {
    /// The schema, ready to be asked, where it is one and describes an object.
    pub(super) fn schema(&mut self, schema: &Value) -> Option<Schema> {
        if schema["type"] != "object" {
            self.at("/schema", "`schema` describes a record's data: write `type: object`");
        }
        if !schema["properties"].is_object() {
            self.at("/schema", "`schema` needs `properties`: a field each");
        }
        match Schema::new(schema) {
            Ok(validator) => Some(validator),
            Err(error) => {
                self.at(&format!("/schema{}", error.pointer), format!("`schema` is no JSON Schema: {}", error.message));
                None
            }
        }
    }

    /// Names of fields, and whether they may be absent.
    pub(super) fn fields(&mut self, schema: &Value, fields: &[Field]) {
        for Field { name, .. } in fields {
            let said = match () {
                () if !is_name(name) => format!("`{name}` can't name a field: {NAME_RULE}"),
                () if ROW_FIELDS.contains(&name.as_ref()) => format!("every record has a `{name}` of its own: call the field otherwise"),
                () => continue,
            };
            self.key("/schema/properties", name, said);
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let Some(default) = property.get("default") else { continue };
            // A field's own schema; one that refers to others is held to where a record is written.
            let wrong = Schema::new(property).map(|own| own.wrong(default, name)).unwrap_or_default();
            if let Some(wrong) = wrong.first() {
                let at = format!("/schema/properties/{}/default", name.replace('~', "~0").replace('/', "~1"));
                self.at(&at, format!("the default of `{name}` does not fit it: {}", wrong.message));
            }
        }
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for (place, name) in required.enumerate() {
            let at = format!("/schema/required/{place}");
            match schema["properties"].get(name) {
                None => self.at(&at, format!("`required` names `{name}`, which is none of the `properties`")),
                Some(property) if fields::nullable(property) => {
                    self.at(&at, format!("`{name}` is required and may be null, but what is null is absent: take one of them away"));
                }
                Some(_) => {}
            }
        }
    }

    /// Fields that refer to records learn of which collection.
    pub(super) fn references(
        &mut self,
        references: &BTreeMap<String, Spanned<String>>,
        collections: &BTreeMap<&str, &str>,
        fields: &mut [Field],
    ) {
        for (name, of) in references {
            if !collections.contains_key(of.value.as_str()) {
                self.complaints.at(of.referenced, format_args!("there is no collection `{}`: {}", of.value, known(collections.keys())));
            }
            match fields.iter_mut().find(|field| field.name == *name) {
                Some(field) if matches!(field.kind, FieldKind::Text | FieldKind::List) => {
                    field.refers = Some(of.value.clone().into());
                    if field.kind == FieldKind::Text {
                        field.kind = FieldKind::Id;
                    }
                }
                Some(_) => {
                    self.key("/references", name, format!("`{name}` can't refer to records: it is neither a text nor a list of texts"));
                }
                None => self.key("/references", name, format!("`{name}` is none of the schema's fields")),
            }
        }
    }

    /// Indexes; the fields that they name can be sorted by. `sound`: the schema is one.
    pub(super) fn indexes(&mut self, indexes: Vec<Spanned<IndexFields>>, fields: &mut [Field], sound: bool) -> Vec<Vec<IndexField>> {
        let mut read: Vec<Vec<IndexField>> = Vec::new();
        for index in indexes {
            let names = match &index.value {
                IndexFields::One(name) => std::slice::from_ref(name),
                IndexFields::Several(names) => names.as_slice(),
            };
            let mut parts: Vec<IndexField> = Vec::new();
            for written in names {
                let (name, descending) = written.strip_prefix('-').map_or((written.as_str(), false), |name| (name, true));
                let said = match fields.iter_mut().find(|field| field.name == name) {
                    _ if parts.iter().any(|part| part.field == name) => Some("stands twice in one index"),
                    // Where the schema is none, that is told.
                    Some(_) if !sound => None,
                    Some(field) if matches!(field.kind, FieldKind::List | FieldKind::Other) => {
                        Some("can't be sorted by: it is no text, number, flag or time")
                    }
                    Some(field) => {
                        field.sortable = true;
                        None
                    }
                    None if SORTED_ROW_FIELDS.contains(&name) => None,
                    None if ROW_FIELDS.contains(&name) => Some("can't be sorted by"),
                    None => Some("is none of the schema's fields"),
                };
                if let Some(said) = said {
                    self.complaints.at(index.referenced, format_args!("`{name}` {said}"));
                }
                parts.push(IndexField { field: name.to_owned(), descending });
            }
            if parts.is_empty() || read.contains(&parts) {
                self.complaints.at(index.referenced, "the index names nothing, or stands twice");
            }
            read.push(parts);
        }
        read
    }

    /// The field that people know a record by.
    pub(super) fn title_field(&mut self, title: Option<&Spanned<String>>, fields: &[Field]) {
        let Some(title) = title else { return };
        if !fields.iter().any(|field| field.name == title.value && field.kind == FieldKind::Text) {
            self.complaints.at(title.referenced, format_args!("`{}` is none of the schema's texts", title.value));
        }
    }

    /// Who may do what.
    pub(super) fn rights(&mut self, access: AccessFields) -> Rights {
        let mut allowed = |names: Option<Vec<Spanned<String>>>, default| names.map_or(Allowed::from(default), |names| self.allowed(&names));
        let rights = Rights {
            read: allowed(access.read, Role::Viewer),
            create: allowed(access.create.clone(), Role::Member),
            update: allowed(access.update, Role::Member),
            delete: allowed(access.delete, Role::Admin),
        };
        if rights.create.own {
            for own in access.create.iter().flatten().filter(|name| name.value == "own") {
                self.complaints.at(own.referenced, "nobody owns a record before it is made: name roles alone");
            }
        }
        rights
    }

    fn allowed(&mut self, names: &[Spanned<String>]) -> Allowed {
        let mut allowed = Allowed { from: None, own: false };
        for name in names {
            let role = Role::from_name(&name.value).filter(|role| role.rank().is_some());
            match role {
                _ if name.value == "own" => allowed.own = true,
                Some(role) if allowed.from.is_none_or(|from| from.rank() > role.rank()) => allowed.from = Some(role),
                Some(_) => {}
                None => self
                    .complaints
                    .at(name.referenced, format_args!("there is no role `{}`: write viewer, member, admin, owner or own", name.value)),
            }
        }
        allowed
    }

    /// How a field's value may change.
    pub(super) fn transitions(&mut self, transitions: TransitionFields, schema: &Value) -> Transitions {
        let field = transitions.field;
        let property = &schema["properties"][&field.value];
        let required = schema["required"].as_array().is_some_and(|required| required.iter().any(|name| *name == field.value));
        let choices = fields::choices(property);
        match &choices {
            None => self
                .complaints
                .at(field.referenced, format_args!("`{}` has no `enum` of texts in the schema: transitions need one", field.value)),
            Some(_) if !required => {
                self.complaints.at(field.referenced, format_args!("`{}` may be absent: name it under `required`", field.value));
            }
            Some(_) => {}
        }
        let mut state = |name: Spanned<String>| {
            if let Some(choices) = choices.as_ref().filter(|choices| !choices.contains(&name.value.as_str())) {
                self.complaints.at(name.referenced, format_args!("`{}` can't be `{}`: {}", field.value, name.value, known(choices.iter())));
            }
            name.value
        };
        let initial = transitions.initial.into_iter().map(&mut state).collect();
        let moves: Vec<_> = transitions.moves.into_iter().map(|step| (state(step.from), state(step.to), step.roles)).collect();
        let moves = moves.into_iter().map(|(from, to, roles)| Move { from, to, roles: roles.map(|roles| self.allowed(&roles)) }).collect();
        Transitions { field: field.value, initial, moves }
    }

    /// Of what there is one record.
    pub(super) fn singleton(&mut self, singleton: &Spanned<String>) -> Option<Singleton> {
        match singleton.value.as_str() {
            "user" => Some(Singleton::User),
            "workspace" => Some(Singleton::Workspace),
            other => {
                self.complaints.at(singleton.referenced, format_args!("there is one of a `user` or of a `workspace`, not of a `{other}`"));
                None
            }
        }
    }

    fn at(&mut self, pointer: &str, message: impl std::fmt::Display) {
        self.complaints.at(self.tree.pointed(pointer), message);
    }

    fn key(&mut self, pointer: &str, key: &str, message: impl std::fmt::Display) {
        let mut parts = pointer.split('/').skip(1);
        let map = parts.try_fold(self.tree, |tree, part| tree.get(part));
        let at = map.map_or(self.tree.at, |map| map.key_at(key));
        self.complaints.at(at, message);
    }
}
