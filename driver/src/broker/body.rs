//! Bodies on their way out.
//!
//! They are rendered into a scratch of the thread before they are offered: a serializer that fails
//! sends nothing.

use std::cell::Cell;

use bytes::Bytes;
use leveret_engine::Payload;

use crate::target::entity::Packing;

/// Bodies up to this size are copied into the outbox, larger ones ride along counted; the engine
/// draws the line in the same place.
const SHARED_BYTES_MIN: usize = 8 << 10;

thread_local! {
    static BODY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A rendered body, in a buffer that its thread uses again.
pub(crate) enum Body {
    Small(Vec<u8>),
    Large(Bytes),
}

impl Body {
    /// Lets `write` append the body.
    pub(crate) fn render<E>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Self, E> {
        let mut buffer = BODY.take();
        buffer.clear();
        write(&mut buffer)?;
        if buffer.len() > SHARED_BYTES_MIN {
            return Ok(Self::Large(buffer.into()));
        }
        Ok(Self::Small(buffer))
    }

    pub(super) fn packed(&self, packing: Packing) -> Self {
        let packed = match self {
            Self::Small(body) => (packing.pack)(body),
            Self::Large(body) => (packing.pack)(body),
        };
        if packed.len() > SHARED_BYTES_MIN {
            Self::Large(packed.into())
        } else {
            Self::Small(packed)
        }
    }

    pub(super) fn payload(&self) -> Payload<'_> {
        match self {
            Self::Small(body) => Payload::Slice(body),
            Self::Large(body) => Payload::Shared(body),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Self::Small(buffer) = self {
            BODY.set(std::mem::take(buffer));
        }
    }
}
