//! A YAML file as the values that stand in it, each with its place: what is wrong deep within a schema or a seed record is told where
//! it is written.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// Where it begins.
    pub(super) at: Location,
    /// What stands there.
    pub(super) node: Node,
}

/// What stands at a place.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// A text, a number, a flag, or nothing.
    Scalar(Value),
    /// Values one after another.
    List(Vec<Tree>),
    /// Values by their keys, in the order in which they are written.
    Map(Vec<(Spanned<String>, Tree)>),
}

impl Tree {
    /// Its keys with their values; none for what is no map.
    pub(super) fn entries(&self) -> &[(Spanned<String>, Tree)] {
        match &self.node {
            Node::Map(entries) => entries,
            Node::Scalar(_) | Node::List(_) => &[],
        }
    }

    /// The value under a key.
    pub(super) fn get(&self, key: &str) -> Option<&Tree> {
        self.entries().iter().find(|(known, _)| known.value == key).map(|(_, value)| value)
    }

    /// Where a key of it stands; without such a key, where it stands itself.
    pub(super) fn key_at(&self, key: &str) -> Location {
        self.entries().iter().find(|(known, _)| known.value == key).map_or(self.at, |(known, _)| known.referenced)
    }

    /// Where the value that a JSON pointer names stands, or the deepest above it that there is.
    pub(super) fn pointed(&self, pointer: &str) -> Location {
        let mut here = self;
        for part in pointer.split('/').skip(1) {
            let name = part.replace("~1", "/").replace("~0", "~");
            let below = match &here.node {
                Node::List(values) => name.parse::<usize>().ok().and_then(|place| values.get(place)),
                Node::Map(_) => here.get(&name),
                Node::Scalar(_) => None,
            };
            let Some(below) = below else { break };
            here = below;
        }
        here.at
    }

    /// The value without its places.
    pub(super) fn value(&self) -> Value {
        match &self.node {
            Node::Scalar(value) => value.clone(),
            Node::List(values) => values.iter().map(Self::value).collect(),
            Node::Map(entries) => entries.iter().map(|(key, value)| (key.value.clone(), value.value())).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Node>::deserialize(deserializer)?;
        Ok(Self { at: referenced, node: value })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }
    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Node::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_and_key_is_found_where_it_stands() {
        let text = "a:\n  - 1\n  - {b: [x, null, true, 1.5]}\nc/d: text\n";
        let tree: Tree = serde_saphyr::from_str(text).unwrap();
        assert_eq!(tree.value(), serde_json::json!({"a": [1, {"b": ["x", null, true, 1.5]}], "c/d": "text"}));
        let place = |at: Location| (at.line(), at.column());
        assert_eq!(place(tree.pointed("/a/1/b/1")), (3, 13));
        assert_eq!(place(tree.pointed("/c~1d")), (4, 6));
        assert_eq!(place(tree.pointed("/a/0/gone")), (2, 5));
        assert_eq!(place(tree.key_at("c/d")), (4, 1));
    }
}
