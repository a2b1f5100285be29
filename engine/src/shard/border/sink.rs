//! Delivery sinks: user code that the shard calls for each delivery.
//!
//! Invariant: a sink may store, wake and append to outboxes. It must not block, because its time
//! delays every connection of the shard. If a sink panics, a [`ContainedSink`] returns a default in
//! its place and the shard goes on.

use std::sync::Arc;

use amq_protocol::types::FieldTable;

use crate::error::Error;
use crate::shard::border::delivery::Delivery;
use crate::shard::panics::{Foreign, Panics};

/// What the shard does with a delivery after the sink has received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Acknowledge it now.
    Ack,
    /// Acknowledge it together with later ones, within 5 ms: one frame and one packet for several
    /// deliveries. At once when 64 wait for it, or half of what the channel's prefetch allows, so
    /// that a prefetch of 1 or 2 defers nothing. For deliveries that may safely repeat after a lost
    /// connection.
    AckSoon,
    /// Reject it now.
    Reject {
        /// True returns it to its queue; false drops or dead-letters it.
        requeue: bool,
    },
    /// Nothing: the application answers it later through the [`Delivery`].
    Later,
}

/// Receives the deliveries of one consumer, on the shard's thread.
///
/// The shard contains a panic in a sink, counts it in
/// [`ShardStats::panics`](crate::ShardStats::panics) and keeps the consumer. It rejects the
/// delivery the sink panicked at without requeuing it, so the broker drops or dead-letters it. If
/// a method that returns a `bool` panics, its default applies.
pub trait DeliverySink: Send {
    /// Receives one delivery. Must not block.
    fn deliver(&mut self, delivery: Delivery) -> Disposition;

    /// Receives a delivery of `size` bytes, above [`body_max`](crate::ConnectionConfig::body_max).
    /// The engine dropped it, and rejected it without requeuing (acknowledged it, if it is a
    /// stream's), unless the consumer uses no acknowledgements. `delivery` holds only the last
    /// 16 KiB of the body, at most. Answers to it are ignored.
    fn oversized(&mut self, delivery: Delivery, size: u64) {
        let _ = (delivery, size);
    }

    /// Called after all deliveries of one read, so a sink can wake its reader once per batch.
    fn flush(&mut self) {}

    /// True while the sink has no room. The engine then stops reading the connection until
    /// [`ConsumerHandle::resume`](crate::ConsumerHandle::resume) is called. Heartbeats continue.
    fn is_full(&self) -> bool {
        false
    }

    /// Whether the sink accepts deliveries that arrive while its consumer is being cancelled. By
    /// default the engine requeues them, marked as redelivered; without acknowledgements they are
    /// lost. A sink that accepts them may delay the cancellation while it [is full](Self::is_full).
    /// Default: false.
    fn accepts_while_cancelling(&self) -> bool {
        false
    }

    /// The broker cancelled the consumer because its queue was deleted or moved. The engine tries
    /// to subscribe again.
    fn cancelled(&mut self) {}

    /// The engine is about to subscribe again, after a loss or a cancellation, with these
    /// arguments. A stream consumer sets the offset to continue from.
    fn before_resubscribe(&mut self, arguments: &mut FieldTable) {
        let _ = arguments;
    }

    /// No delivery follows: the consumer was cancelled (`None`), or it failed and the engine could
    /// not restore it.
    fn closed(&mut self, error: Option<Error>);
}

/// A sink whose panics are contained.
pub(crate) struct ContainedSink {
    /// `None` only during drop.
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
        // The sink would panic at it again, so the broker must not redeliver it.
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
