//! Which rows: a filter, its tests and the values that they compare with.

use std::fmt;

use garde::{Path, Report, Validate};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess},
};
use ts_rs::TS;

use crate::keys::{Keys, once, read};

/// How deep a filter may be nested, a test counted as 1.
pub const FILTER_DEPTH: usize = 8;
/// Values at most that one `in` names.
pub const IN_VALUES: usize = 200;
/// Tests and connectives at most in one filter: databases bound how much one condition may say.
pub const FILTER_PARTS: usize = 200;

/// Which rows. What it says of an absent value is false, but for `ne`, which is true of it, and `eq: nil`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[schemars(deny_unknown_fields)]
pub enum Filter {
    /// Those that pass every one of these; of none: all rows.
    All(Vec<Filter>),
    /// Those that pass one of these; of none: no rows.
    Any(Vec<Filter>),
    /// Those that do not pass this.
    Not(Box<Filter>),
    /// Those whose field passes a test.
    #[serde(untagged)]
    Is {
        /// Which field.
        field: String,
        /// What of it.
        #[serde(flatten)]
        test: Test,
    },
}

/// What is asked of a field.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Is this value; `nil`: is absent.
    Eq(Scalar),
    /// Is not this value, or is absent; `nil`: is there.
    Ne(Scalar),
    /// Comes before this value.
    Lt(Scalar),
    /// Comes before this value, or is it.
    Lte(Scalar),
    /// Comes after this value.
    Gt(Scalar),
    /// Comes after this value, or is it.
    Gte(Scalar),
    /// Is one of these.
    In(Vec<Scalar>),
    /// Holds this text, upper and lower case told apart; for a list: has this element.
    Contains(Scalar),
}

/// A value that a test names.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema, TS)]
#[serde(untagged)]
pub enum Scalar {
    /// Nothing: what an absent field has.
    Nil,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    #[ts(skip)]
    Integer(i64),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read::<FilterKeys, D>(deserializer)
    }
}

#[derive(Default)]
struct FilterKeys {
    field: Option<String>,
    test: Option<Test>,
    whole: Option<Filter>,
}

impl Keys for FilterKeys {
    type Built = Filter;
    const EXPECTED: &'static str = "a map";

    fn key<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        const KEYS: &[&str] = &["field", "eq", "ne", "lt", "lte", "gt", "gte", "in", "contains", "all", "any", "not"];
        let present = |test: fn(Scalar) -> Test| move |Present(value)| test(value);
        match key {
            "field" => once(&mut self.field, map, "field", |field| field),
            "eq" => once(&mut self.test, map, "eq", Test::Eq),
            "ne" => once(&mut self.test, map, "ne", Test::Ne),
            "lt" => once(&mut self.test, map, "lt", present(Test::Lt)),
            "lte" => once(&mut self.test, map, "lte", present(Test::Lte)),
            "gt" => once(&mut self.test, map, "gt", present(Test::Gt)),
            "gte" => once(&mut self.test, map, "gte", present(Test::Gte)),
            "in" => once(&mut self.test, map, "in", |values: Vec<Present>| Test::In(values.into_iter().map(|value| value.0).collect())),
            "contains" => once(&mut self.test, map, "contains", present(Test::Contains)),
            "all" => once(&mut self.whole, map, "all", Filter::All),
            "any" => once(&mut self.whole, map, "any", Filter::Any),
            "not" => once(&mut self.whole, map, "not", |filter| Filter::Not(Box::new(filter))),
            other => Err(de::Error::unknown_field(other, KEYS)),
        }
    }

    fn build<E: de::Error>(self) -> Result<Filter, E> {
        match self {
            Self { whole: Some(whole), field: None, test: None } => Ok(whole),
            Self { whole: None, field: Some(field), test: Some(test) } => Ok(Filter::Is { field, test }),
            Self { whole: None, field: None, test: Some(_) } => Err(E::missing_field("field")),
            Self { whole: None, field: Some(_), test: None } => {
                Err(E::custom("without a test: beside `field` stands one of `eq`, `ne`, `lt`, `lte`, `gt`, `gte`, `in` and `contains`"))
            }
            Self { whole: None, .. } => Err(E::custom("empty: a filter has `field` and a test, or one of `all`, `any` and `not`")),
            Self { whole: Some(_), .. } => Err(E::custom("two things at once: `all`, `any` and `not` stand alone")),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true, false or nil")
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Nil)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Boolean(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(value))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
                i64::try_from(value).map(Scalar::Integer).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar::Number(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A value that is there: only `eq` and `ne` take `nil`.
struct Present(Scalar);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar::Nil => {
                Err(de::Error::invalid_type(de::Unexpected::Unit, &"a text, a number, true or false; `nil` goes with `eq` and `ne`"))
            }
            value => Ok(Self(value)),
        }
    }
}

impl Validate for Filter {
    type Context = ();
    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> Path, report: &mut Report) {
        let mut parts = FILTER_PARTS;
        self.check(1, &mut parts, parent, report);
    }
}

impl Filter {
    /// Says once what is wrong at each place; what is below a place that is too deep is not looked at.
    fn check(&self, depth: usize, parts: &mut usize, path: &mut dyn FnMut() -> Path, report: &mut Report) {
        if depth > FILTER_DEPTH {
            return report.append(path(), garde::Error::new(format!("is nested deeper than {FILTER_DEPTH}")));
        }
        let Some(left) = parts.checked_sub(1) else {
            return report.append(path(), garde::Error::new(format!("is one part too many: {FILTER_PARTS} are the most in a filter")));
        };
        *parts = left;
        match self {
            Self::All(inner) => every(inner, "all", depth, parts, path, report),
            Self::Any(inner) => every(inner, "any", depth, parts, path, report),
            Self::Not(inner) => inner.check(depth + 1, parts, &mut || path().join("not"), report),
            Self::Is { test: Test::In(values), .. } if values.len() > IN_VALUES => {
                let message = format!("has {} values; {IN_VALUES} are the most", values.len());
                report.append(path().join("in"), garde::Error::new(message));
            }
            Self::Is { .. } => {}
        }
    }
}

fn every(inner: &[Filter], name: &'static str, depth: usize, parts: &mut usize, path: &mut dyn FnMut() -> Path, report: &mut Report) {
    for (place, filter) in inner.iter().enumerate() {
        let used_up = *parts == 0;
        filter.check(depth + 1, parts, &mut || path().join(name).join(place), report);
        if used_up {
            return;
        }
    }
}
