//! A value as it came, in whatever serialisation, not yet read.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::codec::{json, msgpack};

/// Arguments, a result or a payload before somebody says what type it is to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Encoded<'a> {
    /// JSON text.
    Json(Cow<'a, [u8]>),
    /// msgpack.
    MsgPack(Cow<'a, [u8]>),
    /// What a serialiser of the user's own has made of it.
    Value(Value),
}

/// JSON's null.
pub(crate) static NULL: Encoded<'static> = Encoded::json(b"null");

impl<'a> Encoded<'a> {
    /// JSON text that stays where it is.
    pub(crate) const fn json(text: &'a [u8]) -> Self {
        Self::Json(Cow::Borrowed(text))
    }

    /// The value as a `T`, or why it is none.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        match self {
            Self::Json(text) => json::from_slice(text).map_err(|error| error.to_string()),
            Self::MsgPack(bytes) => msgpack::from_slice(bytes).map_err(|error| error.to_string()),
            Self::Value(value) => T::deserialize(value).map_err(|error| error.to_string()),
        }
    }

    /// Whether it is the object without members.
    pub(crate) fn is_empty_object(&self) -> bool {
        match self {
            Self::Json(text) => **text == *b"{}",
            Self::MsgPack(bytes) => **bytes == [0x80],
            Self::Value(value) => value.as_object().is_some_and(serde_json::Map::is_empty),
        }
    }

    /// The same on its own feet.
    pub(crate) fn into_owned(self) -> Encoded<'static> {
        match self {
            Self::Json(text) => Encoded::Json(Cow::Owned(text.into_owned())),
            Self::MsgPack(bytes) => Encoded::MsgPack(Cow::Owned(bytes.into_owned())),
            Self::Value(value) => Encoded::Value(value),
        }
    }
}
