//! What users may ask a transport about itself: health and metrics.
//!
//! Nothing here waits or sends; what is being opened at the moment counts as not there yet.

use leveret_engine::ConnectionState;

use super::Transport;
use crate::observe::collector::Collector;
use crate::observe::health::{ConnectionHealth, ReplyPath, TransportHealth};
use crate::observe::metrics::{ConnectionMetrics, TransportMetrics};

impl Transport {
    /// Where its connections stand: cheap, and nothing is sent. For a liveness or readiness probe,
    /// ask [`is_ready`](TransportHealth::is_ready).
    pub fn health(&self) -> TransportHealth {
        let mut connections: Vec<ConnectionHealth> = vec![self.shared.publishing.health("publish")];
        if let Some(notifying) = self.shared.notifying.get() {
            connections.push(notifying.health("notify"));
        }
        if let Some(answering) = self.shared.answering.get() {
            connections.push(answering.publishing().health("answers"));
        }
        let replies = self.replies(|listening| listening.health("replies"));
        let reply_path = match (&replies, self.known_reply_queue().is_some()) {
            (Found::Nothing, _) => ReplyPath::Unused,
            (Found::It(connection), true) if connection.state != ConnectionState::Closed => {
                ReplyPath::Open
            }
            _ => ReplyPath::Opening,
        };
        if let Found::It(connection) = replies {
            connections.push(connection);
        }
        TransportHealth { connections, reply_path }
    }

    /// What it has done and holds, and the shards of its engine. Cheap enough for every second.
    pub fn metrics(&self) -> TransportMetrics {
        let shared = &self.shared;
        let stats = self.stats();
        let mut connections: Vec<ConnectionMetrics> = vec![shared.publishing.metrics("publish")];
        if let Some(notifying) = shared.notifying.get() {
            connections.push(notifying.metrics("notify"));
        }
        if let Some(answering) = shared.answering.get() {
            connections.push(answering.publishing().metrics("answers"));
        }
        if let Found::It(replies) = self.replies(|listening| listening.metrics("replies")) {
            connections.push(replies);
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

    /// A look at the connection of replies that does not wait.
    fn replies<T>(&self, look: impl FnOnce(&crate::broker::Listening) -> T) -> Found<T> {
        match self.shared.replies.try_lock() {
            Ok(replies) => match &*replies {
                Some(replies) => Found::It(look(&replies.listening)),
                None => Found::Nothing,
            },
            Err(_) => Found::Busy,
        }
    }
}

/// What a look found that does not wait.
enum Found<T> {
    Nothing,
    /// It is being opened or closed.
    Busy,
    It(T),
}
