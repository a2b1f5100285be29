//! Why a value cannot be written, in any format.

use serde::ser;

use crate::codec::budget::DEPTH_MAX;

/// Why a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError {
    /// Arrays and objects are nested more than [`DEPTH_MAX`] deep.
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// A map key that JSON has no text for, as an array or a map.
    #[error("a map key must be text, a number, a boolean or null")]
    Key,
    /// Bytes that are not text, where the format is JSON.
    #[error("bytes that are not UTF-8 cannot be written as JSON")]
    NotText,
    /// An integer below `i64::MIN` or above `u64::MAX`, where the format is msgpack.
    #[error("msgpack has no integers beyond 64 bits")]
    IntegerTooLarge,
    /// Text, bytes, an array or a map whose length does not fit 32 bits, where the format is
    /// msgpack.
    #[error("msgpack has no lengths beyond 32 bits")]
    TooLong,
    /// The value's own `Serialize` failed.
    #[error("{0}")]
    Custom(Box<str>),
}

impl ser::Error for WriteError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string().into())
    }
}
