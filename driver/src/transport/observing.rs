//! What users may ask a transport about itself: health and metrics.
//!
//! Nothing here waits or sends; what is being opened at the moment counts as not there yet.

use leveret_engine::ConnectionState;

use super::Transport;
use crate::broker::{Lanes, Listening, Publishing, health_of, metrics_of};
use crate::observe::collector::Collector;
use crate::observe::health::{ConnectionHealth, ReplyPath, TransportHealth};
use crate::observe::metrics::{ConnectionMetrics, TransportMetrics};

impl Transport {
    /// Where its connections stand: cheap, and nothing is sent. For a liveness or readiness probe,
    /// ask [`is_ready`](TransportHealth::is_ready).
    pub fn health(&self) -> TransportHealth {
        let mut connections = Vec::new();
        for publishing in self.publishing() {
            list(&mut connections, publishing.health());
        }
        let found = self.replies(|listening| (listening.health(), listening.consumers().pop()));
        let is_known = self.known_reply_queue().is_some();
        let (reply_path, replies) = match found {
            Found::Nothing => (ReplyPath::Unused, None),
            Found::Busy => (ReplyPath::Opening, None),
            Found::It((connection, consumer)) => {
                let path = match &consumer {
                    _ if !is_known || connection.state == ConnectionState::Closed => {
                        ReplyPath::Opening
                    }
                    Some(consumer) if consumer.is_ready() => ReplyPath::Open,
                    _ => ReplyPath::Waiting,
                };
                list(&mut connections, connection);
                (path, consumer)
            }
        };
        for lent in self.shared.connections.shared() {
            list(&mut connections, health_of(&lent));
        }
        TransportHealth { connections, reply_path, replies }
    }

    /// What it has done and holds, and the shards of its engine. Cheap enough for every second.
    pub fn metrics(&self) -> TransportMetrics {
        let shared = &self.shared;
        let stats = self.stats();
        let mut connections = Vec::new();
        for publishing in self.publishing() {
            add(&mut connections, publishing.metrics());
        }
        if let Found::It(replies) = self.replies(Listening::metrics) {
            add(&mut connections, replies);
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
    pub(crate) fn why_down(&self) -> Option<leveret_engine::Error> {
        let replies = match self.replies(Listening::health) {
            Found::It(connection) => Some(connection),
            Found::Nothing | Found::Busy => None,
        };
        let publishing = self.shared.publishing.opened_lane(self.lane);
        let all = publishing.map(|one| one.health()).into_iter().chain(replies);
        let mut down = all.filter(|one| one.state == ConnectionState::Connecting);
        down.find_map(|one| one.last_error)
    }

    /// All that publishes: requests, notifications, our replies.
    fn publishing(&self) -> impl Iterator<Item = &Publishing> {
        let shared = &self.shared;
        let answering = shared.answering.get().into_iter().flat_map(|one| one.publishing());
        let casting = shared.casting.iter().flat_map(Lanes::opened);
        let sending = shared.publishing.opened().chain(casting).chain(shared.notifying.opened());
        sending.chain(answering).map(AsRef::as_ref)
    }

    /// A look at the connection of replies that does not wait.
    fn replies<T>(&self, look: impl FnOnce(&Listening) -> T) -> Found<T> {
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
