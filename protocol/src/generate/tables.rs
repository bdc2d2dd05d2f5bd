//! Nouns, faults and closes as rows, for the documents that list them.

use crewline_protocol::{
    CloseCode, FaultCode, OPERATIONS,
    close::{After, after},
    noun::{Field, NOUNS, Noun},
};
use serde_json::{Map, Value, json};

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

/// The nouns that can be read.
pub(crate) fn nouns() -> impl Iterator<Item = &'static Noun> {
    let read = |noun: &Noun| OPERATIONS.iter().any(|operation| operation.live && operation.noun() == noun.name);
    NOUNS.iter().copied().filter(move |noun| read(noun))
}

/// A field of a noun as documents say it; what is not so is left out.
pub(crate) fn field(field: &Field) -> Value {
    let flags = [("optional", field.optional), ("filter", field.filterable), ("sort", field.sortable)];
    let mut entries = Map::from_iter([("is".to_owned(), json!(field.kind.as_str()))]);
    entries.extend(flags.into_iter().filter(|(_, is)| *is).map(|(flag, _)| (flag.to_owned(), json!(true))));
    entries.extend(field.refers.as_ref().map(|noun| ("refers".to_owned(), json!(noun))));
    entries.extend(field.seen_by.map(|role| ("seen_by".to_owned(), json!(role))));
    entries.into()
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
