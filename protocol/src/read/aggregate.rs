//! What is told of many rows at once: groups, measures, and their answer.

use garde::{Path, Report, Validate};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess},
};
use ts_rs::TS;

use super::filter::Filter;
use crate::keys::{Keys, once, read};

/// Groups at most in one aggregate.
pub const GROUPS: usize = 8;
/// Measures at most in one aggregate.
pub const MEASURES: usize = 32;
/// Bounds at most of one group.
pub const BOUNDS: usize = 100;

/// What the rows of a group have in common.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema, TS)]
#[serde(untagged)]
#[schemars(deny_unknown_fields)]
pub enum Group {
    /// The hour, day, week or month that a moment falls into; told as its beginning, in milliseconds.
    Bucket {
        /// The moment's field.
        field: String,
        /// How long a bucket is.
        bucket: Bucket,
    },
    /// The cell that a number falls into; told as its place: 0 is below the first bound, 1 from the first to below the second.
    Bounds {
        /// The number's field.
        field: String,
        /// Where cells begin and end, ascending.
        bounds: Vec<f64>,
    },
    /// A field's value.
    Field {
        /// Which field.
        field: String,
    },
    /// The row that a field refers to; told as that row's title.
    Ref {
        /// The field that refers to it.
        r#ref: String,
    },
}

/// A stretch of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week, from Monday.
    Week,
    /// A month.
    Month,
}

/// One thing that is told of each group.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema, TS)]
#[schemars(deny_unknown_fields)]
pub struct Measure {
    /// What it is called in the answer; not `groups`.
    pub name: String,
    /// What is told.
    #[serde(flatten)]
    pub what: What,
    /// Of which of the group's rows; absent: all.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub only: Option<Filter>,
}

/// What a measure tells. Absent values count for nothing; of no values at all it tells `nil`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, TS)]
#[schemars(rename_all = "snake_case")]
#[ts(rename_all = "snake_case")]
pub enum What {
    /// How many rows: on the wire `true` for all, or a field for those that have it.
    Count(
        #[schemars(with = "Counted")]
        #[ts(type = "true | string")]
        Option<String>,
    ),
    /// The sum of a number's field.
    Sum(String),
    /// Its mean.
    Avg(String),
    /// The least of a field.
    Min(String),
    /// The greatest.
    Max(String),
    /// The value that half of a number's are at or below.
    P50(String),
    /// The value that 95 in 100 are at or below.
    P95(String),
}

/// What measures tell, group by group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Aggregated {
    /// A row a group: `{groups: [..], <measure>: value}`, ordered by the groups, absent last.
    #[ts(type = "Array<{ groups: Array<string | number | boolean | null> } & Record<string, unknown>>")]
    pub rows: Vec<serde_json::Map<String, serde_json::Value>>,
}

impl What {
    /// Its key on the wire, and the field that it is about.
    pub fn told(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Count(field) => ("count", field.as_deref()),
            Self::Sum(field) => ("sum", Some(field)),
            Self::Avg(field) => ("avg", Some(field)),
            Self::Min(field) => ("min", Some(field)),
            Self::Max(field) => ("max", Some(field)),
            Self::P50(field) => ("p50", Some(field)),
            Self::P95(field) => ("p95", Some(field)),
        }
    }
}

impl Serialize for What {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.told() {
            (key, None) => serializer.serialize_newtype_variant("What", 0, key, &true),
            (key, Some(field)) => serializer.serialize_newtype_variant("What", 0, key, field),
        }
    }
}

/// What `count` is given.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum Counted {
    /// `true`: all rows.
    Rows(bool),
    /// Those that have this field.
    Having(String),
}

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read::<GroupKeys, D>(deserializer)
    }
}

#[derive(Default)]
struct GroupKeys {
    field: Option<String>,
    bucket: Option<Bucket>,
    bounds: Option<Vec<f64>>,
    reference: Option<String>,
}

impl Keys for GroupKeys {
    type Built = Group;
    const EXPECTED: &'static str = "a map";

