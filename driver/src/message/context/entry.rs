//! One entry of a context: a key, and a value that is decoded when it is first read.
//!
//! Many methods never read their context, and encoded values take a fraction of the memory of
//! decoded ones. All received entries of a context lie in one buffer, and each entry has its
//! offsets. Invariant: the bytes in the buffer were validated on receipt, so decoding cannot fail.
//! `context` decides which value counts if a key is repeated.

use std::sync::OnceLock;

use serde_json::Value;

use crate::codec::encoded::Encoded;

/// A key and its value. Its methods take the buffer of its context.
#[derive(Clone)]
pub(super) struct Entry {
    origin: Origin,
    value: OnceLock<Value>,
}

#[derive(Clone)]
enum Origin {
    /// Set in this process; holds the key.
    Own(Box<str>),
    /// Received: the offsets in the buffer at which key and value start and the value ends.
    Received { encoding: Encoding, key: usize, value: usize, end: usize },
}

#[derive(Clone, Copy)]
enum Encoding {
    Json,
    MsgPack,
}

impl Entry {
    pub(super) fn own(key: String, value: Value) -> Self {
        Self { origin: Origin::Own(key.into()), value: value.into() }
    }

    /// Appends a received key and value to the buffer. The value was validated.
    pub(super) fn received(buffer: &mut Vec<u8>, key: &str, value: Encoded<'_>) -> Self {
        let (encoding, bytes) = match value {
            Encoded::Json(text) => (Encoding::Json, text),
            Encoded::MsgPack(bytes) => (Encoding::MsgPack, bytes),
            Encoded::Value(value) => return Self::own(key.to_owned(), value),
        };
        let start = buffer.len();
        buffer.extend_from_slice(key.as_bytes());
        let value = buffer.len();
        buffer.extend_from_slice(&bytes);
        let origin = Origin::Received { encoding, key: start, value, end: buffer.len() };
        Self { origin, value: OnceLock::new() }
    }

    pub(super) fn key_bytes<'a>(&'a self, buffer: &'a [u8]) -> &'a [u8] {
        match &self.origin {
            Origin::Own(key) => key.as_bytes(),
            Origin::Received { key, value, .. } => &buffer[*key..*value],
        }
    }

    pub(super) fn key<'a>(&'a self, buffer: &'a [u8]) -> &'a str {
        // A received key was a `str`.
        std::str::from_utf8(self.key_bytes(buffer)).unwrap_or_default()
    }

    pub(super) fn value(&self, buffer: &[u8]) -> &Value {
        self.value.get_or_init(|| self.decode(buffer))
    }

    pub(super) fn into_value(mut self, buffer: &[u8]) -> Value {
        self.value.take().unwrap_or_else(|| self.decode(buffer))
    }

    fn decode(&self, buffer: &[u8]) -> Value {
        let Origin::Received { encoding, value, end, .. } = &self.origin else {
            return Value::Null;
        };
        let bytes = &buffer[*value..*end];
        let value = match encoding {
            Encoding::Json => Encoded::Json(bytes.into()).read(),
            Encoding::MsgPack => Encoded::MsgPack(bytes.into()).read(),
        };
        debug_assert!(value.is_ok(), "validated on receipt: {value:?}");
        value.unwrap_or_default()
    }
}
