//! The shard's end of a server: takes deliveries, acknowledges what may be acknowledged at once.

use std::sync::Arc;

use leveret_engine::wire::PropertiesView;
use leveret_engine::{Body, Delivery, DeliverySink, Disposition};

use crate::config::Redelivered;
use crate::dialect::{Dialect, kombu, pika};
use crate::rpc::server::incoming::{IncomingDelivery, RequestSource};
use crate::rpc::server::processor::{BACKLOG_MAX, RequestProcessor};
use crate::runtime::timer;
use crate::transport::incoming;
use crate::transport::intake_limit;

/// Requests that wait from which on others are taken out of the connection's receive blocks.
const DETACHED_MIN: usize = 64;

/// The sink of each of a server's queues.
pub(crate) struct RequestSink {
    serving: Arc<RequestProcessor>,
    source: RequestSource,
    batch: Vec<IncomingDelivery>,
}

impl RequestSink {
    pub(crate) fn new(serving: &Arc<RequestProcessor>, source: RequestSource) -> Self {
        Self { serving: Arc::clone(serving), source, batch: Vec::new() }
    }
}

impl DeliverySink for RequestSink {
    fn deliver(&mut self, mut delivery: Delivery) -> Disposition {
        let (serving, RequestSource { dialect, is_ours, no_ack }) = (&self.serving, self.source);
        if serving.redelivered == Redelivered::Refuse && delivery.redelivered() {
            serving.refuse(&delivery);
            return Disposition::Reject { requeue: false };
        }
        let backlog = serving.runner.backlog() + self.batch.len();
        if backlog >= DETACHED_MIN {
            intake_limit::detach(&mut delivery);
        }
        let head = delivery.properties();
        let expires = match dialect {
            Dialect::Kombu => None,
            Dialect::Pika => incoming::life_of(&head).map(timer::deadline_in),
        };
        let is_short = backlog < BACKLOG_MAX && !serving.limit.is_reached();
        let is_acknowledged = no_ack || (is_short && looks_usual(&head, &delivery, dialect));
        // Whoever got it back would refuse it.
        let is_ours = is_ours || serving.redelivered == Redelivered::Refuse;
        self.batch.push(IncomingDelivery { delivery, dialect, is_acknowledged, is_ours, expires });
        if is_acknowledged && !no_ack { Disposition::Ack } else { Disposition::Later }
    }

    fn oversized(&mut self, delivery: Delivery, size: u64) {
        let serving = &self.serving;
        serving.tally.count(|taken| &taken.undecodable);
        if let Some(call) = incoming::sender_of_cut(&delivery, &serving.serializers) {
            let text = format!("the request of {size} bytes is larger than the server takes");
            serving.answering.refuse_at_once(&call, text);
        }
    }

    fn is_full(&self) -> bool {
        self.serving.limit.stops_reading(self.serving.load(), self.source.no_ack)
    }

    /// The broker has forgotten it, or would deliver it again to somebody who refuses that.
    fn takes_the_last(&self) -> bool {
        self.source.no_ack || self.serving.redelivered == Redelivered::Refuse
    }

    fn flush(&mut self) {
        if !self.batch.is_empty() {
            let bytes = self.batch.iter().map(|incoming| incoming.delivery.body().len()).sum();
            self.serving.tally.took_in(self.batch.len(), bytes);
            self.serving.runner.take(&self.serving, &mut self.batch);
        }
    }

    fn ended(&mut self, error: Option<leveret_engine::Error>) {
        self.flush();
        if let Some(error) = error {
            tracing::error!(
                name: "leveret.server.consumer_lost",
                %error, "a server no longer listens to one of its queues"
            );
        }
    }
}

/// Whether a message is an ordinary envelope, judged by its outside alone; a worker decides about
/// others.
fn looks_usual(head: &PropertiesView<'_>, delivery: &Delivery, dialect: Dialect) -> bool {
    if dialect == Dialect::Pika {
        return pika::check_version(head).is_ok() && head.message_id.is_some();
    }
    let is_text = kombu::check_content(head.content_type).is_ok();
    is_text && kombu::is_enveloped(first(delivery.body()), last(delivery.body()))
}

fn first(body: &Body) -> &[u8] {
    body.pieces().next().unwrap_or_default()
}

fn last(body: &Body) -> &[u8] {
    body.pieces().last().unwrap_or_default()
}
