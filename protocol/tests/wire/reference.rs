//! MessagePack read again, by recursion and without a care for speed: what the crate's own readers are compared with.

use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    Nil,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    Binary(Vec<u8>),
    Array(Vec<Item>),
    Map(Vec<(Item, Item)>),
}

/// Takes one value off the bytes; `None` where they are no whole value of those that the wire has.
pub(crate) fn read(rest: &mut &[u8]) -> Option<Item> {
    let marker = take(rest, 1)?[0];
    Some(match marker {
        0x00..=0x7f => Item::Integer(marker.into()),
        0xe0..=0xff => Item::Integer(i128::from(marker) - 256),
        0xc0 => Item::Nil,
        0xc2 | 0xc3 => Item::Bool(marker == 0xc3),
        0xcc..=0xcf => Item::Integer(unsigned(rest, 1 << (marker - 0xcc))?),
        0xd0..=0xd3 => {
            let width = 1 << (marker - 0xd0);
            let value = unsigned(rest, width)?;
            Item::Integer(if value >= 1 << (8 * width - 1) { value - (1 << (8 * width)) } else { value })
        }
        0xca => Item::Float(f32::from_be_bytes(take(rest, 4)?.try_into().ok()?).into()),
        0xcb => Item::Float(f64::from_be_bytes(take(rest, 8)?.try_into().ok()?)),
        0xa0..=0xbf => text(rest, (marker & 0x1f).into())?,
        0xd9..=0xdb => {
            let length = unsigned(rest, 1 << (marker - 0xd9))?;
            text(rest, length)?
        }
        0xc4..=0xc6 => {
            let length = unsigned(rest, 1 << (marker - 0xc4))?;
            Item::Binary(take(rest, length)?.to_vec())
        }
        0x90..=0x9f => array(rest, (marker & 0x0f).into())?,
        0xdc | 0xdd => {
            let count = unsigned(rest, 2 << (marker - 0xdc))?;
            array(rest, count)?
        }
        0x80..=0x8f => map(rest, (marker & 0x0f).into())?,
        0xde | 0xdf => {
            let count = unsigned(rest, 2 << (marker - 0xde))?;
            map(rest, count)?
        }
        _ => return None,
    })
}

impl Item {
    /// How deep arrays and maps stand in each other.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Array(elements) => 1 + elements.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(entries) => 1 + entries.iter().map(|(key, value)| key.depth().max(value.depth())).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// How many values it is, keys counted.
    pub(crate) fn nodes(&self) -> usize {
        1 + match self {
            Self::Array(elements) => elements.iter().map(Self::nodes).sum(),
            Self::Map(entries) => entries.iter().map(|(key, value)| key.nodes() + value.nodes()).sum(),
            _ => 0,
        }
    }

    /// Whether it breaks a rule for values that a client sends.
    pub(crate) fn flawed(&self) -> bool {
        match self {
            Self::Nil | Self::Bool(_) => false,
            Self::Integer(value) => value.abs() > 9_007_199_254_740_991,
            Self::Float(value) => !value.is_finite(),
            Self::Text(text) => text.contains('\0'),
            Self::Binary(_) => true,
            Self::Array(elements) => elements.iter().any(Self::flawed),
            Self::Map(entries) => entries.iter().enumerate().any(|(place, (key, value))| {
                let twice = entries[..place].iter().any(|(earlier, _)| earlier == key);
                twice || !matches!(key, Self::Text(_)) || key.flawed() || value.flawed()
            }),
        }
    }

    /// As `vectors/README.md` writes it.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Nil => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Integer(value) => i64::try_from(*value).expect("within 2^53").into(),
            Self::Float(value) => (*value).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Binary(bytes) => json!({"$bin": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()}),
            Self::Array(elements) => elements.iter().map(Self::json).collect(),
            Self::Map(entries) => {
                entries.iter().map(|(key, value)| (key.json().as_str().expect("text").to_owned(), value.json())).collect()
            }
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], length: impl TryInto<usize>) -> Option<&'a [u8]> {
    let (taken, tail) = rest.split_at_checked(length.try_into().ok()?)?;
    *rest = tail;
    Some(taken)
}

fn unsigned(rest: &mut &[u8], width: usize) -> Option<i128> {
    Some(take(rest, width)?.iter().fold(0, |value, byte| value << 8 | i128::from(*byte)))
}

fn text(rest: &mut &[u8], length: i128) -> Option<Item> {
    String::from_utf8(take(rest, length)?.to_vec()).ok().map(Item::Text)
}

fn array(rest: &mut &[u8], count: i128) -> Option<Item> {
    (0..count).map(|_| read(rest)).collect::<Option<_>>().map(Item::Array)
}

fn map(rest: &mut &[u8], count: i128) -> Option<Item> {
    (0..count).map(|_| Some((read(rest)?, read(rest)?))).collect::<Option<_>>().map(Item::Map)
}
