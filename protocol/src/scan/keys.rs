//! A map's keys while it is scanned: whether one stands twice.

use super::flaw::{Flaw, Rule, note};
use crate::frame::Malformed;

/// How a map's keys are compared.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Watch {
    /// Not at all: an array, or a map that has no two keys.
    #[default]
    Nothing,
    /// Each with those before it, from this place among the few.
    Each(u8),
    /// All at the end, sorted.
    AtEnd,
}

/// A map of up to this many keys has each compared with all before it, which costs less than anything smarter.
const FEW: u32 = 16;

/// The keys of the maps that are open, innermost last, as places in the body: small maps allocate nothing, and large ones are
/// sorted, which no choice of keys makes slow.
#[derive(Debug, Default)]
pub(super) struct Keys {
    few: [Key; 2 * FEW as usize],
    few_used: u8,
    many: Vec<Key>,
    /// Where among the many each large map begins.
    begun: Vec<usize>,
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
    /// How the keys of a map of `count` entries are to be compared.
    pub(super) fn enter(&mut self, count: u32) -> Watch {
        let room = self.few.len() - usize::from(self.few_used);
        match count {
            0 | 1 => Watch::Nothing,
            2..=FEW if count as usize <= room => Watch::Each(self.few_used),
            _ => {
                self.begun.push(self.many.len());
                Watch::AtEnd
            }
        }
    }

    /// Takes a key that ends at a place in the body.
    pub(super) fn add(&mut self, watch: Watch, body: &[u8], text: &[u8], end: usize, flaw: &mut Option<Flaw>) -> Result<(), Malformed> {
        let start = end - text.len();
        let place = |value| u32::try_from(value).map_err(|_| Malformed("the frame is larger than any message"));
        let key = Key { start: place(start)?, length: place(text.len())? };
        match watch {
            Watch::Nothing => {}
            Watch::Each(from) => {
                let used = usize::from(self.few_used);
                let earlier = &self.few[usize::from(from)..used];
                if earlier.iter().any(|earlier| earlier.length == key.length && earlier.text(body) == text) {
                    note(flaw, Rule::DuplicateKey, start);
                }
                self.few[used] = key;
                self.few_used += 1;
            }
            Watch::AtEnd => self.many.push(key),
        }
        Ok(())
    }

    /// Ends a map.
    pub(super) fn leave(&mut self, watch: Watch, body: &[u8], flaw: &mut Option<Flaw>) {
        match watch {
            Watch::Nothing => {}
            Watch::Each(from) => self.few_used = from,
            Watch::AtEnd => {
                let from = self.begun.pop().unwrap_or_default();
                let keys = &mut self.many[from..];
                keys.sort_unstable_by(|a, b| a.text(body).cmp(b.text(body)).then(a.start.cmp(&b.start)));
                let twice = keys.windows(2).filter(|pair| pair[0].text(body) == pair[1].text(body)).map(|pair| pair[1].start).min();
                if let Some(start) = twice {
                    note(flaw, Rule::DuplicateKey, start as usize);
                }
                self.many.truncate(from);
            }
        }
    }
}
