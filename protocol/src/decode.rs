//! From a scanned body to a type. Stricter than MessagePack's usual decoders, as the wire is: a struct is a map and never an
//! array, a variant is text and never a number, text is never `bin`. It knows the path of what is wrong, which costs nothing
//! until something is.

mod mismatch;

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor},
    forward_to_deserialize_any,
};

pub use self::mismatch::Mismatch;
use self::mismatch::Step;
use crate::{
    pack::{self, Head},
    scan::DEPTH,
};

/// The name of a newtype that asks for a value as it is encoded. Other decoders don't know it, and decode the value.
pub(crate) const ENCODED: &str = "crewline::Encoded";

/// Decodes one value, which is all of `bytes`. Deeper than a frame can be, it ends with an error and not with the stack.
///
/// # Errors
/// Where the bytes are not a `T`; the error says at which field.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Mismatch> {
    let mut decoder = Decoder { rest: bytes, depth: 0 };
    let value = T::deserialize(&mut decoder)?;
    if decoder.rest.is_empty() { Ok(value) } else { Err(Mismatch::new("type", "is followed by bytes that belong to nothing".into())) }
}

struct Decoder<'de> {
    rest: &'de [u8],
    depth: usize,
}

impl<'de> Decoder<'de> {
    fn head(&mut self) -> Result<Head<'de>, Mismatch> {
        Ok(pack::head(&mut self.rest)?)
    }

    fn text(bytes: &'de [u8]) -> Result<&'de str, Mismatch> {
        std::str::from_utf8(bytes).map_err(|_| Mismatch::new("type", "is not UTF-8".into()))
    }

    fn visit<V: Visitor<'de>>(&mut self, head: Head<'de>, visitor: V) -> Result<V::Value, Mismatch> {
        match head {
            Head::Nil => visitor.visit_unit(),
            Head::Bool(value) => visitor.visit_bool(value),
            Head::Unsigned(value) => visitor.visit_u64(value),
            Head::Negative(value) => visitor.visit_i64(value),
            Head::Float(value) => visitor.visit_f64(value),
            Head::Text(text) => visitor.visit_borrowed_str(Self::text(text)?),
            Head::Binary(bytes) => visitor.visit_borrowed_bytes(bytes),
            Head::Array(count) => self.inside(|decoder| {
                let mut elements = Elements { decoder, left: count, next: 0 };
                let value = visitor.visit_seq(&mut elements)?;
                match elements.left {
                    0 => Ok(value),
                    _ => Err(Mismatch::new("length", format!("has {count} elements, which is too many"))),
                }
            }),
            Head::Map(count) => self.inside(|decoder| {
                let mut entries = Entries { decoder, left: count, key: None };
                let value = visitor.visit_map(&mut entries)?;
                match entries.left {
                    0 => Ok(value),
                    _ => Err(Mismatch::new("length", format!("has {count} entries, which is too many"))),
                }
            }),
        }
    }

    fn inside<T>(&mut self, decode: impl FnOnce(&mut Self) -> Result<T, Mismatch>) -> Result<T, Mismatch> {
        if self.depth == DEPTH {
            return Err(Mismatch::new("type", "is nested too deep".into()));
        }
        self.depth += 1;
        let value = decode(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn refuse<T>(head: Head<'de>, expected: &dyn Expected) -> Result<T, Mismatch> {
        let found = match head {
            Head::Nil => Unexpected::Unit,
            Head::Bool(value) => Unexpected::Bool(value),
            Head::Unsigned(value) => Unexpected::Unsigned(value),
            Head::Negative(value) => Unexpected::Signed(value),
            Head::Float(value) => Unexpected::Float(value),
            Head::Text(_) => Unexpected::Str(""),
            Head::Binary(bytes) => Unexpected::Bytes(bytes),
            Head::Array(_) => Unexpected::Seq,
            Head::Map(_) => Unexpected::Map,
        };
        Err(de::Error::invalid_type(found, expected))
    }
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = Mismatch;

    fn is_human_readable(&self) -> bool {
        false
    }
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        let head = self.head()?;
        self.visit(head, visitor)
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        let mut after = self.rest;
        if matches!(pack::head(&mut after)?, Head::Nil) {
            self.rest = after;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.head()? {
            Head::Text(text) => visitor.visit_borrowed_str(Decoder::text(text)?),
            other => Decoder::refuse(other, &visitor),
        }
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_str(visitor)
    }
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_str(visitor)
    }
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.head()? {
            head @ Head::Map(_) => self.visit(head, visitor),
            other => Decoder::refuse(other, &visitor),
        }
    }
    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_map(visitor)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Mismatch> {
        if name != ENCODED {
            return visitor.visit_newtype_struct(self);
        }
        let (start, before) = (self.rest, self.rest.len());
        pack::skip(&mut self.rest)?;
        visitor.visit_borrowed_bytes(&start[..before - self.rest.len()])
    }
    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Mismatch> {
        match self.head()? {
            Head::Text(text) => visitor.visit_enum(Decoder::text(text)?.into_deserializer()),
            Head::Map(1) => self.inside(|decoder| visitor.visit_enum(Tagged { decoder, name: String::new() })),
            other => Decoder::refuse(other, &"one of its variants"),
        }
    }
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        pack::skip(&mut self.rest)?;
        visitor.visit_unit()
    }
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct
    }
}

