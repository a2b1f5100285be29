//! Reads the members of an object, in each serialization.

use std::borrow::Cow;

use serde_json::Value;

use crate::codec::encoded::Encoded;
use crate::codec::json::Members;
use crate::codec::serialization::Serialization;
use crate::codec::{json, msgpack};
use crate::dialect::error::DecodeError;

/// The value of a member, not read yet: a [`Member`], or JSON text where nothing else is possible.
pub(in crate::dialect) trait FieldValue<'a>: Sized {
    /// Reads text; `None` for null. A value of another type is its JSON text, which is refused
    /// where it is used.
    fn text(self) -> Result<Option<Cow<'a, str>>, DecodeError>;

    /// Returns the value to be read later; `None` for null.
    fn encoded(self) -> Option<Encoded<'a>>;

    /// Returns the value to be read later, which cannot fail then.
    fn checked(self) -> Result<Encoded<'a>, DecodeError>;
}

/// The value of a member in one of the serializations.
pub(in crate::dialect) enum Member<'a> {
    Json(&'a str),
    MsgPack(&'a [u8]),
    Value(Value),
}

/// Calls `take` with each member of the object in `body`, in order. Refuses a body above its
/// budget.
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

impl Member<'_> {
    /// Reads the value as one of JSON.
    pub(in crate::dialect) fn value(self) -> Result<Value, DecodeError> {
        match self {
            Self::Json(raw) => Ok(json::from_slice(raw.as_bytes())?),
            Self::MsgPack(bytes) => Ok(msgpack::to_value(bytes)?),
            Self::Value(value) => Ok(value),
        }
    }
}

impl<'a> FieldValue<'a> for Member<'a> {
    fn text(self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        match self {
            Self::Json(raw) => raw.text(),
            Self::MsgPack(bytes) => match msgpack::text(bytes) {
                Ok(text) => Ok(text.map(Cow::Borrowed)),
                Err(_) => Ok(Some(msgpack::to_value(bytes)?.to_string().into())),
            },
            Self::Value(Value::Null) => Ok(None),
            Self::Value(Value::String(text)) => Ok(Some(text.into())),
            Self::Value(other) => Ok(Some(other.to_string().into())),
        }
    }

    fn encoded(self) -> Option<Encoded<'a>> {
        match self {
            Self::Json(raw) => raw.encoded(),
            Self::MsgPack(bytes) if bytes == msgpack::NIL => None,
            Self::MsgPack(bytes) => Some(Encoded::MsgPack(bytes.into())),
            Self::Value(Value::Null) => None,
            Self::Value(value) => Some(Encoded::Value(value)),
        }
    }

    fn checked(self) -> Result<Encoded<'a>, DecodeError> {
        Ok(match self {
            Self::Json(raw) => Encoded::json(raw.as_bytes()),
            Self::MsgPack(bytes) => {
                msgpack::check_value(bytes)?;
                Encoded::MsgPack(bytes.into())
            }
            Self::Value(value) => Encoded::Value(value),
        })
    }
}

/// JSON text, which was checked when its object was scanned.
impl<'a> FieldValue<'a> for &'a str {
    #[inline]
    fn text(self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        match self.as_bytes().first() {
            Some(b'n') => Ok(None),
            Some(b'"') => Ok(Some(json::parse_string(self)?)),
            _ => Ok(Some(Cow::Borrowed(self))),
        }
    }

    #[inline]
    fn encoded(self) -> Option<Encoded<'a>> {
        (self != "null").then(|| Encoded::json(self.as_bytes()))
    }

    #[inline]
    fn checked(self) -> Result<Encoded<'a>, DecodeError> {
        Ok(Encoded::json(self.as_bytes()))
    }
}

/// Whether Python takes this JSON text for false.
pub(in crate::dialect) fn is_falsy(text: &str) -> bool {
    matches!(text, "" | "false" | "0" | "0.0" | "{}" | "[]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_without_quotes_and_escapes() {
        let read = |raw: &'static str| raw.text().unwrap().map(Cow::into_owned);
        assert_eq!(read(r#""a: b, é""#).unwrap(), "a: b, é");
        assert_eq!(read(r#""""#).unwrap(), "");
        assert_eq!(read(r#""\"a\" \u00e9 \\""#).unwrap(), r#""a" é \"#);
        assert_eq!(read(r#""\ud800""#).unwrap(), "\u{fffd}", "Python accepts a lone surrogate");
        assert_eq!(read("null"), None);
        assert_eq!(read("[1, \"a\"]").unwrap(), "[1, \"a\"]");
    }
}
