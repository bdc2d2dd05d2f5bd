//! Reading a map that is told by its keys.

use serde::de::{self, Deserialize, Deserializer, MapAccess};

/// A shape of which a map of several keys is read: each key gives its value to the builder, which is asked for the whole at last.
pub(crate) trait Keys: Default {
    /// What is built.
    type Built;
    /// What a map must be, as a fault says it.
    const EXPECTED: &'static str;
    /// Reads the value of a key.
    fn key<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
    /// The whole, when there are no more keys.
    fn build<E: de::Error>(self) -> Result<Self::Built, E>;
}

/// Reads a map by its keys.
pub(crate) fn read<'de, K: Keys, D: Deserializer<'de>>(deserializer: D) -> Result<K::Built, D::Error> {
    struct Visitor<K>(K);
    impl<'de, K: Keys> de::Visitor<'de> for Visitor<K> {
        type Value = K::Built;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(K::EXPECTED)
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<K::Built, A::Error> {
            while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
                self.0.key(&key, &mut map)?;
            }
            self.0.build()
        }
    }
    deserializer.deserialize_map(Visitor(K::default()))
}

/// Puts a key's value into its place; a place that is taken means that a second key asks for the same.
pub(crate) fn once<'de, T: Deserialize<'de>, U, A: MapAccess<'de>>(
    place: &mut Option<U>,
    map: &mut A,
    name: &'static str,
    make: impl FnOnce(T) -> U,
) -> Result<(), A::Error> {
    let value = map.next_value()?;
    match place.replace(make(value)) {
        None => Ok(()),
        Some(_) => Err(de::Error::custom(format_args!("two things at once: `{name}` stands beside another of its kind"))),
    }
}
