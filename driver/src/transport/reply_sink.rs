//! The shard's end of the reply queue: gives each reply to the call that it answers.
//!
//! The sink peeks at the id at the end of a body and completes the slot that the id tells. It
//! decodes nothing: a reply of unusual spelling goes to a thread that does. The peek only selects;
//! the caller decodes the reply, and drops one that is for another call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leveret_engine::{Delivery, DeliverySink, Disposition};

use crate::dialect::peek::Peek;
use crate::dialect::wire::Wire;
use crate::runtime::workers::WorkerPool;
use crate::transport::intake_limit::WAITING_BYTES_MAX;
use crate::transport::pending_calls::PendingCalls;

/// Replies that may wait for the thread that decodes them, and their bytes; more are dropped, and
/// their calls time out.
const UNSURE_MAX: usize = 4096;
const UNSURE_BYTES_MAX: usize = WAITING_BYTES_MAX;

/// The sink of the reply queue.
pub(super) struct ReplySink {
    pending: Arc<PendingCalls>,
    wire: Arc<Wire>,
    decoding: WorkerPool<Delivery>,
    /// Bytes that wait for the thread that decodes.
    unsure_bytes: Arc<AtomicUsize>,
    on_closed: Box<dyn Fn(Option<leveret_engine::Error>) + Send>,
}

impl ReplySink {
    /// A sink for the calls in `pending`; it calls `on_closed` when no reply can come any more.
    pub(super) fn new(
        pending: &Arc<PendingCalls>,
        wire: &Arc<Wire>,
        on_closed: impl Fn(Option<leveret_engine::Error>) + Send + 'static,
    ) -> Self {
        let unsure_bytes = Arc::<AtomicUsize>::default();
        let decoder = Decoder {
            pending: Arc::clone(pending),
            wire: Arc::clone(wire),
            unsure_bytes: Arc::clone(&unsure_bytes),
        };
        let decoding = WorkerPool::new(1, move |delivery| decoder.deliver(delivery));
        let (pending, wire) = (Arc::clone(pending), Arc::clone(wire));
        Self { pending, wire, decoding, unsure_bytes, on_closed: Box::new(on_closed) }
    }

    /// Leaves a reply to the thread that decodes, if there is room.
    fn hand_over(&self, delivery: Delivery) {
        let (bytes, waiting) = (delivery.body().len(), &self.unsure_bytes);
        let is_full = self.decoding.queued() >= UNSURE_MAX
            || waiting.load(Ordering::Relaxed) >= UNSURE_BYTES_MAX;
        if is_full {
            return self.pending.count_late();
        }
        waiting.fetch_add(bytes, Ordering::Relaxed);
        self.decoding.submit(&mut vec![delivery]);
    }
}

impl DeliverySink for ReplySink {
    fn deliver(&mut self, delivery: Delivery) -> Disposition {
        self.pending.count_received();
        match self.wire.peek_reply(&delivery) {
            Peek::Reply(msg_id) => self.pending.deliver(&msg_id, delivery),
            Peek::Heartbeat(msg_id) => self.pending.deliver_heartbeat(&msg_id),
            Peek::Unsure => self.hand_over(delivery),
        }
        // A redelivered reply finds no pending call.
        Disposition::AckSoon
    }

    fn oversized(&mut self, delivery: Delivery, size: u64) {
        match self.wire.peek_reply(&delivery) {
            Peek::Reply(msg_id) => self.pending.deliver_oversized(&msg_id, size),
            Peek::Heartbeat(_) | Peek::Unsure => self.pending.count_late(),
        }
    }

    fn closed(&mut self, error: Option<leveret_engine::Error>) {
        (self.on_closed)(error);
    }
}

/// Decodes replies to learn which call they are for.
struct Decoder {
    pending: Arc<PendingCalls>,
    wire: Arc<Wire>,
    unsure_bytes: Arc<AtomicUsize>,
}

impl Decoder {
    fn deliver(&self, delivery: Delivery) {
        self.unsure_bytes.fetch_sub(delivery.body().len(), Ordering::Relaxed);
        match self.wire.read_reply_id(&delivery) {
            Ok(Some(Peek::Reply(msg_id))) => self.pending.deliver(&msg_id, delivery),
            Ok(Some(Peek::Heartbeat(msg_id))) => self.pending.deliver_heartbeat(&msg_id),
            Ok(Some(Peek::Unsure) | None) => self.pending.count_late(),
            Err(error) => {
                tracing::warn!(
                    name: "leveret.reply.undecodable",
                    %error,
                    "a reply cannot be read and is dropped"
                );
                self.pending.count_late();
            }
        }
    }
}
