//! The members of an object as they came, in whatever serialisation.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::DecodeError;
use super::keys::{Lenient, Text};
use crate::json;
use crate::message::encoded::Encoded;
use crate::msgpack;
use crate::serialization::Serialization;

/// The value of one member.
pub(super) enum Member<'a> {
    Json(&'a RawValue),
    MsgPack(&'a [u8]),
    Value(Value),
}

/// Hands each member of the object that `body` holds to `take`, in their order. What has to be
/// repaired is repaired in `spare`.
pub(super) fn each<'a>(
    body: &'a [u8],
    serialization: &Serialization,
    spare: &'a mut Vec<u8>,
    mut take: impl FnMut(Cow<'a, str>, Member<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    match serialization {
        Serialization::Json => {
            let Members(members) = json::read(body, spare)?;
            members.into_iter().try_for_each(|(key, value)| take(key, Member::Json(value)))
        }
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
    pub(super) fn text(self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        match self {
            Self::Json(raw) => Ok(Lenient::of(raw)?.0),
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
    pub(super) fn value(self) -> Result<Value, DecodeError> {
        match self {
            Self::Json(raw) => Ok(json::from_slice(raw.get().as_bytes())?),
            Self::MsgPack(bytes) => Ok(msgpack::to_value(bytes)?),
            Self::Value(value) => Ok(value),
        }
    }

    /// As it is, to be read later; `None` for null.
    pub(super) fn encoded(self) -> Option<Encoded<'a>> {
        match self {
            Self::Json(raw) if raw.get() == "null" => None,
            Self::Json(raw) => Some(Encoded::json(raw.get().as_bytes())),
            Self::MsgPack([0xc0]) => None,
            Self::MsgPack(bytes) => Some(Encoded::MsgPack(bytes.into())),
            Self::Value(Value::Null) => None,
            Self::Value(value) => Some(Encoded::Value(value)),
        }
    }
}

/// The members of an object of JSON, their values unread.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members<'de>, M::Error> {
                let mut members = Vec::new();
                while let Some(Text(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
