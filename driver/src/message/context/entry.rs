//! One entry of a context: a key, and a value that is decoded when it is first read.
//!
//! A server is sent contexts that its methods may never look at, and text takes a fraction of what
//! the values take. All that a context received lies in one buffer, which the entries point into.
//! Invariant: what lies there was checked, so decoding it cannot fail. Not here: which value counts
//! where a key is repeated (`context`).

use std::sync::OnceLock;

use serde_json::Value;

use crate::codec::encoded::Encoded;

/// A key and its value. The buffer it asks for is that of its context.
#[derive(Clone)]
pub(super) struct Entry {
    origin: Origin,
    value: OnceLock<Value>,
}

#[derive(Clone)]
enum Origin {
    /// Set in this process; the key.
    Own(Box<str>),
    /// Received: where the key begins, where the value does, and where that ends.
    Received { form: WireFormat, key: usize, value: usize, end: usize },
}

#[derive(Clone, Copy)]
enum WireFormat {
    Json,
    MsgPack,
}

impl Entry {
    pub(super) fn own(key: String, value: Value) -> Self {
        Self { origin: Origin::Own(key.into()), value: value.into() }
    }

    /// An entry of a message that was received. The value was checked, and can be decoded.
    pub(super) fn received(buffer: &mut Vec<u8>, key: &str, value: Encoded<'_>) -> Self {
        let (form, bytes) = match value {
            Encoded::Json(text) => (WireFormat::Json, text),
            Encoded::MsgPack(bytes) => (WireFormat::MsgPack, bytes),
            Encoded::Value(value) => return Self::own(key.to_owned(), value),
        };
        let start = buffer.len();
        buffer.extend_from_slice(key.as_bytes());
        let value = buffer.len();
        buffer.extend_from_slice(&bytes);
        let origin = Origin::Received { form, key: start, value, end: buffer.len() };
        Self { origin, value: OnceLock::new() }
    }

    pub(super) fn key_bytes<'a>(&'a self, buffer: &'a [u8]) -> &'a [u8] {
        match &self.origin {
            Origin::Own(key) => key.as_bytes(),
            Origin::Received { key, value, .. } => &buffer[*key..*value],
        }
    }

    pub(super) fn key<'a>(&'a self, buffer: &'a [u8]) -> &'a str {
        // Received keys were text, too.
        std::str::from_utf8(self.key_bytes(buffer)).unwrap_or_default()
    }

    pub(super) fn value(&self, buffer: &[u8]) -> &Value {
        self.value.get_or_init(|| self.decoded(buffer))
    }

    pub(super) fn into_value(mut self, buffer: &[u8]) -> Value {
        self.value.take().unwrap_or_else(|| self.decoded(buffer))
    }

    fn decoded(&self, buffer: &[u8]) -> Value {
        let Origin::Received { form, value, end, .. } = &self.origin else { return Value::Null };
        let bytes = &buffer[*value..*end];
        let value = match form {
            WireFormat::Json => Encoded::Json(bytes.into()).read(),
            WireFormat::MsgPack => Encoded::MsgPack(bytes.into()).read(),
        };
        debug_assert!(value.is_ok(), "checked when it was received: {value:?}");
        value.unwrap_or_default()
    }
}
