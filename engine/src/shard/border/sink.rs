//! Where deliveries go: called on the shard.
//!
//! Invariant of every sink: it may store, wake and append to outboxes; it must not block, and what
//! it costs is paid by every connection of its shard. A sink that panics ends nothing on the shard:
//! a [`ContainedSink`] answers in its place.

use std::sync::Arc;

use amq_protocol::types::FieldTable;

use crate::error::Error;
use crate::shard::border::delivery::Delivery;
use crate::shard::panics::{Foreign, Panics};

/// What the shard does about a delivery after the sink has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Acknowledge it now.
    Ack,
    /// Acknowledge it with others, a few milliseconds later at most (at once on a channel with
    /// prefetch): for deliveries whose repetition after a lost connection does no harm. Saves the
    /// broker and us a packet each.
    AckSoon,
    /// Reject it now: back to the queue, or dropped or dead-lettered.
    Reject {
        /// Back to the queue.
        requeue: bool,
    },
    /// Somebody will answer it through the [`Delivery`] later.
    Later,
}

/// Receives the deliveries of one consumer, on the shard's thread.
///
/// A panic in a sink is contained and counted in [`ShardStats::panics`](crate::ShardStats::panics),
/// and the consumer goes on: the delivery it panicked at is rejected without requeue, which drops
/// or dead-letters it; a sink that panics when it is asked a question is taken to have given the
/// default answer.
pub trait DeliverySink: Send {
    /// Takes one delivery. Must not block.
    fn deliver(&mut self, delivery: Delivery) -> Disposition;

    /// A delivery above [`body_max`](crate::ConnectionConfig::body_max), of `size` bytes, was
    /// dropped, and rejected without being requeued if it was to be acknowledged. Its body here is
    /// the end of the real one, 16 KiB at most. Answers to it are ignored.
    fn oversized(&mut self, delivery: Delivery, size: u64) {
        let _ = (delivery, size);
    }

    /// The batch that one read brought is over: a good moment to wake somebody once.
    fn flush(&mut self) {}

    /// True while no more can be taken: the connection is then not read until
    /// [`ConsumerHandle::resume`](crate::ConsumerHandle::resume) is called, while heartbeats go on.
    fn is_full(&self) -> bool {
        false
    }

    /// Whether it takes what is still on its way while its consumer is being cancelled. Otherwise
    /// that goes back to its queue, marked as delivered before; where the broker waits for no
    /// acknowledgement, it is lost. Whoever takes it may hold up the cancelling while it
    /// [is full](Self::is_full). Default: no.
    fn accepts_while_cancelling(&self) -> bool {
        false
    }

    /// The broker cancelled the consumer: its queue was deleted, or moved. It begins again, unless
    /// that fails.
    fn cancelled(&mut self) {}

    /// The consumer is about to begin again, after a loss or a cancellation, with these arguments:
    /// a stream's consumer puts the offset here that it wants to go on from.
    fn before_resubscribe(&mut self, arguments: &mut FieldTable) {
        let _ = arguments;
    }

    /// No delivery will follow: the consumer was cancelled (`None`), or it failed and could not be
    /// made again.
    fn closed(&mut self, error: Option<Error>);
}

/// A sink whose panics are contained.
pub(crate) struct ContainedSink {
    /// `None` only while this is being dropped.
    sink: Option<Box<dyn DeliverySink>>,
    panics: Arc<Panics>,
}

impl ContainedSink {
    pub(crate) fn new(sink: Box<dyn DeliverySink>, panics: &Arc<Panics>) -> Self {
        Self { sink: Some(sink), panics: Arc::clone(panics) }
    }

    #[inline]
    fn call<T>(&mut self, call: impl FnOnce(&mut dyn DeliverySink) -> T) -> Option<T> {
        let sink = self.sink.as_deref_mut()?;
        self.panics.contain(Foreign::DeliverySink, || call(sink))
    }

    #[inline]
    fn ask(&self, ask: impl FnOnce(&dyn DeliverySink) -> bool) -> bool {
        let Some(sink) = self.sink.as_deref() else { return false };
        self.panics.contain(Foreign::DeliverySink, || ask(sink)).unwrap_or(false)
    }

    pub(crate) fn deliver(&mut self, delivery: Delivery) -> Disposition {
        let disposition = self.call(|sink| sink.deliver(delivery));
        // It would panic again: the broker must not bring it back at once.
        disposition.unwrap_or(Disposition::Reject { requeue: false })
    }

    pub(crate) fn oversized(&mut self, delivery: Delivery, size: u64) {
        self.call(|sink| sink.oversized(delivery, size));
    }

    pub(crate) fn flush(&mut self) {
        self.call(|sink| sink.flush());
    }

    pub(crate) fn is_full(&self) -> bool {
        self.ask(|sink| sink.is_full())
    }

    pub(crate) fn accepts_while_cancelling(&self) -> bool {
        self.ask(|sink| sink.accepts_while_cancelling())
    }

    pub(crate) fn cancelled(&mut self) {
        self.call(|sink| sink.cancelled());
    }

    pub(crate) fn before_resubscribe(&mut self, arguments: &mut FieldTable) {
        self.call(|sink| sink.before_resubscribe(arguments));
    }

    pub(crate) fn closed(&mut self, error: Option<Error>) {
        self.call(|sink| sink.closed(error));
    }
}

impl Drop for ContainedSink {
    fn drop(&mut self) {
        let sink = self.sink.take();
        self.panics.contain(Foreign::DeliverySink, || drop(sink));
    }
}
