//! The scan and the reference agree on any bytes.

use crewline_protocol::{
    frame::{ClientFrame, ServerFrame},
    scan::{self, DEPTH, NODES, Rules},
};
use proptest::prelude::*;

use crate::reference::{Item, read};

/// What the reference says: `None` for what is malformed, else whether it is flawed.
fn by_reference(bytes: &[u8]) -> Option<bool> {
    let mut rest = bytes;
    let item = read(&mut rest).filter(|_| rest.is_empty())?;
    let fits = item.depth() <= DEPTH && item.nodes() <= NODES as usize + 1;
    fits.then(|| item.flawed())
}

fn by_scan(bytes: &[u8]) -> Option<bool> {
    scan::value(bytes, 0, Rules::CLIENT).ok().map(|flaw| flaw.is_some())
}

fn any_item() -> impl Strategy<Value = Item> {
    let scalar = prop_oneof![
        Just(Item::Nil),
        any::<bool>().prop_map(Item::Bool),
        any::<i64>().prop_map(|value| Item::Integer(value.into())),
        any::<u64>().prop_map(|value| Item::Integer(value.into())),
        (-300..300_i128).prop_map(Item::Integer),
        any::<f64>().prop_map(Item::Float),
        "[a-c\\x00é]{0,3}".prop_map(Item::Text),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(Item::Binary),
    ];
    scalar.prop_recursive(40, 200, 20, |inner| {
        let key = prop_oneof![9 => "[a-f]{0,2}".prop_map(Item::Text), 1 => inner.clone()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Item::Array),
            prop::collection::vec((key, inner), 0..20).prop_map(Item::Map),
        ]
    })
}

fn write(item: &Item, out: &mut Vec<u8>) {
    match item {
        Item::Nil => rmp::encode::write_nil(out).unwrap(),
        Item::Bool(value) => rmp::encode::write_bool(out, *value).unwrap(),
        Item::Integer(value) => match i64::try_from(*value) {
            Ok(value) => drop(rmp::encode::write_sint(out, value).unwrap()),
            Err(_) => rmp::encode::write_u64(out, u64::try_from(*value).unwrap()).unwrap(),
        },
        Item::Float(value) => rmp::encode::write_f64(out, *value).unwrap(),
        Item::Text(text) => rmp::encode::write_str(out, text).unwrap(),
        Item::Binary(bytes) => rmp::encode::write_bin(out, bytes).unwrap(),
        Item::Array(elements) => {
            rmp::encode::write_array_len(out, u32::try_from(elements.len()).unwrap()).unwrap();
            elements.iter().for_each(|element| write(element, out));
        }
        Item::Map(entries) => {
            rmp::encode::write_map_len(out, u32::try_from(entries.len()).unwrap()).unwrap();
            entries.iter().for_each(|(key, value)| {
                write(key, out);
                write(value, out);
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn values_are_scanned_as_the_reference_reads_them(item in any_item()) {
        let mut bytes = Vec::new();
        write(&item, &mut bytes);
        prop_assert_eq!(by_scan(&bytes), by_reference(&bytes));
    }

    #[test]
    fn so_are_values_that_were_damaged(item in any_item(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut: Option<prop::sample::Index>) {
        let mut bytes = Vec::new();
        write(&item, &mut bytes);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        prop_assert_eq!(by_scan(&bytes), by_reference(&bytes));
    }

    #[test]
    fn so_are_any_bytes(bytes: Vec<u8>) {
        prop_assert_eq!(by_scan(&bytes), by_reference(&bytes));
    }

    #[test]
    fn any_message_is_read_to_its_end_or_refused(start in 0x90..0xa0_u8, kind in 0..40_u8, rest: Vec<u8>) {
        let message = [vec![start, kind], rest].concat();
        let mut left = &message[..];
        while ClientFrame::read(&mut left).is_ok() {}
        let mut left = &message[..];
        while ServerFrame::read(&mut left).is_ok() {}
    }
}

#[test]
fn hostile_frames_need_no_stack() {
    let attack = || {
        for marker in [0x91, 0x81, 0xdc, 0xdd, 0xde, 0xdf, 0xc7, 0xd9] {
            for head in [&[0x92, 1][..], &[0x94, 3, 1, 0xa1, b'x'], &[0x92, 30], &[0xdd, 0, 1, 0, 0, 6, 1]] {
                let message = [head, &vec![marker; 1 << 20]].concat();
                assert!(ClientFrame::read(&mut &message[..]).is_err(), "{marker:x} after {head:x?}");
                let _ = ServerFrame::read(&mut &message[..]);
            }
        }
        // The deepest that is let through, decoded into values without a type.
        let mut deep = vec![0x90];
        for _ in 0..DEPTH - 2 {
            deep = [&[0x81, 0xa1, b'k'][..], &deep].concat();
        }
        let message = [&[0x94, 3, 1, 0xa1, b'x'][..], &deep, &[0x80]].concat();
        let Ok(ClientFrame::Request { input, .. }) = ClientFrame::read(&mut &message[..]) else { panic!("it is {DEPTH} deep") };
        assert!(input.decode::<serde_json::Value>().is_ok());
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(attack).unwrap().join().unwrap();
}

/// Sorting, and not comparing each with each: 5,000 keys of one map would be 12 million comparisons.
#[test]
fn a_map_of_many_keys_is_scanned() {
    let keys = u16::try_from(NODES / 2 - 1).unwrap();
    let mut bytes = [&[0xde][..], &keys.to_be_bytes()].concat();
    for key in 0..keys {
        rmp::encode::write_str(&mut bytes, &format!("{}{key:05}", "x".repeat(90))).unwrap();
        bytes.push(0xc0);
    }
    assert_eq!(by_scan(&bytes), Some(false));
}
