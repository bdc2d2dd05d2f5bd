//! What waits for the socket, in two lanes: control (replies, faults, pings, what begins and ends) goes before events.

use std::collections::VecDeque;

use crewline_protocol::frame::ServerFrame;

/// Frames are gathered into messages of about this size: large enough to be cheap, small enough to be fair.
const GATHERED_BYTES: usize = 64 << 10;

/// Frames on their way out, gathered into messages.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    control: Lane,
    events: Lane,
}

#[derive(Debug, Default)]
struct Lane {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Outbox {
    /// Puts a frame into the control lane; gives its length.
    pub(super) fn control(&mut self, frame: &ServerFrame<'_>) -> usize {
        self.control.push(frame)
    }
    /// Puts a frame into the lane of events; gives its length.
    pub(super) fn events(&mut self, frame: &ServerFrame<'_>) -> usize {
        self.events.push(frame)
    }
    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.control.bytes + self.events.bytes
    }
    /// Whether events may be made now. Until then they stay in the log, where they cost nothing.
    pub(super) fn has_room_for_events(&self) -> bool {
        self.events.bytes < GATHERED_BYTES
    }
    /// Whether presence may be told now. Until then it can be overwritten.
    pub(super) fn has_room_for_presence(&self) -> bool {
        self.control.bytes < GATHERED_BYTES
    }
    /// The next message, control first; the last of the control lane takes the events along when both are small.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let Some(mut message) = self.control.pop() else { return self.events.pop() };
        let together = message.len() + self.events.bytes <= GATHERED_BYTES;
        if together && self.control.messages.is_empty() {
            while let Some(events) = self.events.pop() {
                message.extend_from_slice(&events);
            }
        }
        Some(message)
    }
    /// Everything in the control lane as one message, for a goodbye.
    pub(super) fn last_words(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        while let Some(more) = self.control.pop() {
            message.extend_from_slice(&more);
        }
        message
    }
}

impl Lane {
    fn push(&mut self, frame: &ServerFrame<'_>) -> usize {
        if self.messages.back().is_none_or(|message| message.len() >= GATHERED_BYTES) {
            self.messages.push_back(Vec::new());
        }
        let Some(message) = self.messages.back_mut() else { return 0 };
        let before = message.len();
        frame.write(message);
        let length = message.len() - before;
        // A message that a large frame would push over its bound is sent without it.
        if before > 0 && message.len() > GATHERED_BYTES {
            let large = message.split_off(before);
            self.messages.push_back(large);
        }
        self.bytes += length;
        length
    }
    fn pop(&mut self) -> Option<Vec<u8>> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }
}
