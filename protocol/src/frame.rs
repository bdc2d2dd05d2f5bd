//! Frames as bytes. A frame is an array `[kind, …]`: integers and ids at fixed places, one body last; a message is one or more
//! frames, one after another. The envelope is read by hand and a body is handed on as bytes that were scanned but not decoded,
//! so that routing a frame costs nanoseconds and no hostile body reaches a decoder.

mod envelope;

use serde::Deserialize;

use self::envelope::{Envelope, start};
use crate::{
    decode,
    fault::Fault,
    scan::{Flaw, Rules},
};

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
    /// The rule for values that it breaks, if any: then it decodes to nothing but `invalid`.
    pub const fn flaw(self) -> Option<Flaw> {
        self.flaw
    }
    /// Decodes it.
    ///
    /// # Errors
    /// `invalid`, with the path of the field that is wrong.
    pub fn decode<T: Deserialize<'a>>(self) -> Result<T, Fault> {
        if let Some(flaw) = self.flaw {
            return Err(Fault::invalid(flaw.path(self.bytes), flaw.rule.code(), flaw.rule.message()));
        }
        decode::decode(self.bytes).map_err(|mismatch| Fault::invalid_fields(vec![mismatch.into_field()]))
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
        let (mut envelope, kind) = Envelope::open(message, Rules::CLIENT)?;
        let frame = match kind {
            1 => Self::Hello(envelope.map()?),
            3 => {
                let (id, operation) = (envelope.id()?, envelope.text()?);
                Self::Request { id, operation, input: envelope.input(operation)?, options: envelope.options()? }
            }
            6 => Self::Cancel { id: envelope.id()? },
            10 => Self::Subscribe { sub: envelope.id()?, target: envelope.map()?, options: envelope.options()? },
            15 => Self::Credit { sub: envelope.id_or_zero()?, bytes: envelope.integer()? },
            16 => Self::Unsubscribe { sub: envelope.id()? },
            20 => Self::Presence { sub: envelope.id()?, state: envelope.body()? },
            30 => Self::Ping(envelope.body()?),
            31 => Self::Pong(envelope.body()?),
            _ => return Err(Malformed("a client sends no frame of this kind")),
        };
        envelope.close()?;
        Ok(frame)
    }
    /// Appends the frame to a message.
    pub fn write(&self, message: &mut Vec<u8>) {
        match *self {
            Self::Hello(body) => start(message, 1, 1, &[]).body(body),
            Self::Request { id, operation, input, options } => {
                let mut frame = start(message, 3, 3 + u8::from(options.is_some()), &[id]);
                frame.text(operation);
                frame.body(input);
                frame.options(options);
            }
            Self::Cancel { id } => drop(start(message, 6, 1, &[id])),
            Self::Subscribe { sub, target, options } => {
                let mut frame = start(message, 10, 2 + u8::from(options.is_some()), &[sub]);
                frame.body(target);
                frame.options(options);
            }
            Self::Credit { sub, bytes } => start(message, 15, 2, &[sub]).integer(bytes),
            Self::Unsubscribe { sub } => drop(start(message, 16, 1, &[sub])),
            Self::Presence { sub, state } => start(message, 20, 2, &[sub]).body(state),
            Self::Ping(nonce) => start(message, 30, 1, &[]).body(nonce),
            Self::Pong(nonce) => start(message, 31, 1, &[]).body(nonce),
        }
    }
}

