//! Cursors: where a list ended, as text that only this server reads. They hold the last row's key and not a count, so that rows
//! which come or go meanwhile move nothing.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use crewline_protocol::{
    fault::Fault,
    value::{decode, encode},
};
use serde::{Deserialize, Serialize};

use crate::store::{Kind, Order, Value};

/// A key's value.
#[derive(Serialize, Deserialize)]
enum Part {
    Absent,
    Integer(i64),
    Real(f64),
    Text(String),
}

/// The cursor of a list in this order that ended with the row of this key.
pub(super) fn to_text(order: &[Order], key: &[Value]) -> String {
    let parts = key.iter().map(|value| match value {
        Value::Null | Value::Blob(_) => Part::Absent,
        Value::Integer(integer) => Part::Integer(*integer),
        Value::Real(real) => Part::Real(*real),
        Value::Text(text) => Part::Text(text.clone()),
    });
    URL_SAFE_NO_PAD.encode(encode(&(name(order), parts.collect::<Vec<_>>())))
}

/// The key that a cursor holds.
///
/// # Errors
/// `invalid` for one that no list in this order gave.
pub(super) fn from_text(order: &[Order], text: &str) -> Result<Vec<Value>, Fault> {
    let refused = || Fault::invalid("cursor", "format", "no list with this sort gave this cursor: begin without one");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
    let (given_for, parts): (String, Vec<Part>) = decode(&bytes).map_err(|_| refused())?;
    if given_for != name(order) || parts.len() != order.len() + 1 {
        return Err(refused());
    }
    let kinds = order.iter().map(|order| order.term.kind).chain([Kind::Text]);
    let value = |(part, kind)| match (part, kind) {
        (Part::Absent, _) => Ok(Value::Null),
        (Part::Integer(integer), Kind::Integer | Kind::Boolean) => Ok(Value::Integer(integer)),
        (Part::Real(real), Kind::Real) => Ok(Value::Real(real)),
        (Part::Text(text), Kind::Text) => Ok(Value::Text(text)),
        _ => Err(refused()),
    };
    parts.into_iter().zip(kinds).map(value).collect()
}

fn name(order: &[Order]) -> String {
    order.iter().map(|order| format!("{:?} {:?},", order.term.source, order.direction)).collect()
}
