//! The reads that every noun has, made from its fields: `get`, `list` and `aggregate`.

/// Makes a noun's `Get`, `List` and `Aggregate`, and `NOUN`, its description. Where the noun has a parent, lists and
/// aggregates take it.
macro_rules! reads {
    (
        $noun:literal: $row:ident by $id:ty, for $access:ident as $get:literal, $list:literal, $aggregate:literal;
        $(under $parent:ident: $parent_id:ty;)?
        $(title $title:literal;)?
        fields [$($field:expr),* $(,)?]
    ) => {
        $crate::operations::reads::describe! { $noun: $row; $(under $parent;)? $(title $title;)? fields [$($field),*] }
        $crate::operations::reads::get! { $noun: $row by $id, for $access, live true, as $get }
        $crate::operations::reads::list! { $noun: $row, for $access, live true, as $list; $(under $parent: $parent_id;)? }
        $crate::operations::reads::aggregate! { $noun, for $access, as $aggregate; $(under $parent: $parent_id;)? }
    };
}

/// Makes `NOUN`.
macro_rules! describe {
    ($noun:literal: $row:ident; $(under $parent:ident;)? $(title $title:literal;)? fields [$($field:expr),* $(,)?]) => {
        /// What its rows are made of.
        pub static NOUN: $crate::noun::Noun = $crate::noun::Noun {
            name: $noun,
            fields: {
                use $crate::noun::Field;
                const FIELDS: &[Field] = &[Field::ID, Field::REVISION, Field::CREATED_AT, Field::UPDATED_AT, $($field),*];
                FIELDS
            },
            parent: $crate::operations::reads::perhaps!($(stringify!($parent))?),
            title: $crate::operations::reads::perhaps!($($title)?),
            row: |generator| generator.subschema_for::<$row>(),
        };

        impl $crate::live::Row for $row {
            fn id(&self) -> String {
                self.id.to_string()
            }
        }

        $crate::live::whole!($row);
    };
}

/// Makes `Get`.
macro_rules! get {
    ($noun:literal: $row:ident by $id:ty, for $access:ident, live $live:literal, as $name:literal $(; under $parent:ident: $parent_id:ty;)?) => {
        #[doc = concat!(" Reads one ", $noun, ".")]
        #[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema, ts_rs::TS, garde::Validate)]
        #[serde(deny_unknown_fields)]
        #[schemars(rename = $name)]
        #[ts(rename = $name)]
        pub struct Get {
            $(
                /// Where it is.
                #[garde(skip)]
                pub $parent: $parent_id,
            )?
            /// Which one.
            #[garde(skip)]
            pub id: $id,
        }

        impl $crate::operation::Operation for Get {
            const NAME: &'static str = concat!($noun, ".get");
            const KIND: $crate::operation::Kind = $crate::operation::Kind::Read;
            const ACCESS: $crate::operation::Access = $crate::operation::Access::$access;
            const RATE: $crate::operation::Rate = $crate::operation::Rate::Read;
            const LIVE: bool = $live;
            type Output = $row;
        }

        impl $crate::read::ReadOperation for Get {
            fn asked(self) -> $crate::read::Asked {
                let parent = $crate::operations::reads::perhaps!($(self.$parent.to_string())?);
                $crate::read::Asked { noun: $noun, parent, read: $crate::read::Read::Get { id: self.id.to_string() } }
            }
        }
    };
}

