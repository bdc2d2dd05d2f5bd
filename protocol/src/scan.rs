//! The scan that runs before any decode: iterative, so that depth costs no stack, and counted from the heads, so that a value
//! that promises millions of elements is refused before one of them is read.

mod flaw;
mod keys;

pub use self::flaw::{Flaw, Rule};
use self::{
    flaw::note,
    keys::{Keys, Watch},
};
use crate::{
    frame::Malformed,
    pack::{self, Head},
    value::MAX_INTEGER,
};

/// How deep arrays and maps may stand in each other, the frame itself counted as 1. A decoder recurses once a level: this much is
/// safe on a small stack.
pub const DEPTH: usize = 32;
/// How many values a client's frame may hold, keys and the frame itself counted. An untyped value takes a hundred bytes and more
/// once decoded: this bounds what a megabyte of nils can turn into.
pub const NODES: u32 = 10_000;
/// Bytes of a key in a client's frame.
pub const KEY_BYTES: usize = 256;

/// What a scan bounds besides depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How many values a frame may hold.
    pub nodes: u32,
    /// How many bytes a key may have.
    pub key_bytes: usize,
    /// Whether `bin` may stand in it.
    pub binary: bool,
}

impl Rules {
    /// For what a client sends.
    pub const CLIENT: Self = Self { nodes: NODES, key_bytes: KEY_BYTES, binary: false };
    /// For what a server sends: long lists are bounded by the message's bytes alone.
    pub const SERVER: Self = Self { nodes: 1 << 20, key_bytes: usize::MAX, binary: true };
}

/// Scans one value that stands alone, such as an event or a row about to be stored, `above` levels deep in the frames that will
/// carry it. Returns the first rule for values that it breaks.
///
/// # Errors
/// Where the bytes are not exactly one value within `rules`.
pub fn value(bytes: &[u8], above: usize, rules: Rules) -> Result<Option<Flaw>, Malformed> {
    let mut rest = bytes;
    let flaw = Scanner::new(rules).value(&mut rest, above)?;
    if rest.is_empty() { Ok(flaw) } else { Err(Malformed("there are bytes after the value")) }
}

/// The scan of one frame: what it may still hold.
#[derive(Debug)]
pub(crate) struct Scanner {
    rules: Rules,
    nodes: u32,
}

