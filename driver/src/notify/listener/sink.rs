//! The shard's end of a listener: takes deliveries and leaves them to the processor.

use std::sync::Arc;

use leveret_engine::{Delivery, DeliverySink, Disposition};

use crate::notify::listener::processor::NotificationProcessor;
use crate::transport::intake_limit;

/// The sink of each of a listener's queues.
pub(crate) struct NotificationSink {
    processor: Arc<NotificationProcessor>,
    batch: Vec<Vec<Delivery>>,
}

impl NotificationSink {
    pub(crate) fn new(processor: &Arc<NotificationProcessor>) -> Self {
        Self { processor: Arc::clone(processor), batch: Vec::new() }
    }
}

impl DeliverySink for NotificationSink {
    fn deliver(&mut self, mut delivery: Delivery) -> Disposition {
        let bytes = delivery.body().len();
        self.processor.counters.add_waiting(1, bytes);
        match self.processor.batcher.get() {
            Some(batcher) => {
                // It waits for the rest of its batch.
                intake_limit::detach(&mut delivery);
                batcher.push(delivery, bytes);
            }
            None => self.batch.push(vec![delivery]),
        }
        Disposition::Later
    }

    fn is_full(&self) -> bool {
        self.processor.limit.stops_reading(self.processor.load(), false)
    }

    fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.processor.runner.submit(&self.processor, &mut self.batch);
        }
    }

    fn oversized(&mut self, _: Delivery, _: u64) {
        self.processor.counters.count(|counters| &counters.undecodable);
    }

    fn closed(&mut self, error: Option<leveret_engine::Error>) {
        self.flush();
        if let Some(error) = error {
            tracing::error!(
                name: "leveret.listener.consumer_lost",
                %error, "a listener no longer listens to one of its queues"
            );
        }
    }
}
