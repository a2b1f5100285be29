//! Why JSON cannot be read.

use crate::codec::budget::OverBudget;

/// Why JSON text could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// The values of the message exceed its limits.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// It is not JSON from this byte on.
    #[error("{what} was expected at byte {at}")]
    Expected { what: &'static str, at: usize },
    /// An error of `serde_json`.
    #[error("{0}")]
    Parser(Box<str>),
}

impl From<serde_json::Error> for ReadError {
    fn from(error: serde_json::Error) -> Self {
        Self::Parser(error.to_string().into())
    }
}
