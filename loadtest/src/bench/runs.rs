//! Starting and following runs, for the benchmarks that need some.

use crewline_protocol::{
    Fault,
    follow::{Ended, SubscribeOptions, Target},
    frame::{Body, ClientFrame, ServerFrame},
    operations::run::{Run, Start},
    value::{RunId, encode},
};

use crate::wire::{Error, Wire};

/// Starts a run of the app's one crew, which says so many words.
pub(crate) async fn start(wire: &mut Wire, words: usize) -> Result<Run, Error> {
    let inputs = [("words".to_owned(), words.into())].into_iter().collect();
    wire.call(&Start { crew: "talk".into(), inputs, ..Start::default() }).await
}

/// Appends a subscribe to a message.
pub(crate) fn follow(sub: u64, run: RunId, only: Option<&str>, message: &mut Vec<u8>) {
    let target = encode(&Target::Run { run, only: only.map(|event| vec![event.to_owned()]) });
    let options = encode(&SubscribeOptions { from: None, credit: Some(16 << 20) });
    ClientFrame::Subscribe { sub, target: Body::own(&target), options: Some(Body::own(&options)) }.write(message);
}

/// What came.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Came {
    /// Offsets of logs, whether or not their events were merged on the way.
    pub(crate) offsets: u64,
    /// Events in frames, after merging.
    pub(crate) events: u64,
    /// Bytes of frames with events.
    pub(crate) bytes: u64,
    /// Subscriptions that ended.
    pub(crate) ended: usize,
}

impl std::ops::AddAssign for Came {
    fn add_assign(&mut self, other: Self) {
        self.offsets += other.offsets;
        self.events += other.events;
        self.bytes += other.bytes;
        self.ended += other.ended;
    }
}

/// Reads what one message brought, and appends what is to be said to it: credit for what came, a pong for a ping.
pub(crate) fn take(message: &[u8], answer: &mut Vec<u8>) -> Result<Came, Error> {
    let (mut rest, mut came) = (message, Came::default());
    while !rest.is_empty() {
        let before = rest.len();
        match ServerFrame::read(&mut rest)? {
            Some(ServerFrame::Events { sub, span, events, .. }) => {
                let bytes = before - rest.len();
                let credit = i64::try_from(bytes)?;
                came += Came { offsets: span.unsigned_abs(), events: elements(events.bytes()), bytes: bytes as u64, ended: 0 };
                ClientFrame::Credit { sub: 0, bytes: credit }.write(answer);
                ClientFrame::Credit { sub, bytes: credit }.write(answer);
            }
            Some(ServerFrame::Ended { body, .. }) => {
                if let Some(fault) = body.decode::<Ended>()?.fault {
                    return Err(fault.into());
                }
                came.ended += 1;
            }
            Some(ServerFrame::Fault { fault, .. }) => return Err(fault.decode::<Fault>()?.into()),
            Some(ServerFrame::Ping(nonce)) => ClientFrame::Pong(nonce).write(answer),
            _ => {}
        }
    }
    Ok(came)
}

/// The length of a MessagePack array.
fn elements(array: &[u8]) -> u64 {
    match *array {
        [head @ 0x90..=0x9f, ..] => u64::from(head & 0x0f),
        [0xdc, a, b, ..] => u64::from(u16::from_be_bytes([a, b])),
        [0xdd, a, b, c, d, ..] => u64::from(u32::from_be_bytes([a, b, c, d])),
        _ => 0,
    }
}
