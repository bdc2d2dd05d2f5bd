//! MessagePack by hand: the head of a value, past a value, and the few things that this crate writes itself.

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
#[inline(always)]
pub(crate) fn head<'a>(rest: &mut &'a [u8]) -> Result<Head<'a>, Malformed> {
    let (&marker, tail) = rest.split_first().ok_or(TRUNCATED)?;
    *rest = tail;
    Ok(match marker {
        0x00..=0x7f => Head::Unsigned(marker.into()),
        0x80..=0x8f => Head::Map((marker & 0x0f).into()),
        0x90..=0x9f => Head::Array((marker & 0x0f).into()),
        0xa0..=0xbf => Head::Text(bytes(rest, (marker & 0x1f).into())?),
        0xc0 => Head::Nil,
        0xc1 => return Err(Malformed("the marker c1 is no value")),
        0xc2 => Head::Bool(false),
        0xc3 => Head::Bool(true),
        0xc4 => Head::Binary(sized(u8::from_be_bytes(chunk(rest)?).into(), rest)?),
        0xc5 => Head::Binary(sized(u16::from_be_bytes(chunk(rest)?).into(), rest)?),
        0xc6 => Head::Binary(sized(u32::from_be_bytes(chunk(rest)?), rest)?),
        0xca => Head::Float(f32::from_be_bytes(chunk(rest)?).into()),
        0xcb => Head::Float(f64::from_be_bytes(chunk(rest)?)),
        0xcc => Head::Unsigned(u8::from_be_bytes(chunk(rest)?).into()),
        0xcd => Head::Unsigned(u16::from_be_bytes(chunk(rest)?).into()),
        0xce => Head::Unsigned(u32::from_be_bytes(chunk(rest)?).into()),
        0xcf => Head::Unsigned(u64::from_be_bytes(chunk(rest)?)),
        0xd0 => signed(i8::from_be_bytes(chunk(rest)?).into()),
        0xd1 => signed(i16::from_be_bytes(chunk(rest)?).into()),
        0xd2 => signed(i32::from_be_bytes(chunk(rest)?).into()),
        0xd3 => signed(i64::from_be_bytes(chunk(rest)?)),
        0xc7..=0xc9 | 0xd4..=0xd8 => return Err(Malformed("extension types are not used")),
        0xd9 => Head::Text(sized(u8::from_be_bytes(chunk(rest)?).into(), rest)?),
        0xda => Head::Text(sized(u16::from_be_bytes(chunk(rest)?).into(), rest)?),
        0xdb => Head::Text(sized(u32::from_be_bytes(chunk(rest)?), rest)?),
        0xdc => Head::Array(u16::from_be_bytes(chunk(rest)?).into()),
        0xdd => Head::Array(u32::from_be_bytes(chunk(rest)?)),
        0xde => Head::Map(u16::from_be_bytes(chunk(rest)?).into()),
        0xdf => Head::Map(u32::from_be_bytes(chunk(rest)?)),
        0xe0..=0xff => Head::Negative(i64::from(marker) - 256),
    })
}

/// Goes past one whole value.
pub(crate) fn skip(rest: &mut &[u8]) -> Result<(), Malformed> {
    skip_values(1, rest)
}

/// Goes past so many whole values. One count of what is still to come is all it keeps, so that depth costs nothing.
pub(crate) fn skip_values(count: u64, rest: &mut &[u8]) -> Result<(), Malformed> {
    let mut left = count;
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

pub(crate) fn put_nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

pub(crate) fn put_map_head(out: &mut Vec<u8>, count: u32) {
    if let Some(short) = u8::try_from(count).ok().filter(|short| *short < 16) {
        out.push(0x80 | short);
    } else if let Ok(count) = u16::try_from(count) {
        put(out, 0xde, &count.to_be_bytes());
    } else {
        put(out, 0xdf, &count.to_be_bytes());
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

#[inline]
fn signed<'a>(value: i64) -> Head<'a> {
    u64::try_from(value).map_or(Head::Negative(value), Head::Unsigned)
}

#[inline]
fn chunk<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (chunk, tail) = rest.split_first_chunk::<N>().ok_or(TRUNCATED)?;
    *rest = tail;
    Ok(*chunk)
}

#[inline]
fn sized<'a>(length: u32, rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    bytes(rest, length as usize)
}

#[inline]
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
