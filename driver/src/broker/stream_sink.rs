//! Tracks the offset of a stream's consumer, so that it continues there after a reconnect.
//!
//! A stream keeps its messages, so a consumer that subscribes again names the offset to begin from:
//! the one after the last message it received, as in oslo. A received message is being processed,
//! whether or not its acknowledgement arrived.

use leveret_engine::{AMQPValue, Delivery, DeliverySink, Disposition, Error, FieldTable};

use crate::topology::{STREAM_LAST, STREAM_OFFSET};

/// The sink of a stream's consumer. It hands deliveries to another sink.
pub(super) struct StreamSink {
    sink: Box<dyn DeliverySink>,
    /// The offset to continue from; `None` before the first message.
    next: Option<i64>,
}

impl StreamSink {
    pub(super) fn new(sink: Box<dyn DeliverySink>) -> Self {
        Self { sink, next: None }
    }

    /// Continues after this message.
    fn advance(&mut self, delivery: &Delivery) {
        let headers = delivery.properties().headers;
        let offset = headers.and_then(|table| table.get(STREAM_OFFSET)?.as_int());
        self.next = offset.map(|offset| offset + 1).or(self.next);
    }
}

impl DeliverySink for StreamSink {
    fn deliver(&mut self, delivery: Delivery) -> Disposition {
        self.advance(&delivery);
        self.sink.deliver(delivery)
    }

    fn oversized(&mut self, delivery: Delivery, size: u64) {
        self.advance(&delivery);
        self.sink.oversized(delivery, size);
    }

    fn flush(&mut self) {
        self.sink.flush();
    }

    fn is_full(&self) -> bool {
        self.sink.is_full()
    }

    /// The stream may have been deleted; the offsets of a new one begin at 0.
    fn cancelled(&mut self) {
        self.next = None;
        self.sink.cancelled();
    }

    fn before_resubscribe(&mut self, arguments: &mut FieldTable) {
        let last = || AMQPValue::LongString(STREAM_LAST.into());
        let from = self.next.map_or_else(last, AMQPValue::LongLongInt);
        arguments.insert(STREAM_OFFSET.into(), from);
        self.sink.before_resubscribe(arguments);
    }

    fn accepts_while_cancelling(&self) -> bool {
        self.sink.accepts_while_cancelling()
    }

    fn closed(&mut self, error: Option<Error>) {
        self.sink.closed(error);
    }
}
