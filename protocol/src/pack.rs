//! MessagePack by hand: the head of a value, past a value, and the few things that this crate writes itself.

use rmp::Marker;

use crate::frame::Malformed;

const TRUNCATED: Malformed = Malformed("the bytes end within a value");

/// The head of a value: all of a scalar, or how many elements or entries follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Head<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    /// Below zero: what is not is `Unsigned`, however it was encoded.
    Negative(i64),
    Float(f64),
    /// A text's bytes, which may not be UTF-8.
    Text(&'a [u8]),
    Binary(&'a [u8]),
    Array(u32),
    Map(u32),
}

impl Head<'_> {
    /// The integer, where it is one that every client can hold exactly.
    pub(crate) fn integer(self) -> Option<i64> {
        let integer = match self {
            Self::Unsigned(value) => i64::try_from(value).ok()?,
            Self::Negative(value) => value,
            _ => return None,
        };
        (-crate::value::MAX_INTEGER..=crate::value::MAX_INTEGER).contains(&integer).then_some(integer)
    }

    /// How many values follow that belong to it.
    pub(crate) fn children(self) -> u64 {
        match self {
            Self::Array(count) => count.into(),
            Self::Map(count) => 2 * u64::from(count),
            _ => 0,
        }
    }
}

/// Takes a value's head off the bytes.
#[inline]
pub(crate) fn head<'a>(rest: &mut &'a [u8]) -> Result<Head<'a>, Malformed> {
    let (&marker, tail) = rest.split_first().ok_or(TRUNCATED)?;
    *rest = tail;
    Ok(match Marker::from_u8(marker) {
        Marker::FixPos(value) => Head::Unsigned(value.into()),
        Marker::FixNeg(value) => Head::Negative(value.into()),
        Marker::FixStr(length) => Head::Text(bytes(rest, length.into())?),
        Marker::FixMap(count) => Head::Map(count.into()),
        Marker::FixArray(count) => Head::Array(count.into()),
        Marker::Null => Head::Nil,
        Marker::False => Head::Bool(false),
        Marker::True => Head::Bool(true),
        Marker::U8 => Head::Unsigned(u8::from_be_bytes(chunk(rest)?).into()),
        Marker::U16 => Head::Unsigned(u16::from_be_bytes(chunk(rest)?).into()),
        Marker::U32 => Head::Unsigned(u32::from_be_bytes(chunk(rest)?).into()),
        Marker::U64 => Head::Unsigned(u64::from_be_bytes(chunk(rest)?)),
        Marker::I8 => signed(i8::from_be_bytes(chunk(rest)?).into()),
        Marker::I16 => signed(i16::from_be_bytes(chunk(rest)?).into()),
        Marker::I32 => signed(i32::from_be_bytes(chunk(rest)?).into()),
        Marker::I64 => signed(i64::from_be_bytes(chunk(rest)?)),
        Marker::F32 => Head::Float(f32::from_be_bytes(chunk(rest)?).into()),
        Marker::F64 => Head::Float(f64::from_be_bytes(chunk(rest)?)),
        Marker::Str8 => Head::Text(sized(rest, |rest| Ok(u8::from_be_bytes(chunk(rest)?).into()))?),
        Marker::Str16 => Head::Text(sized(rest, |rest| Ok(u16::from_be_bytes(chunk(rest)?).into()))?),
        Marker::Str32 => Head::Text(sized(rest, |rest| Ok(u32::from_be_bytes(chunk(rest)?)))?),
        Marker::Bin8 => Head::Binary(sized(rest, |rest| Ok(u8::from_be_bytes(chunk(rest)?).into()))?),
        Marker::Bin16 => Head::Binary(sized(rest, |rest| Ok(u16::from_be_bytes(chunk(rest)?).into()))?),
        Marker::Bin32 => Head::Binary(sized(rest, |rest| Ok(u32::from_be_bytes(chunk(rest)?)))?),
        Marker::Array16 => Head::Array(u16::from_be_bytes(chunk(rest)?).into()),
        Marker::Array32 => Head::Array(u32::from_be_bytes(chunk(rest)?)),
        Marker::Map16 => Head::Map(u16::from_be_bytes(chunk(rest)?).into()),
        Marker::Map32 => Head::Map(u32::from_be_bytes(chunk(rest)?)),
        Marker::Reserved => return Err(Malformed("the marker c1 is no value")),
        Marker::Ext8
        | Marker::Ext16
        | Marker::Ext32
        | Marker::FixExt1
        | Marker::FixExt2
        | Marker::FixExt4
        | Marker::FixExt8
        | Marker::FixExt16 => return Err(Malformed("extension types are not used")),
    })
}