impl Scanner {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, nodes: rules.nodes }
    }

    /// Counts `more` values.
    pub(crate) fn count(&mut self, more: u64) -> Result<(), Malformed> {
        let left = u64::from(self.nodes).checked_sub(more).and_then(|left| u32::try_from(left).ok());
        self.nodes = left.ok_or(Malformed("the frame holds too many values"))?;
        Ok(())
    }

    /// Takes a value, already counted by its parent, off `rest`; `above` arrays and maps stand around it.
    #[inline]
    pub(crate) fn value(&mut self, rest: &mut &[u8], above: usize) -> Result<Option<Flaw>, Malformed> {
        let body = *rest;
        let mut flaw = None;
        match pack::head(rest)? {
            Head::Map(count @ ..=SHORT) if above < DEPTH && self.short(count, rest) => Ok(None),
            head @ (Head::Array(1..) | Head::Map(1..)) => self.inside(head, body, rest, above),
            Head::Array(_) | Head::Map(_) if above >= DEPTH => Err(TOO_DEEP),
            scalar => self.scalar(scalar, 0, &mut flaw).map(|()| flaw),
        }
    }

    /// The whole scan of what most bodies are: a map of few entries, each a plain text or scalar. Where it finds anything else it
    /// says `false` and has taken nothing: the long way looks again.
    #[inline]
    fn short(&mut self, count: u32, rest: &mut &[u8]) -> bool {
        let mut ahead = *rest;
        let mut keys: [&[u8]; SHORT as usize] = [&[]; SHORT as usize];
        for place in 0..count as usize {
            let Ok(Head::Text(key)) = pack::head(&mut ahead) else { return false };
            if key.len() > SHORT_KEY || !is_plain(key) || keys[..place].contains(&key) {
                return false;
            }
            keys[place] = key;
            match pack::head(&mut ahead) {
                Ok(Head::Nil | Head::Bool(_) | Head::Unsigned(..=0xffff_ffff)) => {}
                Ok(Head::Text(text)) if is_plain(text) => {}
                _ => return false,
            }
        }
        if self.count(2 * u64::from(count)).is_err() {
            return false;
        }
        *rest = ahead;
        true
    }

    /// The scan of an array or map and of all that it holds. The innermost that is open is kept at hand, those around it wait in
    /// a stack as high as a frame may be deep.
    fn inside(&mut self, first: Head, body: &[u8], rest: &mut &[u8], above: usize) -> Result<Option<Flaw>, Malformed> {
        let mut flaw = None;
        let mut around = [Level::default(); DEPTH];
        let mut height = 0;
        let mut keys = Keys::default();
        if above >= DEPTH {
            return Err(TOO_DEEP);
        }
        let mut level = self.enter(first, &mut keys)?;
        loop {
            while level.left == 0 {
                keys.leave(level.watch, body, &mut flaw);
                if height == 0 {
                    return Ok(flaw);
                }
                height -= 1;
                level = around[height];
            }
            level.left -= 1;
            let at = body.len() - rest.len();
            let head = pack::head(rest)?;
            // A map counts keys and values down together from an even number: what leaves an odd one is a key.
            if level.map && level.left % 2 == 1 {
                match head {
                    Head::Text(key) if key.len() > self.rules.key_bytes => return Err(Malformed("a key is too long")),
                    Head::Text(key) => keys.add(level.watch, body, key, body.len() - rest.len(), &mut flaw)?,
                    _ => note(&mut flaw, Rule::TextKey, at),
                }
            }
            match head {
                Head::Array(_) | Head::Map(_) => {
                    around[height] = level;
                    height += 1;
                    if above + height >= DEPTH {
                        return Err(TOO_DEEP);
                    }
                    level = self.enter(head, &mut keys)?;
                }
                scalar => self.scalar(scalar, at, &mut flaw)?,
            }
        }
    }

    fn enter(&mut self, head: Head, keys: &mut Keys) -> Result<Level, Malformed> {
        self.count(head.children())?;
        Ok(match head {
            // `count` has just bounded twice the entries by what a frame may hold.
            Head::Map(count) => Level { left: 2 * count, map: true, watch: keys.enter(count) },
            Head::Array(count) => Level { left: count, ..Level::default() },
            _ => Level::default(),
        })
    }

    #[inline]
    fn scalar(&self, head: Head, at: usize, flaw: &mut Option<Flaw>) -> Result<(), Malformed> {
        match head {
            Head::Text(text) if !is_plain(text) => {
                if std::str::from_utf8(text).is_err() {
                    return Err(Malformed("a text is not UTF-8"));
                }
                if text.contains(&0) {
                    note(flaw, Rule::NoNul, at);
                }
            }
            Head::Float(value) if !value.is_finite() => note(flaw, Rule::Finite, at),
            Head::Unsigned(value) if value > MAX_INTEGER.unsigned_abs() => note(flaw, Rule::SafeInteger, at),
            Head::Negative(value) if value < -MAX_INTEGER => note(flaw, Rule::SafeInteger, at),
            Head::Binary(_) if !self.rules.binary => note(flaw, Rule::NoBinary, at),
            _ => {}
        }
        Ok(())
    }
}

/// Entries of a map that is scanned the short way.
const SHORT: u32 = 8;
/// Bytes of a key there; less than any rules allow.
const SHORT_KEY: usize = 64;

const TOO_DEEP: Malformed = Malformed("the frame is nested too deep");

/// Whether a text is ASCII without U+0000, as most are: told eight bytes at a time, instead of in two passes byte by byte.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let odd = words.iter().fold(0, |odd, word| odd | odd_bytes(*word));
    let odd = match (text.last_chunk(), rest) {
        (_, []) => odd,
        // The last eight, of which some were looked at before.
        (Some(last), _) => odd | odd_bytes(*last),
        (None, rest) => rest.iter().fold(odd, |odd, byte| odd | u64::from(byte.wrapping_sub(1) >= 0x7f)),
    };
    odd == 0
}

/// Not 0 where a byte of the eight is 0 or above 0x7f.
#[inline]
fn odd_bytes(bytes: [u8; 8]) -> u64 {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const ONES: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(bytes);
    // Taking 1 from each byte sets the high bit of a zero; of others only where a zero lower down borrows, which is odd already.
    (word | word.wrapping_sub(ONES)) & HIGH
}

