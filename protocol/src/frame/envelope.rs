//! A frame's array, element by element: as it is read, with the scan of each body, and as it is written.

use super::{Body, Malformed};
use crate::{
    OPERATIONS,
    pack::{self, Head},
    scan::{self, Flaw, Rule, Rules, Scanner},
};

/// A frame that is being read: the array's elements, one after another.
pub(super) struct Envelope<'m, 'a> {
    rest: &'m mut &'a [u8],
    left: u32,
    scanner: Scanner,
}

impl<'m, 'a> Envelope<'m, 'a> {
    /// Reads the array's head and the kind.
    pub(super) fn open(rest: &'m mut &'a [u8], rules: Rules) -> Result<(Self, i64), Malformed> {
        if rest.is_empty() {
            return Err(Malformed("the message is empty"));
        }
        let Head::Array(left) = pack::head(rest)? else { return Err(Malformed("the frame is not an array")) };
        let mut scanner = Scanner::new(rules);
        scanner.count(1 + u64::from(left))?;
        let mut envelope = Self { rest, left, scanner };
        let kind = envelope.integer()?;
        Ok((envelope, kind))
    }
    #[inline]
    fn element(&mut self) -> Result<(), Malformed> {
        self.left = self.left.checked_sub(1).ok_or(Malformed("the frame lacks elements"))?;
        Ok(())
    }
    #[inline]
    fn head(&mut self) -> Result<Head<'a>, Malformed> {
        self.element()?;
        pack::head(self.rest)
    }
    #[inline]
    pub(super) fn integer(&mut self) -> Result<i64, Malformed> {
        self.head()?.integer().ok_or(Malformed("an integer is expected, within ±(2^53 − 1)"))
    }
    #[inline]
    pub(super) fn id(&mut self) -> Result<u64, Malformed> {
        self.id_or_zero().and_then(|id| if id == 0 { Err(Malformed("an id counts from 1")) } else { Ok(id) })
    }
    #[inline]
    pub(super) fn id_or_zero(&mut self) -> Result<u64, Malformed> {
        u64::try_from(self.integer()?).map_err(|_| Malformed("an id is below zero"))
    }
    pub(super) fn position(&mut self) -> Result<i64, Malformed> {
        self.integer().and_then(|position| if position < 0 { Err(Malformed("a position is below zero")) } else { Ok(position) })
    }
    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let Head::Text(text) = self.head()? else { return Err(Malformed("an operation is named by a text")) };
        std::str::from_utf8(text).map_err(|_| Malformed("a text is not UTF-8"))
    }
    #[inline]
    pub(super) fn body(&mut self) -> Result<Body<'a>, Malformed> {
        self.element()?;
        let start = *self.rest;
        let flaw = self.scanner.value(self.rest, 1)?;
        Ok(Body { bytes: &start[..start.len() - self.rest.len()], flaw })
    }
    /// A body that is to be a map; one that is not has that flaw before any other.
    #[inline]
    pub(super) fn map(&mut self) -> Result<Body<'a>, Malformed> {
        let is_map = matches!(self.rest.first(), Some(0x80..=0x8f | 0xde | 0xdf));
        let body = self.body()?;
        Ok(if is_map { body } else { Body { flaw: Some(Flaw::not_a_map()), ..body } })
    }
    /// An operation's input. Few may hold `bin`: only where it was found is it asked whether this is one, and looked for other flaws.
    #[inline]
    pub(super) fn input(&mut self, operation: &str) -> Result<Body<'a>, Malformed> {
        let input = self.map()?;
        let flaw = match input.flaw {
            Some(Flaw { rule: Rule::NoBinary, .. }) if takes_binary(operation) => {
                scan::value(input.bytes, 1, Rules { binary: true, ..Rules::CLIENT })?
            }
            flaw => flaw,
        };
        Ok(Body { flaw, ..input })
    }
    /// Options, which may be left out, or be `nil`.
    #[inline]
    pub(super) fn options(&mut self) -> Result<Option<Body<'a>>, Malformed> {
        if self.left == 0 {
            return Ok(None);
        }
        self.map().map(|options| (options.bytes != [0xc0]).then_some(options))
    }
    /// Goes past the elements that this version does not know.
    pub(super) fn close(mut self) -> Result<(), Malformed> {
        while self.left > 0 {
            self.body()?;
        }
        Ok(())
    }
}

fn takes_binary(operation: &str) -> bool {
    OPERATIONS.iter().any(|spec| spec.binary && spec.name == operation)
}

/// A frame that is being written.
pub(super) struct Started<'m>(&'m mut Vec<u8>);

/// Begins a frame: `elements` follow its kind, of which `ids` are the first.
pub(super) fn start<'m>(message: &'m mut Vec<u8>, kind: u8, elements: u8, ids: &[u64]) -> Started<'m> {
    pack::put_array_head(message, 1 + u32::from(elements));
    pack::put_unsigned(message, kind.into());
    for id in ids {
        pack::put_unsigned(message, *id);
    }
    Started(message)
}

impl Started<'_> {
    pub(super) fn integer(&mut self, value: i64) {
        pack::put_integer(self.0, value);
    }
    pub(super) fn text(&mut self, text: &str) {
        pack::put_text(self.0, text);
    }
    pub(super) fn body(&mut self, body: Body<'_>) {
        self.0.extend_from_slice(body.bytes);
    }
    pub(super) fn options(&mut self, options: Option<Body<'_>>) {
        if let Some(options) = options {
            self.body(options);
        }
    }
}
