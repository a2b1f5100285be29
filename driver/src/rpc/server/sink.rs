//! The shard's end of a server: takes deliveries, acknowledges what may be acknowledged at once.

use std::sync::Arc;

use leveret_engine::{Delivery, DeliverySink, Disposition};

use crate::config::options::dialects::Redelivered;
use crate::dialect::queues::RequestSource;
use crate::rpc::server::incoming_delivery::IncomingDelivery;
use crate::rpc::server::processor::{BACKLOG_MAX, RequestProcessor};
use crate::runtime::timer;
use crate::transport::intake_limit;

/// From so many waiting requests on, further ones are copied out of the connection's receive
/// blocks.
const DETACHED_MIN: usize = 64;

/// The sink of each of a server's queues.
pub(super) struct RequestSink {
    processor: Arc<RequestProcessor>,
    source: RequestSource,
    batch: Vec<IncomingDelivery>,
}

impl RequestSink {
    pub(crate) fn new(processor: &Arc<RequestProcessor>, source: RequestSource) -> Self {
        Self { processor: Arc::clone(processor), source, batch: Vec::new() }
    }
}

impl DeliverySink for RequestSink {
    fn deliver(&mut self, mut delivery: Delivery) -> Disposition {
        let (processor, RequestSource { format, may_go_with_server, no_ack }) =
            (&self.processor, self.source);
        if processor.redelivered == Redelivered::Refuse && delivery.redelivered() {
            processor.refuse(&delivery);
            return Disposition::Reject { requeue: false };
        }
        let backlog = processor.runner.backlog() + self.batch.len();
        if backlog >= DETACHED_MIN {
            intake_limit::detach(&mut delivery);
        }
        let head = delivery.properties();
        let expires = format.time_to_live(&head).map(timer::deadline_in);
        let is_short = backlog < BACKLOG_MAX && !processor.limit.is_reached();
        let is_acknowledged =
            no_ack || (is_short && format.looks_like_request(&head, delivery.body()));
        // Another server would refuse it.
        let must_run_here = may_go_with_server || processor.redelivered == Redelivered::Refuse;
        self.batch.push(IncomingDelivery {
            delivery,
            format,
            is_acknowledged,
            must_run_here,
            expires,
        });
        if is_acknowledged && !no_ack { self.processor.on_receipt } else { Disposition::Later }
    }

    fn oversized(&mut self, delivery: Delivery, size: u64) {
        let processor = &self.processor;
        processor.counters.count(|counters| &counters.undecodable);
        if let Some(to) = processor.wire.reply_address_of_truncated(&delivery) {
            let text = format!("the request of {size} bytes is larger than the server takes");
            processor.replies.try_send_failure(&to, text);
        }
    }

    fn is_full(&self) -> bool {
        self.processor.limit.stops_reading(self.processor.load(), self.source.no_ack)
    }

    /// RabbitMQ has forgotten it, or would deliver it again to a server that refuses it.
    fn accepts_while_cancelling(&self) -> bool {
        self.source.no_ack || self.processor.redelivered == Redelivered::Refuse
    }

    fn flush(&mut self) {
        if !self.batch.is_empty() {
            let bytes = self.batch.iter().map(|incoming| incoming.delivery.body().len()).sum();
            self.processor.counters.add_waiting(self.batch.len(), bytes);
            self.processor.runner.submit(&self.processor, &mut self.batch);
        }
    }

    fn closed(&mut self, error: Option<leveret_engine::Error>) {
        self.flush();
        if let Some(error) = error {
            tracing::error!(
                name: "leveret.server.consumer_lost",
                %error, "a server no longer listens to one of its queues"
            );
        }
    }
}
