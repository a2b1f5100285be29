//! Rendered bodies.
//!
//! A body is rendered into a buffer of the thread before it is published: where a serializer fails,
//! nothing is sent.

use std::cell::Cell;

use bytes::Bytes;
use leveret_engine::wire::Ids;
use leveret_engine::{Message, Payload};

use crate::codec::compressor::Compressor;
use crate::message::MessageIds;
use crate::message::ids::Hex32;

/// Bodies up to this size are copied into the outbox; larger ones are shared by reference count.
/// The engine has the same limit.
const SHARED_BYTES_MIN: usize = 8 << 10;

thread_local! {
    static BODY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A rendered body in a buffer that the thread reuses, with the identifiers that its message has
/// among the properties.
pub(crate) struct Body {
    bytes: Rendered,
    /// Boxed: a body is moved for every message, and most have no identifiers.
    ids: Option<Box<MessageIds>>,
}

enum Rendered {
    Small(Vec<u8>),
    Large(Bytes),
}

impl Body {
    /// Renders the body that `write` appends.
    pub(crate) fn render<E>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Self, E> {
        let mut buffer = BODY.take();
        buffer.clear();
        write(&mut buffer)?;
        Ok(Self { bytes: Rendered::of(buffer), ids: None })
    }

    /// The body with these identifiers.
    pub(crate) fn with_ids(mut self, ids: Option<MessageIds>) -> Self {
        self.ids = ids.map(Box::new);
        self
    }

    /// Compresses the body.
    pub(crate) fn compressed(&self, compressor: Compressor) -> Self {
        let compressed = match &self.bytes {
            Rendered::Small(body) => (compressor.compress)(body),
            Rendered::Large(body) => (compressor.compress)(body),
        };
        Self { bytes: Rendered::of(compressed), ids: self.ids.clone() }
    }

    /// The message to publish.
    pub(crate) fn message(&self) -> Message<'_> {
        let payload = match &self.bytes {
            Rendered::Small(body) => Payload::Slice(body),
            Rendered::Large(body) => Payload::Shared(body),
        };
        let ids = self.ids.as_deref().map(|ids| Ids {
            message_id: Some(ids.message_id.as_str()),
            correlation_id: ids.correlation_id.as_ref().map(Hex32::as_str),
        });
        Message { payload, ids: ids.unwrap_or_default() }
    }
}

impl Rendered {
    fn of(bytes: Vec<u8>) -> Self {
        match bytes.len() > SHARED_BYTES_MIN {
            true => Self::Large(bytes.into()),
            false => Self::Small(bytes),
        }
    }
}

impl Drop for Rendered {
    fn drop(&mut self) {
        if let Self::Small(buffer) = self {
            BODY.set(std::mem::take(buffer));
        }
    }
}
