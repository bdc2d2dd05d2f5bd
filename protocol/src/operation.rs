//! What an operation is: the request struct itself, with its name, kind, access, rate and answer beside it.

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use ts_rs::TS;

use crate::typescript::TypeScript;

/// What sending an operation again does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Changes nothing.
    Read,
    /// Changes something; carries a key, so that sending it again does it once.
    Mutation,
    /// Changes something, and by its own rule does no harm when repeated; needs no key.
    Idempotent,
}

/// A principal's role in the workspace that its connection acts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Works: starts runs, writes records.
    Member,
    /// Manages members, keys, crews.
    Admin,
    /// Owns the workspace.
    Owner,
    /// Executes runs; touches only what it leases.
    Worker,
    /// A run, acting for who started it.
    Agent,
}

impl Role {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
            Self::Worker => "worker",
            Self::Agent => "agent",
        }
    }
    /// The role with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Member, Self::Admin, Self::Owner, Self::Worker, Self::Agent].into_iter().find(|role| role.as_str() == name)
    }
    /// Its place among the roles of people, from 1 for a viewer; `None` for workers and agents, which stand beside them.
    pub const fn rank(self) -> Option<u8> {
        match self {
            Self::Viewer => Some(1),
            Self::Member => Some(2),
            Self::Admin => Some(3),
            Self::Owner => Some(4),
            Self::Worker | Self::Agent => None,
        }
    }
}

/// Who may ask for an operation. The policy that reads it is the server's one place of access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Anyone, signed in or not.
    Anyone,
    /// Whoever is signed in but a worker, about themself.
    Own,
    /// A viewer of the workspace, or more.
    Viewer,
    /// A viewer of the workspace, or more; and a worker, of what it holds.
    ViewerOrWorker,
    /// A member of the workspace, or more.
    Member,
    /// An admin of the workspace, or its owner.
    Admin,
    /// The workspace's owner.
    Owner,
    /// A worker.
    Worker,
    /// An operator of the server.
    Operator,
}

/// Which budget of requests an operation draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// Checks of a password or token, by address.
    SignIn,
    /// Reads, by principal.
    Read,
    /// Writes, by principal.
    Write,
    /// What a worker says of the runs that it holds, by its key.
    Lease,
}

/// A request struct that is an operation. Its doc comment is the operation's documentation.
pub trait Operation:
    Serialize + DeserializeOwned + JsonSchema + TS + garde::Validate<Context = ()> + Clone + Send + Sync + 'static
{
    /// `noun.verb`.
    const NAME: &'static str;
    /// What sending it again does.
    const KIND: Kind;
    /// Who may ask for it.
    const ACCESS: Access;
    /// Which budget it draws on.
    const RATE: Rate;
    /// Whether a client may follow it as a live query. Only reads can be.
    const LIVE: bool = false;
    /// Whether `bin` may stand in its input.
    const BINARY: bool = false;
    /// What it answers.
    type Output: Serialize + DeserializeOwned + JsonSchema + TS + Send + Sync + 'static;
}

/// An operation without its type: what tables, dispatch and generators read.
#[derive(Clone, Copy)]
pub struct OperationSpec {
    /// `noun.verb`.
    pub name: &'static str,
    /// What sending it again does.
    pub kind: Kind,
    /// Who may ask for it.
    pub access: Access,
    /// Which budget it draws on.
    pub rate: Rate,
    /// Whether it can be followed as a live query.
    pub live: bool,
    /// Whether `bin` may stand in its input.
    pub binary: bool,
    /// The input's JSON Schema, its definitions left in the generator.
    pub input_schema: fn(&mut SchemaGenerator) -> schemars::Schema,
    /// The output's JSON Schema, its definitions left in the generator.
    pub output_schema: fn(&mut SchemaGenerator) -> schemars::Schema,
    /// The TypeScript declarations of input and output and of all they use.
    pub typescript: fn(&mut TypeScript),
}

impl OperationSpec {
    /// The description of operation `O`.
    pub const fn of<O: Operation>() -> Self {
        Self {
            name: O::NAME,
            kind: O::KIND,
            access: O::ACCESS,
            rate: O::RATE,
            live: O::LIVE,
            binary: O::BINARY,
            input_schema: |generator| generator.subschema_for::<O>(),
            output_schema: |generator| generator.subschema_for::<O::Output>(),
            typescript: |types| types.operation::<O>(),
        }
    }
    /// What it does, as its request's doc comment says.
    pub fn documentation(&self) -> String {
        self.input()["description"].as_str().unwrap_or_default().to_owned()
    }
    /// The input's JSON Schema as it stands alone, what it refers to under `$defs`.
    pub fn input(&self) -> serde_json::Value {
        let mut generator = SchemaGenerator::default();
        let reference = (self.input_schema)(&mut generator);
        let mut definitions = generator.take_definitions(true);
        let name = reference.get("$ref").and_then(serde_json::Value::as_str).and_then(|reference| reference.rsplit('/').next());
        let mut schema = name.and_then(|name| definitions.remove(name)).unwrap_or_else(|| reference.to_value());
        if let Some(schema) = schema.as_object_mut().filter(|_| !definitions.is_empty()) {
            schema.insert("$defs".into(), definitions.into());
        }
        schema
    }
    /// The noun that the operation belongs to.
    pub fn noun(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(noun, _)| noun)
    }
}
