//! Faults and closes as rows, for the documents that list them.

use crewline_protocol::{
    CloseCode, FaultCode,
    close::{After, after},
};

use crate::document::word;

/// What a client does after a close, as documents say it.
pub(crate) fn after_word(after: After) -> &'static str {
    match after {
        After::Done => "done",
        After::Reconnect => "reconnect",
        After::BackOff => "back_off",
        After::SignIn => "sign_in",
        After::Stop => "stop",
    }
}

/// Code, retry, when.
pub(crate) fn faults() -> impl Iterator<Item = (&'static str, String, &'static str)> {
    FaultCode::ALL.iter().map(|code| (code.as_str(), word(code.retry()), code.when().trim()))
}

/// Number, what the client does, the fault that goes before it, why.
pub(crate) fn closes() -> impl Iterator<Item = (u16, &'static str, Option<&'static str>, &'static str)> {
    CloseCode::ALL.iter().map(|close| {
        let code = close.code();
        (code, after_word(after(Some(code))), close.fault().map(FaultCode::as_str), close.reason())
    })
}
