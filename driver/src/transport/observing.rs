//! What users may ask a transport about itself: health and metrics.
//!
//! Nothing here waits or sends; what is being opened at the moment counts as not there yet.

use std::sync::Arc;

use leveret_engine::Error as EngineError;

use super::transport::Transport;
use crate::broker::lease::{health_of, metrics_of};
use crate::broker::publish::pool::PublisherPool;
use crate::broker::publish::publisher::PublishConnection;
use crate::observe::collector::Collector;
use crate::observe::health::{ConnectionHealth, ReplyPath, TransportHealth};
use crate::observe::metrics::{ConnectionMetrics, TransportMetrics};

impl Transport {
    /// Where its connections stand: cheap, and nothing is sent. For a liveness or readiness probe,
    /// ask [`is_ready`](TransportHealth::is_ready).
    pub fn health(&self) -> TransportHealth {
        let mut connections = Vec::new();
        for connection in self.publishing_health() {
            list(&mut connections, connection);
        }
        let replies = &self.shared.replies;
        let queue = replies.get();
        let subscriber = queue.as_ref().and_then(|queue| queue.subscriber());
        let consumer = subscriber.as_ref().and_then(|subscriber| subscriber.consumers().pop());
        let reply_path = match (&queue, &subscriber) {
            (None, _) if !replies.is_opening() => ReplyPath::Unused,
            (Some(_), None) if replies.is_closed() => ReplyPath::Unused,
            (Some(queue), Some(one)) if !queue.is_lost() && !one.is_gone() => match &consumer {
                Some(consumer) if consumer.is_ready() => ReplyPath::Open,
                _ => ReplyPath::Waiting,
            },
            _ => ReplyPath::Opening,
        };
        if let Some(subscriber) = subscriber {
            list(&mut connections, subscriber.health());
        }
        for lent in self.shared.connections.shared() {
            list(&mut connections, health_of(&lent));
        }
        TransportHealth { connections, reply_path, replies: consumer }
    }

    /// What it has done and holds, and the shards of its engine. Cheap enough for every second.
    pub fn metrics(&self) -> TransportMetrics {
        let shared = &self.shared;
        let stats = self.stats();
        let mut connections = Vec::new();
        for publishing in self.publishing() {
            add(&mut connections, publishing.metrics());
        }
        if let Some(subscriber) = shared.replies.get().and_then(|queue| queue.subscriber()) {
            add(&mut connections, subscriber.metrics());
        }
        for lent in self.shared.connections.shared() {
            add(&mut connections, metrics_of(&lent, []));
        }
        TransportMetrics {
            calls: shared.counters.calls(stats.calls_outstanding),
            casts: shared.counters.casts(stats.casts_refused),
            notifications: shared.counters.notifications(),
            served: shared.counters.served.read(),
            heard: shared.counters.heard.read(),
            retries: shared.counters.retries(),
            fallbacks: shared.counters.fallbacks(),
            replies_resent: shared.answering.get().map_or(0, |answering| answering.resent()),
            replies_late: stats.replies_late,
            replies_dropped: stats.replies_dropped,
            reports_dropped: self.collector().map_or(0, Collector::dropped),
            connections,
            shards: shared.engine.stats(),
        }
    }

    /// Why calls cannot be made now, if a connection they need is down and the reason is known.
    pub(crate) fn why_down(&self) -> Option<EngineError> {
        let replies = self.shared.replies.get().and_then(|queue| queue.subscriber());
        let replies = replies.map(|subscriber| subscriber.health());
        let mut all = self.shared.publishing.lane_health(self.lane).into_iter().chain(replies);
        all.find_map(|connection| connection.why_down())
    }

    /// Why nothing more can be opened now, if a connection is down and the reason is known.
    pub(super) fn why_not_opened(&self) -> Option<EngineError> {
        self.health().connections.iter().find_map(ConnectionHealth::why_down)
    }

    /// The connections that requests and notifications are published on.
    fn senders(&self) -> impl Iterator<Item = &PublisherPool> {
        let shared = &self.shared;
        [&shared.publishing].into_iter().chain(&shared.casting).chain([&shared.notifying])
    }

    /// All that publishes: requests, notifications, our replies.
    fn publishing(&self) -> impl Iterator<Item = Arc<PublishConnection>> {
        self.senders().flat_map(PublisherPool::opened).chain(self.answering_on())
    }

    /// Where the connections of all that publishes stand, of those too whose channels are not open.
    fn publishing_health(&self) -> impl Iterator<Item = ConnectionHealth> {
        let answering = self.answering_on().into_iter().map(|publishing| publishing.health());
        self.senders().flat_map(PublisherPool::health).chain(answering)
    }

    fn answering_on(&self) -> Vec<Arc<PublishConnection>> {
        let answering = self.shared.answering.get();
        answering.map_or_else(Vec::new, |answering| answering.publishing().to_vec())
    }
}

/// Lists a connection once, whoever shares it.
fn list(connections: &mut Vec<ConnectionHealth>, one: ConnectionHealth) {
    if !connections.iter().any(|known| known.is_same(&one)) {
        connections.push(one);
    }
}

/// The same; what its channels hold adds up.
fn add(connections: &mut Vec<ConnectionMetrics>, one: ConnectionMetrics) {
    match connections.iter_mut().find(|known| known.health.is_same(&one.health)) {
        Some(known) => known.outbox_bytes += one.outbox_bytes,
        None => connections.push(one),
    }
}
