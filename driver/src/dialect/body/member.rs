//! The members of an object as they came, in whatever serialisation.

use std::borrow::Cow;

use serde_json::Value;

use crate::codec::encoded::Encoded;
use crate::codec::json::{self, Members, ReadError};
use crate::codec::msgpack;
use crate::codec::serialization::Serialization;
use crate::dialect::error::DecodeError;

/// The value of one member.
pub(in crate::dialect) enum Member<'a> {
    Json(&'a str),
    MsgPack(&'a [u8]),
    Value(Value),
}

/// Hands each member of the object that `body` holds to `take`, in their order, if the body keeps
/// to its budget.
pub(in crate::dialect) fn each<'a>(
    body: &'a [u8],
    serialization: &Serialization,
    mut take: impl FnMut(Cow<'a, str>, Member<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    match serialization {
        Serialization::Json => Members::new(body)?.try_for_each(|member| {
            let (key, value) = member?;
            take(key, Member::Json(value))
        }),
        Serialization::MsgPack => msgpack::Entries::new(body)?.try_for_each(|entry| {
            let (key, value) = entry?;
            take(key.into(), Member::MsgPack(value))
        }),
        Serialization::Custom(serializer) => {
            let refused = |text: String| DecodeError::Custom(text);
            match serializer.decode(body).map_err(|failure| refused(failure.to_string()))? {
                Value::Object(members) => members
                    .into_iter()
                    .try_for_each(|(key, value)| take(key.into(), Member::Value(value))),
                _ => Err(refused("it is no object".to_owned())),
            }
        }
    }
}

impl<'a> Member<'a> {
    /// A string, or null where that is the rule; anything else as its JSON text, to be refused
    /// where it is used.
    pub(in crate::dialect) fn text(self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        match self {
            Self::Json(raw) => Ok(text(raw)?),
            Self::MsgPack(bytes) => match msgpack::text(bytes) {
                Ok(text) => Ok(text.map(Cow::Borrowed)),
                Err(_) => Ok(Some(msgpack::to_value(bytes)?.to_string().into())),
            },
            Self::Value(Value::Null) => Ok(None),
            Self::Value(Value::String(text)) => Ok(Some(text.into())),
            Self::Value(other) => Ok(Some(other.to_string().into())),
        }
    }

    /// As a value of JSON.
    pub(in crate::dialect) fn value(self) -> Result<Value, DecodeError> {
        match self {
            Self::Json(raw) => Ok(json::from_slice(raw.as_bytes())?),
            Self::MsgPack(bytes) => Ok(msgpack::to_value(bytes)?),
            Self::Value(value) => Ok(value),
        }
    }

    /// As it is, to be decoded later, which cannot fail.
    pub(in crate::dialect) fn checked(self) -> Result<Encoded<'a>, DecodeError> {
        Ok(match self {
            Self::Json(raw) => Encoded::json(raw.as_bytes()),
            Self::MsgPack(bytes) => {
                msgpack::check_value(bytes)?;
                Encoded::MsgPack(bytes.into())
            }
            Self::Value(value) => Encoded::Value(value),
        })
    }

    /// As it is, to be read later; `None` for null.
    pub(in crate::dialect) fn encoded(self) -> Option<Encoded<'a>> {
        match self {
            Self::Json(raw) => encoded(raw),
            Self::MsgPack(bytes) if bytes == msgpack::NIL => None,
            Self::MsgPack(bytes) => Some(Encoded::MsgPack(bytes.into())),
            Self::Value(Value::Null) => None,
            Self::Value(value) => Some(Encoded::Value(value)),
        }
    }
}

/// A string, or null where that is the rule; anything else as its JSON text, to be refused where it
/// is used.
pub(in crate::dialect) fn text(raw: &str) -> Result<Option<Cow<'_, str>>, ReadError> {
    match raw.as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => json::parse_string(raw).map(Some),
        _ => Ok(Some(Cow::Borrowed(raw))),
    }
}

/// JSON text to be read later; `None` for null.
pub(in crate::dialect) fn encoded(raw: &str) -> Option<Encoded<'_>> {
    (raw != "null").then(|| Encoded::json(raw.as_bytes()))
}

/// What Python takes for false, as JSON text.
pub(in crate::dialect) fn is_falsy(text: &str) -> bool {
    matches!(text, "" | "false" | "0" | "0.0" | "{}" | "[]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_what_their_quotes_enclose() {
        let read = |raw| text(raw).unwrap().map(Cow::into_owned);
        assert_eq!(read(r#""a: b, é""#).unwrap(), "a: b, é");
        assert_eq!(read(r#""""#).unwrap(), "");
        assert_eq!(read(r#""\"a\" \u00e9 \\""#).unwrap(), r#""a" é \"#);
        assert_eq!(read(r#""\ud800""#).unwrap(), "\u{fffd}", "as Python lets it pass");
        assert_eq!(read("null"), None);
        assert_eq!(read("[1, \"a\"]").unwrap(), "[1, \"a\"]");
    }
}