/// Makes `List`.
macro_rules! list {
    ($noun:literal: $row:ident, for $access:ident, live $live:literal, as $name:literal; $(under $parent:ident: $parent_id:ty;)?) => {
        #[doc = concat!(" Lists ", $noun, "s, by `id` unless `sort` says otherwise, which is about the order in which they were made.")]
        #[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema, ts_rs::TS, garde::Validate)]
        #[serde(deny_unknown_fields)]
        #[schemars(rename = $name)]
        #[ts(rename = $name)]
        pub struct List {
            $(
                /// Where they are.
                #[garde(skip)]
                pub $parent: $parent_id,
            )?
            /// Which; absent: all.
            #[garde(dive)]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[ts(optional)]
            pub filter: Option<$crate::read::Filter>,
            /// By what; equals come by `id`.
            #[garde(length(max = 8), dive)]
            #[serde(default, deserialize_with = "crate::value::nil_as_absent", skip_serializing_if = "Vec::is_empty")]
            #[ts(optional, as = "Option<Vec<crate::read::Sort>>")]
            pub sort: Vec<$crate::read::Sort>,
            /// How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50.
            #[garde(range(min = 1, max = 500))]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[ts(optional)]
            pub limit: Option<u32>,
            /// `next` of the list before.
            #[garde(length(bytes, max = 4096))]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[ts(optional)]
            pub cursor: Option<String>,
            /// Whether to tell how many match in all.
            #[garde(skip)]
            #[serde(default, deserialize_with = "crate::value::nil_as_absent", skip_serializing_if = "std::ops::Not::not")]
            #[ts(optional, as = "Option<bool>")]
            pub count: bool,
        }

        impl $crate::operation::Operation for List {
            const NAME: &'static str = concat!($noun, ".list");
            const KIND: $crate::operation::Kind = $crate::operation::Kind::Read;
            const ACCESS: $crate::operation::Access = $crate::operation::Access::$access;
            const RATE: $crate::operation::Rate = $crate::operation::Rate::Read;
            const LIVE: bool = $live;
            type Output = $crate::read::Page<$row>;
        }

        $crate::operations::reads::default_list! { $($parent)? }

        impl $crate::read::ReadOperation for List {
            fn asked(self) -> $crate::read::Asked {
                let Self { $($parent,)? filter, sort, limit, cursor, count } = self;
                let parent = $crate::operations::reads::perhaps!($($parent.to_string())?);
                $crate::read::Asked { noun: $noun, parent, read: $crate::read::Read::List { filter, sort, limit, cursor, count } }
            }
        }
    };
}

/// A list of what has no parent asks for nothing in particular by default.
macro_rules! default_list {
    ($parent:ident) => {};
    () => {
        impl Default for List {
            fn default() -> Self {
                Self { filter: None, sort: Vec::new(), limit: None, cursor: None, count: false }
            }
        }
    };
}

/// Makes `Aggregate`.
macro_rules! aggregate {
    ($noun:literal, for $access:ident, as $name:literal; $(under $parent:ident: $parent_id:ty;)?) => {
        #[doc = concat!(" Tells measures over groups of ", $noun, "s.")]
        #[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema, ts_rs::TS, garde::Validate)]
        #[serde(deny_unknown_fields)]
        #[schemars(rename = $name)]
        #[ts(rename = $name)]
        pub struct Aggregate {
            $(
                /// Where they are.
                #[garde(skip)]
                pub $parent: $parent_id,
            )?
            /// What a group's rows have in common; absent: all are one group.
            #[garde(length(max = $crate::read::GROUPS), dive)]
            #[serde(default, deserialize_with = "crate::value::nil_as_absent", skip_serializing_if = "Vec::is_empty")]
            #[ts(optional, as = "Option<Vec<crate::read::Group>>")]
            pub groups: Vec<$crate::read::Group>,
            /// What is told of each group.
            #[garde(length(min = 1, max = $crate::read::MEASURES), custom($crate::read::told_apart), dive)]
            pub measures: Vec<$crate::read::Measure>,
            /// Which rows; absent: all.
            #[garde(dive)]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[ts(optional)]
            pub filter: Option<$crate::read::Filter>,
        }

        impl $crate::operation::Operation for Aggregate {
            const NAME: &'static str = concat!($noun, ".aggregate");
            const KIND: $crate::operation::Kind = $crate::operation::Kind::Read;
            const ACCESS: $crate::operation::Access = $crate::operation::Access::$access;
            const RATE: $crate::operation::Rate = $crate::operation::Rate::Read;
            const LIVE: bool = true;
            type Output = $crate::read::Aggregated;
        }

        impl $crate::read::ReadOperation for Aggregate {
            fn asked(self) -> $crate::read::Asked {
                let Self { $($parent,)? groups, measures, filter } = self;
                let parent = $crate::operations::reads::perhaps!($($parent.to_string())?);
                $crate::read::Asked { noun: $noun, parent, read: $crate::read::Read::Aggregate { groups, measures, filter } }
            }
        }
    };
}

/// `Some` of what is there, else `None`.
macro_rules! perhaps {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

pub(crate) use {aggregate, default_list, describe, get, list, perhaps, reads};
