//! The formats that oslo peers speak: bodies, identifiers, failures, names of exchanges and queues.
//!
//! A dialect turns `message` into bytes and back and says what to declare; it never talks to a
//! broker, knows no time and no thread. `kombu` and `pika` have the same rooms; `polyglot` writes
//! what both read, `form` picks the writer. `object` and `member` write and read objects whatever
//! their serialisation. What follows here is the vocabulary in which a
//! dialect answers.

use std::sync::Arc;

use crate::codec::json::WriteError;
use crate::codec::serialization::BodySerializer;
use crate::codec::{json, msgpack};
use crate::error::{Error, ErrorKind};
use crate::ids::Hex32;

pub(crate) mod both;
mod form;
pub(crate) mod kombu;
mod member;
mod object;
pub(crate) mod pika;

/// The serialisations that are understood besides JSON and msgpack.
pub(crate) type CustomSerializers<'a> = &'a [Arc<dyn BodySerializer>];

/// A dialect, as the name of a queue says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Kombu,
    Pika,
}

/// What the last bytes of a body tell about the reply it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peek {
    /// An answer to this call.
    Reply(Hex32),
    /// A sign of life of this call: it goes on.
    Heartbeat(Hex32),
    /// Not the usual shape: only a full decode can tell.
    Unsure,
}

/// Why a body cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error("arguments must be an object (a struct, a map) or nothing, not a bare value")]
    BareArguments,
    #[error(transparent)]
    Json(#[from] WriteError),
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::new(ErrorKind::ClientSendError, format!("the request cannot be written: {error}"))
            .with_cause(error)
            .unsent()
    }
}

/// Why a body is not the message it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the content type is {0:?}, not application/json")]
    ContentType(String),
    #[error("nobody here understands content type {0:?}")]
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
    /// Whether the message was not decoded because its values would cost too much.
    pub(crate) const fn is_over_budget(&self) -> bool {
        matches!(
            self,
            Self::Json(json::ReadError::OverBudget(_))
                | Self::MsgPack(msgpack::ReadError::OverBudget(_))
        )
    }
}
