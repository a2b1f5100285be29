//! How bodies are serialised where the dialect leaves a choice: JSON, msgpack, or a way of the
//! user's own.
//!
//! Receivers go by the content type, so a sender may choose for each message. Not here: the bytes
//! (`json`, `msgpack`), what is in a body (`dialect`).

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::error::failure::Failure;

/// The content type of JSON.
pub(crate) const JSON: &str = "application/json";
/// The content type of msgpack.
pub(crate) const MSGPACK: &str = "application/msgpack";

/// How bodies of the `pika` dialect are serialised (`default_serializer_type`). The `rabbit`
/// dialect knows JSON alone, and so do messages that both may read.
///
/// Every receiver of this version of oslo.messaging's driver reads both; replies come as their
/// requests went.
///
/// - Integers: of any size in JSON. 64 bits in msgpack; larger ones are refused before anything is
///   sent, as by Python's packer.
/// - NaN and infinity: JSON has them as Python writes them, and they are read as `null`. In msgpack
///   they are themselves for a receiver that reads a number, `null` in a `Value`.
/// - Bytes: JSON has none, so they are a sequence of numbers, as serde writes them. In msgpack they
///   are themselves; those that are UTF-8 may be read as text, as Python 2 writes it, and others
///   cannot be read as a `Value`.
/// - Nesting: 127 levels, both ways.
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
    /// `json`.
    #[default]
    Json,
    /// `msgpack`.
    MsgPack,
    /// One of your own, which all peers must know.
    Custom(Arc<dyn BodySerializer>),
}

/// A way of your own to serialise bodies.
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
    /// What messages say they are; at most 255 bytes, and neither `application/json` nor
    /// `application/msgpack`.
    fn content_type(&self) -> &str;

    /// The bytes of a body. Runs on the thread that sends.
    ///
    /// # Errors
    /// What cannot be written; nothing is sent then.
    fn encode(&self, body: &Value) -> Result<Vec<u8>, Failure>;

    /// What a body's bytes say. Runs on the thread that executes, or waits for the reply.
    ///
    /// # Errors
    /// What cannot be read; the message is dropped and counted then.
    fn decode(&self, bytes: &[u8]) -> Result<Value, Failure>;
}

impl Serialization {
    /// What messages say they are.
    pub fn content_type(&self) -> &str {
        match self {
            Self::Json => JSON,
            Self::MsgPack => MSGPACK,
            Self::Custom(serializer) => serializer.content_type(),
        }
    }

    /// The one that a content type names, of these two and `others`.
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

/// Equal where messages say the same.
impl PartialEq for Serialization {
    fn eq(&self, other: &Self) -> bool {
        self.content_type() == other.content_type()
    }
}
