//! Errors of encoding and decoding bodies.

use crate::codec::error::WriteError;
use crate::codec::json;
use crate::codec::msgpack;
use crate::error::{Error, ErrorKind};

/// Why a body cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error("arguments must be an object (a struct, a map) or nothing, not a bare value")]
    BareArguments,
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::new(ErrorKind::ClientSendError, format!("the request cannot be written: {error}"))
            .with_cause(error)
            .unsent()
    }
}

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the content type is {0:?}, not application/json")]
    ContentType(String),
    #[error("content type {0:?} is not supported")]
    UnknownType(String),
    #[error("the body is compressed in a way that is not supported ({0})")]
    Compressed(String),
    #[error("the body cannot be decompressed: {0}")]
    Inflate(String),
    #[error("the envelope's version is {0}; only 2.0 is understood")]
    EnvelopeVersion(String),
    #[error("oslo.message is not a string of JSON text")]
    EnvelopeMessage,
    #[error("the format's version is {0}; only 1.x is understood")]
    PikaVersion(String),
    #[error("it has no headers, so its version is not known")]
    NoHeaders,
    #[error("it wants an answer and has no correlation id")]
    NoCorrelationId,
    #[error("it is in the format of the {0} driver, in a queue of the other one")]
    OtherDialect(&'static str),
    #[error("the body is no JSON object of a message: {0}")]
    Json(#[from] crate::codec::json::ReadError),
    #[error("the body is no msgpack map of a message: {0}")]
    MsgPack(#[from] crate::codec::msgpack::ReadError),
    #[error("the serialiser cannot read the body: {0}")]
    Custom(String),
}

impl DecodeError {
    /// Whether the body was not decoded because its values would take too much memory.
    pub(crate) const fn is_over_budget(&self) -> bool {
        matches!(
            self,
            Self::Json(json::ReadError::OverBudget(_))
                | Self::MsgPack(msgpack::ReadError::OverBudget(_))
        )
    }
}
