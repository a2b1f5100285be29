//! Replies that came back and wait to be sent again.
//!
//! Their callers decide how large they are, so they are bounded by bytes as well as by number. Not
//! here: when they are sent again (`answering`).

use std::sync::atomic::{AtomicUsize, Ordering};

use leveret_engine::Outcome;
use leveret_engine::wire::PropertiesView;

/// Replies that may wait to be sent again, and their bytes; the reply that exceeds it is the last.
const REPLIES_MAX: usize = 10_000;
const BYTES_MAX: usize = 16 << 20;

/// A reply that came back.
pub(super) struct ReturnedReply {
    pub(super) queue: Box<str>,
    /// A copy: what arrived lies in a receive block, which is larger.
    pub(super) body: Vec<u8>,
    /// Its queue was not there; otherwise it was, and did not take it.
    pub(super) is_missing: bool,
    /// What it said of itself, if it is of the `pika` dialect.
    pub(super) pika: Option<PikaHead>,
}

/// What a reply of the `pika` dialect says of itself.
pub(super) struct PikaHead {
    pub(super) content_type: Box<str>,
    pub(super) correlation_id: Box<str>,
    pub(super) expires: bool,
}

impl ReturnedReply {
    /// What came back, or how else a reply ended.
    pub(super) fn of(outcome: Outcome) -> Result<Self, Outcome> {
        let (queue, body, pika) = match &outcome {
            Outcome::Returned(returned) => {
                let is_pika = !returned.exchange().is_empty();
                let head = is_pika.then(|| PikaHead::of(&returned.properties()));
                (returned.routing_key(), returned.body(), head)
            }
            // What is given back here has no properties.
            Outcome::Nacked(Some(nacked)) if nacked.exchange().is_empty() => {
                (nacked.routing_key(), nacked.body(), None)
            }
            _ => return Err(outcome),
        };
        let is_missing = matches!(outcome, Outcome::Returned(_));
        Ok(Self { queue: queue.into(), body: body.to_vec(), is_missing, pika })
    }
}

impl PikaHead {
    pub(super) fn of(head: &PropertiesView<'_>) -> Self {
        Self {
            content_type: head.content_type.unwrap_or_default().into(),
            correlation_id: head.correlation_id.unwrap_or_default().into(),
            expires: head.expiration.is_some(),
        }
    }
}

/// How much waits to be sent again.
#[derive(Default)]
pub(super) struct RetryBudget {
    replies: AtomicUsize,
    bytes: AtomicUsize,
}

impl RetryBudget {
    /// Makes room for one more reply of this size; false if there is none.
    pub(super) fn reserve(&self, bytes: usize) -> bool {
        let replies = self.replies.fetch_add(1, Ordering::Relaxed);
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let has_room = replies < REPLIES_MAX && held < BYTES_MAX;
        if !has_room {
            self.release(bytes);
        }
        has_room
    }

    /// Gives back the room of a reply of this size.
    pub(super) fn release(&self, bytes: usize) {
        self.replies.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
