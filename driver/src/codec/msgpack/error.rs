//! Why msgpack cannot be read.

use serde::de;

use crate::codec::budget::{DEPTH_MAX, OverBudget};

/// Why msgpack could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// The input ends early, or a length claims more than there is.
    #[error("the input ends within a value")]
    Truncated,
    /// Bytes follow the value.
    #[error("bytes follow the value")]
    Trailing,
    /// A marker that the specification reserves.
    #[error("the marker 0xc1 has no meaning")]
    Reserved,
    /// Arrays and maps are nested more than [`DEPTH_MAX`] deep.
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// The body is not a map.
    #[error("a map was expected")]
    NotMap,
    /// A key that JSON has no text for; in the outermost map, a key that is not text.
    #[error("a map key must be text")]
    Key,
    /// Another value in place of text.
    #[error("text was expected")]
    NotText,
    /// Bytes that are not UTF-8 in place of text.
    #[error("bytes that are not UTF-8 are no text")]
    NotUtf8,
    /// An extension type that oslo does not have.
    #[error("extension type {0} is unknown")]
    UnknownExtension(i8),
    /// The payload of an extension is not as oslo writes it.
    #[error("the content of extension type {0} is broken")]
    Extension(i8),
    /// The values of the message exceed its limits.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// The receiving type refused the value.
    #[error("{0}")]
    Custom(Box<str>),
}

impl de::Error for ReadError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string().into())
    }
}
