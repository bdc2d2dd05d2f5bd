//! The scan that runs before any decode: iterative, so that depth costs no stack, and counted from the heads, so that a value
//! that promises millions of elements is refused before one of them is read.

use std::fmt::Write;

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

/// A body that is whole but breaks a rule for values: its request gets `invalid`, the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaw {
    /// Which rule.
    pub rule: Rule,
    /// Where in the body, in bytes.
    at: usize,
}

/// The rules for values. Breaking one costs the request, not the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// No map has a key twice.
    DuplicateKey,
    /// Keys are text.
    TextKey,
    /// No text holds U+0000.
    NoNul,
    /// Numbers are finite.
    Finite,
    /// Integers are within ±(2^53 − 1).
    SafeInteger,
    /// `bin` stands only where an operation says so.
    NoBinary,
    /// A body, options or a target is a map.
    Map,
}

impl Flaw {
    pub(crate) fn not_a_map() -> Self {
        Self { rule: Rule::Map, at: 0 }
    }

    /// The path of what is flawed in the body, as `items[2].name`; empty for the whole. It walks the body again: faults are rare.
    pub fn path(self, body: &[u8]) -> String {
        path(body, self.at).unwrap_or_default()
    }
}

impl Rule {
    /// The code of the field's fault.
    pub const fn code(self) -> &'static str {
        match self {
            Self::DuplicateKey => "duplicate",
            Self::TextKey | Self::NoBinary | Self::Map => "type",
            Self::NoNul => "pattern",
            Self::Finite | Self::SafeInteger => "range",
        }
    }

    /// What is wrong, for people.
    pub const fn message(self) -> &'static str {
        match self {
            Self::DuplicateKey => "stands twice in the same map",
            Self::TextKey => "a key is not text",
            Self::NoNul => "holds U+0000, which text may not",
            Self::Finite => "is not a finite number",
            Self::SafeInteger => "is an integer outside ±(2^53 − 1)",
            Self::NoBinary => "is binary, where text or another type is expected",
            Self::Map => "is not a map",
        }
    }
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
    pub(crate) fn value(&mut self, rest: &mut &[u8], above: usize) -> Result<Option<Flaw>, Malformed> {
        let body = *rest;
        let mut flaw = None;
        let head = pack::head(rest)?;
        if !matches!(head, Head::Array(_) | Head::Map(_)) {
            self.scalar(head, 0, &mut flaw)?;
            return Ok(flaw);
        }
        let mut levels = [Level::default(); DEPTH];
        let mut open = 0;
        let mut keys = Keys::default();
        let mut entered = head;
        loop {
            self.count(entered.children())?;
            let level = levels.get_mut(open).filter(|_| above + open < DEPTH).ok_or(Malformed("the frame is nested too deep"))?;
            *level = match entered {
                // `count` has just bounded twice the entries by what a frame may hold.
                Head::Map(count) => Level { left: 2 * count, map: true, watch: keys.enter(count) },
                Head::Array(count) => Level { left: count, ..Level::default() },
                _ => Level::default(),
            };
            open += 1;
            // On to the next array or map, leaving those that have ended.
            entered = loop {
                let Some(level) = levels[..open].last_mut() else { return Ok(flaw) };
                if level.left == 0 {
                    keys.leave(level.watch, body, &mut flaw);
                    open -= 1;
                    continue;
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
                    Head::Array(_) | Head::Map(_) => break head,
                    scalar => self.scalar(scalar, at, &mut flaw)?,
                }
            };
        }
    }

    fn scalar(&self, head: Head, at: usize, flaw: &mut Option<Flaw>) -> Result<(), Malformed> {
        match head {
            Head::Text(text) => {
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

/// Keeps the first flaw found.
fn note(flaw: &mut Option<Flaw>, rule: Rule, at: usize) {
    flaw.get_or_insert(Flaw { rule, at });
}

/// The path of the value or key at a place in the body; `None` where the body ends before it.
fn path(body: &[u8], at: usize) -> Option<String> {
    let place = |rest: &[u8]| body.len() - rest.len();
    let mut path = String::new();
    let mut rest = body;
    'inside: while place(rest) < at {
        match pack::head(&mut rest).ok()? {
            Head::Array(count) => {
                for index in 0..count {
                    let element = rest;
                    pack::skip(&mut rest).ok()?;
                    if at < place(rest) {
                        let _ = write!(path, "[{index}]");
                        rest = element;
                        continue 'inside;
                    }
                }
                return None;
            }
            Head::Map(count) => {
                for _ in 0..count {
                    let key = pack::value(&mut rest).ok()?;
                    let key_end = place(rest);
                    let value = rest;
                    pack::skip(&mut rest).ok()?;
                    if at >= place(rest) {
                        continue;
                    }
                    if let Ok(Head::Text(key)) = pack::head(&mut &*key) {
                        let dot = if path.is_empty() { "" } else { "." };
                        let _ = write!(path, "{dot}{}", String::from_utf8_lossy(key));
                    }
                    if at < key_end {
                        return Some(path);
                    }
                    rest = value;
                    continue 'inside;
                }
                return None;
            }
            _ => return None,
        }
    }
    Some(path)
}

/// An array or map that is being scanned.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// Values still to come, of a map the keys too.
    left: u32,
    map: bool,
    watch: Watch,
}

/// How a map's keys are compared.
#[derive(Debug, Clone, Copy, Default)]
enum Watch {
    /// Not at all: an array, or a map that has no two keys.
    #[default]
    Nothing,
    /// Each with those before it, from this place among the few.
    Each(u8),
    /// All at the end, sorted, from this place among the many.
    AtEnd(u32),
}

/// A map of up to this many keys has each compared with all before it, which costs less than anything smarter.
const FEW: u32 = 16;

/// The keys of the maps that are open, innermost last, as places in the body: small maps allocate nothing, and large ones are
/// sorted, which no choice of keys makes slow.
#[derive(Debug, Default)]
struct Keys {
    few: [Key; 2 * FEW as usize],
    few_used: u8,
    many: Vec<Key>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Key {
    start: u32,
    length: u32,
}

impl Key {
    fn text(self, body: &[u8]) -> &[u8] {
        &body[self.start as usize..][..self.length as usize]
    }
}

impl Keys {
    fn enter(&self, count: u32) -> Watch {
        let room = self.few.len() - usize::from(self.few_used);
        match count {
            0 | 1 => Watch::Nothing,
            2..=FEW if count as usize <= room => Watch::Each(self.few_used),
            _ => Watch::AtEnd(u32::try_from(self.many.len()).unwrap_or(u32::MAX)),
        }
    }

    fn add(&mut self, watch: Watch, body: &[u8], text: &[u8], end: usize, flaw: &mut Option<Flaw>) -> Result<(), Malformed> {
        let start = end - text.len();
        let place = |value| u32::try_from(value).map_err(|_| Malformed("the frame is larger than any message"));
        let key = Key { start: place(start)?, length: place(text.len())? };
        match watch {
            Watch::Nothing => {}
            Watch::Each(from) => {
                let used = usize::from(self.few_used);
                if self.few[usize::from(from)..used].iter().any(|earlier| earlier.text(body) == text) {
                    note(flaw, Rule::DuplicateKey, start);
                }
                self.few[used] = key;
                self.few_used += 1;
            }
            Watch::AtEnd(_) => self.many.push(key),
        }
        Ok(())
    }

    fn leave(&mut self, watch: Watch, body: &[u8], flaw: &mut Option<Flaw>) {
        match watch {
            Watch::Nothing => {}
            Watch::Each(from) => self.few_used = from,
            Watch::AtEnd(from) => {
                let keys = &mut self.many[from as usize..];
                keys.sort_unstable_by(|a, b| a.text(body).cmp(b.text(body)).then(a.start.cmp(&b.start)));
                let twice = keys.windows(2).filter(|pair| pair[0].text(body) == pair[1].text(body)).map(|pair| pair[1].start).min();
                if let Some(start) = twice {
                    note(flaw, Rule::DuplicateKey, start as usize);
                }
                self.many.truncate(from as usize);
            }
        }
    }
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