/// An array or map that is being scanned.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// Values still to come, of a map the keys too.
    left: u32,
    map: bool,
    watch: Watch,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::encode;

    fn scan(bytes: &[u8]) -> Result<Option<(Rule, String)>, Malformed> {
        value(bytes, 1, Rules::CLIENT).map(|flaw| flaw.map(|flaw| (flaw.rule, flaw.path(bytes))))
    }

    fn map(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0xde, 0, 0];
        bytes[1..].copy_from_slice(&u16::try_from(entries.len()).unwrap().to_be_bytes());
        for (key, value) in entries {
            bytes.extend(encode(key));
            bytes.extend_from_slice(value);
        }
        bytes
    }

    #[test]
    fn rules_for_values_are_flaws_with_a_path() {
        let flaw = |rule, path: &str| Ok(Some((rule, path.to_owned())));
        let nan = [0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0];
        let large = [0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0];
        let lowest = [0xd3, 0xff, 0xe0, 0, 0, 0, 0, 0, 0];
        assert_eq!(scan(&map(&[("a", &[1]), ("b", &[2])])), Ok(None));
        assert_eq!(scan(&map(&[("a", &[1]), ("b", &[2]), ("a", &[3])])), flaw(Rule::DuplicateKey, "a"));
        assert_eq!(scan(&map(&[("a", &[0x92, 1, 0xa1, 0])])), flaw(Rule::NoNul, "a[1]"));
        assert_eq!(scan(&map(&[("a", &map(&[("b", &nan)]))])), flaw(Rule::Finite, "a.b"));
        assert_eq!(scan(&large), flaw(Rule::SafeInteger, ""));
        assert_eq!(scan(&map(&[("x", &lowest)])), flaw(Rule::SafeInteger, "x"));
        assert_eq!(scan(&map(&[("x", &[0xc4, 1, 0])])), flaw(Rule::NoBinary, "x"));
        assert_eq!(scan(&map(&[("x", &[0x81, 1, 2])])), flaw(Rule::TextKey, "x"));
        assert_eq!(scan(&[0xcf, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Ok(None));
    }

    #[test]
    fn a_key_that_stands_twice_is_found_in_maps_of_any_size() {
        for count in 2..60_usize {
            let names: Vec<String> = (0..count).map(|n| format!("key-{n}")).collect();
            let mut entries: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &[0xc0][..])).collect();
            assert_eq!(scan(&map(&entries)), Ok(None), "{count}");
            entries[count - 1].0 = &names[count / 2 - 1];
            let nested = map(&[("deep", &map(&entries)), ("z", &[1])]);
            assert_eq!(scan(&nested), Ok(Some((Rule::DuplicateKey, format!("deep.key-{}", count / 2 - 1)))), "{count}");
        }
    }

    #[test]
    fn keys_are_compared_within_their_own_map() {
        let mut nested = map(&[("a", &[1]), ("b", &[2])]);
        for _ in 0..28 {
            nested = map(&[("a", &[1]), ("b", &nested), ("c", &[3])]);
        }
        assert_eq!(scan(&nested), Ok(None));
    }

    #[test]
    fn limits_hold_at_n_and_fail_at_n_and_one_more() {
        let nested = |depth: usize| [vec![0x91; depth - 1], vec![0x90]].concat();
        assert_eq!(scan(&nested(DEPTH - 1)), Ok(None));
        assert_eq!(scan(&nested(DEPTH)), Err(Malformed("the frame is nested too deep")));
        let nils = |count: u16| [&[0xdc][..], &count.to_be_bytes(), &vec![0xc0; count.into()]].concat();
        let nodes = u16::try_from(NODES).unwrap();
        assert_eq!(scan(&nils(nodes)), Ok(None));
        assert_eq!(scan(&nils(nodes + 1)), Err(Malformed("the frame holds too many values")));
        let key = "k".repeat(KEY_BYTES + 1);
        assert_eq!(scan(&map(&[(&key[1..], &[1])])), Ok(None));
        assert_eq!(scan(&map(&[(&key, &[1])])), Err(Malformed("a key is too long")));
    }

    #[test]
    fn what_is_no_value_is_malformed() {
        assert_eq!(scan(&[0xc1]), Err(Malformed("the marker c1 is no value")));
        assert_eq!(scan(&[0x91, 0xd4, 1, 0]), Err(Malformed("extension types are not used")));
        assert_eq!(scan(&[0xa2, 0xff, 0xfe]), Err(Malformed("a text is not UTF-8")));
        assert_eq!(scan(&[0x81, 0xa1, 0xff, 1]), Err(Malformed("a text is not UTF-8")));
        assert_eq!(scan(&[1, 2]), Err(Malformed("there are bytes after the value")));
        for whole in [&map(&[("a", &[0x92, 1, 2])])[..], &encode("text"), &encode(&1.5)] {
            for cut in 0..whole.len() {
                assert_eq!(scan(&whole[..cut]), Err(Malformed("the bytes end within a value")), "{whole:?} at {cut}");
            }
        }
    }

    #[test]
    fn hostile_depth_and_size_need_no_stack() {
        let work = || {
            for marker in [0x91, 0x81, 0xdc, 0xdd, 0xde, 0xdf] {
                assert!(scan(&vec![marker; 1 << 20]).is_err());
            }
            assert!(scan(&[vec![0xdd, 0, 0x0f, 0xff, 0xff], vec![0xc0; 1 << 20]].concat()).is_err());
            let mut deep = vec![0xc0];
            for _ in 0..DEPTH - 1 {
                deep = map(&[("a", &deep), ("b", &[0xc0])]);
            }
            assert_eq!(scan(&deep), Ok(None));
            crate::decode::decode::<serde_json::Value>(&deep).expect("what passes the scan decodes on the same stack")
        };
        std::thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap().join().unwrap();
    }
}
