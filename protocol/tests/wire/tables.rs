//! The tables of faults and closes are those of the protocol.

use std::collections::BTreeSet;

use crewline_protocol::{
    CloseCode, Fault, FaultCode, RunEvent,
    close::{After, after},
    fault::Retry,
    value::encode,
};

#[test]
fn every_fault_has_its_code_and_says_what_a_client_does_next() {
    let table = [
        ("invalid", Retry::Never),
        ("unknown_operation", Retry::Never),
        ("key_required", Retry::Never),
        ("key_reused", Retry::Never),
        ("key_expired", Retry::Never),
        ("unauthenticated", Retry::SignIn),
        ("forbidden", Retry::Never),
        ("not_found", Retry::Never),
        ("conflict", Retry::Refetch),
        ("rate_limited", Retry::After),
        ("over_quota", Retry::Never),
        ("too_large", Retry::Never),
        ("too_many", Retry::After),
        ("timeout", Retry::SameKey),
        ("cancelled", Retry::Never),
        ("lease_lost", Retry::Never),
        ("unavailable", Retry::SameKey),
        ("internal", Retry::SameKey),
        ("protocol_error", Retry::Never),
        ("unsupported_client", Retry::Never),
        ("disconnected", Retry::Reconnect),
    ];
    assert_eq!(FaultCode::ALL.iter().map(|code| (code.as_str(), code.retry())).collect::<Vec<_>>(), table);
    for code in FaultCode::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str(), "as it is written on the wire");
        let fault = Fault::new(*code, "m");
        assert_eq!(crewline_protocol::value::decode::<Fault>(&encode(&fault)).unwrap(), fault);
    }
}

#[test]
fn every_close_says_what_a_client_does_and_which_fault_goes_before_it() {
    let table = [
        (1000, After::Done, None),
        (1001, After::Reconnect, None),
        (4001, After::Reconnect, Some("unavailable")),
        (4002, After::Reconnect, Some("internal")),
        (4003, After::Reconnect, Some("disconnected")),
        (4004, After::Reconnect, Some("disconnected")),
        (4006, After::BackOff, Some("disconnected")),
        (4100, After::SignIn, Some("unauthenticated")),
        (4101, After::SignIn, Some("unauthenticated")),
        (4102, After::SignIn, Some("unauthenticated")),
        (4201, After::Stop, Some("unauthenticated")),
        (4202, After::Stop, Some("forbidden")),
        (4203, After::Stop, Some("protocol_error")),
        (4204, After::Stop, Some("unsupported_client")),
        (4205, After::Stop, Some("not_found")),
        (4206, After::Stop, Some("too_large")),
    ];
    let closes = CloseCode::ALL.iter().map(|close| (close.code(), close.after(), close.fault().map(FaultCode::as_str)));
    assert_eq!(closes.collect::<Vec<_>>(), table);
    assert_eq!(after(None), After::Reconnect, "a socket that broke");
    assert_eq!(after(Some(1006)), After::Reconnect);
}

#[test]
fn every_event_of_a_run_has_its_type() {
    let table = [
        ["run.started", "run.waiting", "run.resumed", "run.pause_requested", "run.cancel_requested", "run.finished"].as_slice(),
        &["task.started", "task.finished", "task.failed", "text.started", "text.delta", "text.finished"],
        &["tool.started", "tool.finished", "tool.failed", "approval.requested", "approval.answered"],
        &["steer.received", "steer.applied", "progress.reported", "usage.recorded", "artifact.created", "log.written"],
    ];
    let types: BTreeSet<&str> = RunEvent::TYPES.iter().copied().collect();
    assert_eq!(types, table.concat().into_iter().collect());
}