/// Goes past one whole value. One count of what is still to come is all it keeps, so that depth costs nothing.
pub(crate) fn skip(rest: &mut &[u8]) -> Result<(), Malformed> {
    let mut left: u64 = 1;
    while left > 0 {
        left = (left - 1).saturating_add(head(rest)?.children());
    }
    Ok(())
}

/// Takes one whole value off the bytes.
pub(crate) fn value<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let start = *rest;
    skip(rest)?;
    Ok(&start[..start.len() - rest.len()])
}

pub(crate) fn put_unsigned(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(value.to_be_bytes()[7]);
    } else if let Ok(value) = u8::try_from(value) {
        out.extend_from_slice(&[0xcc, value]);
    } else if let Ok(value) = u16::try_from(value) {
        put(out, 0xcd, &value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        put(out, 0xce, &value.to_be_bytes());
    } else {
        put(out, 0xcf, &value.to_be_bytes());
    }
}

pub(crate) fn put_integer(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = u64::try_from(value) {
        put_unsigned(out, value);
    } else if value >= -32 {
        out.push(value.to_be_bytes()[7]);
    } else if let Ok(value) = i8::try_from(value) {
        put(out, 0xd0, &value.to_be_bytes());
    } else if let Ok(value) = i16::try_from(value) {
        put(out, 0xd1, &value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        put(out, 0xd2, &value.to_be_bytes());
    } else {
        put(out, 0xd3, &value.to_be_bytes());
    }
}

/// A text; one of 4 GiB or more would be cut, which no message can hold.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_text_head(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_text_head(out: &mut Vec<u8>, length: usize) {
    if let Some(short) = u8::try_from(length).ok().filter(|short| *short < 32) {
        out.push(0xa0 | short);
    } else if let Ok(length) = u8::try_from(length) {
        out.extend_from_slice(&[0xd9, length]);
    } else if let Ok(length) = u16::try_from(length) {
        put(out, 0xda, &length.to_be_bytes());
    } else {
        put(out, 0xdb, &u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
}

pub(crate) fn put_array_head(out: &mut Vec<u8>, count: u32) {
    if let Some(short) = u8::try_from(count).ok().filter(|short| *short < 16) {
        out.push(0x90 | short);
    } else if let Ok(count) = u16::try_from(count) {
        put(out, 0xdc, &count.to_be_bytes());
    } else {
        put(out, 0xdd, &count.to_be_bytes());
    }
}

fn put(out: &mut Vec<u8>, marker: u8, bytes: &[u8]) {
    out.push(marker);
    out.extend_from_slice(bytes);
}

fn signed<'a>(value: i64) -> Head<'a> {
    u64::try_from(value).map_or(Head::Negative(value), Head::Unsigned)
}

fn chunk<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (chunk, tail) = rest.split_first_chunk::<N>().ok_or(TRUNCATED)?;
    *rest = tail;
    Ok(*chunk)
}

fn sized<'a>(rest: &mut &'a [u8], length: impl FnOnce(&mut &'a [u8]) -> Result<u32, Malformed>) -> Result<&'a [u8], Malformed> {
    let length = length(rest)?;
    bytes(rest, length as usize)
}

fn bytes<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (bytes, tail) = rest.split_at_checked(length).ok_or(TRUNCATED)?;
    *rest = tail;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_and_texts_are_written_as_the_reference_writes_them(unsigned: u64, shift in 0..64_u32, signed: i64, text in ".{0,300}") {
            let (unsigned, signed) = (unsigned >> shift, signed >> shift);
            let mut ours = Vec::new();
            put_unsigned(&mut ours, unsigned);
            put_integer(&mut ours, signed);
            put_text(&mut ours, &text);
            let mut theirs = Vec::new();
            rmp::encode::write_uint(&mut theirs, unsigned).unwrap();
            rmp::encode::write_sint(&mut theirs, signed).unwrap();
            rmp::encode::write_str(&mut theirs, &text).unwrap();
            prop_assert_eq!(&ours, &theirs);
        }
    }

    #[test]
    fn a_head_that_promises_more_than_there_is_ends_at_once() {
        for (bytes, left) in [(&[0xdd, 0xff, 0xff, 0xff, 0xff][..], 0), (&[0xdf, 0xff, 0xff, 0xff, 0xff, 0xc0], 0), (&[0xa1], 0)] {
            let mut rest = bytes;
            assert_eq!(skip(&mut rest), Err(TRUNCATED));
            assert_eq!(rest.len(), left);
        }
    }
}
