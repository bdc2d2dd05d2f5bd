//! A run's events as bytes: apart, by type, and merged for a subscriber, without decoding them. A log is stored and served as
//! encoded events one after another, and a server that follows it for a thousand readers touches each event once.

use bytes::Bytes;

use crate::{
    ROW_BYTES,
    frame::Malformed,
    pack::{self, Head},
};

/// The encoded events of a blob, one after another. An error ends it: the rest cannot be told apart.
pub fn slices(events: &[u8]) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    let mut rest = events;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let event = pack::value(&mut rest);
        if event.is_err() {
            rest = &[];
        }
        Some(event)
    })
}

/// An encoded event's type; `None` where it has none.
pub fn type_of(event: &[u8]) -> Option<&str> {
    let mut rest = event;
    let Head::Map(count) = pack::head(&mut rest).ok()? else { return None };
    for _ in 0..count {
        let key = pack::head(&mut rest).ok()?;
        if key == Head::Text(b"type") {
            let Head::Text(name) = pack::head(&mut rest).ok()? else { return None };
            return std::str::from_utf8(name).ok();
        }
        pack::skip(&mut rest).ok()?;
    }
    None
}

/// What a subscriber is sent of a blob of encoded events: a MessagePack array of those after the first `skip`, of the types in
/// `only` if given. Adjacent `text.delta` of one part become one, with the last's `at`, as long as it stays within what an event
/// may have; of `progress.reported` the last is kept. The same events always give the same bytes, and whoever folds them comes
/// to the same state as by the events themselves.
///
/// # Errors
/// Where the bytes are not whole values.
pub fn merge_deltas(events: &[u8], skip: usize, only: Option<&[String]>) -> Result<Bytes, Malformed> {
    let mut rest = events;
    for _ in 0..skip {
        if !rest.is_empty() {
            pack::skip(&mut rest)?;
        }
    }
    let mut wanted = Vec::new();
    let mut last_progress = None;
    while !rest.is_empty() {
        let event = Event::read(&mut rest)?;
        if only.is_some_and(|only| !only.iter().any(|only| only.as_bytes() == event.name)) {
            continue;
        }
        if event.name == b"progress.reported" {
            last_progress = Some(wanted.len());
        }
        wanted.push(event);
    }
    let mut out = Output::with_room_for(events.len());
    for (index, event) in wanted.into_iter().enumerate() {
        match event.delta {
            Some(delta) => out.delta(event.bytes, delta),
            None if event.name == b"progress.reported" && last_progress != Some(index) => {}
            None => out.event(event.bytes),
        }
    }
    Ok(out.finish())
}

/// An encoded event, as far as merging looks at it.
struct Event<'a> {
    bytes: &'a [u8],
    name: &'a [u8],
    /// Where it is a `text.delta` as this version writes it. One with anything else in it is passed on as it is.
    delta: Option<Delta<'a>>,
}

/// A `text.delta`.
struct Delta<'a> {
    at: i64,
    part: &'a [u8],
    text: &'a [u8],
}

impl<'a> Event<'a> {
    /// Takes an event off the bytes, each looked at once.
    fn read(rest: &mut &'a [u8]) -> Result<Self, Malformed> {
        let start = *rest;
        let (mut name, mut at, mut part, mut text) = (&[][..], None, None, None);
        let mut known = 0;
        let head = pack::head(rest)?;
        let Head::Map(count) = head else {
            pack::skip_values(head.children(), rest)?;
            return Ok(Self { bytes: &start[..start.len() - rest.len()], name, delta: None });
        };
        for _ in 0..count {
            let key = pack::head(rest)?;
            pack::skip_values(key.children(), rest)?;
            let value = pack::head(rest)?;
            pack::skip_values(value.children(), rest)?;
            known += 1;
            match (key, value) {
                (Head::Text(b"type"), Head::Text(value)) => name = value,
                (Head::Text(b"at"), value) => at = value.integer(),
                (Head::Text(b"part"), Head::Text(value)) => part = Some(value),
                (Head::Text(b"text"), Head::Text(value)) => text = Some(value),
                _ => known -= 1,
            }
        }
        let delta = match (at, part, text) {
            (Some(at), Some(part), Some(text)) if name == b"text.delta" && known == 4 && count == 4 => Some(Delta { at, part, text }),
            _ => None,
        };
        Ok(Self { bytes: &start[..start.len() - rest.len()], name, delta })
    }
}

