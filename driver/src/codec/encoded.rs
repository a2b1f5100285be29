//! A value as it was received, in any serialisation, not yet decoded.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::codec::{json, msgpack};

/// Arguments, a result or a payload, whose type is not known yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Encoded<'a> {
    /// JSON text.
    Json(Cow<'a, [u8]>),
    /// msgpack.
    MsgPack(Cow<'a, [u8]>),
    /// What a user's own serialiser returned.
    Value(Value),
}

/// JSON's null.
pub(crate) static NULL: Encoded<'static> = Encoded::json(b"null");

impl<'a> Encoded<'a> {
    /// Borrows JSON text.
    pub(crate) const fn json(text: &'a [u8]) -> Self {
        Self::Json(Cow::Borrowed(text))
    }

    /// Decodes the value as a `T`.
    ///
    /// # Errors
    /// Why it is not one.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        match self {
            Self::Json(text) => json::from_slice(text).map_err(|error| error.to_string()),
            Self::MsgPack(bytes) => msgpack::from_slice(bytes).map_err(|error| error.to_string()),
            Self::Value(value) => T::deserialize(value).map_err(|error| error.to_string()),
        }
    }

    /// Whether it is an object without members.
    pub(crate) fn is_empty_object(&self) -> bool {
        match self {
            Self::Json(text) => **text == *b"{}",
            Self::MsgPack(bytes) => **bytes == msgpack::EMPTY_MAP,
            Self::Value(value) => value.as_object().is_some_and(serde_json::Map::is_empty),
        }
    }

    /// Copies what is borrowed.
    pub(crate) fn into_owned(self) -> Encoded<'static> {
        match self {
            Self::Json(text) => Encoded::Json(Cow::Owned(text.into_owned())),
            Self::MsgPack(bytes) => Encoded::MsgPack(Cow::Owned(bytes.into_owned())),
            Self::Value(value) => Encoded::Value(value),
        }
    }
}