struct Elements<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    left: u32,
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Mismatch;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.next += 1;
        seed.deserialize(&mut *self.decoder).map(Some).map_err(|mismatch| mismatch.under(Step::Index(self.next - 1)))
    }
    fn size_hint(&self) -> Option<usize> {
        // What the head promises may be more than there is.
        usize::try_from(self.left).ok().map(|left| left.min(self.decoder.rest.len()))
    }
}

struct Entries<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    left: u32,
    /// The encoded key of the value that comes next.
    key: Option<&'de [u8]>,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Mismatch;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.key = Some(self.decoder.rest);
        seed.deserialize(&mut *self.decoder).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        let key = self.key.take();
        seed.deserialize(&mut *self.decoder).map_err(|mismatch| match key.map(|mut key| pack::head(&mut key)) {
            Some(Ok(Head::Text(key))) => mismatch.under(Step::Key(String::from_utf8_lossy(key).into_owned())),
            _ => mismatch,
        })
    }
    fn size_hint(&self) -> Option<usize> {
        usize::try_from(self.left).ok().map(|left| left.min(self.decoder.rest.len()))
    }
}

/// A variant with content: a map of one entry, `{variant: content}`.
struct Tagged<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    /// The variant, as it is named on the wire.
    name: String,
}

impl<'de> EnumAccess<'de> for Tagged<'_, 'de> {
    type Error = Mismatch;
    type Variant = Self;
    fn variant_seed<V: DeserializeSeed<'de>>(mut self, seed: V) -> Result<(V::Value, Self), Mismatch> {
        let mut key = self.decoder.rest;
        if let Ok(Head::Text(text)) = pack::head(&mut key) {
            self.name = String::from_utf8_lossy(text).into_owned();
        }
        Ok((seed.deserialize(&mut *self.decoder)?, self))
    }
}