    fn key<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "field" => once(&mut self.field, map, "field", |field| field),
            "bucket" => once(&mut self.bucket, map, "bucket", |bucket| bucket),
            "bounds" => once(&mut self.bounds, map, "bounds", |bounds| bounds),
            "ref" => once(&mut self.reference, map, "ref", |reference| reference),
            other => Err(de::Error::unknown_field(other, &["field", "bucket", "bounds", "ref"])),
        }
    }

    fn build<E: de::Error>(self) -> Result<Group, E> {
        match self {
            Self { field: Some(field), bucket: None, bounds: None, reference: None } => Ok(Group::Field { field }),
            Self { field: Some(field), bucket: Some(bucket), bounds: None, reference: None } => Ok(Group::Bucket { field, bucket }),
            Self { field: Some(field), bucket: None, bounds: Some(bounds), reference: None } => Ok(Group::Bounds { field, bounds }),
            Self { field: None, bucket: None, bounds: None, reference: Some(reference) } => Ok(Group::Ref { r#ref: reference }),
            Self { field: None, reference: None, .. } => Err(E::missing_field("field")),
            _ => Err(E::custom("two things at once: a group has `field`, with at most one of `bucket` and `bounds`, or `ref` alone")),
        }
    }
}

impl<'de> Deserialize<'de> for Measure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read::<MeasureKeys, D>(deserializer)
    }
}

#[derive(Default)]
struct MeasureKeys {
    name: Option<String>,
    what: Option<What>,
    only: Option<Option<Filter>>,
    counts_nothing: bool,
}

impl Keys for MeasureKeys {
    type Built = Measure;
    const EXPECTED: &'static str = "a map";

    fn key<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        const KEYS: &[&str] = &["name", "count", "sum", "avg", "min", "max", "p50", "p95", "where"];
        match key {
            "name" => once(&mut self.name, map, "name", |name| name),
            "where" => once(&mut self.only, map, "where", |only: Option<Filter>| only),
            "count" => once(&mut self.what, map, "count", |counted| {
                self.counts_nothing = matches!(counted, Counted::Rows(false));
                What::Count(if let Counted::Having(field) = counted { Some(field) } else { None })
            }),
            "sum" => once(&mut self.what, map, "sum", What::Sum),
            "avg" => once(&mut self.what, map, "avg", What::Avg),
            "min" => once(&mut self.what, map, "min", What::Min),
            "max" => once(&mut self.what, map, "max", What::Max),
            "p50" => once(&mut self.what, map, "p50", What::P50),
            "p95" => once(&mut self.what, map, "p95", What::P95),
            other => Err(de::Error::unknown_field(other, KEYS)),
        }
    }

    fn build<E: de::Error>(self) -> Result<Measure, E> {
        if self.counts_nothing {
            return Err(E::custom("without anything to count: `count` is `true` or a field"));
        }
        let name = self.name.ok_or_else(|| E::missing_field("name"))?;
        let what = self.what.ok_or_else(|| {
            E::custom("without anything to tell: beside `name` stands one of `count`, `sum`, `avg`, `min`, `max`, `p50` and `p95`")
        })?;
        Ok(Measure { name, what, only: self.only.flatten() })
    }
}

impl Validate for Group {
    type Context = ();
    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> Path, report: &mut Report) {
        let Self::Bounds { bounds, .. } = self else { return };
        let message = match bounds.len() {
            0 => "are missing: one at least makes two cells".to_owned(),
            many if many > BOUNDS => format!("are {many}; {BOUNDS} are the most"),
            _ if !bounds.is_sorted_by(|low, high| low < high) => "must ascend, each above the one before".to_owned(),
            _ => return,
        };
        report.append(parent().join("bounds"), garde::Error::new(message));
    }
}

impl Validate for Measure {
    type Context = ();
    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> Path, report: &mut Report) {
        if self.name == "groups" || !(1..=100).contains(&self.name.len()) {
            let message = "is 1 to 100 bytes of a name for the answer, and not `groups`";
            report.append(parent().join("name"), garde::Error::new(message));
        }
        if let Some(only) = &self.only {
            only.validate_into(&(), &mut || parent().join("where"), report);
        }
    }
}

/// Measures of one aggregate have different names, for the answer holds them side by side.
pub(crate) fn told_apart(measures: &[Measure], (): &()) -> garde::Result {
    let mut names: Vec<&str> = measures.iter().map(|measure| measure.name.as_str()).collect();
    names.sort_unstable();
    match names.array_windows().find(|[one, next]| one == next) {
        Some([name, _]) => Err(garde::Error::new(format!("have two called `{name}`"))),
        None => Ok(()),
    }
}
