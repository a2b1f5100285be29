//! Reading objects of JSON by their keys, as leniently as Python does.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

use crate::json::{self, ReadError};

/// Implements `Deserialize` for an object whose keys are dispatched by a function.
macro_rules! by_key {
    ($type:ty, $expected:literal, $start:expr, $on_key:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Keys;
                impl<'de> Visitor<'de> for Keys {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<$type, M::Error> {
                        let mut value = $start;
                        while let Some(key) = map.next_key::<Text<'de>>()? {
                            $on_key(&mut value, &*key.0, &mut map)?;
                        }
                        Ok(value)
                    }
                }
                deserializer.deserialize_map(Keys)
            }
        }
    };
}
pub(super) use by_key;

/// What Python takes for false, as JSON text.
pub(super) fn is_falsy(text: &str) -> bool {
    matches!(text, "" | "false" | "0" | "0.0" | "{}" | "[]")
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A string or null where that is the rule; anything else as its JSON text, to be refused where it
/// is used.
pub(super) struct Lenient<'a>(pub(super) Option<Cow<'a, str>>);

impl<'a> Lenient<'a> {
    pub(super) fn of(raw: &'a RawValue) -> Result<Self, ReadError> {
        let raw = raw.get();
        Ok(Self(match raw.as_bytes()[0] {
            b'n' => None,
            b'"' => Some(string(raw)?),
            _ => Some(Cow::Borrowed(raw)),
        }))
    }
}

impl<'de> Deserialize<'de> for Lenient<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(<&RawValue>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn string(raw: &str) -> Result<Cow<'_, str>, ReadError> {
    // Found to be a string already, so without escapes it stands for itself.
    let content = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if let Some(content) = content.filter(|content| !content.contains('\\')) {
        return Ok(Cow::Borrowed(content));
    }
    match serde_json::from_str::<Text<'_>>(raw) {
        Ok(text) => Ok(text.0),
        Err(_) => json::from_slice::<String>(raw.as_bytes()).map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_what_their_quotes_enclose() {
        let read = |text: &str| {
            let raw = RawValue::from_string(text.into()).unwrap();
            Lenient::of(&raw).unwrap().0.map(Cow::into_owned)
        };
        assert_eq!(read(r#""a: b, é""#).unwrap(), "a: b, é");
        assert_eq!(read(r#""""#).unwrap(), "");
        assert_eq!(read(r#""\"a\" \u00e9 \\""#).unwrap(), r#""a" é \"#);
        assert_eq!(read(r#""\ud800""#).unwrap(), "\u{fffd}", "as Python lets it pass");
        assert_eq!(read("null"), None);
        assert_eq!(read("[1, \"a\"]").unwrap(), "[1, \"a\"]");
    }
}
