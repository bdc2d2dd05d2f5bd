//! Frames as bytes. A frame is an array `[kind, …]`: integers and ids at fixed places, one body last; a message is one or more
//! frames, one after another. The envelope is read by hand and a body is handed on as bytes that were scanned but not decoded,
//! so that routing a frame costs nanoseconds and no hostile body reaches a decoder.

use serde::Deserialize;

use crate::{fault::Fault, scan::Flaw};

/// Bytes that are no frame: the connection is closed with 4203.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed frame: {0}")]
pub struct Malformed(pub &'static str);

/// A frame's body: one MessagePack value whose depth, size and keys were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body<'a> {
    bytes: &'a [u8],
    flaw: Option<Flaw>,
}

impl<'a> Body<'a> {
    /// A body that this side made itself.
    pub const fn own(bytes: &'a [u8]) -> Self {
        Self { bytes, flaw: None }
    }
    /// The encoded value.
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }
    /// Decodes it.
    ///
    /// # Errors
    /// `invalid`, with the path of the field that is wrong.
    pub fn decode<T: Deserialize<'a>>(self) -> Result<T, Fault> {
        unimplemented!()
    }
}

/// What a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFrame<'a> {
    /// `[1, body]`
    Hello(Body<'a>),
    /// `[3, id, op, input, options?]`
    Request {
        /// Counted up from 1.
        id: u64,
        /// `noun.verb`.
        operation: &'a str,
        /// The operation's input.
        input: Body<'a>,
        /// [`crate::opening::RequestOptions`]
        options: Option<Body<'a>>,
    },
    /// `[6, id]`
    Cancel {
        /// Which request.
        id: u64,
    },
    /// `[10, sub, target, options?]`
    Subscribe {
        /// Counted up from 1.
        sub: u64,
        /// [`crate::follow::Target`]
        target: Body<'a>,
        /// [`crate::follow::SubscribeOptions`]
        options: Option<Body<'a>>,
    },
    /// `[15, sub, bytes]`
    Credit {
        /// Which subscription; 0: the connection.
        sub: u64,
        /// How many more bytes may be sent.
        bytes: i64,
    },
    /// `[16, sub]`
    Unsubscribe {
        /// Which subscription.
        sub: u64,
    },
    /// `[20, sub, state]`
    Presence {
        /// Which subscription.
        sub: u64,
        /// The state; `nil`: gone.
        state: Body<'a>,
    },
    /// `[30, nonce]`
    Ping(Body<'a>),
    /// `[31, nonce]`
    Pong(Body<'a>),
}

/// What a server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerFrame<'a> {
    /// `[2, body]`
    Welcome(Body<'a>),
    /// `[4, id, output, options?]`
    Reply {
        /// Which request.
        id: u64,
        /// The operation's output.
        output: Body<'a>,
        /// [`crate::opening::ReplyOptions`]
        options: Option<Body<'a>>,
    },
    /// `[5, id, fault]`
    Fault {
        /// Which request; 0: the connection.
        id: u64,
        /// [`Fault`]
        fault: Body<'a>,
    },
    /// `[11, sub, body]`
    Subscribed {
        /// Which subscription.
        sub: u64,
        /// [`crate::follow::SubscribedRun`]
        body: Body<'a>,
    },
    /// `[12, sub, offset, span, events]`
    Events {
        /// Which subscription.
        sub: u64,
        /// The position after these events.
        offset: i64,
        /// How far the position moves.
        span: i64,
        /// An array of events.
        events: Body<'a>,
    },
    /// `[13, sub, offset, value]`
    Snapshot {
        /// Which subscription.
        sub: u64,
        /// The revision at which the value is true.
        offset: i64,
        /// The read's output.
        value: Body<'a>,
    },
    /// `[14, sub, offset, body]`
    Ended {
        /// Which subscription.
        sub: u64,
        /// The last position.
        offset: i64,
        /// [`crate::follow::Ended`]
        body: Body<'a>,
    },
    /// `[20, sub, member, state]`
    Presence {
        /// Which subscription.
        sub: u64,
        /// Who.
        member: Body<'a>,
        /// The state; `nil`: gone.
        state: Body<'a>,
    },
    /// `[30, nonce]`
    Ping(Body<'a>),
    /// `[31, nonce]`
    Pong(Body<'a>),
    /// `[32, body]`
    Notice(Body<'a>),
    /// `[33, body]`
    Goaway(Body<'a>),
}

impl<'a> ClientFrame<'a> {
    /// Takes the next frame off a message's bytes. The message ends when they are empty; an empty message is malformed.
    ///
    /// # Errors
    /// Where the bytes are no whole frame of a client; nothing after them can be read.
    pub fn read(message: &mut &'a [u8]) -> Result<Self, Malformed> {
        let _ = message;
        unimplemented!()
    }
    /// Appends the frame to a message.
    pub fn write(&self, message: &mut Vec<u8>) {
        let _ = message;
        unimplemented!()
    }
}

impl<'a> ServerFrame<'a> {
    /// Takes the next frame off a message's bytes; `None` for a frame of a kind that this version does not know, which is skipped.
    ///
    /// # Errors
    /// Where the bytes are no whole frame; nothing after them can be read.
    pub fn read(message: &mut &'a [u8]) -> Result<Option<Self>, Malformed> {
        let _ = message;
        unimplemented!()
    }
    /// Appends the frame to a message.
    pub fn write(&self, message: &mut Vec<u8>) {
        let _ = message;
        unimplemented!()
    }
}
