//! The serialisation of bodies where the dialect leaves a choice: JSON, msgpack, or a user's own.
//!
//! A receiver reads the content type, so a sender may choose for each message. Not here: the bytes
//! (`json`, `msgpack`), the content of a body (`dialect`).

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::error::failure::Failure;

/// The content type of JSON.
pub(crate) const JSON: &str = "application/json";
/// The content type of msgpack.
pub(crate) const MSGPACK: &str = "application/msgpack";

/// Serialisation of bodies in the `pika` dialect (`default_serializer_type`).
///
/// The `rabbit` dialect has JSON only, and so have messages for receivers of either dialect. Every
/// receiver with oslo.messaging's `pika` driver reads JSON and msgpack. A server serialises a reply
/// as its request.
///
/// - Integers: of any size in JSON. 64 bits in msgpack; a larger one is an error before anything is
///   sent, as with Python's packer.
/// - NaN and infinity: written to JSON as Python writes them, and read from it as `null`. Read from
///   msgpack, they are floats in a number and `null` in a `Value`.
/// - Bytes: JSON has none, so a `Vec<u8>` is an array of numbers, as serde writes it. msgpack has
///   bytes; a receiver may read UTF-8 among them as text, as Python 2 writes text, and cannot read
///   others as a `Value`.
/// - Nesting: 127 levels, written and read.
///
/// ```
/// use leveret::{DriverConfig, Serialization};
///
/// let mut config = DriverConfig::default();
/// config.pika.serialization = Serialization::MsgPack;
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Serialization {
    /// JSON (`json`).
    #[default]
    Json,
    /// msgpack (`msgpack`).
    MsgPack,
    /// Your own, which all peers must have.
    Custom(Arc<dyn BodySerializer>),
}

/// A serialisation of your own.
///
/// ```
/// use leveret::{BodySerializer, Failure};
/// use serde_json::Value;
///
/// #[derive(Debug)]
/// struct Pretty;
///
/// impl BodySerializer for Pretty {
///     fn content_type(&self) -> &str {
///         "application/x-pretty-json"
///     }
///     fn encode(&self, body: &Value) -> Result<Vec<u8>, Failure> {
///         Ok(serde_json::to_vec_pretty(body)?)
///     }
///     fn decode(&self, bytes: &[u8]) -> Result<Value, Failure> {
///         Ok(serde_json::from_slice(bytes)?)
///     }
/// }
/// ```
pub trait BodySerializer: fmt::Debug + Send + Sync {
    /// Returns the content type of messages: at most 255 bytes, and neither `application/json` nor
    /// `application/msgpack`.
    fn content_type(&self) -> &str;

    /// Serialises a body. Runs on the thread that sends.
    ///
    /// # Errors
    /// If the body cannot be serialised. Nothing is sent then.
    fn encode(&self, body: &Value) -> Result<Vec<u8>, Failure>;

    /// Deserialises a body. Runs on the thread that executes the request or waits for the reply.
    ///
    /// # Errors
    /// If the bytes are not such a body. The message is dropped and counted then.
    fn decode(&self, bytes: &[u8]) -> Result<Value, Failure>;
}

impl Serialization {
    /// Returns the content type of messages.
    pub fn content_type(&self) -> &str {
        match self {
            Self::Json => JSON,
            Self::MsgPack => MSGPACK,
            Self::Custom(serializer) => serializer.content_type(),
        }
    }

    /// Returns the serialisation with this content type: JSON, msgpack, or one of `others`.
    pub(crate) fn from_content_type(
        content_type: &str,
        others: &[Arc<dyn BodySerializer>],
    ) -> Option<Self> {
        match content_type {
            JSON => Some(Self::Json),
            MSGPACK => Some(Self::MsgPack),
            other => {
                let known = others.iter().find(|known| known.content_type() == other)?;
                Some(Self::Custom(Arc::clone(known)))
            }
        }
    }
}

/// Equal if the content types are.
impl PartialEq for Serialization {
    fn eq(&self, other: &Self) -> bool {
        self.content_type() == other.content_type()
    }
}