impl<'de> VariantAccess<'de> for Tagged<'_, 'de> {
    type Error = Mismatch;
    fn unit_variant(self) -> Result<(), Mismatch> {
        de::Deserialize::deserialize(self.decoder)
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mismatch> {
        seed.deserialize(self.decoder).map_err(|mismatch| mismatch.under(Step::Key(self.name)))
    }
    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Mismatch> {
        self.decoder.deserialize_tuple(length, visitor)
    }
    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Mismatch> {
        self.decoder.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use serde_json::json;

    use super::*;
    use crate::{
        RunEvent,
        fault::FieldFault,
        operations::{auth, run},
        value::encode,
    };

    fn field<'a, T: Deserialize<'a> + fmt::Debug>(bytes: &'a [u8]) -> (String, String, String) {
        let FieldFault { path, code, message } = decode::<T>(bytes).unwrap_err().into_field();
        (path, code, message)
    }

    #[track_caller]
    fn refuses<T: for<'a> Deserialize<'a> + fmt::Debug>(value: &serde_json::Value, path: &str, code: &str, message: &str) {
        assert_eq!(field::<T>(&encode(value)), (path.into(), code.into(), message.into()));
    }

    #[test]
    fn faults_name_the_field_and_what_is_wrong_with_it() {
        refuses::<auth::Login>(&json!({"email": "a@b.c"}), "password", "required", "is missing");
        refuses::<auth::Login>(&json!({"email": 1, "password": "x"}), "email", "type", "must be a text, not integer `1`");
        refuses::<auth::Login>(
            &json!({"role": "owner"}),
            "role",
            "unknown",
            "is not a field here; there may be `email`, `password` or `workspace_id`",
        );
        refuses::<auth::Me>(&json!({"id": 1}), "id", "unknown", "is not a field here; there are none");
        refuses::<auth::Login>(
            &json!({"email": "a", "password": "b", "workspace_id": "7"}),
            "workspace_id",
            "format",
            "is not a UUIDv7 in lower-case hyphenated form",
        );
        refuses::<run::List>(&json!({"limit": 5_000_000_000_u64}), "limit", "range", "must be an integer (u32), not integer `5000000000`");
        refuses::<run::List>(&json!({"limit": 1.5}), "limit", "type", "must be an integer (u32), not floating point `1.5`");
        refuses::<run::CancelMode>(&json!("soon"), "", "enum", "is `soon`, and must be `graceful` or `now`");
        refuses::<auth::Login>(&json!(["a", "b"]), "", "type", "must be a map, not an array");
        refuses::<Vec<crate::opening::Limits>>(
            &json!([{"requests": 1, "message_bytes": "x"}]),
            "[0].message_bytes",
            "type",
            "must be an integer (u64), not a text",
        );
    }

    #[test]
    fn what_usual_decoders_let_pass_is_refused() {
        refuses::<crate::opening::ClientInfo>(&json!(["name", "1"]), "", "type", "must be a map, not an array");
        refuses::<run::CancelMode>(&json!(0), "", "type", "must be one of its variants, not integer `0`");
        assert_eq!(field::<String>(&[0xc4, 1, b'x']), (String::new(), "type".into(), "must be a text, not binary".into()));
        assert_eq!(field::<u8>(&[1, 2]).2, "is followed by bytes that belong to nothing");
        assert_eq!(field::<(u8, u8)>(&[0x93, 1, 2, 3]).1, "length");
    }

    #[test]
    fn depth_and_promises_end_with_an_error() {
        assert_eq!(field::<serde_json::Value>(&vec![0x91; 100_000]).2, "is nested too deep");
        assert_eq!(field::<Vec<u64>>(&[0xdd, 0xff, 0xff, 0xff, 0xff, 1]).2, "the bytes end within a value");
    }

    #[test]
    fn an_integer_may_stand_for_an_equal_float() {
        let event = encode(&json!({"type": "progress.reported", "at": 1, "fraction": 1, "message": ""}));
        let progress = RunEvent::ProgressReported { at: crate::value::Millis(1), fraction: 1.0, message: String::new() };
        assert_eq!(decode::<RunEvent>(&event), Ok(progress));
    }

    proptest::proptest! {
        #[test]
        fn any_json_decodes_to_itself(text in "[a-z]{0,8}", number: i32, float in -1e9..1e9, list: Vec<bool>) {
            let value = json!({"text": text, "more": [null, number, {"float": float, "list": list}]});
            proptest::prop_assert_eq!(decode::<serde_json::Value>(&encode(&value)).unwrap(), value);
        }

        #[test]
        fn any_bytes_decode_or_are_refused(bytes: Vec<u8>) {
            let _ = decode::<serde_json::Value>(&bytes);
            let _ = decode::<RunEvent>(&bytes);
        }
    }
}
