//! The frames as a table: what each is called, who sends it, and what stands at which place.

use crewline_protocol::{
    Fault, RunEvent,
    follow::{Ended, SubscribeOptions, SubscribedQuery, SubscribedRun, Target},
    live::LiveChange,
    opening::{Goaway, Hello, Notice, ReplyOptions, RequestOptions, Welcome},
    operations::auth::Done,
    presence::Member,
    value::MAX_INTEGER,
};
use schemars::SchemaGenerator;
use serde_json::{Value, json};

use crate::document::{Shape, either};

/// Who sends a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Client,
    Server,
}

impl From {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// What stands at a place of a frame.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// An integer and the least it may be.
    Integer(i64),
    /// An operation's name.
    Name,
    /// A body of a type.
    Body(Shape),
}

/// One frame.
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) name: &'static str,
    pub(crate) from: From,
    /// Name and content of what follows the kind. A name that ends in `?` may be left out.
    pub(crate) places: &'static [(&'static str, Place)],
    pub(crate) about: &'static str,
}

const ID: Place = Place::Integer(1);
const ID_OR_ZERO: Place = Place::Integer(0);
const POSITION: Place = Place::Integer(0);
const ANY: Place = Place::Body(Shape::any());

/// Every frame, by kind.
pub(crate) const FRAMES: &[Frame] = &[
    Frame {
        kind: 1,
        name: "hello",
        from: From::Client,
        places: &[("body", Place::Body(Shape::of::<Hello>()))],
        about: "The client's first frame, within 5 s of the upgrade.",
    },
    Frame {
        kind: 2,
        name: "welcome",
        from: From::Server,
        places: &[("body", Place::Body(Shape::of::<Welcome>()))],
        about: "The server's answer to `hello`.",
    },
    Frame {
        kind: 3,
        name: "request",
        from: From::Client,
        places: &[("id", ID), ("op", Place::Name), ("input", ANY), ("options?", Place::Body(Shape::of::<RequestOptions>()))],
        about: "Asks for an operation. `id` counts up from 1.",
    },
    Frame {
        kind: 4,
        name: "reply",
        from: From::Server,
        places: &[("id", ID), ("output", ANY), ("options?", Place::Body(Shape::of::<ReplyOptions>()))],
        about: "A request's answer.",
    },
    Frame {
        kind: 5,
        name: "fault",
        from: From::Server,
        places: &[("id", ID_OR_ZERO), ("fault", Place::Body(Shape::of::<Fault>()))],
        about: "Why a request has no answer. With id 0 it is about the connection, and a close may follow.",
    },
    Frame {
        kind: 6,
        name: "cancel",
        from: From::Client,
        places: &[("id", ID)],
        about: "Asks the server to stop a request: a fault `cancelled` follows, or the reply if it was too late.",
    },
    Frame {
        kind: 10,
        name: "subscribe",
        from: From::Client,
        places: &[("sub", ID), ("target", Place::Body(Shape::of::<Target>())), ("options?", Place::Body(Shape::of::<SubscribeOptions>()))],
        about: "Follows something. `sub` counts up from 1.",
    },
    Frame {
        kind: 11,
        name: "subscribed",
        from: From::Server,
        places: &[("sub", ID), ("body", Place::Body(either!(SubscribedRun, SubscribedQuery, Done)))],
        about: "A subscription to a run, a query or a session's presence has begun.",
    },
    Frame {
        kind: 12,
        name: "events",
        from: From::Server,
        places: &[("sub", ID), ("offset", POSITION), ("span", POSITION), ("events", Place::Body(either!(Vec<RunEvent>, Vec<LiveChange>)))],
        about: "A run's events at the offsets (offset − span, offset] that this subscriber gets, or a query's changes up to the revision `offset`.",
    },
    Frame {
        kind: 13,
        name: "snapshot",
        from: From::Server,
        places: &[("sub", ID), ("offset", POSITION), ("value", ANY)],
        about: "What a live query reads at the revision `offset`.",
    },
    Frame {
        kind: 14,
        name: "ended",
        from: From::Server,
        places: &[("sub", ID), ("offset", POSITION), ("body", Place::Body(Shape::of::<Ended>()))],
        about: "A subscription has ended, or was refused.",
    },
    Frame {
        kind: 15,
        name: "credit",
        from: From::Client,
        places: &[("sub", ID_OR_ZERO), ("bytes", Place::Integer(1))],
        about: "Lets the server send so many more bytes on a subscription; on the connection with sub 0.",
    },
    Frame { kind: 16, name: "unsubscribe", from: From::Client, places: &[("sub", ID)], about: "Ends a subscription." },
    Frame {
        kind: 20,
        name: "presence",
        from: From::Client,
        places: &[("sub", ID), ("state", ANY)],
        about: "Sets one's own state; `nil`: gone.",
    },
    Frame {
        kind: 20,
        name: "presence",
        from: From::Server,
        places: &[("sub", ID), ("member", Place::Body(Shape::of::<Member>())), ("state", ANY)],
        about: "Another member's state; `nil`: gone.",
    },
    Frame { kind: 30, name: "ping", from: From::Client, places: &[("nonce", ANY)], about: "To be answered by `pong` at once." },
    Frame { kind: 30, name: "ping", from: From::Server, places: &[("nonce", ANY)], about: "To be answered by `pong` at once." },
    Frame { kind: 31, name: "pong", from: From::Client, places: &[("nonce", ANY)], about: "Answers a `ping` with its nonce." },
    Frame { kind: 31, name: "pong", from: From::Server, places: &[("nonce", ANY)], about: "Answers a `ping` with its nonce." },
    Frame {
        kind: 32,
        name: "notice",
        from: From::Server,
        places: &[("body", Place::Body(Shape::of::<Notice>()))],
        about: "Something about the connection that nobody asked for.",
    },
    Frame {
        kind: 33,
        name: "goaway",
        from: From::Server,
        places: &[("body", Place::Body(Shape::of::<Goaway>()))],
        about: "The server leaves: finish, and connect anew.",
    },
];

