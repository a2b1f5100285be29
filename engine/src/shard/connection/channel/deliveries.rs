//! What a channel receives: deliveries to its consumers, and the acknowledgements it owes the
//! broker.
//!
//! Acknowledgements of deliveries of an older epoch are dropped, because a reopened channel counts
//! delivery tags from 1 again.

use std::sync::Arc;

use crate::proto::{Acknowledgement, Content, ProtoError, Unacked};
use crate::shard::border::acks::PendingAck;
use crate::shard::border::delivery::{Acker, Delivery};
use crate::shard::border::shared::ChannelShared;
use crate::shard::border::sink::Disposition;
use crate::shard::connection::channel::consumer::ChannelConsumer;
use crate::wire::Deliver;

/// The consumers of a channel and its unacknowledged deliveries.
pub(crate) struct ChannelDeliveries {
    pub(crate) consumers: Vec<ChannelConsumer>,
    pub(crate) prefetch: u16,
    shared: Arc<ChannelShared>,
    unacked: Unacked,
    /// Scratch vector of `write_acks`.
    pending_acks: Vec<PendingAck>,
    epoch: u32,
}

impl ChannelDeliveries {
    pub(crate) fn new(shared: Arc<ChannelShared>) -> Self {
        Self {
            consumers: Vec::new(),
            prefetch: shared.options.prefetch,
            shared,
            unacked: Unacked::default(),
            pending_acks: Vec::new(),
            epoch: 0,
        }
    }

    /// Drops the unacknowledged deliveries of the last epoch, which the broker has requeued.
    pub(crate) fn begin_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
        self.shared.acks.set_epoch(epoch);
        self.unacked = Unacked::default();
    }

    /// True while a consumer has no room.
    pub(crate) fn is_full(&self) -> bool {
        self.consumers.iter().any(|consumer| !consumer.is_cancelled() && consumer.sink.is_full())
    }

    /// Hands a delivery to its consumer. Fails if the broker breaks the order of delivery tags.
    pub(crate) fn deliver(&mut self, content: Content) -> Result<(), ProtoError> {
        let Some(deliver) = content.deliver() else { return Ok(()) };
        let Deliver { delivery_tag: tag, redelivered, consumer_tag, .. } = deliver;
        let found = self.consumers.iter_mut().find(|c| c.request.consumer_tag == consumer_tag);
        self.unacked.arrived(tag, found.as_ref().is_some_and(|c| c.request.no_ack))?;
        let Some(consumer) = found else {
            // The consumer was cancelled meanwhile.
            self.unacked.delivered(tag);
            self.unacked.acknowledge(tag, Acknowledgement::Reject { requeue: true });
            return Ok(());
        };
        let acker = (!consumer.request.no_ack).then(|| Acker {
            acks: Arc::clone(&self.shared.acks),
            epoch: self.epoch,
            is_stream: consumer.is_of_stream,
        });
        let no_ack = acker.is_none();
        if !no_ack {
            self.unacked.delivered(tag);
        }
        if consumer.is_cancelled() {
            if !no_ack {
                self.unacked.acknowledge(tag, consumer.refusal(true));
            }
            return Ok(());
        }
        let delivery = Delivery::new(content, (tag, redelivered), acker);
        let answer = match consumer.sink.deliver(delivery) {
            Disposition::AckSoon if !no_ack => {
                self.unacked.ack_deferred(tag, self.prefetch);
                return Ok(());
            }
            Disposition::Ack | Disposition::AckSoon => Acknowledgement::Ack,
            Disposition::Reject { requeue } => consumer.refusal(requeue),
            Disposition::Later => return Ok(()),
        };
        if !no_ack {
            self.unacked.acknowledge(tag, answer);
        }
        Ok(())
    }

    /// Rejects a delivery whose body was above the limit, without requeuing it.
    pub(crate) fn reject_oversized(
        &mut self,
        content: Content,
        size: u64,
    ) -> Result<(), ProtoError> {
        let Some(deliver) = content.deliver() else { return Ok(()) };
        let Deliver { delivery_tag: tag, redelivered, consumer_tag, .. } = deliver;
        let found = self.consumers.iter_mut().find(|c| c.request.consumer_tag == consumer_tag);
        let no_ack = found.as_ref().is_some_and(|consumer| consumer.request.no_ack);
        self.unacked.arrived(tag, no_ack)?;
        if !no_ack {
            self.unacked.delivered(tag);
            let refusal = found.as_ref().map(|consumer| consumer.refusal(false));
            let refusal = refusal.unwrap_or(Acknowledgement::Reject { requeue: false });
            self.unacked.acknowledge(tag, refusal);
        }
        if let Some(consumer) = found.filter(|consumer| !consumer.is_cancelled()) {
            consumer.sink.oversized(Delivery::new(content, (tag, redelivered), None), size);
        }
        Ok(())
    }

    /// True when acknowledgements are to be sent now. Those of the sinks need an open channel.
    pub(crate) fn has_urgent_acks(&self, is_open: bool) -> bool {
        (is_open && self.unacked.must_flush()) || self.shared.acks.is_filled()
    }

    /// The same, deferred acknowledgements included.
    pub(crate) fn has_acks(&self, is_open: bool) -> bool {
        (is_open && self.unacked.has_pending()) || self.shared.acks.is_filled()
    }

    /// Makes deferred acknowledgements urgent.
    pub(crate) fn flush_acks(&mut self) {
        self.unacked.stop_deferring();
    }

    /// Collects the acknowledgements of other threads and, on an open channel, writes all.
    pub(crate) fn write_acks(&mut self, is_open: bool, out: &mut Vec<u8>) {
        if self.shared.acks.is_filled() {
            self.shared.acks.take(&mut self.pending_acks);
            for ack in self.pending_acks.drain(..).filter(|ack| ack.epoch == self.epoch) {
                self.unacked.acknowledge(ack.tag, ack.answer);
            }
        }
        if is_open {
            self.unacked.write(self.shared.number, out);
        }
    }
}