impl Delta<'_> {
    fn write(&self, text: &[u8], out: &mut Vec<u8>) {
        out.push(0x84);
        pack::put_text(out, "type");
        pack::put_text(out, "text.delta");
        pack::put_text(out, "at");
        pack::put_integer(out, self.at);
        pack::put_text(out, "part");
        pack::put_text_head(out, self.part.len());
        out.extend_from_slice(self.part);
        pack::put_text(out, "text");
        pack::put_text_head(out, text.len());
        out.extend_from_slice(text);
    }
}

/// The array as it grows: room for its head, the events, and the deltas that may still become one.
struct Output<'a> {
    bytes: Vec<u8>,
    count: u32,
    open: Option<Open<'a>>,
}

/// Adjacent deltas of one part.
struct Open<'a> {
    first: &'a [u8],
    last: Delta<'a>,
    /// The texts joined, once there are two.
    joined: Option<Vec<u8>>,
}

/// The widest head of an array.
const HEAD: usize = 5;

/// Bytes of a `text.delta` besides part and text: its keys and type, `at` and the heads of all, at their widest.
const DELTA_OVERHEAD: usize = 64;

impl<'a> Output<'a> {
    fn with_room_for(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(HEAD + bytes);
        out.extend_from_slice(&[0; HEAD]);
        Self { bytes: out, count: 0, open: None }
    }

    fn event(&mut self, event: &[u8]) {
        self.flush();
        self.bytes.extend_from_slice(event);
        self.count += 1;
    }

    fn delta(&mut self, event: &'a [u8], delta: Delta<'a>) {
        match &mut self.open {
            Some(open) if open.takes(&delta) => open.take(delta),
            _ => {
                self.flush();
                self.open = Some(Open { first: event, last: delta, joined: None });
            }
        }
    }

    fn flush(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.count += 1;
        match open.joined {
            None => self.bytes.extend_from_slice(open.first),
            Some(text) => open.last.write(&text, &mut self.bytes),
        }
    }

    fn finish(mut self) -> Bytes {
        self.flush();
        let mut head = Vec::with_capacity(HEAD);
        pack::put_array_head(&mut head, self.count);
        let start = HEAD - head.len();
        self.bytes[start..HEAD].copy_from_slice(&head);
        Bytes::from(self.bytes).slice(start..)
    }
}

impl<'a> Open<'a> {
    fn takes(&self, next: &Delta<'_>) -> bool {
        let text = self.joined.as_ref().map_or(self.last.text.len(), Vec::len);
        self.last.part == next.part && DELTA_OVERHEAD + next.part.len() + text + next.text.len() <= ROW_BYTES
    }

    fn take(&mut self, next: Delta<'a>) {
        self.joined.get_or_insert_with(|| self.last.text.to_vec()).extend_from_slice(next.text);
        self.last = next;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        RunEvent,
        decode::decode,
        event::Usage,
        operations::run::Status,
        value::{Millis, encode},
    };

    fn delta(at: i64, part: &str, text: &str) -> RunEvent {
        RunEvent::TextDelta { at: Millis(at), part: part.into(), text: text.into() }
    }

    fn progress(at: i64, fraction: f64) -> RunEvent {
        RunEvent::ProgressReported { at: Millis(at), fraction, message: "reading".into() }
    }

    fn blob(events: &[RunEvent]) -> Bytes {
        events.iter().flat_map(encode).collect::<Vec<u8>>().into()
    }

    fn merged(events: &[RunEvent], skip: usize, only: Option<&[String]>) -> Vec<RunEvent> {
        decode(&merge_deltas(&blob(events), skip, only).unwrap()).unwrap()
    }

    #[test]
    fn adjacent_deltas_of_a_part_become_one_with_the_last_time() {
        let events =
            [delta(1, "a", "He"), delta(2, "a", "llo"), delta(3, "b", "x"), progress(4, 0.1), delta(5, "b", "y"), progress(6, 0.2)];
        assert_eq!(merged(&events, 0, None), [delta(2, "a", "Hello"), delta(5, "b", "xy"), progress(6, 0.2)]);
        assert_eq!(merged(&events, 1, None), [delta(2, "a", "llo"), delta(5, "b", "xy"), progress(6, 0.2)]);
        assert_eq!(merged(&events, 0, Some(&["progress.reported".into()])), [progress(6, 0.2)]);
        assert_eq!(merged(&events, 6, None), []);
        assert_eq!(merge_deltas(&blob(&events), 9, Some(&[])).unwrap()[..], [0x90]);
    }

