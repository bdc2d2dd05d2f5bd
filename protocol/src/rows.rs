//! Lists and live changes, put together from rows that are encoded already: a row is encoded once, however many read it.

use crate::pack::{put_array_head, put_map_head, put_nil, put_text, put_unsigned};

/// A list's output: `{items, next?, total?}`.
///
/// ```
/// use crewline_protocol::{read::Page, rows::page, value::{decode, encode}};
///
/// let rows = [encode(&1), encode(&2)];
/// let bytes = page(rows.iter().map(Vec::as_slice), Some("cursor"), None);
/// let expected = Page { items: vec![1, 2], next: Some("cursor".to_owned()), total: None };
/// assert_eq!(decode::<Page<i32>>(&bytes), Ok(expected));
/// ```
pub fn page<'a>(items: impl ExactSizeIterator<Item = &'a [u8]>, next: Option<&str>, total: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    put_map_head(&mut out, count(1 + usize::from(next.is_some()) + usize::from(total.is_some())));
    put_text(&mut out, "items");
    put_array_head(&mut out, count(items.len()));
    items.for_each(|item| out.extend_from_slice(item));
    if let Some(next) = next {
        put_text(&mut out, "next");
        put_text(&mut out, next);
    }
    if let Some(total) = total {
        put_text(&mut out, "total");
        put_unsigned(&mut out, total);
    }
    out
}

/// Changes of a live query, as the `events` of its frames have them.
#[derive(Debug, Default)]
pub struct Changes {
    count: usize,
    bytes: Vec<u8>,
}

impl Changes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// `{put: row, before: id | nil}`
    pub fn put(&mut self, row: &[u8], before: Option<&str>) {
        self.begin(2, "put");
        self.bytes.extend_from_slice(row);
        put_text(&mut self.bytes, "before");
        self.optional(before);
    }
    /// `{remove: id}`
    pub fn remove(&mut self, id: &str) {
        self.begin(1, "remove");
        put_text(&mut self.bytes, id);
    }
    /// `{value: output}`
    pub fn value(&mut self, output: &[u8]) {
        self.begin(1, "value");
        self.bytes.extend_from_slice(output);
    }
    /// `{next: cursor | nil}`
    pub fn next(&mut self, cursor: Option<&str>) {
        self.begin(1, "next");
        self.optional(cursor);
    }
    /// `{total: n}`
    pub fn total(&mut self, total: u64) {
        self.begin(1, "total");
        put_unsigned(&mut self.bytes, total);
    }
    /// All of them as one array.
    pub fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + 5);
        put_array_head(&mut out, count(self.count));
        out.extend_from_slice(&self.bytes);
        out
    }
    fn begin(&mut self, entries: usize, name: &str) {
        self.count += 1;
        put_map_head(&mut self.bytes, count(entries));
        put_text(&mut self.bytes, name);
    }
    fn optional(&mut self, value: Option<&str>) {
        match value {
            Some(value) => put_text(&mut self.bytes, value),
            None => put_nil(&mut self.bytes),
        }
    }
}

/// Nothing that is put together here has four billion parts.
fn count(parts: usize) -> u32 {
    u32::try_from(parts).unwrap_or(u32::MAX)
}
