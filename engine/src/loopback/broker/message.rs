//! A message inside the broker.
//!
//! [`Content`] borrows it from the receive buffer, [`Stored`] keeps it in a queue: one allocation,
//! shared by every queue it was routed to. Invariant: the header payload is kept unchanged, so a
//! consumer receives exactly the properties that were published.

use std::sync::Arc;
use std::time::Instant;

use crate::wire::content::write_body_frames;
use crate::wire::frame::{FRAME_END, FrameKind, put_frame_header};

/// A whole message, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) exchange: &'a str,
    pub(crate) routing_key: &'a str,
    /// The payload of its content header frame.
    pub(crate) header: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Content<'_> {
    /// Appends the header frame and the body frames.
    pub(crate) fn write(&self, channel: u16, frame_max: u32, out: &mut Vec<u8>) {
        let size = u32::try_from(self.header.len()).expect("a header came in one frame");
        put_frame_header(out, FrameKind::Header, channel, size);
        out.extend_from_slice(self.header);
        out.push(FRAME_END);
        write_body_frames(out, channel, self.body, frame_max);
    }
}

/// A whole message, stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    bytes: Arc<[u8]>,
    exchange_end: usize,
    key_end: usize,
    header_end: usize,
}

impl Stored {
    pub(crate) fn new(content: &Content<'_>, scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        scratch.extend_from_slice(content.exchange.as_bytes());
        let exchange_end = scratch.len();
        scratch.extend_from_slice(content.routing_key.as_bytes());
        let key_end = scratch.len();
        scratch.extend_from_slice(content.header);
        let header_end = scratch.len();
        scratch.extend_from_slice(content.body);
        Self { bytes: Arc::from(&scratch[..]), exchange_end, key_end, header_end }
    }

    pub(crate) fn content(&self) -> Content<'_> {
        let text = |bytes| std::str::from_utf8(bytes).expect("it was stored from text");
        Content {
            exchange: text(&self.bytes[..self.exchange_end]),
            routing_key: text(&self.bytes[self.exchange_end..self.key_end]),
            header: &self.bytes[self.key_end..self.header_end],
            body: &self.bytes[self.header_end..],
        }
    }
}

/// A message that is stored only if a queue or a consumer must keep it.
pub(crate) struct LazyMessage<'a> {
    pub(crate) content: Content<'a>,
    pub(crate) stored: Option<Stored>,
}

impl LazyMessage<'_> {
    pub(crate) fn stored(&mut self, scratch: &mut Vec<u8>) -> Stored {
        self.stored.get_or_insert_with(|| Stored::new(&self.content, scratch)).clone()
    }
}

/// A message in a queue or unacknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) message: Stored,
    /// Its position in the queue, where a requeue puts it back.
    pub(crate) position: u64,
    pub(crate) redelivered: bool,
    pub(crate) expires: Option<Instant>,
}
