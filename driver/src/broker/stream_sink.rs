//! Reading on in a stream: the offset a consumer begins from when it begins again.
//!
//! A stream keeps its messages, so whoever comes back says where to go on: behind the last message
//! seen, as oslo. What was seen is being worked on, whether or not its acknowledgement arrived.

use leveret_engine::{AMQPValue, Delivery, DeliverySink, Disposition, Error, FieldTable};

use crate::topology::{STREAM_LAST, STREAM_OFFSET};

/// The sink of a stream's consumer, in front of another one.
pub(super) struct StreamSink {
    sink: Box<dyn DeliverySink>,
    /// Unknown before the first message.
    next: Option<i64>,
}

impl StreamSink {
    pub(super) fn new(sink: Box<dyn DeliverySink>) -> Self {
        Self { sink, next: None }
    }
}

impl DeliverySink for StreamSink {
    fn deliver(&mut self, delivery: Delivery) -> Disposition {
        let headers = delivery.properties().headers;
        let offset = headers.and_then(|table| table.get(STREAM_OFFSET)?.as_int());
        self.next = offset.map(|offset| offset + 1).or(self.next);
        self.sink.deliver(delivery)
    }

    fn flush(&mut self) {
        self.sink.flush();
    }

    fn is_full(&self) -> bool {
        self.sink.is_full()
    }

    /// The stream may have been deleted, and offsets count anew then.
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
