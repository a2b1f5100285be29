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

/// Where a message is published to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// The exchange to declare first; `None` for the default exchange.
    pub(crate) exchange: Option<Exchange>,
    pub(crate) routing_key: String,
}

/// An exchange to declare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
}

/// A queue to declare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: Vec<(&'static str, Argument)>,
}

/// The value of a queue's argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    Number(i64),
    Text(&'static str),
}

/// A queue to consume from, with how messages get into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) queue: Queue,
    /// The exchange to declare and bind to, with the binding's key; `None` for the default exchange
    /// alone.
    pub(crate) binding: Option<(Exchange, String)>,
}

/// Why a body is not the message it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the content type is {0:?}, not application/json")]
    ContentType(String),
    #[error("the body is compressed ({0}), which is not supported")]
    Compressed(String),
    #[error("the envelope's version is {0}; only 2.0 is understood")]
    EnvelopeVersion(String),
    #[error("oslo.message is not a string of JSON text")]
    EnvelopeMessage,
    #[error("the body is no JSON object of a message: {0}")]
    Json(#[from] crate::json::ReadError),
}