impl Frame {
    /// A name that no other frame has: `ping` from a server is `server_ping`.
    pub(crate) fn key(&self) -> String {
        let both = FRAMES.iter().filter(|frame| frame.kind == self.kind).count() > 1;
        if both { format!("{}_{}", self.from.word(), self.name) } else { self.name.into() }
    }

    /// How it stands on the wire, as `[3, id, op, input, options?]`.
    pub(crate) fn layout(&self) -> String {
        let places: String = self.places.iter().map(|(name, _)| format!(", {name}")).collect();
        format!("[{}{places}]", self.kind)
    }

    /// The schemas of its places, the kind first, and how many are required.
    pub(crate) fn places_schema(&self, generator: &mut SchemaGenerator) -> (Vec<Value>, usize) {
        let mut places = vec![json!({"const": self.kind, "title": "kind"})];
        places.extend(self.places.iter().map(|(name, place)| titled(place.schema(generator), name.trim_end_matches('?'))));
        let required = 1 + self.places.iter().filter(|(name, _)| !name.ends_with('?')).count();
        (places, required)
    }
}

impl Place {
    fn schema(self, generator: &mut SchemaGenerator) -> Value {
        match self {
            Self::Integer(minimum) => json!({"type": "integer", "minimum": minimum, "maximum": MAX_INTEGER}),
            Self::Name => json!({"type": "string"}),
            Self::Body(shape) => (shape.schema)(generator).to_value(),
        }
    }
}

/// A schema with a title, where it can have one beside what it says.
fn titled(schema: Value, title: &str) -> Value {
    match schema {
        Value::Object(mut entries) if !entries.contains_key("$ref") => {
            entries.insert("title".into(), title.into());
            entries.into()
        }
        Value::Bool(true) => json!({"title": title}),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use crewline_protocol::frame::{ClientFrame, ServerFrame};

    use super::*;

    #[test]
    fn the_table_has_the_frames_that_are_read() {
        for kind in 0..=127_u8 {
            for from in [From::Client, From::Server] {
                let frame = FRAMES.iter().find(|frame| frame.kind == kind && frame.from == from);
                let places = frame.map_or(&[][..], |frame| frame.places);
                let required: Vec<_> = places.iter().filter(|(name, _)| !name.ends_with('?')).collect();
                let mut bytes = vec![0x91 + u8::try_from(required.len()).unwrap(), kind];
                for (_, place) in &required {
                    bytes.extend_from_slice(match place {
                        Place::Integer(_) => &[1],
                        Place::Name => &[0xa1, b'x'],
                        Place::Body(_) => &[0x80],
                    });
                }
                let known = match from {
                    From::Client => ClientFrame::read(&mut &bytes[..]).is_ok(),
                    From::Server => ServerFrame::read(&mut &bytes[..]).is_ok_and(|frame| frame.is_some()),
                };
                assert_eq!(known, frame.is_some(), "{from:?} {kind}");
            }
        }
    }
}