impl<'a> ServerFrame<'a> {
    /// Takes the next frame off a message's bytes; `None` for a frame of a kind that this version does not know, which is skipped.
    ///
    /// # Errors
    /// Where the bytes are no whole frame; nothing after them can be read.
    pub fn read(message: &mut &'a [u8]) -> Result<Option<Self>, Malformed> {
        let (mut envelope, kind) = Envelope::open(message, Rules::SERVER)?;
        let frame = match kind {
            2 => Some(Self::Welcome(envelope.map()?)),
            4 => Some(Self::Reply { id: envelope.id()?, output: envelope.body()?, options: envelope.options()? }),
            5 => Some(Self::Fault { id: envelope.id_or_zero()?, fault: envelope.map()? }),
            11 => Some(Self::Subscribed { sub: envelope.id()?, body: envelope.map()? }),
            12 => Some(Self::Events {
                sub: envelope.id()?,
                offset: envelope.position()?,
                span: envelope.position()?,
                events: envelope.body()?,
            }),
            13 => Some(Self::Snapshot { sub: envelope.id()?, offset: envelope.position()?, value: envelope.body()? }),
            14 => Some(Self::Ended { sub: envelope.id()?, offset: envelope.position()?, body: envelope.map()? }),
            20 => Some(Self::Presence { sub: envelope.id()?, member: envelope.map()?, state: envelope.body()? }),
            30 => Some(Self::Ping(envelope.body()?)),
            31 => Some(Self::Pong(envelope.body()?)),
            32 => Some(Self::Notice(envelope.map()?)),
            33 => Some(Self::Goaway(envelope.map()?)),
            1 | 3 | 6 | 10 | 15 | 16 => return Err(Malformed("a server sends no frame of this kind")),
            _ => None,
        };
        envelope.close()?;
        Ok(frame)
    }
    /// Appends the frame to a message.
    pub fn write(&self, message: &mut Vec<u8>) {
        match *self {
            Self::Welcome(body) => start(message, 2, 1, &[]).body(body),
            Self::Reply { id, output, options } => {
                let mut frame = start(message, 4, 2 + u8::from(options.is_some()), &[id]);
                frame.body(output);
                frame.options(options);
            }
            Self::Fault { id, fault } => start(message, 5, 2, &[id]).body(fault),
            Self::Subscribed { sub, body } => start(message, 11, 2, &[sub]).body(body),
            Self::Events { sub, offset, span, events } => {
                let mut frame = start(message, 12, 4, &[sub]);
                frame.integer(offset);
                frame.integer(span);
                frame.body(events);
            }
            Self::Snapshot { sub, offset, value } => {
                let mut frame = start(message, 13, 3, &[sub]);
                frame.integer(offset);
                frame.body(value);
            }
            Self::Ended { sub, offset, body } => {
                let mut frame = start(message, 14, 3, &[sub]);
                frame.integer(offset);
                frame.body(body);
            }
            Self::Presence { sub, member, state } => {
                let mut frame = start(message, 20, 3, &[sub]);
                frame.body(member);
                frame.body(state);
            }
            Self::Ping(nonce) => start(message, 30, 1, &[]).body(nonce),
            Self::Pong(nonce) => start(message, 31, 1, &[]).body(nonce),
            Self::Notice(body) => start(message, 32, 1, &[]).body(body),
            Self::Goaway(body) => start(message, 33, 1, &[]).body(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        FaultCode,
        opening::{Hello, RequestOptions},
        operations::auth::{Login, Me},
        value::encode,
    };

    #[test]
    fn frames_follow_one_another_and_the_rest_of_each_is_ignored() {
        let mut message = Vec::new();
        ClientFrame::Cancel { id: 9 }.write(&mut message);
        message.extend([0x95, 16, 3, 0xc0, 0x91, 1, 2]);
        ClientFrame::Credit { sub: 0, bytes: -1 }.write(&mut message);
        let mut rest = &message[..];
        assert_eq!(ClientFrame::read(&mut rest), Ok(ClientFrame::Cancel { id: 9 }));
        assert_eq!(ClientFrame::read(&mut rest), Ok(ClientFrame::Unsubscribe { sub: 3 }));
        assert_eq!(ClientFrame::read(&mut rest), Ok(ClientFrame::Credit { sub: 0, bytes: -1 }));
        assert_eq!(ClientFrame::read(&mut rest), Err(Malformed("the message is empty")));
    }

    #[test]
    fn a_kind_that_is_not_known_is_malformed_from_a_client_and_skipped_from_a_server() {
        for unknown in [&[0x91, 99][..], &[0x93, 40, 0x81, 0xa1, b'x', 1, 2], &[0x91, 0xff]] {
            assert_eq!(ClientFrame::read(&mut &*unknown), Err(Malformed("a client sends no frame of this kind")));
            let mut rest = unknown;
            assert_eq!((ServerFrame::read(&mut rest), rest), (Ok(None), &[][..]));
        }
        assert!(ServerFrame::read(&mut &[0x92, 6, 1][..]).is_err(), "only a client cancels");
        assert!(ClientFrame::read(&mut &[0x92, 2, 0x80][..]).is_err(), "only a server welcomes");
    }

    #[test]
    fn an_input_that_is_flawed_costs_the_request_and_not_the_connection() {
        let twice = [0x82, 0xa1, b'a', 1, 0xa1, b'a', 2];
        for (input, path, code) in
            [(&[0x90][..], "", "type"), (&[0xc0], "", "type"), (&twice, "a", "duplicate"), (&[0x81, 0xa1, b'a', 1], "a", "unknown")]
        {
            let message = [&[0x95, 3, 7][..], &encode("auth.me"), input, &[0xc0]].concat();
            let Ok(ClientFrame::Request { id: 7, operation: "auth.me", input, options: None }) = ClientFrame::read(&mut &message[..])
            else {
                panic!("{message:?}")
            };
            let fault = input.decode::<Me>().unwrap_err();
            assert_eq!((fault.code, fault.fields[0].path.as_str(), fault.fields[0].code.as_str()), (FaultCode::Invalid, path, code));
        }
    }

    #[test]
    fn bodies_decode_to_their_types() {
        let options = RequestOptions { key: Some("k".into()), ..RequestOptions::default() };
        let login = json!({"email": "a@b.c", "password": "long enough"});
        let (input, encoded_options) = (encode(&login), encode(&options));
        let mut message = Vec::new();
        ClientFrame::Request { id: 1, operation: "auth.login", input: Body::own(&input), options: Some(Body::own(&encoded_options)) }
            .write(&mut message);
        let Ok(ClientFrame::Request { input, options: Some(read), .. }) = ClientFrame::read(&mut &message[..]) else { panic!() };
        assert_eq!(input.decode::<Login>().unwrap().email, "a@b.c");
        assert_eq!(read.decode::<RequestOptions>(), Ok(options));
        let hello = encode(&json!({"client": {"name": "n", "version": "1", "later": true}, "later": 1}));
        assert_eq!(Body::own(&hello).decode::<Hello>().unwrap().client.name, "n", "a body's unknown keys are ignored");
    }

    #[test]
    fn integers_are_read_however_they_are_encoded() {
        let wide = [0x92, 0xcc, 6, 0xd3, 0, 0, 0, 0, 0, 0, 0, 9];
        assert_eq!(ClientFrame::read(&mut &wide[..]), Ok(ClientFrame::Cancel { id: 9 }));
        for wrong in [
            &[0x92, 6, 0][..],
            &[0x92, 6, 0xff],
            &[0x92, 6, 0xca, 0x3f, 0x80, 0, 0],
            &[0x92, 6, 0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0],
            &[0x91, 6],
        ] {
            assert!(ClientFrame::read(&mut &*wrong).is_err(), "{wrong:?}");
        }
    }
}