    #[test]
    fn merging_stops_before_an_event_grows_too_large() {
        let half = "x".repeat(ROW_BYTES / 2);
        let out = merge_deltas(&blob(&[delta(1, "a", &half), delta(2, "a", &half[100..]), delta(3, "a", &half)]), 0, None).unwrap();
        assert_eq!(decode::<Vec<RunEvent>>(&out).unwrap(), [delta(2, "a", &format!("{half}{}", &half[100..])), delta(3, "a", &half)]);
        assert!(slices(&out[1..]).all(|event| event.unwrap().len() <= ROW_BYTES));
    }

    #[test]
    fn a_delta_that_holds_more_than_this_version_knows_is_passed_on_as_it_is() {
        let newer = encode(&serde_json::json!({"type": "text.delta", "at": 1, "part": "a", "text": "x", "mood": "glad"}));
        let both = [newer.clone(), newer.clone()].concat();
        let mut array = vec![0x92];
        array.extend(&both);
        assert_eq!(merge_deltas(&both, 0, None).unwrap()[..], array);
    }

    #[test]
    fn a_blob_is_told_apart_and_a_broken_one_ends_in_an_error() {
        let events = [delta(1, "a", "x"), RunEvent::RunResumed { at: Millis(2) }];
        let blob = blob(&events);
        let apart: Vec<&[u8]> = slices(&blob).collect::<Result<_, _>>().unwrap();
        assert_eq!(apart, events.iter().map(encode).collect::<Vec<_>>());
        assert_eq!(apart.iter().map(|event| type_of(event)).collect::<Vec<_>>(), [Some("text.delta"), Some("run.resumed")]);
        let cut: Vec<_> = slices(&blob[..blob.len() - 1]).collect();
        assert!(matches!(cut[..], [Ok(_), Err(_)]), "{cut:?}");
        assert_eq!(type_of(&[0x81, 0xa1]), None);
    }

    /// What a client makes of a run's events: texts, the last progress, and all else in order.
    #[derive(Debug, PartialEq, Default)]
    struct Fold {
        texts: BTreeMap<String, (String, Millis)>,
        progress: Option<RunEvent>,
        others: Vec<RunEvent>,
    }

    fn fold(events: Vec<RunEvent>) -> Fold {
        let mut fold = Fold::default();
        for event in events {
            match event {
                RunEvent::TextDelta { at, part, text } => {
                    let whole = fold.texts.entry(part).or_default();
                    whole.0.push_str(&text);
                    whole.1 = at;
                }
                RunEvent::ProgressReported { .. } => fold.progress = Some(event),
                _ => fold.others.push(event),
            }
        }
        fold
    }

    fn any_event() -> impl Strategy<Value = RunEvent> {
        let part = prop::sample::select(vec!["a", "b", "c"]);
        prop_oneof![
            6 => (0..1_000_000_i64, part.clone(), ".{0,9}").prop_map(|(at, part, text)| delta(at, part, &text)),
            2 => (0..1_000_000_i64, 0.0..1.0).prop_map(|(at, fraction)| progress(at, fraction)),
            1 => (0..1_000_000_i64, part).prop_map(|(at, part)| RunEvent::TextFinished { at: Millis(at), part: part.into() }),
            1 => (0..1_000_000_i64).prop_map(|at| RunEvent::RunFinished {
                at: Millis(at),
                status: Status::Succeeded,
                output: None,
                fault: None,
                usage: Usage::default(),
            }),
        ]
    }

    proptest! {
        #[test]
        fn merged_events_fold_to_what_the_events_themselves_fold_to(
            events in prop::collection::vec(any_event(), 0..60),
            skip in 0..20_usize,
            only in prop::option::of(prop::sample::subsequence(vec!["text.delta", "progress.reported", "run.finished"], 0..3)),
        ) {
            let only: Option<Vec<String>> = only.map(|only| only.into_iter().map(str::to_owned).collect());
            let plain = events.iter().skip(skip).filter(|event| only.as_ref().is_none_or(|only| only.iter().any(|only| only == event.type_name())));
            let merged = merged(&events, skip, only.as_deref());
            let part = |event: &RunEvent| if let RunEvent::TextDelta { part, .. } = event { Some(part.clone()) } else { None };
            let adjacent = merged.windows(2).any(|pair| part(&pair[0]).is_some() && part(&pair[0]) == part(&pair[1]));
            prop_assert!(!adjacent, "deltas of one part are left side by side");
            prop_assert_eq!(fold(merged), fold(plain.cloned().collect()));
        }

        #[test]
        fn any_bytes_are_merged_or_refused(bytes: Vec<u8>) {
            let _ = merge_deltas(&bytes, 0, None);
        }
    }
}
