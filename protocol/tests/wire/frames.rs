//! What is written is read again.

use crewline_protocol::{
    frame::{Body, ClientFrame, ServerFrame},
    value::{MAX_INTEGER, encode},
};
use proptest::prelude::*;
use serde_json::json;

fn id() -> impl Strategy<Value = u64> {
    prop_oneof![1..200_u64, 1..=MAX_INTEGER.unsigned_abs()]
}

fn position() -> impl Strategy<Value = i64> {
    prop_oneof![0..300_i64, 0..=MAX_INTEGER]
}

fn map() -> impl Strategy<Value = Vec<u8>> {
    (".{0,5}", any::<i32>(), prop::option::of(0.0..1e6)).prop_map(|(key, number, float)| {
        encode(&json!({format!("k{}", key.replace('\0', "")): number, "list": [float, {"deep": [key.replace('\0', "")]}]}))
    })
}

type Parts = (u64, u64, i64, i64, String, Vec<u8>, Option<Vec<u8>>);

fn parts() -> impl Strategy<Value = Parts> {
    (id(), prop_oneof![Just(0), id()], position(), position(), "[a-z]{1,9}\\.[a-z_]{1,40}", map(), prop::option::of(map()))
}

fn client(kind: u8, (id, id_or_zero, offset, _, operation, map, options): &Parts) -> ClientFrame<'_> {
    let (id, sub, body, options) = (*id, *id, Body::own(map), options.as_deref().map(Body::own));
    match kind {
        0 => ClientFrame::Hello(body),
        1 => ClientFrame::Request { id, operation, input: body, options },
        2 => ClientFrame::Cancel { id },
        3 => ClientFrame::Subscribe { sub, target: body, options },
        4 => ClientFrame::Credit { sub: *id_or_zero, bytes: -offset },
        5 => ClientFrame::Unsubscribe { sub },
        6 => ClientFrame::Presence { sub, state: body },
        7 => ClientFrame::Ping(body),
        _ => ClientFrame::Pong(body),
    }
}

fn server(kind: u8, (id, id_or_zero, offset, span, _, map, options): &Parts) -> ServerFrame<'_> {
    let (id, sub, body, options) = (*id, *id, Body::own(map), options.as_deref().map(Body::own));
    let (offset, span) = (*offset, *span);
    match kind {
        0 => ServerFrame::Welcome(body),
        1 => ServerFrame::Reply { id, output: body, options },
        2 => ServerFrame::Fault { id: *id_or_zero, fault: body },
        3 => ServerFrame::Subscribed { sub, body },
        4 => ServerFrame::Events { sub, offset, span, events: body },
        5 => ServerFrame::Snapshot { sub, offset, value: body },
        6 => ServerFrame::Ended { sub, offset, body },
        7 => ServerFrame::Presence { sub, member: body, state: options.unwrap_or(Body::own(&[0xc0])) },
        8 => ServerFrame::Ping(body),
        9 => ServerFrame::Pong(body),
        10 => ServerFrame::Notice(body),
        _ => ServerFrame::Goaway(body),
    }
}

proptest! {
    #[test]
    fn a_message_of_a_clients_frames_is_read_as_it_was_written(frames in prop::collection::vec((0..9_u8, parts()), 1..8)) {
        let frames: Vec<ClientFrame<'_>> = frames.iter().map(|(kind, parts)| client(*kind, parts)).collect();
        let mut message = Vec::new();
        frames.iter().for_each(|frame| frame.write(&mut message));
        let mut rest = &message[..];
        for frame in frames {
            prop_assert_eq!(ClientFrame::read(&mut rest), Ok(frame));
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_message_of_a_servers_frames_is_read_as_it_was_written(frames in prop::collection::vec((0..12_u8, parts()), 1..8)) {
        let frames: Vec<ServerFrame<'_>> = frames.iter().map(|(kind, parts)| server(*kind, parts)).collect();
        let mut message = Vec::new();
        frames.iter().for_each(|frame| frame.write(&mut message));
        let mut rest = &message[..];
        for frame in frames {
            prop_assert_eq!(ServerFrame::read(&mut rest), Ok(Some(frame)));
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_frame_cut_off_anywhere_is_malformed(kind in 0..9_u8, parts in parts()) {
        let mut message = Vec::new();
        client(kind, &parts).write(&mut message);
        for cut in 0..message.len() {
            prop_assert!(ClientFrame::read(&mut &message[..cut]).is_err());
        }
    }
}
