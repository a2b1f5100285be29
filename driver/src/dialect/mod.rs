//! The formats that oslo peers speak: bodies, identifiers, failures, names of exchanges and queues.
//!
//! A dialect turns `message` into bytes and back and says what to declare; it never talks to a
//! broker, knows no time and no thread. What follows here is the vocabulary in which a dialect
//! answers.

use crate::ids::Hex32;

pub(crate) mod kombu;

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

/// Why a body is not the message it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the content type is {0:?}, not application/json")]
    ContentType(String),
    #[error("the body is compressed in a way that is not supported ({0})")]
    Compressed(String),
    #[error("the body cannot be decompressed: {0}")]
    Inflate(String),
    #[error("the envelope's version is {0}; only 2.0 is understood")]
    EnvelopeVersion(String),
    #[error("oslo.message is not a string of JSON text")]
    EnvelopeMessage,
    #[error("the body is no JSON object of a message: {0}")]
    Json(#[from] crate::json::ReadError),
}
