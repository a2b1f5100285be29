//! Why msgpack cannot be read.

use serde::de;

use crate::codec::budget::{DEPTH_MAX, OverBudget};

/// Why msgpack could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// The input ends early, or a length claims more than there is.
    #[error("the input ends within a value")]
    Truncated,
    /// Something follows the value.
    #[error("bytes follow the value")]
    Trailing,
    /// The one marker that stands for nothing.
    #[error("the marker 0xc1 has no meaning")]
    Reserved,
    /// Arrays and maps are nested more than [`DEPTH_MAX`] deep.
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// A body that is no map.
    #[error("a map was expected")]
    NotMap,
    /// A key of a kind that JSON has no text for; in the outermost map, one that is no text.
    #[error("a map key must be text")]
    Key,
    /// Another value where text belongs.
    #[error("text was expected")]
    NotText,
    /// Bytes in a place that takes text.
    #[error("bytes that are not UTF-8 are no text")]
    NotUtf8,
    /// An extension type that is none of oslo's.
    #[error("extension type {0} is unknown")]
    UnknownExtension(i8),
    /// An extension's payload is not as oslo writes it.
    #[error("the content of extension type {0} is broken")]
    Extension(i8),
    /// The message's values would cost too much.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// The receiving type refused the value, in its own words.
    #[error("{0}")]
    Custom(Box<str>),
}

impl de::Error for ReadError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string().into())
    }
}
